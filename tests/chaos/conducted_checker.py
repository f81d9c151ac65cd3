"""The judge of a conducted round. It believes what the sink wrote down, not what mporch counts.

The sink is killed as well, and writing a line is a side effect: it happens at least once. So a line
may be there again if the process that wrote the other one was killed before it had said that it
was done. It may not if that process had told so, and never with the tokens of another execution:
those travel through the queues, where each item is put once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Set
from dataclasses import dataclass

from .conducted_targets import outputs

SEALED = frozenset(
    {
        *("w.pull_sent", "w.leased_received", "w.commit_acked"),
        *("w.closing_before", "w.closing_torn", "w.closing_sent"),
    }
)
"""At these points a sink has told of all that it has ended."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A line of the sink: the item's name, the executions that made it, the process that wrote."""

    name: str
    token: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class History:
    """What was seen from outside.

    `made` are the source's numbers. `ends` has the processes that were killed, with
    the point at which they were. At least `wanted` of them and `items` numbers were asked for.
    """

    made: Set[int]
    items: int
    delivered: list[Delivery]
    ends: dict[int, str]
    wanted: int
    exit_code: int | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong; `problems` is empty when nothing is.

    `repeated` lines of the sink are no fault; `sealed` is how many could not have been repeated
    without one, though their writers were killed.
    """

    lost: int
    doubled: int
    unexpected: int
    repeated: int
    sealed: int
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        return not self.problems


def judge(history: History) -> Verdict:
    """Return the verdict: every item that should come has come, and through each queue once."""
    possible = {f"{n}.{k}" for n in history.made for k in range(outputs(n))}
    lines = defaultdict(list)
    for delivery in history.delivered:
        lines[delivery.name].append(delivery)
    wrong = {
        "lost": len(possible - lines.keys()),
        "doubled": sum(_surplus(seen, history.ends) for seen in lines.values() if len(seen) > 1),
        "unexpected": sum(len(lines[name]) for name in lines.keys() - possible),
    }
    sealed = Counter(history.ends.get(line.pid) in SEALED for line in history.delivered)
    problems = [f"{n} {what}" for what, n in wrong.items() if n]
    return Verdict(
        **wrong,
        repeated=len(history.delivered) - len(lines) - wrong["doubled"],
        sealed=sealed[True],
        problems=(*problems, *_of_the_round(history)),
    )


def _surplus(seen: list[Delivery], ends: dict[int, str]) -> int:
    """How many lines of one item should not be there."""
    tokens = {line.token for line in seen}
    by_itself = len(seen) - len({line.pid for line in seen})
    final = sum(ends.get(line.pid, "alive") in {*SEALED, "alive"} for line in seen)
    return max(len(tokens) - 1, by_itself, final - 1)


def _of_the_round(history: History) -> list[str]:
    problems = []
    if history.exit_code is None:
        problems.append("it hung")
    elif history.exit_code != 0:
        problems.append(f"exit code {history.exit_code}")
    if len(history.ends) < history.wanted:
        problems.append(f"only {len(history.ends)} of {history.wanted} killed: it proves nothing")
    if len(history.made) < history.items:
        problems.append(f"only {len(history.made)} of {history.items} made: it proves nothing")
    return problems
