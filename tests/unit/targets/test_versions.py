"""Versions of code: what Python reads counts, and nothing else."""

from __future__ import annotations

import hashlib

import pytest

from orchestrator.targets.code import is_version, version_of

CODE = b'''\
"""A module."""

import os

class Shop:
    """Sells."""

    name = "shop"

    async def buy(self, n: int = 1) -> str:
        """Pay."""
        return f"{n} at {self.name}"

def only_documented():
    """Nothing else."""
'''

SAME = {
    "comments": CODE.replace(b"import os", b"import os  # for nothing\n# more"),
    "docstrings": CODE.replace(b"Sells.", b"Sells and buys.").replace(b'"""Pay."""', b"'Pay.'"),
    "no docstring": CODE.replace(b'        """Pay."""\n', b""),
    "blank lines": CODE.replace(b"\n\n", b"\n\n\n"),
    "quotes": CODE.replace(b'"shop"', b"'shop'"),
    "a u": CODE.replace(b'"shop"', b'u"shop"'),
    "brackets": CODE.replace(b"n: int = 1", b"n: int = (\n            1\n        ),"),
    "an encoding": b"# -*- coding: utf-8 -*-\n" + CODE,
    "a byte order mark": b"\xef\xbb\xbf" + CODE,
    "Windows": CODE.replace(b"\n", b"\r\n"),
}
OTHER = {
    "a value": CODE.replace(b"= 1", b"= 2"),
    "a text": CODE.replace(b'"shop"', b'"Shop"'),
    "bytes for text": CODE.replace(b'"shop"', b'b"shop"'),
    "a name": CODE.replace(b"buy", b"sell"),
    "an annotation": CODE.replace(b"int", b"float"),
    "a statement": CODE + b"print()\n",
    "a text that is no docstring": CODE.replace(b"import os", b'import os\n"text"'),
    "another type": CODE.replace(b"= 1", b"= 1.0"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_python_does_not_read_is_no_change(text):
    assert version_of(text) == version_of(CODE)
    assert is_version(text, version_of(CODE))


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_python_reads_is_one(text):
    assert version_of(text) != version_of(CODE)
    assert not is_version(text, version_of(CODE))


@pytest.mark.parametrize(
    "text", [b"def f(:\n", b"\0", b"\xff\xfe", b"x = " + b"(" * 5_000 + b")" * 5_000, b"\x7fELF\0"]
)
def test_what_is_no_python_is_told_apart_by_its_bytes(text):
    assert version_of(text) == hashlib.sha256(text).hexdigest()
    assert not is_version(text + b"#", version_of(text))


def test_a_module_without_text_has_no_version():
    assert version_of(b"") == ""
    assert is_version(b"", "")
    assert not is_version(CODE, "")


def test_a_digest_of_bytes_is_that_of_older_runs():
    before = hashlib.sha256(CODE).hexdigest()
    assert is_version(CODE, before)
    assert not is_version(SAME["comments"], before)
