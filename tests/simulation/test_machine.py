"""The same model driven by Hypothesis, which shrinks what it finds to a short story."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from .cast import Agent, Faults
from .topology import make
from .world import World

# Its watchers stand in the broker's methods; `both_forms` compares what the compiled one does.
pytestmark = pytest.mark.pure_only

PICK = st.integers(min_value=0, max_value=11)


class BrokerMachine(RuleBasedStateMachine):
    """Each rule lets one thing happen at one worker; all rules of the broker hold in between."""

    world: World

    @initialize(seed=st.integers(min_value=0, max_value=1 << 16))
    def begin(self, seed: int) -> None:
        rng = random.Random(seed)
        self.world = World(make(rng, small=True), rng, Faults())

    def _agent(self, pick: int) -> Agent:
        agents = list(self.world.agents.values())
        return agents[pick % len(agents)]

    @precondition(lambda self: not self.world.over)
    @rule(pick=PICK, times=st.integers(min_value=1, max_value=8))
    def move(self, pick: int, times: int) -> None:
        for _ in range(times):
            if not self.world.over:
                self.world.move(self._agent(pick))

    @precondition(lambda self: not self.world.over)
    @rule(times=st.integers(min_value=1, max_value=30))
    def everybody_moves(self, times: int) -> None:
        for _ in range(times):
            if not self.world.over:
                self.world.step()

    @precondition(lambda self: not self.world.over)
    @rule(pick=PICK)
    def kill(self, pick: int) -> None:
        if not self._agent(pick).dead:
            self.world.kill(self._agent(pick))

    @precondition(lambda self: not self.world.over)
    @rule(pick=PICK)
    def fence(self, pick: int) -> None:
        agent = self._agent(pick)
        if not agent.dead and not agent.fenced:
            self.world.fence(agent)

    @precondition(lambda self: not self.world.over)
    @rule(pick=PICK)
    def repeat_a_commit(self, pick: int) -> None:
        self.world.repeat(self._agent(pick))

    @rule()
    def time_passes(self) -> None:
        if not self.world.over:
            self.world.tick()

    def teardown(self) -> None:
        """Once nothing bad happens any more it comes to an end."""
        if hasattr(self, "world"):
            self.world.run()


TestBrokerMachine = BrokerMachine.TestCase
TestBrokerMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
