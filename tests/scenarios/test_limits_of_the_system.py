"""What the system refuses, processes, threads, memory, a directory, is told by its name."""

import os
import resource
import shutil
import subprocess
import textwrap
from pathlib import Path

import psutil
import pytest
from life_runs import COMMAND

SPEC = """
version: 1
queues: {q: 10, r: 10}
jobs:
  src: {target: "m:src", output: q}
  work: {target: "m:work", input: q, output: r}
  end: {target: "m:end", input: r}
"""
CODE = """
def src():
    yield from range(5)
def work(x):
    return x
def end(x):
    pass
"""
CAPABILITIES = "-all,+dac_read_search,+dac_override"
NOBODY_ELSE = 54321
"""A user that has no process but those of the test."""

as_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, and setpriv"
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "jobs.yaml").write_text(SPEC)
    (tmp_path / "m.py").write_text(CODE)
    return tmp_path


def run(project, *before):
    return subprocess.run(
        [*before, COMMAND, "run", "--run-dir", "run"],
        cwd=project,
        env={**os.environ, "HOME": str(project)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def with_processes(project, n):
    """As a user who may have n processes and threads, but may read where Python is."""
    caps = [f"--{where}={CAPABILITIES}" for where in ("inh-caps", "ambient-caps", "bounding-set")]
    user = [f"--reuid={NOBODY_ELSE}", "--clear-groups", *caps]
    return run(project, "setpriv", *user, "prlimit", f"--nproc={n}:{n}")


@as_another_user
@pytest.mark.parametrize("n", range(2, 10))
def test_a_limit_of_processes_that_is_met_by_anybody_is_named(project, n):
    """By guard, tracker, forkserver, a worker's process or a thread in it, as it happens."""
    done = with_processes(project, n)
    if done.returncode != 0:
        assert done.returncode == 1
        told = done.stderr.splitlines()[-1]
        assert f"the limit of processes and threads is reached (ulimit -u is {n}" in told
    assert "Traceback" not in done.stderr
    assert "os._exit" not in done.stderr
    assert "killed from outside" not in done.stderr
    assert n > 6 or done.returncode == 1


@as_another_user
def test_a_guard_that_cannot_make_its_orchestrator_says_why(project):
    done = with_processes(project, 1)
    assert done.returncode == 71
    assert "(ulimit -u is 1, " in done.stderr
    assert "bug" not in done.stderr


def test_an_orchestrator_without_memory_is_no_bug(begin):
    run = begin(
        """
        queues: {q: 10}
        jobs:
          src: {target: "t:src", output: q, limits: {memory: 8GiB}}  # so it gives them in band
          end: {target: "t:end", input: q}
        """,
        """
        import os

        def src():
            os.mkfifo("go")
            print("waiting")
            open("go").read()
            for _ in range(10):
                yield b"x" * (100 << 20)

        def end(item):
            pass
        """,
    )
    run.said("waiting")
    size = psutil.Process(run.orchestrator).memory_info().vms
    resource.prlimit(run.orchestrator, resource.RLIMIT_AS, (size + (20 << 20),) * 2)
    (run.folder / "go").write_text("")
    ended = run.end()
    assert ended.exit_code == 71
    assert "mporch: error: mporch itself got no more memory" in ended.stderr
    assert "bug" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("method", ["forkserver", "fork", "spawn"])
@pytest.mark.parametrize(
    ("cwd", "why"),
    [
        ("/nowhere/x", "FileNotFoundError: No such file or directory: cwd '/nowhere/x'"),
        ("jobs.yaml", "NotADirectoryError: Not a directory: cwd '"),
        ("gone", "FileNotFoundError: No such file or directory: cwd '"),
    ],
)
def test_a_folder_that_cannot_be_entered_is_told_for_what_it_is(project, cwd, why, method):
    (project / "gone").mkdir()
    (project / "jobs.yaml").write_text(
        textwrap.dedent(
            f"""
            version: 1
            jobs:
              first: {{target: "m:remove"}}
              then: {{target: "m:src", cwd: {cwd}, start_method: {method}, after: first}}
            """
        )
    )
    (project / "m.py").write_text(CODE + "def remove():\n    import os; os.rmdir('gone')\n")
    done = run(project)
    assert done.returncode == 1
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("then-1: "))
    assert told.startswith(f"then-1: {why}")
    assert "os._exit" not in done.stderr


def test_a_folder_that_may_not_be_entered_is_told_for_what_it_is(project):
    if os.geteuid() == 0:
        pytest.skip("root may enter any")
    Path(project / "shut").mkdir(mode=0)
    (project / "jobs.yaml").write_text(SPEC.replace('"m:src"', '"m:src", cwd: shut'))
    assert "PermissionError: Permission denied: cwd '" in run(project).stderr


@pytest.mark.parametrize(("most", "told"), [(0, "ulimit -f is 0"), (100, "File too large")])
def test_the_limit_of_the_size_of_a_file_is_named(project, most, told):
    done = run(project, "prlimit", f"--fsize={most}:{most}")
    assert done.returncode == 74
    assert told in done.stderr
    assert "hint: raise the limit of the size of a file: ulimit -f unlimited" in done.stderr


def test_a_run_that_can_write_no_word_about_that_has_its_exit_code(project):
    with (project / "said").open("wb") as said:
        done = subprocess.run(
            ["prlimit", "--fsize=0:0", COMMAND, "run", "--run-dir", "run"],
            cwd=project,
            stdout=said,
            stderr=said,
            timeout=60,
            check=False,
        )
    assert done.returncode == 74


@pytest.mark.parametrize("words", [["nosuch"], ["show", "nosuch"], ["-z"]])
def test_an_error_that_finds_its_standard_error_full_has_its_exit_code(project, words):
    with Path("/dev/full").open("wb") as full:
        codes = [
            subprocess.run(
                [COMMAND, *words],
                cwd=project,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                timeout=60,
                check=False,
            ).returncode
            for stderr in (subprocess.DEVNULL, full)
        ]
    assert codes == [2, 2]
