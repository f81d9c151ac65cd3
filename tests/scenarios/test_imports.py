"""`validate --import`: each target is imported in a process of its own, and its end is told."""

import os
import select
import signal
import time

import pytest

from orchestrator.app.import_check.problems import import_problems
from orchestrator.console.checking import check_imports, check_spec
from orchestrator.machine.machine import this_machine
from orchestrator.plan.checks.targets import imported_targets
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import load

WORK = "def work(): ...\n"


def wanted(spec):
    machine = this_machine()
    return imported_targets(spec, compile_spec(spec, machine).plan, machine)


@pytest.fixture
def told(tmp_path):
    """Import `mine:work` of a module of this text; returns the problems."""

    def tell(text, job="", timeout_s=60.0, folder=tmp_path):
        (folder / "mine.py").write_text(text)
        (folder / "jobs.yaml").write_text(f"version: 1\njobs:\n  a: {{target: mine:work{job}}}\n")
        spec = load(folder / "jobs.yaml")
        return list(import_problems(spec, wanted(spec), timeout_s=timeout_s))

    return tell


def only(problems):
    (problem,) = problems
    return problem


def test_nothing_is_said_of_a_module_that_imports(told):
    assert told(WORK) == []


def test_what_an_import_raises_is_told_with_the_users_traceback(told, tmp_path):
    problem = only(told("def deep():\n    raise RuntimeError('no licence')\ndeep()\n" + WORK))
    assert (problem.code, problem.line, problem.column) == ("MP651", 3, 15)
    assert f"raises RuntimeError: no licence ({tmp_path / 'mine.py'}:2)" in problem.message
    assert 'mine.py", line 3, in <module>' in problem.traceback
    assert "orchestrator" not in problem.traceback


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import sys; sys.exit(3)", "raises SystemExit: sys.exit(3)"),
        ("import os; os._exit(0)", "ends its process with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "kills its process: SIGKILL"),
        ("raise KeyboardInterrupt", "raises KeyboardInterrupt"),
        ("import gone", "raises ModuleNotFoundError: No module named 'gone'"),
        ("import os; os.closerange(3, 64); os._exit(1)", "ends its process with exit code 1"),
    ],
)
def test_whichever_way_an_import_ends_its_process_is_told(told, statement, message):
    problem = only(told(f"{statement}\n{WORK}"))
    assert problem.code == "MP651"
    assert message in problem.message


def test_a_crash_is_told_with_the_place_in_the_users_code(told):
    text = "import ctypes\ndef crash():\n    ctypes.string_at(0)\ncrash()\n"
    problem = only(told(text + WORK))
    assert "SIGSEGV" in problem.message
    assert 'mine.py", line 3 in crash' in problem.traceback


def test_an_import_that_hangs_is_ended_and_told_with_its_place(told):
    began = time.monotonic()
    problem = only(told("import signal\nsignal.pause()\n" + WORK, timeout_s=3.0))
    assert time.monotonic() - began < 60
    assert "takes longer than 3 s" in problem.message
    assert 'mine.py", line 2 in <module>' in problem.traceback


def test_the_jobs_own_time_to_start_bounds_its_import(told):
    text = "import signal\nsignal.pause()\n" + WORK
    assert "longer than 2 s" in only(told(text, job=", timeouts: {start: 2s}")).message


def test_what_is_printed_is_told_and_made_harmless(told):
    problem = only(told("print('\\x1b[31mhello')\n" + WORK))
    assert problem.code == "MP652"
    assert "\\x1b[31mhello" in str(problem)
    assert "\x1b" not in str(problem)


def test_an_import_that_prints_for_ever_is_ended_and_little_of_it_kept(told):
    problems = told("while True:\n    print('x' * 10_000)\n" + WORK, timeout_s=3.0)
    assert [problem.code for problem in problems] == ["MP652", "MP651"]
    assert all(len(str(problem)) < 2000 for problem in problems)


def test_processes_that_an_import_leaves_behind_are_gone(told, tmp_path):
    text = (
        "import os, pathlib, signal\npid = os.fork()\nif not pid:\n    signal.pause()\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(pid))\n"
    )
    assert told(text + WORK) == []
    try:
        pidfd = os.pidfd_open(int((tmp_path / "pid").read_text()))
    except ProcessLookupError:
        return  # gone, and reaped by its new parent
    with open(pidfd) as process:  # noqa: PTH123 -- a descriptor
        ready, _, _ = select.select([process], [], [], 20)
        if not ready:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert ready


def test_the_module_is_imported_as_a_worker_would(told, tmp_path):
    (tmp_path / "sub").mkdir()
    text = (
        "import os, resource\n"
        "assert os.environ['HOW'] == 'so', os.environ.get('HOW')\n"
        f"assert os.getcwd() == {str(tmp_path / 'sub')!r}\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 40\n"
        f"assert __name__ == 'mine'\n{WORK}"
    )
    assert told(text, job=", env: {HOW: so}, cwd: sub, limits: {open_files: 40}") == []


@pytest.mark.parametrize(
    ("text", "job", "code", "message"),
    [
        ("@decorate\ndef work(a): ...", "", "MP610", "needs a, which nothing gives"),
        ("@decorate\ndef work(): ...", ", args: [1]", "MP611", "has no place for args[0]"),
        ("@decorate\ndef work(a=1): ...", ", kwargs: {b: 1}", "MP612", "has no parameter b"),
        ("@wrapped\ndef work(a): ...", "", "MP654", "needs a, which nothing gives"),
        ("@decorate\nasync def work(): ...", "", "MP604", "is a coroutine function"),
        ("@decorate\nclass work: ...", "", "MP605", "makes cannot be called"),
        ("@decorate\nclass work:\n    def __init__(self, a): ...\n    def __call__(self): ...",
         "", "MP610", "work.__init__"),
        ("@decorate\nclass work:\n    def __call__(self, a): ...", "", "MP610", "work.__call__"),
        ("@decorate\ndef work(): ...\nglobals().pop('work')", "", "MP603", "mine has no work"),
        ("work = decorate(3)", "", "MP605", "cannot be called"),
        ("@unnamed\ndef work(): ...", "", "MP653", "cannot be named by pickle"),
    ],
)  # fmt: skip
def test_what_the_text_did_not_tell_is_told_once_it_is_imported(told, text, job, code, message):
    head = (
        "import functools\ndef decorate(f): return f\n"
        "def wrapped(f):\n    @functools.wraps(f)\n"
        "    def call(*a, **k): return f(*a, **k)\n    return call\n"
        "def unnamed(f):\n    return lambda: f()\n"
    )
    problem = only(told(f"{head}{text}\n", job=job))
    assert problem.code == code
    assert message in problem.message


def test_a_module_is_imported_once_for_all_its_jobs(tmp_path):
    (tmp_path / "mine.py").write_text(
        f"open({str(tmp_path / 'times')!r}, 'a').write('x')\ndef a(): ...\ndef b(): ...\n"
    )
    jobs = "a: {target: mine:a}, b: {target: mine:b}, c: {target: mine:a}"
    (tmp_path / "jobs.yaml").write_text(f"version: 1\njobs: {{{jobs}}}\n")
    spec = load(tmp_path / "jobs.yaml")
    assert list(import_problems(spec, wanted(spec), timeout_s=60.0)) == []
    assert (tmp_path / "times").read_text() == "x"


def test_a_spec_with_errors_has_nothing_of_it_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n{WORK}")
    (tmp_path / "jobs.yaml").write_text("version: 1\njobs: {a: {target: 'mine:work', x: 1}}\n")
    checked = check_imports(check_spec("jobs.yaml"), timeout_s=60.0)
    assert [problem.code for problem in checked.problems] == ["MP201"]
    assert not (tmp_path / "ran").exists()


def test_a_failed_import_makes_the_spec_one_that_would_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(f"raise KeyError\n{WORK}")
    (tmp_path / "jobs.yaml").write_text("version: 1\njobs: {a: {target: 'mine:work'}}\n")
    checked = check_imports(check_spec("jobs.yaml"), timeout_s=60.0)
    assert (checked.ok(), checked.errors) == (False, 1)
    (problem,) = checked.as_data()["problems"]
    assert problem["traceback"].endswith("KeyError\n")
