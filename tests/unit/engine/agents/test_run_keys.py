"""Handshakes: who knows the key is let in, and nobody else, whatever he has heard."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.agents.keys import (
    Authenticator,
    Introduction,
    Prover,
    Purpose,
    UnprovedError,
    agent_key,
)

RUN_KEY = bytes(range(32))
RUN = "20260101-120000-abcd"
ABOUT = Introduction(purpose=Purpose.CHANNEL, agent="agent-1", worker="parse-2", life=7)
KEY = agent_key(RUN_KEY, "agent-1")


def shake(authenticator, prover, n=1 << 20):
    """Let both speak, at most n bytes at a time; return all that each has said."""
    said, answered = b"", b""
    to_agent, to_orchestrator = authenticator.greeting, b""
    while to_agent or to_orchestrator:
        while to_agent:
            piece = to_agent[: min(n, prover.wanted)]
            assert piece, "said more than is wanted"
            to_agent = to_agent[len(piece) :]
            answered += piece
            to_orchestrator += prover.feed(piece)
        while to_orchestrator:
            piece = to_orchestrator[: min(n, authenticator.wanted)]
            assert piece, "said more than is wanted"
            to_orchestrator = to_orchestrator[len(piece) :]
            said += piece
            to_agent += authenticator.feed(piece)
    return said, answered


@pytest.mark.parametrize("n", [1, 7, 1 << 20])
def test_who_knows_the_key_is_let_in_and_sees_it_proved(n):
    authenticator, prover = Authenticator(RUN_KEY, RUN), Prover(KEY, RUN, ABOUT)
    said, answered = shake(authenticator, prover, n)
    assert authenticator.introduction == ABOUT
    assert authenticator.wanted == prover.wanted == 0
    assert len(said) < 400 and len(answered) < 100
    assert KEY not in said + answered and RUN_KEY not in said + answered


@pytest.mark.parametrize(
    ("key", "run", "about"),
    [
        (agent_key(bytes(32), "agent-1"), RUN, ABOUT),
        (RUN_KEY, RUN, ABOUT),
        (KEY, "another run", ABOUT),
        (KEY, RUN, msgspec.structs.replace(ABOUT, agent="agent-2")),
    ],
    ids=["wrong key", "the run's key itself", "another run", "another agent's name"],
)
def test_a_wrong_key_is_refused_and_learns_nothing(key, run, about):
    authenticator, prover = Authenticator(RUN_KEY, RUN), Prover(key, run, about)
    with pytest.raises(UnprovedError, match="a wrong key"):
        shake(authenticator, prover)
    assert authenticator.introduction is None


@pytest.mark.parametrize(
    "changes", [{"purpose": Purpose.CONTROL}, {"worker": "parse-1"}, {"life": 8}]
)
def test_a_proof_is_for_one_purpose_worker_and_life(changes):
    prover = Prover(KEY, RUN, ABOUT)
    authenticator = Authenticator(RUN_KEY, RUN)
    said = prover.feed(authenticator.greeting)
    other = msgspec.msgpack.encode(msgspec.structs.replace(ABOUT, **changes))
    mine = msgspec.msgpack.encode(ABOUT)
    forged = said.replace(len(mine).to_bytes(2) + mine, len(other).to_bytes(2) + other)
    assert forged != said
    with pytest.raises(UnprovedError, match="a wrong key"):
        for byte in forged:
            authenticator.feed(bytes([byte]))


def test_what_was_heard_once_is_worth_nothing_again():
    said, _ = shake(Authenticator(RUN_KEY, RUN), Prover(KEY, RUN, ABOUT))
    again = Authenticator(RUN_KEY, RUN)
    with pytest.raises(UnprovedError, match="a wrong key"):
        for byte in said:
            again.feed(bytes([byte]))


def test_an_agent_is_not_fooled_by_its_own_proof():
    prover = Prover(KEY, RUN, ABOUT)
    said = prover.feed(Authenticator(RUN_KEY, RUN).greeting)
    with pytest.raises(UnprovedError, match="does not know the key"):
        prover.feed(said[-32:])


def test_an_orchestrator_that_does_not_know_the_key_is_found_out():
    prover = Prover(KEY, RUN, ABOUT)
    stranger = Authenticator(RUN_KEY, RUN)
    prover.feed(stranger.greeting)
    with pytest.raises(UnprovedError, match="does not know the key"):
        prover.feed(bytes(32))


def test_an_answer_to_another_handshake_proves_nothing():
    _, answered = shake(Authenticator(RUN_KEY, RUN), Prover(KEY, RUN, ABOUT))
    prover = Prover(KEY, RUN, ABOUT)
    prover.feed(answered[:40])
    with pytest.raises(UnprovedError, match="does not know the key"):
        prover.feed(answered[40:])


def test_nothing_is_taken_beside_the_handshake():
    authenticator = Authenticator(RUN_KEY, RUN)
    said = Prover(KEY, RUN, ABOUT).feed(authenticator.greeting)
    with pytest.raises(UnprovedError, match="more than a handshake"):
        authenticator.feed(said)  # all at once is more than its head
    prover = Prover(KEY, RUN, ABOUT)
    with pytest.raises(UnprovedError, match="more than a handshake"):
        prover.feed(authenticator.greeting + b"x")


def test_a_length_is_refused_before_anything_of_it_has_come():
    authenticator = Authenticator(RUN_KEY, RUN)
    with pytest.raises(UnprovedError, match="a wrong length"):
        authenticator.feed(authenticator.greeting[:8] + bytes(32) + b"\xff\xff")


def test_an_introduction_has_its_limit():
    with pytest.raises(UnprovedError, match="too long"):
        Prover(KEY, RUN, Introduction(purpose=Purpose.CONTROL, agent="é" * 400))


@given(st.binary(max_size=700))
def test_garbage_proves_nothing(data):
    authenticator = Authenticator(RUN_KEY, RUN)
    with pytest.raises((UnprovedError, AssertionError)):
        for byte in data:
            authenticator.feed(bytes([byte]))
        assert authenticator.introduction is not None


@given(st.binary(max_size=200))
def test_an_introduction_that_is_none_is_refused(about):
    """Also by one that knows the key: what he says is looked at all the same."""
    authenticator = Authenticator(RUN_KEY, RUN)
    said = authenticator.greeting[:8] + bytes(32) + len(about).to_bytes(2) + about + bytes(32)
    with pytest.raises(UnprovedError):
        for byte in said:
            authenticator.feed(bytes([byte]))
