"""The rule on words of a list that a shell would expand: nobody does without one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from orchestrator.errors import Problem
from orchestrator.plan.hidden_values import node_at
from orchestrator.plan.resolved_spec import ResolvedSpec
from orchestrator.spec import rules
from orchestrator.spec.yaml.nodes import ScalarNode

__all__ = ["HOME", "RULES"]

HOME = re.compile(r"~[A-Za-z0-9_-]*(?:/.*)?", re.DOTALL)
"""`~`, `~/x` and `~user/x`."""

_FILES = re.compile(r"(?:[^\s*?]*/)?\*(?:\.[A-Za-z0-9_.]+)?")
_VARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)(?:/\S*)?", re.ASCII)
_READ_THEM_THEMSELVES = frozenset({
    "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "ssh", "awk", "gawk", "mawk", "perl",
    "envsubst", "find", "fd", "git", "rg", "zip", "unzip", "tar", "rsync", "aws", "docker",
    "kubectl", "make",
})  # fmt: skip
"""Programs to which such words mean something, or that hand them to a shell."""


def unexpanded(draft: ResolvedSpec) -> Iterator[Problem]:
    """A word of a list that a shell would have expanded is pointed out."""
    for job in draft.jobs.values():
        line = job.own.command
        if not job.runs_command or isinstance(line, str):
            continue
        for n in range(len(line)):
            path = (*job.path("command"), n)
            node = node_at(draft.spec.tree, path)
            is_given = isinstance(node, ScalarNode) and node.shown is not None
            if found := _told(line, n, is_given=is_given):
                message, hint = found
                yield draft.spec.problem(rules.DOUBTFUL_COMMAND, path, message, hint)


def _told(line: Sequence[str], n: int, *, is_given: bool) -> tuple[str, str] | None:
    """Return what to say of a word; of one that `is_given` by the environment nothing is shown."""
    word = line[n]
    if HOME.fullmatch(word):
        return _message("~"), "write ${HOME}, or the command as one text, for /bin/sh"
    if PurePath(line[0]).name in _READ_THEM_THEMSELVES:
        return None
    if (variable := _VARIABLE.fullmatch(word)) and not is_given:
        name = variable[1]
        hint = f"write ${{{name}}}, or the command as one text, for /bin/sh"
        return _message(f"${name}"), hint
    if n and not line[n - 1].startswith("-") and _FILES.fullmatch(word):
        return _message("*"), "write the command as one text, for /bin/sh"
    return None


def _message(what: str) -> str:
    return f"{what} is handed over as it is: there is no shell to expand it"


RULES = (unexpanded,)
