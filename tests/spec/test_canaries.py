"""`mporch validate` runs nothing: packages that leave a file when they run leave none."""

import compileall
import itertools
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("mporch")

BODIES = {
    "statement": "{touch}\n",
    "assignment": "ran = {touch}\n",
    "annotation": "def seen(x: {touch}): ...\n",
    "default": "def seen(x={touch}): ...\n",
    "lambda-default": "seen = lambda x={touch}: x\n",
    "decorator": "def run(f):\n    {touch}\n    return f\n@run\ndef seen(): ...\n",
    "decorator-of-the-target": "def run(f):\n    {touch}\n    return f\n",
    "class-body": "class Seen:\n    {touch}\n",
    "class-decorator": "def run(c):\n    {touch}\n    return c\n@run\nclass Seen: ...\n",
    "base-class": "class Seen({touch} or object): ...\n",
    "metaclass": "class Meta(type):\n    def __new__(m, *a):\n        {touch}\n"
    "        return type.__new__(m, *a)\nclass Seen(metaclass=Meta): ...\n",
    "prepare": "class Meta(type):\n    @classmethod\n    def __prepare__(m, *a):\n        {touch}\n"
    "        return {{}}\nclass Seen(metaclass=Meta): ...\n",
    "init-subclass": "class Base:\n    def __init_subclass__(cls):\n        {touch}\n"
    "class Seen(Base): ...\n",
    "set-name": "class Item:\n    def __set_name__(self, *a):\n        {touch}\n"
    "class Seen:\n    item = Item()\n",
    "class-getitem": "class Base:\n    def __class_getitem__(cls, x):\n        {touch}\n"
    "        return object\nclass Seen(Base[int]): ...\n",
    "mro-entries": "class Base:\n    def __mro_entries__(self, bases):\n        {touch}\n"
    "        return ()\nclass Seen(Base()): ...\n",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass Seen:\n"
    "    x: int = {touch} or 3\n",
    "partial": "import functools\nseen = functools.partial(print, {touch})\n",
    "format": 'text = f"""{{{touch}}}"""\n',
    "walrus": "if (ran := {touch}):\n    pass\n",
    "comprehension": "ran = [{touch} for _ in (1,)]\n",
    "try": "try:\n    raise KeyError\nexcept KeyError:\n    {touch}\n",
    "with": "class Held:\n    def __enter__(self): {touch}\n    def __exit__(self, *a): ...\n"
    "with Held():\n    pass\n",
    "exec": "exec({touch!r})\n",
    "getattr": "def __getattr__(name):\n    {touch}\n    raise AttributeError(name)\nimport sys\n"
    "getattr(sys.modules[__name__], 'anything', None)\n",
}
"""Ways in which code runs when a module is imported."""

WORK = "def work(item): ...\n"
DECORATED = "@run\n" + WORK


def module(name, body, work):
    return {f"{name}.py": body + work}, f"{name}:work"


def parent(name, body, _work):
    return {f"{name}/__init__.py": body, f"{name}/leaf.py": WORK}, f"{name}.leaf:work"


def grandparent(name, body, _work):
    files = {
        f"{name}/__init__.py": body,
        f"{name}/sub/__init__.py": "",
        f"{name}/sub/leaf.py": WORK,
    }
    return files, f"{name}.sub.leaf:work"


def exported(name, body, work):
    files = {f"{name}/__init__.py": "from .impl import work\n", f"{name}/impl.py": body + work}
    return files, f"{name}:work"


CARRIERS = (module, parent, grandparent, exported)


@pytest.fixture
def canaries(tmp_path):
    """Lay out a package for each way and place; returns their targets and the folder of traces."""
    ran = tmp_path / "ran"
    ran.mkdir()
    targets = {}
    for (way, body), carrier in itertools.product(BODIES.items(), CARRIERS):
        name = f"{carrier.__name__}_{way.replace('-', '_')}"
        touch = f"open({str(ran / name)!r}, 'w').close()"
        text = body.format(touch=touch) if way != "exec" else f"exec({touch!r})\n"
        work = DECORATED if way == "decorator-of-the-target" else WORK
        files, targets[name] = carrier(name, text, work)
        for path, source in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
    return targets, ran


def spec_of(targets):
    jobs = "".join(f"  j_{name}: {{target: '{t}', args: [1]}}\n" for name, t in targets.items())
    return f"version: 1\njobs:\n{jobs}"


def validate(folder, *options):
    return subprocess.run(
        [COMMAND, "validate", *options], cwd=folder, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_none_of_a_hundred_canaries_runs(canaries, tmp_path):
    targets, ran = canaries
    assert len(targets) >= 100
    (tmp_path / "jobs.yaml").write_text(spec_of(targets))
    done = validate(tmp_path, "--strict")
    assert done.returncode == 0, done.stderr
    assert [*ran.iterdir()] == []


def test_each_canary_leaves_its_file_when_it_is_imported(canaries, tmp_path):
    targets, ran = canaries
    # The target's own decorator runs with the target, not with the package around it.
    names = {n for n in targets if "of_the_target" not in n or n.startswith(("module", "exported"))}
    modules = [target.partition(":")[0] for target in targets.values()]
    code = f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    assert {file.name for file in ran.iterdir()} == names


def test_what_python_runs_at_its_own_start_is_not_run_from_a_project(tmp_path):
    touch = f"open({str(tmp_path / 'ran')!r}, 'w').close()"
    for name in ("sitecustomize.py", "usercustomize.py", "yaml.py", "click.py", "orchestrator.py"):
        (tmp_path / name).write_text(touch)
    (tmp_path / "run.pth").write_text(f"import os; {touch}\n")
    (tmp_path / "mine.py").write_text(WORK)
    (tmp_path / "jobs.yaml").write_text(spec_of({"a": "mine:work"}))
    done = validate(tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_modules_without_source_are_not_run_either(tmp_path):
    touch = f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
    (tmp_path / "compiled.py").write_text(touch + WORK)
    compileall.compile_file(tmp_path / "compiled.py", legacy=True, quiet=2)
    (tmp_path / "compiled.py").unlink()
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.writestr("zipped.py", touch + WORK)
    (tmp_path / "binary.so").write_bytes(b"\x7fELF")
    spec = spec_of({"a": "compiled:work", "b": "zipped:work", "c": "binary:work"})
    (tmp_path / "jobs.yaml").write_text(f"pythonpath: [., lib.zip]\n{spec}")
    done = validate(tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
