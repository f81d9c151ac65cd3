"""`mporch tap`: items as they come onto a queue of a run that goes on.

The orchestrator copies what is asked for and no more; how much that is, this side decides: it asks
again when it has shown what it had. Nothing is unpickled here (`tap_child`).
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from orchestrator.console import completing
from orchestrator.console.options import DURATION, format_option
from orchestrator.console.printing import say, tell
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from orchestrator.control.client import ControlClient
    from orchestrator.control.protocol import PassedItems

__all__ = ["tap"]

_EPILOG = """\b
Examples:
  mporch tap files -n 10
  mporch tap last files --where 'size > 1000 and not ok'
  mporch tap files --fields path,meta.size --every 1s
"""
_A_SECOND = 500
"""Items that are shown at most; a person reads fewer, and the run keeps its processors."""
_A_SECOND_LOOKED_AT = 5000
"""With a condition: most are not shown."""
_STEP_S = 0.1
_LONGEST_TEXT = 2000
_GAP_TOLD_S = 1.0
_USE = "mporch tap QUEUE, or mporch tap RUN QUEUE"


@click.command(epilog=_EPILOG)
@click.argument("words", nargs=-1, metavar="[RUN] QUEUE", shell_complete=completing.live_queues)
@click.option("-n", "--lines", type=click.IntRange(min=1), metavar="N", help="End after N items.")
@click.option("--where", metavar="EXPR", help="Only items for which EXPR is true.")
@click.option("--fields", metavar="A,B.C", help="Only these parts of an item.")
@click.option("--every", type=DURATION, metavar="TIME", help="One item in so long at most.")
@format_option
def tap(
    *,
    words: tuple[str, ...],
    lines: int | None,
    where: str | None,
    fields: str | None,
    every: float | None,
    format: str,  # noqa: A002 -- the option's name
) -> None:
    """Show items as they come onto QUEUE of RUN, until the run ends or you have seen enough.

    RUN is the one that goes on; with several, an id of `mporch runs`, the beginning of one, or the
    path of a run directory. EXPR compares parts of an item: `size > 2 and meta.kind == "a"`; `item`
    is the item itself. None of your code is run: objects are shown as their pickles describe them.
    The run never waits for a tap: what comes too fast to be shown is missed, and counted.
    """
    from orchestrator.control.client import ControlClient, RunGoneError  # noqa: PLC0415
    from orchestrator.control.live import live_run  # noqa: PLC0415

    wanted = _Wanted(
        where=_checked_condition(where),
        fields=_checked_fields(fields),
        most=lines,
        every_s=every,
        as_json=format == "json",
    )
    run_name, queue = _run_and_queue(words)
    with ControlClient(live_run(run_name)) as client, _Pieces(wanted) as pieces:
        _require_queue(client, queue)
        view = _View(queue, as_json=wanted.as_json)
        try:
            _follow(client, queue, wanted, pieces, view)
        except RunGoneError:
            tell(f"mporch: run {client.header.run} has ended")
        finally:
            view.tell_counts()


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What of the items is to be seen."""

    where: str
    fields: tuple[str, ...]
    most: int | None
    every_s: float | None
    as_json: bool

    def left(self, shown: int) -> int | None:
        """Return how many are still to be shown; None: as many as come."""
        return None if self.most is None else max(0, self.most - shown)


def _checked_condition(text: str | None) -> str:
    from orchestrator.where import ConditionError, compile_condition, part_of_plain  # noqa: PLC0415

    if text is None:
        return ""
    try:
        compile_condition(text, part_of_plain)
    except ConditionError as error:
        raise click.BadParameter(str(error), param_hint="--where") from None
    return text


def _checked_fields(text: str | None) -> tuple[str, ...]:
    from orchestrator.where import ConditionError, read_path  # noqa: PLC0415

    names = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    try:
        for name in names:
            read_path(name)
    except ConditionError as error:
        raise click.BadParameter(str(error), param_hint="--fields") from None
    return names


def _run_and_queue(words: tuple[str, ...]) -> tuple[str | None, str]:
    match words:
        case (queue,):
            return None, queue
        case (run, queue):
            return run, queue
        case ():
            raise UsageError("which queue? name it", hint=_USE)
    raise UsageError(f"{words[2]} is one word too many", hint=_USE)


def _require_queue(client: ControlClient, queue: str) -> None:
    names = [each.name for each in client.header.queues]
    if queue in names:
        return
    hint = f"its queues are {', '.join(names)}" if names else "it has no queues"
    raise UsageError(f"run {client.header.run} has no queue {queue!r}", hint=hint)


def _follow(
    client: ControlClient, queue: str, wanted: _Wanted, pieces: _Pieces, view: _View
) -> None:
    """Show items until there are enough; raises RunGoneError at the run's end."""
    from orchestrator.control.protocol import MOST_ITEMS, AskItems, PassedItems  # noqa: PLC0415

    pace = _Pace(_a_second(wanted), time.monotonic())
    while (left := wanted.left(view.shown)) != 0:
        if n := pace.ask(time.monotonic()):
            n = n if left is None or wanted.where else min(left, MOST_ITEMS)
            client.send(AskItems(queue=queue, n=n))
        answer = client.receive(pace.wait_s)
        if not isinstance(answer, PassedItems):
            continue
        pace.got(answer.stop - answer.start)
        view.passed(answer)
        before = view.shown
        most = left if wanted.every_s is None else 1
        for at, found in pieces.look_through(answer, most):
            view.show(answer.first + at - answer.start, found)
        view.flush()
        if wanted.every_s is not None and view.shown > before and wanted.left(view.shown) != 0:
            client.send(AskItems(queue=queue, n=0))
            pace.cancelled()
            _rest(client, time.monotonic() + wanted.every_s)


def _a_second(wanted: _Wanted) -> int:
    if wanted.where:
        return _A_SECOND_LOOKED_AT
    if wanted.every_s is None:
        return _A_SECOND
    return min(_A_SECOND, math.ceil(1 / wanted.every_s))


def _rest(client: ControlClient, until: float) -> None:
    """Wait, passing over what was on its way; raises RunGoneError if the run ends."""
    while (left_s := until - time.monotonic()) > 0:
        client.receive(left_s)


class _Pace:
    """How many items are asked for, and when: so many a second, and as many at once.

    It asks again before all have come, so that of a queue that is slow enough none is missed.
    """

    def __init__(self, a_second: int, now: float) -> None:
        self._a_second = a_second
        self._step = max(1, int(a_second * _STEP_S))
        self._budget = float(a_second)
        self._at = now
        self._outstanding = 0

    @property
    def wait_s(self) -> float | None:
        """Return until when to wait for items: None is until some come."""
        return None if self._is_supplied else _STEP_S

    @property
    def _is_supplied(self) -> bool:
        return self._outstanding * 2 >= self._a_second

    def ask(self, now: float) -> int:
        """Return how many are to be asked for now; 0: none."""
        self._budget = min(self._a_second, self._budget + (now - self._at) * self._a_second)
        self._at = now
        if self._is_supplied or self._budget < self._step:
            return 0
        self._outstanding += int(self._budget)
        self._budget = 0.0
        return self._outstanding

    def got(self, n: int) -> None:
        """Note that so many have come."""
        self._outstanding = max(0, self._outstanding - n)

    def cancelled(self) -> None:
        """Note that nothing more will come of what was asked for."""
        self._outstanding = 0


class _Pieces:
    """Has pieces looked through in a child that may do nothing else; a context manager."""

    def __init__(self, wanted: _Wanted) -> None:
        from orchestrator.opening.opener import confined  # noqa: PLC0415 -- not for --help

        self._wanted = wanted
        self._program = confined("orchestrator.features.live.tap_child")

    def __enter__(self) -> _Pieces:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._program.end()

    def look_through(
        self, piece: PassedItems, most: int | None
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the items that are wanted, each with its place in the chunk and what it is."""
        if not piece.blob:
            why = f"its chunk has {piece.size:,} bytes, which is too large to be shown"
            yield piece.start, {"is": "unreadable", "value": why}
            return
        request = {
            "chunk": base64.b64encode(piece.blob).decode("ascii"),
            "packed": piece.packed,
            "start": piece.start,
            "stop": piece.stop,
            "where": self._wanted.where,
            "fields": self._wanted.fields,
            "json": self._wanted.as_json,
            "limit": _LONGEST_TEXT,
            "most": piece.stop - piece.start if most is None else most,
        }
        answer = self._program.ask(json.dumps(request).encode("ascii"))
        if answer is None:
            why = "to look at it took more memory or time than it may"
            yield piece.start, {"is": "unreadable", "value": why}
            return
        found = json.loads(answer)
        if "unreadable" in found:
            yield piece.start, {"is": "unreadable", "value": found["unreadable"]}
        yield from found["items"]


class _View:
    """Prints items, and counts those that were missed."""

    def __init__(self, queue: str, *, as_json: bool) -> None:
        self.shown = 0
        self._queue = queue
        self._as_json = as_json
        self._next = 0
        self._missed = self._missed_before = 0
        self._told_at = 0.0

    def passed(self, piece: PassedItems) -> None:
        """Count what has come onto the queue between this piece and the last."""
        if self._next and piece.first > self._next:
            self._missed += piece.first - self._next
        self._next = piece.first + piece.stop - piece.start

    def show(self, number: int, found: dict[str, Any]) -> None:
        """Print an item."""
        self.shown += 1
        item = f"{self._queue}:{number}"
        new, self._missed_before = self._missed - self._missed_before, self._missed
        if self._as_json:
            about = {"item": item, "queue": self._queue, "number": number, "missed": new}
            print(json.dumps(about | {"item_is": found["is"], "value": _plain(found)}))
            return
        if new and (now := time.monotonic()) - self._told_at >= _GAP_TOLD_S:
            self._told_at = now
            tell(f"… {self._missed:,} missed so far")
        say(f"{item}  {_text(found)}")

    def flush(self) -> None:
        """Let what is printed be seen."""
        print(end="", flush=True)

    def tell_counts(self) -> None:
        """Say how many were shown and missed."""
        self.flush()
        shown = f"{self.shown:,} item{'' if self.shown == 1 else 's'} of {self._queue} shown"
        tell(f"mporch: {shown}, {self._missed:,} missed")


def _plain(found: dict[str, Any]) -> Any:
    value = found["value"]
    if found["is"] == "fields":
        return {name: _plain(each) for name, each in value.items()}
    return json.loads(value) if found["is"] == "json" else value


def _text(found: dict[str, Any]) -> str:
    value = found["value"]
    if found["is"] == "fields":
        fields = [f"{name}={each['value']}" for name, each in value.items()]
        return "  ".join(fields) or "(none of these fields)"
    return f"cannot be read: {value}" if found["is"] == "unreadable" else value
