"""The tables of docs/keys.md, and specs of many jobs of which each shows one of their cells."""

import contextlib
import re
from pathlib import Path

from life_runs import Life

from orchestrator.errors import Severity, SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads

PAGE = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")


def cells_of(heading):
    """Yield (row, column, cell) of the table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    (_, *columns), _, *rest = rows
    return [
        (row, column, cell)
        for row, *cells in rest
        for column, cell in zip(columns, cells, strict=True)
    ]


JOBS = cells_of("Keys of a job")
COMMANDS = cells_of("Keys of a job with a command")
QUEUES = cells_of("Keys of a queue, by who puts on it")


def ids(cells):
    return ["-".join(re.sub(r"\W+", "_", part) for part in cell) for cell in cells]


def those(cells, *kinds):
    found = [cell[:2] for cell in cells if cell[2] in kinds]
    return {"argvalues": found, "ids": ids(found)}


def slug(*words):
    return re.sub(r"\W+", "_", "_".join(words))


class Draft:
    """The lines of a spec, a job at a time; `feed` gives what is read, `drain` takes all."""

    def __init__(self, items=(1, 2, 3)):
        self.items = items
        self.queues = {}
        self.jobs = {}
        self.fed = []
        self.drained = []

    def add(self, name, shape, keys, run='target: "t:TARGET"', out="maxsize: 100"):
        """Wire a job of this shape; of a command, an output is given as it is."""
        wires = []
        if shape in ("item", "batch", "stream", "handles"):
            queue = f"i_{name}"
            self.queues[queue] = "maxsize: 100"
            self.fed.append(queue)
            wires.append(f"input: {{q: {queue}}}" if shape == "handles" else f"input: {queue}")
        if shape in ("batch", "stream") and "call:" not in keys:
            wires.append(f"call: {shape}")
        if shape in ("source", "writer") or "OUT" in keys:
            queue = f"o_{name}"
            self.queues[queue] = out
            self.drained.append(queue)
            by_name = shape != "writer" and "OUT-BY-HANDLE" not in keys
            wires.append(f"output: {queue}" if by_name else f"output: {{out: {queue}}}")
        keys = keys.replace("OUT-BY-HANDLE", "").replace("OUT", "").strip(", ")
        self.jobs[name] = ", ".join(filter(None, [run, *wires, keys]))

    def text(self, top=""):
        """The spec, but for its version."""
        lines = [top, "defaults: {on_failure: continue}"]
        if self.queues:
            lines.append("queues:")
        lines += [f"  {name}: {{{keys}}}" for name, keys in self.queues.items()]
        lines.append("jobs:")
        if self.fed:
            feed = f"args: {[list(self.items)]}, output: [{', '.join(self.fed)}]"
            lines.append(f'  feed: {{target: "t:feed", {feed}}}')
        if self.drained:
            drained = ", ".join(self.drained)
            lines.append(f'  drain: {{target: "t:drain", input: [{drained}], call: stream}}')
        lines += [f"  {name}: {{{keys}}}" for name, keys in self.jobs.items()]
        return "\n".join(lines) + "\n"


def ran_once(tmp_path_factory, draft, code, *, more=None, top="timeout: 2m"):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "sub").mkdir()
    with contextlib.closing(Life(folder, draft.text(top), code, more=more)) as life:
        return life.end(within_s=150.0)


TARGETS = """
def feed(items): return items

def drain(items):
    for item in items: pass

def consume(*given, **handles):
    for each in (*given, *handles.values()):
        for _ in each: pass
    return []

def value(n): return n
"""


def problems_of(spec, folder):
    """What `mporch validate` says of a spec whose targets are those above."""
    (folder / "t.py").write_text(TARGETS)
    try:
        return compile_spec(
            loads(f"version: 1\n{spec}", project_dir=folder), this_machine()
        ).warnings
    except SpecError as error:
        return error.problems


def told_at(spec, folder, key, kind):
    """The key is told of at its place, as an error or a warning, with what to do."""
    problems = problems_of(spec, folder)
    places = [f"jobs.j.{key.partition('.')[0]}", f"jobs.j.{key}"]
    found = [p for p in problems if p.path in places]
    assert found, problems
    assert [p.severity for p in found] == [Severity(kind)] * len(found)
    assert all(p.hint and p.line and p.column for p in found)
    return found
