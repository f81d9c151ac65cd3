"""Places for values that are known only later, allowed and not allowed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.spec.events import Flaw
from orchestrator.spec.nodes import Node, Path, scalars_of
from orchestrator.spec.rules import variables
from orchestrator.spec.start_vars import StartVar
from orchestrator.spec.wording import listed

__all__ = ["hint_for_late", "misplaced"]

_ITEM = re.compile(r"items?([.\[][^${}]*)?")
_KEYS = ("args", "kwargs", "env", "cwd")
"""What a worker is started with; all else shapes the plan."""


def misplaced(root: Node) -> Iterator[Flaw]:
    """Yield a flaw for each value that is needed before the run has begun, and is not known."""
    for path, scalar in scalars_of(root):
        if not scalar.late or _may_be_late(path):
            continue
        pieces = [piece for piece in scalar.late if isinstance(piece, StartVar)]
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


def hint_for_late(name: str, path: Path) -> str:
    """Return how to write what `${name}` at `path` was meant to be: the item, or of a start.

    It is empty where nothing of the kind was meant.
    """
    in_command = path[:1] == ("jobs",) and path[2:3] == ("command",)
    if found := _ITEM.fullmatch(name):
        if in_command:
            return f"write {{item{found[1] or ''}}}, without the dollar"
        return (
            "the target is called with the item: it needs no reference" if path[0] == "jobs" else ""
        )
    names = [f"${{{each.value}}}" for each in StartVar if each.value.partition(".")[0] == name]
    if not names:
        return ""
    if in_command:
        return f'name it under env, as in env: {{IT: "{names[0]}"}}, and write $IT here'
    return f"write {listed(names)}"


def _may_be_late(path: Path) -> bool:
    match path:
        case ("vars", *_):
            return True
        case ("jobs", _, key, *_) | ("defaults", key, *_):
            return key in _KEYS
        case _:
            return False
