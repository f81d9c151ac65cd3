"""The map of the code, the recipes and the indexes of the docs name what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.engine.engine import Engine, Happening

ROOT = Path(__file__).parents[2]
MAPS = ["docs/architecture.md", "CONTRIBUTING.md"]


def names_in(path: Path) -> set[str]:
    """The classes and functions of a module."""
    made = (ast.ClassDef, ast.FunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, made)}


@pytest.mark.parametrize("page", MAPS)
def test_every_file_and_folder_that_a_map_names_is_there(page: str) -> None:
    named = set(re.findall(r"`((?:orchestrator|tests|docs)/[\w./-]+)`", (ROOT / page).read_text()))
    assert len(named) > 10
    assert not {name for name in named if not (ROOT / name).exists()}


def test_every_rule_of_semantics_is_kept_by_a_class_that_is_where_the_map_says() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| (\d+) [^|]*\| ([^|]*) \| ([^|]*) \|$", text, re.MULTILINE)
    rules = set(re.findall(r"^(\d+)\. ", (ROOT / "docs/semantics.md").read_text(), re.MULTILINE))
    assert rules - {number for number, _, _ in rows} == {"16"}, "kept by no class of its own"
    for _, classes, files in rows:
        there = set().union(*(names_in(ROOT / path) for path in re.findall(r"`([^`]+)`", files)))
        assert set(re.findall(r"`([^`]+)`", classes)) <= there


def test_every_name_of_where_to_look_is_in_a_file_of_its_row() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    section = text.partition("## Where to look\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]* \| (`[^|]*) \| ([^|]*) \|$", section, re.MULTILINE)
    assert len(rows) > 10
    for names, files in rows:
        paths = [ROOT / path for path in re.findall(r"`([^`]+)`", files)]
        there = set().union(*map(names_in, paths))
        assert set(re.findall(r"`([^`]+)`", names)) <= there


def module(name: str) -> Path:
    """The file of a module below `orchestrator`, by its dotted name; a package is a folder."""
    path = ROOT.joinpath("orchestrator", *name.split("."))
    return path if path.is_dir() else path.with_suffix(".py")


def test_every_new_name_of_an_old_one_is_there() -> None:
    text = (ROOT / "docs/old-names.md").read_text()
    modules = re.findall(r"^\| `[\w.]+` \| (`[^|]*`) \|$", text, re.MULTILINE)
    assert len(modules) > 200
    named = {name for row in modules for name in re.findall(r"`([^`]+)`", row)}
    assert not {name for name in named if not module(name).exists()}
    objects = re.findall(r"^\| `\w+` \| (`[^|]*`) \| (`[^|]*`) \|$", text, re.MULTILINE)
    assert len(objects) > 90
    for names, files in objects:
        told = "".join(module(name).read_text() for name in re.findall(r"`([^`]+)`", files))
        for name in re.findall(r"`([^`]+)`", names):
            made = rf"^(?:class|def|type) {name}\b|^    (?:def )?{name}\b|^{name}\b"
            assert re.search(made, told, re.MULTILINE), name


def test_the_indexes_list_every_page_and_every_decision() -> None:
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\(([\w-]+\.md)\)", (ROOT / "docs/README.md").read_text()))
    decisions = ROOT / "docs/decisions"
    numbered = {path.name for path in decisions.glob("0*.md")}
    assert numbered == set(re.findall(r"\((0[\w-]+\.md)\)", (decisions / "README.md").read_text()))


def test_each_folder_of_the_product_is_on_the_map() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    floors = {path.parent.name for path in (ROOT / "orchestrator").glob("*/__init__.py")}
    assert not {name for name in floors if f"orchestrator/{name}" not in text}


def test_the_table_of_the_seam_has_each_method_and_happening_of_an_engine() -> None:
    methods = {name for name in vars(Engine) if not name.startswith("_")}
    told = {each.__name__ for each in get_args(Happening)}
    text = (ROOT / "docs/architecture.md").read_text()
    table = text.partition("| the conductor asks |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)[(`]", table))
    assert len(methods) > 10
    assert named == methods | told
