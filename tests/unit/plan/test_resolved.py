"""The resolved spec says what counts, where each value comes from, and reads as a spec again."""

import re
from pathlib import Path

import msgspec
import pytest

from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.plan.resolved import resolved, rows_of
from orchestrator.spec import Layers, load, loads
from orchestrator.views.plan import render_yaml
from orchestrator.views.tables import Paper

ROOT = Path(__file__).parents[3]
EXAMPLES = [ROOT / "jobs.yaml", *sorted(ROOT.glob("examples/*/*.yaml"))]
OF_THE_PAGE = """\
version: 1
x-slow: &slow {timeouts: {item: 5s}}
vars: {size: 3}
defaults: {terminate: {grace: 4s}}
queues: {pages: 100}
jobs:
  find: {target: "sales:find", output: pages}
  fetch:
    <<: *slow
    target: sales:fetch
    matrix: {region: [eu, us]}
    input: pages
    kwargs:
      region: ${matrix.region}
      auth: ${AUTH}
      size: ${vars.size}
"""
SPEC = """\
version: 1
x-base: &base {workers: 3, timeouts: {item: 5s}}
vars: {n: 2, db: {host: h, password: geheim}}
defaults: {terminate: {grace: 4s}, kwargs: {a: 1}, env: {LEVEL: "${LEVEL}"}}
queues: {q: 3, z: {maxsize: 5}, e: }
jobs:
  src: {target: "os:getcwd", output: [q, e], matrix: {r: [eu, us]}, args: ["${matrix.r}"]}
  p:
    <<: *base
    target: os:getcwd
    input: [q, e]
    output: z
    kwargs: {b: "${vars.db}", c: "$${x}", d: "x${TOKEN:-y}"}
    retry: {attempts: 2}
  w: {target: "os:getcwd", input: z, call: batch, workers: "${vars.n}", cwd: "${run.dir}"}
  off: {target: "os:getcwd", after: src, enabled: false}
"""


def spec_of(**keys):
    return loads(SPEC, name="jobs.yaml", environ={"LEVEL": "9"}, layers=Layers(**keys))


@pytest.fixture
def rows(tmp_path):
    above = tmp_path / "prod.yaml"
    above.write_text("jobs: {p: {workers: 4}}\n")
    spec = spec_of(files=(str(above),), variables=("n=7",), settings=("jobs.src.timeouts.run=1m",))
    found = rows_of(resolved(spec, compile_spec(spec, this_machine()).plan, this_machine()))
    return {row["path"]: row for row in found}


@pytest.mark.parametrize(
    ("path", "value", "layer", "place", "within"),
    [
        ("version", 1, "spec", (1, 10), ""),
        ("queues.q.maxsize", 3, "spec", (5, 13), ""),
        ("queues.e.maxsize", None, "default", (None, None), ""),
        ("jobs.p.workers", 4, "overlay", (1, 21), ""),
        ("jobs.p.timeouts.item", "5s", "anchor", (2, 45), "x-base.timeouts.item"),
        ("jobs.p.timeouts.start", "1m", "default", (None, None), ""),
        ("jobs.p.terminate.grace", "4s", "defaults", (4, 31), "defaults.terminate.grace"),
        ("jobs.p.kwargs.a", 1, "defaults", (4, 48), "defaults.kwargs.a"),
        ("jobs.p.kwargs.b.host", "h", "vars", (3, 25), "vars.db.host"),
        ("jobs.p.kwargs.b.password", "***", "vars", (3, 38), "vars.db.password"),
        ("jobs.p.kwargs.c", "${x}", "spec", (13, 34), ""),
        ("jobs.src_us.timeouts.run", "1m", "--set", (1, 23), ""),
        ("jobs.w.batch.size", 5, "default", (None, None), ""),
        ("jobs.off.after.1", "src_us", "spec", (16, 37), ""),
        ("jobs.off.enabled", False, "spec", (16, 51), ""),
    ],
)
def test_each_value_has_its_layer_and_its_place(rows, path, value, layer, place, within):
    origin = rows[path]["origin"]
    assert rows[path]["value"] == value
    assert (origin["layer"], (origin["line"], origin["column"])) == (layer, place)
    assert origin["within"] == within


@pytest.mark.parametrize(
    ("path", "value", "sources"),
    [
        ("jobs.w.workers", 7, [("vars.n", "--var", 3, False)]),
        ("jobs.p.env.LEVEL", "${LEVEL}", [("LEVEL", "environment", None, False)]),
        ("jobs.p.kwargs.d", "xy", [("TOKEN", "environment", None, True)]),
        ("jobs.src_us.args.0", "us", [("matrix.r", "matrix", 63, False)]),
        ("jobs.w.cwd", "${run.dir}", [("run.dir", "start", None, False)]),
    ],
)
def test_what_a_value_has_named_is_told_with_its_own_place(rows, path, value, sources):
    found = rows[path]["origin"]["sources"]
    assert rows[path]["value"] == value
    assert [(s["name"], s["layer"], s["column"], s["default"]) for s in found] == sources


def test_what_went_into_the_values_is_not_there_any_more(rows):
    assert not [path for path in rows if path.partition(".")[0] in ("vars", "defaults", "x-base")]
    assert not [path for path in rows if "matrix" in path]


def same(plan):
    """Return what must be equal of a plan and of that of its resolved spec."""
    return msgspec.structs.replace(
        plan,
        spec_path="",
        environment={},
        instead={},
        shown=(),
        name="",
        layers=(),
        families={},
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_resolved_spec_of_an_example_has_the_same_plan(path):
    spec = load(path)
    plan = compile_spec(spec, this_machine()).plan
    text = render_yaml(resolved(spec, plan, this_machine()), Paper(), origins=True)
    again = compile_spec(loads(text, project_dir=spec.project_dir), this_machine()).plan
    assert same(again) == same(plan)


def test_the_resolved_spec_of_all_layers_has_the_same_plan():
    spec = spec_of(variables=("db=3", "n=4"))
    plan = compile_spec(spec, this_machine()).plan
    text = render_yaml(resolved(spec, plan, this_machine()), Paper(), origins=True)
    again = loads(text, environ={"LEVEL": "9"})
    assert same(compile_spec(again, this_machine()).plan) == same(plan)


def test_the_example_of_the_page_is_true(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.py").write_text(
        "def find(): ...\ndef fetch(page, region, auth, size): ...\n"
    )
    (tmp_path / "jobs.yaml").write_text(OF_THE_PAGE)
    (tmp_path / "prod.yaml").write_text("jobs: {fetch: {workers: 4}}\n")
    layers = Layers(files=("prod.yaml",), variables=("size=7",))
    spec = load("jobs.yaml", environ={"AUTH": "x"}, layers=layers)
    text = render_yaml(
        resolved(spec, compile_spec(spec, this_machine()).plan, this_machine()),
        Paper(),
        origins=True,
    )
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```\n(jobs:\n  fetch_eu: .*?)```", page, re.DOTALL)
    told = iter(text.splitlines())
    assert all(line in told for line in example.splitlines()), text
