"""The form of mporch that is tested: the compiled copy that is installed, or the tree."""

import filecmp
import importlib
import re
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import BuiltinFunctionType, ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


def prefer_installed() -> str:
    """Import the installed copy instead of the tree, if it is compiled of just these sources.

    Returns why not, if there is a compiled one. The tree is left on the path, for `tests`.
    """
    for entry in list(sys.path):
        package = Path(entry or ".", "orchestrator").resolve()
        if package == ROOT / "orchestrator" or not list(package.glob("*__mypyc.*")):
            continue
        if not is_same(package):
            return f"not the compiled copy in {entry}: its sources are others"
        ours = [each for each in sys.path if Path(each or ".").resolve() == ROOT]
        sys.path[:] = [each for each in sys.path if each not in ours] + ours
        return ""
    return ""


def is_same(package: Path) -> bool:
    """True if all modules of the tree are in a package as they are here."""
    tree = ROOT / "orchestrator"
    names = [str(path.relative_to(tree)) for path in tree.rglob("*.py")]
    return filecmp.cmpfiles(tree, package, names, shallow=False)[0] == names


def is_native(thing: Any) -> bool:
    """True for a class that mypyc has compiled, and for a module."""
    if isinstance(thing, ModuleType):
        return str(getattr(thing, "__file__", "")).endswith(tuple(EXTENSION_SUFFIXES))
    return isinstance(thing, type) and "__mypyc_attrs__" in vars(thing)


def refuse_native(target: Any, name: str) -> None:
    """Fail where a patch would change nothing: compiled code calls what was there at the build."""
    if not is_native(target):
        return
    if isinstance(target, ModuleType):
        if not target.__name__.startswith("orchestrator."):
            return
        there = getattr(target, name, None)
        bound = isinstance(there, BuiltinFunctionType) or is_native(there)
        if not (bound or name in finals(target.__name__)):
            return  # data, and modules of others, are looked up when they are used
    pytest.fail(
        f"{target.__name__}.{name} is compiled, so a patch of it would change nothing:"
        " mark the test `pure_only`"
    )


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of an object, in whichever form its class is."""
    named = [*getattr(type(thing), "__mypyc_attrs__", ()), *getattr(type(thing), "__slots__", ())]
    found = {name: getattr(thing, name) for name in named if not name.startswith("__")}
    return found | getattr(thing, "__dict__", {})


def finals(module: str) -> set[str]:
    """The names that a module of the tree has as Final: their values are part of the code."""
    text = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
    return set(re.findall(r"^(\w+): Final\b", text, re.MULTILINE))


class Patch(pytest.MonkeyPatch):
    """Refuses to patch what is compiled."""

    def setattr(self, target: Any, name: Any, *args: Any, **keys: Any) -> None:
        if isinstance(target, str):
            module, _, attribute = target.rpartition(".")
            refuse_native(importlib.import_module(module), attribute)
        else:
            refuse_native(target, name)
        super().setattr(target, name, *args, **keys)
