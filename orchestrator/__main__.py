"""The command `mporch`, and `python -m orchestrator`."""

from __future__ import annotations

import gc
import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.platform == "win32":
        sys.exit("mporch needs Linux or another Unix: it is built on its processes and signals")
    _open_standard_descriptors()
    try:
        from orchestrator.cli.main import (  # noqa: PLC0415 -- would not import on Windows
            command_line,
        )
    except KeyboardInterrupt:
        sys.exit(130)  # before there was anybody to explain it
    code = command_line(sys.argv[1:])
    gc.freeze()  # the interpreter's end need not look for garbage in all that was imported
    sys.exit(code)


def _open_standard_descriptors() -> None:
    """Put /dev/null where the caller closed 0, 1 or 2: no file or socket shall get the number."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False))


if __name__ == "__main__":
    main()
