"""Facts about jobs and queues that cannot be told, as a part of the text made no sense. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestrator.spec import Spec
from orchestrator.spec.model import Document, Job, JobSettings
from orchestrator.spec.nodes import Entry, Node, Path, scalars_of

__all__ = ["Unclear", "broken_jobs", "unclear_of"]

_PROVE_NOTHING = frozenset(
    {
        "after",
        "batch",
        "cwd",
        "description",
        "capture",
        "exit_codes",
        "join",
        "limits",
        "on_error",
        "ordered",
        "rate",
        "recycle",
        "retry",
        "start_method",
        "tags",
        "terminate",
        "timeouts",
        "tty",
        "workers",
    }
)
"""Keys of a job that no rule takes for absent where they are only wrong."""
_LEAVE_JOBS_WHOLE = JobSettings.model_fields.keys() - {"args", "kwargs", "call", "daemon"}
"""Keys of `defaults` that may be wrong without any job being called otherwise."""


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """Which ends of queues cannot be told to be missing.

    `reads`: some job reads from a queue that nobody knows; `writes`: one writes to such a queue.
    `queues` are named in what made no sense, so they may have been meant there.
    """

    reads: bool = False
    writes: bool = False
    queues: frozenset[str] = frozenset()


def broken_jobs(spec: Spec) -> frozenset[str]:
    """Return the jobs of which something was not understood that rules may ask for."""
    found: set[str] = set()
    for path in {*spec.wrong, *spec.unresolved}:
        section, *rest = path or ("",)
        if section == "jobs" and rest and not _PROVE_NOTHING.intersection(rest[1:2]):
            found.add(str(rest[0]))
        elif section == "defaults" and not _LEAVE_JOBS_WHOLE.issuperset(rest[:1]):
            found.update(spec.names("jobs"))
    return frozenset(found)


def unclear_of(spec: Spec) -> Unclear:
    """Return which ends of queues are unclear, of all that was not understood."""
    lost = {name for name in spec.names("jobs") if name not in spec.document.jobs}
    places = {*spec.wrong, *spec.unresolved, *(("jobs", name) for name in lost)}
    found = [_unclear_at(spec, path, lost) for path in places]
    return Unclear(
        reads=any(each.reads for each in found),
        writes=any(each.writes for each in found),
        queues=frozenset().union(*(each.queues for each in found)),
    )


def _unclear_at(spec: Spec, path: Path, lost: Collection[str]) -> Unclear:
    section, *rest = path or ("",)
    if section == "jobs" and len(rest) > 1:
        key = rest[1]
        named = set() if key in Job.model_fields else _texts(spec, path)
        return Unclear(reads=key == "input", writes=key == "output", queues=frozenset(named))
    if section == "jobs" and rest and rest[0] in lost and (named := _texts(spec, path)):
        return Unclear(queues=frozenset(named))
    if section in ("", "jobs") or str(section).startswith("x-"):
        return Unclear(reads=True, writes=True)
    named = set() if section in Document.model_fields else _texts(spec, path)
    return Unclear(queues=frozenset(named))


def _texts(spec: Spec, path: Path) -> set[str]:
    """Return the texts that stand at `path` and below."""
    steps = list(spec.tree.walk(path))
    if len(steps) < len(path):
        return set()
    node = steps[-1].value if isinstance(steps[-1], Entry) else steps[-1]
    return set(_strings(node))


def _strings(node: Node) -> Iterator[str]:
    for _, scalar in scalars_of(node):
        if isinstance(scalar.value, str):
            yield scalar.value
