"""Workers as real processes, by each start method."""

import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from os_deadlines import all_ended, pidfds, receive, wait_readable
from os_orchestrators import command, environment, made, open_files, orchestrate, unmarked

from orchestrator.engine.node.capture import drain
from orchestrator.engine.node.helpers import ForkServer
from orchestrator.engine.node.process import ProcessFactory
from orchestrator.ipc.cell import Cell
from orchestrator.kernel import limits
from orchestrator.kernel.descendants import children
from orchestrator.plan.model import StartMethod

HERE = str(Path(__file__).parent)

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    ForkServer([]).close()  # one that an earlier test left has that test's environment
    factory = ProcessFactory(
        directory=str(tmp_path_factory.mktemp("mp")), environment={"PYTHONHASHSEED": "7"}
    )
    yield factory
    factory.close()


@pytest.fixture(params=list(StartMethod), ids=lambda method: method.value, scope="module")
def method(request):
    return request.param


class Starter:
    """Starts workers and sees to their end."""

    def __init__(self, factory):
        self.factory = factory
        self.workers = []

    def __call__(self, main, method, *, name="parse-1", payload=b"", **more):
        worker = made(
            self.factory,
            name=name,
            method=method,
            main=f"os_workers:{main}",
            payload=payload,
            pythonpath=[HERE],
            **more,
        )
        self.workers.append(worker)
        return worker

    def close(self):
        while self.workers:
            worker = self.workers.pop()
            worker.kill_group()
            wait_readable(worker.death_fd)
            worker.exit_code()
            worker.close()
            worker.sock.close()


@pytest.fixture
def start(factory):
    starter = Starter(factory)
    yield starter
    starter.close()


def exit_code(worker):
    wait_readable(worker.death_fd)
    return worker.exit_code()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A file that the parent has open, at a high number too, and lets be inherited."""
    path = tmp_path_factory.mktemp("foreign") / "foreign"
    with path.open("w") as file:
        high = fcntl.fcntl(file, fcntl.F_DUPFD, 700)
        os.set_inheritable(file.fileno(), True)
        yield str(path)
        os.close(high)


@pytest.fixture(scope="module")
def seen(factory, method, foreign, tmp_path_factory):
    """What a worker reports of its surroundings."""
    os.environ["MPORCH_TEST_INHERITED"] = "yes"
    os.environ["MPORCH_TEST_UNSET"] = "no"
    held = signal.signal(signal.SIGTERM, lambda *_: None)
    directory = tmp_path_factory.mktemp("cwd")
    try:
        worker = made(
            factory,
            name="parse-1",
            method=method,
            main="os_workers:report",
            payload=b"the payload",
            env={"MPORCH_TEST_SET": "set", "MPORCH_TEST_UNSET": None},
            cwd=str(directory),
            pythonpath=["/before/everything", HERE],
        )
    finally:
        signal.signal(signal.SIGTERM, held)
        del os.environ["MPORCH_TEST_INHERITED"], os.environ["MPORCH_TEST_UNSET"]
    report = json.loads(receive(worker.sock))
    report["log"] = worker.log_sock.recv(100)
    report["cell"] = worker.cell[:4]
    report["wanted_cwd"] = str(directory)
    assert exit_code(worker) == 0
    worker.close()
    worker.sock.close()
    return report


def test_a_worker_gets_its_payload_log_socket_and_progress_cell(seen):
    assert (seen["payload"], seen["log"], seen["cell"]) == ("the payload", b"a record", b"seen")
    assert seen["blocking"] == [None, None]


def test_its_process_bears_its_name(seen):
    assert seen["name"] == "parse-1"


def test_its_stdin_is_dev_null(seen):
    assert seen["stdin"] == "/dev/null"


def test_it_is_in_a_process_group_of_its_own(seen):
    assert seen["own_group"]


def test_its_signals_are_as_python_starts_with_and_none_is_blocked(seen):
    assert seen["sigint"]
    assert seen["sigterm"]
    assert seen["blocked"] == []


def test_the_jobs_environment_lies_over_the_inherited_one(seen):
    env = seen["env"]
    assert env["MPORCH_TEST_SET"] == "set"
    assert env["MPORCH_TEST_INHERITED"] == "yes"
    assert "MPORCH_TEST_UNSET" not in env


def test_what_an_interpreter_is_started_with_does_not_show_in_the_environment(seen):
    assert "PYTHONHASHSEED" not in seen["env"] or "PYTHONHASHSEED" in os.environ
    assert "PYTHONSAFEPATH" not in seen["env"]


def test_it_runs_in_the_jobs_directory(seen):
    assert seen["cwd"] == seen["wanted_cwd"]


def test_the_pythonpath_comes_first(seen):
    assert seen["path"][:2] == ["/before/everything", HERE]


def test_its_own_descriptors_lie_above_those_a_target_opens(seen):
    assert min(seen["ours"]) >= 10
    cells = [int(fd) for fd, file in seen["files"].items() if "mporch-cell" in file]
    assert cells
    assert min(cells) >= 10


def test_it_holds_no_descriptor_of_anybody_else(seen, foreign):
    files = list(seen["files"].values())
    assert foreign not in files
    assert sum(file.startswith("socket:") for file in files) == 2
    assert len(files) < 20


def test_nothing_is_inherited_by_the_programs_it_starts(seen):
    assert seen["inheritable"] == []


def test_what_it_does_not_catch_is_told_as_python_does(seen):
    assert seen["excepthook"] == "excepthook of sys"


def test_it_has_not_imported_what_only_the_command_line_needs(seen, method):
    if method is not StartMethod.FORK:  # a forked process has whatever its parent had
        heavy = {"click", "rich", "pydantic", "yaml", "structlog", "psutil", "msgspec"}
        assert heavy.isdisjoint(seen["modules"])


@pytest.mark.parametrize("how", [0, 7, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGABRT])
def test_its_exit_code_or_signal_is_known(start, method, how):
    worker = start("leave", method, payload=str(how).encode())
    assert exit_code(worker) == how
    assert worker.exit_code() == how


def test_a_signal_reaches_the_process(start, method):
    worker = start("wait", method)
    assert receive(worker.sock) == b"running"
    assert not worker.has_ended()
    worker.signal(signal.SIGTERM)
    assert exit_code(worker) == -signal.SIGTERM
    worker.signal(signal.SIGTERM)  # to a dead one: nothing


def test_the_last_words_before_a_sigkill_are_captured_from_python_and_from_c(method):
    assert orchestrate("print_last_words", method.value) == {
        "exit_code": -signal.SIGKILL,
        "stdout": ["from C", "from Python: é"],
        "stderr": ["from Python's stderr"],
    }


def test_a_crash_leaves_a_stack_in_the_cell_and_prints_none(start, method):
    worker = start("crash", method)
    assert exit_code(worker) == -signal.SIGSEGV
    cell = Cell(worker.cell)
    assert b"in crash" in cell.stack()
    cell.words.release()
    assert drain(worker.stderr_fd) == b""


def test_a_target_that_closes_low_descriptors_does_not_touch_ours(start, method):
    worker = start("close_low_descriptors", method)
    assert receive(worker.sock) == b"still there"
    assert exit_code(worker) == 0
    assert worker.cell[:4] == b"seen"
    assert drain(worker.stdout_fd) == b""


def test_killing_its_group_takes_its_children_along(start, method):
    worker = start("with_child", method)
    with pidfds(int(receive(worker.sock))) as fds:
        worker.kill_group()
        assert exit_code(worker) == -signal.SIGKILL
        assert all_ended(fds, 10)


def test_the_group_of_a_dead_worker_can_be_killed(method):
    told = orchestrate("kill_group_of_the_dead", method.value)
    assert told == {"exit_code": 0, "child_alive_before": True, "child_ended": True}


def test_a_worker_does_at_its_end_what_is_its_own_and_nothing_for_its_parent(method):
    told = orchestrate("have_things_to_do_at_its_end", method.value)
    assert told == {
        "exit_code": 0,
        "seen": ["log", "own", "rows", "theirs"],
        "sizes": [0, 0, 4],
        "kept": True,
    }


def test_a_forkserver_that_was_started_ahead_makes_the_workers_and_is_replaced_if_it_dies():
    assert orchestrate("start_the_forkserver_ahead") == [[7, True], [7, False]]


def test_when_the_forkserver_is_killed_its_workers_deaths_are_known_for_what_they_are():
    told = orchestrate("kill_the_forkserver")
    assert told["exit_codes"] == [-signal.SIGKILL] * 2
    assert told["creator_died"] == [True, True]
    assert told["next"] == {"exit_code": 7, "creator_died": False, "new_forkserver": True}


def test_a_death_that_a_dead_forkserver_did_not_report_is_known_all_the_same():
    told = orchestrate("die_under_a_stopped_forkserver")
    assert told == {"untold": None, "then": -signal.SIGUSR1}


def test_a_forkserver_that_dies_while_it_starts_a_worker_is_told_and_replaced_at_the_next():
    told = orchestrate("kill_the_forkserver_during_a_start")
    assert told == ["its forkserver died while it was being started", 7]


def test_a_forkserver_that_another_hand_has_reaped_is_replaced():
    assert orchestrate("start_after_another_hand_has_reaped_the_forkserver") == 7


def test_a_forkserver_that_multiprocessing_has_started_by_itself_is_ours_all_the_same():
    """Else it would be reaped like a stranger when it dies, and never be replaced."""
    assert orchestrate("have_multiprocessing_replace_the_forkserver") == [True, 7, []]


def test_a_worker_killed_before_it_has_read_its_order_is_told_and_the_next_start_is_well():
    told = orchestrate("start_after_an_early_death")
    assert told == ["it died while it was being started", 7]


def test_a_forkserver_that_does_not_answer_is_killed_and_replaced_at_the_next_start():
    told = orchestrate("stop_the_forkserver_before_a_start")
    message = "its forkserver did not answer within 0.2 s and was killed"
    assert told == [message, 7, -signal.SIGKILL]


def test_nobody_waits_for_a_forkserver_that_is_asked_and_does_not_answer():
    """Its worker is there once it goes on; a long order is written as it reads."""
    told = orchestrate("ask_a_stopped_forkserver")
    assert told == {"waited": [True, True], "unwritten": [False, True], "codes": [7, 7]}


def test_a_forkserver_that_is_asked_by_one_who_dies_then_ends_without_a_word():
    done = subprocess.run(
        command("cut_off_a_request"), env=environment(), capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("true", "")


def test_multiprocessing_does_not_wait_for_a_worker_at_exit(method):
    assert orchestrate("leave_a_worker_to_multiprocessing", method.value) == []


def test_a_worker_does_not_run_the_parents_main_module_again(tmp_path, monkeypatch):
    mains = tmp_path / "mains"
    monkeypatch.setenv("MPORCH_TEST_MAINS", str(mains))
    assert orchestrate("start_one_by_each_method") == [7, 7, 7]
    assert mains.read_text().split() == ["__main__"]


def test_modules_of_the_current_directory_do_not_stand_in_for_the_librarys(tmp_path):
    for name in ("queue", "selectors", "socket", "typing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the library')")
    assert orchestrate("start_one_by_each_method", cwd=tmp_path) == [7, 7, 7]


def test_a_directory_that_is_not_there_is_one_line_and_exit_code_1(start, method):
    worker = start("leave", method, cwd="/not/there")
    assert exit_code(worker) == 1
    assert unmarked(drain(worker.stderr_fd)).splitlines() == [
        "mporch: parse-1 cannot start: No such file or directory: cwd '/not/there'"
    ]


def test_a_worker_gets_the_limit_of_descriptors_back(method):
    assert orchestrate("raise_the_limit", method.value) == {"soft": 200}


def test_fifty_starts_leave_no_descriptor_and_no_process(start, method):
    start("leave", method, payload=b"0")
    start.close()
    files, family = open_files(), {kin.pid for kin in children(os.getpid())}
    for _ in range(50 if method is not StartMethod.SPAWN else 10):
        start("leave", method, payload=b"0")
        start.close()
    assert open_files() == files
    assert {kin.pid for kin in children(os.getpid())} == family


def test_a_worker_costs_the_descriptors_that_are_reckoned_for_it(start, method):
    start("wait", method)  # the helper processes are there from now on
    before = len(open_files())
    for _ in range(3):
        start("wait", method)
    assert len(open_files()) - before <= 3 * limits.PER_WORKER


def test_nothing_is_left_of_the_helper_processes_after_the_end(tmp_path):
    told = orchestrate("start_and_close", str(tmp_path))
    assert told == {"children": [], "files": [], "directory": []}
