"""Copies of items: what a reader gets is what a pickle would have given it, and nothing is shared.

Each property holds in both forms of the module: as it is installed, and as its text.
"""

import importlib.util
import math
import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ipc.order import Emitted, QueueInfo
from orchestrator.worker import blocks, chunks
from orchestrator.worker.chunks import ItemRun, Part, load, unpack
from orchestrator.worker.outbox import Outbox, Outboxes
from orchestrator.worker.replay import ReplayChecks


def _interpreted():
    path = Path(chunks.__file__).with_name("blocks.py")
    spec = importlib.util.spec_from_file_location("interpreted_blocks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORMS = [blocks, _interpreted()]
forms = pytest.mark.parametrize("form", FORMS, ids=["installed", "interpreted"])


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Row(list):
    pass


class Table(dict):
    pass


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=4),
    st.binary(max_size=4),
)
KEYS = LEAVES.filter(lambda key: key == key)
ODD = st.one_of(
    st.builds(Text, st.text(max_size=3)),
    st.builds(Number, st.integers()),
    st.builds(Row, st.lists(st.integers(), max_size=2)),
    st.builds(Table, st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)),
    st.builds(bytearray, st.binary(max_size=3)),
    st.sets(st.integers(), max_size=2),
    st.frozensets(st.integers(), max_size=2),
    st.just(1 << 70),
    st.just((1 << 61) - 1),
    st.just(-(1 << 61)),
    st.just("x" * 9_000),
)


def trees(leaves):
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            st.lists(parts, max_size=4),
            st.lists(parts, max_size=4).map(tuple),
            st.dictionaries(KEYS, parts, max_size=4),
        ),
        max_leaves=25,
    )


PLAIN_TREES = trees(LEAVES)
TREES = trees(LEAVES | ODD)


@st.composite
def tangles(draw):
    """A tree in which some containers are met twice, or hold themselves."""
    made = [draw(TREES) for _ in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(0, 4))):
        picked = draw(st.lists(st.sampled_from(made), max_size=3))
        made.append(
            draw(st.sampled_from([list, tuple, lambda each: dict(enumerate(each))]))(picked)
        )
    last = made[-1]
    if type(last) is list and draw(st.booleans()):
        last.append(draw(st.sampled_from(made)))
    return last


def pattern(value, met=None):
    """All there is to an object: values, exact types, and which are the same object."""
    met = {} if met is None else met
    kind = type(value)
    if kind in (dict, list, tuple, str, bytes, Row, Table, bytearray, set, complex):
        if id(value) in met and value not in ((), "", b""):
            return ("again", met[id(value)])
        met[id(value)] = len(met)
    if issubclass(kind, dict):
        return (kind, [(pattern(k, met), pattern(v, met)) for k, v in value.items()])
    if issubclass(kind, list | tuple):
        return (kind, [pattern(each, met) for each in value])
    return (kind, repr(value))


def through_blocks(form, items):
    return form.load_row(pickle.loads(pickle.dumps(form.dump_row(items), 5)))


@forms
@given(item=TREES | tangles())
def test_a_copy_has_the_values_types_and_identities_that_a_pickle_gives(form, item):
    made = []
    size = form.copy_into(made, item)
    assert (size >= 0) == (len(made) == 1)
    if made:
        [found] = through_blocks(form, made)
        assert pattern(found) == pattern(pickle.loads(pickle.dumps(item, 5)))


def small_enough(item, depth=0):
    """True of a tree that is neither deep nor wide."""
    kind = type(item)
    if kind not in (dict, list, tuple):
        return True
    parts = item.values() if kind is dict else item
    return depth <= 6 and all(small_enough(part, depth + 1) for part in parts)


@forms
@given(item=PLAIN_TREES)
def test_plain_containers_are_copied_unless_one_is_met_twice(form, item):
    containers, todo, is_new = [], [item], True
    small = small_enough(item)
    while todo:
        value = todo.pop()
        if type(value) is int:
            small = small and abs(value) < 1 << 61
        if type(value) in (dict, list, tuple):
            is_new = is_new and not any(value is other for other in containers)
            containers.append(value)
            todo += value.values() if type(value) is dict else value
            todo += value if type(value) is dict else ()
    copied = form.copy_into([], item) >= 0
    few = len(containers) <= 1 + 8
    assert copied == (type(item) in form.CONTAINERS and is_new and small and few)


@forms
@pytest.mark.parametrize("end", [{1}, object(), bytearray(b"x"), Text("x"), {(1,): 2}, 1 << 61])
def test_what_holds_anything_else_is_left_to_a_pickle(form, end):
    for item in (end, [end], (1, end), {"a": [{"b": end}]}):
        made = []
        assert form.copy_into(made, item) == -1
        assert made == []


@forms
def test_what_is_deep_wide_or_large_is_left_to_a_pickle(form):
    deep = wide = []
    for _ in range(100):
        deep = [deep]
    wide = [[] for _ in range(20)]
    itself = []
    itself.append(itself)
    for item in (deep, wide, itself, list(range(5000)), ["x" * 20_000], {"x" * 20_000: 1}):
        assert form.copy_into([], item) == -1


@forms
def test_two_items_share_nothing_that_can_be_told_apart_by_changing_it(form):
    shared = {"rows": [1, 2], "pair": (1, [2])}
    made = []
    assert form.copy_into(made, shared) >= 0
    shared["rows"].append(3)
    assert form.copy_into(made, shared) >= 0
    shared["pair"][1].clear()
    first, second = through_blocks(form, made)
    assert first == {"rows": [1, 2], "pair": (1, [2])}
    assert second == {"rows": [1, 2, 3], "pair": (1, [2])}
    assert first["pair"] is not second["pair"]
    first["pair"][1].append("mine")
    assert second["pair"] == (1, [2])


@forms
def test_a_thread_that_changes_the_item_meanwhile_harms_nobody(form):
    item = {"rows": list(range(20)), **{str(n): n for n in range(20)}}
    ended = threading.Event()

    def change():
        n = 0
        while not ended.is_set():
            n += 1
            item[f"more {n % 6}"] = [n]
            item.pop(f"more {(n + 3) % 6}", None)
            item["rows"][:] = [n] * (n % 30)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        made = []
        for _ in range(3000):
            before = len(made)
            assert (form.copy_into(made, item) >= 0) == (len(made) == before + 1)
    finally:
        ended.set()
        thread.join()
    assert len(made) == 3000
    for copied in through_blocks(form, made):
        assert copied["19"] == 19
        assert all(copied["rows"] is not item["rows"] for _ in copied)


# -- rows -------------------------------------------------------------------------------------


@forms
@given(sizes=st.lists(st.sampled_from([1, 100, 5_000, 30_000]), max_size=200), n=st.booleans())
def test_a_block_has_64_items_or_16_kib_at_most(form, sizes, n):
    items = [["x" * n, at] for at, n in enumerate(sizes)]
    row = form.dump_row(items, sum(sizes) if n else 0)
    assert sum(n for n, _ in row) == len(items)
    assert all(1 <= n <= 64 for n, _ in row)
    assert all(n == 1 or len(block) <= 16 * 1024 for n, block in row)
    assert form.load_row(row) == items or not row


@forms
@given(n=st.integers(1, 300), start=st.integers(0, 320), more=st.integers(0, 320))
def test_any_part_of_a_row_is_what_the_list_has_there(form, n, start, more):
    loaded = []

    def loads(block):
        loaded.append(block)
        return pickle.loads(block)

    items = [{"n": at} for at in range(n)]
    stop = start + more
    assert form.load_row(form.dump_row(items), start, stop, loads) == items[start:stop]
    assert len(loaded) <= math.ceil(more / 64) + 1


@forms
def test_a_row_of_pickles_is_told_from_one_of_blocks(form):
    assert form.load_row([pickle.dumps(1), pickle.dumps(2)]) is None
    block = pickle.dumps([1])
    for row in (
        [1],
        [pickle.dumps(1), (1, block)],
        [(1,)],
        [(1, "x")],
        [(True, block)],
        [(2, block)],
        [(0, block)] * 2 + [(1, pickle.dumps({0: 1}))],
    ):
        with pytest.raises(pickle.UnpicklingError):
            form.load_row(row)


# -- runs and outboxes ------------------------------------------------------------------------


def put(outbox, items):
    for item in items:
        outbox.add(item)
    outputs, blobs = [], []
    outbox.take(0, outputs, blobs, with_open=True)
    return outputs, blobs


def read(outputs, blobs):
    found = []
    for output, blob in zip(outputs, blobs, strict=True):
        found += unpack(load(blob, packed=output.packed, start=0, stop=output.n))
    return found


def copying():
    outbox = Outbox(("q",), chunk_items=1000, part_items=1000, free=True)
    outbox.copies = True
    return outbox


MIXED = st.lists(
    st.one_of(
        st.integers(),
        st.text(max_size=3),
        st.dictionaries(st.text(max_size=2), st.integers(), max_size=3),
        st.lists(st.integers(), max_size=3),
        st.sets(st.integers(), max_size=2),
        st.sampled_from([b"x" * 40_000, ["y" * 20_000], ["z" * 40_000], {"k": "v" * 5_000}]),
    ),
    max_size=60,
)


@given(MIXED)
def test_whatever_is_put_arrives_in_order(items):
    outputs, blobs = put(copying(), items)
    found = read(outputs, blobs)
    assert found == items
    assert list(map(type, found)) == list(map(type, items))


@given(MIXED, st.integers(0, 60))
def test_an_open_items_outputs_are_forgotten_copied_or_not(items, n):
    outbox = copying()
    for item in items[:n]:
        outbox.add(item)
    outbox.seal()
    for item in items[n:]:
        outbox.add(item)
    outbox.drop_open()
    outputs, blobs = [], []
    outbox.take(1, outputs, blobs, with_open=True)
    assert read(outputs, blobs) == items[:n]


def test_a_run_holds_blocks_until_something_comes_that_cannot_be_copied():
    run = ItemRun()
    run.extend(Part([1, 2], packed=False, size=0))
    run.extend(Part([{"a": 1}], packed=False, size=9, copied=True))
    row = pickle.loads(run.dump())
    assert [n for n, _ in row] == [3]
    run.extend(Part([pickle.dumps({3})], packed=True, size=9))
    assert [pickle.loads(one) for one in pickle.loads(run.dump())] == [1, 2, {"a": 1}, {3}]
    run.extend(Part([{"b": 2}], packed=False, size=9, copied=True))
    assert pickle.loads(pickle.loads(run.dump())[-1]) == {"b": 2}


@pytest.mark.pure_only
def test_where_no_memory_is_left_for_a_block_only_the_item_without_it_is_lost(monkeypatch):
    run = ItemRun()
    run.extend(Part([{"a": 1}, ["large"], (3,)], packed=False, size=9, copied=True))
    dumps = pickle.dumps

    def scarce(item, protocol):
        if item == ["large"]:
            raise MemoryError
        return dumps(item, protocol)

    def without_memory(_items, _size):
        raise MemoryError

    monkeypatch.setattr(chunks, "dump_row", without_memory)
    monkeypatch.setattr(pickle, "dumps", scarce)
    blob = run.dump()
    assert run.packed
    first, second, third = load(blob, packed=True, start=0, stop=3).items
    assert (pickle.loads(first), pickle.loads(third)) == ({"a": 1}, (3,))
    with pytest.raises(MemoryError, match="the pickle of this list"):
        pickle.loads(second)


@pytest.mark.parametrize(
    ("copies", "changes"),
    [
        (True, {}),
        (False, {"counted": True}),
        (False, {"emitted": Emitted(n=1, digest=0)}),
        (False, {"ordered": True}),
        (False, {"max_bytes": 1000}),
    ],
)
def test_items_are_copied_unless_their_bytes_or_their_order_are_asked_for(
    copies, changes, monkeypatch
):
    monkeypatch.setattr("orchestrator.worker.outbox.COPIES", True)
    info = QueueInfo(maxsize=10, chunk_items=5, max_bytes=changes.get("max_bytes"))
    emitted = {"q": changes["emitted"]} if "emitted" in changes else {}
    counted = changes.get("counted", bool(emitted))
    outboxes = Outboxes(
        {"q": info},
        replays=ReplayChecks("job", emitted, counted=counted),
        ordered=changes.get("ordered", False),
        dump=pickle.dumps,
    )
    assert outboxes.open(("q",), done=0, overdraws=False).copies is copies


def test_an_outbox_copies_only_where_that_is_compiled():
    outboxes = Outboxes(
        {"q": QueueInfo(maxsize=10, chunk_items=5)},
        replays=ReplayChecks(),
        ordered=False,
        dump=pickle.dumps,
    )
    opened = outboxes.open(("q",), done=0, overdraws=False)
    assert opened.copies is blocks.COPIES is blocks.__file__.endswith(".so")
