"""Reading a spec: a regular file or standard input, UTF-8, of bounded size."""

from __future__ import annotations

import codecs
import os
import re
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import Problem, Rule, SpecError
from orchestrator.spec import rules
from orchestrator.spec.wording import Guesses, listed
from orchestrator.spec.yaml.nodes import Position

__all__ = ["MAX_BYTES", "Source", "decode", "read"]

MAX_BYTES = 1 << 20
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_LINE_BREAK = re.compile("\r\n|[\n\r]")
_START = Position(1, 1)


@dataclass(frozen=True, kw_only=True)
class Source:
    """The text of a spec, the name it goes by in messages, and its project folder."""

    text: str
    name: str
    project_dir: Path
    file: Path | None = None


def read(
    path: str | Path,
    stdin: BinaryIO | None = None,
    *,
    suffixes: tuple[str, ...] = (".yaml", ".yml"),
    missing: str = "name the path of a spec; `mporch init` writes one that runs",
) -> Source:
    """Read the spec at `path`; `-` is standard input, whose project folder is the working one.

    Of a file that is not there, one with such a suffix is named that may be meant, or `missing` is
    said.

    Raises:
        SpecError: there is no such regular file, it cannot be read, or it is not text.

    """
    if str(path) == "-":
        stream = stdin if stdin is not None else sys.stdin.buffer
        return decode(stream.read(MAX_BYTES + 1), "<stdin>", Path.cwd())
    name, file = str(path), Path(path)
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            hint = "mporch run - reads a spec from standard input" if stat.S_ISFIFO(mode) else ""
            raise _refusal(rules.NOT_A_FILE, name, f"{_kind(mode)}, not a file", hint)
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = _sibling(file, suffixes) or missing
        raise _refusal(rules.NO_FILE, name, "there is no such file", hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        message = f"the file cannot be read: {reason}"
        raise _refusal(rules.UNREADABLE, name, message, "") from None
    file = file.absolute()
    if os.pardir in file.parts:  # the folder gives the pipeline its name
        file = file.parent.resolve() / file.name
    return replace(decode(data, name, file.parent), file=file)


def decode(data: bytes | str, name: str, project_dir: Path) -> Source:
    """Return `data` as the text of a spec.

    Raises:
        SpecError: it is over 1 MiB, not UTF-8, or holds control characters.

    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MAX_BYTES:
        hint = "a spec names data, it holds none"
        raise _refusal(rules.TOO_LARGE, name, "the file is larger than 1 MiB", hint)
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise _refusal(rules.NOT_UTF8, name, "the file is UTF-32", "save it as UTF-8")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _refusal(rules.NOT_UTF8, name, "the file is UTF-16", "save it as UTF-8")
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        message = "the file is not UTF-8"
        raise _refusal(rules.NOT_UTF8, name, message, "save it as UTF-8", _end(before)) from None
    if found := _UNPRINTABLE.search(text):
        code = f"U+{ord(found[0]):04X}"
        at = _end(text[: found.start()])
        hint = "save it as UTF-8" if found[0] == "\0" else "remove it, or escape it in quotes"
        message = f"the character {code} may not stand in YAML"
        raise _refusal(rules.CONTROL_CHARACTER, name, message, hint, at)
    return Source(text=text, name=name, project_dir=project_dir)


def _refusal(rule: Rule, name: str, message: str, hint: str, at: Position = _START) -> SpecError:
    line, column, _ = at
    problem = Problem(rule=rule, file=name, line=line, column=column, message=message, hint=hint)
    return SpecError([problem])


def _end(text: str) -> Position:
    """Return the place just after `text`."""
    lines = _LINE_BREAK.split(text)
    return Position(len(lines), len(lines[-1]) + 1)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "this is a directory"
    if stat.S_ISFIFO(mode):
        return "this is a pipe"
    return "this is a device or socket"


def _sibling(file: Path, suffixes: tuple[str, ...]) -> str:
    """Name a file that lies where the missing one was looked for."""
    try:
        names = sorted(p.name for p in file.absolute().parent.iterdir())
    except OSError:
        return "there is no such folder either"
    stems = {Path(name).stem: name for name in reversed(names) if name.endswith(suffixes)}
    near = Guesses(stems).near(file.stem)  # all have the suffix: it makes no name alike
    return f"did you mean {listed([stems[stem] for stem in near])}?" if near else ""
