"""The end of a target that swallows everything: nothing that is raised gets back into it."""

import threading
from types import SimpleNamespace

import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.errors import ReplayError
from orchestrator.worker import main
from orchestrator.worker.errors import FencedError

FAILURE = Failure(kind="ReplayError", message="put less than before")


class Left(BaseException):
    """The process has ended."""


@pytest.fixture
def worker(monkeypatch):
    """A worker that is about to be ended; `conclude` raises what `worker.raises` says."""
    found = main.WorkerMain.__new__(main.WorkerMain)
    found._client = SimpleNamespace(
        connection=SimpleNamespace(lock=threading.RLock()), await_block=lambda _within_s: None
    )
    found._client.connection.lock.acquire()
    found._job = SimpleNamespace(terminate=SimpleNamespace(grace_s=1.0))
    found._order = SimpleNamespace(worker="r-1")
    found._stopper = SimpleNamespace(retire=lambda: None)
    found.told = []

    def finish(failure, code, **_how):
        found.told.append((failure, code))
        return code

    def left(*code):
        raise Left(*code)

    def conclude(_context):
        if found.raises is not None:
            raise found.raises

    monkeypatch.setattr(found, "_finish", finish)
    monkeypatch.setattr(main, "conclude", conclude)
    monkeypatch.setattr(main, "_leave", left)
    monkeypatch.setattr(main, "_give_up", left)
    return found


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        pytest.param(None, [(None, 0)], id="well"),
        pytest.param(ReplayError("less"), [(FAILURE, 1)], id="put less than before"),
        pytest.param(FencedError("gone"), [], id="its items are others'"),
    ],
)
def test_what_the_end_raises_ends_the_process_and_is_told(worker, raised, told):
    worker.raises = raised
    with pytest.raises(Left):
        worker._end_here(SimpleNamespace(describe=lambda _error: FAILURE))
    assert worker.told == told
