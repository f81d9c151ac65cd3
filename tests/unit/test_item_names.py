"""Names of items: short, one line, safe, and none of the item's own code is called for them."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import enum
import os
import pathlib
import pickle
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.item_names import LONGEST, name_of
from orchestrator.item_templates import steps_of
from orchestrator.opening.item_namer_child import answer
from orchestrator.worker.blocks import dump_row


@dataclasses.dataclass
class Page:
    path: str
    n: int = 3
    token: str | None = "abc"


class Colour(enum.Enum):
    RED = "red"


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self) -> None:
        self.a, self.b = 1, "x"


class Pair(collections.namedtuple("Pair", "left right")):
    __slots__ = ()


class Hostile:
    """Whoever asks it for anything is killed."""

    def __init__(self) -> None:
        self.path = "a/b"

    def _end(self, *_: object) -> str:
        os._exit(77)

    __repr__ = __str__ = __format__ = __eq__ = _end
    __len__ = __iter__ = __hash__ = _end

    @property
    def name(self) -> str:
        return self._end()


class Revived(Hostile):
    def __setstate__(self, state: object) -> None:
        os._exit(77)


PICKLED = [
    (Page("a/b"), "Page(path='a/b', n=3, token=***)"),
    (Page("a/b", token=None), "Page(path='a/b', n=3, token=None)"),
    (Colour.RED, "Colour('red')"),
    (Slotted(), "Slotted(a=1, b='x')"),
    (Pair(1, "x"), "Pair(1, 'x')"),
    (Hostile(), "Hostile(path='a/b')"),
    (Revived(), "Revived(path='a/b')"),
    (Page, "<test_item_names.Page>"),
    ([Page("x"), 1], "[Page(path='x', n=3, token=***), 1]"),
    (datetime.date(2026, 12, 1), "datetime.date(2026, 12, 1)"),
    (pathlib.PurePosixPath("a/b"), "PurePosixPath('a/b')"),
    (collections.deque([1, 2]), "deque([1, 2])"),
]
PLAIN = [
    ("a/b", "'a/b'"),
    (b"ab", "b'ab'"),
    (None, "None"),
    (17, "17"),
    (10**5000, "<an int of 16,610 bits>"),
    ((1,), "(1,)"),
    (set(), "set()"),
    ({"path": "x", "n": [1, (2,)]}, "{'path': 'x', 'n': [1, (2,)]}"),
    ("two\nlines\x1b[31m\u202e", "'two\\nlines\\x1b[31m\\u202e'"),
    ("\ud800", "'\\ud800'"),
]
SECRETS = [
    ({"password": "hunter2", "n": 1}, "{'password': ***, 'n': 1}"),
    ({"password": None}, "{'password': None}"),
    ({"h": {"Authorization": "Bearer x"}}, "{'h': {'Authorization': ***}}"),
    ({b"api_key": b"hunter2"}, "{b'api_key': ***}"),
    ({"secrets": ["hunter2", {"a": "hunter2"}]}, "{'secrets': ***}"),
    ("postgres://me:hunter2@db/x", "'postgres://me:***@db/x'"),
    ("https://h/?token=hunter2&n=1", "'https://h/?token=***&n=1'"),
    ('{"apiKey": "hunter2", "n": 1}', '\'{"apiKey": ***, "n": 1}\''),
    ("Authorization: Bearer hunter2", "'Authorization: ***'"),
    (b"password=hunter2", "b'password=***'"),
]


@pytest.mark.parametrize(("item", "name"), [*PLAIN, *SECRETS], ids=lambda each: type(each).__name__)
def test_a_plain_item_is_named_alike_whether_it_is_pickled_or_not(item, name):
    assert name_of(item) == name
    assert name_of(pickle.dumps(item, 5), packed=True) == name
    assert "hunter2" not in name


@pytest.mark.parametrize(("item", "name"), PICKLED, ids=lambda each: type(each).__name__)
def test_an_object_is_its_class_and_what_was_pickled_of_it(item, name):
    found = name_of(pickle.dumps(item, 5), packed=True)
    assert found == name.replace("test_item_names", __name__)


def test_a_living_object_is_asked_nothing():
    assert name_of(Hostile()) == "<Hostile>"
    assert name_of([Hostile()]) == "[<Hostile>]"


@pytest.mark.parametrize(
    "item",
    [
        "x" * 10**7,
        b"x" * 10**7,
        list(range(10**6)),
        {n: n for n in range(10**5)},
        ["\x1b"] * 100,
        "postgres://me:" + "hunter2" * 1000 + "@db",
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_name_is_short_whatever_the_item_is(item):
    for name in (name_of(item), name_of(pickle.dumps(item, 5), packed=True)):
        assert len(name) <= LONGEST
        assert name.isprintable()
        assert "hunter2" not in name


def test_what_would_take_long_to_load_is_only_measured():
    many = pickle.dumps(list(range(10**6)), 5)
    before = time.process_time()
    assert name_of(many, packed=True) == f"({len(many):,} bytes)"
    assert time.process_time() - before < 5
    large = {"path": "a/b", "pixels": bytes(2 << 20)}
    assert name_of(pickle.dumps(large, 5), packed=True).startswith("{'path': 'a/b', 'pixels': b")
    assert name_of(bytes(17 << 20), packed=True) == f"({17 << 20:,} bytes)"


def test_what_has_no_end_or_no_bottom_is_cut():
    cycle: list[object] = []
    cycle.append(cycle)
    bomb: list[object] = []
    for _ in range(60):
        bomb = [bomb] * 60
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    for item in (cycle, bomb, deep):
        assert "…" in name_of(item)
        assert "…" in name_of(pickle.dumps(item, 5), packed=True)


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps(1)[:-1], b"\x80\x05]\x94(h\x09."])
def test_what_cannot_be_loaded_is_said(data):
    assert name_of(data, packed=True).startswith("(no name: ")


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data):
    assert isinstance(name_of(data, "{item[a].b}", packed=True), str)


@given(st.recursive(st.text() | st.integers() | st.binary() | st.floats(), st.lists))
def test_a_name_is_one_short_printable_line(item):
    name = name_of(item)
    assert len(name) <= LONGEST
    assert name.isprintable()


@pytest.mark.parametrize(
    ("template", "item", "name"),
    [
        ("{item[path]}", {"path": "a/b"}, "a/b"),
        ("{item[path]} of {item[n]}", {"path": "a", "n": 3}, "a of 3"),
        ("{item[a][0]}", {"a": ["x", "y"]}, "x"),
        ("{item[0]}", {"0": "text"}, "text"),
        ("{item[1]}", ("a", "b"), "b"),
        ("{{{item}}}", 7, "{7}"),
        ("{item.path}", Page("a/b"), "a/b"),
        ("{item.b}", Slotted(), "x"),
        ("{item[1]}", Pair(1, "x"), "x"),
        ("{item.path}", Hostile(), "a/b"),
        ("{item[token]}", {"token": "hunter2"}, "***"),
        ("{item.token}", Page("a"), "***"),
        ("{item[auth][token][0]}", {"auth": {"token": ["hunter2"]}}, "***"),
        ("{item[url]}", {"url": "ftp://me:hunter2@h"}, "ftp://me:***@h"),
        ("{item[path]}", {"path": "\x1b[2J"}, "\\x1b[2J"),
        # An item that has no such field has its text for a name.
        ("{item[path]}", {"name": 1}, "{'name': 1}"),
        ("{item[path]}", None, "None"),
        ("{item.name}", Hostile(), "Hostile(path='a/b')"),
        ("{item.real}", 1, "1"),
        ("none", {"path": "a/b"}, ""),
    ],
)
def test_a_template_is_filled_with_fields(template, item, name):
    assert name_of(pickle.dumps(item, 5), template, packed=True) == name


@pytest.mark.parametrize(
    "item",
    [
        collections.defaultdict(list, a=1),
        collections.defaultdict(lambda: 1 / 0, a=1),
        collections.Counter(a=1),
    ],
)
def test_a_field_that_would_be_made_is_one_that_is_not_there(item):
    assert name_of(item, "{item[path]}") == name_of(item)
    assert item == {"a": 1}


@pytest.mark.parametrize(
    "template",
    [
        "text", "", "{{item}}", "{}", "{0}", "{x}", "{items}", "{item", "item}", "{item.}",
        "{item[]}",
        "{item._x}", "{item.__class__}", "{item.a.__init__}", "{item.a()}", "{item!r}", "{item:>9}",
        "{item[a]!s}", "{item[a]:{item}}", "{item[a]b}", "{item a}",
    ],
)  # fmt: skip
def test_anything_but_public_fields_is_refused(template):
    with pytest.raises(ValueError, match=r"item|[{}]"):
        steps_of(template)


def test_the_child_names_an_item_of_each_kind_of_chunk():
    items = [{"path": f"f{n}"} for n in range(200)]
    chunks = [
        (pickle.dumps(["f0", "f1"], 5), False, 1, "'f1'"),
        (pickle.dumps([pickle.dumps(each, 5) for each in items], 5), True, 7, "{'path': 'f7'}"),
        (pickle.dumps(dump_row(items), 5), True, 150, "{'path': 'f150'}"),
        (b"garbage", True, 0, "(no name: UnpicklingError)"),
        (pickle.dumps({}, 5), True, 0, "(no name: UnpicklingError)"),
        (pickle.dumps([], 5), False, 3, "(no name: IndexError)"),
    ]
    for chunk, packed, index, name in chunks:
        request = {"chunk": base64.b64encode(chunk).decode(), "index": index, "packed": packed}
        assert answer({**request, "template": ""}) == name


def test_the_child_needs_the_standard_library_only():
    script = (
        "import sys; sys.path.append(sys.argv[1]); import orchestrator.opening.item_namer_child;"
        " print([m for m in ('msgspec', 'yaml', 'click') if m in sys.modules])"
    )
    root = str(pathlib.Path(__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
