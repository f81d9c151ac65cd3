"""Who acts in the model: jobs, their workers, and what befalls them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from .client import Client, Moves
from .topology import Job


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How likely each fault is at a step; all stop after `steps`.

    A massacre kills all whose commits are parked, and fails some of their jobs. Of a durable run,
    the orchestrator may crash, or the run be halted, to be resumed.
    """

    steps: int = 0
    kill: float = 0.0
    fence: float = 0.0
    repeat: float = 0.0
    massacre: float = 0.0
    fail: float = 0.0
    crash: float = 0.0
    halt: float = 0.0

    @classmethod
    def any(cls, rng: random.Random) -> Faults:
        """Each class of faults is on in some runs, and then seldom or often."""
        kill, fence, repeat = (rng.choice((0, 0, 0.003, 0.03)) for _ in range(3))
        return cls(
            steps=rng.choice((0, 500, 2000, 2000)),
            kill=kill,
            fence=fence,
            repeat=repeat,
            massacre=rng.choice((0, 0, 0.03)),
            fail=rng.choice((0, 0, 0, 0.001, 0.02)),
        )

    @classmethod
    def of_durable(cls, rng: random.Random) -> Faults:
        """Such faults, and crashes."""
        usual = cls.any(rng)
        crash, halt = rng.choice((0.0, 0.002, 0.01, 0.05)), rng.choice((0.0, 0.0, 0.001, 0.005))
        return replace(usual, crash=crash, halt=halt)


class Agent:
    """A worker of the model. `moves` is None once it has returned or is dead.

    `refused`: what it gave has found no room in time, and the broker takes nothing from it any
    more.
    """

    def __init__(self, employer: Employer, client: Client, moves: Moves, index: int) -> None:
        self.employer = employer
        self.client = client
        self.index = index
        self.moves: Moves | None = moves
        self.waits: Callable[[], bool] = lambda: True
        self.dead = self.fenced = self.refused = False
        self.last_seq = 0
        self.speed = 1.0

    @property
    def name(self) -> str:
        return self.client.name


class Employer:
    """A job of the model: its workers, and how many items its sources have still to emit.

    `clean`: it has not failed; `cut`: one of its workers is dead and was not replaced.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.left = [job.items] * job.workers
        self.hired = self.at_work = 0
        self.over = False
        self.clean = True
        self.cut = False
