"""Limits of the locale's encoding: the parts of a text that the system cannot be handed.

The standard library only.
"""

from __future__ import annotations

import os
import sys

__all__ = ["HINT", "unfit"]

HINT = "set LC_ALL to a locale of UTF-8, such as C.UTF-8"


def unfit(text: str) -> str:
    """Return what it has that no argument, path or variable can have here; empty if nothing."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xD800 <= code <= 0xDFFF:
            return f"a lone surrogate in it, U+{code:04X}, which {error.encoding} cannot hold"
        import locale  # noqa: PLC0415 -- every worker imports this module, and hardly any needs that

        name, encoding = locale.setlocale(locale.LC_CTYPE), sys.getfilesystemencoding()
        return f"a character in it, U+{code:04X}, which the locale {name} ({encoding}) cannot hold"
    return ""
