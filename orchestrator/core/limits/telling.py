"""A bottleneck in words: its job, the evidence, and what to try; escaping is for who shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.choices import Shape
from orchestrator.core.limits.bottleneck import Bottleneck, Why
from orchestrator.core.limits.long_items import LongItem
from orchestrator.core.limits.stretch import JobTimes, Stretch
from orchestrator.core.limits.wires import Wires
from orchestrator.core.samples import Header, JobWiring

__all__ = ["Found", "told"]

_TOLD = 0.2
"""What filled, starved or blocked for less of the time is no evidence."""
_MOST_TIMES = 4
_TINY_S = 50e-6
_ONCE = {Shape.TASK.value, Shape.SOURCE.value}


@dataclass(frozen=True, kw_only=True)
class Found:
    """A job that was held least in a stretch, and for which part (`share`) of the whole run.

    `whole`: the stretch is hardly shorter than the run. `idle`: for what part of its time it used a
    processor, if it hardly did; None else.
    """

    stretch: Stretch
    job: int
    why: Why
    whole: bool
    share: float = 0.0
    straggler: LongItem | None = None
    idle: float | None = None


def told(header: Header, wires: Wires, found: Found) -> Bottleneck:
    """Return a bottleneck with its words."""
    words = _Words(header, wires, found)
    return Bottleneck(
        job=words.name,
        why=found.why.value,
        share=round(found.share, 3),
        from_s=round(found.stretch.from_s, 3),
        to_s=round(found.stretch.to_s, 3),
        text=words.sentence(),
    )


class _Words:
    """The words about one job in one stretch."""

    def __init__(self, header: Header, wires: Wires, found: Found) -> None:
        self._header = header
        self._wires = wires
        self._found = found
        self._stretch = found.stretch
        self._job: JobWiring = header.jobs[found.job]
        self._times = found.stretch.times(found.job)
        self.name = self._job.name

    def sentence(self) -> str:
        """Return all of it: `parse` limited the run for 92 %: why, and what to try."""
        from_s, to_s = self._stretch.from_s, self._stretch.to_s
        when = "" if self._found.whole else f", from {_seconds(from_s)} to {_seconds(to_s)}"
        limited = f"`{self.name}` limited the run for {_percent(self._found.share)}{when}"
        return f"{limited}: {', '.join(self._evidence())}. {self._advice()}"

    # -- evidence ---------------------------------------------------------------------------------

    def _evidence(self) -> Iterable[str]:
        yield self._reason()
        if queue := self._fullest():
            yield queue
        if self._found.why is not Why.BYTES and (neighbour := self._neighbour()):
            yield neighbour

    def _reason(self) -> str:
        times, workers = self._times, self._workers()
        match self._found.why:
            case Why.RATE:
                rate = f" of {self._job.rate}" if self._job.rate else ""
                return (
                    f"its rate{rate} held it for {_percent(times.part(times.held_s))} of the time"
                )
            case Why.STARTING:
                again = self._restarts()
                part = _percent(times.part(times.starting_s))
                return f"{workers} started for {part} of the time{again}"
            case Why.STRAGGLER:
                return self._straggler()
            case Why.BYTES:
                blocked = _percent(times.part(times.blocked_s))
                return f"{workers} waited {blocked} of the time for room, and its readers for items"
            case Why.DISK:
                return f"the disk was full for {_seconds(self._stretch.disk_full_s)}"
            case Why.BATCHES:
                size = f" of {self._job.batch}" if self._job.batch else ""
                waited = _percent(times.part(times.within_s))
                return f"its batches{size} waited for more for {waited} of the time"
            case _:
                return f"{workers} ran {_percent(times.part(times.running_s))} of the time"

    def _straggler(self) -> str:
        long = self._found.straggler
        if long is None:
            if self._retries():
                return "it waited for items that it tries again"
            return f"one of {self._workers()} was left at work, and the others had nothing to do"
        name = f" ({long.name})" if long.name else ""
        return f"its item `{long.item}`{name} took {_seconds(long.seconds)}"

    def _retries(self) -> bool:
        a, b = self._stretch.job(self._found.job)
        return self._found.straggler is None and b.retried > a.retried

    def _restarts(self) -> str:
        a, b = self._stretch.job(self._found.job)
        n = b.restarts - a.restarts
        return f", with {n} restart{'s' if n > 1 else ''}" if n > 0 else ""

    def _workers(self) -> str:
        n = self._job.workers
        return "its worker" if n == 1 else f"its {n} workers"

    def _fullest(self) -> str:
        """Return how full the fullest of the queues was that wait for the job."""
        by_bytes = self._found.why is Why.BYTES
        wires = self._wires
        queues = (wires.writes if by_bytes else wires.reads)[self._found.job]
        full = {n: self._stretch.full(n) for n in queues}
        queue = max(full, key=full.__getitem__, default=None)
        if queue is None or full[queue] < _TOLD:
            return ""
        how = " by its bytes" if self._stretch.full_by_bytes(queue) > full[queue] / 2 else ""
        return f"`{self._header.queues[queue].name}` was {_percent(full[queue])} full{how}"

    def _neighbour(self) -> str:
        """Return who waited most for the job."""
        job, wires = self._found.job, self._wires
        waits = []
        for n in wires.next_readers(job):
            times = self._stretch.times(n)
            waits.append((times.part(times.starved_s), "starved", n))
        if not waits or max(waits)[0] < _TOLD:
            for n in wires.next_writers(job):
                times = self._stretch.times(n)
                waits.append((times.part(times.blocked_s), "was blocked", n))
        part, how, n = max(waits, default=(0.0, "", 0))
        return f"`{self._header.jobs[n].name}` {how} {_percent(part)}" if part >= _TOLD else ""

    # -- what to try ------------------------------------------------------------------------------

    def _advice(self) -> str:
        """Return what to try; if the processors were spent, that stands first, or alone."""
        spent = self._spent() if self._stretch.spent else ""
        match self._found.why:
            case Why.RATE:
                what = "workers do not help, try a higher rate, if whoever is asked bears it"
            case Why.STARTING:
                what = "`python -X importtime` tells which import takes so long"
            case Why.STRAGGLER if self._retries():
                what = "try a shorter backoff of its retries, or skip what fails"
            case Why.STRAGGLER:
                what = "workers do not help, try smaller items, long ones first, or timeouts.item"
            case Why.BYTES:
                what = self._more_bytes()
            case Why.DISK:
                what = "make room on it"
            case Why.BATCHES:
                what = "try a smaller size of its batches, or a shorter within"
            case Why.PROCESSORS if self._found.idle is not None and not self._stretch.throttled:
                return self._idle_beside_others(spent)
            case _ if spent:
                what = "more workers do not help, make the targets cheaper"
            case _:
                return self._busy()
        return _told(spent, what)

    def _idle_beside_others(self, spent: str) -> str:
        """Return what to try where others use the processors, and the job hardly does."""
        idle = _percent(self._found.idle or 0.0)
        its = "its worker" if self._job.workers == 1 else "its workers"
        before = f"{spent}, but {its} used them for {idle} of the time"
        workers = self._could_use()
        shape = self._job.shape
        if shape in _ONCE or workers <= self._job.workers:
            return _told(before, "see what else runs, and what it waits for")
        return _told(before, f"see what else runs; if they only wait, try workers: {workers}")

    def _spent(self) -> str:
        stretch = self._stretch
        if stretch.throttled:
            quota = self._header.quota
            much = f" of {quota:g} processors" if quota else ""
            return f"The quota{much} of the control group was spent"
        n, busy = stretch.machine_processors, _percent(stretch.busy or 0.0)
        return f"The processors were spent ({n}, {busy} busy)"

    def _more_bytes(self) -> str:
        for queue in self._wires.writes[self._found.job]:
            wiring = self._header.queues[queue]
            if self._stretch.full_by_bytes(queue) >= _TOLD and wiring.max_bytes:
                return f"try max_bytes: {2 * wiring.max_bytes} for `{wiring.name}`"
        return "try a larger max_bytes"

    def _busy(self) -> str:
        if tiny := self._tiny():
            return _told(tiny, "try larger items, or call: batch")
        in_use = self._in_use()
        shape = self._job.shape or (Shape.ITEM.value if self._job.reads else Shape.SOURCE.value)
        workers = self._worth_trying()
        if shape in _ONCE:
            what = "more workers would each do all of it: make it faster, or share out its work"
        elif workers <= self._job.workers:
            what = "more workers would hardly help: make it faster"
        elif shape in (Shape.STREAM.value, Shape.HANDLES.value):
            what = f"try workers: {workers} (its target is called once in each)"
        elif self._job.writes and self._job.workers == 1 and not self._job.ordered:
            what = f"try workers: {workers} (with ordered: true, if the order counts)"
        else:
            what = f"try workers: {workers}"
        return _told(in_use, what)

    def _tiny(self) -> str:
        """Return that the orchestrator had much to do with items that take the target no time."""
        a, b = self._stretch.job(self._found.job)
        items = max(b.service.items - a.service.items, b.items_in - a.items_in)
        each_s = (b.service.total_s - a.service.total_s or self._times.running_s) / max(1, items)
        if items and each_s < _TINY_S and self._stretch.own_cpu >= 0.5:
            used = _percent(self._stretch.own_cpu)
            return f"The items are tiny, and mporch used {used} of a processor for them"
        return ""

    def _in_use(self) -> str:
        busy = self._stretch.busy
        if busy is None:
            return ""
        n = self._stretch.machine_processors
        in_use = min(n, round(busy * n))
        return f"{in_use} of {n} processor{'s were' if n > 1 else ' was'} in use"

    def _worth_trying(self) -> int:
        """Return how many workers could have had something to do, and a processor."""
        now, stretch = self._job.workers, self._stretch
        most = self._could_use()
        if (busy := stretch.busy) is not None:
            n = stretch.machine_processors
            free = n * (1 - busy)
            each = max(0.05, (n - free) / max(1, now)) if now else 1.0
            most = min(most, now + max(0, math.floor(free / min(1.0, each) + 0.25)))
        return min(most, now * _MOST_TIMES)

    def _could_use(self) -> int:
        """Return how many workers could have had something to do."""
        now, job = self._job.workers, self._found.job
        near = self._wires.next_readers(job) | self._wires.next_writers(job)
        shares = [_own_part(self._stretch.times(n)) for n in near]
        return min(math.ceil(now / max(0.1, *shares, 0.1)), now * _MOST_TIMES)


def _own_part(times: JobTimes) -> float:
    return times.part(times.own_s)


def _told(before: str, what: str) -> str:
    """Return what to try as a sentence, behind what speaks for it."""
    if before:
        return f"{before}: {what}."
    return f"{what[0].upper()}{what[1:]}." if what[0] != "`" else f"{what}."


def _percent(part: float) -> str:
    return f"{round(100 * part)} %"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}".removesuffix(".0") + " s"
