"""What multiprocessing sends in a way of its own: refused, handed over, or made by its reducer."""

import multiprocessing
import pickle
import socket
from multiprocessing import shared_memory
from multiprocessing.reduction import DupFd, ForkingPickler
from pathlib import Path

import pytest

import orchestrator
from orchestrator.worker import chunks

CODE = """
    import array, functools, multiprocessing as mp, os, socket
    from multiprocessing import shared_memory
    from multiprocessing.sharedctypes import RawArray
    kept = []
    class Holder:
        def __init__(self, held): self.held = held
        def shout(self): return self.held.upper()
    def made(what):
        if what == "connection": return mp.Pipe()[0]
        if what == "deep": return {"reply to": [Holder(mp.Pipe()[1])]}
        if what == "socket": return socket.socketpair()[0]
        if what == "lock": return mp.Lock()
        if what == "event": return mp.Event()
        if what == "queue": return mp.Queue()
        if what == "raw array": return RawArray("i", 3)
        if what == "method": return Holder("a").shout
        if what == "partial": return functools.partial(max, 3)
        if what == "append": return [1].append
        if what == "descriptor": return list.append
        if what == "array": return array.array("i", [1, 2])
        if what == "keys": return {"k": 1}.keys()
        if what == "shared memory":
            kept.append(shared_memory.SharedMemory(create=True, size=8))
            kept[-1].buf[:2] = b"ok"
            return kept[-1]
    def src():
        yield from WHATS
    def work(what): return made(what)
    def put(what, out): out.put(made(what))
    def stream(whats):
        for what in whats: yield made(what)
    def sink(items):
        for item in items:
            if isinstance(item, shared_memory.SharedMemory):
                print(bytes(item.buf[:2]))
                item.close()
                item.unlink()
            else:
                print(item() if hasattr(item, "__self__") and "shout" in repr(item) else type(item))
"""

REFUSED = {
    "connection": "multiprocessing.connection.Connection is handed over once",
    "deep": "multiprocessing.connection.Connection is handed over once",
    "socket": "socket.socket is handed over once",
    "lock": "inheritance",
    "event": "inheritance",
    "queue": "inheritance",
    "raw array": "inheritance",
    "keys": "cannot be pickled: cannot pickle 'dict_keys' object",
}
SENT = ["method", "partial", "append", "descriptor", "array", "shared memory"]

SPEC = """
    queues: {q: 20, r: 20}
    jobs:
      src: {target: "t:src", output: q}
      work: {target: "t:%s", input: q, output: %s, on_error: dead_letter}
      sink: {target: "t:sink", input: r, call: stream}
"""


@pytest.mark.parametrize(("target", "output"), [("work", "r"), ("put", "{out: r}")])
def test_in_a_pipeline_what_would_not_outlive_a_second_delivery_is_refused_by_name(
    ran, target, output
):
    whats = [*REFUSED, *SENT]
    ended = ran(SPEC % (target, output), CODE.replace("WHATS", repr(whats)))
    assert ended.exit_code == 3, ended.stdout
    told = {
        whats[int(record["item"].partition(":")[2]) - 1]: record["msg"]
        for record in ended.log.having("item.dead")
    }
    assert set(told) == set(REFUSED)
    for what, words in REFUSED.items():
        assert "UnpicklableItemError: job 'work'" in told[what], told[what]
        assert words in told[what], told[what]
    said = ended.log.printed("sink-1")
    assert len(said) == len(SENT)
    assert said[0] == "A"
    assert said[-1] == "b'ok'"


def test_a_source_that_gives_a_connection_fails_by_name_and_nothing_arrives(ran):
    ended = ran(
        """
        queues: {q: 5}
        jobs:
          src: {target: "t:give", output: q}
          sink: {target: "t:sink", input: q, call: stream}
        """,
        CODE.replace("WHATS", "[]") + '    def give(): yield made("connection")\n',
    )
    assert ended.exit_code == 1
    assert "handed over once" in str(ended.log.having("worker.ended", worker="src-1"))
    assert ended.log.printed("sink-1") == []


def _answer(queue):
    n, answer = queue.get()
    if isinstance(answer, socket.socket):
        answer.sendall(str(n * 2).encode())
    else:
        answer.send(n * 2)
    answer.close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_standalone_queue_hands_connections_and_sockets_over(method):
    context = multiprocessing.get_context(method)
    queue = orchestrator.Queue()
    for pair in (context.Pipe, socket.socketpair):
        process = context.Process(target=_answer, args=(queue,))
        process.start()
        ours, theirs = pair()
        queue.put((21, theirs))
        if pair is socket.socketpair:
            ours.settimeout(20)
            assert ours.recv(10) == b"42"
        else:
            assert ours.poll(20)
            assert ours.recv() == 42
        process.join(20)
        assert process.exitcode == 0
        ours.close()
        theirs.close()


class Mine:
    """Plain pickle takes it; its reducer makes something else of it."""


class Shared:
    """Its reducer hands over a descriptor; plain pickle sends its value."""

    value = 0

    def __init__(self):
        self.value = 7


@pytest.fixture
def registered():
    before = dict(ForkingPickler._extra_reducers)
    yield ForkingPickler.register
    ForkingPickler._extra_reducers.clear()
    ForkingPickler._extra_reducers.update(before)


def test_what_is_registered_with_forkingpickler_is_made_by_its_reducer(registered):
    assert type(pickle.loads(chunks.ItemPickler().dump([Mine()]))[0]) is Mine
    registered(Mine, lambda _: (str, ("by its reducer",)))
    assert pickle.loads(chunks.ItemPickler().dump([Mine(), 1])) == ["by its reducer", 1]
    assert pickle.loads(chunks.ItemPickler(once=True).dump(Mine())) == "by its reducer"


def test_a_reducer_that_hands_a_descriptor_over_is_taken_where_items_come_once(registered):
    def shared(_):
        with Path("/dev/null").open() as file:
            return int, (1, DupFd(file.fileno()))

    registered(Shared, shared)
    assert pickle.loads(chunks.ItemPickler().dump(Shared())).value == 7
    assert b"DupFd" in chunks.ItemPickler(once=True).dump(Shared())


def test_a_text_that_only_speaks_of_connections_is_a_text():
    words = ["multiprocessing.connection", {"a": b"multiprocessing.connection Connection"}]
    assert pickle.loads(chunks.ItemPickler().dump(words)) == words


def test_shared_memory_goes_by_its_name():
    memory = shared_memory.SharedMemory(create=True, size=8)
    try:
        there = pickle.loads(chunks.ItemPickler().dump(memory))
        assert there.name == memory.name
        there.close()
    finally:
        memory.close()
        memory.unlink()
