"""A run of the broker alone: pipes instead of sockets, generators instead of processes.

Everything that happens is drawn from one seeded source, so a seed is a history.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection

from orchestrator.core.broker.broker import Broker
from orchestrator.core.broker.clients import JobState, Waiter
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.queue import QueueState
from orchestrator.core.protocol.commands import Command, Send
from orchestrator.core.protocol.events import (
    Blame,
    BrokerNews,
    Event,
    Fenced,
    ItemFatal,
    JobFinished,
    PutRefused,
    Received,
    SupervisorNews,
    Ticked,
    WorkerJoined,
    WorkerLeft,
)
from orchestrator.core.protocol.messages import (
    Commit,
    CommitStatus,
    Committed,
    FromWorker,
    Leased,
    Ready,
    Released,
)

from . import early, limits, meters, rules, shapes
from .boxes import Box
from .cast import Agent, Employer, Faults
from .client import Client, Frame, Moves
from .ledger import Books, check
from .mishaps import strike
from .order import Orders, forget, held
from .pace import Starts
from .parts import box_of, states, unput_lost
from .topology import Job, Topology

BrokerMaker = Callable[[list[QueueState], list[JobState]], Broker]


class World:
    """A broker, its workers, and a clock; `step` lets one thing happen."""

    def __init__(
        self,
        topology: Topology,
        rng: random.Random,
        faults: Faults,
        make: BrokerMaker = Broker,
    ) -> None:
        self.rng = rng
        self.faults = faults
        self.topology = topology
        self.now = 0.0
        self.steps = 0
        self._noted = 0
        self.met: set[str] = set()
        self._trace = hashlib.sha256()
        self.orders = Orders(topology.jobs)
        books = Books({job.name: job for job in topology.jobs}, self.orders)
        self.begin(self._broker(make), books)

    def _broker(self, make: BrokerMaker) -> Broker:
        return make(*states(self.topology))

    def begin(self, broker: Broker, books: Books, done: Collection[str] = ()) -> None:
        """Start the workers of all jobs but those that are done; nothing has been said yet."""
        self.broker = broker
        self.books = books
        self.rooms: rules.Rooms = Counter()
        self.sums = rules.sums(broker)
        self.meters = defaultdict[str, meters.Sum](meters.Sum)
        self.came_back: Counter[str] = Counter()
        self.largest_commit = 0
        self.held_back: set[LeaseState] = set()
        self.starts = {
            job.name: Starts(job) for job in self.topology.jobs if job.interval_s is not None
        }
        self.lines: rules.Lines = {}
        self.waits: limits.Waits = {}
        self.asked: limits.Asked = {}
        self.rested: dict[str, float] = {}
        limits.watch(self)
        self.batch_since: dict[str, float] = {}
        self.before = early.before(self.broker)
        self.moments: dict[int, early.Moment] = {}
        early.watch(self)
        self.room_since: dict[str, tuple[Waiter, float]] = {}
        self.agents: dict[str, Agent] = {}
        self._came_back: Counter[str] = Counter()
        self.employers = {job.name: Employer(job) for job in self.topology.jobs}
        for employer in self.employers.values():
            if employer.job.name in done:
                employer.over = True
            else:
                self.tell(*[self._hire(employer, index) for index in range(employer.job.workers)])

    @property
    def over(self) -> bool:
        return all(employer.over for employer in self.employers.values())

    @property
    def is_halted(self) -> bool:
        return False

    @property
    def trace(self) -> str:
        """The same for the same history."""
        return self._trace.hexdigest()

    # -- workers come and go ----------------------------------------------------------------------

    def _hire(self, employer: Employer, index: int) -> WorkerJoined:
        job = employer.job
        employer.hired += 1
        employer.at_work += 1
        rng = random.Random(self.rng.random())
        name = self._name(employer, index)
        client = Client(
            name,
            rng,
            [self._box(name, queues, rng) for queues in job.boxes],
            by_item=job.by_item,
            read=self.books.read,
            write=self.books.write,
        )
        for box in client.boxes:
            box.free = job.window is not None
        agent = Agent(employer, client, self._life(employer, client, index), index)
        agent.speed = self.rng.choice((1.0, 1.0, 0.2, 0.05))
        self.agents[client.name] = agent
        client.send(Ready())
        return WorkerJoined(worker=client.name, job=job.name)

    def _name(self, employer: Employer, index: int) -> str:
        return f"{employer.job.name}-{employer.hired}"

    def _box(self, worker: str, queues: tuple[str, ...], rng: random.Random) -> Box:
        return box_of(queues, self.topology, rng)

    def _life(self, employer: Employer, client: Client, index: int) -> Moves:
        target = shapes.Target(employer.job, self.books.new_item, self._charges)
        return shapes.life(client, target, employer.left[index])

    def _charges(self, queue: str, number: int) -> int:
        return self.books.charges[queue, number]

    def kill(self, agent: Agent) -> None:
        """It stops between two of its moves; what it has written may be torn."""
        agent.moves = None
        agent.dead = True
        self.met.add("killed")
        if self.broker.clients[agent.name].parked:
            self.met.add("parked and dead")
        for _ in range(self.rng.randint(0, len(agent.client.out))):
            agent.client.out.pop()

    def fence(self, agent: Agent) -> None:
        """It is given up, and does not know."""
        agent.fenced = True
        self.met.add("fenced")
        self._lose(agent, agent.client.blame)
        self.tell(Fenced(worker=agent.name, blame=agent.client.blame))

    def _kill_fenced(self) -> bool:
        """What is given up is killed in the end; whether there was anybody."""
        fenced = [a for a in self.agents.values() if a.fenced and not a.dead]
        for agent in fenced:
            self.kill(agent)
        return bool(fenced)

    def _leave(self, agent: Agent) -> None:
        """Its pipe is read to the end: it is gone."""
        blame = agent.client.blame if agent.dead else Blame()
        del self.agents[agent.name]
        self._lose(agent, blame)
        if any(self._came_back.values()):
            self.met.add("redelivered")
        left = WorkerLeft(worker=agent.name, returned=not agent.dead, blame=blame)
        employer = agent.employer
        employer.at_work -= 1
        if self._is_replaced(agent):
            self.tell(left, self._hire(employer, agent.index))
        elif employer.at_work:
            self.tell(left)
        else:
            employer.over = True
            self.tell(left, self._finished(employer))

    def _is_replaced(self, agent: Agent) -> bool:
        return agent.dead and agent.employer.clean

    def _finished(self, employer: Employer) -> JobFinished:
        return JobFinished(job=employer.job.name, clean=employer.clean)

    def _lose(self, agent: Agent, blame: Blame) -> None:
        """What it holds comes back, but for an item that was at its last attempt."""
        client = self.broker.clients[agent.name]
        job = agent.employer.job
        if client.parked:
            unput_lost(self.books, client.parked)
        leases = client.leases if job.by_item else {}
        held = {
            number: (lease.in_progress, lease.partially_emitted and not lease.claimed)
            for number, lease in leases.items()
        }
        if not client.parked:
            emitted = any(emitted for _, emitted in held.values())
            is_open = job.by_item and agent.name in self.books.open_at
            check(emitted is is_open, f"{agent.name}: the broker knows what has left of its item")
        own = self._stays_own(job)
        self._came_back += self.books.left(agent.name, job, blame, held, reserved=own)

    def _stays_own(self, job: Job) -> bool:
        """Whether what a dead worker of the job has not finished is nobody else's."""
        return False

    def fail(self, employer: Employer) -> None:
        """The job has failed: all of its workers are killed and none is hired."""
        employer.clean = False
        self.met.add("failed job")
        for agent in self.agents.values():
            if agent.employer is employer and not agent.dead:
                self.kill(agent)

    # -- one step ---------------------------------------------------------------------------------

    def step(self) -> bool:
        """Let one thing happen; False when nothing can."""
        self.steps += 1
        if self.steps <= self.faults.steps and strike(self):
            return True
        if self.rng.random() < 0.05:
            self.now += self.rng.choice((0.001, 0.02, 0.1))
            self._tick_if_due()
        draw = self.rng.random
        agents = sorted(self.agents.values(), key=lambda _: draw())
        return (
            any(self.move(agent) for agent in agents if draw() < agent.speed)
            or any(self.move(agent) for agent in agents)
            or self._wait()
            or self._kill_fenced()
        )

    def repeat(self, agent: Agent) -> bool:
        """The worker's last commit is sent twice."""
        last = agent.client.last_commit
        if agent.dead or last is None:
            return False
        agent.client.out.append(last)
        self.met.add("repeated")
        return True

    def move(self, agent: Agent) -> bool:
        """One thing happens at this worker's side; False when nothing can."""
        for move in _ORDERS[int(self.rng.random() * len(_ORDERS))]:
            if getattr(self, move)(agent):
                return True
        return False

    def _deliver(self, agent: Agent) -> bool:
        if not agent.client.out:
            if agent.moves is None:
                self._leave(agent)
            return agent.moves is None
        message, blobs = agent.client.out.popleft()
        if not agent.fenced:
            self._book(agent, message, blobs)
            self.largest_commit = max(self.largest_commit, sum(map(len, blobs)))
        self.tell(Received(worker=agent.name, message=message, blobs=blobs))
        return True

    def _book(self, agent: Agent, message: FromWorker, blobs: tuple[bytes, ...]) -> None:
        if isinstance(message, Released):
            self.met.add("released")
            self._came_back += self._released(agent, message)
        elif isinstance(message, Commit) and message.seq > agent.last_seq:
            check(self.books.may_commit(agent.name, message), "the model's workers are honest")
            agent.last_seq = message.seq
            if agent.employer.job.shape is shapes.source:
                agent.employer.left[agent.index] -= sum(output.n for output in message.outputs)
            self._came_back += self.books.committed(
                agent.name, agent.employer.job.name, message, blobs
            )

    def _released(self, agent: Agent, message: Released) -> Counter[str]:
        return self.books.released(agent.name, message)

    def _receive(self, agent: Agent) -> bool:
        if agent.moves is None or not agent.client.inbox:
            return False
        agent.client.take_in()
        return True

    def _run(self, agent: Agent) -> bool:
        client = agent.client
        if agent.moves is None:
            return False
        if client.waits_timed and self.rng.random() < 0.1:
            client.patience_over = True
        if not agent.waits():
            return client.waits_timed
        try:
            agent.waits = next(agent.moves)
        except StopIteration:
            agent.moves = None
        if client.rolled_back:
            self.met.add("rolled back")
        return True

    def _pace(self, agent: Agent) -> bool:
        client = agent.client
        if agent.moves is None or not client.has_to_pace or self.rng.random() < 0.5:
            return False
        return client.pace(idle=self.rng.random() < 0.1)

    def _wait(self) -> bool:
        """Nobody can move: what is unsent leaves, and then time passes."""
        if any(agent.moves and agent.client.pace(idle=True) for agent in self.agents.values()):
            return True
        early.nothing_waits_in_vain(self)
        return self.tick()

    def tick(self) -> bool:
        """Nothing else moves: the next deadline comes."""
        deadline = self.broker.next_deadline()
        if deadline is None:
            return any(
                agent.client.pace(idle=True) for agent in self.agents.values() if agent.moves
            )
        self.now = max(self.now, deadline)
        self.tell(Ticked())
        return True

    def _tick_if_due(self) -> None:
        deadline = self.broker.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.tell(Ticked())

    # -- the broker -------------------------------------------------------------------------------

    def tell(self, *events: Event | BrokerNews) -> None:
        """Hand the broker what happens at once, and check all rules."""
        failed = [item for event in events for item in self._tell(event)]
        for item in failed:
            employer = self.employers[item.worker.rpartition("-")[0]]
            # what is behind an item of an ordered job has no turn any more
            fails = isinstance(item, PutRefused) or employer.job.window is not None
            if fails and employer.clean and not employer.over:
                self.fail(employer)
        stalled = not self.is_halted and not self._is_stopping and self.broker.stall() is not None
        check(not stalled, "a stall is reported though no honest worker can wait for ever")

    @property
    def _is_stopping(self) -> bool:
        """Whether a failed job's worker is at its end: a run asks for no stall then."""
        return any(agent.dead and not agent.employer.clean for agent in self.agents.values())

    def _tell(self, event: Event | BrokerNews) -> list[ItemFatal | PutRefused]:
        before = list(held(self.broker))
        self._noted = 0
        orders = self._handle(event)
        self.note_leases()
        forget(self, before)
        self._trace.update(repr((event, orders)).encode())
        early.check_early(self, event, orders)
        early.check_alone(self, orders)
        for order in orders:
            if isinstance(order, Send):
                self._send(order)
        for agent in self.agents.values():
            agent.fenced = agent.fenced or agent.refused
        came_back, self._came_back = self._came_back, Counter()
        rules.after_each_event(self, came_back)
        self.before = early.before(self.broker)
        self.met.update(rules.sights(self.broker))
        return [order for order in orders if isinstance(order, ItemFatal | PutRefused)]

    def _handle(self, event: Event | BrokerNews) -> list[Command | SupervisorNews]:
        return self.broker.handle(event, self.now)

    def note_leases(self) -> None:
        """Have the leases in the books that the event has led to until now.

        What a refused commit gives back in the same event is there for the next only.
        """
        orders = self.broker._state.orders
        for order in orders[self._noted :]:
            if isinstance(order, Send) and isinstance(order.message, Leased):
                self.books.leased(order.worker, order.message, order.blobs)
        self._noted = len(orders)

    def _send(self, order: Send) -> None:
        agent = self.agents.get(order.worker)
        check(agent and not agent.fenced, f"{order.worker} is gone and is sent {order.message}")
        assert agent is not None
        self.met.update(rules.sent(order.message))
        if isinstance(order.message, Leased):
            if starts := self.starts.get(agent.employer.job.name):
                starts.start(self.now, order.message)
            self.batch_since.pop(order.message.queue, None)
        elif isinstance(order.message, Committed):
            status = order.message.status
            fair = status is CommitStatus.APPLIED or (status is CommitStatus.FULL and agent.refused)
            check(fair, f"{agent.name} holds what it commits and is refused")
        agent.client.inbox.append(Frame(order.message, order.blobs))

    # -- the end ----------------------------------------------------------------------------------

    def run(self, limit: int = 2_000_000) -> None:
        """Live until every job is over; faults stop in time, and then it must end by itself.

        Most end within some thousand steps; one slow worker among many that poll needs far more.
        """
        while not self.over:
            check(self.steps < limit, f"no end after {limit} steps")
            if self.steps >= self.faults.steps:
                self._kill_fenced()
            check(self.step(), "work is left and nothing moves")
        self._end()

    def _end(self) -> None:
        rules.at_the_end(self)


_ORDERS = tuple(itertools.permutations(("_deliver", "_receive", "_run", "_pace")))
