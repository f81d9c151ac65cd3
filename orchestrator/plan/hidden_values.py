"""Hidden and unknown values of a job: those from the environment, and those not known yet."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.plan.model import LateName, LateValue
from orchestrator.plan.resolved_spec import ResolvedJob, node_at
from orchestrator.spec import LoadedSpec
from orchestrator.spec.compose.layers import laid_over
from orchestrator.spec.model import TEXTS
from orchestrator.spec.yaml.nodes import (
    Path,
    ScalarNode,
    StartVar,
    scalars_of,
)

__all__ = [
    "is_late_at",
    "late_of",
    "shown_at",
    "shown_beneath",
    "shown_of",
    "shown_within",
]

_KEYS = ("command", "args", "kwargs", "env", *TEXTS)
_BY_NAME = ("kwargs", "env")


def shown_of(job: ResolvedJob, spec: LoadedSpec) -> tuple[tuple[Path, str], ...]:
    """Return the paths beneath a job of values from the environment, each with what to show.

    Only of texts: numbers and times that mporch goes by are told as they are.
    """
    return tuple(found for key in _KEYS for found in shown_beneath(key, job, spec))


def shown_beneath(key: str, job: ResolvedJob, spec: LoadedSpec) -> Iterator[tuple[Path, str]]:
    """Yield those of one key of a job; of a command also what else is not told as it is read."""
    if not spec.environment and key != "command":
        return
    for path, scalar in _given(key, job, spec):
        if scalar.shown is not None:
            yield path, scalar.shown


def shown_within(spec: LoadedSpec, at: Path, path: Path) -> tuple[tuple[Path, str], ...]:
    """Return those beneath `at` of the spec, whatever that is, as if it were `path` of a job."""
    if not spec.environment:
        return ()
    node = node_at(spec.tree, at)
    found = () if node is None else scalars_of(node, path)
    return tuple((inner, scalar.shown) for inner, scalar in found if scalar.shown is not None)


def late_of(job: ResolvedJob, spec: LoadedSpec) -> tuple[LateValue, ...]:
    """Return the values beneath a job that are known only when a worker starts."""
    return tuple(
        LateValue(path=path, pieces=tuple(map(_piece, scalar.late)))
        for key in _KEYS
        for path, scalar in _given(key, job, spec)
        if scalar.late
    )


def _piece(piece: str | StartVar) -> str | LateName:
    return piece if isinstance(piece, str) else LateName(name=piece.value)


def shown_at(spec: LoadedSpec, path: Path) -> str | None:
    """Return what to show of the value at `path` of the spec if the environment has given it."""
    node = node_at(spec.tree, path)
    return node.shown if isinstance(node, ScalarNode) else None


def is_late_at(spec: LoadedSpec, path: Path) -> bool:
    """True if the value at `path` of the spec is known only when a worker starts."""
    node = node_at(spec.tree, path)
    return isinstance(node, ScalarNode) and bool(node.late)


def _given(key: str, job: ResolvedJob, spec: LoadedSpec) -> Iterator[tuple[Path, ScalarNode]]:
    """Yield what a key gives to a worker, each value with its path beneath the job.

    Of `kwargs` and `env` each entry, and each in it, may be the job's or a default.
    """
    if job.path(key) in spec.nulls:
        return
    own, below = node_at(spec.tree, job.path(key)), node_at(spec.tree, ("defaults", key))
    if own is not None and below is not None and key in _BY_NAME:
        own = laid_over(below, own)
    node = below if own is None else own
    if node is not None:
        yield from scalars_of(node, (key,))
