"""The summary of a run as typed data: exactly what `summary.json` holds. Durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.core.protocol.notifications import Ledger, Survivor
from orchestrator.plan.model import Selection

__all__ = ["JobSummary", "Summary"]


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One job: its final status, its workers' exit codes, its items and where its time went.

    `failed`, `skipped`, `retried` and `dead` count input items, `restarts`, `recycled` and
    `orphaned` processes that took the place of a dead one, of a worn one, and of one that was lost
    with what it depends on: a forkserver, an agent, a machine. `busy_s`, `waiting_input_s`,
    `waiting_output_s` and `waiting_rate_s` (there were items, and its rate held them) add up over
    the job's workers. Of `waiting_input_s`, `waiting_end_s` is what it waited when all who write
    its input had ended: for its own retries, or its other workers. `short_batches` went out because
    `within` was over; `waiting_within_s` is how long they had waited for more.
    """

    status: str
    workers: int
    exit_codes: tuple[int | None, ...] = ()
    items_in: int = 0
    items_out: int = 0
    failed: int = 0
    skipped: int = 0
    retried: int = 0
    dead: int = 0
    restarts: int = 0
    recycled: int = 0
    orphaned: int = 0
    busy_s: float = 0.0
    waiting_input_s: float = 0.0
    waiting_output_s: float = 0.0
    waiting_rate_s: float = 0.0
    waiting_end_s: float = 0.0
    short_batches: int = 0
    waiting_within_s: float = 0.0
    reason: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `started` and `ended` are RFC 3339 UTC.

    Of a run that was resumed they and `duration_s` are those of its last life, `first_started` is
    when it began. `bottleneck` is the job that its neighbours waited for, None where none did for
    long; `warnings` say what may not have been meant; `selection` is what was chosen of the spec,
    None where that was all. `survivors` are processes that could not be killed.
    """

    run: str
    name: str
    status: str
    exit_code: int
    started: str
    ended: str
    duration_s: float
    jobs: Mapping[str, JobSummary]
    queues: Mapping[str, Ledger]
    bottleneck: str | None = None
    warnings: tuple[str, ...] = ()
    reason: str = ""
    selection: Selection | None = None
    first_started: str = ""
    survivors: tuple[Survivor, ...] = ()
