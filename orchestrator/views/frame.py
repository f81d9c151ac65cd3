"""The live display of a run: its frames, and the block of lines where they are drawn over and over.

`frame` is a pure function of a snapshot and the terminal's size.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.core.reporting import JobSnapshot, QueueSnapshot, Snapshot
from orchestrator.views.text import Style, duration, escaped, number, paint

__all__ = ["DRAW_EVERY_S", "Live", "Look", "Rates", "frame"]


_STYLES = {
    "succeeded": Style.GREEN,
    "failed": Style.RED,
    "timed_out": Style.RED,
    "killed": Style.RED,
    "terminated": Style.YELLOW,
    "pending": Style.DIM,
    "skipped": Style.DIM,
}
_OVER = frozenset({"succeeded", "failed", "timed_out", "killed", "terminated", "skipped"})
_QUIET = frozenset({"pending", "starting", "draining"})
_BAR_CELLS = 10
_NAME_CELLS = 20
_NARROW_CELLS = 64

Cell = tuple[str, Style | None]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a terminal is like: its size in character cells, and what it can show."""

    width: int
    height: int
    colour: bool = True
    unicode: bool = True


def frame(
    snapshot: Snapshot, look: Look, *, title: str, elapsed_s: float, rates: Mapping[str, float]
) -> list[str]:
    """Return the lines of a frame, none wider than the terminal and fewer than it is high.

    `rates` has items a second by job; a job that is not in it shows none.
    """
    room = max(1, look.height - 2)
    jobs = _fit(snapshot.jobs, room)
    queues = snapshot.queues[: max(0, room - len(jobs) - 1)]
    name_cells = _longest(look, [job.name for job in jobs] + [queue.name for queue in queues])
    rows: list[list[Cell]] = [[(escaped(title), Style.BOLD), (f"  {duration(elapsed_s)}", None)]]
    rows += [_job_row(job, name_cells, look, rates.get(job.name)) for job in jobs]
    if len(jobs) < len(snapshot.jobs):
        rows.append(_rest_row(snapshot.jobs, jobs))
    rows += [_queue_row(queue, name_cells, look) for queue in queues]
    return [_cut(row, look) for row in rows]


def _fit(jobs: tuple[JobSnapshot, ...], room: int) -> tuple[JobSnapshot, ...]:
    """Return the jobs to show, in their order: those at work first when there are too many."""
    if len(jobs) <= room:
        return jobs
    by_interest = sorted(jobs, key=lambda job: (job.state in _OVER, job.state == "pending"))
    chosen = {job.name for job in by_interest[: max(0, room - 1)]}
    return tuple(job for job in jobs if job.name in chosen)


def _longest(look: Look, names: Iterable[str]) -> int:
    most = _NAME_CELLS if look.width >= _NARROW_CELLS else _NAME_CELLS // 2
    return min(most, max((len(name) for name in names), default=0))


def _job_row(job: JobSnapshot, name_cells: int, look: Look, rate: float | None) -> list[Cell]:
    """Return name, what its workers are at, items in and out (narrow: one count)."""
    row: list[Cell] = [(f"  {_short(job.name, name_cells, look)}  ", None)]
    row.append((f"{_at_work(job):<15}", _STYLES.get(job.state)))
    if look.width < _NARROW_CELLS:
        return [*row, (_count(job.items_in or job.items_out, "", cells=10), None)]
    row.append((_count(job.items_in, " in") + _count(job.items_out, " out"), None))
    if rate is not None and job.state not in _OVER:
        row.append((f" {rate:>8,.0f}/s", Style.DIM))
    return row


def _count(n: int, what: str, *, cells: int = 11) -> str:
    return f"{number(n):>{cells}}{what}" if n else " " * (cells + len(what))


def _at_work(job: JobSnapshot) -> str:
    """Return what the job's workers are at, in few words; its state when none is alive."""
    if job.state in _OVER or job.state in _QUIET or not job.workers:
        return job.state.replace("_", " ")
    if job.running:
        return f"{job.running} of {job.workers} running"
    if job.waiting_input and job.waiting_output:
        return f"{job.waiting_input + job.waiting_output} waiting"
    if job.waiting_output:
        return f"{job.waiting_output} await room"
    return f"{job.waiting_input} await input" if job.waiting_input else f"{job.workers} ready"


def _queue_row(queue: QueueSnapshot, name_cells: int, look: Look) -> list[Cell]:
    name: Cell = (f"  {_short(queue.name, name_cells, look)}  ", Style.DIM)
    if not queue.maxsize:
        return [name, (f"{number(queue.size)} queued", Style.DIM)]
    full, empty = ("█", "░") if look.unicode else ("#", ".")
    cells = min(_BAR_CELLS, -(-queue.size * _BAR_CELLS // queue.maxsize))
    bar = full * cells + empty * (_BAR_CELLS - cells)
    style = Style.YELLOW if queue.size >= queue.maxsize else Style.CYAN
    return [name, (bar, style), (f" {number(queue.size)}/{number(queue.maxsize)}", Style.DIM)]


def _rest_row(jobs: Iterable[JobSnapshot], shown: Iterable[JobSnapshot]) -> list[Cell]:
    names = {job.name for job in shown}
    states = Counter(job.state for job in jobs if job.name not in names)
    told = ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in states.most_common())
    return [(f"  and {told}", Style.DIM)]


def _short(name: str, cells: int, look: Look) -> str:
    if len(name) <= cells:
        return name.ljust(cells)
    return name[: cells - 1] + ("…" if look.unicode else "~")


def _cut(row: list[Cell], look: Look) -> str:
    """Paint the row's cells, as many of their characters as the terminal is wide."""
    left, out = look.width - 1, ""
    for text, style in row:
        out += paint(text[:left], style, colour=look.colour)
        left -= len(text)
        if left <= 0:
            break
    return out.rstrip()


DRAW_EVERY_S = 0.25
# Clears the line, then from its second cell on: tmux takes what is cleared from the very first
# cell of the screen into its history, which would keep each frame there.
_CLEAR = "\x1b[K\x1b[C\x1b[J\r"
_WINDOW_S = 2.0


class Rates:
    """Items a second of each job, over the last two seconds of snapshots."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def add(self, snapshot: Snapshot, now: float) -> dict[str, float]:
        """Take a snapshot of the monotonic time `now` (seconds) and return the rates by job."""
        totals = {job.name: job.items_in or job.items_out for job in snapshot.jobs}
        self._seen.append((now, totals))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        if now - since < DRAW_EVERY_S:
            return {}
        return {name: (n - before.get(name, 0)) / (now - since) for name, n in totals.items() if n}


class Live:
    """Makes the text that draws and erases the block; it does no I/O of its own."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._rates = Rates()
        self._lines: list[str] = []
        self._drawn: list[int] = []
        self._began: float | None = None

    def take(self, snapshot: Snapshot, look: Look, now: float) -> None:
        """Compute the frame for a snapshot of the monotonic time `now` (seconds)."""
        if self._began is None:
            self._began = now
        rates = self._rates.add(snapshot, now)
        elapsed_s = now - self._began
        self._lines = frame(snapshot, look, title=self._title, elapsed_s=elapsed_s, rates=rates)

    def draw(self) -> str:
        """Return the text that draws the last frame, the cursor being where it shall begin."""
        self._drawn = [_visible(line) for line in self._lines]
        return "\n".join(self._lines)

    def erase(self, width: int) -> str:
        """Return the text that takes the drawn block away, the terminal now being `width` wide.

        A terminal that was made narrower has wrapped the block's lines.
        """
        if not self._drawn:
            return ""
        rows = sum(max(1, -(-cells // width)) for cells in self._drawn)
        self._drawn = []
        return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "") + _CLEAR


def _visible(line: str) -> int:
    """Return how many cells a painted line takes."""
    cells, inside = 0, False
    for char in line:
        if char == "\x1b":
            inside = True
        elif inside:
            inside = char != "m"
        else:
            cells += 1
    return cells
