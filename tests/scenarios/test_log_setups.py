"""Each usual way to set up logging: every record once, whole, with its item."""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from life_runs import Life
from log_setups import SETUPS

N = 2
SOURCE = f"def src():\n    yield from range({N})\n"
SHAPES = """
def work_batch(items):
    for item in items: work(item)
def work_stream(items):
    for item in items: work(item)
def work_handles(q):
    for item in q: work(item)
"""
KINDS = {
    "item": 'target: "{name}:work", input: q_{name}',
    "batch": 'target: "{name}:work_batch", input: q_{name}, call: batch, batch: {{size: 2}}',
    "stream": 'target: "{name}:work_stream", input: q_{name}, call: stream',
    "handles": 'target: "{name}:work_handles", input: {{q: q_{name}}}',
}
SOME = ["nothing", "basic_force", "queue_listener", "structlog_default", "loguru_default", "tee"]
OTHERS = [("spawn", "item"), ("fork", "item")] + [
    ("forkserver", kind) for kind in ("batch", "stream", "handles")
]
CASES = [
    *(pytest.param("forkserver", "item", name) for name in SETUPS),
    *(
        pytest.param(*way, name, marks=[] if name in SOME else [pytest.mark.long])
        for way in OTHERS
        for name in SETUPS
    ),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, request):
    """Runs all set-ups that are asked for in one run for each way."""
    wanted = {("forkserver", "item"): [name for name in SETUPS if SETUPS[name].files]}
    for item in request.session.items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if item.path == request.path and "method" in params:
            wanted.setdefault((params["method"], params["kind"]), []).append(params["name"])

    @functools.cache
    def run(method, kind):
        folder = tmp_path_factory.mktemp(f"{method}-{kind}")
        names = sorted(set(wanted[method, kind]))
        queues = "".join(f"  q_{name}: 10\n" for name in names)
        jobs = "".join(f"  {name}: {{{KINDS[kind].format(name=name)}}}\n" for name in names)
        outputs = ", ".join(f"q_{name}" for name in names)
        spec = (
            f"defaults: {{start_method: {method}, on_failure: continue}}\nqueues:\n{queues}jobs:\n"
            f'  src: {{target: "t:src", output: [{outputs}]}}\n{jobs}'
        )
        more = {f"{name}.py": SETUPS[name].code + SHAPES for name in names}
        life = Life(folder, spec, SOURCE, more=more)
        try:
            end = life.end(120)
        finally:
            life.close()
        return end, folder

    return run


def expected(event, x):
    """The event as it shall be for the item x."""
    told = {"level": event.level, "logger": event.logger, "msg": event.msg.replace("{x}", str(x))}
    if event.fields is not None:
        told["fields"] = json.loads(
            json.dumps(event.fields).replace('"{x}"', str(x)).replace("{x}", str(x))
        )
    if event.error:
        told |= {"error_type": "ZeroDivisionError", "error": "division by zero"}
    if event.thread:
        told["thread"] = event.thread
    return told


def found(record):
    keys = ("level", "logger", "msg", "fields", "error_type", "error", "thread")
    return {key: record[key] for key in keys if key in record}


@pytest.mark.parametrize(("method", "kind", "name"), CASES)
def test_each_record_once_whole_with_its_item(runs, method, kind, name):
    end, _ = runs(method, kind)
    assert end.statuses()[name] == "succeeded", end.stderr
    setup = SETUPS[name]
    records = end.log.having("log", job=name)
    ours = [r for r in records if "item" in r]
    assert [found(r) for r in records if r not in ours] == [expected(e, 0) for e in setup.imported]
    wanted = [expected(e, x) for x in range(N) for e in setup.events]
    assert [found(r) for r in ours] == wanted
    for record in records:
        assert ("traceback" in record) == ("error_type" in record)
        assert record.get("traceback", "").count("ZeroDivisionError: division by zero") <= 1
        assert record["attempt"] == 1 if "item" in record else "attempt" not in record
    items = ["q_NAME:1-2"] * N if kind == "batch" else [f"q_NAME:{x + 1}" for x in range(N)]
    each = len(setup.events)
    assert [r["item"] for r in ours] == [
        item.replace("NAME", name) for item in items for _ in range(each)
    ]
    lines = end.log.having("output", job=name)
    assert [r["msg"] for r in lines] == [
        text.replace("{x}", str(x)) for x in range(N) for text in setup.printed
    ]
    each = len(setup.printed)
    assert [r["item"] for r in lines] == [
        item.replace("NAME", name) for item in items for _ in range(each)
    ]


@pytest.mark.parametrize("name", [name for name, setup in SETUPS.items() if setup.files])
def test_the_program_s_own_files_are_as_without_mporch(runs, tmp_path, name):
    _, folder = runs("forkserver", "item")
    (tmp_path / f"{name}.py").write_text(SETUPS[name].code)
    subprocess.run(
        [sys.executable, "-c", f"import {name} as m\nfor x in range({N}): m.work(x)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    for file in SETUPS[name].files:
        alone = (tmp_path / file).read_text()
        assert alone
        assert _without_places(folder / file) == _without_places(tmp_path / file)


def _without_places(path: Path) -> str:
    """The folders are not the same, and with them the files in a traceback."""
    return re.sub(r'File "[^"]*/', 'File "', path.read_text())


def test_there_are_forty_of_them():
    assert len(SETUPS) >= 40
