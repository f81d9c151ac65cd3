"""Compiled modules: those that mypyc makes extension modules of, and the form of this copy.

`setup.py` reads the lists; it runs this file without the package. Modules that define classes of
msgspec or pydantic, or named tuples, are not to be here: compiled, a Struct loses its tag and its
options without a word. Source: docs/decisions/0041-compiled.md.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

__all__ = [
    "DEFAULT",
    "FULL",
    "NOT_COMPILED",
    "form",
    "form_in_words",
    "is_compiled_source",
    "why_pure",
]

DEFAULT = (
    "orchestrator.core.broker.bounds",
    "orchestrator.core.broker.broker",
    "orchestrator.core.broker.chunks",
    "orchestrator.core.broker.clients",
    "orchestrator.core.broker.commits",
    "orchestrator.core.broker.credits",
    "orchestrator.core.broker.lease",
    "orchestrator.core.broker.leasing",
    "orchestrator.core.broker.meters",
    "orchestrator.core.broker.observers",
    "orchestrator.core.broker.outcomes",
    "orchestrator.core.broker.outputs",
    "orchestrator.core.broker.queue",
    "orchestrator.core.broker.room",
    "orchestrator.core.broker.state",
    "orchestrator.core.run",
    "orchestrator.ipc.wire",
    "orchestrator.worker.acks",
    "orchestrator.worker.blocks",
    "orchestrator.worker.chunks",
    "orchestrator.worker.client",
    "orchestrator.worker.commits",
    "orchestrator.worker.connection",
    "orchestrator.worker.credits",
    "orchestrator.worker.handle",
    "orchestrator.worker.item_calls",
    "orchestrator.worker.lease",
    "orchestrator.worker.outbox",
    "orchestrator.worker.service",
    "orchestrator.worker.window",
)
"""What pays most for the time it takes to compile it."""

FULL = (
    *DEFAULT,
    "orchestrator.core.broker.end_of_stream",
    "orchestrator.core.broker.liveness",
    "orchestrator.core.broker.ordered",
    "orchestrator.core.broker.queries",
    "orchestrator.core.broker.ratelimit",
    "orchestrator.core.broker.reorder",
    "orchestrator.core.reasons",
    "orchestrator.core.retry",
    "orchestrator.core.supervisor.failures",
    "orchestrator.core.supervisor.scheduler",
    "orchestrator.core.supervisor.shutdown",
    "orchestrator.core.supervisor.supervisor",
    "orchestrator.core.supervisor.timers",
    "orchestrator.core.supervisor.transitions",
    "orchestrator.core.supervisor.workers",
    "orchestrator.engine.channels",
    "orchestrator.features.standalone.acks",
    "orchestrator.features.standalone.server",
    "orchestrator.worker.faulty_link",
    "orchestrator.worker.link",
    "orchestrator.worker.replay",
    "orchestrator.worker.single_call",
    "orchestrator.worker.transaction",
)

NOT_COMPILED = "not_compiled.txt"
"""In the package of a copy that was to be compiled and was not: the reason."""

_SOURCES = frozenset(name.replace(".", "/") + ".py" for name in FULL)
_FOLDER = Path(__file__).parent


def form() -> str:
    """Return the form of this copy: `full`, `default`, `pure`, or `partly` if it is none of them.

    It is told by the files that Python would import.
    """
    there = {name for name in FULL if _is_extension(name)}
    forms = {frozenset(FULL): "full", frozenset(DEFAULT): "default", frozenset[str](): "pure"}
    return forms.get(frozenset(there), "partly")


def form_in_words(of: str) -> str:
    """Return a form as a user is told it: first whether it is compiled, then how much of it."""
    return {"pure": "pure Python", "partly": "partly compiled"}.get(of, f"compiled ({of})")


def why_pure() -> str:
    """Return why this copy was not compiled though it was to be; or empty."""
    try:
        return (_FOLDER / NOT_COMPILED).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def is_compiled_source(filename: str) -> bool:
    """True for the file that a frame of a compiled module names: it is relative."""
    return filename in _SOURCES


def _is_extension(name: str) -> bool:
    path = _FOLDER.joinpath(*name.split(".")[1:])
    return any(path.with_name(path.name + suffix).is_file() for suffix in EXTENSION_SUFFIXES)
