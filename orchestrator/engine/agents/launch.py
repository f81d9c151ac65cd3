"""The launch of an agent: one MessagePack document on its standard input.

It holds the agent's key: on a command line or in the environment others could read it.
"""

from __future__ import annotations

import msgspec

__all__ = ["AgentLaunch"]


class AgentLaunch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where its orchestrator is, how to prove who it is, and what its node needs.

    `patience_s` is the orchestrator's: the agent has half of it. `descriptors` is the soft limit of
    open files that the workers are to have. `host_pid` is the process that has started it, if it is
    to end with that, else 0. `directory` is that one's own for temporary files, which it removes.
    """

    host: str
    port: int
    key: bytes
    run: str
    agent: str
    patience_s: float
    hash_seed: str
    workers: int
    descriptors: int
    host_pid: int = 0
    directory: str | None = None

    def __repr__(self) -> str:
        return f"<AgentLaunch of {self.agent}>"

    def encode(self) -> bytes:
        """Called in the orchestrator."""
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(data: bytes) -> AgentLaunch:
        """Called in the agent. Raises msgspec's errors."""
        return msgspec.msgpack.decode(data, type=AgentLaunch)
