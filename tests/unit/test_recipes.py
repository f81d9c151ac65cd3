"""The recipes of CONTRIBUTING.md lead to what they say: each is followed in a copy of the tree.

A recipe that is followed is a file of `tests/recipes`: the lines that it puts in, files for the
folder of a project, what commands then tell there, and tests of the copy that have to pass.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "tests" / "recipes").glob("*.toml"))
MOST_FILES = 6
"""Of the product; its pages and its tests are not counted."""


def followed(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def put_in(edit: dict[str, str], tree: Path) -> None:
    """Put text before some that is found once in a file, or in its place."""
    file = tree / edit["file"]
    text = file.read_text("utf-8")
    assert text.count(edit["find"]) == 1, edit
    new = edit["instead"] if "instead" in edit else edit["before"] + edit["find"]
    file.write_text(text.replace(edit["find"], new), encoding="utf-8")


def python(
    tree: Path, *arguments: str, cwd: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module", params=RECIPES, ids=lambda path: path.stem)
def recipe(request: pytest.FixtureRequest) -> dict[str, Any]:
    return followed(request.param)


@pytest.fixture(scope="module")
def tree(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree in which the recipe was followed, beside a project."""
    tree = tmp_path_factory.mktemp("recipe")
    leave = shutil.ignore_patterns("__pycache__", "chaos", "scenarios", "e2e")
    for folder in ("orchestrator", "docs", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=leave)
    for name in ("setup.cfg", "pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tree)
    for edit in recipe["edit"]:
        put_in(edit, tree)
    for name, text in recipe["files"].items():
        file = tree / "project" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tree


def test_a_recipe_touches_few_files_and_names_each(recipe: dict[str, Any]) -> None:
    pages = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rest = pages.partition(f"\n**{recipe['recipe']}")[2]
    text = re.split(r"\n\*\*|\n## ", rest, maxsplit=1)[0]
    touched = {edit["file"] for edit in recipe["edit"]}
    assert touched <= set(re.findall(r"`([\w./-]+)`", text))
    source = {file for file in touched if file.startswith("orchestrator/")}
    assert 0 < len(source) <= MOST_FILES


def test_the_copy_is_what_is_tried(tree: Path) -> None:
    found = python(tree, "-c", "import orchestrator; print(orchestrator.__file__)", cwd=tree).stdout
    assert Path(found.strip()).is_relative_to(tree)


def test_commands_tell_what_the_recipe_has_added(recipe: dict[str, Any], tree: Path) -> None:
    for check in recipe["check"]:
        command, environment = (
            ("-m", "orchestrator", *check["command"]),
            recipe.get("environment", {}),
        )
        told = python(tree, *command, cwd=tree / "project", environment=environment)
        assert told.returncode == check.get("code", 0), told.stdout
        assert [each for each in check["told"] if each not in told.stdout] == [], told.stdout


def test_the_tests_of_the_copy_pass(recipe: dict[str, Any], tree: Path) -> None:
    quick = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly")
    ran = python(tree, "-m", "pytest", *quick, *recipe["tests"], cwd=tree)
    assert ran.returncode == 0, ran.stdout[-4000:]
