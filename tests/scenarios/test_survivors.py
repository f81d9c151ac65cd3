"""Processes that cannot be killed, or flee: the first are told of, the others are caught."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from life_runs import COMMAND, until

NOBODY_ELSE = 54322
"""A user that has no process but those of the test."""

CAPABILITIES = "-all,+dac_read_search,+dac_override"
"""It may read where Python is."""

SUSLEEP = """
#include <fcntl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (setuid(0)) return 3;
    if (argc > 2) setsid();
    close(open("there", O_CREAT | O_WRONLY, 0644));
    alarm(argc > 1 ? atoi(argv[1]) : 300);
    for (;;) pause();
}
"""
FLEEING = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>
#include <time.h>
int main(int argc, char **argv) {
    int many = atoi(argv[1]), pause_us = atoi(argv[2]);
    time_t until = time(0) + 15;  /* longer than any sweep, lest a fault fill the machine */
    for (int i = 0; i < many; i++)
        if (fork() == 0)
            while (time(0) < until) {
                setsid();
                if (pause_us) usleep(pause_us);
                if (fork() != 0) _exit(0);
            }
    return 0;
}
"""

ENDS = """
import os, time

def ends():
    while not os.path.exists("there"):
        time.sleep(0.01)
    raise ValueError("enough")
"""

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
as_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None or shutil.which("cc") is None,
    reason="needs root, setpriv and a C compiler",
)


def compiled(folder, name, source):
    (folder / f"{name}.c").write_text(f"#include <stdlib.h>\n{source}")
    subprocess.run(["cc", "-o", str(folder / name), str(folder / f"{name}.c")], check=True)
    return folder / name


class Project:
    """A folder of another user's, with a program that takes root's rights."""

    def __init__(self, folder):
        self.folder = folder
        folder.chmod(0o755)
        compiled(folder, "susleep", SUSLEEP).chmod(0o4755)
        if not _takes_roots_rights(folder / "susleep"):
            pytest.skip("setuid programs have no effect here (nosuid)")
        os.chown(folder, NOBODY_ELSE, NOBODY_ELSE)

    def run(self, spec, code=""):
        """Run it as that user; returns how it ended, and how long that took."""
        (self.folder / "jobs.yaml").write_text("version: 1\n" + textwrap.dedent(spec))
        (self.folder / "t.py").write_text(textwrap.dedent(code))
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        begun = time.monotonic()
        done = subprocess.run(
            [
                *("setpriv", f"--reuid={NOBODY_ELSE}", f"--regid={NOBODY_ELSE}", "--clear-groups"),
                *(f"--inh-caps={CAPABILITIES}", f"--ambient-caps={CAPABILITIES}"),
                *("--", COMMAND, "run", "--run-dir", "run"),
            ],
            cwd=self.folder,
            env={**os.environ, "HOME": str(self.folder), "TMPDIR": "/tmp"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done, time.monotonic() - begun

    def left(self):
        """The pids of the programs that are still there."""
        return sorted(
            p.pid
            for p in psutil.process_iter(["exe"])
            if p.info["exe"] and p.info["exe"].startswith(str(self.folder))
        )

    def events(self, name):
        lines = (self.folder / "run" / "log.jsonl").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == name]

    def summary(self):
        return json.loads((self.folder / "run" / "summary.json").read_text())

    def close(self):
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.left(), "the end of what the test has left")
        shutil.rmtree(self.folder)


def _takes_roots_rights(program):
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY_ELSE}", "--clear-groups", "timeout", "2", program, "1"],
        cwd=program.parent,
        check=False,
    )
    (program.parent / "there").unlink(missing_ok=True)
    return done.returncode != 3


@pytest.fixture
def project():
    one = Project(Path(tempfile.mkdtemp(prefix="survivors-", dir="/tmp")))
    yield one
    one.close()


def assert_told(project, done, *, code):
    """Whoever is left is named on the screen, in the log and in the summary."""
    left = project.left()
    assert left, done.stderr
    assert done.returncode == code, done.stderr
    for pid in left:
        assert f"susleep (pid {pid}, of root)" in done.stderr
    (record,) = project.events("run.survived")
    assert record["level"] == "error"
    expected = [{"pid": pid, "command": "susleep", "user": "root"} for pid in left]
    assert record["processes"] == expected
    summary = project.summary()
    assert (summary["survivors"], summary["exit_code"]) == (expected, code)
    assert "mporch/" not in done.stderr
    assert done.stderr.count("could not be killed, and outlive") == 1


@as_another_user
@pytest.mark.parametrize("arguments", [["100", "apart"], ["100"]], ids=["session", "group"])
def test_a_program_that_a_target_has_left_and_that_nobody_may_kill_is_told_of(project, arguments):
    code = f"""
        import os, subprocess, time
        def go():
            subprocess.Popen(["./susleep", *{arguments!r}])
            while not os.path.exists("there"):
                time.sleep(0.01)
        """
    done, _ = project.run('jobs: {a: {target: "t:go"}}', code)
    assert_told(project, done, code=1)
    assert project.summary()["jobs"]["a"]["status"] == "succeeded"
    assert project.summary()["reason"] == "1 of its processes could not be killed"


@as_another_user
def test_a_run_that_has_failed_keeps_its_own_code(project):
    code = """
        import os, subprocess, time
        def go():
            for _ in range(2):
                subprocess.Popen(["./susleep", "100"])
            while not os.path.exists("there"):
                time.sleep(0.01)
            time.sleep(0.2)
            raise ValueError("bad")
        """
    done, _ = project.run('jobs: {a: {target: "t:go"}}', code)
    assert_told(project, done, code=1)
    assert "ValueError: bad" in project.summary()["reason"]


@as_another_user
@pytest.mark.parametrize("arguments", ["'100', apart", "'100'"], ids=["session", "group"])
def test_a_command_that_may_not_be_signalled_does_not_use_up_the_grace(project, arguments):
    a = f"{{command: [./susleep, {arguments}], terminate: {{grace: 50s}}}}"
    done, took_s = project.run(f'jobs: {{a: {a}, b: {{target: "t:ends"}}}}', ENDS)
    assert_told(project, done, code=1)
    assert took_s < 30
    assert [event["signal"] for event in project.events("signal.sent")] == ["SIGTERM"]


@as_another_user
def test_a_worker_that_has_become_such_a_program_is_given_up_at_once(project):
    code = """
        def go():
            os.execv("./susleep", ["susleep", "100"])
        """
    a = '{target: "t:go", terminate: {grace: 50s}}'
    code = ENDS + textwrap.dedent(code)
    done, took_s = project.run(f'jobs: {{a: {a}, b: {{target: "t:ends"}}}}', code)
    assert_told(project, done, code=1)
    assert took_s < 30
    (warning,) = project.events("warning")
    assert "can neither be stopped nor killed" in warning["msg"]
    assert "belongs to another user" in warning["hint"]
    assert project.summary()["jobs"]["a"]["status"] == "killed"


def test_a_command_that_has_left_its_group_hears_of_the_stop(begin):
    told = 'trap "echo told; exit 0" TERM; touch there; while :; do sleep 0.05; done'
    ended = begin(
        f"""
        jobs:
          a: {{command: [setsid, sh, -c, {json.dumps(told)}], terminate: {{grace: 50s}}}}
          b: {{target: "t:ends"}}
        """,
        ENDS,
    ).end(within_s=30)
    assert ended.exit_code == 1
    assert ended.log.printed("a-1") == ["told"]
    assert [record["signal"] for record in ended.log.having("signal.sent")] == ["SIGTERM"]


@as_another_user
def test_one_that_ends_by_itself_a_moment_later_is_none(project):
    code = """
        import subprocess, time
        def go():
            subprocess.Popen(["./susleep", "1"])
            time.sleep(0.8)
        """
    done, _ = project.run('jobs: {a: {target: "t:go"}}', code)
    assert (done.returncode, project.left()) == (0, [])
    assert project.summary()["survivors"] == []


@needs_compiler
@pytest.mark.parametrize("pause_us", [0, 200])
def test_processes_that_flee_by_forking_are_caught(begin, tmp_path, pause_us):
    """Each forks, its parent exits, it leaves session and group: faster than /proc can be read."""
    program = compiled(tmp_path, "fleeing", FLEEING)
    ended = begin(
        'jobs: {a: {target: "t:go"}}',
        f"""
        import subprocess, time
        def go():
            subprocess.run([{str(program)!r}, "8", "{pause_us}"], check=True)
            time.sleep(0.2)
        """,
    ).end()
    assert (ended.exit_code, ended.summary["survivors"]) == (0, [])


def test_a_family_in_which_each_starts_another_for_one_that_dies_is_caught(begin):
    """They are stopped before the first is killed, so nobody hears of a death."""
    ended = begin(
        'jobs: {a: {target: "t:go"}}',
        """
        import os, signal, time
        def keeper(depth):
            os.setsid()
            while True:
                pid = os.fork()
                if pid == 0 and depth:
                    keeper(depth - 1)
                if pid == 0:
                    signal.pause()
                os.waitpid(pid, 0)
        def go():
            for _ in range(4):
                if os.fork() == 0:
                    keeper(3)
            time.sleep(0.3)
        """,
    ).end()
    assert (ended.exit_code, ended.summary["survivors"]) == (0, [])
