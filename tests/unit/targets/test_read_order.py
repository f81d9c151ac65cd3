"""Which of its handles a function reads to the end before it touches another."""

import ast
import textwrap

import pytest

from orchestrator.targets.bodies import drained_first


def first(body):
    text = f"def f(a, b, c=None):\n{textwrap.indent(textwrap.dedent(body), '    ')}"
    (function,) = ast.parse(text).body
    return drained_first(function, {"a", "b"})


@pytest.mark.parametrize(
    "body",
    [
        "for x in a: seen.add(x)\nfor y in b: print(y)",
        "for i, x in enumerate(a): print(i, x)",
        "known = list(a)\nfor y in b: print(y in known)",
        "known = {x.key: x for x in a}",
        "known = [x for x in a if x]",
        "total = sum(x.size for x in a)",
        "return sorted(a), b",
        "print(len(list(a)))\nprint(b.get())",
        "with open('f') as file:\n    for x in a: file.write(x)",
        "try:\n    for x in a: print(x)\nfinally:\n    print('done')",
        "while True:\n    try:\n        x = a.get()\n    except EndOfStream:\n        break",
        "import x\ncount = 0\nfor y in iter(a): count += 1",
        "for x in a:\n    if x: continue\n    print(x)",
    ],
)
def test_a_handle_that_is_read_to_its_end_at_once_is_told(body):
    assert first(body) == ("a" if "sorted" not in body else None)


@pytest.mark.parametrize(
    "body",
    [
        "for x, y in zip(a, b): print(x, y)",
        "for x in a: print(x, b.get())",
        "while True: print(a.get(), b.get())",
        "for x in a:\n    if x: break",
        "for x in a:\n    if x: return",
        "while c: print(a.get())",
        "while True: print(a.get(timeout=1))",
        "while True: print(a.get_nowait())",
        "while True:\n    print(a.get())\n    if c: break",
        "Thread(target=read, args=(b,)).start()\nfor x in a: print(x)",
        "a = iter(a)\nfor x in a: print(x)",
        "header = a.get()\nfor x in a: print(x)",
        "read(a)\nread(b)",
        "def inner():\n    for x in a: print(x)\ninner()",
        "known = (x for x in a)",
        "first = next(iter(a))",
        "found = any(a)",
        "if c:\n    for x in a: print(x)",
        "for x in chain(a, b): print(x)",
        "known = {x: list(b) for x in a}",
        "pass",
    ],
)
def test_nothing_is_told_unless_it_is_certain(body):
    assert first(body) is None
