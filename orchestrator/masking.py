"""Secrets by their names: the words that tell one, and text with `***` in the place of it.

Standard library only: the restricted children read it too.
"""

from __future__ import annotations

import re

__all__ = ["MASK", "is_secret", "without_password", "without_secrets"]

MASK = "***"

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET = frozenset(
    {"apikey", "authorization", "cookie", "credential", "credentials", "token", "tokens"}
)
_ANYWHERE = ("passphrase", "passwd", "password", "secret")
_SECRET_AT_THE_END = frozenset({"key", "keys", "pass", "pwd"})
_HARMLESS = frozenset({"PWD", "OLDPWD"})
"""The shell's own: where it is and was."""
_URL_PASSWORD = re.compile(r"""(?<=://)([^/\s:@]*):[^/\s@]+@(?:[^/\s@"',;?#]*@)*""")
"""A password that has an @ of its own ends at the last one, as programs read it."""
_LABEL = re.compile(r"""([A-Za-z0-9_.-]{1,64})["']?\s{0,4}[=:]\s{0,4}""")
"""What text has before a value: `token=`, `"token": `, `Token: `."""
_VALUE = re.compile(
    r"""(?:(?:Bearer|Basic|Token)\s{1,4})?(?:"[^"]*"?|'[^']*'?|[^\s,;&"'}\])]+)""", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """True if a variable of that name holds a secret: DB_PASSWORD, apiKey, GITHUB_TOKEN."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or name in _HARMLESS:
        return False
    if words[-1] in _SECRET_AT_THE_END or not _SECRET.isdisjoint(words):
        return True
    return any(part in name.lower() for part in _ANYWHERE)


def without_password(text: str) -> str:
    """Return the text without the passwords in its URLs."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def without_secrets(text: str) -> str:
    """Return the text without the passwords in its URLs, and values that it gives secret names."""
    text = without_password(text)
    pieces: list[str] = []
    at = 0
    for label in _LABEL.finditer(text):
        if label.start() >= at and is_secret(label[1]):
            value = _VALUE.match(text, label.end())
            if value is not None:
                pieces += text[at : label.end()], MASK
                at = value.end()
    return "".join((*pieces, text[at:]))
