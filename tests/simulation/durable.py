"""A durable run over all of its lives: crashes and stops of the orchestrator, and resumes.

What the broker notes is written before anybody receives what it has ordered since the last write,
so a crash loses either nothing or all that has happened since then.
"""

from __future__ import annotations

import random
from collections import Counter
from enum import Enum

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.setup import Resumption
from orchestrator.core.protocol.commands import Command, Send
from orchestrator.core.protocol.events import (
    Blame,
    BrokerNews,
    Event,
    ItemFatal,
    JobFinished,
    PutRefused,
    SourcesClosed,
    SupervisorNews,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import Leased, Range, Released
from orchestrator.plan.model import ErrorAction, FailurePolicy

from . import kept, replay, rules, shapes
from .boxes import Box
from .cast import Agent, Employer, Faults
from .client import Client, Moves
from .ledger import check
from .order import Lives
from .parts import box_of
from .plans import plan_of
from .record import Item, Line, Record
from .topology import Job, Topology
from .whole import check_whole
from .world import BrokerMaker, World


class Halting(Enum):
    """How far the run has been stopped."""

    NOT = 0
    DRAIN = 1
    STOP = 2


class DurableWorld(World):
    """`lives`: after so many, the run is left in peace until it ends."""

    def __init__(self, topology: Topology, rng: random.Random, faults: Faults, lives: int) -> None:
        self.plan = plan_of(topology)
        self.lives = lives
        self.disk = kept.Disk()
        self.makers = replay.Makers()
        self.order = Lives(topology.jobs, self.makers)
        self.record = Record(self._identities, self.order.placed)
        self.enough: set[str] = set()
        self.policies = {job.name: rng.choice(tuple(FailurePolicy)) for job in topology.jobs}
        self.halting = Halting.NOT
        self._failed: list[ItemFatal | PutRefused] = []
        self._incomplete: set[str] = set()
        self._resumption: Resumption | None = None
        self._restored: dict[str, list[int]] = {}
        self._rests: dict[str, list[Item]] = {}
        self._again: set[tuple[str, int]] = set()
        self._final: set[str] = set()
        super().__init__(topology, rng, faults)

    def _identities(self, blob: bytes) -> tuple[int, ...]:
        return self.books.chunk_of(blob)

    # -- a life -----------------------------------------------------------------------------------

    def _broker(self, make: BrokerMaker) -> Broker:
        return Broker.of_plan(self.plan, self._resumption)

    @property
    def calm(self) -> bool:
        return self.lives <= 0

    @property
    def over(self) -> bool:
        return len(self.record.jobs_done) == len(self.employers)

    def step(self) -> bool:
        """Let one thing happen; a life that is over is followed by the next."""
        if super().over:
            self.write()
            if not self.over:
                self.crash()
            return True
        if not self.calm and self._end_of_life():
            return True
        return super().step()

    def _end_of_life(self) -> bool:
        draw, faults = self.rng.random(), self.faults
        if draw < faults.crash * (4 if self.disk.waits else 1):
            unwritten = self.disk.waits and self.rng.random() < 0.6
            if not unwritten:
                self.write()
            self.met.add("crash, unwritten" if unwritten else "crash, written")
            self.crash()
            return True
        if self.halting is Halting.NOT and draw < faults.crash + faults.halt:
            if self.rng.random() < 0.5:
                self.stop()
            else:
                self.drain()
            return True
        return False

    def write(self) -> None:
        """The loop's turn ends: what has happened is on disk, and its orders go out."""
        if entry := self.disk.write():
            self.record.read(entry)
            self.order.check_ended(self.record)

    def crash(self) -> None:
        """All processes are gone; the run is resumed."""
        self.lives -= 1
        if self.calm:
            self.faults = Faults()
            self._forgive()
        self.halting = Halting.NOT
        self._incomplete.clear()
        self._failed.clear()
        self._rests.clear()
        self._again.clear()
        self.record.crash()
        self._resumption = self.disk.reopen()
        stored = self._resumption.stored
        self._final = set(stored.jobs_done)
        if any(at.tail for worker in stored.workers.values() for at in worker.progress.values()):
            self.met.add("resumed within a chunk")
        if any(worker.redelivered for worker in stored.workers.values()):
            self.met.add("items again")
        if stored.jobs_done:
            self.met.add("resumed after a job was done")
        books = self.books.resumed(stored, self.record.identity)
        self._restored = {name: sorted(books.waiting(name), reverse=True) for name in stored.queues}
        self.begin(self._broker(Broker), books, tuple(stored.jobs_done))

    def _forgive(self) -> None:
        """The user has had enough of jobs that fail."""
        for job in self.topology.jobs:
            if job.otherwise is ErrorAction.FAIL:
                job.otherwise = ErrorAction.DEAD_LETTER
        self.topology.patience.clear()
        self.plan = plan_of(self.topology)

    # -- workers ----------------------------------------------------------------------------------

    def _name(self, employer: Employer, index: int) -> str:
        return f"{employer.job.name}-{index + 1}"

    def _box(self, worker: str, queues: tuple[str, ...], rng: random.Random) -> Box:
        box = box_of(queues, self.topology, rng)
        at = self.broker.positions_of(worker).get(queues[0])
        if at is not None:
            blob = bytes(at.tail.blob) if at.tail is not None else b""
            tail = self.books.chunk_of(blob)[: at.used] if blob else ()
            box.replay = replay.Replay(at.n, at.digest, tail)
        return box

    def _life(self, employer: Employer, client: Client, index: int) -> Moves:
        job = employer.job
        client.tells_gets = not job.by_item and len(job.reads) > 1
        target = replay.Steady(
            job, self.makers, self._charges, calm=self.calm, is_over=self._is_over
        )
        return replay.life(client, target)

    def _is_over(self, queue: str) -> bool:
        """Whether nobody will put on the queue any more, in this life or another."""
        return all(job.name in self._final for job in self.topology.jobs if queue in job.writes)

    def _receive(self, agent: Agent) -> bool:
        if agent.moves is not None and agent.client.inbox:
            self.write()
        return super()._receive(agent)

    def fence(self, agent: Agent) -> None:
        """A worker that is called once is never suspected."""
        if agent.employer.job.by_item:
            super().fence(agent)
        else:
            self.kill(agent)

    def _is_replaced(self, agent: Agent) -> bool:
        job = agent.employer.job
        if not super()._is_replaced(agent) or self.halting is Halting.STOP:
            agent.employer.cut = agent.employer.cut or agent.dead
            return False
        if job.by_item or (job.shape is shapes.source and self.halting is Halting.NOT):
            return True
        agent.employer.cut = True
        self.fail(agent.employer)
        return False

    def _leave(self, agent: Agent) -> None:
        job = agent.employer.job
        if not agent.dead and any(not self.broker.queues[name].ended for name in job.reads):
            self.enough.update(job.reads)
            self.met.add("enough")
        super()._leave(agent)

    def _stays_own(self, job: Job) -> bool:
        return not job.by_item

    def _lose(self, agent: Agent, blame: Blame) -> None:
        if not agent.employer.job.by_item:
            self._rests[agent.name] = self.books.rest_of(agent.name)
        super()._lose(agent, blame)

    # -- the end of a job -------------------------------------------------------------------------

    def fail(self, employer: Employer) -> None:
        """The job has failed, and its policy says what follows."""
        super().fail(employer)
        policy = self.policies[employer.job.name]
        if policy is FailurePolicy.STOP:
            self.stop()
        elif policy is FailurePolicy.DRAIN:
            self.drain()

    def stop(self) -> None:
        """Everybody is killed."""
        self.halting = Halting.STOP
        self.met.add("stopped")
        for agent in self.agents.values():
            if not agent.dead and agent.moves is not None:
                self.kill(agent)

    def drain(self) -> None:
        """Sources end."""
        if self.halting is Halting.NOT:
            self.halting = Halting.DRAIN
            self.met.add("drained")
            heads = [a.name for a in self.agents.values() if a.employer.job.shape is shapes.source]
            self._tell(SourcesClosed(workers=tuple(heads)))

    def _finished(self, employer: Employer) -> JobFinished:
        job = employer.job
        clean = employer.clean and not employer.cut
        stopping = self.halting is not Halting.NOT
        final = clean and not stopping and not self._is_incomplete(job)
        (self._final if final else self._incomplete).add(job.name)
        goes_on = not employer.clean and self.policies[job.name] is not FailurePolicy.STOP
        return JobFinished(
            job=job.name,
            clean=clean,
            final=final,
            awaited=not clean and stopping and not goes_on,
        )

    def _is_incomplete(self, job: Job) -> bool:
        """Whether a job at its queues will be run again: there may be more to read or to put."""
        queues = {*job.reads, *job.writes}
        return any(
            queues & {*other.reads, *other.writes}
            for other in self.topology.jobs
            if other.name in self._incomplete
        )

    # -- the broker -------------------------------------------------------------------------------

    def tell(self, *events: Event | BrokerNews) -> None:
        """Hand the broker what happens at once; an item that has failed fails its job."""
        super().tell(*events)
        failed, self._failed = self._failed, []
        for item in failed:
            employer = self.employers[item.worker.rpartition("-")[0]]
            if employer.clean and not employer.over:
                self.fail(employer)

    @property
    def is_halted(self) -> bool:
        return self.halting is not Halting.NOT

    def _handle(self, event: Event | BrokerNews) -> list[Command | SupervisorNews]:
        before = {name: rules.reserved(queue) for name, queue in self.broker.queues.items()}
        orders = super()._handle(event)
        self._note_released(event)
        for name, queue in self.broker.queues.items():
            self._came_back[name] += max(0, before[name] - rules.reserved(queue))
        if entry := self.broker.take_entry():
            for queue, number, held in self.disk.note(entry):
                self._dropped(queue, number, held)
            kept.check_same(self.broker, self.disk.now.stored)
        self._failed += [o for o in orders if isinstance(o, ItemFatal | PutRefused)]
        return orders

    def _dropped(self, name: str, number: int, held: int) -> None:
        """An item is dropped, one of so many, for there is no room."""
        check(name in self.topology.when_full, f"{name}: an item is dropped, and nobody may")
        maxsize = self.topology.queues[name]
        weighed = {*self.topology.max_bytes, *self.topology.soft_bytes}
        full = name in weighed or 0 < maxsize < held
        check(full, f"{name}:{number} is dropped, one of {held}, and there is room")
        self.met.add("dropped")
        self.books.dropped(name, number)
        if number in (restored := self._restored.get(name, [])):
            restored.remove(number)

    def _end(self) -> None:
        check_whole(self)

    # -- what is a worker's own -------------------------------------------------------------------

    def _line(self, worker: str, queue: str) -> Line:
        return self.record.line(f"{worker}/{queue}")

    def _send(self, order: Send) -> None:
        super()._send(order)
        message = order.message
        if not isinstance(message, Leased):
            return
        numbers = [n for part in message.ranges for n in range(part.first, _end_of(part))]
        restored = self._restored.get(message.queue, [])
        line = self._line(order.worker, message.queue)
        if line.at < line.before:
            self._again.add((order.worker, message.lease))
        for number in numbers:
            if number in restored:
                check(restored.pop() == number, f"{message.queue}:{number} is out of order")
            if not self.agents[order.worker].employer.job.by_item:
                line.get((message.queue, number))

    def _released(self, agent: Agent, message: Released) -> Counter[str]:
        before, again = self.books.rest_of(agent.name), (agent.name, message.lease) in self._again
        came_back = self.books.released(agent.name, message, reserved=again)
        kept_ = set(self.books.rest_of(agent.name))
        gone = [item for item in before if item not in kept_]
        if again and gone:
            self.met.add("given back again")
            self._line(agent.name, gone[0][0]).give_back(gone)
        elif not agent.employer.job.by_item:
            self._let_go(agent.name, gone)
        return came_back

    def _note_released(self, event: Event | BrokerNews) -> None:
        if isinstance(event, WorkerLeft) and event.returned:
            self._release(event.worker)
        elif isinstance(event, JobFinished) and event.clean:
            for index in range(self.employers[event.job].job.workers):
                self._release(f"{event.job}-{index + 1}")

    def _release(self, worker: str) -> None:
        """It will not come for the rest: that is anybody's."""
        self._let_go(worker, self._rests.pop(worker, []))
        for key, line in self.record.lines.items():
            if key.partition("/")[0] == worker:
                del line.items[line.at :]

    def _let_go(self, worker: str, items: list[Item]) -> None:
        for queue, number in items:
            self._line(worker, queue).lose([(queue, number)])


def _end_of(part: Range) -> int:
    return part.first + part.stop - part.start
