"""Checks of specs for the commands, and their problems with the lines that they are in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.console.options import NOTHING_LAID_OVER, Layering
from orchestrator.console.printing import tell
from orchestrator.errors import Problem, Severity, SpecError
from orchestrator.files import is_file
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec, with_bounds_of
from orchestrator.plan.model import Plan, Selection
from orchestrator.plan.select import select
from orchestrator.spec import Layers, LoadedSpec, load, loads
from orchestrator.spec.compose.variables import environment_of
from orchestrator.spec.wording import listed
from orchestrator.views.problems import render_pointer, render_problems
from orchestrator.views.tables import Paper

__all__ = ["Checked", "Kept", "check_imports", "check_spec", "show_checked", "show_problems"]


_EVERYTHING = Selection()


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A spec that was checked: its plan unless it has errors, and all its problems.

    `spec` is there if it could be read at all.

    `texts` holds the spec's text by the name its problems know it by; `remarks` say what follows
    from a choice of jobs.
    """

    name: str
    spec: LoadedSpec | None = None
    plan: Plan | None = None
    problems: tuple[Problem, ...] = ()
    remarks: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """Return how many problems keep it from running."""
        return sum(problem.severity is Severity.ERROR for problem in self.problems)

    def ok(self, *, strict: bool = False) -> bool:
        """True if it would run; if `strict`, without a warning too."""
        return self.plan is not None and not (strict and self.problems)

    def verdict(self, *, strict: bool = False) -> str:
        """Return one line that sums up."""
        warnings = len(self.problems) - self.errors
        kinds = ((self.errors, "error"), (warnings, "warning"))
        told = [_counted(n, word) for n, word in kinds if n]
        if self.plan is None or not self.ok(strict=strict):
            return f"{self._where()}: {', '.join(told)}"
        size = f"{_counted(len(self.plan.jobs), 'job')}, {_counted(len(self.plan.queues), 'queue')}"
        return f"{self.name}: ok, {', '.join([size, *told])}"

    def _where(self) -> str:
        """Return the spec's name, with what else of the command line the problems are in."""
        files = dict.fromkeys(problem.file for problem in self.problems)
        others = [file for file in files if file not in (self.name, "<stdin>")]
        return f"{self.name} with {listed(others, last='and')}" if others else self.name

    def as_data(self, *, strict: bool = False) -> dict[str, Any]:
        """Return what `validate --format json` prints of it."""
        return {
            "spec": self.name,
            "ok": self.ok(strict=strict),
            "errors": self.errors,
            "warnings": len(self.problems) - self.errors,
            "problems": [_data(p) for p in self.problems],
        }


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The spec that a run has kept, and its plan."""

    text: bytes
    plan: Plan


def check_imports(checked: Checked, *, timeout_s: float) -> Checked:
    """Import the targets of a spec in which nothing else is wrong; return all problems there are.

    Each module has `timeout_s`.
    """
    if checked.spec is None or checked.plan is None:
        return checked
    from orchestrator.app.import_check.problems import import_problems  # noqa: PLC0415 -- brings the engine
    from orchestrator.plan.checks.targets import imported_targets  # noqa: PLC0415

    wanted = imported_targets(checked.spec, checked.plan, this_machine())
    found = import_problems(checked.spec, wanted, timeout_s=timeout_s)
    told = dict.fromkeys([*checked.problems, *found])
    problems = sorted(told, key=lambda problem: (problem.file, problem.line, problem.column))
    broken = any(problem.severity is Severity.ERROR for problem in problems)
    return replace(checked, plan=None if broken else checked.plan, problems=tuple(problems))


def check_spec(
    name: str,
    *,
    layering: Layering = NOTHING_LAID_OVER,
    selection: Selection = _EVERYTHING,
    kept: Kept | None = None,
) -> Checked:
    """Check the spec at `name`, or standard input for `-`; never raises SpecError.

    `layering` has the values and variables that the user gave on the command line, `selection` the
    jobs: the whole spec is checked, the plan is that of these. Raises UsageError if there are none.
    Of one that a run has `kept` the text is there, and its plan tells the spec's own place, and
    what was chosen of it.
    """
    layers = Layers(files=layering.files, variables=layering.variables, settings=layering.settings)
    texts: Mapping[str, str] = layers.texts
    spec: LoadedSpec | None = None
    try:
        environ = environment_of(layering.env_files, os.environ)
        if kept is None:
            spec = load(name, environ=environ, layers=layers)
        else:
            spec = loads(
                kept.text,
                name=name,
                project_dir=kept.plan.project_dir,
                environ=environ,
                layers=layers,
            )
            spec = replace(spec, file=Path(kept.plan.spec_path), layers=kept.plan.layers)
        texts = spec.texts
        compiled = compile_spec(spec, this_machine())
    except SpecError as error:
        return Checked(name=name, spec=spec, problems=error.problems, texts=texts)
    plan, wanted = compiled.plan, selection
    if kept is not None:
        plan, wanted = with_bounds_of(plan, kept.plan, spec), kept.plan.selection
    selected = select(plan, wanted, disabled=compiled.disabled)
    return Checked(
        name=name,
        spec=spec,
        plan=selected.plan,
        problems=compiled.warnings,
        remarks=selected.remarks,
        texts=texts,
    )


def _data(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "width": problem.width,
        "code": problem.code,
        "severity": problem.severity.value,
        "message": problem.message,
        "hint": problem.hint,
        "path": problem.path,
        "traceback": problem.traceback,
    }


def _counted(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


_MOST_BYTES = 1 << 20


def show_checked(checked: Checked) -> None:
    """Print the problems of a spec, and what follows from the choice of its jobs."""
    show_problems(checked.problems, checked.texts)
    for remark in checked.remarks:
        tell(f"mporch: {remark}")


def show_problems(problems: Iterable[Problem], texts: Mapping[str, str] | None = None) -> None:
    """Print the problems; `texts` has specs that were read already, by the name of their file."""
    problems = tuple(problems)
    if not problems:
        return
    sources = {problem.file: "" for problem in problems}
    for name in sources:
        sources[name] = (texts or {}).get(name) or _text_of(Path(name))
    paper = Paper.of(sys.stderr)
    text = render_problems(problems, sources, paper) + render_pointer(problems)
    print(text, end="", file=sys.stderr)


def _text_of(path: Path) -> str:
    """Return the file's text again; nothing if it is not a file of text any more, nor was one."""
    try:
        if is_file(path) and path.stat().st_size <= _MOST_BYTES:
            return path.read_text("utf-8-sig", "replace")
    except (OSError, ValueError):
        return ""
    return ""
