"""Messages between a worker and the broker; on the wire each is one MessagePack array.

Blobs (chunks of pickled items) do not travel inside a message but behind it, in the body of its
frame, in the order in which the message speaks of them. The core never looks inside a blob. Source:
docs/semantics.md.
"""

from __future__ import annotations

import enum
from typing import Annotated, TypeVar

import msgspec

__all__ = [
    "PROTOCOL",
    "STOPPED",
    "Answer",
    "ArenaGone",
    "Ask",
    "Closing",
    "Commit",
    "CommitStatus",
    "Committed",
    "End",
    "Ended",
    "Failure",
    "Freed",
    "FromWorker",
    "Grant",
    "Hello",
    "JoinQueue",
    "Leased",
    "Mark",
    "NoLease",
    "Output",
    "Pull",
    "Range",
    "Ready",
    "Recall",
    "Released",
    "Shut",
    "SourceTotal",
    "Stop",
    "TaskDone",
    "ToWorker",
    "Unpull",
    "Unwant",
    "Wait",
    "Want",
    "Worn",
]

PROTOCOL = 2

MOST_TEXT = 128 * 1024
"""Characters of a text that a worker sends; what it tells of a failure is cut to less."""

_T = TypeVar("_T")
_Text = Annotated[str, msgspec.Meta(max_length=MOST_TEXT)]
_Name = Annotated[str, msgspec.Meta(max_length=256)]
GAVE_UP = 125
"""Exit code of a worker that ends without its closing message and has said why on stderr."""

STOPPED = "StopRequested"
"""The kind of what is no failure, but says where the stop signal met the target."""

_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
_Crc = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_Many = Annotated[tuple[_T, ...], msgspec.Meta(max_length=1 << 20)]
"""Checked before anything is allocated: four bytes can announce four thousand million elements."""


class Wait(enum.IntEnum):
    """How long a request may wait; TIMED ones are withdrawn by the worker when their time is up."""

    NO = 0
    TIMED = 1
    FOREVER = 2


class End(enum.IntEnum):
    """How a finished item ended.

    FAILED: it is tried again, or ends as its job says, if its attempts are used up. The others are
    ends at once: FATAL fails the job, DEAD makes it a dead letter.
    """

    DONE = 0
    SKIPPED = 1
    FAILED = 2
    DEAD = 3
    FATAL = 4


class CommitStatus(enum.IntEnum):
    """The answer to a commit.

    REFUSED: the worker does not hold what it tried to finish. FULL: a queue had no room for its
    outputs for longer than it lets anybody wait, so that what is not applied is undone, and the job
    has failed.
    """

    APPLIED = 0
    REFUSED = 1
    FULL = 2


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Base of all messages: frozen, compact on the wire."""


class Failure(_Message, frozen=True, kw_only=True):
    """An exception of the user's code, as text made in the worker.

    `kind` is the exception's qualified name, `bases` the names it can be matched by (most derived
    first), `where` the innermost file and line of the user's own code. `item_name` is what the item
    at hand is called, if it is (`item_names`).
    """

    kind: _Text
    message: _Text
    traceback: _Text = ""
    bases: _Many[_Text] = ()
    where: _Text = ""
    item_name: _Name = ""


class Mark(_Message, frozen=True, kw_only=True):
    """The end of an item that is not plainly done; `at` counts the commit's finished items."""

    at: _Number
    end: End
    failure: Failure


class Output(_Message, frozen=True, kw_only=True):
    """`n` items for each of `queues`, in one chunk of `size` bytes in the frame's body.

    `counts` says how many of them belong to each finished item of the commit, in order; one entry
    more is what the item still open (or a source) has emitted. None: one each for the finished.
    `packed` tells the reader how the chunk is laid out; it means nothing to the broker. `digests`
    are those of all the worker has put there before these, and with these
    (`core.broker.outputs`); 0 where nobody asks for them. `crc` is the chunk's checksum, which goes
    with it wherever it goes. `placed`: the chunk lies in the worker's arena; in the body is its
    place (`ipc.arena`), whose checksum that is.
    """

    queues: _Many[_Name]
    n: _Number
    size: _Number
    packed: bool
    counts: _Many[_Number] | None = None
    digests: tuple[int, int] = (0, 0)
    crc: _Crc = 0
    placed: bool = False


class Range(_Message, frozen=True, kw_only=True):
    """Items `start` to `stop` (exclusive) of a chunk of `size` bytes, counted from id `first`.

    `crc` is the checksum of the whole chunk, as its producer made it. `placed`: in the body is the
    place of the chunk in an arena, whose checksum that is.
    """

    start: _Number
    stop: _Number
    first: _Number
    size: _Number
    packed: bool
    crc: _Crc = 0
    placed: bool = False


class Hello(_Message, tag=1, frozen=True, kw_only=True):
    """First message of a worker. Nothing that matters is taken from it."""

    pid: _Number
    protocol: _Number = PROTOCOL


class Ready(_Message, tag=2, frozen=True, kw_only=True):
    """The target is found and constructed."""


class Pull(_Message, tag=3, frozen=True, kw_only=True):
    """Asks for `least` to `most` items of the first of `queues` that has any.

    `within_s` is how long to wait, from the first item on, for `least` of them. The `commit` comes
    first, and its chunks follow in the body. `polls`: the target sees it if nothing comes.
    """

    pull: _Number
    queues: _Many[_Name]
    most: _Number
    least: _Number = 1
    within_s: float = 0.0
    wait: Wait = Wait.FOREVER
    commit: Commit | None = None
    polls: bool = False


class Unpull(_Message, tag=4, frozen=True, kw_only=True):
    """Withdraws a pull."""

    pull: _Number


class Want(_Message, tag=5, frozen=True, kw_only=True):
    """Asks for `n` credits of `queue`; fewer may be granted, but not none.

    Room is collected for a moment until it is for `least` of them. `unsent` outputs are held by the
    worker: if it has credit for more than those, that is on its way, and the answer to this. None:
    it is in line whatever is on its way. `whole`: it is for a transaction, which cannot wait and
    leaves as a whole: a soft bound in bytes is none to it until there are 1,000 items, nor once it
    has put there.
    """

    want: _Number
    queue: _Name
    unsent: _Number | None = None
    n: _Number = 1
    least: _Number = 1
    wait: Wait = Wait.FOREVER
    whole: bool = False


class Unwant(_Message, tag=6, frozen=True, kw_only=True):
    """Withdraws a want."""

    want: _Number


class Commit(_Message, tag=7, frozen=True, kw_only=True):
    """What is finished, and its outputs.

    `finished` pairs leases with counts, `returned` queues with credits given back. `awaited`: the
    worker waits for the answer; one within its credits needs none, unless it is refused. `got`: how
    many items of which queue its target has got since the last commit, in order; 0: its end. Told
    by a worker that is called once, of several queues, if what it puts is counted.
    """

    seq: _Number
    finished: _Many[tuple[_Number, _Number]] = ()
    marks: _Many[Mark] = ()
    outputs: _Many[Output] = ()
    returned: _Many[tuple[_Name, _Number]] = ()
    awaited: bool = True
    got: _Many[tuple[_Name, _Number]] = ()


class Released(_Message, tag=8, frozen=True, kw_only=True):
    """Answer to a recall, or unasked: the worker keeps the first `kept` items of the lease.

    `unseen`: since it cannot read this arena; what lies there is to come in frames.
    """

    lease: _Number
    kept: _Number
    unseen: _Number = 0


class Ask(_Message, tag=9, frozen=True, kw_only=True):
    """Asks for the size of a queue."""

    ask: _Number
    queue: _Name


class TaskDone(_Message, tag=10, frozen=True, kw_only=True):
    """`JoinableQueue.task_done`, `n` times."""

    ask: _Number
    queue: _Name
    n: _Number = 1


class JoinQueue(_Message, tag=11, frozen=True, kw_only=True):
    """`JoinableQueue.join`: answered when as many task_dones as puts have come."""

    ask: _Number
    queue: _Name
    wait: Wait = Wait.FOREVER


class Worn(enum.Enum):
    """Why a worker gives its place to a new process: the key of `recycle` in the spec."""

    ITEMS = "max_items"
    MEMORY = "max_rss"


class Closing(_Message, tag=12, frozen=True, kw_only=True):
    """Last message.

    `failure`: the target raised (a job that is called once, a constructor); `stopped`: it ended
    because it was told to, at `stack`; `signalled`: it ended by itself, but the stop signal had
    come before; `recycled`: why a new process shall take its place; `readers_failed`: the failure
    is only that nobody takes what it gives any more, as those who read that have failed.
    """

    failure: Failure | None = None
    stopped: bool = False
    recycled: Worn | None = None
    stack: _Text = ""
    signalled: bool = False
    readers_failed: bool = False


class Leased(_Message, tag=32, frozen=True, kw_only=True):
    """A lease in answer to a pull; the chunks of `ranges` follow in the body.

    `tried` pairs the ids of items that were tried before with how often.
    """

    pull: int
    lease: int
    queue: _Name
    ranges: _Many[Range]
    tried: _Many[tuple[int, int]] = ()


class NoLease(_Message, tag=33, frozen=True, kw_only=True):
    """The pull got nothing."""

    pull: int


class Ended(_Message, tag=34, frozen=True, kw_only=True):
    """End-of-stream on every queue of the pull."""

    pull: int


class Grant(_Message, tag=35, frozen=True, kw_only=True):
    """`n` credits of `queue`; `want` 0 is unasked; `n` 0 is a refusal."""

    want: int
    queue: _Name
    n: int


class Shut(_Message, tag=36, frozen=True, kw_only=True):
    """The queue is closed; its credits are void.

    `reader` is the job that read it last, and `returned` whether that has succeeded.
    """

    queue: _Name
    reader: str = ""
    returned: bool = True


class Committed(_Message, tag=37, frozen=True, kw_only=True):
    """Everything in the commit is applied, or it was refused; `full` is the queue without room.

    `credits` is what the worker holds now of each queue the commit put on: a commit that asked for
    more than its credits may have been given room without spending them. One that was parked has
    lost all the worker's credits, of every queue.
    """

    seq: int
    status: CommitStatus = CommitStatus.APPLIED
    credits: _Many[tuple[_Name, int]] = ()
    full: _Name = ""


class Recall(_Message, tag=38, frozen=True, kw_only=True):
    """Give back what of the lease is not started."""

    lease: int


class Answer(_Message, tag=39, frozen=True, kw_only=True):
    """Answer to Ask, TaskDone and JoinQueue; `error` is what was wrong with the request.

    `full`: it holds as many items, or bytes, as it may. `ended`: no item will ever come.
    """

    ask: int
    qsize: int
    maxsize: int
    unfinished: int = 0
    error: str = ""
    full: bool = False
    ended: bool = False


class Stop(_Message, tag=40, frozen=True, kw_only=True):
    """The run drains: a source ends."""


class Freed(_Message, tag=41, frozen=True, kw_only=True):
    """Nobody needs any more what lies in the worker's arena at these offsets."""

    offsets: _Many[int]


class SourceTotal(_Message, tag=13, frozen=True, kw_only=True):
    """A source has said how many items it has, all in all; for displays only."""

    total: _Number


class ArenaGone(_Message, tag=42, frozen=True, kw_only=True):
    """Nothing will ever be read of that arena any more."""

    arena: int


FromWorker = (
    Hello
    | Ready
    | Pull
    | Unpull
    | Want
    | Unwant
    | Commit
    | Released
    | Ask
    | TaskDone
    | JoinQueue
    | Closing
    | SourceTotal
)
ToWorker = (
    Leased | NoLease | Ended | Grant | Shut | Committed | Recall | Answer | Stop | Freed | ArenaGone
)
