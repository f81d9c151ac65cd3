"""Finds, kills and reaps what descends from this process. Linux.

`/proc/<pid>/task/*/children` decides about nobody's life: the kernel may leave children out of it
while others exit. A process is signalled through a pidfd that was compared with its start time,
never by its number alone: a number may have passed to a stranger in the meantime.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pwd
import select
import signal
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.protocol.notifications import Survivor
from orchestrator.kernel.calls import become_subreaper

__all__ = [
    "Kin",
    "KnownSurvivors",
    "Swept",
    "become_subreaper",
    "children",
    "descendants",
    "group_members",
    "kill_groups",
    "kill_kin",
    "look_up",
    "reap_strangers",
    "survivors",
    "sweep",
]

_BATCH = 256
"""How many pidfds a sweep holds at a time, so that it works near the descriptor limit."""

_LOOKS = 5
"""How often it is looked again for who was forked, or passed to another parent, meanwhile."""

_QUIET_LOOKS = 3
"""After so many looks at the list of children that show nobody new, all of /proc is read again."""

_MOST_TOLD = 100
"""How many survivors are named."""

_LEAVE_S = 0.5
"""So long a process that may not be signalled has to end by itself, as what it was tied to died."""


@dataclass(frozen=True, kw_only=True)
class Kin:
    """A process as /proc shows it.

    `started` is in clock ticks since boot; it tells two from each other that had the same number.
    `name` is what ps(1) calls it.
    """

    pid: int
    name: str
    parent: int
    group: int
    started: int
    zombie: bool


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep did: the pids it killed, and the processes that would not die in time.

    A survivor belongs to another user (a setuid program), is in uninterruptible sleep, or forks
    faster than it can be killed.
    """

    killed: tuple[int, ...] = ()
    survived: tuple[Kin, ...] = ()


def look_up(pid: int) -> Kin | None:
    """Return what /proc says of `pid`; None if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may itself hold spaces and parentheses.
    begin, end = stat.index(b"(") + 1, stat.rindex(b")")
    fields = stat[end + 2 :].split()
    return Kin(
        pid=pid,
        name=stat[begin:end].decode(errors="backslashreplace"),
        # A main thread that has ended shows as Z while other threads of the process still run.
        zombie=fields[0] in (b"Z", b"X") and int(fields[17]) <= 1,
        parent=int(fields[1]),
        group=int(fields[2]),
        started=int(fields[19]),
    )


def children(pid: int) -> tuple[Kin, ...]:
    """Return the children of `pid`, zombies included."""
    return tuple(kin for kin in _everyone() if kin.parent == pid)


def descendants(pid: int) -> tuple[Kin, ...]:
    """Return all that descends from `pid`, zombies included, parents before their children."""
    by_parent: dict[int, list[Kin]] = defaultdict(list)
    for kin in _everyone():
        by_parent[kin.parent].append(kin)
    found: list[Kin] = []
    generation = by_parent[pid]
    while generation:
        found += generation
        generation = [child for kin in generation for child in by_parent.get(kin.pid, ())]
    return tuple(found)


def group_members(groups: Container[int]) -> tuple[Kin, ...]:
    """Return the living descendants of this process that are in one of the process `groups`.

    /proc, which costs 10 µs a process, is read only of those whose group, a system call, matches.
    """
    me = os.getpid()
    kin = (look_up(pid) for pid in _pids() if _group_of(pid) in groups)
    return tuple(
        k
        for k in kin
        if k is not None and k.group in groups and not k.zombie and _descends_from(me, k)
    )


def kill_groups(groups: Iterable[int]) -> tuple[Kin, ...]:
    """Kill what leaders that are dead and reaped have left in their process groups.

    All groups are searched for at once, and only if somebody is in one of them, which the kernel
    says at once. Whoever is in a group keeps its number from passing to another; an empty group's
    may have passed, so it is only used for those of its members that descend from this process.
    Returns those that may not be killed.
    """
    wanted = {group for group in groups if _has_members(group)}
    # A process with that number is a leader of its own, and the group is that one's.
    wanted -= {group for group in wanted if (kin := look_up(group)) is not None and not kin.zombie}
    tried: set[tuple[int, int]] = set()
    immune: set[int] = set()
    spared: list[Kin] = []
    for _ in range(_LOOKS if wanted else 0):
        members = [k for k in group_members(wanted) if (k.pid, k.started) not in tried]
        if not members:
            break
        for _, pidfd in _kill_all(members, immune):
            os.close(pidfd)
        tried.update((k.pid, k.started) for k in members)
        spared += [k for k in members if k.pid in immune]
    return tuple(spared)


def kill_kin(kin: Kin, signum: int = signal.SIGKILL) -> int | None:
    """Signal exactly that process; return a pidfd to wait on, which the caller closes.

    None if it has ended. Raises PermissionError if it is not ours to kill.
    """
    try:
        pidfd = os.pidfd_open(kin.pid)
    except ProcessLookupError:
        return None
    try:
        now = look_up(kin.pid)
        if now is None or now.started != kin.started:
            os.close(pidfd)
            return None
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        os.close(pidfd)
        return None
    except BaseException:
        os.close(pidfd)
        raise
    return pidfd


def sweep(*, within_s: float, spare: Container[int] = ()) -> Swept:
    """Kill every descendant of this process but `spare`, and reap until none is left.

    A subreaper thereby gets hold of daemons as well: they become its children as their parents die.
    All are stopped (SIGSTOP) before the first is killed, so that nobody starts another meanwhile.
    Blocks until nothing is left, for at most `within_s` seconds; but however long it takes to find
    them (a machine full of processes), what is found first is killed. Safe in a signal handler of
    the main thread.
    """
    begun = time.monotonic()
    end = begun + within_s
    hunt = _Hunt(spare, until=begun + within_s / 2)
    killed: dict[int, None] = {}
    tried, after_end = False, 0
    hunt.freeze_children()
    while True:
        living, dead = hunt.look()
        targets = [k for k in living if k.pid not in hunt.immune]
        after_end += tried and time.monotonic() >= end
        if not (living or dead) or (after_end and living):
            return Swept(killed=tuple(killed), survived=tuple(living))
        if after_end > 1:  # each that is found is dead by then, and has started another
            return Swept(killed=tuple(killed), survived=tuple(dead))
        tried = True
        if targets:
            hunt.freeze(targets)
            killed.update(dict.fromkeys(hunt.kill(targets, end)))
        elif living and not dead and not _end_by_themselves(living, end):
            return Swept(killed=tuple(killed), survived=tuple(living))


class _Hunt:
    """Finds, stops, kills and reaps the descendants of this process, but for those in `spare`.

    `immune` are the pids of those that may not be signalled. Nobody is stopped any more once it is
    `until`.
    """

    def __init__(self, spare: Container[int], *, until: float) -> None:
        self.immune: set[int] = set()
        self._spare = spare
        self._until = until
        self._frozen: set[int] = set()
        self._me = os.getpid()

    def look(self) -> tuple[list[Kin], list[Kin]]:
        """Reap; return who lives, parents before their children, and who was reaped."""
        kin = [k for k in descendants(self._me) if k.pid not in self._spare]
        reaped = set(self._reap(k.pid for k in kin if k.zombie and k.parent == self._me))
        return [k for k in kin if not k.zombie], [k for k in kin if k.pid in reaped]

    def freeze(self, found: Iterable[Kin]) -> None:
        """Stop those `found`, and look again until nobody new is found.

        A process that has been sent SIGSTOP forks no more: the kernel restarts a fork that a signal
        has interrupted, and stops it first.
        """
        new = list(found)
        while new:
            for kin in new:
                self._stop(kin)
            self.freeze_children()
            if time.monotonic() >= self._until:
                return
            new = [k for k in self.look()[0] if not self._is_known(k.pid)]

    def kill(self, targets: Sequence[Kin], end: float) -> list[int]:
        """Kill a batch of them, and wait for their deaths until `end`; return the pids.

        Children before their parents: a parent's death would continue what is stopped in a process
        group that it leaves an orphan.
        """
        pidfds = dict(_kill_all(targets[: -_BATCH - 1 : -1], self.immune))
        try:
            _wait_all(pidfds.values(), end)
        finally:
            for pidfd in pidfds.values():
                os.close(pidfd)
        return list(pidfds)

    def freeze_children(self) -> None:
        """Stop whoever flees: it forks, and has become a child of ours as its parent has exited.

        To read the list of children takes microseconds, all of /proc milliseconds, in which such a
        process is gone. The number of a child that is not reaped is its own, so it may be signalled
        by that.
        """
        quiet = 0
        while quiet < _QUIET_LOOKS and time.monotonic() < self._until:
            new = [pid for pid in _listed_children() if not self._is_known(pid)]
            for pid in reversed(new):  # the youngest is the likeliest to live
                self._frozen.add(pid)
                try:
                    os.kill(pid, signal.SIGSTOP)
                except PermissionError:
                    self.immune.add(pid)
            self._reap(new)
            quiet = 0 if new else quiet + 1

    def _stop(self, kin: Kin) -> None:
        self._frozen.add(kin.pid)
        try:
            pidfd = kill_kin(kin, signal.SIGSTOP)
        except PermissionError:
            self.immune.add(kin.pid)
        else:
            if pidfd is not None:
                os.close(pidfd)

    def _is_known(self, pid: int) -> bool:
        return pid in self._frozen or pid in self.immune or pid in self._spare

    def _reap(self, pids: Iterable[int]) -> tuple[int, ...]:
        """Reap; a number that is free again may be another's next."""
        reaped = _reap(pids)
        self._frozen.difference_update(reaped)
        self.immune.difference_update(reaped)
        return reaped


def reap_strangers(known: Container[int]) -> tuple[int, ...]:
    """Reap the zombies this process has adopted, by explicit pid; return their pids.

    `known` holds everybody whose exit code somebody else collects: the workers made by fork and
    spawn, the forkserver, the resource tracker.
    """
    reaped: list[int] = []
    while (pid := _first_zombie()) is not None:
        if pid in known:
            # It hides whoever comes after it. One that the list leaves out is reaped another time.
            return (*reaped, *_reap(pid for pid in _listed_children() if pid not in known))
        reaped += _reap([pid])
    return tuple(reaped)


class KnownSurvivors:
    """The processes of which the orchestrator has told that they could not be killed.

    A page that is shared with the guard, which tells of all others.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def add(self, found: Iterable[Kin]) -> None:
        """Called in the orchestrator."""
        for kin in found:
            words = b"%d %d\n" % (kin.pid, kin.started)
            if self._page.tell() + len(words) <= len(self._page):
                self._page.write(words)

    def pids(self) -> frozenset[int]:
        """Called in the guard: those of them that are still there."""
        found = set()
        for line in self._page[:].rstrip(b"\0").splitlines():
            pid, started = map(int, line.split())
            kin = look_up(pid)
            if kin is not None and kin.started == started:
                found.add(pid)
        return frozenset(found)


def survivors(found: Iterable[Kin]) -> tuple[Survivor, ...]:
    """Return the processes as facts have them, of very many (they flee by forking) the first."""
    return tuple(
        Survivor(pid=kin.pid, command=kin.name, user=_user_of(kin.pid))
        for kin in sorted(found, key=lambda kin: kin.pid)[:_MOST_TOLD]
    )


def _user_of(pid: int) -> str:
    """Return whose process it is, by name if the system has one; empty if it is gone."""
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _everyone() -> Iterator[Kin]:
    for pid in _pids():
        if (kin := look_up(pid)) is not None:
            yield kin


def _pids() -> Iterator[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208 -- names are wanted, thousands of them
    except FileNotFoundError:
        return iter(())
    return (int(name) for name in names if name.isdigit())


def _group_of(pid: int) -> int:
    """Return the process group of `pid`; 0, which is nobody's, if that cannot be known."""
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return 0


def _has_members(group: int) -> bool:
    """Return whether anybody is in a process group, zombies included."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _descends_from(ancestor: int, kin: Kin) -> bool:
    for _ in range(_LOOKS):
        above: Kin | None = kin
        while above is not None and above.parent:
            if above.parent == ancestor:
                return True
            above = look_up(above.parent)
        again = look_up(kin.pid)
        if above is not None or again is None:
            return False
        kin = again  # a parent died on the way up, and its children have another one now
    return False


def _listed_children() -> tuple[int, ...]:
    """Return the children of this process that the kernel lists; none if it keeps no list."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            found += map(int, (thread / "children").read_bytes().split())
    return tuple(found)


def _kill_all(targets: Iterable[Kin], immune: set[int]) -> Iterator[tuple[int, int]]:
    """Kill each; yield (pid, pidfd to wait on); note in `immune` those that may not be killed."""
    for kin in targets:
        try:
            pidfd = kill_kin(kin)
        except PermissionError:
            immune.add(kin.pid)
        else:
            if pidfd is not None:
                yield kin.pid, pidfd


def _wait_all(pidfds: Iterable[int], end: float) -> None:
    """Wait until each pidfd has fired, or the monotonic time `end` has come."""
    poll = select.poll()
    waiting = set(pidfds)
    for pidfd in waiting:
        poll.register(pidfd, select.POLLIN)
    while waiting:
        left_s = end - time.monotonic()
        fired = poll.poll(max(0.0, left_s) * 1000)
        if not fired:
            return
        for pidfd, _ in fired:
            poll.unregister(pidfd)
            waiting.discard(pidfd)


def _end_by_themselves(kin: Iterable[Kin], end: float) -> bool:
    """Wait a moment for those that may not be signalled; return whether one of them has ended."""
    pidfds: list[int] = []
    try:
        for each in kin:
            with contextlib.suppress(OSError):
                pidfds.append(os.pidfd_open(each.pid))
        poll = select.poll()
        for pidfd in pidfds:
            poll.register(pidfd, select.POLLIN)
        left_s = min(_LEAVE_S, end - time.monotonic())
        return bool(poll.poll(max(0.0, left_s) * 1000))
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def _first_zombie() -> int | None:
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid


def _reap(pids: Iterable[int]) -> tuple[int, ...]:
    """Reap each that is a zombie of this process; return those that were."""
    reaped = []
    for pid in pids:
        try:
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            continue  # somebody else was quicker
        if found is not None:
            reaped.append(pid)
    return tuple(reaped)
