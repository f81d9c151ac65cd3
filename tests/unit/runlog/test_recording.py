"""What a recorder has written is what the child reads, a full disk in between or not."""

import errno
import os
import pickle

import pytest

from orchestrator.core.broker.chunks import Chunk
from orchestrator.core.broker.queue import QueueState
from orchestrator.errors import DiskFullError, RunDirectoryError
from orchestrator.features.testcases import compare_child
from orchestrator.runlog.recording import RECORDED_NAME, Recorder


def put(recorder, name, items, *, packed=False, start=0, stop=None):
    blob = pickle.dumps([pickle.dumps(item) for item in items] if packed else items)
    queue = QueueState(name, 0, ["a"], ["b"])
    queue.observers += (recorder.tap,)
    chunk = Chunk(blob, packed=packed, items=len(items))
    queue.append(chunk, start, len(items) if stop is None else stop)


def read(directory):
    return compare_child._recorded(str(directory / RECORDED_NAME))


def test_the_items_of_each_queue_come_in_their_order(tmp_path):
    recorder = Recorder(tmp_path, {"p", "q"})
    put(recorder, "q", [1, "\n", 3])
    put(recorder, "p", [{"a": 1}], packed=True)
    recorder.record()
    put(recorder, "q", [4, 5, 6, 7], packed=True, start=1, stop=3)
    recorder.record()
    recorder.close()
    assert read(tmp_path) == {"q": [1, "\n", 3, 5, 6], "p": [{"a": 1}]}


def test_after_a_full_disk_nothing_is_missing_and_nothing_is_twice(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path, {"q"})
    put(recorder, "q", [1])
    recorder.record()
    put(recorder, "q", [2])
    put(recorder, "q", [3])
    write, calls = os.write, []

    def full(fd, data):
        calls.append(data)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return write(fd, bytes(data)[:3])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFullError):
        recorder.record()
    monkeypatch.setattr(os, "write", write)
    recorder.record()
    recorder.close()
    assert read(tmp_path) == {"q": [1, 2, 3]}


def test_a_recording_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / RECORDED_NAME).write_text("")
    with pytest.raises(RunDirectoryError):
        Recorder(tmp_path, {"q"})


def test_an_item_that_cannot_be_unpickled_spoils_no_other(tmp_path):
    recorder = Recorder(tmp_path, {"q"})
    good, bad = pickle.dumps(1), b"c__main__\nNoSuchClass\n."
    queue = QueueState("q", 0, ["a"], ["b"])
    queue.observers += (recorder.tap,)
    queue.append(Chunk(pickle.dumps([good, bad, good]), packed=True, items=3), 0, 3)
    recorder.record()
    recorder.close()
    one, lost, another = read(tmp_path)["q"]
    assert (one, another) == (1, 1)
    assert repr(lost).startswith("<cannot be unpickled: AttributeError")
