"""What a function gives back, from its text."""

import ast

import pytest

from orchestrator.targets.bodies import results_of


def results(body):
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return results_of(ast.parse(f"def f(self):\n{lines}").body[0])


@pytest.mark.parametrize(
    "body",
    ["pass", "return", "return None", "x = 1", "if x:\n    return\nprint()",
     "def inner():\n    return 3", "inner = lambda: (yield)", "x = lambda: 3"],
)  # fmt: skip
def test_a_function_gives_nothing_if_each_way_out_is_none(body):
    assert results(body).is_nothing


@pytest.mark.parametrize(
    "body",
    ["return 1", "if x:\n    return y", "yield", "yield from x", "x = yield", "...", "'text'",
     "'text'\n...", "raise NotImplementedError", "while True:\n    pass", "sys.exit(3)", "exit()",
     "for x in y:\n    with z:\n        return x"],
)  # fmt: skip
def test_a_function_is_not_said_to_give_nothing_if_it_may_give_something_or_never_return(body):
    assert not results(body).is_nothing


@pytest.mark.parametrize(
    ("body", "types"),
    [
        ("return 'a'", {"str"}),
        ("return f'{x}'", {"str"}),
        ("return {x: 1}", {"dict"}),
        ("return {x: 1 for x in y}", {"dict"}),
        ("return not x", {"bool"}),
        ("return x < 1", {"bool"}),
        ("return 'a' if x else 1", {"str", "int"}),
        ("if x:\n    return b''\nreturn", {"bytes", "None"}),
        ("return (x for x in y)", {"generator"}),
        ("return x", set()),
        ("if x:\n    return 'a'\nreturn y", set()),
        ("return 'a' if x else y", set()),
        ("return str(x)", set()),
    ],
)
def test_types_are_told_only_where_every_return_shows_its_own(body, types):
    assert results(body).types == types


@pytest.mark.parametrize(
    ("body", "expected"),
    [("yield 1", True), ("x = [(yield)]", True), ("def g():\n    yield", False), ("pass", False)],
)
def test_a_generator_yields_in_its_own_body(body, expected):
    assert results(body).is_generator is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [("return self", True), ("if x:\n    return self\nreturn y", False), ("pass", False)],
)
def test_a_method_may_give_its_own_object(body, expected):
    assert results(body).is_self is expected
