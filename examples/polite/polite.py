"""Questions to a service that bears no more than ten of them a second."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator


def ask(n: int) -> Iterator[int]:
    """Give so many questions, as fast as they are taken."""
    yield from range(n)


def look_up(question: int) -> float:
    """Say when the question was asked, as seconds of the monotonic clock."""
    assert question >= 0
    return time.monotonic()


def tell(times: Iterable[float]) -> None:
    """Print how many questions were asked, and in how long."""
    asked = sorted(times)
    print(f"{len(asked)} questions in {asked[-1] - asked[0]:.2f} s")
