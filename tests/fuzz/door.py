"""A real core with honest workers, and hostile ones that have nothing but their socket."""

from __future__ import annotations

import random
from collections import Counter, deque

from orchestrator.core.protocol.commands import (
    Command,
    Finish,
    KillWorker,
    Send,
    SignalWorker,
    StartWorker,
)
from orchestrator.core.protocol.events import (
    Began,
    Blame,
    Blob,
    Event,
    Malformed,
    Phase,
    ProcessStarted,
    Received,
    Ticked,
    WorkerDied,
)
from orchestrator.core.protocol.messages import (
    Closing,
    Commit,
    CommitStatus,
    Committed,
    FromWorker,
    Hello,
    Leased,
    Pull,
    Ready,
)
from orchestrator.core.run import Run
from orchestrator.ipc import wire
from orchestrator.plan.model import Plan

from .forger import Forger
from .honest import Honest, Ledger, unpacked
from .picture import picture

_FAR = 1 << 40
_P_TICK = 0.5
"""Killed workers are replaced as time passes, while the honest ones are still at work."""


class Refuted(AssertionError):
    """What must not happen has happened."""


class Hostile:
    """A worker's socket, as the loop reads it, and who writes into it."""

    def __init__(self, name: str, forger: Forger) -> None:
        self.name = name
        self.forger = forger
        self.reader = wire.from_worker()
        self.alive = False

    def begin_anew(self) -> None:
        self.reader = wire.from_worker()
        self.forger.begin_anew()
        self.alive = True


class Door:
    """One run: `knock` brings one frame of a hostile worker, `end` lets all others finish."""

    def __init__(self, plan: Plan, hostile: frozenset[str], rng: random.Random, items: int) -> None:
        self.run = Run(plan)
        self.ledger = Ledger()
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.over = False
        self._plan = plan
        self._rng = rng
        self._items = items
        self._now = 0.0
        self._honest: dict[str, Honest] = {}
        self._all_honest: list[Honest] = []
        self._hostile = {
            name: Hostile(
                name,
                Forger(random.Random(rng.random()), tuple(plan.queues), plan.jobs[name[:-2]]),
            )
            for name in sorted(hostile)
        }
        self._pids = 0
        self._news: deque[Command] = deque()
        self._busy = False
        self._tell(Began())

    # -- what happens -----------------------------------------------------------------------------

    def knock(self) -> bool:
        """One frame comes from a hostile worker; False when none of them lives any more."""
        while not (living := [each for each in self._hostile.values() if each.alive]):
            if self.over or not (self._tick() or self._let_work()):
                return False
        hostile = self._rng.choice(living)
        kind, frame = hostile.forger.forge()
        verdict = self._judge(hostile, frame)
        self.verdicts[kind, verdict] += 1
        for _ in range(self._rng.randint(0, 3)):
            self._let_work()
        if self._rng.random() < _P_TICK:
            self._tick()
        return True

    def _judge(self, hostile: Hostile, frame: bytes) -> str:
        """What becomes of a frame: as the conductor has it."""
        try:
            frames = hostile.reader.feed(memoryview(frame))
        except wire.FrameError as error:
            self._tell(Malformed(worker=hostile.name, detail=str(error)))
            return "refused by the wire"
        if not frames:
            self._die(hostile, 1)
            return "torn"
        verdict = "ignored"
        for message, blobs in frames:
            if not hostile.alive:
                break
            if not isinstance(message, Hello):
                verdict = self._hand_in(hostile, message, blobs)
        return verdict

    def _hand_in(self, hostile: Hostile, message: FromWorker, blobs: tuple[Blob, ...]) -> str:
        broker = self.run._broker
        before = picture(broker) if not isinstance(message, Ready | Closing) else None
        commands = self.run.handle(
            Received(worker=hostile.name, message=message, blobs=blobs), self._now
        )
        refused = any(
            isinstance(command, KillWorker) and command.worker == hostile.name
            for command in commands
        )
        if refused and before is not None and picture(broker) != before:
            raise Refuted(f"{message} was refused, and has changed something")
        if isinstance(message, Closing) and not refused:
            hostile.alive = False
        self._carry_out(commands)
        if refused:
            return "refused by the core"
        commit = message.commit if isinstance(message, Pull) else message
        if isinstance(commit, Commit) and commit.seq == hostile.forger.seq + 1:
            hostile.forger.seq += 1
        if not hostile.alive:
            self._die(hostile, 0)
        return "taken"

    def _tell(self, event: Event) -> None:
        self._carry_out(self.run.handle(event, self._now))

    def _carry_out(self, commands: list[Command]) -> None:
        self._news += commands
        if self._busy:
            return  # whoever called is at it
        self._busy = True
        while self._news:
            self._obey(self._news.popleft())
        self._busy = False

    def _obey(self, command: Command) -> None:
        match command:
            case Send():
                self._send(command)
            case StartWorker():
                self._start(command)
            case KillWorker() | SignalWorker():
                self._kill(command.worker)
            case Finish():
                self.over = True

    def _send(self, command: Send) -> None:
        message = command.message
        if isinstance(message, Leased):
            self._note_lease(command.worker, message, command.blobs)
        if honest := self._honest.get(command.worker):
            honest.hear(message, command.blobs)
        elif isinstance(message, Committed) and message.status is CommitStatus.REFUSED:
            self.verdicts["", "commit refused"] += 1

    def _note_lease(self, worker: str, message: Leased, blobs: tuple[Blob, ...]) -> None:
        """Every hostile worker knows what anybody holds."""
        total = sum(part.stop - part.start for part in message.ranges)
        for name, each in self._hostile.items():
            if name == worker:
                each.forger.own_leases.append((message.lease, total))
            else:
                each.forger.others_leases.append(message.lease)
        if worker in self._hostile:
            taken = self.ledger.to_others.setdefault(worker.rpartition("-")[0], set())
            for part, blob in zip(message.ranges, blobs, strict=True):
                taken.update(unpacked(message.queue, blob, part.start, part.stop))

    # -- lives ------------------------------------------------------------------------------------

    def _start(self, command: StartWorker) -> None:
        self._pids += 1
        name = command.worker
        self._tell_later(ProcessStarted(worker=name, pid=self._pids))
        if hostile := self._hostile.get(name):
            hostile.begin_anew()
            if self._rng.random() < 0.9:
                self._tell_later(Received(worker=name, message=Ready()))
            return
        job = self._plan.jobs[command.job]

        def say(message: FromWorker, blobs: tuple[Blob, ...]) -> None:
            self._tell_later(Received(worker=name, message=message, blobs=blobs))

        honest = self._honest[name] = Honest(name, job, self._items, self.ledger, say)
        honest.begin()

    def _tell_later(self, event: Event) -> None:
        """From within a command: the core is not asked while it answers."""
        self._news += self.run.handle(event, self._now)

    def _kill(self, name: str) -> None:
        if hostile := self._hostile.get(name):
            self._die(hostile, -9)
        elif honest := self._honest.get(name):
            honest.over = True
            self._bury(honest, -9)

    def _die(self, hostile: Hostile, exit_code: int) -> None:
        """Its progress cell is full of garbage."""
        if hostile.name not in self.run._supervisor.worker_states:
            return
        hostile.alive = False
        numbers = [number for number, _ in hostile.forger.own_leases] or [0]
        blame = Blame(
            lease=self._rng.choice((*numbers, *hostile.forger.others_leases, -1, 2**63 - 1)),
            index=self._rng.choice((0, 1, 5, -1, -(2**63), 2**63 - 1)),
            phase=self._rng.choice(list(Phase)),
        )
        item = self.run.item_at(hostile.name, blame) if blame.phase else ""
        self._tell_later(
            WorkerDied(worker=hostile.name, exit_code=exit_code, blame=blame, item=item)
        )

    def _bury(self, honest: Honest, exit_code: int) -> None:
        del self._honest[honest.name]
        self._tell_later(WorkerDied(worker=honest.name, exit_code=exit_code))

    def _let_work(self) -> bool:
        """Somebody honest does something, or time passes; False when nothing is left to do."""
        workers = list(self._honest.values())
        self._rng.shuffle(workers)
        for honest in workers:
            if honest.over:
                self._bury(honest, 0)
                self._carry_out([])
                return True
            if honest.step():
                self._carry_out([])
                return True
        return self._tick()

    def _tick(self) -> bool:
        deadline = self.run.next_deadline()
        if deadline is None or deadline > self._now + _FAR:
            return False
        self._now = max(self._now + 1e-6, deadline)
        self._tell(Ticked())
        return True

    # -- the end ----------------------------------------------------------------------------------

    def end(self) -> None:
        """The hostile workers say goodbye; everybody else finishes, and the books are read."""
        for _ in range(200_000):
            if self.over:
                break
            for hostile in self._hostile.values():
                if hostile.alive:
                    self._say_goodbye(hostile)
            if not self._let_work() and not self.over:
                raise Refuted("work is left and nothing moves")
        else:
            raise Refuted("no end")

    def _say_goodbye(self, hostile: Hostile) -> None:
        states = self.run._supervisor.worker_states
        if states[hostile.name].state.value == "starting":
            self._tell(Received(worker=hostile.name, message=Ready()))
        self._tell(Received(worker=hostile.name, message=Closing()))
        if hostile.alive:
            self._die(hostile, 0)
            self._carry_out([])
