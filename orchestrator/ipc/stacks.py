"""Stacks of a worker that goes on: the signal it answers, and the end of what it writes.

faulthandler writes a dump in the handler of the signal itself, without the interpreter's lock: also
that of a target which hangs in C code. A dump says nothing when it is over. But the main thread is
the last of it, as Python lists the newest thread first, and its outermost frame never changes: the
worker says at its beginning what its last line will be.

Source: `_Py_DumpTracebackThreads` in CPython's traceback.c (3.11 to 3.14).
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from types import FrameType

__all__ = [
    "LOOK_FD",
    "LOOK_SIGNAL",
    "LOOK_SIGNALS",
    "MARK_BYTES",
    "answer",
    "is_whole",
    "keep_answering",
]

LOOK_SIGNALS = tuple(signal.SIGRTMAX - n for n in (6, 7, 8))
"""One after another, as targets take them for themselves; nobody else gives them a meaning."""

LOOK_SIGNAL, LOOK_FD = 5, 6
"""Words of the progress cell (`ipc/cell.py`): the signal that is answered, or 0, and where to."""

MARK_BYTES = 2048
_MOST_FRAMES = 100
_LONGEST_NAME = 500


def answer(fd: int, words: memoryview) -> None:
    """Called in the child, in its main thread. Have a signal write all stacks to `fd`.

    `fd` is the writing side of a pipe: its first bytes, up to a NUL, say how each dump will end.
    The handler returns, and a full pipe does not hold it up: what it has no room for is lost.
    """
    os.set_blocking(fd, False)
    os.write(fd, _mark(sys._getframe())[: MARK_BYTES - 1] + b"\0")
    words[LOOK_FD], words[LOOK_SIGNAL] = fd, LOOK_SIGNALS[0]
    faulthandler.register(LOOK_SIGNALS[0], fd, all_threads=True, chain=False)


def keep_answering(words: memoryview) -> None:
    """Called in the child now and then: if the target has taken the signal, use another.

    With none left the worker does not answer.
    """
    signum = words[LOOK_SIGNAL]
    if signum and signal.getsignal(signum) is not signal.SIG_DFL:
        words[LOOK_SIGNAL] = 0
        for other in LOOK_SIGNALS[LOOK_SIGNALS.index(signum) + 1 :]:
            if signal.getsignal(other) is signal.SIG_DFL:
                faulthandler.register(other, words[LOOK_FD], all_threads=True, chain=False)
                words[LOOK_SIGNAL] = other
                return


def is_whole(dump: str, mark: str) -> bool:
    """Called in the parent. Return whether this is all of a dump, by the worker's `mark`.

    Of a hundred threads, or a hundred frames of the main one, no more are written.
    """
    if dump.endswith("\n...\n"):
        return True
    ident, _, last = mark.partition("\n")
    at = dump.rfind("hread 0x")
    section = dump[at:]
    if not ident or at < 0 or not section.startswith(f"hread {ident}"):
        return False
    if last and section.endswith(f"\n{last}"):
        return True
    return section.endswith("\n") and (
        section.endswith(("\n  ...\n", " frame>\n")) or section.count("\n  File ") >= _MOST_FRAMES
    )


def _mark(frame: FrameType | None) -> bytes:
    """The main thread's number, then its two outermost frames, as faulthandler writes them."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    lines = [f"0x{threading.get_ident():0{_DIGITS}x}"]
    for each in frames[-2:]:
        code = each.f_code
        name, file = _told(code.co_name), _told(code.co_filename)
        lines.append(f'  File "{file}", line {each.f_lineno} in {name}')
    return "".join(f"{line}\n" for line in lines).encode()


_DIGITS = 2 * (sys.maxsize.bit_length() + 1) // 8


def _told(text: str) -> str:
    """A text as faulthandler writes it: in printable ASCII, and cut off."""
    more = "..." if len(text) > _LONGEST_NAME else ""
    return "".join(_character(each) for each in text[:_LONGEST_NAME]) + more


def _character(each: str) -> str:
    if " " <= each <= "~":
        return each
    n = ord(each)
    return f"\\x{n:02x}" if n < 1 << 8 else f"\\u{n:04x}" if n < 1 << 16 else f"\\U{n:08x}"
