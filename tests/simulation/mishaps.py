"""What befalls the workers of the model, drawn before a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .world import World


def strike(world: World) -> bool:
    """Let a fault happen, or none; whether one did."""
    rng, faults = world.rng, world.faults
    agents = list(world.agents.values())
    parked = [a for a in agents if world.broker.clients[a.name].parked and not a.dead]
    agent = rng.choice(parked if parked and rng.random() < 0.5 else agents)
    if parked and rng.random() < faults.massacre:
        for victim in parked:
            world.kill(victim)
            if rng.random() < 0.2:
                world.fail(victim.employer)
    elif rng.random() < faults.kill and not agent.dead:
        world.kill(agent)
    elif rng.random() < faults.fence and not agent.dead and not agent.fenced:
        world.fence(agent)
    elif rng.random() < faults.repeat and world.repeat(agent):
        pass
    elif rng.random() < faults.fail and agent.employer.clean:
        world.fail(agent.employer)
    else:
        return False
    return True
