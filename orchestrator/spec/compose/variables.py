"""References `${NAME}`, `${NAME:-default}`, `${NAME:?why}`, and the values that they name.

Those are variables of the environment, or of the files of `NAME=value` lines that stand in for it,
and values under `vars`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.errors import Problem, Rule, SpecError
from orchestrator.spec import rules
from orchestrator.spec.wording import Guesses, HintedError, listed, show
from orchestrator.spec.yaml import source
from orchestrator.spec.yaml.nodes import (
    LATE_NAMESPACES,
    MappingNode,
    Node,
    Path,
    Position,
    ScalarNode,
    StartVar,
)

__all__ = [
    "Missing",
    "Reference",
    "ReferenceFlaw",
    "Scope",
    "Variables",
    "environment_of",
    "pieces_of",
]

_MARK = re.compile(r"\$[${]")
_FORM = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*)(?::(?:(?P<shell>shell)|(?P<sign>[-?])(?P<rest>.*)))?",
    re.ASCII | re.DOTALL,
)
_SHELL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*(?::?[-+?=]|[#%/^,@]|:)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One `${…}`. `start` and `width` say where it stands in its text, in characters.

    Of `default` (`:-`), `message` (`:?`) and `shell` (`:shell`: source for the shell) at most one
    is there.
    """

    name: str
    start: int
    width: int
    default: str | None = None
    message: str | None = None
    shell: bool = False

    @property
    def written(self) -> str:
        """The text of it."""
        rest = ":shell" if self.shell else ""
        if self.default is not None:
            rest = f":-{self.default}"
        elif self.message is not None:
            rest = f":?{self.message}"
        return f"${{{self.name}{rest}}}"


class ReferenceFlaw(HintedError):  # noqa: N818 -- it becomes a flaw, as SyntaxFlaw does
    """A `${` that begins no reference.

    `hint` says how to write it; `start` and `width` are as in `Reference`.
    """

    def __init__(self, message: str, hint: str, *, start: int, width: int) -> None:
        super().__init__(message, hint)
        self.start = start
        self.width = width


def pieces_of(text: str) -> list[str | Reference]:
    """Return `text` as plain pieces and references, `$$` as a plain dollar.

    A dollar before anything else stands for itself.

    Raises:
        ReferenceFlaw: a `${` begins no reference.

    """
    pieces: list[str | Reference] = []
    at = 0
    while found := _MARK.search(text, at):
        pieces.append(text[at : found.start()])
        if found[0] == "$$":
            pieces.append("$")
            at = found.end()
        else:
            reference = _reference(text, found.start())
            pieces.append(reference)
            at = reference.start + reference.width
    pieces.append(text[at:])
    return [piece for piece in pieces if piece != ""]


def _reference(text: str, start: int) -> Reference:
    end = text.find("}", start)
    if end < 0:
        message, hint = "this ${ is never closed", "close it with }, or write $${ for a plain ${"
        raise ReferenceFlaw(message, hint, start=start, width=len(text) - start)
    inside, width = text[start + 2 : end], end + 1 - start
    if "${" in inside:
        message, hint = "a ${ within another", "put the inner one into vars: and name that"
        raise ReferenceFlaw(message, hint, start=start, width=width)
    form = _FORM.fullmatch(inside)
    if form is None:
        hint = "write ${NAME}, ${NAME:-default}, ${NAME:?message}, or $${ for a plain ${"
        what = "is no form that mporch knows" if _SHELL.match(inside) else "names no variable"
        raise ReferenceFlaw(f"${{{inside[:40]}}} {what}", hint, start=start, width=width)
    sign, rest = form["sign"], form["rest"]
    return Reference(
        name=form["name"],
        start=start,
        width=width,
        default=rest if sign == "-" else None,
        message=rest if sign == "?" else None,
        shell=form["shell"] is not None,
    )


_ENVIRONMENT = frozenset({"env", "environ", "environment"})
_NOWHERE = Position(0, 0)

Expand = Callable[[Node, Path], Node]
"""Expands a node of the tree that stands at a path."""


class Missing(HintedError):  # noqa: N818 -- a finding, told at the place that names the variable
    """A reference names nothing, or nothing that counts."""

    def __init__(self, message: str, hint: str, rule: Rule = rules.UNSET_VARIABLE) -> None:
        super().__init__(message, hint)
        self.rule = rule


@dataclass(frozen=True, eq=False, slots=True)
class Scope:
    """What `matrix.` names within a job that was made of a matrix.

    `values` is None where the matrix is wrong, so that nothing is known of them.
    """

    values: MappingNode | None


class Variables:
    """The environment, and what stands under `vars` in the tree `root`.

    `used` has the variables of the environment that were named, each with its value, None if it
    has none; `defaulted` has the defaults that stood for one that is unset or empty; `named`
    has the names under `vars` that were; `late` is true once something was named that is known only
    at a start.
    """

    def __init__(self, root: MappingNode, environ: Mapping[str, str]) -> None:
        entry = root.entries.get("vars")
        self._vars = entry.value if entry is not None else MappingNode({}, _NOWHERE, 1, 1)
        self.used: dict[str, str | None] = {}
        self.defaulted: dict[str, set[str]] = {}
        self.named: set[str] = set()
        self.late = False
        self._environ = environ
        self._guesses: dict[Path, Guesses] = {}

    def find(self, reference: Reference, expand: Expand, scope: Scope | None) -> Node | str:
        """Return the value that is named, expanded, or the text of the default.

        Raises:
            Missing: there is neither, or an empty value where one is asked for.

        """
        try:
            found = self._found(reference.name, expand, scope)
        except Missing as error:
            if error.rule is rules.BAD_REFERENCE:
                raise
            return self._instead(reference, error)
        empty = isinstance(found, ScalarNode) and found.known and found.value in (None, "")
        if empty and (reference.default is not None or reference.message is not None):
            missing = Missing(f"{reference.name} is empty", "give it a value")
            return self._instead(reference, missing)
        return found

    def _instead(self, reference: Reference, missing: Missing) -> str:
        """Return the default; without one, tell what is missing, in the words of the reference."""
        if reference.default is not None:
            if reference.name in self.used:
                self.defaulted.setdefault(reference.name, set()).add(reference.default)
            return reference.default
        if reference.message:
            raise Missing(f"{reference.message} ({missing})", missing.hint)
        raise missing

    def _found(self, name: str, expand: Expand, scope: Scope | None) -> Node:
        namespace, *names = name.split(".")
        if not names:
            return self._of_environment(namespace)
        if namespace == "vars":
            return self._of_vars(names, expand)
        if namespace == "matrix":
            return self._of_matrix(names, scope)
        if namespace in LATE_NAMESPACES:
            return self._at_start(name)
        raise _no_namespace(name, namespace)

    def _of_environment(self, name: str) -> ScalarNode:
        value = self.used[name] = self._environ.get(name)
        if value is None:
            raise Missing(f"the environment has no variable {name}", self._hint_for(name))
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise Missing(f"the value of {name} in the environment is not UTF-8", "set it anew")
        shown = f"${{{name}}}"
        return ScalarNode(value, _NOWHERE, text=value, shown=shown, from_environment=True)

    def _of_vars(self, names: Sequence[str], expand: Expand) -> Node:
        self.named.add(names[0])
        return self._inside(self._vars, ("vars",), names, expand)

    def _of_matrix(self, names: Sequence[str], scope: Scope | None) -> Node:
        if scope is None:
            message = "matrix. names what differs between the jobs of a matrix, and here is none"
            hint = "it may stand within a job that has a matrix"
            raise Missing(message, hint, rules.BAD_REFERENCE)
        if scope.values is None:
            return ScalarNode(None, _NOWHERE, known=False)
        return self._inside(scope.values, ("matrix",), names, None)

    def _at_start(self, name: str) -> ScalarNode:
        try:
            found = StartVar(name)
        except ValueError:
            known = [each.value for each in StartVar]
            hint = Guesses(known).hint(name) or f"there are {listed(known, last='and')}"
            raise Missing(f"nothing is named {name}", hint, rules.BAD_REFERENCE) from None
        self.late = True
        text = f"${{{name}}}"
        return ScalarNode(text, _NOWHERE, text=text, late=(found,))

    def _inside(self, node: Node, path: Path, names: Sequence[str], expand: Expand | None) -> Node:
        """Walk down to a value; a reference on the way is followed, if `expand` is there for it."""
        raw = expand is not None
        for name in names:
            if raw and expand is not None and isinstance(node, ScalarNode):
                node, raw = expand(node, path), False
            if isinstance(node, ScalarNode) and not node.known:
                return node
            if path == ("vars",) and not isinstance(node, MappingNode):  # that is told there
                return ScalarNode(None, _NOWHERE, known=False)
            if not isinstance(node, MappingNode):
                raise Missing(f"{_dotted(path)} is no mapping: it holds no {name}", "")
            if name not in node.entries:
                message = f"there is no {name} in {_dotted(path)}"
                raise Missing(message, self._inner(node, path, name))
            node, path = node.entries[name].value, (*path, name)
        return expand(node, path) if raw and expand is not None else node

    def _inner(self, node: MappingNode, path: Path, name: str) -> str:
        guesses = self._guesses.setdefault(path, Guesses(str(key) for key in node.entries))
        return guesses.hint(name) or f"add {name} to {_dotted(path)}"

    def _hint_for(self, name: str) -> str:
        if isinstance(self._vars, MappingNode) and name in self._vars.entries:
            return f"did you mean ${{vars.{name}}}?"
        guesses = self._guesses.setdefault((), Guesses(self._environ))
        guess = guesses.hint(name)
        between = " Else " if guess else ""
        return f"{guess}{between}set {name}, or give a default: ${{{name}:-…}}"


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _no_namespace(name: str, namespace: str) -> Missing:
    if namespace in _ENVIRONMENT:
        hint = f"a variable of the environment has none: write ${{{name.partition('.')[2]}}}"
    else:
        known = ("vars", "matrix", *sorted(LATE_NAMESPACES))
        hint = Guesses(known).hint(namespace) or "write vars. before what stands under vars:"
    return Missing(f"${{{name}}} names no namespace: {namespace}", hint, rules.BAD_REFERENCE)


def environment_of(files: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `files`, later ones first, beneath those of `environ`.

    A value may name variables, `${NAME}` and `${NAME:-default}`: of the environment, or of a line
    above or a file before; one that is not there is empty, as in python-dotenv.

    Raises:
        SpecError: a file cannot be read, or a line of it is no `NAME=value`.

    """
    found: dict[str, str] = {}
    for name in files:
        found |= _read(name, found, environ)
    return found | dict(environ)


def _read(name: str, before: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 -- most specs need no such file
    from dotenv.variables import parse_variables  # noqa: PLC0415

    missing = "name a file with lines NAME=value"
    text = source.read(name, suffixes=(".env",), missing=missing).text
    bindings = list(parse_stream(io.StringIO(text)))
    wrong = [each.original for each in bindings if each.error]
    if wrong:
        raise SpecError(
            Problem(
                rule=rules.BAD_ENV_FILE,
                file=name,
                line=each.line + len(each.string) - len(each.string.lstrip("\n")),
                column=1,
                width=0,
                message=f"{show(each.string.strip())} is no NAME=value",
                hint="write NAME=value; quotes around a value are taken off",
            )
            for each in wrong
        )
    found: dict[str, str] = {}
    for each in bindings:
        if each.key and each.value is not None:
            known = {**before, **found, **environ}
            pieces = parse_variables(each.value)
            found[each.key] = "".join(piece.resolve(known) for piece in pieces)
    return found
