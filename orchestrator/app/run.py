"""One run, from its plan to its report; `_Record` hands each fact to log, dead letters, screen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from orchestrator.app.options import On, Options, Watch
from orchestrator.app.run_files import RunFiles
from orchestrator.core.durable.snapshot import StoredRun
from orchestrator.core.limits import Limits
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemKept,
    Logged,
    Notification,
    OutputLine,
    Progress,
    RunEnded,
    RunResumed,
    RunStarted,
    Warned,
)
from orchestrator.core.reporting import Summary
from orchestrator.core.samples import Header, header_of
from orchestrator.core.supervisor.policy import RunOutcome
from orchestrator.engine.conductor import Conductor
from orchestrator.engine.control_server import ControlServer
from orchestrator.engine.engine import Engine
from orchestrator.engine.local.engine import LocalEngine
from orchestrator.engine.node.guard import Shelter
from orchestrator.engine.node.process import ProcessFactory, factory_of_run
from orchestrator.engine.orders import Orders
from orchestrator.errors import ExitCode, RunDirectoryError
from orchestrator.files import here
from orchestrator.machine.cgroups import read_allowance
from orchestrator.machine.machine import this_machine
from orchestrator.opening.item_namer import ItemNamer
from orchestrator.plan.model import Plan
from orchestrator.rfc3339 import timestamp
from orchestrator.runlog.catalogue import describe
from orchestrator.runlog.directory import RunDirectory
from orchestrator.runlog.find import argument_for
from orchestrator.runlog.letters import read_letters
from orchestrator.runlog.reader import LogReader
from orchestrator.runlog.samples import SampleFiles
from orchestrator.views.output import OutputMode
from orchestrator.views.report import Digest, Report, render_report
from orchestrator.views.screen import Screen, settings_for
from orchestrator.views.tables import Paper

__all__ = ["run_to_report"]


@contextlib.contextmanager
def _resumable(directory: RunDirectory, *, durable: bool) -> Iterator[None]:
    """Say of a durable run that could not be written any more how to go on with it."""
    try:
        yield
    except RunDirectoryError as error:
        if not durable:
            raise
        command = f"mporch resume {argument_for(directory, here(), os.environ)}"
        hint = f"{error.hint}; then {command} goes on" if error.hint else f"to go on: {command}"
        raise type(error)(str(error), hint=hint) from error


def run_to_report(
    plan: Plan,
    options: Options,
    shelter: Shelter,
    run_files: RunFiles,
    *,
    factory: ProcessFactory | None = None,
    watch: Watch | None = None,
) -> int:
    """Called in the orchestrator. One run, to its report; returns its exit code.

    `factory` makes the workers of a run on this machine, None makes one. Who wants to `watch` is
    told. Raises RunDirectoryError.
    """
    if watch is not None:
        watch.begun(run_files.directory)
    with _resumable(run_files.directory, durable=plan.durability.keeps):
        return _run(plan, options, shelter, run_files, factory=factory, watch=watch)


def _run(
    plan: Plan,
    options: Options,
    shelter: Shelter,
    run_files: RunFiles,
    *,
    factory: ProcessFactory | None,
    watch: Watch | None,
) -> int:
    """One run, from its first worker to its report."""
    directory = run_files.directory
    started, began = time.time(), time.monotonic()
    with contextlib.ExitStack() as closing:
        closing.callback(run_files.close)
        namer = ItemNamer(plan)
        closing.callback(namer.close)
        header = _header(plan, directory, started)
        limits = Limits(header)
        screen = _screen(options, header, limits)
        closing.callback(screen.close)
        record = _Record(run_files, screen)
        control = _control(directory, header, limits)
        if control is not None:
            closing.callback(control.close)
        samples = SampleFiles(directory.path, header)
        closing.callback(samples.close)
        conductor = Conductor(
            plan,
            _engine(plan, options.on, shelter, run_files, factory),
            _orders(plan, options, directory),
            record,
            store=run_files.store,
            resumption=run_files.resumption,
            recorder=run_files.recorder,
            control=control,
            began=began,
            takers=(samples.add, limits.add, screen.update),
            namer=namer,
        )
        if run_files.resumption is not None:
            _recall(record.digest, directory, run_files.resumption.stored)
        record.notify(_started(plan, shelter, run_files, options.on, header), time.monotonic())
        conductor.run_to_end()
        run_files.keepsakes.settle(conductor.run.left_items())
        summary = _summary(conductor, plan, run_files, started, limits, dead_ok=options.dead_ok)
        for remark in (*_of_samples(samples), *conductor.run.warnings()):
            run_files.log.notify(remark)  # the report has the run's for the screen
        record.notify(_ended(summary), time.monotonic())
        directory.write_summary(summary)
    _report(summary, record.digest, directory, options, durable=plan.durability.keeps)
    if watch is not None:
        watch.ended(summary, conductor.run.left_items())
    return summary.code


def _orders(plan: Plan, options: Options, directory: RunDirectory) -> Orders:
    return Orders(
        plan,
        run_id=directory.run_id,
        run_dir=str(directory.path),
        draws=options.output is not OutputMode.NONE,
    )


def _of_samples(files: SampleFiles) -> Iterator[Warned]:
    """Tell that samples are missing, if any are."""
    if files.trouble:
        yield Warned(message=f"{files.dropped} samples could not be kept: {files.trouble}")


def _control(directory: RunDirectory, header: Header, limits: Limits) -> ControlServer | None:
    """Return what serves other terminals; None where its socket cannot be made: it is missed."""
    try:
        return ControlServer.listening(directory.path, header, limits.sentence)
    except OSError:
        return None


def _header(plan: Plan, directory: RunDirectory, started: float) -> Header:
    """Return what stands above the run's samples: the plan, and the machine it runs on."""
    machine, allowance = this_machine(), read_allowance()
    return header_of(
        plan,
        run=directory.run_id,
        started=timestamp(started),
        pid=os.getpid(),
        processors=machine.processors,
        quota=allowance.cpus,
        memory=machine.memory_bytes,
        memory_limit=allowance.memory_bytes,
    )


def _engine(
    plan: Plan, on: On, shelter: Shelter, run_files: RunFiles, factory: ProcessFactory | None
) -> Engine:
    """Return where the run's workers live."""
    workers = sum(job.workers for job in plan.jobs.values())
    if on is On.AGENT:
        from orchestrator.engine.agents.engine import AgentsEngine  # noqa: PLC0415 -- few runs have it

        return AgentsEngine(
            run=run_files.directory.run_id,
            hash_seed=run_files.hash_seed,
            workers=workers,
            directory=shelter.directory,
            told=shelter.told,
        )
    made = factory or factory_of_run(
        directory=shelter.directory, hash_seed=run_files.hash_seed, workers=workers
    )
    return LocalEngine(made, told=shelter.told)


def _recall(digest: Digest, directory: RunDirectory, stored: StoredRun) -> None:
    """Take into the report what the run's lives before have kept, and what they have skipped."""
    for letter in read_letters(directory.path):
        failure = Failure(
            kind=letter.error_type,
            message=letter.error,
            where=letter.where,
            item_name=letter.item_name,
        )
        digest.dead_before(letter.job, letter.item, failure)
    with LogReader(directory.log_path) as log:
        counts = {name: job.skipped for name, job in stored.jobs.items()}
        digest.skipped_before(counts, log.having("item.skipped"))


def _screen(options: Options, header: Header, limits: Limits) -> Screen:
    settings = settings_for(
        output=options.output,
        json_output=options.json_output,
        progress=options.progress,
        stderr=sys.stderr,
        environ=os.environ,
    )
    settings = dataclasses.replace(settings, news=not options.quiet)
    return Screen(settings, describe, header, sentence=limits.sentence)


class _Record:
    """The observer of a run: its log, its screen, and what its report will tell."""

    def __init__(self, run_files: RunFiles, screen: Screen) -> None:
        self.digest = Digest()
        self._log = run_files.log
        self._letters = run_files.letters
        self._keepsakes = run_files.keepsakes
        self._screen = screen

    @property
    def backed_up(self) -> bool:
        return self._screen.backed_up

    @property
    def pending(self) -> bool:
        return self._log.pending or self._screen.pending

    @property
    def unwritten(self) -> Collection[int]:
        return self._screen.unwritten

    def notify(self, fact: Notification | Progress, now: float) -> None:
        if isinstance(fact, OutputLine | Logged):  # by far the most
            self._log.add(fact)
            self._screen.output(fact, now)
            return
        if isinstance(fact, Progress):
            self._screen.progress(fact, now)
            return
        if isinstance(fact, ItemDead):
            self._letters.add(fact, time.time())
        elif isinstance(fact, ItemKept):
            self._keepsakes.add(fact, time.time())
        self._log.add(fact)
        self._screen.notify(fact, now)
        self.digest.notify(fact)

    def commit(self) -> None:
        if self._log.urgent:
            self._log.flush()

    def flush(self) -> None:
        self._screen.flush()
        self._log.flush()


def _started(
    plan: Plan, shelter: Shelter, run_files: RunFiles, on: On, header: Header
) -> Notification:
    about: dict[str, Any] = {
        "name": plan.name,
        "spec": plan.spec_path,
        "python": f"{platform.python_version()} ({sys.executable})",
        "pid": os.getpid(),
        "protection": shelter.layers,
        "left_out": plan.selection.left_out or None,
        "unread": tuple(name for name, q in plan.queues.items() if not q.readers) or None,
        "on": None if on is On.LOCAL else on.value,
        "processors": header.processors,
        "quota": header.quota,
        "memory": header.memory,
        "memory_limit": header.memory_limit,
    }
    if run_files.resumption is None:
        return RunStarted(**about)
    stored = run_files.resumption.stored
    return RunResumed(
        **about,
        queued=sum(len(part) for queue in stored.queues.values() for part in queue.held),
        again=sum(
            len(part)
            for worker in stored.workers.values()
            for parts in worker.redelivered.values()
            for part in parts
        ),
        jobs_done=tuple(stored.jobs_done),
        lost=run_files.lost,
    )


def _ended(summary: Summary) -> RunEnded:
    return RunEnded(status=summary.status, exit_code=summary.code, duration_s=summary.duration_s)


def _summary(
    conductor: Conductor,
    plan: Plan,
    run_files: RunFiles,
    started: float,
    limits: Limits,
    *,
    dead_ok: bool,
) -> Summary:
    run, ended = conductor.run, time.time()
    duration_s = round(ended - started, 6)
    jobs, queues = run.job_summaries(conductor.sampler.newest), run.ledgers()
    outcome = run.outcome or RunOutcome(status="failed", exit_code=ExitCode.BUG)
    if conductor.survivors and outcome.exit_code is ExitCode.OK:
        reason = f"{len(conductor.survivors)} of its processes could not be killed"
        outcome = RunOutcome(status="failed", exit_code=ExitCode.FAILED, reason=reason)
    left = {name: ledger.left for name, ledger in queues.items() if ledger.left}
    if left and outcome.exit_code is ExitCode.OK:
        named = ", ".join(f"{n} of {name}" for name, n in left.items())
        outcome = RunOutcome(
            status="failed", exit_code=ExitCode.FAILED, reason=f"items were left: {named}"
        )
    bottlenecks = limits.found()
    dead = {name: ledger.dead for name, ledger in queues.items() if ledger.dead}
    if dead and outcome.exit_code is ExitCode.OK:
        named = ", ".join(f"{n} of {name}" for name, n in dead.items())
        code = ExitCode.OK if dead_ok else ExitCode.DEAD_LETTERS
        outcome = RunOutcome(status="succeeded", exit_code=code, reason=f"dead letters: {named}")
    return Summary(
        run=run_files.directory.run_id,
        name=plan.name,
        status=outcome.status,
        exit_code=int(outcome.exit_code),
        started=timestamp(started),
        ended=timestamp(ended),
        duration_s=duration_s,
        jobs=jobs,
        queues=queues,
        bottleneck=bottlenecks[0].job if bottlenecks else None,
        bottlenecks=bottlenecks,
        warnings=(*_losses(run_files), *(remark.message for remark in run.warnings())),
        reason=outcome.reason,
        selection=plan.selection or None,
        first_started=run_files.first_started,
        survivors=conductor.survivors,
    )


def _losses(run_files: RunFiles) -> Iterator[str]:
    if run_files.lost:
        yield f"what the run had kept was damaged: {'; '.join(run_files.lost)}"


def _report(
    summary: Summary, digest: Digest, directory: RunDirectory, options: Options, *, durable: bool
) -> None:
    folder = here()
    report = Report(
        summary=summary,
        digest=digest,
        log=os.path.relpath(directory.log_path, folder),
        argument=argument_for(directory, folder, os.environ),
        durable=durable,
    )
    paper = Paper.of(sys.stderr)
    if not options.quiet:
        with contextlib.suppress(OSError):  # its reader is gone; how the run went stays the same
            sys.stderr.write(render_report(report, paper))
    if options.json_output:
        sys.stdout.write(json.dumps(msgspec.to_builtins(summary)) + "\n")
