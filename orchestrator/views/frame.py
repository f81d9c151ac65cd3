"""The frame of a run that goes on, as `run` and `top` draw it: jobs, queues and the limit.

`frame` is a pure function of two samples, the sentence about the limit, and the terminal's size.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orchestrator.core.limits.stretch import JobTimes
from orchestrator.core.samples import Header, Sample, WorkerSample
from orchestrator.views.figures import OVER, JobFigures, QueueFigures, RunFigures, WorkerFigures
from orchestrator.views.text import Style, cells_of, duration, escaped, number, paint, short_time

__all__ = ["SORTS", "Look", "View", "frame", "order_of", "plain_line"]


_STYLES = {
    "succeeded": Style.GREEN,
    "failed": Style.RED,
    "timed_out": Style.RED,
    "killed": Style.RED,
    "terminated": Style.YELLOW,
    "pending": Style.DIM,
    "skipped": Style.DIM,
}
_BAR_CELLS = 10
_NAME_CELLS = 24
_LEAST_NAME_CELLS = 12
_SHORTEST_NAME_CELLS = 7
_EXACT_FROM = 100
"""So wide a terminal shows counts with all their digits."""
_MOST_SENTENCE_LINES = 3
_LEAST_WORKERS = 3
_MOST_IN_LINE = 6
"""So many jobs are in a plain line."""

Cell = tuple[str, Style | None]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a terminal is like: its size in character cells, and what it can show."""

    width: int
    height: int
    colour: bool = True
    unicode: bool = True


@dataclass(frozen=True, kw_only=True)
class View:
    """What of a run is looked at.

    Jobs stand in the order of the spec, or by one of `SORTS`, the largest first. The job `chosen`
    is marked, that with the number `opened` shows its workers. `keys` is the last line, `status`
    says how a run that is over has ended.
    """

    sort: str = ""
    chosen: int | None = None
    opened: int | None = None
    keys: str = ""
    status: str = ""


def frame(
    header: Header,
    before: Sample,
    sample: Sample,
    look: Look,
    *,
    sentence: str = "",
    view: View = View(),
) -> list[str]:
    """Return the lines of a frame, none wider than the terminal and fewer than it is high."""
    run = RunFigures(header, before, sample)
    most = max(1, look.height - 1)
    rows: list[list[Cell]] = [_title_row(run, look, view)]
    below: list[list[Cell]] = [[(line, None)] for line in _folded(sentence, look, most=1)]
    below += [[(_long_items(run), Style.YELLOW)]] if run.at_long_items and not view.status else []
    if view.keys:
        below.append([(view.keys, Style.DIM)])
    del below[max(0, most - 2) :]
    room = most - len(rows) - len(below)
    for_queues = _rows_for_queues(run, look, room)
    rows += _job_rows(run, look, view, room - for_queues)
    rows += _queue_rows(run, look, most - len(rows) - len(below))
    spare = most - len(rows) - len(below)
    if spare > 0 and sentence and below:
        told = _folded(sentence, look, most=min(_MOST_SENTENCE_LINES, spare + 1))
        below[:1] = [[(line, None)] for line in told]
    return [_cut(row, look) for row in (*rows, *below)][:most]


def plain_line(header: Header, before: Sample, sample: Sample) -> str:
    """Return how a run stands in one line, for where nothing can be drawn over."""
    run = RunFigures(header, before, sample)
    jobs = [job for job in ordered_jobs(run, View()) if job.row.workers and not job.is_over]
    told = [_job_in_words(job) for job in jobs[:_MOST_IN_LINE]]
    if len(jobs) > _MOST_IN_LINE:
        told.append(f"{len(jobs) - _MOST_IN_LINE} more jobs")
    over = sum(row.state in OVER for row in sample.jobs)
    told += [f"{over} of {len(sample.jobs)} jobs ended"] if over or not jobs else []
    told += [escaped(_at_item(row)) for row in run.at_long_items[:1]]
    told += _troubles(sample)
    if (progress := run.progress) is not None:
        left = f", about {duration(_rounded(progress.left_s))} left" if progress.left_s else ""
        told.insert(0, f"{int(100 * progress.done / progress.total)} % done{left}")
    return f"{duration(round(max(0.0, sample.t)))}: {'; '.join(told)}"


def _job_in_words(job: JobFigures) -> str:
    row, times = job.row, job.times
    items = f"{number(row.items_in)} in" if row.items_in else f"{number(row.items_out)} out"
    shares = {
        "running": times.running_s,
        "starved": starved_s(times),
        "blocked": times.blocked_s,
        "held by its rate": times.held_s,
        "starting": times.starting_s,
    }
    most = max(shares, key=shares.__getitem__)
    rate = f", {_rate_in_words(job.rate)}/s" if row.items_in or row.items_out else ""
    what = f", {most} {round(100 * times.part(shares[most]))} %" if times.life_s > 0 else ""
    return f"{job.wiring.name} {items}{rate}{what}"


def _rate_in_words(rate: float) -> str:
    return f"{rate:.1f}" if 0 < rate < 9.95 else number(round(rate))


def _troubles(sample: Sample) -> list[str]:
    names = ("failed", "retried", "skipped", "dead")
    sums = {name: sum(getattr(row, name) for row in sample.jobs) for name in names}
    return [f"{number(n)} {name}" for name, n in sums.items() if n]


# -- the title ------------------------------------------------------------------------------------


def _title_row(run: RunFigures, look: Look, view: View) -> list[Cell]:
    header, sample = run.header, run.sample
    named = f"{header.name} {header.run}" if look.width >= _EXACT_FROM // 2 else header.name
    row = [(escaped(named), Style.BOLD), (f"  {duration(max(0.0, sample.t))}", None)]
    if view.status:
        row.append((f"  {view.status}", None))
    if (progress := run.progress) is not None and not (sample.last or view.status):
        part = progress.done / progress.total
        row += [("  ", None), (_bar(part, look), Style.GREEN), (f" {int(100 * part)} %", None)]
        if progress.left_s:
            row.append((f"  about {duration(_rounded(progress.left_s))} left", None))
    return row


def _long_items(run: RunFigures) -> str:
    """Return who is at an item that takes much longer than others, and the command for more."""
    first, *others = run.at_long_items
    usual_s = run.usual_s(first)
    usual = f", others take {short_time(usual_s)}" if usual_s is not None else ""
    more = f"; {len(others)} more like it" if others else ""
    where = f"mporch stack{f' {first.name}' * (not others)}"
    return escaped(f"{_at_item(first)}{usual}{more}: {where}")


def _at_item(worker: WorkerSample) -> str:
    return f"{worker.name} is at {worker.item} for {duration(_rounded(worker.at_item_s))}"


def _rounded(seconds: float) -> float:
    """Return a time that nobody knows exactly: in seconds, of hours in minutes."""
    return max(1.0, round(seconds / 60) * 60.0 if seconds >= 3600 else round(seconds))


def _folded(text: str, look: Look, *, most: int) -> list[str]:
    """Return a text as lines, of which there are `most` at most: the last one may be cut."""
    width = max(1, look.width - 1)
    if not text:
        return []
    text = escaped(text)
    if most == 1 or cells_of(text) <= width:
        return [_short(text, width, look)]
    lines = textwrap.wrap(text, width, break_on_hyphens=False)
    if len(lines) > most:
        lines[most - 1 :] = [_short(" ".join(lines[most - 1 :]), width, look)]
    return lines


# -- jobs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A column; where room is short the highest `rank` goes first, those that say nothing before.

    A `rare` one is there only when it says something. `least` cells keep it from jumping.
    """

    title: str
    text: Callable[[JobFigures, Look], str]
    of_worker: Callable[[WorkerFigures], str] | None = None
    least: int = 1
    rank: int = 0
    left: bool = False
    rare: bool = False


def _percent(part: float) -> str:
    return f"{round(100 * part)}%"


def _used(cpu: float | None) -> str:
    return "" if cpu is None else _percent(cpu)


def _share(times: JobTimes, seconds: float) -> str:
    return _percent(times.part(seconds)) if times.life_s > 0 else ""


def _share_column(title: str, of: Callable[[JobTimes], float], *, rank: int) -> _Column:
    """Return a column that tells for what part of its workers' time a job was at something."""
    return _Column(
        title=title,
        text=lambda job, _: _share(job.times, of(job.times)),
        of_worker=lambda worker: _share(worker.times, of(worker.times)),
        least=4,
        rank=rank,
    )


def _rare_share(title: str, of: Callable[[JobTimes], float], *, rank: int) -> _Column:
    """Return one that is not there while it is nought for all jobs."""
    return dataclasses.replace(
        _share_column(title, of, rank=rank),
        text=lambda job, _: _share(job.times, of(job.times)) if of(job.times) > 0 else "",
        rare=True,
    )


def starved_s(times: JobTimes) -> float:
    """Return for how long there was no input."""
    return times.starved_s + times.end_s


def _counted(name: str) -> Callable[[JobFigures, Look], str]:
    return lambda job, look: count(getattr(job.row, name), exact=look.width >= _EXACT_FROM)


def _rate_of(job: JobFigures, look: Look) -> str:
    if job.is_over or not (job.row.items_in or job.row.items_out):
        return ""
    if 0 < job.rate < 9.95:
        return f"{job.rate:.1f}"
    return count(round(job.rate), exact=look.width >= _EXACT_FROM) or "0"


_COLUMNS = (
    _Column(title="state", text=lambda job, _: job.state, least=7, left=True),
    _Column(
        title="w",
        text=lambda job, _: str(job.row.workers) if job.row.workers else "",
        least=2,
        rank=5,
    ),
    _Column(title="in", text=_counted("items_in"), least=4),
    _Column(title="out", text=_counted("items_out"), least=4, rank=1),
    _Column(title="/s", text=_rate_of, least=4, rank=1),
    _share_column("run", lambda times: times.running_s, rank=2),
    _share_column("starv", starved_s, rank=3),
    _share_column("block", lambda times: times.blocked_s, rank=4),
    _rare_share("rate", lambda times: times.held_s, rank=12),
    _rare_share("start", lambda times: times.starting_s, rank=13),
    _Column(title="err", text=_counted("failed"), rank=6),
    _Column(title="retr", text=_counted("retried"), rank=8),
    _Column(title="skip", text=_counted("skipped"), rank=9),
    _Column(title="dead", text=_counted("dead"), rank=7),
    _Column(
        title="cpu",
        text=lambda job, _: _used(job.cpu) if job.row.workers else "",
        of_worker=lambda worker: _used(worker.cpu),
        least=4,
        rank=10,
    ),
    _Column(
        title="mem",
        text=lambda job, _: size(job.rss) if job.rss else "",
        of_worker=lambda worker: size(worker.row.rss) if worker.row.rss else "",
        least=4,
        rank=11,
    ),
    _Column(title="time", text=lambda job, _: short_time(job.service_s), least=5, rank=21),
    _Column(title="queued", text=lambda job, _: short_time(job.queued_s), least=5, rank=20),
)
_UP_TO_SHARES = 5
"""So many columns have nothing of a worker: its item stands there."""

_KEYS: dict[str, Callable[[JobFigures], float]] = {
    "rate": lambda job: job.rate,
    "run": lambda job: job.times.part(job.times.running_s),
    "starved": lambda job: job.times.part(starved_s(job.times)),
    "blocked": lambda job: job.times.part(job.times.blocked_s),
    "cpu": lambda job: job.cpu or 0.0,
    "memory": lambda job: job.rss,
    "errors": lambda job: job.row.failed + job.row.retried + job.row.skipped + job.row.dead,
}
SORTS = tuple(_KEYS)


def ordered_jobs(run: RunFigures, view: View) -> list[JobFigures]:
    """Return the jobs in the order in which they are shown."""
    jobs = [run.job(n) for n in range(len(run.header.jobs))]
    if view.sort:
        jobs.sort(key=_KEYS[view.sort], reverse=True)
    return jobs


def order_of(header: Header, before: Sample, sample: Sample, view: View) -> list[int]:
    """Return the numbers of the jobs in the order in which they are shown."""
    return [job.number for job in ordered_jobs(RunFigures(header, before, sample), view)]


def _job_rows(run: RunFigures, look: Look, view: View, room: int) -> list[list[Cell]]:
    """Return a row a job below the columns' titles, and one about those that have no room."""
    every = ordered_jobs(run, view)
    titled = room > 3
    workers = run.workers(view.opened) if view.opened is not None and room > _LEAST_WORKERS else []
    reserved = max(0, min(len(workers), _LEAST_WORKERS, room - titled - 2))
    jobs = _fit(every, room - titled - reserved, view)
    spare = room - titled - len(jobs) - (len(jobs) < len(every))
    hidden = 0
    if len(workers) > spare:
        hidden = len(workers) - max(0, spare - 1)
        workers = workers[: len(workers) - hidden]
    names = [*(job.wiring.name for job in jobs), *(f"  {each.row.name}" for each in workers)]
    grid = _Grid(jobs, names, look)
    rows = [grid.title_row()] if titled else []
    for job in jobs:
        rows.append(grid.job_row(job, view))
        if job.number == view.opened:
            rows += [grid.worker_row(worker) for worker in workers]
            if hidden:
                rows.append([(f"   and {hidden} workers", Style.DIM)])
    if len(jobs) < len(every):
        rows.append(_rest_row(every, jobs))
    return rows


def _fit(jobs: Sequence[JobFigures], room: int, view: View) -> list[JobFigures]:
    """Return the jobs to show, in their order: those at work first when there are too many."""
    if len(jobs) <= room:
        return list(jobs)

    def boring(job: JobFigures) -> tuple[bool, bool, bool]:
        return job.number not in (view.chosen, view.opened), job.is_over, job.state == "pending"

    by_interest = jobs if view.sort and view.chosen is None else sorted(jobs, key=boring)
    chosen = {job.number for job in by_interest[: max(0, room - 1)]}
    return [job for job in jobs if job.number in chosen]


def _rest_row(jobs: Iterable[JobFigures], shown: Iterable[JobFigures]) -> list[Cell]:
    numbers = {job.number for job in shown}
    states = Counter(job.state for job in jobs if job.number not in numbers)
    told = ", ".join(f"{n} {state}" for state, n in states.most_common())
    n = states.total()
    return [(f" and {n} job{'s' * (n != 1)}: {told}", Style.DIM)]


class _Grid:
    """The columns that fit, with their widths."""

    def __init__(self, jobs: Sequence[JobFigures], names: Sequence[str], look: Look) -> None:
        self._look = look
        self._texts = {job.number: [column.text(job, look) for column in _COLUMNS] for job in jobs}
        says = [any(texts[n] for texts in self._texts.values()) for n in range(len(_COLUMNS))]
        self._widths = [
            max(
                column.least,
                len(column.title),
                max((cells_of(texts[n]) for texts in self._texts.values()), default=0),
            )
            for n, column in enumerate(_COLUMNS)
        ]
        self._used = [n for n, column in enumerate(_COLUMNS) if says[n] or not column.rare]
        longest = max((cells_of(escaped(name)) for name in names), default=0)
        self.name_cells = self._fitted(says, min(_NAME_CELLS, longest))

    def title_row(self) -> list[Cell]:
        """Return the titles of the columns."""
        texts = [column.title for column in _COLUMNS]
        return [(" " + " " * self.name_cells + self._laid(texts), Style.DIM)]

    def job_row(self, job: JobFigures, view: View) -> list[Cell]:
        """Return a job's row; its state is painted."""
        texts = self._texts[job.number]
        mark = ">" if job.number == view.chosen else " "
        name = _padded(escaped(job.wiring.name), self.name_cells, self._look)
        style = Style.BOLD if job.number == view.chosen else None
        state = " " + texts[0].ljust(self._widths[0])
        return [
            (mark + name, style),
            (state, _STYLES.get(job.row.state)),
            (self._laid(texts, after=0), None),
        ]

    def worker_row(self, worker: WorkerFigures) -> list[Cell]:
        """Return a worker's row: its item stands where it has nothing to say."""
        name = _padded(f"  {escaped(worker.row.name)}", self.name_cells, self._look)
        texts = [column.of_worker(worker) if column.of_worker else "" for column in _COLUMNS]
        cells = sum(self._widths[n] + 1 for n in self._used if n < _UP_TO_SHARES) - 1
        row, at = worker.row, ""
        if row.item:
            at = f"{row.item} {short_time(row.at_item_s)}"
        about = _padded(escaped(at) if at else f"pid {row.pid}", max(0, cells), self._look)
        return [(f" {name} {about}", Style.DIM), (self._laid(texts, after=_UP_TO_SHARES - 1), None)]

    def _laid(self, texts: Sequence[str], *, after: int = -1) -> str:
        laid = ""
        for n in self._used:
            if n > after:
                width = self._widths[n]
                laid += " " + (texts[n].ljust(width) if _COLUMNS[n].left else texts[n].rjust(width))
        return laid

    def _fitted(self, says: Sequence[bool], name_cells: int) -> int:
        """Leave columns out until all fit; return how many cells names have."""
        if not self._left_out(name_cells, lambda n: _COLUMNS[n].rank >= 20 and not says[n]):
            return name_cells
        least = min(name_cells, _LEAST_NAME_CELLS)
        shortest = min(name_cells, _SHORTEST_NAME_CELLS)
        if self._left_out(least, lambda n: _COLUMNS[n].rank >= 20) and self._left_out(
            least, lambda n: not says[n]
        ):
            self._left_out(shortest, lambda n: bool(_COLUMNS[n].rank))
        return max(shortest, min(name_cells, name_cells - self._over(name_cells)))

    def _left_out(self, name_cells: int, may: Callable[[int], bool]) -> bool:
        """Leave columns out that may be; return True if that was not enough."""
        while self._over(name_cells) > 0:
            found = [n for n in self._used if _COLUMNS[n].rank and may(n)]
            if not found:
                return True
            self._used.remove(max(found, key=lambda n: _COLUMNS[n].rank))
        return False

    def _over(self, name_cells: int) -> int:
        """Return by how many cells the rows are too wide."""
        return 1 + name_cells + sum(self._widths[n] + 1 for n in self._used) - self._look.width + 1


# -- queues ---------------------------------------------------------------------------------------


def _rows_for_queues(run: RunFigures, look: Look, room: int) -> int:
    """Return how many rows the queues have, of those that they share with the jobs."""
    jobs, queues = len(run.header.jobs) + 1, len(run.header.queues)
    if not queues:
        return 0
    wanted = -(-queues // _queues_a_row(run, look))
    return min(wanted, max(room - jobs, room // 3))


def _queues_a_row(run: RunFigures, look: Look) -> int:
    longest = max((cells_of(escaped(queue.name)) for queue in run.header.queues), default=0)
    return max(1, (look.width - 1) // _queue_cells(min(longest, _NAME_CELLS)))


def _queue_cells(name_cells: int) -> int:
    return 1 + name_cells + 1 + _BAR_CELLS + 5 + 14


def _queue_rows(run: RunFigures, look: Look, room: int) -> list[list[Cell]]:
    """Return rows of queues in the spec's order; the fullest ones where not all have room."""
    queues = [run.queue(n) for n in range(len(run.header.queues))]
    if not queues or room <= 0:
        return []
    longest = max(cells_of(escaped(queue.name)) for queue in queues)
    names = min(longest, _NAME_CELLS, max(_SHORTEST_NAME_CELLS, look.width - 20))
    beside = _queues_a_row(run, look)
    rest: list[QueueFigures] = []
    if len(queues) > room * beside:
        queues.sort(key=lambda queue: (-(queue.fill or 0.0), -queue.mean))
        shown = max(0, room - 1) * beside
        queues, rest = queues[:shown], queues[shown:]
    rows = []
    cells = _queue_cells(names) if beside > 1 else 0
    for at in range(0, len(queues), beside):
        row: list[Cell] = []
        for queue in queues[at : at + beside]:
            row += _queue_cell(queue, names, look, cells)
        rows.append(row)
    if rest:
        rows.append([(_rest_of_queues(rest), Style.DIM)])
    return rows


def _queue_cell(queue: QueueFigures, name_cells: int, look: Look, cells: int) -> list[Cell]:
    """Return a queue's name, its bar, and how full it was on average, in so many cells."""
    name: Cell = (f" {_padded(escaped(queue.name), name_cells, look)} ", Style.DIM)
    if queue.fill is None:
        text = f"{count(round(queue.mean)) or '0'} queued"
        return [name, (text.ljust(cells - name_cells - 2), Style.DIM)]
    bar = _bar(queue.fill, look)
    style = Style.YELLOW if queue.fill >= 0.95 else Style.CYAN
    text = f" {_percent(queue.fill):>4} of {count(queue.maxsize)}"
    if queue.full_by_bytes > 0:
        text += " bytes!" if len(text) <= 11 else "!"
    return [name, (bar, style), (text.ljust(cells - name_cells - 2 - _BAR_CELLS), None)]


def _bar(part: float, look: Look) -> str:
    full, empty = ("█", "░") if look.unicode else ("#", ".")
    cells = max(round(part * _BAR_CELLS), 1 if part >= 0.005 else 0)
    return full * cells + empty * (_BAR_CELLS - cells)


def _rest_of_queues(rest: Sequence[QueueFigures]) -> str:
    n = len(rest)
    what = f" and {n} queue{'s' * (n != 1)}"
    fullest = max((queue.fill for queue in rest if queue.fill is not None), default=0.0)
    longest = max((queue.mean for queue in rest if queue.fill is None), default=0.0)
    told = []
    if fullest > 0:
        told.append(f"{'all ' * (n != 1)}below {int(100 * fullest) + 1} %")
    if longest > 0:
        told.append(f"at most {longest:,.0f} items")
    return f"{what}, {', '.join(told)}" if told else f"{what}, {'all ' * (n != 1)}empty"


# -- words ----------------------------------------------------------------------------------------


def count(n: int, *, exact: bool = False) -> str:
    """Return a count, in at most four characters unless it is to be `exact`; of none nothing."""
    if n <= 0:
        return ""
    if exact and n < 10_000_000:
        return number(n)
    return str(n) if n < 10_000 else _scaled(n, 1000, "kMGTPE")


def size(n: int) -> str:
    """Return bytes in at most four characters."""
    return _scaled(n, 1024, "KMGTPE") if n >= 1024 else f"{n}B"


def _scaled(n: float, base: int, units: str) -> str:
    for unit in units:
        n /= base
        if n < 999.5 or unit == units[-1]:
            break
    return f"{n:.1f}{unit}" if n < 9.95 else f"{n:.0f}{unit}"


def _padded(text: str, cells: int, look: Look) -> str:
    text = _short(text, cells, look)
    return text + " " * (cells - cells_of(text))


def _short(text: str, cells: int, look: Look) -> str:
    """Return a text that takes at most so many cells; its end is cut off if need be."""
    if cells_of(text) <= cells:
        return text
    while text and cells_of(text) >= cells:
        text = text[:-1]
    return (text + ("…" if look.unicode else "~"))[: max(0, cells)]


def _cut(row: list[Cell], look: Look) -> str:
    """Paint the row's cells, as many of their characters as the terminal is wide."""
    left, out = look.width - 1, ""
    while row and not row[-1][0].strip():
        row = row[:-1]
    for n, (cell, style) in enumerate(row):
        text = _short(cell if n < len(row) - 1 else cell.rstrip(), left, look)
        out += paint(text, style, colour=look.colour)
        left -= cells_of(text)
        if left <= 0:
            break
    return out
