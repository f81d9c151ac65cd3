"""The names a module binds, from its text."""

import pytest

from orchestrator.targets.modules import Kind, bindings_in


def names(source):
    return bindings_in(source, "m.py").names


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def f(): pass", Kind.FUNCTION),
        ("@d\ndef f(): pass", Kind.UNKNOWN),
        ("async def f(): pass", Kind.COROUTINE),
        ("class f: pass", Kind.CLASS),
        ("f = 3", Kind.DATA),
        ("f: int = 3", Kind.DATA),
        ("f = [1]", Kind.DATA),
        ("f = g()", Kind.UNKNOWN),
        ("f = None\ndef f(): pass", Kind.FUNCTION),
        ("f = None\nf = g", Kind.UNKNOWN),
        ("import f", Kind.UNKNOWN),
        ("import f.g", Kind.UNKNOWN),
        ("import g as f", Kind.UNKNOWN),
        ("from g import f", Kind.UNKNOWN),
        ("from g import x as f", Kind.UNKNOWN),
        ("try:\n  import x\nexcept E:\n  def f(): pass", Kind.FUNCTION),
        ("if x:\n  pass\nelse:\n  def f(): pass", Kind.FUNCTION),
        ("for f in x: pass", Kind.UNKNOWN),
        ("with x as f: pass", Kind.UNKNOWN),
        ("(g, [*f]) = x", Kind.UNKNOWN),
        ("print(f := g)", Kind.UNKNOWN),
        ("match x:\n  case [f, *_]: pass", Kind.UNKNOWN),
        ("match x:\n  case _:\n    def f(): pass", Kind.FUNCTION),
        ("def g():\n  global f\n  f = 3", Kind.UNKNOWN),
    ],
)
def test_a_name_bound_at_the_top_is_seen(source, kind):
    assert names(source)["f"] is kind


@pytest.mark.parametrize(
    "source",
    ["def g():\n  f = 3", "class C:\n  f = 3", "g.f = 3", "g[f] = 3", "print(f)", "lambda f: f"],
)
def test_a_name_bound_elsewhere_is_not(source):
    assert "f" not in names(source)


@pytest.mark.parametrize(
    "source",
    [
        "from x import *",
        "def __getattr__(n): pass",
        "globals()['f'] = 3",
        "exec('f = 3')",
        "import sys\nsys.modules[__name__] = other",
    ],
)
def test_a_module_may_bind_more_than_its_text_shows(source):
    assert bindings_in(source, "m.py").is_open


def test_a_class_of_its_own_shows_all_its_names():
    found = bindings_in("class A:\n  def f(self): pass\nclass B(A): pass", "m.py")
    assert found.classes["A"].names == {"f": Kind.FUNCTION}
    assert (found.classes["A"].is_open, found.classes["B"].is_open) == (False, True)
