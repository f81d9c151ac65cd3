"""The build: what it compiles, and that it is pure Python where it cannot."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forms import ROOT

from orchestrator import compiled

WARNING = "mporch: warning: not compiled, so pure Python: "
MYPYC = """
from setuptools import Extension
def mypycify(options, **_):
    {does}
    return [Extension("orchestrator.broken", ["broken.c"])]
"""


@pytest.fixture
def copy(tmp_path):
    """A small package with the build of this tree."""
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "building", tmp_path / "building")
    package = tmp_path / "orchestrator"
    package.mkdir()
    for name in ("__init__.py", "_version.py", "compiled.py"):
        shutil.copy(ROOT / "orchestrator" / name, package)
    tmp_path.joinpath("broken.c").write_text("this is no C\n")
    return tmp_path


def build(folder: Path, mypyc: str, **environment: str) -> tuple[str, str]:
    """Build with a mypyc as it is written; returns what is shown, and the note in the package."""
    fake = folder / "fake" / "mypyc"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "build.py").write_text(mypyc)
    env = os.environ | {"PYTHONPATH": str(fake.parent), "CC": "gcc"} | environment
    command = [sys.executable, "setup.py", "-q", "build"]
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("build/lib*/orchestrator")
    assert (built / "compiled.py").is_file()
    note = built / compiled.NOT_COMPILED
    return ran.stdout + ran.stderr, note.read_text() if note.exists() else ""


@pytest.mark.parametrize(
    ("mypyc", "reason"),
    [
        ("raise ImportError", "there is no mypy, or no C compiler"),
        (MYPYC.format(does="raise SystemExit(1)"), "mypyc fails: SystemExit: 1"),
        (MYPYC.format(does="print('much'); raise ValueError('no')"), "mypyc fails: ValueError: no"),
        (MYPYC.format(does="pass"), "the C compiler (gcc) fails: "),
    ],
    ids=["no mypy", "mypyc ends", "mypyc raises", "no C"],
)
def test_what_cannot_be_compiled_costs_one_line(copy, mypyc, reason):
    shown, note = build(copy, mypyc)
    (line,) = [each for each in shown.splitlines() if "mporch" in each]
    assert line.startswith(WARNING + reason)
    assert note.strip() in line and note
    assert not ["" for each in shown.splitlines() if "much" in each or "broken" in each]


def test_an_unknown_form_costs_one_line(copy):
    shown, note = build(copy, MYPYC.format(does="pass"), MPORCH_BUILD="quick")
    assert "MPORCH_BUILD may be full, default or pure, and is 'quick'" in shown
    assert "'quick'" in note


def test_what_another_form_has_left_is_not_installed(copy):
    stale = copy / "build" / "lib" / "orchestrator" / "core" / "run.so"
    stale.parent.mkdir(parents=True)
    stale.touch()
    build(copy, "raise ImportError", MPORCH_BUILD="pure")
    assert not stale.exists()


def test_who_wants_pure_python_is_not_warned(copy):
    shown, note = build(copy, "raise ImportError", MPORCH_BUILD="pure")
    assert WARNING not in shown and not note


@pytest.fixture
def backend():
    spec = importlib.util.spec_from_file_location("backend", ROOT / "building" / "backend.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answering(pip: int, dry_run: int):
    asked = []

    def run(command, **_):
        asked.append(command)
        code = pip if "--version" in command else dry_run
        return subprocess.CompletedProcess(command, code)

    return asked, run


@pytest.mark.parametrize(
    ("pip", "dry_run", "required"), [(0, 0, True), (0, 1, False), (1, 1, True)]
)
def test_mypy_is_required_where_it_can_be_had(backend, monkeypatch, pip, dry_run, required):
    """An installer of another kind cannot be asked: it has found setuptools where it looks."""
    _, run = answering(pip, dry_run)
    monkeypatch.setattr(backend.subprocess, "run", run)
    monkeypatch.setattr(backend.shutil, "which", lambda _: "/usr/bin/cc")
    monkeypatch.setattr(backend.sysconfig, "get_path", lambda _: str(ROOT / "tests"))
    monkeypatch.setattr(backend.Path, "is_file", lambda _: True)
    assert backend.mypy() == ([backend.MYPY] if required else [])


def test_without_a_compiler_nobody_is_asked_for_mypy(backend, monkeypatch):
    asked, run = answering(0, 0)
    monkeypatch.setattr(backend.subprocess, "run", run)
    monkeypatch.setenv("CC", "no-such-compiler")
    assert backend.mypy() == [] and not asked


def test_pip_is_asked_where_the_pip_that_installs_looks(backend):
    code = (
        "import subprocess, sys; command = [sys.executable, '-c', sys.argv[1]];"
        "print(subprocess.run(command, capture_output=True, text=True).stdout)"
    )
    inner = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'building')!r});"
        "import backend; print(backend.options_of_pip())"
    )
    words = ["install", "--no-index", "-f", "wheels", "--index-url=https://user.invalid/", "."]
    told = subprocess.run(
        [sys.executable, "-c", code, inner, *words], capture_output=True, text=True, check=True
    )
    options, folder = eval(told.stdout)
    assert options == ["--index-url=https://user.invalid/", "--find-links=wheels", "--no-index"]
    assert folder == str(Path.cwd())


def test_an_editable_installation_is_pure_unless_it_is_said(backend, monkeypatch):
    monkeypatch.setattr(backend.build_meta, "get_requires_for_build_editable", lambda _: [])
    monkeypatch.setattr(backend.build_meta, "get_requires_for_build_wheel", lambda _: [])
    monkeypatch.setattr(backend, "mypy", lambda: ["mypy"])
    monkeypatch.delenv("MPORCH_BUILD", raising=False)
    assert backend.get_requires_for_build_editable() == []
    assert backend.get_requires_for_build_wheel() == ["mypy"]
    monkeypatch.setenv("MPORCH_BUILD", "full")
    assert backend.get_requires_for_build_editable() == ["mypy"]
    monkeypatch.setenv("MPORCH_BUILD", "pure")
    assert backend.get_requires_for_build_wheel() == []
