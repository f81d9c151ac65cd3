"""What is called for a target, told from text: functions, partials, classes, what is inherited."""

import pytest

from orchestrator.targets.lookup import Targets


@pytest.fixture
def callee(tmp_path):
    """Find `mine:NAME` in a module of this text, beside `other.py`."""

    def find(text, name="f", other="", module="mine"):
        (tmp_path / "mine.py").write_text(text)
        (tmp_path / "other.py").write_text(other)
        return Targets([str(tmp_path)]).look_up(f"{module}:{name}").callee

    return find


def written(part):
    """Return the names of a signature's parameters as they are written, `x=` with a default."""
    if part is None:
        return None
    stars = {2: "*", 4: "**"}
    return " ".join(
        stars.get(int(each.kind), "")
        + each.name
        + ("=" if each.default is not each.empty else "")
        + ("!" if int(each.kind) == 3 else "/" if int(each.kind) == 0 else "")
        for each in part.signature.parameters.values()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(): ...", ""),
        ("def f(a, b=1, *c, d, e=2, **g): ...", "a b= *c d! e=! **g"),
        ("def f(a, /, b): ...", "a/ b"),
        ("def g(a): ...\nf = g", "a"),
        ("import functools\n@functools.cache\ndef f(a): ...", "a"),
        ("import functools as ft\n@ft.lru_cache(maxsize=3)\ndef f(a): ...", "a"),
        ("from functools import wraps as w\n@w(print)\ndef f(*a, **k): ...", "*a **k"),
        ("from contextlib import contextmanager\n@contextmanager\ndef f(a): ...", "a"),
        ("import functools\ndef g(a, b, c=1): ...\nf = functools.partial(g, 1)", "b c="),
        ("import functools\ndef g(a, b, c=1): ...\nf = functools.partial(g, b=1)", "a b=! c=!"),
        ("if x:\n    def f(a): ...", "a"),
        ("def f(a): ...\nexec(text, {})", "a"),
        ("from other import f", "z"),
        ("import other\nf = other.f", "z"),
        ("from other import f as g\nf = g", "z"),
    ],
)
def test_the_signature_of_a_function_is_told_from_its_text(callee, text, expected):
    assert written(callee(text, other="def f(z): ...").call) == expected


@pytest.mark.parametrize(
    "text",
    [
        "@unknown\ndef f(a): ...",
        "import functools\n@functools.singledispatch\ndef f(a): ...",
        "def f(a): ...\ndef f(a, b): ...",
        "try:\n    from fast import f\nexcept ImportError:\n    def f(a): ...",
        "def f(a): ...\nf = decorate(f)",
        "def f(a): ...\nfrom other import *",
        "def f(a): ...\nglobals()['f'] = print",
        "def f(a): ...\ndef g():\n    global f\n    f = 3",
        "def f(a): ...\ndel f",
        "import sys\ndef f(a): ...\nsys.modules[__name__].f = print",
        "def f(a): ...\nexec(text)",
        "f = make()",
        "import functools\nf = functools.partial(*x)",
        "import functools\nf = functools.partial(unknown, 1)",
        "import functools\ndef g(a): ...\nf = functools.partial(g, 1, 2)",
        "import functools\ndef g(a): ...\nf = functools.partial(g, **x)",
        "from nowhere import f",
        "from mine import f",
        "f = f",
    ],
)
def test_nothing_is_said_of_what_is_not_certain(callee, text):
    assert callee(text) is None


CLASS = """
class Base:
    def __init__(self, path, mode=1): ...
    def __call__(self, item): ...
class f(Base): ...
"""


@pytest.mark.parametrize(
    ("text", "make", "call"),
    [
        (CLASS, "path mode=", "item"),
        (CLASS.replace("f(Base): ...", "f(Base):\n    def __init__(self): ..."), "", "item"),
        ("class f:\n    def __call__(self, a): ...", "", "a"),
        ("class f:\n    @staticmethod\n    def __call__(a): ...", "", "a"),
        ("class f:\n    def __init__(*a): ...\n    def __call__(self): ...", "*a", ""),
        ("import abc\nclass f(abc.ABC):\n    def __call__(self, a): ...", "", "a"),
        ("class f:\n    __call__ = made()", "", None),
        ("class f:\n    @odd\n    def __init__(self): ...\n    def __call__(self): ...", None, ""),
        ("from other import f", "u", "v"),
        ("import other\nclass f(other.f): ...", "u", "v"),
        ("class f:\n    def __enter__(self): return self\n    def __call__(self): ...", "", ""),
        ("class f:\n    def __enter__(self): return 3\n    def __call__(self): ...", "", None),
    ],
)
def test_a_class_is_made_by_its_init_and_called_by_its_call(callee, text, make, call):
    other = "class f:\n    def __init__(self, u): ...\n    def __call__(self, v): ..."
    found = callee(text, other=other)
    assert found.is_class
    assert not found.is_never_called
    assert (written(found.make), written(found.call)) == (make, call)


PROCESS = """
class f(Process):
    def __init__(self, q, mode=1):
        super().__init__()
    def run(self): ...
"""


@pytest.mark.parametrize(
    ("text", "make", "run"),
    [
        ("from multiprocessing import Process" + PROCESS, "q mode=", ""),
        ("from threading import Thread as Process" + PROCESS, "q mode=", ""),
        (
            "from multiprocessing import Process\nclass f(Process):\n    def run(self, a): ...",
            None,
            "a",
        ),
        ("import multiprocessing as mp\nclass B(mp.Process): ...\nclass f(B): ...", None, None),
        ("from multiprocessing.context import Process" + PROCESS, "q mode=", ""),
    ],
)
def test_a_process_is_made_with_its_handles_and_run(callee, text, make, run):
    found = callee(text)
    assert found.is_run
    assert not found.is_never_called
    assert (written(found.make), written(found.call)) == (make, run)


@pytest.mark.parametrize(
    "text",
    [
        "from multiprocessing import Process" + PROCESS + "    def __call__(self): ...",
        "from multiprocessing import Process" + PROCESS + "    def __enter__(self): ...",
        "import multiprocessing\nP = multiprocessing.get_context().Process\nclass f(P): ...",
    ],
)
def test_nothing_is_said_of_a_process_that_is_called_in_another_way(callee, text):
    assert callee(text) is None


def test_a_base_that_two_others_share_comes_after_them(callee):
    text = (
        "class Root:\n    def __call__(self, root): ...\nclass Left(Root): ...\n"
        "class Right(Root):\n    def __call__(self, right): ...\nclass f(Left, Right): ...\n"
    )
    assert written(callee(text).call) == "right"


def test_a_class_without_call_is_never_called(callee):
    assert callee("class f: ...").is_never_called


@pytest.mark.parametrize(
    "text",
    [
        "@unknown\nclass f: ...",
        "class f(Unknown): ...",
        "class f(Exception): ...",
        "from typing import Protocol\nclass f(Protocol): ...",
        "from typing import NamedTuple\nclass f(NamedTuple):\n    a: int",
        "import enum\nclass f(enum.Enum):\n    a = 1",
        "class f(metaclass=Meta): ...",
        "class f(**options): ...",
        "class f:\n    def __new__(cls, a): ...",
        "class A:\n    def __init_subclass__(cls): ...\nclass f(A): ...",
        "class f: ...\nf.__call__ = print",
        "class f: ...\nsetattr(f, name, print)",
        "class f(f): ...",
        "class A(f): ...\nclass f(A): ...",
        "class f(make()): ...",
    ],
)
def test_nothing_is_said_of_a_class_that_is_made_in_another_way(callee, text):
    assert callee(text) is None


DATA = "from dataclasses import KW_ONLY, InitVar, dataclass, field\nfrom typing import ClassVar\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@dataclass\nclass f:\n    a: int\n    b: int = 1", "a b="),
        ("@dataclass(kw_only=True)\nclass f:\n    a: int", "a!"),
        ("@dataclass\nclass f:\n    a: int\n    _: KW_ONLY\n    b: int", "a b!"),
        ("@dataclass\nclass f:\n    a: ClassVar[int]\n    b: 'ClassVar' = 1", ""),
        ("@dataclass\nclass f:\n    a: InitVar[int]", "a"),
        ("@dataclass\nclass f:\n    a: list = field(default_factory=list)", "a="),
        ("@dataclass\nclass f:\n    a: list = field(init=False)", ""),
        ("@dataclass\nclass f:\n    a: list = field(kw_only=True)", "a!"),
        ("@dataclass(init=False)\nclass f:\n    a: int", ""),
        ("@dataclass\nclass f:\n    a: int\n    def __init__(self, z): ...", "z"),
        ("@dataclass\nclass A:\n    a: int\n    b: int\n@dataclass\nclass f(A):\n    a: str\n"
         "    c: int", "a b c"),
        ("@dataclass\nclass A:\n    a: int\nclass f(A): ...", "a"),
        ("@dataclass(**x)\nclass f:\n    a: int", None),
        ("@dataclass\nclass f:\n    a: int = field(**x)", None),
        ("@dataclass\nclass f:\n    if x:\n        a: int", None),
        ("@dataclass\nclass f:\n    a: int = 1\n    b: int", None),
    ],
)  # fmt: skip
def test_a_dataclass_is_made_with_its_fields(callee, text, expected):
    assert written(callee(DATA + text).make) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("C.plain", "self a"), ("C.static", "a"), ("C.made", "a"), ("D.plain", "self a")],
)
def test_a_method_named_by_its_class_is_called_without_an_object(callee, name, expected):
    text = (
        "class C:\n    def plain(self, a): ...\n    @staticmethod\n    def static(a): ...\n"
        "    @classmethod\n    def made(cls, a): ...\nclass D(C): ...\n"
    )
    assert written(callee(text, name).call) == expected


def test_a_name_is_followed_through_packages(tmp_path):
    for path, text in {
        "pkg/__init__.py": "from .sub import f",
        "pkg/sub/__init__.py": "from ..impl import f",
        "pkg/impl.py": "def f(deep): ...",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    found = Targets([str(tmp_path)]).look_up("pkg:f").callee
    assert written(found.call) == "deep"
    assert found.call.place == f"{tmp_path / 'pkg/impl.py'}:1"
