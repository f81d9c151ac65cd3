"""The static look-up of targets."""

import sys
import zipfile

import pytest

from orchestrator.targets.lookup import Targets
from orchestrator.targets.target import TargetFormError, parse_target

CANARY = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"


def flaw(text, *pythonpath):
    return Targets([str(entry) for entry in pythonpath]).look_up(text).flaw


@pytest.fixture
def project(tmp_path):
    """Lay out modules that leave a file behind when they are run."""
    files = {
        "top.py": CANARY + "def f(): pass\nX = 3\nasync def co(): pass\n",
        "pkg/__init__.py": CANARY,
        "pkg/sub/__init__.py": CANARY,
        "pkg/sub/leaf.py": CANARY + "class C:\n  def m(self): pass\n",
        "space/inner/leaf.py": CANARY + "def f(): pass\n",
        "broken.py": "def f(:\n",
        "latin.py": "# -*- coding: latin-1 -*-\ndef f(): return 'é'\n",
        "warns.py": "def f(): return '\\d'\n",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="latin-1")
    before = set(sys.modules)
    yield tmp_path
    assert not list(tmp_path.rglob("ran"))
    assert not {"top", "pkg", "space", "broken"} & (set(sys.modules) - before)


@pytest.mark.parametrize(
    "text",
    ["top:f", "pkg.sub.leaf:C", "pkg.sub.leaf:C.m", "space.inner.leaf:f", "latin:f", "warns:f"],
)
def test_a_target_is_found_and_nothing_is_run(project, recwarn, text):
    assert flaw(text, project) is None
    assert not recwarn.list


@pytest.mark.parametrize(
    "text",
    ["os:getcwd", "os.path:join", "sys:exit", "math:sqrt", "json:loads", "asyncio:run",
     "collections.abc:Mapping", "concurrent.futures:ThreadPoolExecutor", "_csv:reader",
     "xml.etree.ElementTree:parse", "numpy:array", "pytest:main"],
)  # fmt: skip
def test_targets_of_installed_modules_are_found(text):
    assert flaw(text) is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("top:g", "top has no g", ""),
        ("top:F", "top has no F", "did you mean f?"),
        ("top:X", "top.X cannot be called", "name a function or a class"),
        ("top:co", "top.co is a coroutine function", "give a plain function"),
        ("pkg.sub.leaf:C.n", "pkg.sub.leaf.C has no n", ""),
        ("pkg.sub.laef:C", "the package pkg.sub has no module laef", "did you mean leaf?"),
        ("top.x:f", "the package top has no module x", "install it"),
        ("tpo:f", "there is no module tpo", "did you mean top?"),
        ("space:f", "space has no f", ""),
        ("broken:f", "broken is not Python for", "mend the module"),
        ("__main__:f", "workers cannot import __main__", "put the function"),
        ("top.py:f", '"top.py:f" names a file', "write top:f"),
        ("nowhere.py:f", '"nowhere.py:f" names a file', "write nowhere:f"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(project, text, message, hint):
    found = flaw(text, project)
    assert found.message.startswith(message)
    assert found.hint.startswith(hint)


def test_a_module_called_py_is_found(project):
    (project / "pkg" / "py.py").write_text("def f(): pass\n")
    assert flaw("pkg.py:f", project) is None


def test_a_missing_module_names_the_interpreter_and_the_places(project):
    message = flaw("nowhere_at_all:f", project).message
    assert sys.executable in message
    assert str(project) in message


def test_a_syntax_error_names_file_and_line(project):
    assert f"{project / 'broken.py'}:1:" in flaw("broken:f", project).message


def test_a_module_in_a_zip_file_is_found(tmp_path):
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", "def f(): pass\n")
    assert flaw("zipped:f", tmp_path / "lib.zip") is None
    assert flaw("zipped:g", tmp_path / "lib.zip").message == "zipped has no g"


def test_the_project_comes_before_what_is_installed(tmp_path):
    (tmp_path / "yaml.py").write_text("def mine(): pass\n")
    assert flaw("yaml:mine", tmp_path) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("os.path.join", "write os.path:join"),
        ("os:getcwd()", "write os:getcwd"),
        ("src/app.py:f", "write src.app:f"),
        ("./app.py:f", "write app:f"),
        ("os", "write package.module:function"),
        ("os:", "write package.module:function"),
        (":f", "write package.module:function"),
        ("a b:c", "write package.module:function"),
        ("a:b:c", "write package.module:function"),
        ("", "write package.module:function"),
    ],
)
def test_another_form_is_told_how_to_be_the_right_one(text, hint):
    with pytest.raises(TargetFormError) as caught:
        parse_target(text)
    assert caught.value.hint == hint


def test_a_target_is_a_module_and_a_dotted_name():
    target = parse_target("a.b:C.d")
    assert (target.module, target.qualname, str(target)) == ("a.b", "C.d", "a.b:C.d")
