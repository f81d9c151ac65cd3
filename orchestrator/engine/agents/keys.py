"""Proofs of a run's key: HMAC-SHA256 both ways, over fresh nonces. Pure: bytes in, bytes out.

The orchestrator speaks first, with a nonce. The agent answers with a nonce of its own, an
introduction and its proof; the orchestrator answers with its proof. Each proof covers who gives it,
the run, both nonces and the introduction: recorded, sent back or sent on another connection it
proves nothing. Nobody sends anything else before the other has proved the key.

An agent has a key of its own, made from the run's key and its name, so that it cannot speak in
another's name.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import secrets
import struct
from typing import Annotated

import msgspec

__all__ = [
    "HANDSHAKE_S",
    "KEY_BYTES",
    "Authenticator",
    "Introduction",
    "Prover",
    "Purpose",
    "UnprovedError",
    "agent_key",
]

HANDSHAKE_S = 5.0
"""So long a handshake may take: it is two short messages each way."""

KEY_BYTES = 32
_NONCE = _PROOF = 32
_MAGIC = b"mporch\x00\x01"
"""The last byte is the version of the handshake."""
_GREETING = len(_MAGIC) + _NONCE
_HEAD = struct.Struct(f"!{_NONCE}sH")
_MOST_ABOUT = 600
"""Bytes of an introduction: two names and some numbers."""

_Name = Annotated[str, msgspec.Meta(max_length=256)]


class UnprovedError(Exception):
    """The other side has not proved the run's key, or speaks another protocol."""


class Purpose(enum.Enum):
    """What a connection is for."""

    CONTROL = "control"
    CHANNEL = "channel"


class Introduction(
    msgspec.Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """Who connects, and what for: the agent's own records, or the channel of one worker's life.

    A worker that takes a dead one's place has the same name and another `life`.
    """

    purpose: Purpose
    agent: _Name
    worker: _Name = ""
    life: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Introduction).decode


def agent_key(run_key: bytes, agent: str) -> bytes:
    """Return the key of one agent, from which the run's key cannot be found."""
    return _mac(run_key, b"key of an agent", agent.encode())


class Authenticator:
    """The orchestrator's side of one handshake.

    `greeting` is to be sent first. `wanted` is how many bytes may be read next, 0 at the end;
    `introduction` is believed only then.
    """

    def __init__(self, run_key: bytes, run: str, *, nonce: bytes | None = None) -> None:
        self._run_key = run_key
        self._run = run
        self._nonce = nonce or secrets.token_bytes(_NONCE)
        self.greeting = _MAGIC + self._nonce
        self.introduction: Introduction | None = None
        self._held = bytearray()
        self._needed = len(_MAGIC) + _HEAD.size
        self._knows_length = False

    @property
    def wanted(self) -> int:
        """The bytes that are still to come, as far as that is known; 0 when all is proved."""
        return 0 if self.introduction is not None else self._needed - len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Take what has come, at most `wanted` bytes; return what is to be sent.

        Raises UnprovedError.
        """
        if len(data) > self.wanted:
            raise UnprovedError("more than a handshake")
        self._held += data
        if not self._knows_length and len(self._held) == self._needed:
            self._take_head()
        if self._knows_length and len(self._held) == self._needed:
            return self._prove()
        return b""

    def _take_head(self) -> None:
        if not self._held.startswith(_MAGIC):
            raise UnprovedError("not this protocol")
        _, length = _HEAD.unpack_from(self._held, len(_MAGIC))
        if not 0 < length <= _MOST_ABOUT:
            raise UnprovedError("an introduction of a wrong length")
        self._needed += length + _PROOF
        self._knows_length = True

    def _prove(self) -> bytes:
        nonce, length = _HEAD.unpack_from(self._held, len(_MAGIC))
        begin = len(_MAGIC) + _HEAD.size
        about, proof = bytes(self._held[begin : begin + length]), bytes(self._held[-_PROOF:])
        try:
            introduction = _decode(about)
            key = agent_key(self._run_key, introduction.agent)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise UnprovedError("an introduction that is none") from error
        said = (self._run.encode(), self._nonce, nonce, about)
        if not hmac.compare_digest(proof, _mac(key, b"agent", *said)):
            raise UnprovedError("a wrong key")
        self.introduction = introduction
        return _mac(key, b"orchestrator", *said)


class Prover:
    """The agent's side of one handshake.

    `wanted` is how many bytes may be read next: what comes after the last of them is for somebody
    else. It is 0 when the orchestrator has proved the key.
    """

    def __init__(
        self, key: bytes, run: str, introduction: Introduction, *, nonce: bytes | None = None
    ) -> None:
        self._key = key
        self._run = run
        self._about = _encode(introduction)
        if len(self._about) > _MOST_ABOUT:
            raise UnprovedError("an introduction that is too long")
        self._nonce = nonce or secrets.token_bytes(_NONCE)
        self._held = bytearray()
        self._said: tuple[bytes, ...] | None = None
        self.wanted = _GREETING

    def feed(self, data: bytes) -> bytes:
        """Take what has come, at most `wanted` bytes; return what is to be sent.

        Raises UnprovedError.
        """
        if len(data) > self.wanted:
            raise UnprovedError("more than a handshake")
        self._held += data
        self.wanted -= len(data)
        if self.wanted:
            return b""
        held, self._held = bytes(self._held), bytearray()
        if self._said is not None:
            if not hmac.compare_digest(held, _mac(self._key, b"orchestrator", *self._said)):
                raise UnprovedError("the orchestrator does not know the key")
            return b""
        if not held.startswith(_MAGIC):
            raise UnprovedError("not this protocol")
        theirs = held[len(_MAGIC) :]
        self._said = (self._run.encode(), theirs, self._nonce, self._about)
        self.wanted = _PROOF
        head = _HEAD.pack(self._nonce, len(self._about))
        return _MAGIC + head + self._about + _mac(self._key, b"agent", *self._said)


def _mac(key: bytes, *parts: bytes) -> bytes:
    """Return the HMAC of the parts, each with its length before it: no two lists are the same."""
    code = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        code.update(len(part).to_bytes(4))
        code.update(part)
    return code.digest()
