"""What to show of a job's arguments and variables that came from the environment."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.plan.draft import DraftJob
from orchestrator.spec import Spec
from orchestrator.spec.expand import scalars_of
from orchestrator.spec.nodes import Entry, Path

__all__ = ["shown_of"]

_KEYS = ("args", "kwargs", "env")


def shown_of(job: DraftJob, spec: Spec) -> tuple[tuple[Path, str], ...]:
    """Return the paths beneath a job of values from the environment, each with what to show.

    Only of what the job's processes are given: mporch says of all else what it does.
    """
    if not spec.environment:
        return ()
    return tuple(found for key in _KEYS for found in _shown_under(key, job, spec))


def _shown_under(key: str, job: DraftJob, spec: Spec) -> Iterator[tuple[Path, str]]:
    """Look where it was written: of `kwargs` and `env` each entry may be the job's or a default."""
    own = getattr(job.own, key) if key in job.own.model_fields_set else None
    if key == "args":
        yield from _scalars(spec, ("defaults",) if own is None else job.path(), (key,))
        return
    for name in getattr(job.settings, key):
        written = own is not None and name in own
        yield from _scalars(spec, job.path() if written else ("defaults",), (key, name))


def _scalars(spec: Spec, base: Path, path: Path) -> Iterator[tuple[Path, str]]:
    steps = list(spec.tree.walk((*base, *path)))
    if len(steps) < len(base) + len(path):
        return
    node = steps[-1].value if isinstance(steps[-1], Entry) else steps[-1]
    for inner, scalar in scalars_of(node, path):
        if scalar.shown is not None:
            yield inner, scalar.shown
