"""The command `mporch`, and `python -m orchestrator`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.platform == "win32":
        sys.exit("mporch needs Linux or another Unix: it is built on its processes and signals")
    from orchestrator.cli.main import command_line  # noqa: PLC0415 -- would not import on Windows

    sys.exit(command_line(sys.argv[1:]))


if __name__ == "__main__":
    main()
