"""Commands in a spec: what is refused, what is doubtful, and what becomes of the rest."""

import shlex

import pytest

from orchestrator.machine.machine import this_machine
from orchestrator.plan.model import Command, CommandInput, CommandOutput
from orchestrator.plan.redact import MASK, masked

QUEUES = "queues: {q: 10}"
GIVE = "command: [seq, 3], output: q"


def codes(problems):
    return [problem.code for problem in problems]


@pytest.mark.parametrize(
    ("keys", "stdin", "stdout"),
    [
        ("command: [cat, '{item}'], input: q", CommandInput.NONE, CommandOutput.LOG),
        ("command: [cat], input: q", CommandInput.TEXT, CommandOutput.LOG),
        ("command: 'cat {item}', input: q, stdin: json", CommandInput.JSON, CommandOutput.LOG),
        ("command: [cat], input: q, stdin: none", CommandInput.NONE, CommandOutput.LOG),
        ("command: [cat], input: q, call: stream", CommandInput.TEXT, CommandOutput.LOG),
    ],
)
def test_what_a_command_reads_and_writes_follows_from_its_job(compiled, keys, stdin, stdout):
    command = compiled({"give": GIVE, "take": keys}, QUEUES).plan.jobs["take"].target
    assert isinstance(command, Command)
    assert (command.stdin, command.stdout) == (stdin, stdout)


def test_a_source_gives_lines_and_has_its_text(compiled):
    jobs = {"give": GIVE, "take": "command: 'cat {item}', input: q"}
    command = compiled(jobs, QUEUES).plan.jobs["give"].target
    assert command == Command(line=("seq", "3"), text="seq 3", stdout=CommandOutput.LINES)


def test_defaults_for_targets_are_passed_over(compiled):
    top = "defaults: {args: [1], kwargs: {a: 1}}"
    job = compiled({"a": "command: ['true']"}, top).plan.jobs["a"]
    assert (job.args, job.kwargs) == ((), {})


@pytest.mark.parametrize(
    ("keys", "code", "path"),
    [
        ("command: ['true'], target: 'os:getcwd'", "MP671", "command"),
        ("command: ['true'], args: [1]", "MP672", "args"),
        ("command: ['true'], stdin: text", "MP672", "stdin"),
        ("command: ['true'], stdout: lines", "MP672", "stdout"),
        ("stdin: text", "MP672", "stdin"),
        ("exit_codes: [0]", "MP672", "exit_codes"),
        ("command: ['true', '{item}']", "MP673", "command.1"),
        ("command: 'true {item.a}'", "MP673", "command"),
        ("command: [nothing-of-that-name]", "MP675", "command.0"),
        ("command: [./nothing]", "MP675", "command.0"),
        ("command: [/]", "MP675", "command.0"),
        ("command: [true false]", "MP675", "command.0"),
        ("command: ['true'], env: {PATH: /nowhere}", "MP675", "command.0"),
        ("command: 'echo ('", "MP676", "command"),
        ("command: 'if true; then'", "MP676", "command"),
        ("command: [echo, '>', out]", "MP677", "command.1"),
        ("command: [ls, '~']", "MP677", "command.1"),
        ("command: [ls, -l, ~/data]", "MP677", "command.2"),
        ("command: [cat, '*.txt']", "MP677", "command.1"),
        ("command: [cat, 'data/*']", "MP677", "command.1"),
        ("command: [ls, $HOME]", "MP677", "command.1"),
        ("command: [ls, $HOME/data]", "MP677", "command.1"),
        ("command: ['true'], exit_codes: []", "MP203", "exit_codes"),
        ("command: ['true'], exit_codes: [256]", "MP206", "exit_codes.0"),
        ("command: ''", "MP203", "command"),
        ("command: [' ']", "MP203", "command"),
        ("command: [a, 0.5]", "MP204", "command.1"),
    ],
)
def test_what_cannot_work_is_told_at_its_place(only, keys, code, path):
    problem = only({"a": keys})
    assert (problem.code, problem.path) == (code, f"jobs.a.{path}")


@pytest.mark.parametrize(
    ("keys", "code", "path"),
    [
        ("command: [cat, '{item}'], input: q, call: batch", "MP673", "command.1"),
        ("command: [cat], input: q, call: stream, stdin: none", "MP672", "stdin"),
        ("command: [cat], input: {h: q}", "MP672", "input.h"),
        ("command: [cat, '{itm}'], input: q", "MP674", "command.1"),
        ("command: [cat, '{Item[x]}'], input: q", "MP674", "command.1"),
        ('command: "cat <<E\\n{item}\\nE\\n", input: q', "MP673", "command"),
    ],
)
def test_what_cannot_be_given_its_items_is_told_at_its_place(only, keys, code, path):
    problem = only({"give": GIVE, "a": keys}, QUEUES)
    assert (problem.code, problem.path) == (code, f"jobs.a.{path}")


@pytest.mark.parametrize("text", ["{time}", "{print}", "{}", "{name}", "%{http_code}", "{it}"])
def test_other_words_in_braces_are_not_doubted(found, text):
    jobs = {"give": GIVE, "a": f"command: [cat, '{text}'], input: q"}
    assert found(jobs, QUEUES) == ()


@pytest.mark.parametrize(
    "line",
    [
        "find . -name '*.py'",
        "find . *.py",
        "python3 -m unittest discover -p '*.py'",
        "sh -c 'ls $HOME'",
        "sh $HOME",
        "grep 'a*b' x",
        "expr 3 '*x' 4",
        "echo 5$ $5 $x x~ 'a ~'",
    ],
)
def test_words_that_mean_something_to_the_program_are_not_doubted(found, line, monkeypatch):
    words = ", ".join(f"'{word}'" for word in shlex.split(line))
    assert found({"a": f"command: [{words}]"}) == ()


def test_of_a_word_that_is_not_expanded_no_value_of_the_environment_is_told(only, monkeypatch):
    monkeypatch.setenv("MINE", "~/hush")
    problem = only({"a": "command: [ls, '${MINE}']"})
    assert (problem.code, "hush" in str(problem)) == ("MP677", False)


@pytest.mark.parametrize("folder", ["~", "~/data", "~ann/data"])
def test_a_folder_in_ones_home_is_written_as_that_of_a_variable(only, folder):
    problem = only({"a": f"target: 'os:getcwd', cwd: '{folder}'"})
    assert problem.hint == "~ is not expanded: write ${HOME}"


def test_a_log_is_no_queue(only):
    jobs = {"give": "command: [seq, 3], output: q, stdout: log", "a": "command: [cat], input: q"}
    assert (problem := only(jobs, QUEUES)).code == "MP672"
    assert problem.message == "what is logged is not put on q"


def test_what_came_from_the_environment_is_not_told(tmp_path, monkeypatch):
    from orchestrator.plan.compile import compile_spec  # noqa: PLC0415 -- only here
    from orchestrator.spec import loads  # noqa: PLC0415

    monkeypatch.setenv("MY_TOKEN", "hush")
    spec = """version: 1
jobs:
  a: {command: [echo, "--token=${MY_TOKEN}", "http://me:word@host"]}
  b: {command: "echo ${MY_TOKEN}"}
"""
    plan = compile_spec(loads(spec, project_dir=tmp_path), this_machine()).plan
    assert plan.jobs["a"].target.line[1] == "--token=hush"
    assert plan.jobs["b"].target.line == 'echo "${MPORCH_VALUE_1}"'
    assert plan.jobs["b"].target.values == (("MPORCH_VALUE_1", "hush"),)
    hidden = masked(plan)
    assert "hush" not in str([job.target for job in hidden.jobs.values()])
    assert f"http://me:{MASK}@host" in str(plan.jobs["a"].target)
    assert str(plan.jobs["b"].target) == "echo ${MY_TOKEN}"
    assert hidden.jobs["a"].target.line[2] == f"http://me:{MASK}@host"


def test_auto_is_the_number_of_processors(compiled):
    jobs = {"give": GIVE, "a": "command: [cat], input: q, workers: auto"}
    assert compiled(jobs, QUEUES, usable_processors=7).plan.jobs["a"].workers == 7
    jobs["a"] = "command: [cat], input: q"
    plan = compiled(jobs, f"{QUEUES}\ndefaults: {{workers: auto}}", usable_processors=7).plan
    assert plan.jobs["a"].workers == 7


@pytest.mark.parametrize(("written", "code"), [("0", "MP206"), ("-1", "MP206"), ("all", "MP204")])
def test_no_other_word_or_number_is_workers(only, written, code):
    assert only({"a": f"workers: {written}"}).code == code
