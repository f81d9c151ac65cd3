"""The agent's program: guard and agent, told by standard input where their orchestrator is."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import sys
import time

import msgspec

from orchestrator.engine.agents import control
from orchestrator.engine.agents.agent import Agent
from orchestrator.engine.agents.connection import ControlConnection
from orchestrator.engine.agents.dialing import Dialing
from orchestrator.engine.agents.keys import Introduction, Purpose, UnprovedError
from orchestrator.engine.node.guard import Shelter, run_guarded
from orchestrator.errors import ExitCode, MporchError
from orchestrator.kernel.calls import set_parent_death_signal

__all__ = ["main"]


def main() -> int:
    """Return the exit code: 0 if the orchestrator has let it go."""
    try:
        launch = control.AgentLaunch.decode(sys.stdin.buffer.read())
    except msgspec.MsgspecError:
        print("mporch: an agent is started by `mporch run --on agent`", file=sys.stderr)
        return ExitCode.USAGE
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (launch.descriptors, hard))
    if launch.host_pid:
        set_parent_death_signal(signal.SIGTERM)
        if os.getppid() != launch.host_pid:
            return ExitCode.FAILED
    try:
        return run_guarded(
            lambda shelter: _run(launch, shelter), who=launch.agent, below=launch.directory
        )
    except MporchError as error:  # no process or no directory for it
        print(f"mporch: {launch.agent}: {error}", file=sys.stderr)
        return error.exit_code


def _run(launch: control.AgentLaunch, shelter: Shelter) -> int:
    """Called in the agent: connect, and mind workers until the orchestrator has no more."""
    try:
        connection = _connect(launch)
    except (OSError, UnprovedError) as error:
        print(f"mporch: {launch.agent} finds no orchestrator: {error}", file=sys.stderr)
        return ExitCode.FAILED
    agent = Agent(launch, connection, directory=shelter.directory, told=shelter.told)
    agent.run()
    return ExitCode.OK if agent.was_let_go else ExitCode.FAILED


def _connect(launch: control.AgentLaunch) -> ControlConnection[control.ToAgent]:
    """Return the control connection, with the key proved both ways. It owes nobody a kill yet."""
    about = Introduction(purpose=Purpose.CONTROL, agent=launch.agent)
    now = time.monotonic()
    dialing = Dialing((launch.host, launch.port), launch.key, launch.run, about, now=now)
    with selectors.DefaultSelector() as waiting:
        while True:
            waiting.register(dialing.sock, dialing.events)
            ready = waiting.select(max(0.0, dialing.until - time.monotonic()))
            waiting.unregister(dialing.sock)
            if not ready:
                dialing.retry(time.monotonic())
            elif dialing.go_on(time.monotonic()):
                break
    return ControlConnection(
        dialing.sock,
        control.to_agent(),
        patience_s=launch.patience_s / 2,
        now=time.monotonic(),
    )
