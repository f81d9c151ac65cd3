"""Pickles of large items in pieces: put together they load as the pickle of the whole does."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.worker import chunks
from orchestrator.worker.chunks import BIG_ITEM, ItemPickler, sole
from orchestrator.worker.large import SplitPickle, item_of

np = pytest.importorskip("numpy")


def big(n: int = BIG_ITEM, *, readonly: bool = False):
    array = np.arange(n // 8 + 1, dtype=np.int64)
    array.flags.writeable = not readonly
    return array


def trip(item, *, divided: bool = True):
    """As its reader gets it, by both ways."""
    pickled = ItemPickler().divide(item)
    assert isinstance(pickled, SplitPickle) is divided
    blob = sole(pickled)
    (raw,) = pickle.loads(blob)
    (loaded,) = pickle._loads(blob)  # that the frames do not lie only Python's own sees
    assert raw == loaded
    return pickle.loads(raw), pickle.loads(item_of(blob, packed=True))


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return (
            type(a) is type(b)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and a.flags.writeable == b.flags.writeable
            and a.flags.f_contiguous == b.flags.f_contiguous
            and (a.tolist() == b.tolist() if a.dtype.hasobject else a.tobytes() == b.tobytes())
        )
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


ARRAYS = st.builds(
    lambda n, dtype, order, readonly: _array(n, dtype, order, readonly=readonly),
    st.sampled_from([0, 1, 100, 151, BIG_ITEM // 8, BIG_ITEM]),
    st.sampled_from(["u1", "i8", "f4", ">i2", "c16", "O"]),
    st.sampled_from(["C", "F", "strided"]),
    st.booleans(),
)


def _array(n: int, dtype: str, order: str, *, readonly: bool):
    array = np.arange(2 * n).astype(dtype).reshape(2, n)
    array = array[:, ::2] if order == "strided" else np.array(array, order=order)
    array.flags.writeable = not readonly
    return array


ITEMS = st.recursive(
    ARRAYS | st.integers() | st.text() | st.binary() | st.sampled_from(["\x97", 151, b"\x97" * 9]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(ITEMS)
def test_any_item_comes_as_its_pickle_gives_it(item):
    pickled = ItemPickler().divide(item)
    raw = b"".join(pickled.take()) if isinstance(pickled, SplitPickle) else pickled
    assert same(pickle.loads(raw), pickle.loads(pickle.dumps(item, 5)))
    assert same(pickle._loads(raw), pickle.loads(raw))


@pytest.mark.parametrize("readonly", [True, False])
def test_an_array_can_be_written_to_if_it_could_be(readonly):
    item = big(readonly=readonly)
    for got in trip(item):
        assert same(got, item)


def test_what_looks_like_the_opcode_of_a_buffer_is_none():
    item = ["\x97", b"\x97\x98", 151, big(), {"\x97": 0x9797}, big(readonly=True)]
    for got in trip(item):
        assert same(got, item)


def test_the_same_array_twice_is_one():
    array = big()
    for got in trip([array, array]):
        assert got[0] is got[1]


def test_an_item_of_several_frames_is_pickled_as_a_whole():
    item = [big(), *(f"{n}" * 40 for n in range(5000))]
    for got in trip(item, divided=False):
        assert same(got, item)


def test_small_arrays_are_pickled_as_ever():
    assert ItemPickler().divide([big(100)]) == pickle.dumps([big(100)], 5)


def test_it_is_as_it_was_when_it_was_put():
    item = big()
    blob = sole(ItemPickler().divide(item))
    item[:] = 7
    assert pickle.loads(pickle.loads(blob)[0])[1] == 1


def test_what_can_only_be_reduced_by_multiprocessing_is_pickled_as_a_whole():
    class Local:
        def __reduce__(self):
            raise TypeError

    with pytest.raises(TypeError):
        ItemPickler().divide([big(), Local()])


class Torn:
    """Its memory is in no one piece."""

    def __reduce_ex__(self, protocol):
        return bytes, (pickle.PickleBuffer(memoryview(bytes(BIG_ITEM * 2))[::2]),)


def test_a_buffer_that_is_in_pieces_raises_what_pickle_raises():
    with pytest.raises(pickle.PicklingError, match="non-contiguous"):
        ItemPickler().divide(Torn())


@pytest.mark.parametrize(
    "item", [b"x" * BIG_ITEM, "é" * BIG_ITEM, "\ud800" * BIG_ITEM, b"x" * (1 << 20)]
)
def test_text_and_bytes_are_set_into_a_chunk_as_they_are(item):
    blob = sole(item)
    assert pickle.loads(blob) == pickle._loads(blob) == [item]
    assert item_of(blob, packed=False) == item


@pytest.mark.pure_only
def test_what_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_BYTES", BIG_ITEM)
    for make in (
        lambda: sole(b"x" * 2 * BIG_ITEM),
        lambda: ItemPickler().divide(big(2 * BIG_ITEM)),
    ):
        with pytest.raises(ValueError, match="the largest item"):
            make()


class Shared:
    """Gives one buffer as often as it is said to."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce_ex__(self, protocol):
        met = {}
        return Shared, tuple(met.setdefault(id(a), pickle.PickleBuffer(a)) for a in self.parts)


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("size", [10, BIG_ITEM - 1, BIG_ITEM, 3 * BIG_ITEM])
def test_a_buffer_that_stands_twice_in_an_item_is_one_to_its_reader(kind, size):
    a, b = kind(b"a" * size), kind(b"b" * size)
    for item, divided in ((Shared(a, b, a), False), (Shared(a, b), size >= BIG_ITEM)):
        pickled = pickle.loads(pickle.dumps(item, 5)).parts
        for loaded in trip(item, divided=divided):
            assert loaded.parts == item.parts
            assert [x is y for x in loaded.parts for y in loaded.parts] == [
                x is y for x in pickled for y in pickled
            ]


def test_what_cannot_be_pickled_is_told_whatever_its_buffers():
    a = bytearray(BIG_ITEM)
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError), match="lambda"):
        ItemPickler().divide([Shared(a, a), lambda: None])
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError), match="lambda"):
        ItemPickler().divide([Shared(a), lambda: None, Shared(a)])
