"""The guard: the outer of mporch's two processes, which sees to it that nothing is left behind.

The guard forks the orchestrator, forwards signals to it and waits. Each is a subreaper and each
learns of the other's death, the guard as its parent, the orchestrator by a parent death signal; the
one that is left kills all descendants, daemons included. With both killed at once the workers still
die, each of its own parent death signal; only what they themselves had started stays, and the
directory.

An orchestrator that does not carry out an order to kill is killed by the guard: no run outlives it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from orchestrator.core.reasons import names_of
from orchestrator.errors import (
    FILE_SIZE_HINT,
    ExitCode,
    RunDirectoryError,
    SystemRefusedError,
)
from orchestrator.escaping import escaped
from orchestrator.kernel.calls import set_parent_death_signal
from orchestrator.kernel.descendants import (
    Kin,
    KnownSurvivors,
    become_subreaper,
    survivors,
    sweep,
)
from orchestrator.kernel.limits import REFUSALS, in_words

__all__ = [
    "KILL_WITHIN_S",
    "ONE_REQUEST_S",
    "Escalation",
    "Shelter",
    "on_guard_death",
    "run_guarded",
    "take_shelter",
]

_GUARD_DIED = signal.SIGRTMIN + 8
"""Nobody else's: the first real-time signals are the C library's, SIGUSR1 and 2 are the user's."""

_FORWARDED = frozenset(
    {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGTSTP,
        signal.SIGCONT,
        signal.SIGWINCH,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a run to end, in the order in which the exit code names it."""

_SWEEP_S = 5.0
"""Far more than a sweep takes: processes in uninterruptible sleep are all that uses it up."""

_LONGEST_DIRECTORY = 80
"""Bytes: a socket's path has at most 107 of them, and its name needs its share."""

KILL_WITHIN_S = 10.0
"""What a kill takes an orchestrator at worst: 5 s for workers that hang in the kernel, 2 s for a
sweep, then the helpers' end and the report. One that is well and has no such workers needs far
less."""

ONE_REQUEST_S = 2.0
"""Who asks a program to end may do so twice at once: timeout(1) signals it and its group, and at
the end of a session SIGHUP comes from the kernel and from the shell."""

_KILLING_INTERRUPTS = 3


@dataclass(frozen=True, kw_only=True)
class Shelter:
    """What the orchestrator is protected by.

    `directory` is for sockets and removed whatever happens. `layers` names what is active, for the
    log: guard, subreaper, pdeathsig, pidfd. Survivors that are `told` are not told by the guard.
    """

    directory: str
    layers: tuple[str, ...]
    told: KnownSurvivors = field(default_factory=KnownSurvivors)


def run_guarded(
    inner: Callable[[Shelter], int],
    *,
    host: int | None = None,
    who: str = "the orchestrator",
    below: str | None = None,
) -> int:
    """Called in the guard: run `inner` in a child of its own and return its exit code.

    The child is in a process group of its own, so that a terminal's Ctrl-C reaches the guard
    alone, which forwards it: once. A Ctrl-Z stops guard and orchestrator; workers finish what they
    hold and wait. `inner` may read stdin unless it is a terminal (EIO: it is in the background);
    what a user is to type must be read before.

    `host` is the pid of a program that hands on each SIGINT it gets. One that comes from there and
    one that comes from elsewhere, a terminal that tells both of them, are one request. `who` is the
    child, in what is told. The directory is made `below` another, if that is given.

    A signal that asks the run to end also continues a child that was stopped. A child that has not
    ended some time after the order to kill (`Escalation`) is killed like all the others, which
    gives 128 + the number of the signal that had asked. A child that a signal ended gives 128 + its
    number. One line on stderr tells of either end, unless that signal was forwarded. Returns with
    every descendant gone and the directory removed, but for processes that may not be killed: those
    of which the orchestrator has not told are told, and then the code is not 0. What would be
    forwarded stays blocked, for there is nothing left to end but the interpreter, and how the run
    went stays the same. Raises RunDirectoryError if no directory for temporary files can be made,
    SystemRefusedError if the child cannot.
    """
    _occupy_standard_descriptors()
    directory = _make_directory(below)
    become_subreaper()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide how a child ended
    # What is ignored, by nohup for one, stays so.
    forwarded = {s for s in _FORWARDED if signal.getsignal(s) != signal.SIG_IGN}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*forwarded, signal.SIGCHLD})
    guard, told = os.getpid(), KnownSurvivors()
    try:
        _flush()
        child = _fork()
        if child == 0:
            _be_inner(inner, guard, directory, mask, told)
        status, sent = _attend(child, forwarded, host)
    finally:
        swept = sweep(within_s=_SWEEP_S, spare=told.pids())
        shutil.rmtree(directory, ignore_errors=True)
    if status is None:
        what = f"{who} did not carry out the order to kill, and was killed itself"
        _tell(what, [pid for pid in swept.killed if pid != child], swept.survived)
        return 128 + next(signum for signum in _ENDING if signum in sent)
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        if not swept.survived:
            return code
        _say(f"could not be killed, and outlive the run: {names_of(survivors(swept.survived))}")
        return code if code not in (ExitCode.OK, ExitCode.DEAD_LETTERS) else ExitCode.FAILED
    ended_by = os.WTERMSIG(status)
    if ended_by not in sent:
        why = " (out of memory?)" if ended_by == signal.SIGKILL else ""
        what = f"{who} was ended by {signal.Signals(ended_by).name}{why}"
        _tell(what, swept.killed, swept.survived)
    return 128 + ended_by


def take_shelter(
    parent_pid: int, directory: str, *, guarded: bool, told: KnownSurvivors | None = None
) -> Shelter:
    """Called in the orchestrator, first of all: leave nothing behind when `parent_pid` dies.

    `guarded` says that this parent is a guard, not a program that uses mporch as a library; it
    reads what is `told`.
    """
    os.setpgid(0, 0)
    # In the background of a terminal writing must not stop us, and reading must fail, not stop us.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    layers = ["guard"] if guarded else []
    if become_subreaper():
        layers.append("subreaper")
    shelter = Shelter(directory=directory, layers=tuple(layers))
    on_guard_death(shelter, lambda: None)
    if set_parent_death_signal(_GUARD_DIED):
        layers.append("pdeathsig")
    if os.getppid() != parent_pid:
        signal.raise_signal(_GUARD_DIED)
    if hasattr(os, "pidfd_open"):
        layers.append("pidfd")
    return Shelter(directory=directory, layers=tuple(layers), told=told or KnownSurvivors())


def on_guard_death(shelter: Shelter, last_words: Callable[[], None]) -> None:
    """Called in the orchestrator: have `last_words` run before it ends because its guard died.

    It runs between any two steps of the main thread: it may write to a descriptor, but use no
    buffered file and no lock. Every descendant is killed after it, whatever it raises.
    """

    def end(_signum: int, _frame: FrameType | None) -> NoReturn:
        try:
            last_words()
        finally:
            try:
                swept = sweep(within_s=_SWEEP_S)
                shutil.rmtree(shelter.directory, ignore_errors=True)
                if swept.survived:
                    who = names_of(survivors(swept.survived))
                    what = f"mporch: the guard was killed; these could not be killed: {who}"
                    os.write(2, f"{escaped(what)}\n".encode())
            finally:
                os._exit(128 + signal.SIGKILL)

    signal.signal(_GUARD_DIED, end)


class Escalation:
    """Escalation from an orchestrator's stop to its kill. Pure: time is passed in.

    Counts the requests to end as the orchestrator does, and knows when they were the last.
    """

    def __init__(self) -> None:
        self._interrupts = {True: 0, False: 0}
        self._terminated_at: float | None = None
        self._kill_at: float | None = None

    def hear(self, signum: int, now: float, *, by_host: bool = False) -> bool:
        """Take a signal that came at the monotonic time `now`; whether it is to be forwarded.

        A SIGTERM or SIGHUP that only repeats one is not, nor a SIGINT that comes from the host as
        well as from elsewhere. A third SIGINT, or another SIGTERM or
        SIGHUP, is an order to kill all; who asks for more after that is done with waiting.
        """
        killing = self._kill_at is not None
        if signum == signal.SIGINT:
            before_it = max(self._interrupts.values())
            self._interrupts[by_host] += 1
            interrupts = max(self._interrupts.values())
            if interrupts == before_it:
                return False
            killing |= interrupts >= _KILLING_INTERRUPTS
        elif signum in (signal.SIGTERM, signal.SIGHUP):
            before = self._terminated_at
            if before is not None and now - before < ONE_REQUEST_S:
                return False
            self._terminated_at = now
            killing |= before is not None
        else:
            return True
        if self._kill_at is None:
            self._kill_at = now + KILL_WITHIN_S if killing else None
        elif now >= self._kill_at - KILL_WITHIN_S + ONE_REQUEST_S:
            self._kill_at = now
        return True

    def left_s(self, now: float) -> float | None:
        """Seconds that the orchestrator may still take; None: as long as it likes."""
        return None if self._kill_at is None else max(0.0, self._kill_at - now)


def _fork() -> int:
    try:
        return os.fork()
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        reason = f"the orchestrator cannot be started: {in_words(error.errno)}"
        raise SystemRefusedError(reason, hint="end some programs, or raise the limit") from error


def _be_inner(
    inner: Callable[[Shelter], int],
    guard: int,
    directory: str,
    mask: Collection[int],
    told: KnownSurvivors,
) -> NoReturn:
    """Called in the child. Run `inner`, end with its exit code, never return to the caller."""
    code: object = ExitCode.BUG
    try:
        shelter = take_shelter(guard, directory, guarded=True, told=told)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = inner(shelter)
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        code = ExitCode.INT
    except BaseException:  # noqa: BLE001 -- reported, and nobody above may run twice
        sys.excepthook(*sys.exc_info())
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # the guard may be killed before it can
        status = _exit_status(code)
        _flush()
        os._exit(status)


def _exit_status(code: object) -> int:
    """Return what `sys.exit(code)` would end the process with."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _attend(
    child: int, forwarded: Collection[int], host: int | None
) -> tuple[int | None, set[int]]:
    """Forward signals until the child has ended; return its wait status and what was forwarded.

    The status is None if it has not ended when it should have.
    """
    patience, sent = Escalation(), set[int]()
    while (came := _wait({*forwarded, signal.SIGCHLD}, patience)) is not None:
        signum = came.si_signo
        if signum != signal.SIGCHLD:
            if patience.hear(signum, time.monotonic(), by_host=came.si_pid == host):
                sent.add(signum)
                os.kill(child, signum)  # not reaped yet, so the number is its own
            if signum in _ENDING:
                os.kill(child, signal.SIGCONT)  # stopped, it could not obey
            continue
        while (change := os.waitpid(child, os.WNOHANG | os.WUNTRACED))[0]:
            if not os.WIFSTOPPED(change[1]):
                return change[1], sent
            if signal.SIGTSTP in sent:
                sent.discard(signal.SIGTSTP)
                _stop_likewise()
                os.kill(child, signal.SIGCONT)
    return None, sent


def _wait(signals: Collection[int], patience: Escalation) -> signal.struct_siginfo | None:
    """Return the next of these signals; None if there is none before the patience is over."""
    left_s = patience.left_s(time.monotonic())
    return signal.sigwaitinfo(signals) if left_s is None else signal.sigtimedwait(signals, left_s)


def _stop_likewise() -> None:
    """Stop this process as Ctrl-Z would have; return when it is continued.

    Without a shell to continue it (an orphaned process group) the kernel does not stop it.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.raise_signal(signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})


def _tell(what: str, killed: Sequence[int], survived: Sequence[Kin]) -> None:
    many, were = ("", "was") if len(killed) == 1 else ("es", "were")
    then = f"{len(killed)} process{many} that it had left {were} killed"
    if survived:
        then += f"; these could not be killed: {names_of(survivors(survived))}"
    _say(f"{what}; {then}")


def _say(what: str) -> None:
    with contextlib.suppress(OSError):
        # On a terminal the cursor may stand where a live display has ended.
        begin = "\n" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{begin}mporch: {escaped(what)}\n")
        sys.stderr.flush()


def _occupy_standard_descriptors() -> None:
    """Open /dev/null on 0, 1 and 2 where they are closed, else sockets of ours would lie there."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _make_directory(below: str | None) -> str:
    for parent in (below, "/tmp"):  # noqa: S108 -- mkdtemp makes it ours alone
        try:
            directory = tempfile.mkdtemp(prefix="mporch-", dir=parent)
        except OSError as error:
            reason = "no temporary directory can be made"
            if not resource.getrlimit(resource.RLIMIT_FSIZE)[0]:  # each was tried with a file
                what = "no file may have a byte (ulimit -f is 0)"
                raise RunDirectoryError(f"{reason}: {what}", hint=FILE_SIZE_HINT) from error
            where = f": {error.filename}" if error.filename is not None else ""
            hint = "let TMPDIR name a directory that can be written"
            raise RunDirectoryError(f"{reason}: {error.strerror}{where}", hint=hint) from error
        if len(os.fsencode(directory)) <= _LONGEST_DIRECTORY:
            return directory
        os.rmdir(directory)  # noqa: PTH106 -- as the lines around it
    raise AssertionError("the path of /tmp is short")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
