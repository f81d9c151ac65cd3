"""A whole run as one pure machine: the broker and the supervisor, and the news between them.

The conductor maps what happens to events and carries the commands out; the rest is here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import get_args

import msgspec

from orchestrator.core.broker.broker import Broker, ProtocolError
from orchestrator.core.broker.observers import LiveTap, Tap
from orchestrator.core.broker.outputs import OutputProgress
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.broker.setup import Resumption
from orchestrator.core.durable.records import JournalEntry
from orchestrator.core.protocol.commands import Command
from orchestrator.core.protocol.events import (
    AnyBlob,
    Blame,
    BrokerNews,
    Event,
    Malformed,
    Received,
    SupervisorNews,
    Ticked,
    WorkerDied,
)
from orchestrator.core.protocol.messages import Closing, Ready
from orchestrator.core.protocol.notifications import Ledger, Warned
from orchestrator.core.reporting import JobSummary, slowest_item, warnings_of
from orchestrator.core.samples import (
    Figures,
    JobSample,
    QueueSample,
    Sample,
    Service,
    System,
    WorkerSample,
)
from orchestrator.core.supervisor.model import WorkerView
from orchestrator.core.supervisor.policy import RunOutcome
from orchestrator.core.supervisor.supervisor import Supervisor
from orchestrator.core.supervisor.transitions import State
from orchestrator.plan.model import Plan

__all__ = ["Run"]

_OF_LIFE = frozenset({Ready, Closing})
_SUPERVISOR_NEWS = frozenset(get_args(SupervisorNews))
_BROKER_NEWS = frozenset(get_args(BrokerNews))


_NOTHING = Service()
_UNKNOWN = Figures(cpu_s=0.0, rss=0, blame=Blame(), at_item_s=0.0)
_UNMEASURED = System()


class Run:
    """One run of a plan; `handle` takes an event, `outcome` is there once everything has ended.

    With a `resumption` it goes on from there. A `tap` sees what comes onto its queues.
    """

    def __init__(
        self, plan: Plan, resumption: Resumption | None = None, *, tap: Tap | None = None
    ) -> None:
        self._plan = plan
        self._broker = Broker.of_plan(plan, resumption, tap)
        self._now = 0.0
        done = resumption.stored.jobs_done if resumption is not None else ()
        self._supervisor = Supervisor(plan, done=done)

    @property
    def outcome(self) -> RunOutcome | None:
        """Return how the run has ended; None while it has not."""
        return self._supervisor.outcome

    def next_deadline(self) -> float | None:
        """Return when `Ticked` is due, as monotonic seconds."""
        soonest, other = self._broker.next_deadline(), self._supervisor.next_deadline()
        if soonest is None or (other is not None and other < soonest):
            return other
        return soonest

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event at the monotonic time `now` (seconds); returns what is to be done."""
        commands: list[Command] = []
        self._now = now
        if type(event) is Received and type(event.message) not in _OF_LIFE:
            self._ask_broker(event, now, commands)
        else:
            news = self._first(event, now, commands)
            self._exchange(news, now, commands)
        if (
            self._broker.everybody_waits
            and not self._supervisor.is_stopping
            and (stall := self._broker.stall())
        ):
            self._exchange(deque(self._supervisor.handle(stall, now)), now, commands)
        return commands

    def take_entry(self) -> JournalEntry | None:
        """The entry a store must keep before the commands of these events are carried out."""
        return self._broker.take_entry()

    def positions_of(self, worker: str) -> Mapping[str, OutputProgress]:
        """Return how far a worker has come with what it puts, by the queue that names its box."""
        return self._broker.positions_of(worker)

    @property
    def worker_states(self) -> Mapping[str, WorkerView]:
        """Return how each worker is now, in spec order."""
        return self._supervisor.worker_states

    def item_at(self, worker: str, blame: Blame) -> str:
        """The id of the item a worker's progress cell points to; empty if there is none."""
        return self._broker.queries.item_at(worker, blame)

    def data_at(self, worker: str, blame: Blame) -> tuple[str, AnyBlob, int, bool] | None:
        """Return an item's queue, chunk, index in it and whether that is packed; as `item_at`."""
        found = self._broker.queries.data_at(worker, blame)
        if found is None:
            return None
        queue, segment = found
        return queue, segment.chunk.blob, segment.start, segment.chunk.packed

    def among(self, worker: str, blame: Blame) -> int:
        """Return how many items may be the one of `item_at`: more than one of a batch."""
        return self._broker.queries.among(worker, blame)

    def doing(self, worker: str, blame: Blame) -> str:
        """Return what a worker is at, in words; `blame` is what its progress cell says."""
        return self._broker.queries.doing(worker, blame)

    def _ask_broker(self, event: Received, now: float, commands: list[Command]) -> None:
        """Most of what happens: a message that is the broker's alone, answered by commands."""
        try:
            orders = self._broker.handle(event, now)
        except ProtocolError as error:
            breach = Malformed(worker=event.worker, detail=str(error))
            self._exchange(deque(self._supervisor.handle(breach, now)), now, commands)
            return
        for at, order in enumerate(orders):
            if type(order) in _SUPERVISOR_NEWS:
                self._exchange(deque(orders[at:]), now, commands)
                return
            commands.append(order)  # type: ignore[arg-type]  # it is no news, so it is a command

    def _first(
        self, event: Event, now: float, commands: list[Command]
    ) -> deque[Command | SupervisorNews | BrokerNews]:
        news: deque[Command | SupervisorNews | BrokerNews] = deque()
        if isinstance(event, Ticked) or (
            isinstance(event, Received) and isinstance(event.message, Ready)
        ):
            news += self._broker.handle(event, now)
            self._exchange(news, now, commands)
        if isinstance(event, WorkerDied):
            client = self._broker.clients.get(event.worker)
            if client is not None:
                event = msgspec.structs.replace(
                    event, made_progress=client.made_progress, committed=client.last_seq > 0
                )
        news += self._supervisor.handle(event, now)
        return news

    def _exchange(
        self,
        news: deque[Command | SupervisorNews | BrokerNews],
        now: float,
        commands: list[Command],
    ) -> None:
        """Carry news from one machine to the other until only commands are left."""
        while news:
            item = news.popleft()
            if type(item) in _SUPERVISOR_NEWS:
                news += self._supervisor.handle(item, now)  # type: ignore[arg-type]
            elif type(item) in _BROKER_NEWS:
                news += self._broker.handle(item, now)  # type: ignore[arg-type]
            else:
                commands.append(item)  # type: ignore[arg-type]

    # -- what others may see ----------------------------------------------------------------------

    @property
    def workers(self) -> dict[str, str]:
        """Return the workers that live, each with its job."""
        return {name: client.job.name for name, client in self._broker.clients.items()}

    def live_tap(self, queue: str) -> LiveTap | None:
        """Return a tap of a queue, which wants nothing yet; None if there is no such queue."""
        state = self._broker.queues.get(queue)
        return None if state is None else LiveTap(state)

    def sample(
        self,
        now: float,
        t: float,
        *,
        figures: Mapping[str, Figures] = {},
        services: Mapping[str, Service] = {},
        system: System = _UNMEASURED,
        last: bool = False,
    ) -> Sample:
        """Return the run's figures at the monotonic time `now`, which is `t` seconds of the run.

        `figures` are those of the workers' processes, `services` those of the jobs' items.
        """
        self._broker.note_sizes(now)
        return Sample(
            t=round(t, 6),
            jobs=tuple(self._job_samples(now, services)),
            queues=tuple(map(_queue_sample, self._broker.queues.values())),
            workers=tuple(self._worker_samples(now, figures)),
            system=system,
            last=last,
        )

    def _job_samples(self, now: float, services: Mapping[str, Service]) -> Iterable[JobSample]:
        jobs, all_times = self._broker.jobs, self._broker.job_times(now)
        for name, view in self._supervisor.job_states.items():
            job, times = jobs[name], all_times[name]
            yield JobSample(
                state=view.state.value,
                workers=len(view.pids),
                items_in=job.items_in,
                items_out=job.items_out,
                failed=job.failed,
                retried=job.retried,
                skipped=job.skipped,
                dead=job.dead,
                running_s=round(times.running, 6),
                starved_s=round(times.starved, 6),
                blocked_s=round(times.blocked, 6),
                held_s=round(times.held, 6),
                starting_s=round(times.starting, 6),
                end_s=round(times.at_end, 6),
                short_batches=job.short_batches,
                within_s=round(job.waiting_within_s, 6),
                restarts=view.restarts + view.recycled + view.orphaned,
                service=services.get(name, _NOTHING),
                total=sum(job.totals.values()) if job.totals else None,
            )

    def _worker_samples(self, now: float, figures: Mapping[str, Figures]) -> Iterable[WorkerSample]:
        numbers = {name: number for number, name in enumerate(self._broker.jobs)}
        pids = self._supervisor.pids
        for name, client in self._broker.clients.items():
            measured = figures.get(name, _UNKNOWN)
            times = self._broker.times_of(client, now)
            yield WorkerSample(
                name=name,
                job=numbers[client.job.name],
                pid=pids.get(name) or 0,
                running_s=round(times.running, 6),
                starved_s=round(times.starved, 6),
                blocked_s=round(times.blocked, 6),
                held_s=round(times.held, 6),
                starting_s=round(times.starting, 6),
                cpu_s=round(measured.cpu_s, 3),
                rss=measured.rss,
                item=self.item_at(name, measured.blame) if measured.blame.phase else "",
                at_item_s=round(measured.at_item_s, 6),
            )

    def ledgers(self) -> dict[str, Ledger]:
        """Return what became of all items, at the end."""
        return {name: queue.ledger(final=True) for name, queue in self._broker.queues.items()}

    def left_items(self) -> dict[str, list[range]]:
        """Return which items the ledgers say are left, at the end: their numbers, by queue."""
        return self._broker.left_items()

    def job_summaries(self, last: Sample | None = None) -> dict[str, JobSummary]:
        """Return what each job did, at the end; with the `last` sample also which item was slow."""
        views, jobs = self._supervisor.job_states, self._broker.jobs
        times = self._broker.job_times(self._now)
        samples = dict(zip(views, last.jobs, strict=True)) if last is not None else {}
        services = {name: sample.service for name, sample in samples.items()}
        return {
            name: JobSummary(
                status=view.state.value,
                workers=self._plan.jobs[name].workers,
                exit_codes=view.exit_codes if view.state is not State.SKIPPED else (),
                items_in=jobs[name].items_in,
                items_out=jobs[name].items_out,
                failed=jobs[name].failed,
                skipped=jobs[name].skipped,
                retried=jobs[name].retried,
                dead=jobs[name].dead,
                restarts=view.restarts,
                recycled=view.recycled,
                orphaned=view.orphaned,
                busy_s=round(times[name].running, 6),
                waiting_input_s=round(times[name].starved, 6),
                waiting_output_s=round(times[name].blocked, 6),
                waiting_rate_s=round(times[name].held, 6),
                waiting_end_s=round(times[name].at_end, 6),
                short_batches=jobs[name].short_batches,
                waiting_within_s=round(jobs[name].waiting_within_s, 6),
                slowest=slowest_item(services.get(name, _NOTHING)),
                reason=view.reason,
            )
            for name, view in views.items()
        }

    def warnings(self) -> tuple[Warned, ...]:
        """Return what of the run may not have been meant, at the end."""
        return warnings_of(self._plan, self.job_summaries(), self._broker.queues)


def _queue_sample(queue: QueueState) -> QueueSample:
    meter = queue.meter
    return QueueSample(
        size=queue.size,
        put=queue.put,
        done=queue.done,
        area=round(meter.area, 6),
        full_items_s=round(meter.full_items, 6),
        full_bytes_s=round(meter.full_bytes, 6),
        empty_s=round(meter.empty, 6),
        longest_full_s=round(meter.longest_full, 6),
        size_bytes=queue.weight.size if queue.weight is not None else None,
        skipped=queue.skipped,
        dropped=queue.dropped,
        dead=queue.dead,
        peak=queue.peak,
    )
