"""What targets leave or take away: directories, sessions, progress bars, alarms."""

import subprocess

import pytest
from life_runs import COMMAND

ONE = 'jobs: {a: {target: "t:a"}}'


def test_a_working_directory_that_is_removed_meanwhile_changes_nothing_but_paths(begin, tmp_path):
    """The run's own directory lies elsewhere."""
    project, elsewhere = tmp_path / "project", tmp_path / "run"
    project.mkdir()
    (project / "jobs.yaml").write_text("version: 1\njobs: {a: {target: 't:a'}}\n")
    (project / "t.py").write_text(f"import shutil\ndef a(): shutil.rmtree({str(project)!r})\n")
    done = subprocess.run(
        [COMMAND, "run", "--run-dir", elsewhere],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(elsewhere).lstrip("/") in done.stderr
    assert not project.exists()


@pytest.mark.parametrize("command", [["runs"], ["show", "last"], ["logs"], ["doctor"]])
def test_a_command_in_a_directory_that_is_gone_says_so(tmp_path, command):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir ../gone && exec "$0" "$@"', COMMAND, *command],
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2,
        "mporch: error: the working directory is not there any more",
    )


def test_a_worker_leads_its_group_so_a_session_needs_a_fork_and_what_is_in_it_ends_with_the_run(
    ran,
):
    end = ran(
        ONE,
        """
        import os, subprocess

        def a():
            try:
                os.setsid()
            except PermissionError:
                print("leads a group")
            os.setpgrp()
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            if os.fork() == 0:
                os.setsid()
                os.execvp("sleep", ["sleep", "1000"])
        """,
    )
    assert end.exit_code == 0, end.stderr
    assert end.log.printed("a-1") == ["leads a group"]


def test_the_bars_of_a_long_progress_are_shown_whole(ran):
    end = ran(
        ONE,
        r"""
        import sys

        def a():
            for i in range(3001):
                sys.stderr.write(f"\r{i:4}/3000 |{'#' * (i // 60):50}|")
            sys.stderr.write("\n")
        """,
    )
    shown = [line for line in end.stderr.splitlines() if line.startswith("a-1 | ")]
    assert shown, "what was drawn over before may be dropped"
    for line in shown:
        done = int(line.removeprefix("a-1 | ").partition("/")[0])
        assert line == f"a-1 | {done:4}/3000 |{'#' * (done // 60):50}|"
    assert done == 3000


def test_an_alarm_that_comes_when_its_target_has_returned_fails_the_job_by_its_own_words(ran):
    """Whose item it belongs to nobody knows: what was finished stays so, what was not is left."""
    end = ran(
        """
        queues: {q: 10}
        jobs:
          src: {target: "t:src", output: q}
          item: {target: "t:item", input: q, retry: {attempts: 5}, on_error: skip}
        """,
        """
        import os, signal, time

        class Late(Exception):
            pass

        def src():
            os.mkfifo("fifo")
            yield 1
            open("fifo").read()

        def late(*_):
            raise Late("too late")

        def item(n):
            signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
        """,
    )
    assert end.exit_code == 1
    assert end.ledger("q") == {"put": 1, "done": 1}
    assert "item-1: t.Late: too late" in end.stderr
    assert "mporch/runtime" not in end.stderr


def test_an_alarm_after_the_end_of_a_worker_is_nobodys(ran):
    end = ran(
        ONE,
        """
        import signal

        def a():
            signal.setitimer(signal.ITIMER_REAL, 1000)
        """,
    )
    assert end.exit_code == 0, end.stderr
