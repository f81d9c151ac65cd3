"""Finder of limits: takes the samples of a run one by one, and tells its phases and their jobs."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec

from orchestrator.core.limits.bottleneck import Bottleneck, Why
from orchestrator.core.limits.long_items import LongItem, LongItems
from orchestrator.core.limits.phases import (
    NOBODY,
    STARTS,
    STRAGGLES,
    Interval,
    Phase,
    mean_scores,
    told_phases,
)
from orchestrator.core.limits.stretch import JobTimes, Stretch, WorkersCpu
from orchestrator.core.limits.telling import Found, told
from orchestrator.core.limits.wires import Wires
from orchestrator.core.samples import Header, JobSample, Sample

__all__ = ["Limits", "limits_of"]

_EDGES = 65
"""At most so many samples are kept; then each second one is forgotten."""
_NEAR = 0.1
"""Jobs so near to each other in what held them are named together."""
_DOMINATES = 0.03
_MOST_NAMED = 3
_LEAST_S = 0.2
"""Shorter runs have no limit that is worth a word."""
_SENTENCE_EVERY_S = 2.0
_HALF = 0.5
_IDLE = 0.1
"""Who used a processor for less of its time waits for something else, whatever others use."""
_MEASURED_S = 3.0
"""Processor times are up to a second old: before this they tell too little."""
_WHOLE = 0.9
"""A phase that is so much of the run is told without its times."""


def limits_of(header: Header, samples: Iterable[Sample]) -> tuple[Bottleneck, ...]:
    """Return what limited a run, of all its samples."""
    limits = Limits(header)
    for sample in samples:
        limits.add(sample)
    return limits.found()


class Limits:
    """What limits a run, from its samples: `add` each of them in order, `found` at any time.

    Samples may come at any step: some 32 to 64 intervals are told apart, however long the run is.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self._wires = Wires(header)
        self._edges: list[Sample] = []
        self._every = 1
        self._taken = 0
        self._newest: Sample | None = None
        self._long = LongItems()
        self._cpu = WorkersCpu()
        self._known: dict[tuple[float, float], Interval] = {}
        self._main: frozenset[int] = frozenset()
        self._sentence = ""
        self._said_at = -_SENTENCE_EVERY_S

    def add(self, sample: Sample) -> None:
        """Take the next sample; one that is no later than the last is left out."""
        newest = self._newest
        if newest is None:
            system = msgspec.structs.replace(sample.system, disk_full_s=0.0)
            none = tuple(JobSample(state="") for _ in sample.jobs)
            self._edges.append(Sample(t=min(0.0, sample.t), jobs=none, system=system))
        elif not sample.t > newest.t:
            return
        self._long.add(sample)
        self._cpu.add(sample)
        self._newest = msgspec.structs.replace(sample, workers=())
        self._taken += 1
        if self._taken % self._every == 0:
            self._edges.append(self._newest)
            if len(self._edges) > _EDGES:
                del self._edges[1::2]
                self._every *= 2
                self._known.clear()

    def found(self) -> tuple[Bottleneck, ...]:
        """Return what has limited the run so far, in order; empty if that is not known.

        A phase at least twice as long as all others together stands first.
        """
        intervals = self._intervals()
        total_s = intervals[-1].to_s if intervals else 0.0
        if total_s < _LEAST_S:
            return ()
        phases = self._without_alike(intervals, told_phases(intervals, total_s))
        found: list[list[Found]] = []
        for n, phase in enumerate(phases):
            found.append(self._of_phase(intervals, phase, total_s))
            if n and _names(found[-1]) == _names(found[-2]):
                phases[n] = Phase(first=phases[n - 1].first, last=phase.last, leader=phase.leader)
                found[-2:] = [self._of_phase(intervals, phases[n], total_s)]
        lengths = [max((each.share for each in group), default=0.0) for group in found]
        for n, length in enumerate(lengths):
            if length >= 2 * (sum(lengths) - length) > 0:
                found.insert(0, found.pop(n))
                break
        all_found = [each for group in found for each in group]
        if len(self._header.jobs) == 1 and {each.why for each in all_found} == {Why.BUSY}:
            return ()  # there is nobody that it could have held up
        return tuple(told(self._header, self._wires, each) for each in all_found)

    def sentence(self) -> str:
        """Return what limits the run, for a display: made anew once in two seconds of samples."""
        now = self._newest.t if self._newest is not None else 0.0
        if now - self._said_at >= _SENTENCE_EVERY_S:
            found = self.found()
            self._sentence, self._said_at = found[0].text if found else "", now
        return self._sentence

    # -- intervals --------------------------------------------------------------------------------

    def _intervals(self) -> list[Interval]:
        newest = self._newest
        if newest is None:
            return []
        edges = self._edges if self._edges[-1] is newest else [*self._edges, newest]
        main = self._main_groups(edges)
        if main != self._main:
            self._main = main
            self._known.clear()
        intervals = []
        for a, b in pairwise(edges):
            interval = self._known.get((a.t, b.t))
            if interval is None and b.t > a.t:
                interval = self._interval(Stretch(self._header, a, b))
                if b is not newest or edges is self._edges:
                    self._known[a.t, b.t] = interval
            if interval is not None:
                intervals.append(interval)
        return intervals

    def _main_groups(self, edges: Sequence[Sample]) -> frozenset[int]:
        """Return the groups of jobs that lived last: the run's end was theirs."""
        jobs, groups = self._header.jobs, self._wires.groups
        for a, b in zip(reversed(edges[:-1]), reversed(edges[1:]), strict=True):
            stretch = Stretch(self._header, a, b)
            alive = {
                groups[n]
                for n, job in enumerate(jobs)
                if not job.daemon and stretch.times(n).life_s > 0
            }
            if alive:
                return frozenset(alive)
        return frozenset()

    def _interval(self, stretch: Stretch) -> Interval:
        dt = stretch.dt
        times = [stretch.times(n) for n in range(len(self._header.jobs))]
        scores = array("d", [each.score(dt) for each in times])
        for batches in (False, True):
            if max(scores, default=0.0) < _HALF:
                for n, each in enumerate(times):
                    more_s = each.within_s if batches else self._retries_s(stretch, n, each)
                    scores[n] = max(scores[n], each.score(dt, more_s))
        near = self._near(stretch, scores)
        leader = max(near, key=scores.__getitem__, default=NOBODY)
        return Interval(
            from_s=stretch.from_s,
            to_s=stretch.to_s,
            scores=scores,
            near=near,
            leader=leader,
            kind=self._kind(stretch, leader),
        )

    def _retries_s(self, stretch: Stretch, job: int, times: JobTimes) -> float:
        """Return for how long a job's full queue had nothing for it but items to be tried again."""
        a, b = stretch.job(job)
        if b.retried <= a.retried:
            return 0.0
        return times.starved_s * max(map(stretch.full, self._wires.reads[job]), default=0.0)

    def _near(self, stretch: Stretch, scores: Sequence[float]) -> frozenset[int]:
        """Return who was held least, and those that were held hardly more.

        Of a job whose items pile up before a reader that was held no more, the reader's speed is
        what counts.
        """
        groups, jobs = self._wires.groups, self._header.jobs
        may = [n for n, score in enumerate(scores) if score > 0 and not jobs[n].daemon]
        may = [n for n in may if groups[n] in self._main] or may
        if not may:
            return frozenset()
        least = max(scores[n] for n in may) - _NEAR
        near = {n for n in may if scores[n] >= least}
        for n in sorted(near) if len(near) > 1 else ():
            piled = any(map(stretch.piles_up, self._wires.reads[n]))
            if piled and n in near:
                slower = {w for w in self._wires.upstream(n) & near if w != n}
                near -= {
                    w
                    for w in slower
                    if scores[n] >= scores[w] - _DOMINATES and n not in self._wires.upstream(w)
                }
        return frozenset(near)

    def _kind(self, stretch: Stretch, leader: int) -> str:
        if leader == NOBODY:
            return ""
        times = stretch.times(leader)
        if times.starting_s >= _HALF * times.life_s:
            return STARTS
        return STRAGGLES if self._straggler(stretch, leader) is not None else ""

    def _straggler(self, stretch: Stretch, job: int) -> LongItem | None:
        """Return the item that one worker of a job was at, while the others did nothing."""
        if self._newest is None or stretch.times(job).running_s > 1.3 * stretch.dt:
            return None
        found = None
        _, newest = Stretch(self._header, self._newest, self._newest).job(job)
        for long in self._long.over(job, newest):
            covered_s = min(long.to_s, stretch.to_s) - max(long.from_s, stretch.from_s)
            if covered_s >= _HALF * stretch.dt and (found is None or long.seconds > found.seconds):
                found = long
        return found

    # -- phases -----------------------------------------------------------------------------------

    def _stretch(self, part: Sequence[Interval]) -> Stretch:
        edges = {edge.t: edge for edge in (*self._edges, self._newest) if edge is not None}
        return Stretch(self._header, edges[part[0].from_s], edges[part[-1].to_s])

    def _without_alike(self, intervals: Sequence[Interval], phases: Sequence[Phase]) -> list[Phase]:
        """Join neighbours whose jobs were as near to each other in one of them as in the other."""
        alike: list[Phase] = []
        sets: list[frozenset[int]] = []
        for phase in phases:
            near = self._near_in(intervals, phase)
            if alike and (before := alike[-1]).kind == phase.kind:
                both = near & {before.leader} or sets[-1] & {phase.leader}
                if both:
                    (leader,) = both
                    alike[-1] = Phase(
                        first=before.first, last=phase.last, leader=leader, kind=phase.kind
                    )
                    sets[-1] = self._near_in(intervals, alike[-1])
                    continue
            alike.append(phase)
            sets.append(near)
        return alike

    def _near_in(self, intervals: Sequence[Interval], phase: Phase) -> frozenset[int]:
        part = intervals[phase.first : phase.last + 1]
        return self._near(self._stretch(part), mean_scores(part)) | {phase.leader}

    def _of_phase(self, intervals: Sequence[Interval], phase: Phase, total_s: float) -> list[Found]:
        part = intervals[phase.first : phase.last + 1]
        stretch = self._stretch(part)
        near = self._near(stretch, mean_scores(part)) | {phase.leader}
        named = sorted(near, key=lambda n: -sum(each.scores[n] * each.dt for each in part))
        found: dict[int, Found] = {}
        for n in named[:_MOST_NAMED]:
            one = self._found(stretch, n, total_s)
            limited_s = sum(each.dt for each in part if each.near & {n, one.job})
            if limited_s > 0:
                share = min(1.0, limited_s / total_s)
                found.setdefault(one.job, replace(one, share=share))
        most = max((each.share for each in found.values()), default=0.0)
        return [each for each in found.values() if each.share >= _HALF * most]

    def _found(self, stretch: Stretch, job: int, total_s: float) -> Found:
        straggler = self._straggler(stretch, job)
        why = self._why(stretch, job, straggler)
        if why is Why.BYTES and (held := self._held_by_bytes(stretch, job)) is not None:
            job = held
        return Found(
            stretch=stretch,
            job=job,
            why=why,
            whole=stretch.dt >= _WHOLE * total_s,
            straggler=straggler if why is Why.STRAGGLER else None,
            idle=self._idle(job),
        )

    def _idle(self, job: int) -> float | None:
        """Return for what part of its time a job used a processor, if it hardly used one.

        The processes of a command are none of its workers: what they used is not known.
        """
        if self._newest is None or self._newest.t < _MEASURED_S or self._header.jobs[job].command:
            return None
        _, newest = Stretch(self._header, self._newest, self._newest).job(job)
        part = self._cpu.part(job, newest)
        return part if part is not None and part < _IDLE else None

    def _why(self, stretch: Stretch, job: int, straggler: LongItem | None) -> Why:
        if stretch.disk_full_s >= _HALF * stretch.dt:
            return Why.DISK
        times = stretch.times(job)
        longest = max(times.running_s, times.held_s, times.starting_s, times.end_s)
        if times.held_s == longest > 0:
            return Why.RATE
        retries_s = self._retries_s(stretch, job, times)
        if max(times.within_s, retries_s) > times.own_s:
            return Why.BATCHES if times.within_s >= retries_s else Why.STRAGGLER
        if self._held_by_bytes(stretch, job) is not None:
            return Why.BYTES
        if stretch.spent:
            return Why.PROCESSORS
        if straggler is not None:
            return Why.STRAGGLER
        if times.starting_s == longest:
            return Why.STARTING
        return Why.STRAGGLER if times.end_s > times.running_s else Why.BUSY

    def _held_by_bytes(self, stretch: Stretch, job: int) -> int | None:
        """Return who writes a queue whose bytes let neither it nor its readers go on."""
        wires = self._wires
        for queue in (*wires.reads[job], *wires.writes[job]):
            if stretch.full_by_bytes(queue) < 0.2:
                continue
            blocked = [(stretch.times(n), n) for n in wires.writers[queue]]
            blocked = [(each, n) for each, n in blocked if each.part(each.blocked_s) >= 0.2]
            starved = [stretch.times(n) for n in wires.readers[queue]]
            if blocked and all(each.part(each.starved_s) >= 0.2 for each in starved):
                return max(blocked, key=lambda pair: pair[0].blocked_s)[1]
        return None


def _names(found: Iterable[Found]) -> list[tuple[int, Why]]:
    return [(each.job, each.why) for each in found]
