"""Traps of compiled modules, each of which would change what mporch does without a word."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import forms
import msgspec
import pydantic
import pytest
from forms import ROOT

from orchestrator import compiled
from orchestrator.core.broker.queue import QueueState
from orchestrator.errors import caused_by
from orchestrator.files import PACKAGE
from orchestrator.worker.failure import is_ours, render

FREE_OF_EFFECTS = {"len", "min", "max"}
SAMPLES = ROOT / "tests" / "unit" / "struct_samples.py"


def tree(name: str) -> ast.Module:
    return ast.parse(ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text())


def classes() -> list[type]:
    """Each class of mporch that a module has which may be compiled, or imports one that may be."""
    found = {}
    for path in sorted((ROOT / "orchestrator").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        # Whoever imports the last two gets the masks of a forkserver, or becomes a program.
        if not {"templates", "forkserver_preload", "__main__"} & set(name.split(".")):
            for each in vars(importlib.import_module(name.removesuffix(".__init__"))).values():
                if inspect.isclass(each) and each.__module__.startswith("orchestrator."):
                    found[f"{each.__module__}.{each.__qualname__}"] = each
    return list(found.values())


def test_each_form_is_told_by_its_files(tmp_path, monkeypatch):
    if compiled.form() == "pure":
        assert not [
            name for name in compiled.FULL if forms.is_native(importlib.import_module(name))
        ]
    else:
        names = {"default": compiled.DEFAULT, "full": compiled.FULL}[compiled.form()]
        there = {name for name in compiled.FULL if forms.is_native(importlib.import_module(name))}
        assert there == set(names)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((), ("pure", "pure Python")),
        (compiled.DEFAULT, ("default", "compiled (default)")),
        (compiled.FULL, ("full", "compiled (full)")),
        (compiled.DEFAULT[1:], ("partly", "partly compiled")),
    ],
)
def test_a_form_is_all_of_its_modules(names, told, tmp_path, monkeypatch):
    for name in names:
        path = tmp_path.joinpath(*name.split(".")[1:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name + ".cpython-311-x86_64-linux-gnu.so").touch()
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path)
    monkeypatch.setattr(compiled, "EXTENSION_SUFFIXES", [".cpython-311-x86_64-linux-gnu.so"])
    assert (compiled.form(), compiled.form_in_words(compiled.form())) == told
    assert compiled.why_pure() == ""
    (tmp_path / compiled.NOT_COMPILED).write_text("no compiler\n")
    assert compiled.why_pure() == "no compiler"


def test_the_lists_name_modules_and_no_name_twice():
    assert len(set(compiled.FULL)) == len(compiled.FULL)
    assert set(compiled.DEFAULT) < set(compiled.FULL)
    for name in compiled.FULL:
        assert ROOT.joinpath(*name.split(".")).with_suffix(".py").is_file()


@pytest.mark.parametrize("name", compiled.FULL)
def test_no_struct_no_model_and_no_named_tuple_is_compiled(name):
    """A compiled Struct loses tag, array_like, frozen and kw_only, and nothing is raised."""
    own = [c for c in vars(importlib.import_module(name)).values() if inspect.isclass(c)]
    for each in own:
        if each.__module__ == name:
            assert not issubclass(each, msgspec.Struct | pydantic.BaseModel | tuple), each


@pytest.mark.parametrize("name", compiled.FULL)
def test_no_bound_of_a_slice_has_an_effect(name):
    """`view[: sock.recv_into(view)]` is compiled to two calls if the bound is an int."""
    for node in ast.walk(tree(name)):
        for bound in [node.lower, node.upper, node.step] if isinstance(node, ast.Slice) else []:
            for part in ast.walk(bound) if bound is not None else []:
                where = f"{name}:{node.lineno}: {ast.unparse(node)}"
                assert not isinstance(part, ast.NamedExpr | ast.Await | ast.Yield), where
                if isinstance(part, ast.Call):
                    assert isinstance(part.func, ast.Name), where
                    assert part.func.id in FREE_OF_EFFECTS, where


def test_a_bound_with_an_effect_would_be_found():
    node = ast.parse("view[: sock.recv_into(view)]").body[0].value.slice
    assert any(isinstance(part, ast.Call) for part in ast.walk(node.upper))


@pytest.mark.parametrize("form", [compiled.DEFAULT, compiled.FULL])
def test_a_class_and_its_bases_are_compiled_all_or_none(form):
    """Else it could not be made, or compiled code would not call what it has of its own."""
    for each in classes():
        ours = {base.__module__ for base in each.__mro__} & set(compiled.FULL)
        of_form = ours & set(form)
        assert not of_form or (of_form == ours and each.__module__ in form), each


@pytest.mark.parametrize("module", compiled.FULL)
def test_a_cause_is_set_by_hand(module):
    """mypyc raises the error and passes over `from`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Raise) and node.cause is not None:
            call = node.exc
            assert isinstance(call, ast.Call)
            assert isinstance(call.func, ast.Name)
            assert call.func.id == "caused_by"
            assert ast.dump(call.args[1]) == ast.dump(node.cause)


def test_what_hides_its_context_has_no_cause():
    try:
        try:
            raise KeyError(1)
        except KeyError:
            raise caused_by(ValueError(2), None) from None
    except ValueError as error:
        assert error.__cause__ is None
        assert error.__suppress_context__


def test_frames_of_compiled_modules_are_ours_and_files_of_users_are_not():
    for name in compiled.FULL:
        assert is_ours(name.replace(".", "/") + ".py")
    assert is_ours(PACKAGE + "worker/handle.py")
    for theirs in ("orchestrator/mine.py", "/home/me/orchestrator/worker/handle.py", "handle.py"):
        assert not is_ours(theirs)


def test_a_traceback_through_compiled_code_has_no_frame_of_it():
    def users() -> None:
        raise ValueError("no")

    queue = SimpleNamespace(items=users)
    try:
        code = compile("queue.items()", "orchestrator/worker/item_calls.py", "exec")
        exec(code, {"queue": queue})
    except ValueError as error:
        told = render(error)
        assert "item_calls" in "".join(traceback.format_exception(error))
    assert "item_calls" not in told and "in users" in told


def test_a_patch_of_compiled_code_is_refused(monkeypatch):
    native = type("Native", (), {"__mypyc_attrs__": (), "method": lambda self: None})
    with pytest.raises(pytest.fail.Exception, match="pure_only"):
        monkeypatch.setattr(native, "method", None)
    monkeypatch.setattr(type("Other", (), {"method": None}), "method", 1)


@pytest.mark.compiled_only
def test_what_is_compiled_is_refused_to_a_patch(monkeypatch):
    with pytest.raises(pytest.fail.Exception, match="pure_only"):
        monkeypatch.setattr(QueueState, "give_back", lambda *_: None)
    for what in ("ipc.wire.encode", "worker.blocks._LARGEST"):
        with pytest.raises(pytest.fail.Exception, match="pure_only"):
            monkeypatch.setattr(f"orchestrator.{what}", 1)


def samples(package: Path) -> dict[str, Any]:
    """What Structs of that copy of mporch are, and the bytes of one of each."""
    code = "import sys; sys.path[:0] = sys.argv[1:]; import struct_samples; struct_samples.main()"
    command = [sys.executable, "-c", code, str(package.parent), str(SAMPLES.parent)]
    ran = subprocess.run(command, capture_output=True, check=True, cwd="/")
    return json.loads(ran.stdout)


def test_every_message_has_its_options():
    """As it was written, so compared with what is compiled: see below."""
    told = samples(Path(PACKAGE))
    assert len(told) > 90
    commit = told["orchestrator.core.protocol.messages.Commit"]
    assert (commit[0]["array_like"], commit[0]["frozen"]) == ("True", "True")
    assert commit[0]["tag"] != "None" and commit[0]["called"].startswith("(*, ")


@pytest.mark.compiled_only
def test_every_message_is_the_same_in_both_forms():
    """Bytes and options: the tree is pure, beside the copy that is tested."""
    assert samples(Path(PACKAGE)) == samples(ROOT / "orchestrator")
