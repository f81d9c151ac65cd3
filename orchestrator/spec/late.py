"""Places for values that are known only at a start, allowed and not allowed. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.spec.atstart import AtStart
from orchestrator.spec.events import Flaw
from orchestrator.spec.nodes import Node, Path, scalars_of
from orchestrator.spec.rules import variables
from orchestrator.spec.wording import listed

__all__ = ["misplaced"]

_KEYS = ("args", "kwargs", "env", "cwd")
"""What a worker is started with; all else shapes the plan."""


def misplaced(root: Node) -> Iterator[Flaw]:
    """Yield a flaw for each value that is needed before the run has begun, and is not known."""
    for path, scalar in scalars_of(root):
        if not scalar.late or _may_be_late(path):
            continue
        pieces = [piece for piece in scalar.late if isinstance(piece, AtStart)]
        names = [f"${{{name}}}" for name in dict.fromkeys(piece.value for piece in pieces)]
        verb = "is" if len(names) == 1 else "are"
        yield Flaw(
            rule=variables.NOT_YET_KNOWN,
            message=f"{listed(names, last='and')} {verb} not known yet where this is needed",
            hint=f"it may stand in {listed(_KEYS, last='and')} of a job, and in what is under vars",
            position=scalar.position,
            width=scalar.width,
            path=path,
        )


def _may_be_late(path: Path) -> bool:
    match path:
        case ("vars", *_):
            return True
        case ("jobs", _, key, *_) | ("defaults", key, *_):
            return key in _KEYS
        case _:
            return False
