"""Items of dead letters as text and JSON: nothing of theirs is run, and nothing grows without end.

The opener is a process; what it does is tried here as functions, and through it only where the
process matters.
"""

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import os
import pathlib
import pickle
import subprocess
import sys
import uuid
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.features.deadletters.replay_source import letters
from orchestrator.opening.child import json_of, text_of
from orchestrator.opening.opener import ItemPlace, OpenedAs, Opener, OpenRequest
from orchestrator.restricted import names_in, safe_loads
from orchestrator.worker.blocks import dump_row


@dataclasses.dataclass
class Order:
    id: int
    name: str


class Slotted:
    __slots__ = ("a", "b")


class Colour(enum.Enum):
    RED = 1


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def told(value, limit=1000):
    return text_of(safe_loads(pickle.dumps(value, 5)), limit)


PLAIN = [
    None,
    {1, 2},
    set(),
    frozenset({3}),
    (1,),
    b"bytes",
    bytearray(b"x"),
    1 + 2j,
    range(3),
    slice(1, 2),
    collections.deque([1]),
    datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    datetime.timedelta(days=1),
    decimal.Decimal("1.50"),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("/a/b"),
    pathlib.PureWindowsPath("c:/x"),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_data_is_shown_as_python_writes_it(value):
    assert told(value) == repr(value)


@pytest.mark.parametrize("function", [os.system, subprocess.call, eval, exec, open, __import__])
def test_a_function_in_a_pickle_is_shown_and_not_called(function, tmp_path):
    canary = tmp_path / "canary"
    argument = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    if function in (os.system, subprocess.call):
        argument = f"touch {canary}"
    text = told(Calls(function, argument))
    assert f"{function.__name__}(" in text
    assert repr(argument) in text
    assert not canary.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'touch canary'\ntR.",
        b"(S'touch canary'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch canary'\no.",
        b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x02os\x93\x8c\x06system\x86R.",
        b"cbuiltins\ngetattr\n(cuuid\nUUID\nS'__init__'\ntRS'__globals__'\n\x86\x81.",
        b"cbuiltins\nset\n(cos\nsystem\nS'touch canary'\ntR.",
        b"cuuid\nUUID.__init__.__globals__\n.",
    ],
)
def test_no_opcode_gets_at_a_function(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    try:
        text_of(safe_loads(data), 100)
    except Exception as error:
        assert isinstance(error, (pickle.UnpicklingError, TypeError, AttributeError, IndexError))
    assert not (tmp_path / "canary").exists()
    assert set(sys.modules) == before


def test_a_module_named_in_a_pickle_is_not_imported():
    data = b"cthis\nthat\n)\x81."
    assert text_of(safe_loads(data), 100) == "this.that()"
    assert "this" not in sys.modules


def test_objects_of_the_users_are_shown_by_what_was_pickled_of_them():
    slotted = Slotted()
    slotted.a = [1]
    name = f"{__name__}."
    assert told(Order(7, "x")) == f"{name}Order(id=7, name='x')"
    assert told({Colour.RED: slotted}) == f"{{{name}Colour(1): {name}Slotted(a=[1])}}"
    assert told(ValueError("no")) == "ValueError('no')"
    assert told(Order) == f"<{name}Order>"


def test_a_time_with_a_zone_is_shown_without_reading_the_zone():
    moment = datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert told(moment) == repr(moment)


def test_an_item_sealed_by_a_replay_is_shown_as_itself():
    inner = pickle.dumps(Order(1, "y"), 5)
    assert told(Calls(pickle.loads, inner)) == f"{__name__}.Order(id=1, name='y')"


def test_what_would_be_endless_is_cut():
    shared: list = [0]
    for _ in range(200):
        shared = [shared] * 10
    cyclic: list = []
    cyclic.append(cyclic)
    for value in (shared, cyclic, "x" * 10**6, [0] * 10**6, {"k": b"y" * 10**6}):
        assert len(told(value, 50)) <= 52
    assert told(10**10_000).startswith("<an int of ")


def test_json_is_only_what_json_knows():
    assert json_of({"a": [1, 2.5, None, True, ("x",)]}) == '{"a": [1, 2.5, null, true, ["x"]]}'
    cyclic: list = []
    cyclic.append(cyclic)
    for value in ({1: 2}, float("nan"), b"x", {1}, object(), 10**10_000, cyclic, [[1j]]):
        assert json_of(value) is None


@given(st.binary(max_size=200))
def test_no_bytes_make_the_names_fail(data):
    assert all(isinstance(name, str) for name in names_in(data))


def test_the_names_in_a_pickle_are_found():
    assert f"{__name__}.Order" in names_in(pickle.dumps([Order(1, "x")], 5))
    assert names_in(pickle.dumps(Calls(os.system, "x"), 0)) == ["posix.system"]


def write(tmp_path, *pickles):
    path = tmp_path / "chunk-000001.pickle"
    path.write_bytes(pickle.dumps(list(pickles), 5))
    return [ItemPlace(path=path, index=index, packed=True) for index in range(len(pickles))]


def test_an_item_that_needs_too_much_memory_costs_no_other(tmp_path):
    ranged = b"(cbuiltins\nrange\n(L1000000000000L\ntR"
    bomb = b"cbuiltins\nlist\n" + ranged + b"tR."
    places = write(tmp_path, b"I1\n.", bomb, b"no pickle", b"I3\n.")
    with Opener() as opener:
        found = [opener.open(place, OpenRequest.JSON) for place in places]
    assert [each.kind for each in found] == [
        OpenedAs.JSON,
        OpenedAs.UNREADABLE,
        OpenedAs.UNREADABLE,
        OpenedAs.JSON,
    ]
    assert (found[0].text, found[3].text) == ("1", "3")


def test_the_child_that_opens_items_can_be_killed_and_another_goes_on(tmp_path):
    (place,) = write(tmp_path, b"I1\n.")
    with Opener() as opener:
        assert opener.open(place, OpenRequest.TEXT).text == "1"
        assert opener._program._child is not None
        opener._program._child.kill()
        opener._program._child.wait()
        assert opener.open(place, OpenRequest.TEXT).kind is OpenedAs.UNREADABLE
        assert opener.open(place, OpenRequest.TEXT).text == "1"


def test_a_pickle_is_handed_out_byte_for_byte(tmp_path):
    pickles = [pickle.dumps(Order(1, "x"), protocol) for protocol in range(6)]
    with Opener() as opener:
        found = [opener.open(place, OpenRequest.PICKLE) for place in write(tmp_path, *pickles)]
    assert [each.pickled for each in found] == pickles


def test_a_file_that_is_missing_or_a_link_is_unreadable(tmp_path):
    (place,) = write(tmp_path, b"I1\n.")
    link = tmp_path / "link"
    link.symlink_to(place.path)
    with Opener() as opener:
        for path in (link, tmp_path / "none"):
            opened = opener.open(ItemPlace(path=path, index=0, packed=True), OpenRequest.TEXT)
            assert opened.kind is OpenedAs.UNREADABLE


def test_the_source_of_a_replay_emits_what_was_chosen_and_leaves_loading_to_its_reader(tmp_path):
    write(tmp_path, pickle.dumps(Order(1, "x")), b"not loadable")
    plain = tmp_path / "chunk-000002.pickle"
    plain.write_bytes(pickle.dumps([4, 5, 6]))
    chosen = [("chunk-000001.pickle", True, [1, 0]), ("chunk-000002.pickle", False, [2])]
    bad, good, number = letters(str(tmp_path), chosen)
    assert pickle.loads(pickle.dumps(good, 5)) == Order(1, "x")
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(pickle.dumps(bad, 5))
    assert number == 6


def write_row(tmp_path, items, *more):
    """A chunk of blocks, and the places of its items and of one that is not there."""
    path = tmp_path / "chunk-000003.pickle"
    path.write_bytes(pickle.dumps([*dump_row(items), *more], 5))
    return [ItemPlace(path=path, index=at, packed=True) for at in range(len(items) + 1)]


def test_items_in_blocks_are_opened_like_others(tmp_path):
    items = [{"at": at, "pair": (at, [None])} for at in range(100)]
    *places, beyond = write_row(tmp_path, items)
    with Opener() as opener:
        for at in (0, 63, 64, 99):
            text = opener.open(places[at], OpenRequest.TEXT)
            assert (text.kind, text.text) == (OpenedAs.REPR, repr(items[at]))
            found = opener.open(places[at], OpenRequest.JSON)
            assert (found.kind, json.loads(found.text)["at"]) == (OpenedAs.JSON, at)
            assert pickle.loads(opener.open(places[at], OpenRequest.PICKLE).pickled) == items[at]
        assert opener.open(beyond, OpenRequest.JSON).kind is OpenedAs.UNREADABLE


def test_a_block_runs_nothing_and_spoils_no_other(tmp_path):
    evil = pickle.dumps([Calls(os.mkdir, str(tmp_path / "made"))])
    places = write_row(tmp_path, [{"a": 1}], (1, evil), (1, b"no pickle"), ("1", evil))
    path = places[0].path
    with Opener() as opener:
        kinds = [
            opener.open(ItemPlace(path=path, index=at, packed=True), OpenRequest.JSON).kind
            for at in range(4)
        ]
    assert kinds == [OpenedAs.JSON, OpenedAs.REPR, OpenedAs.UNREADABLE, OpenedAs.UNREADABLE]
    assert not (tmp_path / "made").exists()


def test_the_source_of_a_replay_emits_items_of_blocks(tmp_path):
    items = [{"at": at} for at in range(100)]
    write_row(tmp_path, items)
    found = list(letters(str(tmp_path), [("chunk-000003.pickle", True, [99, 0, 64])]))
    assert found == [{"at": 99}, {"at": 0}, {"at": 64}]
