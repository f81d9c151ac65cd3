"""The judge of a round. It believes what the source made and the sink got, not what mporch counts.

A round in which too little was killed, or too little arrived, proves nothing and fails as well.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from .chaos_targets import outputs

LEAST_DELIVERED = 100
LEAST_IN_THE_MIDST = 0.1
"""Of the kills, this part must have hit a worker in the midst of its function."""


@dataclass(frozen=True, kw_only=True)
class History:
    """What was seen from outside.

    `made` are the source's items, `delivered` the names of those that reached the sink; of the dead
    letters, `dead_inputs` are items of the source, `dead_names` items on the way to the sink.
    `killed` counts processes that were seen to die of our signal, `in_the_midst` those of them that
    had begun a call and not ended it.
    """

    made: list[int]
    delivered: list[str]
    dead_inputs: list[int] = field(default_factory=list)
    dead_names: list[str] = field(default_factory=list)
    killed: int
    wanted: int
    in_the_midst: int
    exit_code: int | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with a round; `problems` is empty when nothing is."""

    lost: int
    doubled: int
    invented: int
    innocent: int
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.problems


def judge(history: History) -> Verdict:
    """Return the verdict: what was made has arrived once, or is a dead letter, and never both.

    No more than one item may die of one kill: a dead letter above that is an innocent victim.
    """
    dead_inputs = Counter(history.dead_inputs)
    possible = Counter(f"{n}.{k}" for n in history.made for k in range(outputs(n)))
    never = Counter(f"{n}.{k}" for n in dead_inputs for k in range(outputs(n)))
    never.update(history.dead_names)
    delivered = Counter(history.delivered)
    doubled = sum((delivered - Counter(set(delivered))).values())
    doubled += sum((dead_inputs - Counter(set(dead_inputs))).values())
    doubled += sum(1 for name in never if name in delivered or never[name] > 1)
    known = set(possible)
    invented = sum(n for name, n in delivered.items() if name not in known)
    invented += sum(1 for name in never if name not in known)
    invented += len(set(dead_inputs) - set(history.made))
    lost = len(known - set(delivered) - set(never))
    dead = len(history.dead_inputs) + len(history.dead_names)
    innocent = max(0, dead - history.killed)
    wrong = {"lost": lost, "doubled": doubled, "invented": invented, "innocent": innocent}
    problems = [f"{n} {what}" for what, n in wrong.items() if n]
    problems += _of_the_round(history, dead)
    return Verdict(**wrong, problems=tuple(problems))


def _of_the_round(history: History, dead: int) -> list[str]:
    problems = []
    if history.exit_code is None:
        problems.append("it hung")
    elif history.exit_code != (3 if dead else 0):
        problems.append(f"exit code {history.exit_code} with {dead} dead letters")
    if history.killed < history.wanted:
        problems.append(f"only {history.killed} of {history.wanted} killed: it proves nothing")
    if history.in_the_midst < history.killed * LEAST_IN_THE_MIDST:
        problems.append(f"only {history.in_the_midst} killed in the midst: it proves nothing")
    if len(history.delivered) < LEAST_DELIVERED:
        problems.append(f"only {len(history.delivered)} delivered: it proves nothing")
    return problems
