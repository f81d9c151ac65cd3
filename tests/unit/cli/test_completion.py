"""What shells are offered."""

import pickle
import shutil
import subprocess
import sys

import pytest

from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import ItemDead
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.runlog.letters import DeadLetters
from orchestrator.spec import load


@pytest.fixture
def offered(mporch, monkeypatch):
    """Ask as fish does: values, each with its help."""

    def ask(*words):
        monkeypatch.setenv("_MPORCH_COMPLETE", "fish_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["mporch", *words]))
        monkeypatch.setenv("COMP_CWORD", words[-1])
        answer = mporch()
        assert (answer.code, answer.err) == (0, "")
        lines = [line.partition("\t") for line in answer.out.splitlines() if line]
        return {value.partition(",")[2] or value: told for value, _, told in lines}

    return ask


@pytest.fixture
def planned(finished):
    finished.write_plan(compile_spec(load("jobs.yaml"), this_machine()).plan)
    return finished


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["run", "nu"], ["numbers"]),
        (["run", "jobs.yaml", ""], ["numbers", "work"]),
        (["run", "--skip", "w"], ["work"]),
        (["plan", "-f", "jobs.yaml", "--tags", ""], ["slow", "nightly"]),
        (["graph", "--tags", "slow,n"], ["slow,nightly"]),
        (["run", "missing.yaml", "--skip", ""], []),
    ],
)
def test_jobs_and_tags_of_the_spec_are_offered(offered, project, words, names):
    text = (project / "jobs.yaml").read_text()
    tagged = text.replace("output: todo", "output: todo, tags: [slow, nightly]")
    (project / "jobs.yaml").write_text(tagged)
    found = offered(*words)
    assert [name for name in found if name != words[-1] or name in names] == names


def test_codes_are_offered_with_what_their_rules_are_about(offered):
    found = offered("explain", "MP30")
    assert found["MP301"] == "A queue that is not declared"
    assert all(code.startswith("MP30") for code in found)


def test_commands_are_offered_with_what_they_do(offered):
    assert offered("va") == {"validate": "Check specs; runs none of your code."}


def test_runs_are_offered_with_how_they_went(offered, finished, running):
    found = offered("show", "")
    assert list(found) == ["last", running.run_id, finished.run_id]
    assert list(found.values()) == ["running", "running", "census succeeded"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["logs", "--job", ""], ["numbers", "work"]),
        (["logs", "last", "--worker", "w"], ["work-1"]),
        (["logs", "--queue", ""], ["todo"]),
        (["dead", "list", "--queue", "t"], ["todo"]),
        (["dead", "list", "--job", "n"], ["numbers"]),
    ],
)
def test_jobs_workers_and_queues_are_those_of_the_run(offered, planned, words, names):
    assert list(offered(*words)) == names


def test_letters_are_offered_by_number_with_what_they_are_of(offered, planned):
    letters = DeadLetters(planned.path)
    failure = Failure(kind="KeyError", message="7")
    fact = ItemDead(
        job="work", worker="work-1", item="todo:8", queue="todo", attempts=1, failure=failure,
        chunk=pickle.dumps([7]), index=0, packed=False,
    )  # fmt: skip
    letters.add(fact, 1.0)
    letters.close()
    assert offered("dead", "show", "") == {
        "last": "census succeeded",
        planned.run_id: "census succeeded",
        "1": "work todo:8",
    }
    assert offered("dead", "show", "last", "") == {"1": "work todo:8"}


def test_a_queue_is_offered_with_its_ends(offered, planned):
    assert offered("logs", "--queue", "") == {"todo": "from numbers to work"}


@pytest.mark.parametrize("words", [["logs", "nope", "--job", ""], ["logs", "--job", ""]])
def test_where_there_is_no_run_nothing_is_offered(offered, words):
    assert offered(*words) == {}


def test_a_run_without_a_plan_offers_nothing(offered, died):
    (died.path / "plan.json").write_text("{")
    assert offered("logs", "--job", "") == {}


@pytest.mark.parametrize("words", [["run", "j"], ["validate", "j"], ["show", "./x"]])
def test_paths_are_left_to_the_shell(offered, finished, words):
    assert list(offered(*words)) == [words[-1]]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_reads(mporch, shell):
    answer = mporch("completion", shell)
    assert answer.code == 0
    assert "_MPORCH_COMPLETE" in answer.out
    program = shutil.which(shell)
    if program is not None:
        done = subprocess.run([program, "-n"], input=answer.out, text=True, check=False)
        assert done.returncode == 0


def test_an_unknown_instruction_is_an_error_not_a_run(mporch, monkeypatch):
    monkeypatch.setenv("_MPORCH_COMPLETE", "tcsh_complete")
    assert mporch("validate").code == 2


def test_completion_costs_commands_nothing():
    code = (
        "import sys; from orchestrator.cli.main import command_line; command_line(['--version']);"
        "print('click.shell_completion' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_cases_of_the_spec_are_offered_with_what_they_are_for(offered, project):
    with (project / "jobs.yaml").open("a") as spec:
        spec.write("tests:\n  one: {description: The first.}\n  two: {}\n  other: {}\n")
    assert offered("test", "-k", "o") == {"one": "The first.", "other": ""}
    assert offered("test", "jobs.yaml", "-k", "t") == {"two": ""}


def test_for_zsh_no_line_of_an_item_is_empty(mporch, project, monkeypatch):
    """The shell drops empty lines, and would take the place for files for the first job."""
    monkeypatch.setenv("_MPORCH_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "mporch run ")
    monkeypatch.setenv("COMP_CWORD", "2")
    lines = mporch().out.splitlines()
    assert "" not in lines
    items = list(zip(lines[::3], lines[1::3], strict=True))
    assert ("file", "_") in items
    assert ("plain", "numbers") in items


def test_a_job_that_runs_a_command_is_offered_with_it(offered, project):
    (project / "jobs.yaml").write_text("version: 1\njobs:\n  say: {command: [echo, hello]}\n")
    assert offered("run", "s")["say"] == "echo hello"
