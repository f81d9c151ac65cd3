"""The Python API: load a spec, look at its plan, run it.

>>> import orchestrator
>>> result = orchestrator.load("jobs.yaml").run(output="none")  # doctest: +SKIP
>>> bool(result), result.queues["files"].done  # doctest: +SKIP
(True, 1612)
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator import spec as spec_floor
from orchestrator.app.child_run.child import RunRequest
from orchestrator.app.child_run.parent import host
from orchestrator.app.options import Options
from orchestrator.core.protocol.notifications import Ledger
from orchestrator.core.reporting import JobSummary, Summary
from orchestrator.errors import Problem, UsageError
from orchestrator.free_threading import refuse_free_threading
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import Plan, Selection
from orchestrator.plan.select import select
from orchestrator.runlog.directory import home_of
from orchestrator.views.output import OutputMode, ProgressMode

__all__ = ["RunResult", "Spec", "load"]


_EVERYTHING = Selection()


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class RunResult:
    """How a run went; true if it was a success (exit code 0).

    `summary` is what `summary.json` holds, durations in seconds; `run_dir` is the run's directory.
    """

    summary: Summary
    run_dir: Path

    def __bool__(self) -> bool:
        return self.summary.exit_code == 0

    def __repr__(self) -> str:
        return (
            f"RunResult(name={self.summary.name!r}, status={self.status!r}, "
            f"exit_code={self.exit_code}, jobs={len(self.jobs)}, run_dir={str(self.run_dir)!r})"
        )

    @property
    def exit_code(self) -> int:
        """The exit code that `mporch run` ends with: 0, 1, 3, 124, 129, 130 or 143."""
        return self.summary.code

    @property
    def status(self) -> str:
        """`succeeded`, `failed`, `timed_out` or `interrupted`."""
        return self.summary.status

    @property
    def reason(self) -> str:
        """Return why it was no success, in one line; empty if it was one."""
        return self.summary.reason

    @property
    def jobs(self) -> Mapping[str, JobSummary]:
        """Each job by name: status, exit codes, items in and out, seconds busy and waiting."""
        return self.summary.jobs

    @property
    def queues(self) -> Mapping[str, Ledger]:
        """Each queue's ledger by name, in items: put = done + skipped + dropped + dead + left."""
        return self.summary.queues

    @property
    def log_path(self) -> Path:
        """The run's log: one JSON object a line (docs/log.md)."""
        return self.run_dir / "log.jsonl"


@dataclasses.dataclass(frozen=True, repr=False)
class Spec:
    """A spec that was loaded; nothing of the user's code has run."""

    _document: spec_floor.LoadedSpec
    _selection: Selection = _EVERYTHING

    def __repr__(self) -> str:
        jobs = len(self._document.document.jobs)
        return f"Spec(name={self.name!r}, path={self.path!r}, jobs={jobs})"

    @property
    def name(self) -> str:
        """The pipeline's name: as written, else the name of the spec's folder."""
        return self._document.name

    @property
    def path(self) -> str:
        """The file, as it was named to `load`."""
        return self._document.path

    def select(self, *jobs: str, tags: Iterable[str] = (), skip: Iterable[str] = ()) -> Spec:
        """Return the spec of which only these jobs run, and those with one of `tags`.

        They run with what they need: the writers of their inputs, and the jobs they are `after`.
        What nobody then reads is dropped and counted. Those in `skip` do not run; with no other
        choice, all the others do. An earlier choice counts no more.
        """
        return Spec(self._document, Selection(jobs=tuple(jobs), tags=tuple(tags), skip=tuple(skip)))

    def plan(self) -> Plan:
        """Check the spec and return what would run: a frozen graph of jobs and queues.

        Raises:
            SpecError: with every problem of the spec, each with file:line:column.
            UsageError: there are no such jobs as were selected.

        """
        compiled = compile_spec(self._document, this_machine())
        return select(compiled.plan, self._selection, disabled=compiled.disabled).plan

    def warnings(self) -> tuple[Problem, ...]:
        """Problems that do not keep the spec from running; raises as `plan`."""
        return compile_spec(self._document, this_machine()).warnings

    def run(
        self, *, run_dir: str | os.PathLike[str] | None = None, output: str = "prefixed"
    ) -> RunResult:
        """Run the pipeline to its end and return how it went.

        The run's processes are descendants of one child of this process; when this process ends,
        they do. What targets print goes to standard error (`output`: prefixed, raw or none) and to
        the log. Ctrl-C drains the run, twice terminates it; KeyboardInterrupt is raised after it.
        So is any other exception that comes into it from outside, which terminates it at once.

        Args:
            run_dir: the run's own directory, new or empty; else one under the project's `.mporch`.
            output: how to show what targets print.

        Raises:
            SpecError: the spec is wrong; nothing has started.
            UsageError: the machine's limits do not allow so many workers, `output` is no mode,
                there are no such jobs as were selected, this Python is free-threaded, or the run
                directory belongs to another user.
            RunDirectoryError: the run directory cannot be made or written.
            SystemRefusedError: the system has no memory or no process for mporch itself.

        """
        refuse_free_threading()
        plan = self.plan()
        if run_dir is not None and not os.fspath(run_dir):
            raise UsageError("run_dir is empty", hint="None is a directory under .mporch")
        options = Options(
            run_dir=Path(run_dir).absolute() if run_dir is not None else None,
            output=_mode(output),
            json_output=True,
            quiet=True,
            progress=ProgressMode.NONE,
        )
        request = RunRequest(
            plan=plan, source=self._document.source, options=options, parent_pid=os.getpid()
        )
        summary = host(request)
        home = home_of(Path(plan.project_dir), os.environ)
        return RunResult(summary=summary, run_dir=options.run_dir or home / "runs" / summary.run)


def load(path: str | os.PathLike[str]) -> Spec:
    """Read a spec: a path, or `-` for standard input.

    Keys and values that are wrong are reported by `Spec.plan`, together with all other problems.

    Raises:
        SpecError: the file cannot be read, is no YAML or no mapping.

    """
    return Spec(spec_floor.load(os.fspath(path)))


def _mode(output: str) -> OutputMode:
    try:
        return OutputMode(output)
    except ValueError:
        modes = ", ".join(mode.value for mode in OutputMode)
        raise UsageError(f"output is one of {modes}, not {output!r}") from None
