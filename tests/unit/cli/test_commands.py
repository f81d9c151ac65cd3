"""The commands that run nothing, in one process."""

import io
import json
import os
import re
import sys

import click
import pytest

from orchestrator.cli.main import mporch as group
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import load, loads
from orchestrator.spec.schema import spec_schema

COMMANDS = group.list_commands(None)


def test_help_shows_a_newcomer_where_to_begin(mporch):
    answer = mporch("--help")
    assert answer.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in answer.out
    assert "mporch run jobs.yaml" in answer.out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_narrow_terminal(mporch, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "60")
    lines = mporch(*command.split(), "--help").out.splitlines()
    assert [line for line in lines if len(line) > 60] == []


@pytest.mark.parametrize("columns", ["", "0", "40", "66", "200", "-7", "x", "9" * 5000])
def test_help_is_as_wide_as_click_would_have_it(mporch, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    with group.make_context("mporch", [], resilient_parsing=True) as ctx:
        wanted = ctx.get_help()
    assert mporch("--help").out == f"{wanted}\n"


def test_the_spec_that_help_shows_is_right(mporch, project):
    shown = mporch("--help").out.partition("\n    version: 1\n")
    body = shown[2].split("\n\n")[0].replace("\n    ", "\n").removeprefix("    ")
    (project / "jobs.yaml").write_text(f"{shown[1].strip()}\n{body}\n")
    assert mporch("validate").out == "jobs.yaml: ok, 2 jobs, 1 queue\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(mporch, command):
    answer = mporch(command, "--help")
    assert answer.code == 0
    assert f"Examples:\n    mporch {command}" in answer.out


def test_the_version_is_told(mporch):
    told = r"mporch 0\.\d+\.\d+, (pure Python|compiled \((default|full)\)), Python 3\.\d+\.\d+\n"
    assert re.fullmatch(told, mporch("--version").out)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("rum", "Did you mean run?"),
        ("jobs.yaml", "mporch run jobs.yaml"),
        ("xyzzy", "The commands are run, resume, test"),
        ("version", "There is no command 'version'. That is mporch --version"),
        ("help", "That is mporch --help"),
        ("-V", "That is --version"),
        ("--versoin", "--version"),
        ("--dry-run", "The command comes before its options"),
        ("dead retry 1", "There is no command 'dead retry'. Did you mean replay?"),
        ("dead shwo 1", "There is no command 'dead shwo'. Did you mean show?"),
        ("dead 3", "To show a letter: mporch dead show 3"),
    ],
)
def test_a_command_that_is_none_gets_a_hint(mporch, typed, hint):
    answer = mporch(*typed.split())
    assert answer.code == 2
    assert hint in answer.err


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("logs --tail 3", "That is -n N"),
        ("logs --since 1h", "There is no filter by time"),
        ("logs --event run.ended", "That is --field event=X"),
        ("run -c x.yaml", "The spec comes first, or by -f FILE"),
        ("validate --config x.yaml", "The spec comes first, or by -f FILE"),
        ("run --workers 3", "--set jobs.JOB.workers=N"),
        ("run -j 3", "--set jobs.JOB.workers=N"),
        ("runs --json", "That is --format json"),
        ("logs --json", "That is --format json"),
        ("run -q", "--output none"),
        ("validate --quiet", "The exit code"),
        ("run --verbose", "mporch logs last --level debug"),
        ("run --debug", "mporch logs last --level debug"),
        ("run --detach", "nohup mporch run &"),
        ("run --profile x", "--tags TAG"),
        ("run --only work", "Name the jobs"),
        ("run -o out", "--run-dir DIR"),
        ("run -e A=b", "--set jobs.JOB.env.NAME=VALUE"),
        ("resume -e A=b", "That is --env-file FILE"),
        ("runs --limit 3", "mporch runs | head -n N"),
        ("init --list", "`mporch init --help` has the templates"),
    ],
)
def test_an_option_of_another_tool_gets_a_hint(mporch, typed, hint):
    answer = mporch(*typed.split())
    assert answer.code == 2
    assert re.search(rf"No such option:? '?{typed.split()[1]}'?\. ", answer.err)  # by click's age
    assert hint in answer.err


def test_an_option_that_nobody_has_is_left_to_click(mporch):
    asked = r"No such option:? '?--foramt'?\.? Did you mean '?--format'?\?"
    assert re.search(asked, mporch("runs", "--foramt").err)


def test_an_option_can_be_set_in_the_environment(mporch, monkeypatch):
    monkeypatch.setenv("MPORCH_VALIDATE_FORMAT", "json")
    assert json.loads(mporch("validate").out)[0]["ok"]
    assert mporch("validate", "--format", "text").out.startswith("jobs.yaml: ok")


def test_a_wrong_value_in_the_environment_is_named(mporch, monkeypatch):
    monkeypatch.setenv("MPORCH_VALIDATE_FORMAT", "xml")
    answer = mporch("validate")
    assert answer.code == 2
    assert "'xml' is not one of" in answer.err
    assert "MPORCH_VALIDATE_FORMAT in the environment" in answer.err


def test_validate_says_ok_and_runs_no_user_code(mporch, project):
    (project / "mine.py").write_text("open('touched', 'w')\ndef numbers(): ...\ndef work(x): ...\n")
    answer = mporch("validate")
    assert (answer.code, answer.out) == (0, "jobs.yaml: ok, 2 jobs, 1 queue\n")
    assert not (project / "touched").exists()


def test_validate_reports_every_problem_of_every_spec(mporch, project):
    (project / "bad.yaml").write_text("version: 1\njobs:\n  a: {taget: x}\n")
    answer = mporch("validate", "bad.yaml", "jobs.yaml", "nowhere.yaml")
    assert answer.code == 2
    assert "bad.yaml:3:7: error:" in answer.err
    assert "    3 |   a: {taget: x}\n" in answer.err
    assert "nowhere.yaml:1:1: error: there is no such file" in answer.err
    assert [line.split(":")[0] for line in answer.out.splitlines()] == [
        "bad.yaml",
        "jobs.yaml",
        "nowhere.yaml",
    ]


def test_validate_reads_standard_input(mporch, monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(b"version: 1\njobs: 3\n"))
    monkeypatch.setattr(sys, "stdin", text)
    answer = mporch("validate", "-")
    assert answer.code == 2
    assert "<stdin>:2:7: error:" in answer.err
    assert "    2 | jobs: 3" in answer.err


def test_validate_gives_problems_as_json(mporch, project):
    (project / "jobs.yaml").write_text("version: 1\njobs: 3\n")
    answer = mporch("validate", "--format", "json")
    (spec,) = json.loads(answer.out)
    assert answer.code == 2
    assert spec["ok"] is False
    assert (spec["problems"][0]["line"], spec["problems"][0]["severity"]) == (2, "error")


def test_plan_shows_the_wiring(mporch):
    answer = mporch("plan")
    assert answer.code == 0
    assert "  numbers: mine:numbers\n    source, 1 worker; writes todo\n" in answer.out


def test_plan_as_json_has_every_default(mporch):
    plan = json.loads(mporch("plan", "--format", "json").out)
    assert plan["jobs"]["work"]["timeouts"]["start_s"] == 60.0


def test_plan_of_a_bad_spec_prints_nothing_but_its_problems(mporch, project):
    (project / "jobs.yaml").write_text("version: 1\n")
    answer = mporch("plan")
    assert (answer.code, answer.out) == (2, "")
    assert "jobs.yaml:1:1: error:" in answer.err


def test_schema_is_that_of_the_spec(mporch):
    assert json.loads(mporch("schema").out) == spec_schema()


def test_graph_draws_the_wiring(mporch):
    answer = mporch("graph")
    assert answer.code == 0
    assert answer.out.splitlines()[::2] == [
        "●  numbers  source",
        "□  todo     holds 100",
        "●  work     item",
    ]


@pytest.mark.parametrize(
    ("kind", "first"),
    [("mermaid", "flowchart TD\n"), ("dot", 'digraph "'), ("svg", "<svg "), ("ascii", "●  ")],
)
def test_graph_draws_in_each_format(mporch, kind, first):
    assert mporch("graph", "--format", kind).out.startswith(first)


def test_graph_is_ascii_where_the_encoding_has_no_more(mporch, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert mporch("graph").code == 0
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue().startswith(b"o  numbers  source\n|\n")


@pytest.mark.parametrize("spec", ["nowhere.yaml", "."])
def test_run_of_what_is_no_spec_makes_no_run_directory(mporch, project, spec):
    answer = mporch("run", spec)
    assert answer.code == 2
    assert "error:" in answer.err
    assert not (project / ".mporch").exists()


def test_runs_are_listed_with_the_latest_first(mporch, finished, died, running):
    lines = mporch("runs").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [r.run_id for r in (running, died, finished)]
    assert "running" in lines[1]
    assert "died" in lines[2]
    assert "succeeded" in lines[3]


def test_runs_as_json(mporch, finished):
    (row,) = json.loads(mporch("runs", "--format", "json").out)
    assert (row["run"], row["status"], row["exit_code"]) == (finished.run_id, "succeeded", 0)


def test_of_a_run_that_goes_on_json_has_its_start_and_its_process(mporch, died, running):
    going, dead = json.loads(mporch("runs", "--format", "json").out)
    assert (going["run"], going["status"], going["exit_code"]) == (running.run_id, "running", None)
    assert (going["started"], going["pid"]) == ("1970-01-01T00:00:01.000000Z", os.getpid())
    assert (dead["started"], dead["status"], dead["pid"]) == (going["started"], "died", None)


def test_no_runs_are_no_error(mporch):
    answer = mporch("runs")
    assert (answer.code, answer.out) == (0, "")
    assert "mporch run" in answer.err
    assert mporch("runs", "--format", "json").out == "[]\n"


@pytest.mark.parametrize("name", ["last", "19700101", ""])
def test_show_gives_the_report_of_a_run(mporch, finished, name):
    answer = mporch("show", *([name] if name else []))
    assert answer.code == 0
    assert answer.out.startswith("census succeeded after 1 s\n")
    assert "work todo:8: KeyError: 7" in answer.out


def test_show_takes_the_path_of_a_run_directory(mporch, finished):
    assert mporch("show", str(finished.path)).out.startswith("census succeeded")


def test_show_as_json_is_the_summary(mporch, finished):
    summary = json.loads(mporch("show", "--format", "json").out)
    assert summary == json.loads((finished.path / "summary.json").read_text())


def test_show_of_a_run_that_died_says_so(mporch, died):
    assert "has ended without a summary: it was killed, or its disk was full" in mporch("show").out
    assert mporch("show", "--format", "json").code == 2


def test_show_of_a_run_that_goes_on_says_how_to_follow_it(mporch, running):
    assert "mporch logs last -f" in mporch("show").out


@pytest.mark.parametrize("state", ["running", "died"])
def test_runs_tells_when_one_that_goes_on_or_died_was_resumed(mporch, request, state):
    run = request.getfixturevalue(state)
    record = {"ts": "2026-11-23T09:30:00.000000Z", "run": run.run_id, "event": "run.resumed"}
    with run.log_path.open("a") as log:
        log.write(f"{json.dumps(record)}\n")
    (row,) = json.loads(mporch("runs", "--format", "json").out)
    assert (row["status"], row["resumed"]) == (state, record["ts"])
    assert "2026-11-23 09:30:00" in mporch("runs").out


def test_logs_shows_every_record(mporch, finished):
    lines = mporch("logs").out.splitlines()
    assert [line.split(" | ")[1] for line in lines] == [
        "hello",
        "careful",
        "work-1 skipped todo:8: KeyError: 7",
        "run succeeded after 1.0 s, exit code 0",
    ]


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (["--level", "warning"], ["careful", "work-1 skipped todo:8: KeyError: 7"]),
        (["--level", "WARNING", "--job", "numbers"], ["careful"]),
        (["--worker", "work-1", "-n", "1"], ["work-1 skipped todo:8: KeyError: 7"]),
        (["--job", "numbers", "--job", "work", "--grep", "^h"], ["hello"]),
        (["--queue", "todo"], ["work-1 skipped todo:8: KeyError: 7"]),
        (["-n", "0"], []),
    ],
)
def test_logs_are_filtered(mporch, finished, options, messages):
    out = mporch("logs", "last", "--format", "json", *options).out
    assert [json.loads(line)["msg"] for line in out.splitlines()] == messages


def test_logs_as_json_are_the_records_of_the_file(mporch, finished):
    assert mporch("logs", "--format", "json").out == finished.log_path.read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--grep", "("], "not a regular expression"),
        (["--level", "loud"], "loud"),
        (["-n", "-1"], "-1"),
    ],
)
def test_wrong_options_of_logs_are_named(mporch, finished, options, told):
    answer = mporch("logs", *options)
    assert answer.code == 2
    assert told in answer.err


@pytest.mark.parametrize(
    ("options", "told", "hint"),
    [
        (["--job", "wrok"], "the run has no job 'wrok'", "did you mean work?"),
        (["--job", "x"], "the run has no job 'x'", "it has numbers, work"),
        (["--job", "work-1"], "no job 'work-1'", "work-1 is a worker: --worker work-1"),
        (["--worker", "work-2"], "the run has no worker 'work-2'", "did you mean work-1?"),
        (["--worker", "work"], "the run has no worker 'work'", "work is a job: --job work"),
        (["--queue", "tood"], "the run has no queue 'tood'", "did you mean todo?"),
        (["--item", "tood:3"], "the run has no queue 'tood'", "did you mean todo?"),
        (
            ["--job", "numbers", "--worker", "work-1"],
            "the run has no worker 'work-1' of numbers",
            "it has numbers-1",
        ),
    ],
)
def test_logs_of_a_job_or_worker_that_the_run_does_not_have_is_an_error(
    mporch, finished, options, told, hint
):
    finished.write_plan(compile_spec(load("jobs.yaml"), this_machine()).plan)
    answer = mporch("logs", *options)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err
    assert f"hint: {hint}" in answer.err


def test_logs_of_a_job_of_the_run_that_said_nothing_are_none(mporch, finished):
    finished.write_plan(compile_spec(load("jobs.yaml"), this_machine()).plan)
    answer = mporch("logs", "--worker", "numbers-1")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


def test_damage_is_told_on_standard_error_and_the_rest_is_read(mporch, died):
    size = died.log_path.stat().st_size
    with died.log_path.open("ab") as file:
        file.write(b'{"half": ')
    answer = mporch("logs")
    assert answer.code == 0
    assert len(answer.out.splitlines()) == 3
    assert f"log.jsonl, byte {size}: not a record, cut short" in answer.err


@pytest.mark.parametrize("fixture", ["finished", "died"])
def test_following_a_run_that_is_over_ends(mporch, request, fixture):
    run = request.getfixturevalue(fixture)
    answer = mporch("logs", "-f", "--grep", "hello")
    assert answer.code == 0
    assert answer.out.endswith("hello\n")
    death = f"mporch: run {run.run_id} died: it was killed, or its disk was full\n"
    assert answer.err == (death if fixture == "died" else "")
    assert mporch("logs").err == "", "who does not follow is not told of an end"


def test_following_a_durable_run_that_died_names_the_command_that_goes_on(mporch, project, died):
    spec = (project / "jobs.yaml").read_text()
    compiled = compile_spec(loads(f"durable: true\n{spec}"), this_machine())
    died.write_plan(compiled.plan)
    assert mporch("logs", "-f").err.endswith("full\n  go on: mporch resume last\n")


def test_a_run_that_is_none_is_an_error_with_a_hint(mporch, finished):
    answer = mporch("show", "lst")
    assert answer.code == 2
    assert "did you mean last?" in answer.err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        *((word, "runs?") for word in ("ps", "status", "list", "ls")),
        *((word, "validate?") for word in ("lint", "check")),
        *((word, "run?") for word in ("up", "start")),
        ("clean", "rm -r .mporch/runs"),
        *((word, "stop?") for word in ("down", "kill", "cancel")),
        ("runn", "run?"),
    ],
)
def test_words_of_other_tools_lead_on_and_start_nothing(mporch, word, said):
    answer = mporch(word)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--workers", "4"), "--set jobs.JOB.workers=N"),
        (("run", "-j", "4"), "--set jobs.JOB.workers=N"),
        (("plan", "--retries=2"), "--set jobs.JOB.retry.attempts=N"),
        (("run", "--timeout", "1h"), "--set timeout=1h"),
        (("logs", "--workers", "work-1"), "--worker"),
    ],
)
def test_options_of_other_tools_lead_on_to_the_key(mporch, words, said):
    answer = mporch(*words)
    assert (answer.code, answer.out) == (2, "")
    assert "No such option" in answer.err
    assert said in answer.err


def options_below(command, *words):
    """Each option of a command, by its words on the command line."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            yield from options_below(below, *words, name)
    for param in command.params:
        if words and isinstance(param, click.Option):
            yield (*words, max(param.opts, key=len)), param


def test_the_help_of_each_option_that_may_be_repeated_says_so():
    repeated = {words: param for words, param in options_below(group) if param.multiple}
    assert len(repeated) > 10
    for words, param in repeated.items():
        assert "(repeatable" in param.help, words


def test_each_option_has_the_variable_of_its_long_name():
    found = dict(options_below(group))
    assert len(found) > 70
    for (*words, option), param in found.items():
        name = "_".join(["MPORCH", *words, option.lstrip("-")]).replace("-", "_").upper()
        shared = {"--on": "MPORCH_ON"}.get(option)
        assert param.envvar == ([name, shared] if shared else name)


@pytest.mark.parametrize("variable", ["MPORCH_ON", "MPORCH_RUN_ON"])
def test_where_workers_live_may_be_set_for_all_commands(mporch, project, monkeypatch, variable):
    monkeypatch.setenv(variable, "nowhere")
    found = mporch("run")
    assert found.code == 2
    assert "'nowhere' is not one of 'local', 'agent'" in found.err
    assert f"the value is that of {variable}" in found.err
    monkeypatch.setenv("MPORCH_RUN_ON", "local")
    monkeypatch.setenv("MPORCH_ON", "nowhere")
    assert "nowhere" not in mporch("run", "nope.yaml").err


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MPORCH_PLAN_VAR", "x=a b\ny=c", "echo 'a b' c"),
        ("MPORCH_PLAN_SET", "vars.x=a b", "echo 'a b' two"),
        ("MPORCH_PLAN_FILE", "jobs.yaml\nover.yaml", "echo laid two"),
        ("MPORCH_PLAN_ENV_FILE", "nope.env", "nope.env:1:1: error: there is no such file"),
        ("MPORCH_PLAN_FORMAT", "nope", "the value is that of MPORCH_PLAN_FORMAT"),
    ],
)
def test_an_option_of_the_environment_counts(mporch, project, monkeypatch, variable, value, told):
    spec = "version: 1\nvars: {x: one, y: two}\njobs:\n"
    job = '  a: {command: [echo, "${vars.x}", "${vars.y}"]}\n'
    (project / "jobs.yaml").write_text(spec + job)
    (project / "over.yaml").write_text("vars: {x: laid}\n")
    monkeypatch.setenv(variable, value)
    answer = mporch("plan")
    assert told in answer.out + answer.err


@pytest.mark.parametrize(("name", "level"), [("warn", "warning"), ("FATAL", "critical")])
def test_a_level_may_have_the_name_that_loggers_have_for_it(mporch, finished, name, level):
    answer = mporch("logs", "--level", name)
    assert (answer.code, answer.out) == (0, mporch("logs", "--level", level).out)


def test_the_field_event_chooses_records(mporch, finished):
    lines = mporch("logs", "--field", "event=run.ended", "--format", "json").out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["run.ended"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MPORCH_RUN_OUPUT", "MPORCH_RUN_OUTPUT"),
        ("MPORCH_DEAD_LIST_FORMATS", "MPORCH_DEAD_LIST_FORMAT"),
        ("MPORCH_HOM", "MPORCH_HOME"),
    ],
)
def test_a_misspelt_variable_is_told(mporch, monkeypatch, name, meant):
    monkeypatch.setenv(name, "raw")
    answer = mporch("validate")
    assert answer.code == 0
    assert answer.err == (
        f"mporch: warning: {name} means nothing to mporch; did you mean {meant}?\n"
    )


@pytest.mark.parametrize("name", ["MPORCH_TRUST", "MPORCH_RUN_OUTPUT", "MPORCH_MY_OWN"])
def test_another_variable_is_not_told(mporch, monkeypatch, name):
    monkeypatch.setenv(name, "raw")
    assert mporch("validate").err == ""


def test_a_key_without_its_value_is_named_in_the_hint(mporch):
    answer = mporch("validate", "jobs.yaml", "--set", "jobs.work.workers", "3")
    assert answer.code == 2
    assert "hint: write --set jobs.work.workers=value" in answer.err
