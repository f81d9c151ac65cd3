"""Peers of mporch: source → map → sink, each as its own documentation would have it.

`python -m benchmarks.peers WAY KIND N BOUND`, in a folder that keeps the clock. Source, map and
sink are the functions that mporch calls. Pools have been started before the first item is asked
for, as mporch's workers have.
"""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks import stages

CLOCK = "clock"
BATCH = {"ints": 512, "dicts": 512, "kilobytes": 64}
"""Items a message of a batched peer: about 64 KB at most. Of what is larger, one."""

_PATIENT_S = 100.0
"""faster-fifo gives up after ten seconds unless told otherwise."""

Stage = tuple[Callable[..., None], tuple[Any, ...]]


def together(*parts: Stage) -> None:
    """Run functions, each in a process, to their end. Raises RuntimeError when one fails."""
    processes = [multiprocessing.Process(target=function, args=args) for function, args in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise RuntimeError(f"a process ended with {failed[0]}")


def batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """The items in lists of one size; the last may be shorter."""
    source = iter(items)
    while batch := list(itertools.islice(source, size)):
        yield batch


def by_queue(kind: str, n: int, bound: int) -> None:
    """`multiprocessing.Queue`."""
    a, b = multiprocessing.Queue(bound), multiprocessing.Queue(bound)
    together(
        (stages.put_all, (kind, n, CLOCK, a)),
        (stages.move, (n, a, b)),
        (stages.drain, (n, CLOCK, b)),
    )


def _send(kind: str, n: int, out: Any) -> None:
    for batch in batches(stages.source(kind, n, CLOCK), BATCH.get(kind, 1)):
        out(pickle.dumps(batch, 5))


def _pass_on(n: int, receive: Any, out: Any) -> None:
    moved = 0
    while moved < n:
        batch = [stages.same(item) for item in pickle.loads(receive())]
        moved += len(batch)
        out(pickle.dumps(batch, 5))


def _receive(n: int, receive: Any) -> None:
    sink, seen = stages.Sink(n, CLOCK), 0
    while seen < n:
        for item in pickle.loads(receive()):
            sink(item)
            seen += 1


def _pipe_end(stage: Callable[..., None], args: tuple[Any, ...], *ends: Any) -> None:
    methods = [end.recv_bytes if end.readable else end.send_bytes for end in ends]
    stage(*args, *methods)


def by_pipe(kind: str, n: int, _bound: int) -> None:
    """Pickled batches over two bare pipes: nobody counts, bounds, or would notice a death."""
    (a_out, a_in), (b_out, b_in) = multiprocessing.Pipe(duplex=False), multiprocessing.Pipe(False)
    together(
        (_pipe_end, (_send, (kind, n), a_in)),
        (_pipe_end, (_pass_on, (n,), a_out, b_in)),
        (_pipe_end, (_receive, (n,), b_out)),
    )


def _zmq_end(
    together_now: Any, stage: Callable[..., None], args: tuple[Any, ...], *ends: tuple[str, str]
) -> None:
    """Call a stage with the methods of its sockets, each `("pull" or "push", name)`."""
    import zmq  # noqa: PLC0415 - optional

    with zmq.Context() as context:
        sockets = [context.socket(zmq.PULL if what == "pull" else zmq.PUSH) for what, _ in ends]
        for socket, (what, name) in zip(sockets, ends, strict=True):
            socket.set_hwm(4)
            if what == "push":
                socket.bind(f"ipc://{name}")
        together_now.wait()  # who connects before the other has bound tries again 100 ms later
        for socket, (what, name) in zip(sockets, ends, strict=True):
            if what == "pull":
                socket.connect(f"ipc://{name}")
        pulls = [what == "pull" for what, _ in ends]
        methods = [s.recv if pull else s.send for s, pull in zip(sockets, pulls, strict=True)]
        stage(*args, *methods)
        together_now.wait()  # a reader whose writer leaves loses what it has not taken
        context.destroy(linger=0)


def by_zmq(kind: str, n: int, _bound: int) -> None:
    """Pickled batches over ZeroMQ's PUSH and PULL, four messages at most in a socket."""
    at_once = multiprocessing.Barrier(3)
    together(
        (_zmq_end, (at_once, _send, (kind, n), ("push", "a"))),
        (_zmq_end, (at_once, _pass_on, (n,), ("pull", "a"), ("push", "b"))),
        (_zmq_end, (at_once, _receive, (n,), ("pull", "b"))),
    )


def _drop_all(results: Iterable[Any], n: int) -> None:
    sink = stages.Sink(n, CLOCK)
    for item in results:
        sink(item)


def by_pool(kind: str, n: int, _bound: int) -> None:
    """`Pool(1).imap`, chunks of 512 of what is small."""
    with multiprocessing.Pool(1) as pool:
        source = stages.source(kind, n, CLOCK)
        _drop_all(pool.imap(stages.same, source, BATCH["ints"]), n)


def by_executor(kind: str, n: int, _bound: int) -> None:
    """`ProcessPoolExecutor(1).map`, chunks of 512; it takes all items before the first result."""
    with ProcessPoolExecutor(1) as pool:
        pool.submit(stages.nothing).result()
        source = stages.source(kind, n, CLOCK)
        _drop_all(pool.map(stages.same, source, chunksize=BATCH["ints"]), n)


def by_joblib(kind: str, n: int, _bound: int) -> None:
    """`joblib.Parallel` of two processes (one is none), batches of 512."""
    import joblib  # noqa: PLC0415 - optional

    call = joblib.delayed(stages.same)
    with joblib.Parallel(n_jobs=2, batch_size=BATCH["ints"], return_as="generator") as parallel:
        list(parallel(call(item) for item in range(4 * BATCH["ints"])))
        _drop_all(parallel(call(item) for item in stages.source(kind, n, CLOCK)), n)


def by_pypeln(kind: str, n: int, bound: int) -> None:
    """`pypeln.process.map` of one worker."""
    import pypeln  # noqa: PLC0415 - optional

    source = stages.source(kind, n, CLOCK)
    _drop_all(pypeln.process.map(stages.same, source, workers=1, maxsize=bound), n)


def _fifo_take(source: Any) -> list[Any]:
    found: list[Any] = source.get_many(timeout=_PATIENT_S, max_messages_to_get=BATCH["ints"])
    return found


def _fifo_send(kind: str, n: int, out: Any) -> None:
    for batch in batches(stages.source(kind, n, CLOCK), BATCH.get(kind, 1)):
        out.put_many(batch, timeout=_PATIENT_S)


def _fifo_move(n: int, source: Any, out: Any) -> None:
    moved = 0
    while moved < n:
        batch = [stages.same(item) for item in _fifo_take(source)]
        moved += len(batch)
        out.put_many(batch, timeout=_PATIENT_S)


def _fifo_drain(n: int, source: Any) -> None:
    sink, seen = stages.Sink(n, CLOCK), 0
    while seen < n:
        for item in _fifo_take(source):
            sink(item)
            seen += 1


def by_faster_fifo(kind: str, n: int, _bound: int) -> None:
    """`faster_fifo.Queue` of 16 MB, `put_many` and `get_many`."""
    import faster_fifo  # noqa: PLC0415 - optional

    a, b = faster_fifo.Queue(max_size_bytes=16 << 20), faster_fifo.Queue(max_size_bytes=16 << 20)
    together(
        (_fifo_send, (kind, n, a)),
        (_fifo_move, (n, a, b)),
        (_fifo_drain, (n, b)),
    )


WAYS: dict[str, Callable[[str, int, int], None]] = {
    "queue": by_queue,
    "pipe": by_pipe,
    "zmq": by_zmq,
    "pool": by_pool,
    "executor": by_executor,
    "joblib": by_joblib,
    "pypeln": by_pypeln,
    "faster-fifo": by_faster_fifo,
}


if __name__ == "__main__":
    way, kind_, n_, bound_ = sys.argv[1:]
    WAYS[way](kind_, int(n_), int(bound_))
