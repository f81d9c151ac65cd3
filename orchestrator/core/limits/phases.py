"""Phases of a run: the intervals between samples, joined where one job was held least."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["NOBODY", "STARTS", "STRAGGLES", "Interval", "Phase", "mean_scores", "told_phases"]

_PHASE_S = 0.3
_PHASE = 0.1
"""A phase that is told takes so long, this part of the run, and that of the longest."""
_OF_LONGEST = 0.25
_START_S = 1.0
_START_AT_LEAST_S = 3.0
"""The start of workers is told if it takes so long, or the shorter time and half of the run."""
NOBODY = -1
STRAGGLES = "straggles"
STARTS = "starts"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Between two kept samples: how little each job was held, and who was held least.

    `near` are those that were held hardly more than `leader`, and it.
    """

    from_s: float
    to_s: float
    scores: Sequence[float]
    near: frozenset[int]
    leader: int
    kind: str

    @property
    def dt(self) -> float:
        """Return how long it is."""
        return self.to_s - self.from_s


@dataclass(kw_only=True)
class Phase:
    """Intervals `first` to `last` in which one job was held least."""

    first: int
    last: int
    leader: int
    kind: str = ""


def mean_scores(intervals: Sequence[Interval]) -> array[float]:
    """Return the mean scores of a stretch."""
    total_s = sum(each.dt for each in intervals)
    means = array("d", bytes(8 * len(intervals[0].scores)))
    for each in intervals:
        part = each.dt / total_s
        for n, score in enumerate(each.scores):
            means[n] += score * part
    return means


def told_phases(intervals: Sequence[Interval], total_s: float) -> list[Phase]:
    """Return the phases that are long enough to be told, in order.

    The start of all workers is a phase only if it takes long.
    """
    least_s = max(_PHASE_S, _PHASE * total_s)
    phases = _joined(
        Phase(first=n, last=n, leader=each.leader, kind=each.kind)
        for n, each in enumerate(intervals)
    )
    while len(phases) > 1:
        lengths = [_length(intervals, phase) for phase in phases]
        weights = [
            0.0
            if phase.leader == NOBODY or (phase.kind == STARTS and length < _START_S)
            else length
            for phase, length in zip(phases, lengths, strict=True)
        ]
        shortest = min(range(len(phases)), key=lambda n: (weights[n], lengths[n]))
        if weights[shortest] >= max(least_s, _OF_LONGEST * max(weights)):
            break
        _dissolve(intervals, phases, shortest)
        phases = _joined(phases)
    return [phase for phase in phases if phase.leader != NOBODY]


def _dissolve(intervals: Sequence[Interval], phases: list[Phase], n: int) -> None:
    """Give a phase to that of its neighbours whose job was held less in it."""
    phase = phases[n]
    part = intervals[phase.first : phase.last + 1]
    beside = [phases[m] for m in (n - 1, n + 1) if 0 <= m < len(phases)]
    best = max(
        beside,
        key=lambda other: (
            other.leader != NOBODY,
            sum(each.scores[other.leader] * each.dt for each in part),
            _length(intervals, other),
        ),
    )
    phases[n] = Phase(first=phase.first, last=phase.last, leader=best.leader, kind=best.kind)


def _joined(phases: Iterable[Phase]) -> list[Phase]:
    """Return neighbours of one job as one phase."""
    joined: list[Phase] = []
    for phase in phases:
        if joined and (joined[-1].leader, joined[-1].kind) == (phase.leader, phase.kind):
            joined[-1].last = phase.last
        else:
            joined.append(phase)
    return joined


def _length(intervals: Sequence[Interval], phase: Phase) -> float:
    return intervals[phase.last].to_s - intervals[phase.first].from_s


def _weight(intervals: Sequence[Interval], phase: Phase) -> float:
    """Return how long a phase is, nothing if it is not to be told by itself."""
    length_s = _length(intervals, phase)
    half_s = (intervals[-1].to_s - intervals[0].from_s) / 2
    least_s = min(_START_AT_LEAST_S, max(_START_S, half_s))
    is_short = phase.kind == STARTS and length_s < least_s
    return 0.0 if phase.leader == NOBODY or is_short else length_s
