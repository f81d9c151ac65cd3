"""Every error mporch raises, whose fault it is, and what to do next.

::

    MporchError
    ├── SpecError              the spec is wrong: every problem with file:line:column     exit 2
    ├── UsageError             the command line, or a call of the Python API, is wrong    exit 2
    │   ├── RunNotFoundError   no run of that name                                        exit 2
    │   └── ResumeError        a run cannot, or should not, be resumed                    exit 2
    │       └── DamagedStoreError  what it had kept is not whole any more                 exit 2
    ├── TargetError            a target cannot be found, imported or called               exit 1
    ├── CommandError           (CalledProcessError) a job's command has failed: made in its worker
    ├── RunDirectoryError      the run directory cannot be made or written                exit 74
    │   └── DiskFullError      there is no room on its disk                               exit 74
    ├── SystemRefusedError     no memory, no process or no descriptor for mporch itself      exit 71
    ├── InternalError          a bug of mporch                                            exit 70
    └── QueueError             what a queue handle raises in a target
        ├── EndOfStream            (queue.Empty, queue.ShutDown)  no item will ever come
        ├── ShutDown               (queue.ShutDown)               nobody is left to take the item
        ├── QueueFullError         (queue.Full)                   no room for what a job gives back
        ├── ReplayError            a job that was called again gives other items than before
        ├── WouldWaitError         inside a transaction: nothing to get, or no room to put
        ├── WrongDirectionError    (TypeError)                    get on a writer, put on a reader
        └── UnpicklableItemError   (TypeError)                    the item cannot travel

Before Python 3.13, which brought `queue.ShutDown`, `QueueShutDown` stands in for it. This module is
imported by every worker and needs nothing but the standard library.
"""

from __future__ import annotations

import enum
import errno
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from queue import Empty, Full
from typing import ClassVar, TypeVar

if sys.version_info >= (3, 13):
    from queue import ShutDown as QueueShutDown
else:

    class QueueShutDown(Exception):  # noqa: N818 -- the name of the standard library's class
        """Stands in for `queue.ShutDown`, which Python has from 3.13 on."""


__all__ = [
    "DamagedStoreError",
    "DiskFullError",
    "EndOfStream",
    "ExitCode",
    "Fault",
    "InternalError",
    "MporchError",
    "Problem",
    "QueueError",
    "QueueFullError",
    "QueueShutDown",
    "ReplayError",
    "ResumeError",
    "Rule",
    "RunDirectoryError",
    "RunNotFoundError",
    "Severity",
    "ShutDown",
    "SpecError",
    "SystemRefusedError",
    "TargetError",
    "UnpicklableItemError",
    "UsageError",
    "WouldWaitError",
    "WrongDirectionError",
    "caused_by",
]

E = TypeVar("E", bound=BaseException)


class ExitCode(enum.IntEnum):
    """What the command returns to the shell."""

    OK = 0
    """Clean, and the ledger balances."""
    FAILED = 1
    """A job failed or timed out, items were left, or a process could not be killed."""
    USAGE = 2
    """A wrong command line or a bad spec."""
    DEAD_LETTERS = 3
    """Finished, but items are dead letters."""
    BUG = 70
    """A bug of mporch."""
    REFUSED = 71
    """The system has refused memory, a process or a descriptor to mporch itself."""
    CANT_WRITE = 74
    """The run directory could not be written."""
    TIMEOUT = 124
    """The run's own timeout."""
    HUP = 129
    """Interrupted by SIGHUP."""
    INT = 130
    """Interrupted by SIGINT."""
    TERM = 143
    """Interrupted by SIGTERM."""


class Fault(enum.Enum):
    """Whose fault an error is, so that the reader knows where to look."""

    USER = "user"
    """The spec or the command line."""
    TARGET = "target"
    """The user's own code."""
    SYSTEM = "system"
    """The machine: a full disk, a missing permission, too few descriptors."""
    MPORCH = "mporch"
    """A bug of mporch."""


class Severity(enum.Enum):
    """Whether a problem keeps the spec from running."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Rule:
    """What a spec must keep (an error), or had better keep (a warning). Made in `spec.rules` only.

    Its title, prose for whoever broke it and examples are in `spec/rules.toml`. Two rules of one
    code are the same.
    """

    code: str
    """It is stable: `MP` and three digits."""
    severity: Severity = field(default=Severity.ERROR, compare=False)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One place where a spec breaks a rule. `line` and `column` count from 1, in characters.

    `width` is how many characters of the line are meant, and 0 is the rest of it. `path` is the
    place in the spec, such as `jobs.parse.input`; empty for the file as a whole. `traceback` is
    what the user's own code raised, in lines.
    """

    rule: Rule
    file: str
    line: int
    column: int
    width: int = 1
    message: str
    hint: str = ""
    path: str = ""
    traceback: str = ""

    @property
    def code(self) -> str:
        """The stable code of the rule, such as `MP201`; `mporch explain MP201` tells of it."""
        return self.rule.code

    @property
    def severity(self) -> Severity:
        """True if this keeps the spec from running."""
        return self.rule.severity

    def __str__(self) -> str:
        """Return `file:line:col: error: message [code]` and, if there is one, a line of hint."""
        place = f"{self.file}:{self.line}:{self.column}"
        text = _one_line(f"{place}: {self.severity.value}: {self.message} [{self.code}]")
        return f"{text}\n  hint: {_one_line(self.hint)}" if self.hint else text


def _one_line(text: str) -> str:
    """Escape what would break the line or reach the terminal as a control sequence."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class MporchError(Exception):
    """The root of the tree. `hint` says what to do next; it may be empty."""

    fault: ClassVar[Fault] = Fault.MPORCH
    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class SpecError(MporchError):
    """The spec is wrong. `problems` holds all that was found, warnings too, in file order."""

    fault = Fault.USER
    exit_code = ExitCode.USAGE

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class UsageError(MporchError):
    """The command line, or a call of the Python API, asks for what cannot be."""

    fault = Fault.USER
    exit_code = ExitCode.USAGE


class RunNotFoundError(UsageError):
    """No run of that name or directory."""


class ResumeError(UsageError):
    """A run cannot be resumed, or not without being told so."""


class DamagedStoreError(ResumeError):
    """What a run had kept is not whole any more."""


class TargetError(MporchError):
    """A target cannot be found, imported or called. `traceback_text` is the user's own."""

    fault = Fault.TARGET

    def __init__(self, message: str = "", *, traceback_text: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.traceback_text = traceback_text


FILE_SIZE_HINT = "raise the limit of the size of a file: ulimit -f unlimited"
"""For EFBIG: Python takes no notice of the signal that comes with it, SIGXFSZ."""


class RunDirectoryError(MporchError):
    """The run directory cannot be made, is not empty, or cannot be written."""

    fault = Fault.SYSTEM
    exit_code = ExitCode.CANT_WRITE

    @staticmethod
    def of(path: object, error: OSError) -> RunDirectoryError:
        """Return what the system's error at writing `path` means."""
        message = f"cannot write {path}: {error.strerror}"
        if error.errno in _NO_ROOM:
            return DiskFullError(message, hint="free some space, or choose another disk")
        if error.errno == errno.EFBIG:
            return RunDirectoryError(message, hint=FILE_SIZE_HINT)
        return RunDirectoryError(message)


class DiskFullError(RunDirectoryError):
    """There is no room left for the run's files; the same write may succeed later."""


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class SystemRefusedError(MporchError):
    """The system has refused what mporch itself needs: memory, a process, a descriptor."""

    fault = Fault.SYSTEM
    exit_code = ExitCode.REFUSED

    @staticmethod
    def of(error: MemoryError | OSError) -> SystemRefusedError:
        """Return what such an error of the orchestrator's own means."""
        if isinstance(error, MemoryError) or error.errno == errno.ENOMEM:
            message = "mporch itself got no more memory (ulimit -v, a container, the machine)"
            hint = "bound the queues of large items by max_bytes or maxsize, or raise the limit"
            return SystemRefusedError(message, hint=hint)
        message = f"the system refused mporch what it needs: {error.strerror}"
        hint = "raise the limit of processes (ulimit -u), or of open files (ulimit -n)"
        return SystemRefusedError(message, hint=hint)


REFUSED = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""What the system says when it has no more of something to give."""


class InternalError(MporchError):
    """A bug of mporch: a state that its own tables rule out."""

    exit_code = ExitCode.BUG


class QueueError(MporchError):
    """What a queue handle raises in a target."""

    fault = Fault.TARGET


class EndOfStream(QueueError, Empty, QueueShutDown):  # noqa: N818 -- named as queue.Empty is
    """Raised by `get`: every writer has finished and the queue is empty; no item will ever come.

    Uncaught in a target, it ends the job as a success.
    """

    def __init__(self, message: str = "end of stream: no more items", *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


class ShutDown(QueueError, QueueShutDown):  # noqa: N818 -- named as queue.ShutDown is
    """Raised by `put`: every consumer of the queue is gone, so nobody would take the item.

    `readers_failed`: they had not returned. A job that lets it through then was stopped; that it
    has failed would blame it for what its reader did.
    """

    def __init__(
        self,
        message: str = "queue shut down: no consumer is left",
        *,
        hint: str = "",
        readers_failed: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.readers_failed = readers_failed


class WrongDirectionError(QueueError, TypeError):
    """A handle declared under `input` was written to, or one under `output` read from."""


class WouldWaitError(QueueError):
    """Something inside `orchestrator.transaction()` would have to wait, or to commit."""


class QueueFullError(QueueError, Full):
    """A queue had no room for what a job has to put, for longer than the spec allows."""

    @classmethod
    def found_by(cls, job: str, queues: str) -> QueueFullError:
        """The error of a job that found the queue, or one of several, full."""
        return cls(
            f"job {job!r} found the queue {queues} full",
            hint="see its when_full and put_timeout; raise maxsize, or workers of its readers",
        )


class ReplayError(QueueError):
    """A job was called again, and does not put the same items as before."""


class UnpicklableItemError(QueueError, TypeError):
    """Raised by `put`: the item cannot be pickled. The message names the job and the type."""


def caused_by(error: E, cause: BaseException | None) -> E:
    """Return the error with its cause; None hides what was handled when it was raised.

    For `raise … from …` in modules that are compiled: mypyc passes over the second half.
    """
    error.__cause__ = cause  # hides the context as well
    return error
