"""Conditions of `--where`: comparisons of what a record or an item holds, without eval.

`elapsed > 2 and job == "parse"`: names, their parts (`a.b`, `a["b"]`, `a[0]`), numbers, texts,
None, True, False, lists of them; comparisons, `in`, `and`, `or`, `not`, and + - * / of numbers.
Nothing else is taken: no call, no power, no format, no name with an underscore at both ends. What
is missing, or of a kind that cannot be compared, is neither true nor false: it matches nothing, and
neither does its opposite. The standard library only: the child that opens items uses it, too.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = [
    "MISSING",
    "ConditionError",
    "Paths",
    "compile_condition",
    "part_of_plain",
    "read_path",
]

_LONGEST: Final = 2000
_DEEPEST: Final = 40
_MOST_NODES: Final = 500
_LARGEST_BITS: Final = 4096


class ConditionError(ValueError):
    """The text is no condition, or asks for more than one may."""


class _Missing:
    """What is not there, or cannot be compared."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[_Missing] = _Missing()

Part = str | int
Paths = Callable[[Any, Part], Any]
"""Returns a part of a value by its name or index; MISSING if it has none."""
Look = Callable[[Any], Any]


def compile_condition(text: str, part_of: Paths) -> Callable[[Any], bool]:
    """Return what tells whether a record fulfils the condition; `part_of` finds its parts.

    Raises ConditionError.
    """
    look = _Reader(part_of).of(_parsed(text), 0)

    def matches(record: Any) -> bool:
        try:
            return _truth(look(record)) is True
        except RecursionError:
            return False

    return matches


def read_path(text: str) -> tuple[Part, ...]:
    """Return the parts of a path as `a.b` or `a[0].b`. Raises ConditionError."""
    path = _path(_parsed(text))
    if path is None:
        raise ConditionError(f"{_short(text)} is no name: a field is written as a, a.b or a[0]")
    return path


def part_of_plain(value: Any, part: Part) -> Any:
    """Return a part of plain data, as of records of a log."""
    if isinstance(value, Mapping):
        return value.get(part, MISSING)
    if type(part) is int and type(value) in (list, tuple) and -len(value) <= part < len(value):
        return value[part]
    return MISSING


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ConditionError(f"it is longer than {_LONGEST:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an escape that is none
            tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        at = f", at character {error.offset}" if error.offset else ""
        raise ConditionError(f"{_short(text)} cannot be read: {error.msg}{at}") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ConditionError(f"{_short(text)} cannot be read: {error}") from None
    return tree.body


class _Reader:
    """Makes functions of expressions, each of which takes the record."""

    def __init__(self, part_of: Paths) -> None:
        self._part_of = part_of
        self._nodes = 0

    def of(self, node: ast.expr, depth: int) -> Look:
        self._nodes += 1
        if depth > _DEEPEST or self._nodes > _MOST_NODES:
            raise ConditionError("it is nested too deeply, or too long")
        if (path := _path(node)) is not None:
            return self._at(path)
        match node:
            case ast.Constant(value=value):
                return _constant(value)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                parts = [self.of(each, depth + 1) for each in elements]
                return lambda record: [part(record) for part in parts]
            case ast.BoolOp(op=op, values=values):
                parts = [self.of(each, depth + 1) for each in values]
                decisive = isinstance(op, ast.Or)
                return lambda record: _joined(record, parts, decisive=decisive)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.of(operand, depth + 1)
                return lambda record: _opposite(_truth(inner(record)))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                inner = self.of(operand, depth + 1)
                sign = -1 if isinstance(op, ast.USub) else 1
                return lambda record: _calculated(operator.mul, sign, inner(record))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _CALCULATIONS:
                act = _CALCULATIONS[type(op)]
                one, other = self.of(left, depth + 1), self.of(right, depth + 1)
                return lambda record: _calculated(act, one(record), other(record))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._comparison(left, ops, others, depth)
        raise ConditionError(f"{_named(node)} cannot be used: {_ALLOWED}")

    def _at(self, path: tuple[Part, ...]) -> Look:
        part_of = self._part_of

        def look(record: Any) -> Any:
            value = record
            for part in path:
                value = part_of(value, part)
                if value is MISSING:
                    break
            return value

        return look

    def _comparison(
        self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr], depth: int
    ) -> Look:
        looks = [self.of(each, depth + 1) for each in (left, *others)]
        acts = [_COMPARISONS[type(op)] for op in ops]

        def compare(record: Any) -> Any:
            values = [look(record) for look in looks]
            found: bool | _Missing = True
            for at, act in enumerate(acts):
                result = _compared(act, values[at], values[at + 1])
                if result is False:
                    return False
                if result is MISSING:
                    found = MISSING
            return found

        return compare


def _path(node: ast.expr) -> tuple[Part, ...] | None:
    """Return the parts of a name; None if the expression is something else."""
    parts: list[Part] = []
    while True:
        match node:
            case ast.Name(id=name):
                parts.append(_checked(name))
                return tuple(reversed(parts))
            case ast.Attribute(value=inner, attr=name):
                parts.append(_checked(name))
                node = inner
            case ast.Subscript(value=inner, slice=ast.Constant(value=str() | int() as key)):
                parts.append(key)
                node = inner
            case ast.Subscript(
                value=inner,
                slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as key)),
            ):
                parts.append(-key)
                node = inner
            case _:
                return None


def _checked(name: str) -> str:
    if name.startswith("__"):
        raise ConditionError(f"{name} cannot be used: no name begins with two underscores")
    return name


def _constant(value: object) -> Look:
    if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
        raise ConditionError("a number is too long")
    if not isinstance(value, str | int | float | None):
        raise ConditionError(f"{_short(str(value))} cannot be used: {_ALLOWED}")
    return lambda _: value


_ALLOWED = (
    "a condition has names, numbers, texts, comparisons, in, and, or, not, and + - * / of numbers"
)
_NAMES = {
    ast.Call: "a call",
    ast.Pow: "**",
    ast.Mod: "%",
    ast.FloorDiv: "//",
    ast.LShift: "<<",
    ast.JoinedStr: "an f-string",
    ast.Lambda: "lambda",
    ast.IfExp: "if",
    ast.NamedExpr: ":=",
    ast.Subscript: "an index that is no plain number or text",
    ast.Attribute: "a part of what is no name",
}


def _named(node: ast.expr) -> str:
    found: ast.AST = node.op if isinstance(node, ast.BinOp | ast.UnaryOp) else node
    kind = type(found)
    return _NAMES.get(kind, f"an expression of the kind {kind.__name__}")


_CALCULATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.eq,
    ast.IsNot: operator.ne,
    ast.In: lambda value, among: value in among,
    ast.NotIn: lambda value, among: value not in among,
}


def _calculated(act: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    """Calculate with numbers that are not too long; all else is MISSING."""
    for value in (one, other):
        if type(value) not in (int, float):
            return MISSING
        if type(value) is int and value.bit_length() > _LARGEST_BITS:
            return MISSING
    try:
        return act(one, other)
    except (ArithmeticError, ValueError):
        return MISSING


def _compared(act: Callable[[Any, Any], Any], one: Any, other: Any) -> bool | _Missing:
    if isinstance(one, _Missing) or isinstance(other, _Missing):
        return MISSING
    try:
        return bool(act(one, other))
    except Exception:  # noqa: BLE001 -- what cannot be compared raises what it likes
        return MISSING


def _truth(value: Any) -> bool | _Missing:
    if isinstance(value, _Missing):
        return value
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 -- an item may have kinds of values that are neither
        return MISSING


def _opposite(value: bool | _Missing) -> bool | _Missing:
    return value if isinstance(value, _Missing) else not value


def _joined(record: Any, parts: list[Look], *, decisive: bool) -> bool | _Missing:
    """`or` of them if `decisive` is true, else `and`: one that decides is enough."""
    found: bool | _Missing = not decisive
    for part in parts:
        value = _truth(part(record))
        if value is decisive:
            return decisive
        if value is MISSING:
            found = MISSING
    return found
