"""Runs the cases of a spec's `tests`, each in a run of its own; tells what is not as expected.

A kill that a case asks for must have happened: else the case tests nothing. Signals to
`mporch test` end the case that runs, and those after it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.app.child_run.child import RunRequest
from orchestrator.app.child_run.parent import attend, begin, hearing, pause_with, result_of
from orchestrator.app.options import Options
from orchestrator.core.reporting import Summary
from orchestrator.errors import SpecError, TargetError
from orchestrator.features.testcases.begun import read_begun
from orchestrator.features.testcases.compare import (
    CaseQuestion,
    Dead,
    Difference,
    ExpectedItems,
    Request,
    compare,
)
from orchestrator.features.testcases.reports import CaseReport, Failed, Line
from orchestrator.files import here
from orchestrator.machine.machine import this_machine
from orchestrator.plan.cases import plan_of_case
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.matching import matches
from orchestrator.plan.model import Plan
from orchestrator.runlog.catalogue import CATALOGUE
from orchestrator.runlog.directory import LOG_NAME
from orchestrator.runlog.jsonl import Damage
from orchestrator.runlog.letters import DEAD_NAME, read_letters
from orchestrator.runlog.reader import LogReader
from orchestrator.runlog.recording import RECORDED_NAME
from orchestrator.spec import LoadedSpec, for_case
from orchestrator.spec.cases import AnyExpected, Case, Expected, Given, Kill
from orchestrator.spec.itemsfile import read_items
from orchestrator.spec.wording import did_you_mean, show
from orchestrator.views.output import OutputMode, ProgressMode

__all__ = [
    "CaseStopper",
    "Kills",
    "StoppedError",
    "in_words",
    "kills_of",
    "missed",
    "run_case",
    "specs_of_cases",
]


_MOST_EVENTS = 5


def specs_of_cases(
    spec: LoadedSpec, plan: Plan, names: Iterable[str], environ: Mapping[str, str]
) -> dict[str, tuple[LoadedSpec, Plan]]:
    """Return for each case the spec with the case's own variables, and its plan.

    Raises SpecError if these make one wrong.
    """
    found: dict[str, tuple[LoadedSpec, Plan]] = {}
    for name in names:
        found[name] = spec, plan
        if spec.document.tests[name].vars:
            try:
                own = for_case(spec, name, environ)
                found[name] = own, compile_spec(own, this_machine()).plan
            except SpecError as error:
                raise _with_case(error, name) from None
    return found


def _with_case(error: SpecError, name: str) -> SpecError:
    """Return the error with a word on what has made the spec wrong."""
    where = f"with the vars of the case {show(name)}"
    return SpecError(replace(each, message=f"{each.message}, {where}") for each in error.problems)


def run_case(spec: LoadedSpec, plan: Plan, name: str, stop: CaseStopper) -> CaseReport:
    """Called in the parent. Run one case of the spec that `plan` is of, and return how it went.

    A case that was stopped has failed. What it left is kept, outside of the project, only if it
    failed and had begun to run. Raises as `host` does.
    """
    case = spec.document.tests[name]
    directory = Path(tempfile.mkdtemp(prefix="mporch-test-"))
    began = time.monotonic()
    kept = False
    try:
        try:
            summary = stop.host(_request(spec, plan, name, directory))
            with stop.raising():
                failed = tuple(_failures(case, plan, summary, directory))
        except StoppedError as stopped:
            by = signal.Signals(stopped.signum).name
            failed = (Failed(about="stopped", message=f"by {by}, before its end"),)
        kept = bool(failed) and (directory / LOG_NAME).exists()
    finally:
        if not kept:
            shutil.rmtree(directory, ignore_errors=True)
    folder = here()
    near = directory.is_relative_to(folder)
    run = os.path.relpath(directory, folder) if near else str(directory)
    duration_s = round(time.monotonic() - began, 3)
    return CaseReport(name=name, duration_s=duration_s, failed=failed, run=run if kept else "")


def _request(spec: LoadedSpec, plan: Plan, name: str, directory: Path) -> RunRequest:
    case = spec.document.tests[name]
    files = {
        queue: read_items(spec.project_dir / given.file)
        for queue, given in case.give.items()
        if isinstance(given, Given) and given.file is not None
    }
    varied = plan_of_case(spec, plan, name, files, this_machine())
    options = Options(
        run_dir=directory,
        output=OutputMode.NONE,
        json_output=True,
        quiet=True,
        progress=ProgressMode.NONE,
        tapped=frozenset(case.expect.queues) & varied.queues.keys(),
    )
    return RunRequest(
        plan=varied,
        source=spec.source,
        options=options,
        parent_pid=os.getpid(),
    )


def _failures(case: Case, plan: Plan, summary: Summary, directory: Path) -> Iterator[Failed]:
    """Yield all that is not as expected: first how the run went, for that explains the rest."""
    expect, kills = case.expect, kills_of(case.kill, directory)
    if summary.exit_code != expect.exit_code:
        why = f": {summary.reason}" if summary.reason else ""
        message = f"{summary.exit_code}, expected {expect.exit_code}{why}"
        yield Failed(about="exit code", message=message, hint=in_words(kills))
    for job, wanted in expect.jobs.items():
        found = summary.jobs.get(job)
        if found is None:
            yield Failed(about=f"job {job}", message="the case does not run it")
        elif found.status != wanted:
            why = f": {found.reason}" if found.reason else ""
            yield Failed(about=f"job {job}", message=f"{found.status}, expected {wanted}{why}")
    yield from missed(kills, plan)
    yield from _differences(case, plan, directory)
    yield from _missing_events(case, directory)


def _differences(case: Case, plan: Plan, directory: Path) -> Iterator[Failed]:
    queues, dead = case.expect.queues.items(), case.expect.dead.items()
    asks = [CaseQuestion(name=name, wanted=_wanted(expected)) for name, expected in queues]
    asks += [
        CaseQuestion(name=name, wanted=_wanted(expected), dead=True) for name, expected in dead
    ]
    if not asks:
        return
    recorded = directory / RECORDED_NAME
    request = Request(
        asks=tuple(asks),
        recorded=str(recorded) if recorded.exists() else "",
        dead=tuple(
            Dead(
                job=letter.job,
                path=str(directory / DEAD_NAME / letter.chunk),
                index=letter.index,
                packed=letter.packed,
            )
            for letter in read_letters(directory)
        ),
        project_dir=plan.project_dir,
        pythonpath=plan.pythonpath,
    )
    try:
        yield from map(_failed, compare(request))
    except TargetError as error:
        yield Failed(about="items", message=str(error), hint=error.hint)


def _wanted(expected: AnyExpected) -> ExpectedItems:
    if isinstance(expected, Expected):
        return ExpectedItems(**{key: getattr(expected, key) for key in Expected.model_fields})
    return (
        ExpectedItems(count=expected)
        if isinstance(expected, int)
        else ExpectedItems(equals=expected)
    )


def _failed(found: Difference) -> Failed:
    return Failed(
        about=f"dead letters of {found.name}" if found.dead else f"queue {found.name}",
        message=found.message,
        hint=found.hint,
        lines=tuple(Line(sign=line.sign.value, text=line.text) for line in found.lines),
    )


def _missing_events(case: Case, directory: Path) -> Iterator[Failed]:
    if not case.expect.log:
        return
    with LogReader(directory / LOG_NAME) as reader:
        events = [record for record in reader.available() if not isinstance(record, Damage)]
    for wanted in case.expect.log:
        if any(_has_fields(wanted, event) for event in events):
            continue
        name = wanted.get("event")
        near = [event for event in events if event["event"] == name]
        lines = [Line(sign="-", text=_in_words(wanted, wanted))]
        lines += [Line(sign="+", text=_in_words(event, wanted)) for event in near[:_MOST_EVENTS]]
        known = {entry.event for entry in CATALOGUE.values()}
        yield Failed(
            about="log",
            message="no such event" if near else f"no event {name}" if name else "no such event",
            hint=did_you_mean(name, known) if isinstance(name, str) and name not in known else "",
            lines=tuple(lines),
        )


def _has_fields(wanted: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    return all(key in event and matches(value, event[key]) for key, value in wanted.items())


def _in_words(event: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {event[key]}" for key in fields if key in event)


@dataclass(frozen=True, kw_only=True)
class Kills:
    """What was to happen to a job at its n-th item, `wanted` times, and did so often.

    `begun` is with how many items the job has begun in all.
    """

    job: str
    at_item: int
    wanted: int
    happened: int
    begun: int


def kills_of(kills: Sequence[Kill], directory: Path) -> list[Kills]:
    """Return what has come of these in the run in `directory`.

    Raises RunDirectoryError.
    """
    wanted = Counter((kill.job, kill.at_item) for kill in kills)
    begun = {job: read_begun(directory, job) for job, _ in wanted}
    return [
        Kills(
            job=job,
            at_item=at_item,
            wanted=n,
            happened=min(n, begun[job].times(at_item)),
            begun=len(begun[job]),
        )
        for (job, at_item), n in wanted.items()
    ]


def in_words(kills: Sequence[Kills]) -> str:
    """Return a word on who was killed by the case; empty if nobody was."""
    happened: Counter[str] = Counter()
    for each in kills:
        happened[each.job] += each.happened
    told = [f"{_workers(n)} of {job}" for job, n in happened.items() if n]
    return f"the case itself has killed {', '.join(told)}" if told else ""


def _workers(n: int) -> str:
    return "a worker" if n == 1 else f"{n} workers"


def missed(kills: Sequence[Kills], plan: Plan) -> Iterator[Failed]:
    """Yield the kills that have not happened."""
    for each in kills:
        if each.happened == each.wanted:
            continue
        began = "began" if plan.jobs[each.job].reads else "gave"
        item = f"its {_ordinal(each.at_item)} item"
        if not each.happened:
            message = f"{each.job} never {began} {item}: nothing was killed"
            hint = f"it {began} {each.begun or 'none'}"
        else:
            message = f"{each.job} {began} {item} {_times(each.happened)}"
            message += f", and was to be killed at it {_times(each.wanted)}"
            hint = "an item comes again only as often as `retry` has attempts"
        yield Failed(about="kill", message=message, hint=hint)


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _ordinal(n: int) -> str:
    teens = range(11, 14)
    ending = "th" if n % 100 in teens else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """The signal `signum` has asked for an end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class CaseStopper:
    """Called in the parent. Hears signals; `tell` is called in their handler with the first one.

    A run is in a process group of its own: what a terminal sends comes here alone, and once. The
    first signal terminates it, another one kills it (the guard takes two within 2 s for one),
    whichever they are: a test has nothing to finish. `signum` is the first, None without one.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self.signum: int | None = None
        self._tell = tell
        self._run: subprocess.Popen[bytes] | None = None
        self._raises = False

    def hearing(self) -> contextlib.AbstractContextManager[None]:
        """Hear signals in the context; what is ignored stays so.

        After one that ends, those that end are ignored: there is nothing left to end but the
        interpreter, and the exit code stays the same.
        """
        hear = {**dict.fromkeys(_ENDING, self._end), signal.SIGTSTP: self._pause}
        return hearing(hear, ignored_after=lambda s: self.signum is not None and s in _ENDING)

    def host(self, request: RunRequest) -> Summary:
        """Run the request in a child, to its end, and return how it went.

        Raises StoppedError after the end of the run if a signal was heard, else as `host` of
        `child_run.parent`.
        """
        asked = pickle.dumps(request)
        run = self._run = begin(process_group=0)
        try:
            if self.signum is not None:  # it was heard while the child was made
                run.terminate()
            written = attend(run, asked)
        finally:
            self._run = None
        self._check()
        return result_of(written)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Have the first signal raise StoppedError, wherever the code in here is."""
        self._raises = True
        try:
            self._check()
            yield
        finally:
            self._raises = False
        self._check()

    def _check(self) -> None:
        if self.signum is not None:
            raise StoppedError(self.signum)

    def _end(self, signum: int, _frame: object) -> None:
        first, self.signum = self.signum is None, self.signum or signum
        if self._run is not None:
            self._run.terminate()
        if first:
            self._tell(signum)
            if self._raises:
                raise StoppedError(signum)

    def _pause(self, _signum: int, _frame: object) -> None:
        pause_with(self._run)
