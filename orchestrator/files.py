"""Opens the files of a run: regular ones, as they are, never what a link or a pipe stands for.

What lies in a run's directory may have been put there by a target. The standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "PACKAGE",
    "here",
    "is_file",
    "is_folder",
    "is_there",
    "open_directory",
    "open_new",
    "open_regular",
    "with_home",
]

PACKAGE = os.path.dirname(__file__) + os.sep  # noqa: PTH120 -- see `here`
"""The folder of this package, with a slash at its end: frames of files below it are ours."""


def here() -> Path:
    """Return the working directory, or the root if it has been removed."""
    from pathlib import Path  # noqa: PLC0415 -- `mporch --help` has no need of it

    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


# What the user has written may be no name of a file at all: too long, with a NUL in it, below a
# folder that is shut. `os.path` then says no, where `Path` raises.


def with_home(text: str) -> Path:
    """Return the path in `text`, `~` put in; as it is written if it names an unknown user."""
    from pathlib import Path  # noqa: PLC0415

    return Path(os.path.expanduser(text))  # noqa: PTH111


def is_file(path: Path | str) -> bool:
    """True if a regular file can be found at `path`, behind links, too."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path | str) -> bool:
    """True if a folder can be found at `path`, behind links, too."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path | str) -> bool:
    """True if anything can be found at `path`, behind links, too."""
    return os.path.exists(path)  # noqa: PTH110


def open_regular(path: Path | str, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a file that is there, or is made if `flags` say so; never waits for another process.

    `dir_fd` is the directory that `path` counts from. Raises OSError, for links and for all that is
    no regular file, too.
    """
    safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags | safe, 0o600, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return fd


def open_new(path: Path | str, *, dir_fd: int | None = None) -> int:
    """Make a file that only its owner may read, to write it. Raises OSError if there is anything.

    A link that leads nowhere is something.
    """
    return open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=dir_fd)


@contextlib.contextmanager
def open_directory(path: Path, *, follow: bool = False) -> Iterator[int]:
    """A descriptor of a directory: what is opened from it stays in it, whatever its path becomes.

    Raises OSError, for a link, too, unless it is to be followed.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    fd = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)
