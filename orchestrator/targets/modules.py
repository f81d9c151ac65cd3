"""Modules as their text tells them: where they are found, and the names they bind.

No module is imported, no package executed.
"""

from __future__ import annotations

import ast
import enum
import importlib.machinery
import pkgutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec

from orchestrator.encoding import unfit
from orchestrator.errors import Rule
from orchestrator.spec import rules

__all__ = [
    "BindingOrigin",
    "Bindings",
    "Definition",
    "Kind",
    "Module",
    "TargetFlaw",
    "bindings_in",
    "find",
    "read",
    "standard",
]

_REACHES_NAMESPACE = frozenset({"globals", "exec", "eval", "vars", "locals", "setattr"})
_REBINDS = frozenset({"globals", "locals"})
_TELLING = frozenset({ast.Name, ast.Subscript, ast.Attribute, ast.Call, ast.Global})
_NOT_CALLABLE = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.JoinedStr)


class Kind(enum.Enum):
    """What a name is bound to, as far as the text says."""

    FUNCTION = "function"
    COROUTINE = "coroutine function"
    CLASS = "class"
    DATA = "data"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class BindingOrigin:
    """Where an imported name comes from: a module, or the `name` in it; `level` counts the dots."""

    module: str
    name: str = ""
    level: int = 0

    @property
    def dotted(self) -> str:
        """The name in full, `functools.wraps`; a relative one begins with its dots."""
        tail = f".{self.name}" if self.name and self.module else self.name
        return f"{'.' * self.level}{self.module}{tail}"


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr | BindingOrigin
"""What a name is bound by: a statement that defines it, the value assigned to it, an import."""


@dataclass(kw_only=True)
class Bindings:
    """Names and kinds of a module's or class's body. `is_open`: it may have any other name too.

    `definitions` has the names of which it is certain what they stand for, unless `is_rebound`:
    they are bound once. `patched` has the attributes that are set from outside: (name, attribute),
    the attribute `*` for any.
    """

    names: dict[str, Kind] = field(default_factory=dict)
    classes: dict[str, Bindings] = field(default_factory=dict)
    is_open: bool = False
    definitions: dict[str, Definition | None] = field(default_factory=dict)
    patched: set[tuple[str, str]] = field(default_factory=set)
    is_rebound: bool = False

    def bind(self, name: str, kind: Kind, definition: Definition | None = None) -> None:
        """Bind a name; one that is bound already stands for nothing certain any more."""
        self.definitions[name] = None if name in self.names else definition
        self.names[name] = kind

    def is_patched(self, name: str, attribute: str) -> bool:
        """True if something else may have been put in the place of an attribute of `name`."""
        return (name, attribute) in self.patched or (name, "*") in self.patched


def bindings_in(source: str | bytes, filename: str) -> Bindings:
    """Return what the module with this `source` binds.

    Raises:
        SyntaxError: it is not Python for this interpreter.

    """
    tree = ast.parse(source, filename)
    found = _body(tree.body)
    for node in ast.walk(tree):
        if type(node) in _TELLING:
            _notice(node, found)
    found.is_open = found.is_open or "__getattr__" in found.names
    return found


def _notice(node: ast.AST, found: Bindings) -> None:
    """Take in what a node of any depth says of the module's own names."""
    match node:
        case ast.Name(id=name) if name in _REACHES_NAMESPACE:
            found.is_open = True
            found.is_rebound = found.is_rebound or name in _REBINDS
        case ast.Subscript(value=ast.Attribute(attr="modules"), ctx=ast.Store()):
            found.is_open = True  # another module may take this one's own place
        case ast.Attribute(attr="modules", value=ast.Name(id="sys")):
            found.is_rebound = True
        case ast.Attribute(value=ast.Name(id=name), attr=attribute, ctx=ast.Store()):
            found.patched.add((name, attribute))
        case ast.Call(func=ast.Name(id="exec"), args=[_], keywords=[]):
            found.is_rebound = True  # in the module's own namespace
        case ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id=name), attribute, *_]):
            constant = attribute.value if isinstance(attribute, ast.Constant) else "*"
            found.patched.add((name, str(constant)))
        case ast.Global(names=names):
            for name in names:
                found.names[name], found.definitions[name] = Kind.UNKNOWN, None


def _body(statements: Iterable[ast.stmt]) -> Bindings:
    found = Bindings()
    for statement in _flattened(statements):
        _bind(statement, found)
    return found


def _flattened(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those in their blocks (if, try, for, …), in order."""
    todo = [*reversed(list(statements))]
    while todo:
        statement = todo.pop()
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        blocks: list[ast.stmt] = []
        for name in ("body", "orelse", "finalbody"):
            blocks += getattr(statement, name, [])
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            blocks += part.body
        todo += reversed(blocks)


def _bind(statement: ast.stmt, found: Bindings) -> None:
    match statement:
        case ast.FunctionDef(name=name, decorator_list=decorators):
            found.bind(name, Kind.UNKNOWN if decorators else Kind.FUNCTION, statement)
        case ast.AsyncFunctionDef(name=name, decorator_list=decorators):
            found.bind(name, Kind.UNKNOWN if decorators else Kind.COROUTINE, statement)
        case ast.ClassDef(name=name):
            found.bind(name, Kind.CLASS, statement)
            found.classes[name] = _body(statement.body)
            inherits = statement.bases or statement.keywords or statement.decorator_list
            found.classes[name].is_open = bool(inherits)
        case ast.Import(names=aliases):
            for alias in aliases:
                first = alias.name.partition(".")[0]
                name, origin = alias.asname or first, BindingOrigin(module=alias.name)
                if not alias.asname:
                    origin = BindingOrigin(module=first)
                if found.definitions.get(name) != origin:  # `import a.b, a.c` binds a, and a
                    found.bind(name, Kind.UNKNOWN, origin)
        case ast.ImportFrom():
            _bind_imported(statement, found)
        case _:
            _bind_targets(statement, found)


def _bind_imported(statement: ast.ImportFrom, found: Bindings) -> None:
    for alias in statement.names:
        if alias.name == "*":
            found.is_open = True
            found.definitions = dict.fromkeys(found.definitions)
            continue
        origin = BindingOrigin(
            module=statement.module or "", name=alias.name, level=statement.level
        )
        found.bind(alias.asname or alias.name, Kind.UNKNOWN, origin)


def _bind_targets(statement: ast.stmt, found: Bindings) -> None:
    """Bind the names a statement stores to, nested blocks and inner scopes left out."""
    value = getattr(statement, "value", None)
    plain = isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(value, _NOT_CALLABLE)
    for part in _own_expressions(statement):
        for node in ast.walk(part):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                if isinstance(node.ctx, ast.Del) and node.id not in found.names:
                    continue
                known = found.names.get(node.id)
                kind = Kind.DATA if plain and known in (None, Kind.DATA) else Kind.UNKNOWN
                alone = isinstance(statement, ast.Assign | ast.AnnAssign) and part is node
                found.bind(node.id, kind, value if alone else None)
            elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
                found.bind(node.name, Kind.UNKNOWN)


def _own_expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.match_case):
            yield child.pattern
        elif not isinstance(child, ast.stmt | ast.ExceptHandler):
            yield child


@dataclass(frozen=True, kw_only=True)
class TargetFlaw:
    """Why a target cannot be used: the rule it breaks, how, and what to do about it."""

    rule: Rule
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module as its text tells it. `file` is empty where it has none; `package` holds it."""

    name: str
    file: str = ""
    package: str = ""
    bindings: Bindings = field(default_factory=Bindings)


def find(name: str, entries: Iterable[str]) -> ModuleSpec | None:
    """Find a module, by its name in full, on the path `entries` of its package.

    A top-level one may be known elsewhere: frozen, or by the finder of an editable install.
    `importlib.util.find_spec` would execute its packages.
    """
    portions: list[str] = []
    for entry in entries:
        finder = pkgutil.get_importer(entry or ".") if not unfit(entry) else None
        spec = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return spec
        portions += spec.submodule_search_locations or ()
    if portions:
        namespace = ModuleSpec(name, None, is_package=True)
        namespace.submodule_search_locations = portions
        return namespace
    return None if "." in name else _find_elsewhere(name)


def _find_elsewhere(name: str) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not importlib.machinery.PathFinder:
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
    return None


def standard(module: str) -> Bindings | None:
    """Return the names of a standard module that exists only once imported, such as os.path."""
    if module.partition(".")[0] not in sys.stdlib_module_names or module not in sys.modules:
        return None
    return Bindings(names=dict.fromkeys(vars(sys.modules[module]), Kind.UNKNOWN))


def read(spec: ModuleSpec) -> Bindings | TargetFlaw:
    """Read the names a module binds; one without source may bind any."""
    if spec.loader is None:
        return Bindings()
    get_source = getattr(spec.loader, "get_source", None)
    try:
        source = get_source(spec.name) if get_source is not None else None
        if source is None:
            return Bindings(is_open=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bindings_in(source, spec.origin or spec.name)
    except SyntaxError as error:
        where = f"{spec.origin}:{error.lineno}:{error.offset}"
        return TargetFlaw(
            rule=rules.NOT_PYTHON,
            message=f"{spec.name} is not Python for {sys.executable}: {where}: {error.msg}",
            hint="mend the module",
        )
    except (OSError, ImportError, UnicodeError, ValueError, RecursionError, MemoryError) as error:
        message = f"{spec.name} cannot be read from {spec.origin}: {error}"
        return TargetFlaw(rule=rules.UNREADABLE_MODULE, message=message, hint="mend the module")
