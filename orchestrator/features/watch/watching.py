"""`mporch run --watch`: what is looked at before each run, and what is said of it."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestrator.app import Options
from orchestrator.app.child_run.child import RunRequest
from orchestrator.console.checking import Checked, check_spec
from orchestrator.console.exits import exit_code_of
from orchestrator.console.layering import Layering
from orchestrator.console.printing import tell
from orchestrator.console.problems import show_checked
from orchestrator.console.selecting import Words
from orchestrator.errors import UsageError
from orchestrator.features.watch.watcher import WatchedState, Watcher
from orchestrator.files import is_file
from orchestrator.targets.code import Code, code_of

__all__ = ["watch_spec"]

_RUN = (sys.executable, "-P", "-m", "orchestrator.features.watch.child")


def watch_spec(spec: str, *, layering: Layering, chosen: Words, options: Options) -> int:
    """Run the spec, and again after each change, until it is interrupted; returns the exit code.

    Raises UsageError if watchfiles is not installed, or a file to watch is not there at first.
    """
    written = Code(files=frozenset(_files((spec, *layering.files, *layering.env_files))))
    code = Code()

    def look() -> WatchedState:
        nonlocal code
        checked = _checked(spec, layering, chosen)
        if checked is not None and checked.spec is not None:
            code = code_of(checked.spec)
        if checked is None or checked.spec is None or checked.plan is None:
            return WatchedState(code=code, request=None)
        request = RunRequest(
            plan=checked.plan,
            source=checked.spec.source,
            options=options,
            parent_pid=os.getpid(),
        )
        return WatchedState(code=code, request=pickle.dumps(request))

    watch = Watcher(look, _RUN, lambda line: tell(f"mporch: {line}"))
    return watch.until_interrupted(written)


def _files(names: Iterable[str]) -> Iterable[Path]:
    for name in names:
        if not is_file(name):
            raise UsageError(f"there is no file {name} to watch", hint="name the path of a spec")
        yield Path(name).absolute()


def _checked(spec: str, layering: Layering, chosen: Words) -> Checked | None:
    """Check the spec and show its problems; None if there are no such jobs in it, which is told."""
    found: list[Checked] = []

    def check() -> None:
        found.append(check_spec(spec, layering=layering, selection=chosen.selection()))
        show_checked(found[0])

    exit_code_of(check)
    return found[0] if found else None
