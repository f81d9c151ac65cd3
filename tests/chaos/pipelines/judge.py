"""The judge of a round: each item where it must be, once, by what the targets themselves noted.

What comes to a queue is computed from the spec, and from what its writers have ended. Where that is
certain, both bounds of a flow are the same. They differ behind a queue that drops, behind a source
that was stopped, and for what a process had ended when it was killed: nobody but mporch knows
whether that was committed, so it may have come, and may have come again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .books import Told, books
from .evidence import CLEAN, DRAINED, FAILED, Evidence, Page
from .expected import made_by, source_makes
from .fates import DEAD, fate
from .model import SOURCES, Job


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with a round; `problems` is empty when nothing is."""

    lost: int
    doubled: int
    unexpected: int
    problems: tuple[str, ...]


@dataclass(kw_only=True)
class Flow:
    """What was put on a queue: all of `sure`, and what else of `possible`; in order, if known."""

    sure: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)
    order: list[str] | None = None


@dataclass(kw_only=True)
class Seen:
    """What became of a group's items: surely, possibly, and what it had at least begun."""

    sure: set[str] = field(default_factory=set)
    possible: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on a round."""
    return _Case(evidence).verdict()


class _Case:
    def __init__(self, evidence: Evidence) -> None:
        self._e = evidence
        self._pipeline = evidence.pipeline
        self._flows = {name: Flow() for name in self._pipeline.queues}
        self._wrong: Counter[str] = Counter()
        self._problems = list(evidence.complaints)
        self._told = Told(flows=self._flows)

    def verdict(self) -> Verdict:
        if self._e.exit_code is None:
            self._problems.append("it hung")
        self._sources()
        for group in self._pipeline.groups():
            if not any("daemon" in job.keys for job in group):
                self._group(group)
        self._letters()
        self._problems += books(self._e, self._told)
        counts = {what: self._wrong[what] for what in ("lost", "doubled", "unexpected")}
        return Verdict(**counts, problems=tuple(self._problems))

    def _blame(self, what: str, where: str, idents: Iterable[str]) -> None:
        found = sorted(idents)
        if found:
            self._wrong[what] += len(found)
            some = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
            self._problems.append(f"{len(found)} {what} at {where}: {some}")

    # -- who can be believed ----------------------------------------------------------------------

    def _orderly(self, group: list[Job]) -> bool:
        """Whether what the group's processes ended is committed, if nobody killed them."""
        if self._e.end in (CLEAN, DRAINED):
            return True
        failing = bool(group[0].role["fails_at"])
        return self._e.end == FAILED and not failing and not self._stops_at_once()

    def _stops_at_once(self) -> bool:
        jobs = self._pipeline.jobs.values()
        return any(job.keys.get("on_failure") == "stop" for job in jobs)

    def _finishes(self, group: list[Job]) -> bool:
        """Whether all that comes to the group must have ended."""
        if self._e.forgone >= {job.name for job in group}:
            return False
        return self._e.end == CLEAN or (self._orderly(group) and not self._is_cut(group))

    def _is_cut(self, group: list[Job]) -> bool:
        """Whether a stream yields to readers that have failed: it ends, and leaves its input."""
        shut = self._shut()
        return any("stream" in job.shape and shut & set(job.outputs) for job in group)

    def _believed(self, page: Page) -> bool:
        return not page.killed and page.life == self._e.life

    # -- flows ------------------------------------------------------------------------------------

    def _sources(self) -> None:
        for job in self._pipeline.jobs.values():
            if job.shape in SOURCES:
                made = source_makes(job.role)
                sure = made if self._e.end == CLEAN else {port: [] for port in made}
                self._put(job, sure, made, dict(made) if job.workers == 1 else {})

    def _put(
        self,
        job: Job,
        sure: dict[str, list[str]],
        possible: dict[str, list[str]],
        order: dict[str, list[str]],
    ) -> None:
        shut = self._shut()
        sure = {p: [] if shut & set(job.ports[p]) else made for p, made in sure.items()}
        few, many = (sum(map(len, made.values())) for made in (sure, possible))
        self._told.outs[job.role["name"]] = few, many
        for port, queues in job.ports.items():
            for name in queues:
                flow = self._flows[name]
                flow.sure.update(sure[port])
                flow.possible.update(possible[port])
                if len(self._pipeline.writers(name)) == 1:
                    flow.order = order.get(port)

    def _shut(self) -> set[str]:
        """The queues whose readers have failed: a handle puts nothing on them any more."""
        jobs = self._pipeline.jobs.values()
        failing = [job for job in jobs if job.role["fails_at"] and self._e.end == FAILED]
        return {name for job in failing for name in job.inputs}

    def _group(self, group: list[Job]) -> None:
        first, where = group[0], "/".join(job.name for job in group)
        flows = {name: self._flows[name] for name in first.inputs}
        possible = set().union(*(flow.possible for flow in flows.values()))
        come = set().union(
            *(f.sure for name, f in flows.items() if not self._pipeline.queues[name].drops)
        )
        seen = self._seen(group)
        self._doubled(group, where)
        self._blame("unexpected", where, (seen.possible | seen.begun) - possible)
        if self._finishes(group):
            self._blame("lost", where, come - seen.possible)
            seen.sure |= come & seen.possible
        self._told.seen[first.role["name"]] = seen
        begun = seen.begun if first.once and self._e.end != CLEAN else set()
        many = {p: made_by(first.role, p, seen.possible | begun) for p in first.ports}
        few = {p: made_by(first.role, p, seen.sure) for p in first.ports}
        self._put(first, few, many, self._ordered(group, where))

    def _seen(self, group: list[Job]) -> Seen:
        seen, orderly = Seen(), self._orderly(group)
        for job in group:
            for page in self._last_pages(job) if job.once else self._pages(job):
                ended = set(page.idents("e")) | {
                    note.ident for note in page.notes if note.more in ("Skipped", "Dead")
                }
                seen.possible |= ended
                seen.begun |= set(page.idents("b"))
                if orderly and (job.once or self._believed(page)):
                    seen.sure |= ended
        return seen

    def _pages(self, job: Job) -> list[Page]:
        return [page for page in self._e.pages if page.job == job.name]

    def _last_pages(self, job: Job) -> list[Page]:
        """The pages of the last calls: a job that is called once gets all its items again."""
        last: dict[str, Page] = {}
        for page in sorted(self._pages(job), key=lambda page: page.life):
            last[page.worker] = page
        return list(last.values())

    # -- doubled ----------------------------------------------------------------------------------

    def _doubled(self, group: list[Job], where: str) -> None:
        """An item has one maker's token, and one who has ended it of those that were not killed."""
        tokens: dict[str, set[str]] = {}
        ended: Counter[str] = Counter()
        for job in group:
            for page in self._pages(job):
                for note in page.notes:
                    tokens.setdefault(note.ident, set()).add(note.token)
                if not job.once:
                    here = Counter(page.idents("e"))
                    ended.update(here if self._believed(page) else here - Counter(set(here)))
            for page in self._last_pages(job) if job.once else ():
                ended.update(page.idents("e"))
        twice_made = {ident for ident, names in tokens.items() if len(names) > 1}
        self._blame("doubled", f"{where}, by their tokens", twice_made)
        self._blame("doubled", where, (i for i, n in ended.items() if n > 1))

    # -- order ------------------------------------------------------------------------------------

    def _ordered(self, group: list[Job], where: str) -> dict[str, list[str]]:
        """The order of what the group makes, where that is known; its own input is compared."""
        job = group[0]
        if len(group) > 1 or len(job.inputs) > 1:
            return {}
        order = self._flows[job.inputs[0]].order
        one = job.once and job.workers == 1
        if order is None or not (one or "ordered" in job.keys):
            return {}
        if one and self._e.end == CLEAN:
            [page] = self._last_pages(job) or [None]
            ended = page.idents("e") if page else []
            place = {ident: n for n, ident in enumerate(order)}
            places = [place.get(ident, -1) for ident in ended]
            if places != sorted(places):
                self._problems.append(f"{where} got its items in another order")
        return {port: made_by(job.role, port, order) for port in job.ports}

    # -- dead letters -----------------------------------------------------------------------------

    def _letters(self) -> None:
        """Copies of an item may be dead letters of several groups: each has its own."""
        roles = {job.name: job.role["name"] for job in self._pipeline.jobs.values()}
        for group in self._pipeline.groups():
            role = group[0].role
            seen = self._told.seen.get(role["name"])
            letters = [letter for letter in self._e.letters if roles[letter.job] == role["name"]]
            if seen:
                where = f"dead letters of {'/'.join(job.name for job in group)}"
                dead = Counter(letter.ident for letter in letters)
                sure = {ident for ident in seen.sure if fate(role, ident) == DEAD}
                possible = {ident for ident in seen.possible if fate(role, ident) == DEAD}
                self._blame("lost", where, sure - set(dead))
                self._blame("unexpected", where, set(dead) - possible)
                self._blame("doubled", where, (ident for ident, n in dead.items() if n > 1))


__all__ = ["Flow", "Seen", "Verdict", "judge"]
