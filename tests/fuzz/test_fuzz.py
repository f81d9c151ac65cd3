"""The short form of the fuzzing, and proof that it would notice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.core.broker.clients import PendingPull, WorkerState
from orchestrator.core.broker.commits import Admission
from orchestrator.core.broker.lease import LeaseState
from orchestrator.core.broker.leasing import Leasing
from orchestrator.core.broker.state import ProtocolError
from orchestrator.core.protocol.messages import Commit, Pull
from orchestrator.ipc import wire

from .__main__ import fuzz
from .door import Refuted

FRAMES = 8_000


def test_no_frame_crashes_the_core_or_harms_an_honest_worker() -> None:
    verdicts = fuzz(FRAMES, seed=1_000_000)
    met = {verdict for (_, verdict), n in verdicts.items() if n > FRAMES // 200}
    assert met >= {"refused by the wire", "refused by the core", "torn", "taken", "ignored"}
    assert verdicts["", "commit refused"]


def test_a_reader_that_expects_only_one_kind_of_error_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_UNREADABLE", (msgspec.DecodeError,))
    with pytest.raises((RecursionError, UnicodeDecodeError)):
        fuzz(FRAMES, seed=0)


@pytest.mark.pure_only
def test_a_broker_that_lets_a_worker_finish_what_others_hold_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def held(self: Admission, client: WorkerState, request: Commit) -> list[tuple[LeaseState, int]]:
        leases = {n: each for p in self._state.clients.values() for n, each in p.leases.items()}
        found = [(leases[n], count) for n, count in request.finished if n in leases]
        return [(lease, n) for lease, n in dict(found).items() if 0 <= n <= lease.remaining]

    monkeypatch.setattr(Admission, "_held", held)
    with pytest.raises((Refuted, AssertionError, KeyError)):
        fuzz(FRAMES, seed=0)


@pytest.mark.pure_only
def test_a_broker_that_acts_before_it_has_looked_at_all_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = Leasing.checked

    def hasty(self: Leasing, client: WorkerState, request: Pull) -> PendingPull:
        queue: Any = self._state.queue(request.queues[0]) if request.queues else None
        if queue is not None and queue in client.job.reads:
            self._state.at[queue].readers.pop(client.worker, None)
        try:
            return checked(self, client, request)
        except ProtocolError:
            self._state.number()
            raise

    monkeypatch.setattr(Leasing, "checked", hasty)
    with pytest.raises(Refuted, match="has changed something"):
        fuzz(FRAMES, seed=0)
