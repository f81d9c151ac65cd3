"""The evidence of a run in which all went well, made without running it: the judge's own test."""

from __future__ import annotations

from collections import Counter, defaultdict

from .evidence import CLEAN, Evidence, Letter, Note, Page
from .expected import fates_of, made_by, source_makes
from .fates import DEAD, OK, SKIP, fate
from .model import SOURCES, TASKS, Job, Pipeline

_ERRORS = {SKIP: "Skipped", DEAD: "Dead"}


def ideal(pipeline: Pipeline) -> Evidence:
    """All items come in order to the first job of each group, and none is dropped."""
    run = _Run(pipeline)
    for job in pipeline.jobs.values():
        if job.shape in SOURCES:
            run.put(job, source_makes(job.role))
    for group in pipeline.groups():
        if "daemon" not in group[0].keys:
            run.group(group[0])
    for job in pipeline.jobs.values():
        if job.shape in TASKS and run.status(job) == "succeeded":
            run.task(job)
    return run.evidence()


class _Run:
    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._arrived: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._pages: list[Page] = []
        self._letters: list[Letter] = []
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._clock = 0.0

    def put(self, job: Job, made: dict[str, list[str]]) -> None:
        for port, queues in job.ports.items():
            self._counts[job.name]["items_out"] += len(made[port])
            for name in queues:
                self._arrived[name] += [(ident, f"{job.name}-token") for ident in made[port]]

    def group(self, job: Job) -> None:
        notes: list[Note] = []
        for name in job.inputs:
            for ident, token in self._arrived[name]:
                end = fate(job.role, ident)
                notes.append(self._note("b", ident, token, "1" if job.shape == "batch" else ""))
                notes.append(
                    self._note("e" if end == OK else "x", ident, token, _ERRORS.get(end, ""))
                )
                if end == DEAD:
                    letter = Letter(ident=ident, queue=name, job=job.name, error="Dead")
                    self._letters.append(letter)
        self._page(job, notes)
        coming = [ident for name in job.inputs for ident, _ in self._arrived[name]]
        fates = fates_of(job.role, coming)
        self._counts[job.name].update(items_in=len(coming), skipped=fates[SKIP], dead=fates[DEAD])
        self.put(job, {port: made_by(job.role, port, coming) for port in job.ports})

    def task(self, job: Job) -> None:
        self._clock += 1000
        self._page(job, [self._note("b", job.name, "-"), self._note("e", job.name, "-")])

    def status(self, job: Job) -> str:
        after = job.keys.get("after")
        if "daemon" in job.keys and not job.inputs:
            return "terminated"
        return "skipped" if isinstance(after, dict) and "failed" in after.values() else "succeeded"

    def _page(self, job: Job, notes: list[Note]) -> None:
        pid = 1000 + len(self._pages)
        self._pages.append(Page(worker=f"{job.name}-1", life=0, pid=pid, notes=tuple(notes)))

    def _note(self, kind: str, ident: str, token: str, more: str = "") -> Note:
        self._clock += 0.001
        return Note(kind=kind, ident=ident, token=token, at=self._clock, more=more)

    def _ledger(self, name: str) -> dict[str, int]:
        [first, *_] = self._pipeline.readers(name)
        fates = fates_of(first.role, [ident for ident, _ in self._arrived[name]])
        ends = {"done": fates[OK], "skipped": fates[SKIP], "dead": fates[DEAD]}
        return {"put": fates.total(), **ends, "dropped": 0, "left": 0}

    def evidence(self) -> Evidence:
        exit_code = 3 if self._letters else 0
        jobs = {
            name: {
                "status": self.status(job),
                **dict.fromkeys(("items_in", "items_out", "skipped", "dead", "restarts"), 0),
                **self._counts[name],
            }
            for name, job in self._pipeline.jobs.items()
        }
        queues = {name: self._ledger(name) for name in self._pipeline.queues}
        return Evidence(
            pipeline=self._pipeline,
            end=CLEAN,
            life=0,
            exit_code=exit_code,
            summary={"exit_code": exit_code, "jobs": jobs, "queues": queues, "warnings": []},
            pages=tuple(self._pages),
            letters=tuple(self._letters),
            listed=len(self._letters),
        )
