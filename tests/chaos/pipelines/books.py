"""The books of a round: ledger, summary, statuses and exit code, held against what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .evidence import CLEAN, DRAINED, FAILED, TERMINATED, Evidence
from .expected import fates_of
from .fates import DEAD, OK, SKIP
from .model import TASKS, Job

if TYPE_CHECKING:
    from .judge import Flow, Seen

_FATES = {OK: "done", SKIP: "skipped", DEAD: "dead"}
_ENDS = ("done", "skipped", "dropped", "dead", "left")


@dataclass(kw_only=True)
class Told:
    """What the judge has found: the flows by queue; what was seen, and how much put, by role."""

    flows: Mapping[str, Flow]
    seen: dict[str, Seen] = field(default_factory=dict)
    outs: dict[str, tuple[int, int]] = field(default_factory=dict)


def books(evidence: Evidence, told: Told) -> Iterator[str]:
    """Yield what is wrong with what mporch counts and tells."""
    if evidence.exit_code is None:
        return
    yield from _exit_code(evidence)
    if evidence.summary is None:
        if evidence.pages or evidence.end not in (DRAINED, TERMINATED):
            yield "there is no summary"
        return
    yield from _queues(evidence, told)
    yield from _groups(evidence, told)
    yield from _outputs(evidence, told)
    yield from _warnings(evidence)
    yield from _statuses(evidence)
    yield from _tasks(evidence)
    yield from _batches(evidence)


def _exit_code(evidence: Evidence) -> Iterator[str]:
    clean = 3 if evidence.letters else 0
    wanted = {CLEAN: clean, FAILED: 1, DRAINED: 130, TERMINATED: 143}[evidence.end]
    if evidence.exit_code != wanted:
        yield f"exit code {evidence.exit_code} instead of {wanted}"
    summary = evidence.summary
    if summary and summary["exit_code"] != evidence.exit_code:
        yield f"exit code {evidence.exit_code}, and {summary['exit_code']} in the summary"
    if evidence.listed != len(evidence.letters):
        yield f"dead list tells {evidence.listed} of {len(evidence.letters)} letters"


def _queues(evidence: Evidence, told: Told) -> Iterator[str]:
    assert evidence.summary is not None
    for name, ledger in evidence.summary["queues"].items():
        if ledger["put"] != sum(ledger[end] for end in _ENDS):
            yield f"{name}: the books do not balance: {ledger}"
        flow = told.flows[name]
        endless = any("daemon" in job.keys for job in evidence.pipeline.writers(name))
        if not endless and not len(flow.sure) <= ledger["put"] <= len(flow.possible):
            wanted = sorted({len(flow.sure), len(flow.possible)})
            yield f"{name}: put {ledger['put']}, not {' to '.join(map(str, wanted))}"
        if ledger["dropped"] and not evidence.pipeline.queues[name].drops:
            yield f"{name}: {ledger['dropped']} dropped, and its readers have not returned"
        if ledger["left"] and _leaves_nothing(evidence, name):
            yield f"{name}: {ledger['left']} left"


def _leaves_nothing(evidence: Evidence, queue: str) -> bool:
    readers = {job.name for job in evidence.pipeline.jobs.values() if queue in job.inputs}
    if readers & evidence.forgone:
        return False
    if evidence.end in (CLEAN, DRAINED):
        return True
    jobs = evidence.pipeline.jobs.values()
    failing = [job for job in jobs if job.role["fails_at"]]
    shut = {name for job in failing for name in job.inputs}
    cut = [job for job in jobs if "stream" in job.shape and shut & set(job.outputs)]
    stops = any(job.keys.get("on_failure") == "stop" for job in failing)
    return (
        evidence.end == FAILED and not stops and all(queue not in j.inputs for j in failing + cut)
    )


def _groups(evidence: Evidence, told: Told) -> Iterator[str]:
    """What became of the items of each group's queues together, and what its jobs tell of it."""
    assert evidence.summary is not None
    queues, jobs = evidence.summary["queues"], evidence.summary["jobs"]
    for group in evidence.pipeline.groups():
        role, where = group[0].role, "/".join(job.name for job in group)
        if role["name"] not in told.seen:
            continue
        seen = told.seen[role["name"]]
        few, many = fates_of(role, seen.sure), fates_of(role, seen.possible)
        if group[0].once and evidence.end != CLEAN:
            many = fates_of(role, seen.possible | seen.begun)
        ended = Counter(
            {end: sum(queues[name][end] for name in group[0].inputs) for end in _FATES.values()}
        )
        for what, end in _FATES.items():
            if not few[what] <= ended[end] <= many[what]:
                yield f"{where}: {ended[end]} {end}, not {few[what]} to {many[what]}"
        counted = _counted(group, jobs)
        for end in ("skipped", "dead"):
            if counted[end] != ended[end]:
                yield f"{where}: {counted[end]} {end} by jobs, {ended[end]} by queues"
        if evidence.end == CLEAN and counted["items_in"] != ended.total():
            yield f"{where}: {counted['items_in']} items in, {ended.total()} ended"
        if not evidence.pipeline.durable and counted["restarts"] > evidence.kills:
            yield f"{where}: {counted['restarts']} restarts after {evidence.kills} kills"


def _outputs(evidence: Evidence, told: Told) -> Iterator[str]:
    """A job tells of each item that it has put, once for all copies."""
    assert evidence.summary is not None
    for role, (few, many) in told.outs.items():
        jobs = [job.name for job in evidence.pipeline.jobs.values() if job.role["name"] == role]
        put = sum(evidence.summary["jobs"][name]["items_out"] for name in jobs)
        if not few <= put <= many:
            yield f"{'/'.join(jobs)}: {put} items out, not {few} to {many}"


def _warnings(evidence: Evidence) -> Iterator[str]:
    """What a full queue has dropped is its own doing; its readers have not ended early."""
    assert evidence.summary is not None
    if evidence.end != CLEAN:
        return
    for warning in evidence.summary["warnings"]:
        named = warning.partition(":")[0].removeprefix("queue ")
        drops = named in evidence.pipeline.queues and evidence.pipeline.queues[named].drops
        wrong = " dropped: " in warning and not (drops and "it was full" in warning)
        if wrong:
            yield f"a wrong warning: {warning}"


def _counted(group: list[Job], jobs: Mapping[str, Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for job in group:
        for key in ("items_in", "items_out", "skipped", "dead", "restarts"):
            found[key] += jobs[job.name][key]
    return found


def _statuses(evidence: Evidence) -> Iterator[str]:
    assert evidence.summary is not None
    told = {name: job["status"] for name, job in evidence.summary["jobs"].items()}
    if missing := set(evidence.pipeline.jobs) ^ set(told):
        yield f"the summary has not the jobs of the spec: {sorted(missing)}"
        return
    for name, job in evidence.pipeline.jobs.items():
        allowed = _allowed(evidence, job)
        if told[name] not in allowed:
            yield f"{name} {told[name]}, not {' or '.join(sorted(allowed))}"
    if evidence.end == FAILED and "failed" not in told.values():
        yield "no job has failed"


def _allowed(evidence: Evidence, job: Job) -> set[str]:
    after = job.keys.get("after")
    never = isinstance(after, dict) and "failed" in after.values()
    if "daemon" in job.keys and (not job.inputs or evidence.end != CLEAN):
        return {"terminated", "killed"} | (
            {"skipped", "succeeded"} if evidence.end != CLEAN else set()
        )
    if evidence.end == CLEAN:
        return {"skipped"} if never else {"succeeded"}
    ended = {"succeeded", "terminated", "killed", "skipped"}
    return ended | {"failed"} if job.role["fails_at"] and evidence.end == FAILED else ended


def _tasks(evidence: Evidence) -> Iterator[str]:
    """Each task is done, after whom it waits for; what is never to be called is not."""
    if evidence.end != CLEAN:
        return
    failing = any(job.role["fails_at"] for job in evidence.pipeline.jobs.values())
    for job in evidence.pipeline.jobs.values():
        if job.shape not in TASKS:
            continue
        begun = [p for p in evidence.pages if p.job == job.name and p.idents("b")]
        if "skipped" in _allowed(evidence, job):
            if begun:
                yield f"{job.name} was called"
        elif not any(page.idents("e") for page in begun):
            yield f"{job.name} was not called to its end"
        elif sum(not page.killed and page.life == evidence.life for page in begun) > 1:
            yield f"{job.name} was called {len(begun)} times"
        elif isinstance(job.keys.get("after"), dict) and not (
            failing and evidence.pipeline.durable
        ):
            yield from _too_early(evidence, job)


def _too_early(evidence: Evidence, job: Job) -> Iterator[str]:
    [(other, state)] = job.keys["after"].items()
    if state == "ready":
        return
    began = max(note.at for p in evidence.pages if p.job == job.name for note in p.notes[:1])
    ended = [
        note.at
        for page in evidence.pages
        if page.job == other and page.life == evidence.life
        for note in page.notes
        if note.kind == "e"
    ]
    if ended and max(ended) > began:
        yield f"{job.name} began {max(ended) - began:.3f} s before {other} had ended"


def _batches(evidence: Evidence) -> Iterator[str]:
    for page in evidence.pages:
        job = evidence.pipeline.jobs[page.job]
        if job.shape == "batch":
            sizes = [int(note.more) for note in page.notes if note.kind == "b" and note.more]
            if sizes and max(sizes) > job.keys["batch"]["size"]:
                yield f"{page.worker} got a batch of {max(sizes)}"
