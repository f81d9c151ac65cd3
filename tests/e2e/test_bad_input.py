"""Whatever is wrong ends in one clear message: which job, where, whose code, and what to do."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from e2e_runs import Ran

TARGETS = Path(__file__).with_name("bad_targets.py")
LINES = TARGETS.read_text().splitlines()
OURS = str(Path(__file__).parents[2] / "orchestrator")
COMMAND = Path(sys.executable).with_name("mporch")
PYTHON = COMMAND.read_text().splitlines()[0].removeprefix("#!")
LOCK = "which cannot be pickled: cannot pickle '_thread.lock' object"
UNPICKLABLE = "orchestrator.UnpicklableItemError"

# What the job is, what its failure is called, what its message holds.
CASES = {
    "raises": ("task", "ValueError", "boom"),
    "exits_with_3": ("task", "SystemExit", "sys.exit(3)"),
    "exits_with_words": ("task", "SystemExit", "sys.exit('last words')"),
    "aborts": ("task", "Crash", "Aborted"),
    "half_way": ("source", "RuntimeError", "half-way"),
    "none": ("source", "TypeError", "not None (is a `return` missing?)"),
    "text": ("source", "TypeError", "not str (to emit it as one item, yield it)"),
    "mapping": ("source", "TypeError", "an iterable of items, not dict"),
    "number": ("source", "TypeError", "an iterable of items, not int"),
    "unpicklable_source": ("source", UNPICKLABLE, "gave back a function, which cannot be pickled"),
    "raises_for_the_item": ("item", "KeyError", "1"),
    "exits_in_an_item": ("item", "SystemExit", "sys.exit(0)"),
    "interrupts": ("item", "KeyboardInterrupt", ""),
    "ends_an_iteration": ("item", "StopIteration", ""),
    "ends_a_generator": ("item", "GeneratorExit", ""),
    "speechless": ("item", "bad_targets.Speechless", "(its str() raised RuntimeError)"),
    "stuck": ("item", "bad_targets.Stuck", "stuck"),
    "deep_cause": ("item", "ValueError", "next"),
    "group": ("item", "ExceptionGroup", "several (2 sub-exceptions)"),
    "recursion": ("item", "RecursionError", "maximum recursion depth exceeded"),
    "takes_nothing": ("item", "TypeError", "takes 0 positional arguments but 1 was given"),
    "coroutine": ("item", "TypeError", "the target is a coroutine function"),
    "segfaults": ("item", "Crash", "Segmentation fault"),
    "gives_a_lock": ("pipe", UNPICKLABLE, f"gave back a _thread.lock, {LOCK}"),
    "yields_a_lock": ("pipe", UNPICKLABLE, f"gave back a _thread.lock, {LOCK}"),
    "batch_tuple": ("batch", "TypeError", "gives back None, a list or a generator, not tuple"),
    "batch_lock": ("batch", UNPICKLABLE, f"gave back a _thread.lock, {LOCK}"),
    "stream_lambda": ("stream", UNPICKLABLE, "gave back a function, which cannot be pickled"),
    "stream_raises": ("stream", "LookupError", "1"),
    "puts_a_lambda": ("put", UNPICKLABLE, "on queue 'puts_a_lambda_out', which cannot be pickled"),
    "BadInit": ("item", "OSError", "no connection"),
    "BadEnter": ("item", "OSError", "no entry"),
    "BadExit": ("item", "OSError", "no exit"),
    "EntersNothing": ("item", "TypeError", "makes a NoneType, which has no __call__"),
    "take": ("item of bombs", "RuntimeError", "exploded"),
    "take_batch": ("batch of bombs", "RuntimeError", "exploded"),
    "take_stream": ("stream of bombs", "RuntimeError", "exploded"),
    "take_handle": ("handle of bombs", "RuntimeError", "exploded"),
}
# Deaths that leave no words behind, and what is said of them.
DEATHS = {
    "os_exits": ("source", "exited with code 0 before its work was done in bad_targets:os_exits"),
    "kills_itself": ("item", "killed by SIGKILL in bad_targets:kills_itself at item"),
}


def wired(name: str, shape: str, jobs: dict, queues: dict) -> None:
    """Add the job, and what it needs to the left and to the right."""
    source = "bombs" if "bombs" in shape else "one"
    job = {"target": f"bad_targets:{name}"}
    reads, writes = f"{name}_in", f"{name}_out"
    kind = shape.partition(" ")[0]
    if kind in {"item", "pipe", "batch", "stream", "handle"}:
        queues[reads] = 10
        jobs[f"{name}_source"] = {"target": f"bad_targets:{source}", "output": reads}
        job["input"] = {"q": reads} if kind == "handle" else reads
    if kind in {"batch", "stream"}:
        job["call"] = kind
    if kind in {"source", "pipe", "put"} or (kind in {"batch", "stream"} and source == "one"):
        queues[writes] = 10
        job["output"] = {"q": writes} if kind == "put" else writes
        jobs[f"{name}_sink"] = {"target": "bad_targets:take", "input": writes}
    jobs[name] = job


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Ran:
    """One run in which every job of CASES and DEATHS fails, and no failure stops the others."""
    project = tmp_path_factory.mktemp("bad")
    shutil.copy(TARGETS, project)
    jobs, queues = {}, {}
    for name, (shape, *_) in {**CASES, **DEATHS}.items():
        wired(name, shape, jobs, queues)
    spec = {"version": 1, "defaults": {"on_failure": "continue"}, "queues": queues, "jobs": jobs}
    (project / "jobs.yaml").write_text(yaml.safe_dump(spec))
    done = mporch(project, "run", "--run-dir", "d", timeout=100)
    assert done.returncode == 1, done.stderr
    return Ran(
        exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr, run_dir=project / "d"
    )


def mporch(cwd, *args, timeout=60):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MPORCH_")}
    return subprocess.run(
        [COMMAND, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def line_of(name: str) -> int:
    """The line marked in a target, else the one that defines it."""
    start = next(n for n, line in enumerate(LINES) if re.match(rf"(def|class) {name}\b", line))
    for n, line in enumerate(LINES[start + 1 :], start + 1):
        if line and not line[0].isspace():
            break
        if "# here" in line:
            return n + 1
    return start + 1


@pytest.mark.parametrize("name", CASES)
def test_a_failure_names_its_job_its_place_and_the_users_own_traceback(ran, name):
    shape, kind, words = CASES[name]
    assert ran.statuses()[name] == "failed"
    failure = next(r for r in ran.events if r.get("job") == name and "error_type" in r)
    assert (failure["error_type"], failure["worker"]) == (kind, f"{name}-1")
    assert words in failure.get("error", "")
    line = line_of("explode" if "bombs" in shape else name)
    assert failure["where"] == f"{ran.run_dir.parent}/bad_targets.py:{line}"
    traceback = failure.get("traceback", "")
    assert OURS not in traceback
    if "def " not in LINES[line - 1]:
        assert f", line {line}, in " in traceback
    assert len(traceback) < 70_000


@pytest.mark.parametrize("name", DEATHS)
def test_a_death_without_words_names_the_job_and_how_it_died(ran, name):
    ended = ran.having("job.ended", job=name)[0]
    assert (ended["state"], DEATHS[name][1] in ended["reason"]) == ("failed", True)


def test_the_log_of_a_run_in_which_everything_fails_is_whole(ran):
    assert (ran.events[0]["event"], ran.events[-1]["event"]) == ("run.started", "run.ended")
    assert ran.events[-1]["exit_code"] == ran.summary["exit_code"] == 1
    for name, queue in ran.summary["queues"].items():
        ends = sum(queue[end] for end in ("done", "skipped", "dropped", "dead", "left"))
        assert queue["put"] == ends, name


def test_no_traceback_of_mporch_reaches_the_screen(ran):
    ours = [line for line in ran.stderr.splitlines() if OURS in line and " | " not in line]
    assert ours == []


def test_the_screen_tells_a_failure_once_as_it_happens_and_once_at_the_end(tmp_path):
    shutil.copy(TARGETS, tmp_path)
    (tmp_path / "jobs.yaml").write_text("version: 1\njobs: {a: {target: 'bad_targets:raises'}}\n")
    done = mporch(tmp_path, "run")
    line = line_of("raises")
    told = f"ValueError: boom ({tmp_path}/bad_targets.py:{line})"
    assert done.stderr.count(told) == 2
    assert f"mporch: error: a-1 failed with exit code 1: {told}\n" in done.stderr
    *_, last = done.stderr.partition(f"\na-1: {told}\n")
    assert last.startswith(
        "  Traceback (most recent call last):\n"
        f'    File "{tmp_path}/bad_targets.py", line {line}, in raises\n'
    )
    assert last.endswith("\n  ValueError: boom\n")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("x = 1 / 0", "ZeroDivisionError: division by zero ({module}:1)"),
        ("import sys\nsys.exit(0)", "SystemExit: sys.exit(0) ({module}:2)"),
        (
            "import not_there_at_all",
            "ModuleNotFoundError: No module named 'not_there_at_all'"
            f" (looked for by {PYTHON}) ({{module}}:1)",
        ),
    ],
)
def test_a_module_that_cannot_be_imported_fails_its_job(tmp_path, module, said):
    (tmp_path / "mine.py").write_text(f"{module}\ndef f(): pass\n")
    (tmp_path / "jobs.yaml").write_text("version: 1\njobs: {a: {target: 'mine:f'}}\n")
    done = mporch(tmp_path, "run", "--run-dir", "d")
    assert done.returncode == 1
    assert f"a-1: {said.format(module=tmp_path / 'mine.py')}\n" in done.stderr
    assert OURS not in done.stderr
    last = (tmp_path / "d" / "log.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["event"] == "run.ended"


JOB = "version: 1\njobs:\n  a: {target: '%s'}\n"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (None, "jobs.yaml:1:1: error: "),
        ("", "jobs.yaml:1:1: error: "),
        ("- a\n- b\n", "jobs.yaml:1:1: error: "),
        ("version: 1\njobs: {a: [\n", "error: "),
        ("version: 1\njobs: {a: 3}\n", "jobs.yaml:2:11: error: "),
        ("version: 1\njobs: {a: {target: 'mine:f', workers: two}}\n", "jobs.yaml:2:39: error: "),
        (JOB % "nowhere:f", f"{PYTHON}"),
        (JOB % "mine:g", "mine has no g"),
        (JOB % "mine:number", "mine.number cannot be called"),
        (JOB % "mine:later", "mine.later is a coroutine function"),
        (JOB % "torn:f", f"torn is not Python for {PYTHON}"),
    ],
)
def test_a_wrong_spec_is_told_with_its_place_and_nothing_runs(tmp_path, spec, said):
    (tmp_path / "mine.py").write_text("number = 3\ndef f(): pass\nasync def later(): pass\n")
    (tmp_path / "torn.py").write_text("def f(:\n")
    if spec is not None:
        (tmp_path / "jobs.yaml").write_text(spec)
    done = mporch(tmp_path, "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert re.match(r"jobs\.yaml:\d+:\d+: error: ", done.stderr), done.stderr
    assert not (tmp_path / ".mporch").exists()


def test_a_folder_is_no_spec(tmp_path):
    done = mporch(tmp_path, "run", ".")
    assert done.returncode == 2
    assert "directory" in done.stderr
    assert "Traceback" not in done.stderr
