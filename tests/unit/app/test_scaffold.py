"""A project to begin with, as it is written."""

import json
from pathlib import Path

import pytest

from orchestrator.cli.init import SCHEMA_NAME, TEMPLATES, init, write_project
from orchestrator.errors import UsageError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import load
from orchestrator.spec.schema import spec_schema

FOLDER = Path(__file__).parents[3] / "orchestrator" / "app" / "templates"


def test_each_template_is_offered_and_told():
    (option,) = (parameter for parameter in init.params if parameter.name == "template")
    assert list(option.type.choices) == list(TEMPLATES)
    assert sorted(TEMPLATES) == sorted(path.name for path in FOLDER.iterdir())
    assert all(f"\n  {template} " in init.epilog for template in TEMPLATES)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_a_spec_without_a_warning_that_names_its_schema(template, tmp_path):
    names = write_project(template, tmp_path / "new" / "project")
    folder = tmp_path / "new" / "project"
    assert sorted(path.name for path in folder.iterdir()) == list(names)
    first, _, _ = (folder / "jobs.yaml").read_text().partition("\n")
    assert first == f"# yaml-language-server: $schema={SCHEMA_NAME}"
    assert json.loads((folder / SCHEMA_NAME).read_text()) == spec_schema()
    assert compile_spec(load(folder / "jobs.yaml"), this_machine()).warnings == ()


def test_nothing_is_overwritten_nor_written_beside(tmp_path):
    (tmp_path / "jobs.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"jobs\.yaml already exists") as caught:
        write_project("tasks", tmp_path)
    assert "mporch init FOLDER" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.yaml"]
    assert (tmp_path / "jobs.yaml").read_text() == "mine"


def test_several_files_that_are_there_are_told_as_several(tmp_path):
    write_project("tasks", tmp_path)
    with pytest.raises(
        UsageError, match=r"jobs\.yaml, tasks\.py and test_tasks\.py already exist in"
    ):
        write_project("tasks", tmp_path)


def test_a_folder_that_cannot_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_project("tasks", tmp_path / "file" / "folder")
