"""Reasons why a worker has ended, in words for its user."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator.core.protocol.commands import StopReason
from orchestrator.core.protocol.events import Orphaned
from orchestrator.core.protocol.messages import GAVE_UP, Failure
from orchestrator.core.protocol.notifications import Survivor
from orchestrator.errors import QueueFullError

__all__ = [
    "at_item",
    "called",
    "death",
    "failed",
    "full",
    "hung_in",
    "named",
    "names_of",
    "not_tried_again",
    "orphaned",
    "overdue",
    "signal_name",
    "stopped",
    "stopped_by_stranger",
]

# Linux' numbers: the core may not ask the system.
_SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    24: "SIGXCPU",
    25: "SIGXFSZ",
    31: "SIGSYS",
}


_STRANGER = ", a signal that mporch did not send"

_KILLERS = {
    1: _STRANGER,
    2: _STRANGER,
    3: _STRANGER,
    9: ", not by mporch (the system out of memory?)",
    15: _STRANGER,
    24: ": its processor time is used up (limits.cpu?)",
}


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15, `signal 40` for what has no well-known name."""
    return _SIGNALS.get(number, f"signal {number}")


def at_item(item: str, among: int) -> str:
    """Say at which item, if at any; of a batch of so many nobody can tell which it was."""
    if not item:
        return ""
    return f" at item {item}" if among < 2 else f" in a batch of {among} from item {item} on"


def overdue(item: str, among: int, limit_s: float | None) -> str:
    """Say that an item, or the call with a batch, has taken too long."""
    what = f"item {item}" if among < 2 else f"the batch of {among} from item {item} on"
    limit = "its limit" if limit_s is None else f"{limit_s:g} s"
    return f"{what} took longer than {limit} (timeouts.item)"


def death(exit_code: int | None, at: str, where: str = "") -> str:
    """Say how a process ended that had not said its last message, where, and `at` which item."""
    at = (f" in {where}" if where else "") + at
    if exit_code is None:
        return f"ended before its work was done{at}; its exit code is not known"
    if exit_code == GAVE_UP:
        return f"gave up before its work was done{at}; its last words say why"
    if exit_code >= 0:
        return f"exited with code {exit_code} before its work was done{at} (by os._exit?)"
    by_whom = _KILLERS.get(-exit_code, "")
    return f"killed by {signal_name(-exit_code)}{at}{by_whom}"


def orphaned(lost: Orphaned, failure: Failure | None) -> str:
    """Say how a worker ended that did nothing wrong; `failure` is why what it depends on has."""
    if lost is not Orphaned.FORKSERVER:
        return f"was lost with {lost.value}" + (f": {failure.message}" if failure else "")
    with_whom = f"died with {lost.value}, which"
    if failure is None:
        return f"{with_whom} was killed from outside"
    return f"{with_whom} could make no other process: {failure.message}"


def stopped_by_stranger(number: int, at: str) -> str:
    """Say that a stop signal came from elsewhere, and `at` which item it ended the target."""
    return f"stopped by {signal_name(number)}{at}{_STRANGER}"


_MOST_LISTED = 10


def names_of(processes: Sequence[Survivor]) -> str:
    """Name processes, of many the first ten: `sudo (pid 4711, of root)`."""
    found = [
        f"{each.command} (pid {each.pid}{f', of {each.user}' if each.user else ''})"
        for each in processes[:_MOST_LISTED]
    ]
    if more := len(processes) - len(found):
        found.append(f"and {more} more")
    return ", ".join(found)


def failed(failure: Failure, item: str = "") -> str:
    """Say what the target raised, where, and for which item."""
    text = f"{failure.kind}: {failure.message}" if failure.message else failure.kind
    place = f" ({failure.where})" if failure.where else ""
    return named(f"{text}{place}" + (f" at item {item}" if item else ""), item, failure.item_name)


def called(item: str, name: str) -> str:
    """Return an item's number with its name beside it, if it has one: `files:7 ('a.txt')`."""
    return f"{item} ({name})" if name else item


def named(text: str, item: str, name: str) -> str:
    """Return a text that tells an item by its number, with its name beside that, if it has one."""
    return text.replace(f"item {item}", f"item {called(item, name)}", 1) if item else text


def full(job: str, queue: str) -> Failure:
    """Say that a queue had no room in time for what a job gives, as its worker would say it."""
    error = QueueFullError.found_by(job, queue)
    message = f"{error} (hint: {error.hint})"
    return Failure(kind="orchestrator.QueueFullError", message=message)


def not_tried_again(failure: Failure, *, together: bool = False) -> Failure:
    """Add why an item is not tried again (rule 3); `together`: so are all items of its batch."""
    whose = "its batch" if together else "it"
    why = f"not tried again: a part of what {whose} gives is on its queues already"
    message = f"{failure.message} ({why})" if failure.message else why
    return msgspec.structs.replace(failure, message=message)


def hung_in(stop: Failure, death: str) -> str:
    """Say where the target was when its item had taken too long, as a traceback does."""
    return f"Traceback (most recent call last):\n{stop.traceback}{death}\n"


def stopped(reason: StopReason) -> str:
    """Say why a worker was stopped that did nothing wrong."""
    return f"stopped: {reason.value}"
