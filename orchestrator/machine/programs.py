"""Programs of commands on this machine: a program is there, and a shell can read its text.

No program of the user's is run: a shell reads a script, with `sh -n`, and runs nothing of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import stat
import subprocess
from functools import cached_property
from pathlib import Path

from orchestrator.encoding import HINT, unfit
from orchestrator.spec.wording import did_you_mean

__all__ = ["Programs", "script_flaw"]

_READING_S = 2.0
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT}
"""A script may make its shell crash, but not by these."""
_REFUSED = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}
_HEAD = 256
"""Bytes in which Linux looks for the interpreter of a script."""
_COMPLAINT = re.compile(r"^.*?: (?:-c: )?(?:line )?(\d+): (?:[Ss]yntax error: )?(.+)")


class Programs:
    """The programs that a job finds by its PATH, `search`, or below its `folder`."""

    def __init__(self, search: str | None, folder: Path) -> None:
        self._search = os.defpath if search is None else search
        self._folder = folder

    def flaw(self, name: str) -> tuple[str, str] | None:
        """Return why a program cannot be started, and what to do; None if it can."""
        if what := unfit(name):
            return f"{name} names no program: it has {what}", HINT
        if "/" not in name:
            if (found := shutil.which(name, path=self._search)) is not None:
                return _script_file_flaw(Path(found), name)
            return f"there is no program {name} on PATH", self._advice(name)
        status = _status(path := self._folder / name)
        if status is None:
            return f"there is no program {path}", "paths start at the job's working directory, cwd"
        if stat.S_ISDIR(status.st_mode):
            return f"{path} is a folder, not a program", "name a file in it"
        if not os.access(path, os.X_OK):
            return f"{path} may not be executed", f"chmod +x {name}, or name its interpreter first"
        return _script_file_flaw(path, name)

    def _advice(self, name: str) -> str:
        if len(words := name.split()) > 1:
            return f"write command: [{', '.join(words)}], or text without brackets for a shell"
        if _status(self._folder / name) is not None:
            return f"write ./{name}"
        near = did_you_mean(name, (each for each in self._names if each[0] == name[0]))
        return near or "install it, or name its path"

    @cached_property
    def _names(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for folder in self._search.split(os.pathsep):
            with contextlib.suppress(OSError):
                found |= dict.fromkeys(os.listdir(folder))  # noqa: PTH208 -- thousands of names
        return tuple(found)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _script_file_flaw(path: Path, name: str) -> tuple[str, str] | None:
    """Return why the kernel cannot start a file that is a script; None if it can, or is none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:  # it may be executed and not read
        return None
    if not head.startswith(b"#!"):
        if b"\0" in head or not _is_text(head):
            return None
        hint = f"write #!/bin/sh as its first line, or name its interpreter first: [sh, {name}]"
        return f"{path} is a script without a first line that names its interpreter", hint
    line = os.fsdecode(head[2:].partition(b"\n")[0])
    if line.endswith("\r"):
        hint = f"remove its carriage returns: sed -i 's/\\r$//' {name}"
        return f"the first line of {path} ends as in Windows, and names no interpreter so", hint
    interpreter = next(iter(line.split()), "")
    if not interpreter or (interpreter[0] == "/" and _status(Path(interpreter)) is None):
        message = f"{path} is to be run by {interpreter or 'nothing'}, which is not there"
        return message, "install it, or mend the first line"
    return None


def _is_text(head: bytes) -> bool:
    return head.isascii() and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def script_flaw(shell: str, script: str) -> str | None:
    """Return what a shell says of a script that it cannot read; None if it can, or cannot be asked.

    That it is not here, was killed, or came to no end says nothing of the script.
    """
    try:
        done = subprocess.run(
            [shell, "-n", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={},
            timeout=_READING_S,
            check=False,
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return None
    except (OSError, ValueError) as error:  # too long, or no text that the system knows
        is_refused = isinstance(error, OSError) and error.errno in _REFUSED
        return None if is_refused else str(error)
    if done.returncode == 0 or -done.returncode in _FROM_OUTSIDE:
        return None
    text = done.stderr.decode(errors="replace").strip()
    if found := _COMPLAINT.match(text):
        return f"{found[2]} (its line {found[1]})"
    return text.partition("\n")[0] or f"it ended with status {done.returncode}"
