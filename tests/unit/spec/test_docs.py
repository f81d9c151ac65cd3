"""docs/spec.md is true: its examples validate, its tables are those of the code."""

import re
from pathlib import Path

import pytest
import yaml

from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.model import Shape
from orchestrator.spec import loads
from orchestrator.spec.model import FITS, Document, JobSpec
from orchestrator.spec.parts import QueueSpec

PAGE = (Path(__file__).parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(version: 1\n.*?)```", PAGE, re.DOTALL)


def table(heading):
    """Return the rows of the last table under a heading, cells stripped."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    last = [block for block in section.strip().split("\n\n") if block.startswith("|")][-1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in last.splitlines()]


def write_targets(spec, folder):
    """Lay out the functions an example speaks of."""
    for job in yaml.safe_load(spec)["jobs"].values():
        module, _, name = job.get("target", "none:none").partition(":")
        file = folder.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as out:
            out.write(f"def {name}(*args, **kwargs): ...\n")


def test_the_page_has_examples():
    assert len(EXAMPLES) == PAGE.count("```yaml")


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_a_spec_without_a_warning(example, tmp_path):
    write_targets(example, tmp_path)
    assert compile_spec(loads(example, project_dir=tmp_path), this_machine()).warnings == ()


@pytest.mark.parametrize(("heading", "model"), [("Top level", Document), ("Jobs", JobSpec)])
def test_each_key_has_its_row(heading, model):
    keys = {cells[0].strip("`") for cells in table(heading)[2:]}
    assert keys - {"x-…"} == set(model.model_fields)


def test_the_defaults_of_the_page_are_those_of_the_code():
    bare = JobSpec(target="m:f")
    compared = set()
    for key, default, *_ in table("Jobs")[2:]:
        name = key.strip("`")
        if re.fullmatch(r"`[^`]+`", default):
            written = {"target": "m:f", name: yaml.safe_load(default.strip("`"))}
            assert getattr(JobSpec.read(written), name) == getattr(bare, name), name
            compared.add(name)
    assert {"batch", "timeouts", "terminate", "workers", "on_error", "cwd"} <= compared
    assert f"nothing for {QueueSpec().maxsize}" in PAGE


def test_the_table_of_keys_and_shapes_is_that_of_the_checks():
    header, _, *rows = table("Which key fits which job")
    shapes = [Shape(name) for name in header[1:]]
    told = {
        tuple(key.strip("`").split(".")): {
            s for s, fits in zip(shapes, cells, strict=True) if fits == "yes"
        }
        for key, *cells in rows
    }
    assert told == FITS
