"""Whole runs: the broker and the supervisor on modelled processes that start, die and are stopped.

The other worlds drive the broker alone and play the supervisor themselves. Here the supervisor
decides: processes are made, or are not; they are recycled, killed, or told to stop by a stranger,
one by one or all at once with the run itself; the run is drained, terminated, killed.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, deque
from collections.abc import Iterator

import msgspec

from orchestrator.core.protocol import commands as do
from orchestrator.core.protocol import events, notifications
from orchestrator.core.protocol.messages import Closing, Commit, Committed, Failure, Ready, Worn
from orchestrator.core.run import Run
from orchestrator.core.supervisor.transitions import State
from orchestrator.plan.model import (
    Durability,
    FailurePolicy,
    JobPlan,
    Plan,
    RecyclePlan,
    RestartPlan,
    TerminatePlan,
)

from . import shapes
from .client import Client, Frame, Moves
from .ledger import Books, check
from .order import Orders
from .parts import box_of
from .plans import plan_of
from .topology import Job, make

SIGTERM, SIGKILL = 15, 9
TOGETHER_S = 0.9
"""Who tells all processes of a run to stop, and the run itself, has done so within this time."""

_CUT = Failure(kind="ShutDown", message="no consumer is left")
_UNMADE = Failure(kind="BlockingIOError", message="Resource temporarily unavailable")


class Process:
    """One process of a worker. `end`: how its target's call has ended, if it has.

    `stopped_by`: who has told it to stop; `exit_code` is None while it lives; `parted`: a part of
    what its item gives is out; `lost`: what it has died with, though it has done nothing wrong.
    """

    def __init__(self, worker: str, job: Job, client: Client, moves: Moves) -> None:
        self.worker = worker
        self.job = job
        self.client = client
        self.moves: Moves | None = moves
        self.waits = lambda: True
        self.ready = self.parted = self.deaf = self.lingers = False
        self.end = ""
        self.stopped_by: set[str] = set()
        self.exit_code: int | None = None
        self.lost: events.Orphaned | None = None
        self.died_at = 0.0

    @property
    def exits(self) -> bool:
        """Whether its target and its last message are done with."""
        return self.moves is None and self.exit_code is None


class RunWorld:
    """One run from its beginning to its end; a seed is a history.

    In a `hasty` one everything is told to stop soon; in a `limited` one puts have limits of time.
    """

    def __init__(
        self, seed: int, *, small: bool = False, hasty: bool = False, limited: bool = False
    ) -> None:
        self.rng = rng = random.Random(f"run {seed}")
        self.topology = make(rng, small=small, limited=limited)
        self.jobs = {job.name: job for job in self.topology.jobs}
        for job in self.topology.jobs:
            job.recycle = rng.choice((None, 1, 3, 10)) if job.by_item else None
        self.plan = self._plan()
        self.run_ = Run(self.plan)
        self.books = Books(self.jobs, Orders(self.topology.jobs))
        self.now = 0.0
        self.steps = 0
        self.met: set[str] = set()
        self.facts: list[tuple[float, notifications.Notification]] = []
        self.over = False
        self.processes: dict[str, Process] = {}
        self.last: dict[str, Process] = {}
        self._refused: set[str] = set()
        self._to_make: deque[str] = deque()
        self._early: dict[str, list[Frame]] = {}
        self._own_deaths: Counter[str] = Counter()
        self._too_late: set[str] = set()
        self._trace = hashlib.sha256()
        self._mischief = rng.choice((0.0, 0.002, 0.01))
        self._until = rng.choice((300, 1500))
        self._stop_at = rng.choice((None, rng.randrange(1, 300), rng.randrange(1, 800)))
        self._hasty = hasty
        if hasty:
            self._stop_at = rng.randrange(20, 200)
        self._stop_all: list[str] | None = None
        self._terminated_at: float | None = None
        self.tell(events.Began())

    def _plan(self) -> Plan:
        plan = plan_of(self.topology)
        jobs = {name: self._job(job) for name, job in plan.jobs.items()}
        durability = self.rng.choice((Durability.OFF, Durability.ON))
        return msgspec.structs.replace(plan, jobs=jobs, durability=durability)

    def _job(self, job: JobPlan) -> JobPlan:
        rng, once = self.rng, job.shape.called_once
        most = rng.choice((0, 2, 10_000))
        return msgspec.structs.replace(
            job,
            restart=RestartPlan(max=0 if once else most, before_call=most if once else 0),
            on_failure=rng.choice(tuple(FailurePolicy)),
            terminate=TerminatePlan(signal=SIGTERM, grace_s=rng.choice((0.1, 10.0))),
            recycle=RecyclePlan(max_items=self.jobs[job.name].recycle),
            daemon=not job.writes and rng.random() < 0.4,
        )

    @property
    def trace(self) -> str:
        """The same for the same history."""
        return self._trace.hexdigest()

    # -- what the core orders ---------------------------------------------------------------------

    def tell(self, event: events.Event) -> None:
        """Let the core know, and do what it orders."""
        orders = self.run_.handle(event, self.now)
        self._trace.update(repr((event, orders)).encode())
        self.run_.take_entry()
        for order in orders:
            self._obey(order)

    def _obey(self, order: do.Command) -> None:
        match order:
            case do.Send(worker=worker, message=message, blobs=blobs):
                if process := self.processes.get(worker):
                    process.client.inbox.append(Frame(message, blobs))
                elif worker in self._to_make:
                    self.met.add("told before it was made")
                    self._early.setdefault(worker, []).append(Frame(message, blobs))
                if isinstance(message, Committed) and message.full:
                    self.met.add("refused")
                    self._refused.add(worker.rpartition("-")[0])
            case do.StartWorker(worker=worker):
                check(worker not in self.processes, f"{worker} has one process at a time")
                self._to_make.append(worker)
            case do.SignalWorker(worker=worker, reason=reason):
                by = "haste" if reason is do.StopReason.LINGERED else "mporch"
                self.signal(self.processes[worker], by)
            case do.KillWorker(worker=worker):
                if "haste" not in self.processes[worker].stopped_by:
                    self.processes[worker].stopped_by.add("mporch")
                self.die(self.processes[worker], -SIGKILL)
            case do.Disconnect(worker=worker):
                self._is_not_to_be(worker)
            case do.Notify(notification=fact):
                self._heed(fact)
            case do.Finish():
                self.over = True

    def _is_not_to_be(self, worker: str) -> None:
        """It was stopped before it had a process: none is made, or one that comes too late."""
        check(worker in self._to_make, f"{worker} is honest and is cut off")
        self.met.add("stopped before it was made")
        if self.rng.random() < 0.5:
            self._to_make.remove(worker)
        else:
            self._too_late.add(worker)

    def _heed(self, fact: notifications.Notification) -> None:
        self.facts.append((self.now, fact))
        check(
            not isinstance(fact, notifications.Stalled),
            "a stall is told though nobody waits for ever",
        )
        if isinstance(fact, notifications.WorkerReplaced):
            last = self.last.get(fact.worker)
            lost = last is not None and last.lost is not None
            self.met.add("given another" if lost else "replaced" if fact.n else "recycled")
            if not lost or last is None or not last.end:
                self._is_told(fact.worker)
        elif isinstance(fact, notifications.WorkerEnded):
            gave_way = (last := self.last.get(fact.worker)) and last.end == "recycled"
            check(not (gave_way and fact.reason.startswith("exited")), f"{fact.worker} was well")
            self._spent_its_own(fact)
        elif (
            isinstance(
                fact, notifications.ItemRetried | notifications.ItemDead | notifications.ItemSkipped
            )
            and fact.failure.kind == "WorkerDied"
        ):
            self.met.add("charged")
            self._is_told(fact.worker)
            self._is_not_charged_for_a_loss(fact.worker)

    def _is_told(self, worker: str) -> None:
        """Whoever was stopped with the run is charged with nothing and is not replaced."""
        process = self.last.get(worker)
        if process is None or process.exit_code is None or process.parted:
            return
        stopped = "mporch" in process.stopped_by
        check(not stopped, f"{worker} was stopped by the run, and that is counted as its death")
        check(not self._with_the_run(process), f"{worker} was stopped with the run: that is free")

    def _is_not_charged_for_a_loss(self, worker: str) -> None:
        process = self.last.get(worker)
        free = process is not None and process.lost is not None and not process.parted
        check(not free, f"{worker} was lost with what it depends on: that is no item's fault")

    def _spent_its_own(self, fact: notifications.WorkerEnded) -> None:
        """A job's restarts are used up by deaths of its own alone."""
        if "used up its restarts" not in fact.reason:
            return
        most, deaths = self.plan.jobs[fact.job].restart, self._own_deaths[fact.job]
        self.met.add("used up")
        check(deaths > max(most.max, most.before_call), f"{fact.job} has had {deaths} deaths")

    def _with_the_run(self, process: Process) -> bool:
        """Whether a stranger has told both to stop, the run soon after its worker's end."""
        if "a stranger" not in process.stopped_by or self._terminated_at is None:
            return False
        return process.died_at <= self._terminated_at <= process.died_at + TOGETHER_S

    # -- processes --------------------------------------------------------------------------------

    def make(self) -> bool:
        """The next process that was ordered is made, or is not."""
        if not self._to_make:
            return False
        worker = self._to_make.popleft()
        name = worker.rpartition("-")[0]
        early = self._early.pop(worker, [])
        if self._is_mischievous(5):
            self.met.add("not made")
            self._own_deaths[name] += 1
            self.last.pop(worker, None)
            self.tell(events.StartFailed(worker=worker, failure=_UNMADE))
            return True
        job, rng = self.jobs[name], random.Random(self.rng.random())
        client = Client(
            worker,
            rng,
            [box_of(queues, self.topology, rng) for queues in job.boxes],
            by_item=job.by_item,
            read=self.books.read,
            write=self.books.write,
        )
        for box in client.boxes:
            box.free = job.window is not None
        client.heeds = not job.by_item
        client.inbox.extend(early)
        target = shapes.Target(job, self.books.new_item, lambda *_: 0)
        process = Process(worker, job, client, iter(()))  # type: ignore[arg-type]
        process.moves = self._life(process, target)
        process.deaf, process.lingers = rng.random() < 0.05, rng.random() < 0.2
        self.processes[worker] = self.last[worker] = process
        self.tell(events.ProcessStarted(worker=worker, pid=self.rng.randrange(2, 1 << 22)))
        if worker in self._too_late:
            self.met.add("killed as it came")
            check(process.exit_code is not None, f"{worker} was not to be, and is")
        return True

    def _life(self, process: Process, target: shapes.Target) -> Moves:
        client = process.client
        yield lambda: True
        client.send(Ready())
        process.ready = True
        yield from shapes.life(client, target, process.job.items)
        if client.cut:
            process.end = "cut"
            client.send(Closing(failure=_CUT, readers_failed=True))
            return
        process.end = "recycled" if client.recycled else "returned"
        worn = Worn.ITEMS if client.recycled else None
        client.send(Closing(recycled=worn, signalled=bool(process.stopped_by)))

    def _stopped_life(self, process: Process) -> Moves:
        """The stop signal is an exception in the target, which may deal with it."""
        client = process.client
        swallows = not process.job.by_item and client.rng.random() < 0.4
        if process.job.by_item:
            client.drop_open()
        yield from client.close()
        process.end = "returned" if swallows else "stopped"
        client.send(Closing(stopped=not swallows, signalled=swallows))

    def signal(self, process: Process, by: str) -> None:
        """The stop signal comes."""
        over, first = process.exit_code is not None or process.end, not process.stopped_by
        if not (over and by == "a stranger"):
            process.stopped_by.add(by)
        if over or not first:
            return
        if not process.ready:
            self.die(process, -SIGTERM)
        elif not process.deaf:
            process.moves = self._stopped_life(process)
            process.waits = lambda: True

    def die(self, process: Process, exit_code: int) -> None:
        """It is gone between two of its moves; the last it has written may be torn."""
        if process.exit_code is None:
            process.exit_code, process.moves = exit_code, None
            for _ in range(self.rng.randint(0, len(process.client.out))):
                process.client.out.pop()

    def _bury(self, process: Process) -> None:
        """Its pipe is read to the end."""
        worker, blame, lost = process.worker, process.client.blame, process.lost
        process.died_at = self.now
        del self.processes[worker]
        self._own_deaths[worker.rpartition("-")[0]] += lost is None
        known = lost in (None, events.Orphaned.FORKSERVER)
        self.tell(
            events.WorkerDied(
                worker=worker,
                exit_code=process.exit_code if known else None,
                blame=blame,
                item=self.run_.item_at(worker, blame) if blame.phase else "",
                orphaned=lost,
            )
        )

    # -- one step ---------------------------------------------------------------------------------

    def step(self) -> bool:
        """Let one thing happen; False when nothing can."""
        self.steps += 1
        if self._strike():
            return True
        if self.rng.random() < 0.05:
            self.now += self.rng.choice((0.001, 0.02, 0.3))
            self._tick_if_due()
            if self.over:  # a process that comes now has no run to be told of it
                return True
        draw = self.rng.random
        processes = sorted(self.processes.values(), key=lambda _: draw())
        return (
            (draw() < 0.3 and self.make())
            or any(self._move(process) for process in processes)
            or self.make()
            or self._tick()
            or any(p.client.pace(idle=True) for p in processes if p.moves is not None)
            or any(p.exits for p in processes)
            or self._kill_the_deaf()
        )

    def _is_mischievous(self, times: float = 1.0) -> bool:
        return self.steps < self._until and self.rng.random() < self._mischief * times

    def _strike(self) -> bool:
        if self._stop_all is not None:
            return self._go_on_stopping()
        if self.steps == self._stop_at:
            self._stop()
            return True
        if self.processes and self._is_mischievous():
            process = self.rng.choice(list(self.processes.values()))
            if self.rng.random() < 0.2:
                self._lose()
            elif self.rng.random() < 0.5:
                self.met.add("killed")
                self.die(process, -self.rng.choice((SIGKILL, 11)))
            else:
                self.met.add("told to stop by a stranger")
                self.signal(process, "a stranger")
            return True
        return False

    def _lose(self) -> None:
        """A forkserver, an agent or a machine is gone, and with it some of the processes."""
        lost = self.rng.choice(tuple(events.Orphaned))
        for process in list(self.processes.values()):
            if process.exit_code is None and self.rng.random() < 0.5:
                self.met.add("lost")
                self.die(process, -SIGKILL)
                process.lost = lost

    def _stop(self) -> None:
        how = self.rng.choice(("everything", "everything", "SIGTERM", "SIGINT", "SIGINT twice"))
        how = "everything" if self._hasty else how
        self.met.add(f"stopped: {how}")
        if how == "everything":
            self._stop_all = [*self.processes, ""]
            self.rng.shuffle(self._stop_all)
            if self.rng.random() < 0.5:  # the run itself comes last
                self._stop_all.sort(key=bool)
        elif how == "SIGTERM":
            self._terminated_at = self.now
            self.tell(events.Terminated(signal=SIGTERM))
        else:
            for _ in how.split():
                self.tell(events.Interrupted())

    def _go_on_stopping(self) -> bool:
        """Everybody is told in turn, the run itself too, while processes go on dying."""
        assert self._stop_all is not None
        if not self._stop_all:
            self._stop_all = None
            return False
        if self.rng.random() < 0.8:
            return False
        name = self._stop_all.pop()
        if not name:
            self._terminated_at = self.now
            self.tell(events.Terminated(signal=SIGTERM))
        elif name in self.processes:
            self.signal(self.processes[name], "a stranger")
        return True

    def _move(self, process: Process) -> bool:
        moves = [self._deliver, self._receive, self._run]
        self.rng.shuffle(moves)
        return any(move(process) for move in moves) or self._pace(process)

    def _deliver(self, process: Process) -> bool:
        client = process.client
        if not client.out:
            if process.exits:
                if process.lingers and self.rng.random() < 0.9:
                    return False
                self.die(process, -SIGTERM if process.end == "stopped" else 0)
            if process.exit_code is not None and self.rng.random() < 0.3:
                self._bury(process)
            return process.exit_code is not None
        message, blobs = client.out.popleft()
        if isinstance(message, Commit) and process.job.by_item:
            items = sum(n for _, n in message.finished)
            process.parted = any(
                output.counts is not None and any(output.counts[items:])
                for output in message.outputs
            )
        self.tell(events.Received(worker=process.worker, message=message, blobs=blobs))
        return True

    def _receive(self, process: Process) -> bool:
        if process.moves is None or not process.client.inbox:
            return False
        process.client.take_in()
        return True

    def _run(self, process: Process) -> bool:
        client = process.client
        if process.moves is None:
            return False
        if client.waits_timed and self.rng.random() < 0.1:
            client.patience_over = True
        if not process.waits():
            return client.waits_timed
        try:
            process.waits = next(process.moves)
        except StopIteration:
            process.moves = None
        return True

    def _pace(self, process: Process) -> bool:
        client = process.client
        if process.moves is None or not client.has_to_pace or self.rng.random() < 0.5:
            return False
        return client.pace(idle=self.rng.random() < 0.1)

    def _tick(self) -> bool:
        """Nothing else moves: the next deadline comes, though not before all is signalled."""
        deadline = self.run_.next_deadline()
        if deadline is None or self._stop_all is not None:
            return self._stop_all is not None
        self.now = max(self.now, deadline)
        self.tell(events.Ticked())
        return True

    def _tick_if_due(self) -> None:
        deadline = self.run_.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.tell(events.Ticked())

    def _kill_the_deaf(self) -> bool:
        """Nobody waits for ever for one whom a stranger told to stop, and who does not."""
        deaf = [p for p in self.processes.values() if p.deaf and p.stopped_by]
        for process in deaf:
            self.die(process, -SIGKILL)
        return bool(deaf)

    # -- the end ----------------------------------------------------------------------------------

    def run(self, limit: int = 500_000) -> None:
        """Live until the run has ended."""
        while not self.over:
            check(self.steps < limit, f"no end after {limit} steps")
            check(self.step() or self.over, "the run has not ended and nothing moves")
        self._end()

    def _end(self) -> None:
        self._note_stops()
        check(self._too_late.issuperset(self.processes), "no process outlives the run")
        check(self._too_late.issuperset(self._to_make), "no process is made after the end")
        summaries = self.run_.job_summaries()
        for name, summary in summaries.items():
            self.met.add(summary.status)
            failed = summary.status in (State.FAILED.value, State.TIMED_OUT.value)
            stopped = summary.status in (State.TERMINATED.value, State.KILLED.value)
            check(failed or stopped or name not in self._refused, f"{name} was refused and is well")
            if summary.status == State.SUCCEEDED.value:
                for worker in self._workers(name):
                    last = self.last[worker]
                    check(last.end == "returned", f"{worker} has not returned")
                    check(not self._with_the_run(last), f"{worker} was stopped with the run")
        for name, ledger in self.run_.ledgers().items():
            gone = ledger.done + ledger.skipped + ledger.dropped + ledger.dead + ledger.left
            check(ledger.put == gone, f"{name}: {ledger}")
            if ledger.dropped:
                self.met.add("dropped")
                for job in self._readers(name):
                    returned = summaries[job].status == State.SUCCEEDED.value
                    check(returned, f"{name}: {ledger.dropped} dropped, {job} has not returned")

    def _note_stops(self) -> None:
        """What is worth having met: whoever was ending when the run was stopped."""
        for process in self.last.values():
            if self._with_the_run(process):
                self.met.add("stopped with the run")
            if process.end == "recycled":
                self.met.add("recycled while the run stops")
            if process.end == "cut":
                self.met.add("cut, its readers having failed")

    def _workers(self, job: str) -> Iterator[str]:
        return (f"{job}-{at + 1}" for at in range(self.jobs[job].workers))

    def _readers(self, queue: str) -> Iterator[str]:
        return (job.name for job in self.topology.jobs if queue in job.reads)
