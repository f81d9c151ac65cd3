"""The agent's program: guard and agent, told by standard input where their orchestrator is."""

from __future__ import annotations

import errno
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
from orchestrator.escaping import escaped
from orchestrator.kernel.calls import set_parent_death_signal

__all__ = ["main"]

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


def main() -> int:
    """Return the exit code: 0 if the orchestrator has let it go."""
    try:
        launch = control.AgentLaunch.decode(sys.stdin.buffer.read())
    except msgspec.MsgspecError:
        print("mporch: an agent is started by `mporch run --on agent`", file=sys.stderr)
        return ExitCode.USAGE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (launch.descriptors, hard))
    except (OSError, ValueError) as error:
        _say(launch, f"cannot have {launch.descriptors:,} descriptors: {error}")
        return ExitCode.REFUSED
    if launch.host_pid:
        set_parent_death_signal(signal.SIGTERM)
        if os.getppid() != launch.host_pid:
            return ExitCode.FAILED
    try:
        return run_guarded(
            lambda shelter: _run(launch, shelter), who=launch.agent, below=launch.directory
        )
    except MporchError as error:  # no process or no directory for it
        _say(launch, str(error))
        return error.exit_code
    except OSError as error:
        if error.errno not in _NO_DESCRIPTORS:
            raise
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))  # to say so takes some
        _say(launch, f"{launch.descriptors:,} descriptors are too few: {error.strerror}")
        return ExitCode.REFUSED


def _say(launch: control.AgentLaunch, words: str) -> None:
    """Print one line in its name: what it is told comes from elsewhere."""
    print(f"mporch: {escaped(launch.agent)}: {escaped(words)}", file=sys.stderr)


def _run(launch: control.AgentLaunch, shelter: Shelter) -> int:
    """Called in the agent: connect, and mind workers until the orchestrator has no more."""
    try:
        connection = _connect(launch)
    except (OSError, UnprovedError) as error:
        who = escaped(launch.agent)
        print(f"mporch: {who} finds no orchestrator: {escaped(str(error))}", file=sys.stderr)
        return ExitCode.FAILED
    except (OverflowError, TypeError, ValueError) as error:  # an address that none can be
        _say(launch, str(error))
        return ExitCode.BUG
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
