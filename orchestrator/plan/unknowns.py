"""Unknowns of jobs and queues: what cannot be told, as a part of the text made no sense. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestrator.spec import LoadedSpec
from orchestrator.spec.model import Document, Job, JobSettings
from orchestrator.spec.yaml.nodes import Entry, MappingNode, Node, Path, scalars_of

__all__ = ["Unknowns", "broken_jobs", "unclear_of"]

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
class Unknowns:
    """Which queues, and which ends of queues, cannot be told to be missing.

    `reads`: some job reads from a queue that nobody knows; `writes`: one writes to such a queue.
    `queues` are named in what made no sense, so they may have been meant there; `declared` are
    those that may be declared there, and `declares` says that all may be.
    """

    reads: bool = False
    writes: bool = False
    queues: frozenset[str] = frozenset()
    declares: bool = False
    declared: frozenset[str] = frozenset()

    def may_declare(self, queue: str) -> bool:
        """True if what made no sense may be the declaration of a queue."""
        return self.declares or queue in self.declared


def broken_jobs(spec: LoadedSpec) -> frozenset[str]:
    """Return the jobs of which something was not understood that rules may ask for."""
    found: set[str] = set()
    for path in {*spec.wrong, *spec.unresolved}:
        section, *rest = path or ("",)
        if section == "jobs" and rest and not _PROVE_NOTHING.intersection(rest[1:2]):
            found.add(str(rest[0]))
        elif section == "defaults" and not _LEAVE_JOBS_WHOLE.issuperset(rest[:1]):
            found.update(spec.names("jobs"))
    return frozenset(found)


def unclear_of(spec: LoadedSpec) -> Unknowns:
    """Return which ends of queues are unclear, of all that was not understood."""
    lost = {name for name in spec.names("jobs") if name not in spec.document.jobs}
    places = {*spec.wrong, *spec.unresolved, *(("jobs", name) for name in lost)}
    found = [_unclear_at(spec, path, lost) for path in places]
    return Unknowns(
        reads=any(each.reads for each in found),
        writes=any(each.writes for each in found),
        queues=frozenset().union(*(each.queues for each in found)),
        declares=("queues",) in places,
        declared=frozenset().union(*(_declared_at(spec, path) for path in places)),
    )


def _unclear_at(spec: LoadedSpec, path: Path, lost: Collection[str]) -> Unknowns:
    section, *rest = path or ("",)
    if section == "jobs" and len(rest) > 1:
        key = rest[1]
        named = set() if key in Job.model_fields else _texts(spec, path)
        return Unknowns(reads=key == "input", writes=key == "output", queues=frozenset(named))
    if section == "jobs" and len(rest) == 1 and _is_no_job(spec, path):
        return Unknowns(reads=True, writes=True)
    if section == "jobs" and rest and rest[0] in lost and (named := _texts(spec, path)):
        return Unknowns(queues=frozenset(named))
    if section in ("", "jobs") or str(section).startswith("x-"):
        return Unknowns(reads=True, writes=True)
    named = set() if section in Document.model_fields else _texts(spec, path)
    return Unknowns(queues=frozenset(named))


def _declared_at(spec: LoadedSpec, path: Path) -> set[str]:
    """Return the names that a section has which is not known: it may be meant for `queues`."""
    if len(path) != 1 or path[0] in Document.model_fields:
        return set()
    node = _node_at(spec, path)
    keys = node.entries if isinstance(node, MappingNode) else ()
    return {*_texts(spec, path), *(key for key in keys if isinstance(key, str))}


def _is_no_job(spec: LoadedSpec, path: Path) -> bool:
    """True if a text or a list stands where a job belongs; not: a key of the job above it."""
    node = _node_at(spec, path)
    return path[-1] not in Job.model_fields and not isinstance(node, MappingNode)


def _node_at(spec: LoadedSpec, path: Path) -> Node | None:
    steps = list(spec.tree.walk(path))
    if not steps or len(steps) < len(path):
        return None
    return steps[-1].value if isinstance(steps[-1], Entry) else steps[-1]


def _texts(spec: LoadedSpec, path: Path) -> set[str]:
    """Return the texts that stand at `path` and below."""
    node = _node_at(spec, path)
    return set() if node is None else set(_strings(node))


def _strings(node: Node) -> Iterator[str]:
    for _, scalar in scalars_of(node):
        if isinstance(scalar.value, str):
            yield scalar.value
