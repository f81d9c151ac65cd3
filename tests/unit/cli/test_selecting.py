"""Which spec and which jobs a command line means."""

import json

import pytest

from orchestrator.console.words import is_spec


@pytest.fixture
def chosen(mporch):
    """The jobs of the plan that the words lead to."""

    def ask(*words):
        answer = mporch("plan", *words, "--format", "json")
        assert answer.code == 0, answer.err
        return list(json.loads(answer.out)["jobs"])

    return ask


@pytest.mark.parametrize(
    "words", [[], ["jobs.yaml"], ["./jobs.yaml"], ["work"], ["-f", "jobs.yaml"]]
)
def test_without_a_job_or_with_the_last_it_is_everything(chosen, words):
    assert chosen(*words) == ["numbers", "work"]


@pytest.mark.parametrize(
    "words",
    [
        ["numbers"],
        ["jobs.yaml", "numbers"],
        ["--skip", "work"],
        ["-f", "jobs.yaml", "numbers"],
    ],
)
def test_a_word_that_is_no_file_is_a_job(chosen, words):
    assert chosen(*words) == ["numbers"]


def test_a_file_without_a_suffix_is_a_spec_whatever_its_name(project, chosen):
    (project / "numbers").write_text((project / "jobs.yaml").read_text())
    assert chosen("numbers") == ["numbers", "work"]
    assert chosen("jobs.yaml", "numbers") == ["numbers"]


def test_a_folder_of_a_jobs_name_is_not_taken_for_a_spec(project, chosen):
    (project / "numbers").mkdir()
    assert chosen("numbers") == ["numbers"]


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("-", True),
        ("a/b", True),
        ("x.yml", True),
        ("x.json", True),
        ("x", False),
        ("x" * 300, False),
    ],
)
def test_what_looks_like_a_path_is_a_spec(project, word, is_one):
    assert is_spec(word) is is_one


def test_tags_and_skipped_jobs_may_be_listed_with_commas(project, chosen):
    text = (project / "jobs.yaml").read_text()
    (project / "jobs.yaml").write_text(text.replace("output: todo", "output: todo, tags: [a, b]"))
    assert chosen("--tags", "b,a") == ["numbers"]
    assert chosen("--tags", "a", "--skip", "work,") == ["numbers"]


def test_a_word_that_is_neither_file_nor_job_is_told_as_both(project, mporch):
    (project / "jobs.yaml").unlink()
    answer = mporch("run", "census")
    assert answer.code == 2
    assert "there is no file census, and no jobs.yaml of which it could be a job" in answer.err


def test_an_unknown_job_is_a_wrong_usage_with_what_was_meant(mporch):
    answer = mporch("run", "wrok")
    assert answer.code == 2
    assert answer.err.splitlines() == [
        "mporch: error: there is no job wrok",
        "  hint: did you mean work?",
    ]


def test_a_second_spec_is_told_not_to_be_one(mporch):
    answer = mporch("plan", "jobs.yaml", "over.yaml")
    assert answer.code == 2
    assert "over.yaml is a second spec, or no job" in answer.err
    assert "-f lays a file over the spec" in answer.err


def test_a_graph_shows_what_is_chosen(mporch):
    answer = mporch("graph", "numbers")
    assert "numbers" in answer.out
    assert "work" not in answer.out
    assert "todo     read by nobody: dropped" in answer.out
    assert "todo is read by no job of these" in answer.err


def test_a_plan_says_of_a_queue_that_nobody_reads_it(mporch):
    answer = mporch("plan", "numbers")
    assert "nobody: dropped" in answer.out


def test_a_dry_run_tells_the_order_and_starts_nothing(project, mporch):
    answer = mporch("run", "--dry-run", "--format", "json")
    assert answer.code == 0
    told = json.loads(answer.out)
    assert [(job["step"], job["job"], job["workers"]) for job in told["jobs"]] == [
        (1, "numbers", ["numbers-1"]),
        (1, "work", ["work-1"]),
    ]
    assert told["queues"]["todo"]["maxsize"] == 100
    assert not (project / ".mporch").exists()


def test_a_dry_run_for_people_is_a_table_that_names_what_is_dropped(mporch):
    answer = mporch("run", "numbers", "--dry-run")
    assert "would start 1 job, 1 worker, 1 queue" in answer.out
    assert "nobody: dropped" in answer.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--watch", "--dry-run"], "either --watch or --dry-run"),
        (["--watch", "--run-dir", "d"], "--run-dir is the directory of one"),
        (["-", "--watch"], "standard input cannot be watched"),
        (["none.yaml", "--watch"], "there is no file none.yaml to watch"),
    ],
)
def test_what_does_not_go_with_watching_is_refused(mporch, options, told):
    answer = mporch("run", *options)
    assert answer.code == 2
    assert told in answer.err


def test_without_its_extra_watching_says_how_to_get_it(mporch, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "watchfiles._rust_notify", None)
    answer = mporch("run", "--watch")
    assert answer.code == 2
    assert answer.err.splitlines() == [
        "mporch: error: --watch needs the extra watch",
        "  hint: pip install 'mporch[watch]'",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["run", ""],
        ["run", "jobs.yaml", ""],
        ["run", "numbers", ""],
        ["plan", "--tags", ""],
        ["plan", "--tags="],
        ["plan", "--tags", ","],
        ["plan", "--skip", ",,"],
        ["plan", "numbers", ","],
        ["run", "--run-dir", ""],
        ["validate", "-f", ""],
        ["validate", ""],
        ["show", ""],
        ["logs", "last", "--job", ""],
        ["plan", "--env-file", ""],
    ],
)
def test_an_empty_word_chooses_nothing_and_is_an_error(project, mporch, words):
    answer = mporch(*words)
    assert (answer.code, answer.out) == (2, "")
    assert "is empty" in answer.err


@pytest.mark.parametrize("state", ["finished", "succeeded", "ready"])
def test_who_is_after_a_job_that_is_not_enabled_does_not_wait_for_it(project, mporch, state):
    (project / "jobs.yaml").write_text(
        "version: 1\njobs:\n"
        "  deploy: {command: [echo, deploying], enabled: false}\n"
        f"  always: {{command: [echo, always], after: {{deploy: {state}}}}}\n"
    )
    assert mporch("validate", "--strict").code == 0
    plan = json.loads(mporch("plan", "--format", "json").out)
    assert list(plan["jobs"]) == ["always"]
    assert plan["jobs"]["always"]["after"] == []
    assert mporch("plan", "--skip", "deploy").code == 0
    assert mporch("plan", "deploy").code == 2


@pytest.mark.parametrize(("given", "meant"), [("yes", "true"), ("1", "true"), ("off", "false")])
def test_a_truth_value_of_the_environment_is_mended_there(
    project, mporch, monkeypatch, given, meant
):
    monkeypatch.setenv("DEPLOY", given)
    (project / "jobs.yaml").write_text(
        "version: 1\njobs:\n  a:\n    command: [echo]\n    enabled: ${DEPLOY}\n"
    )
    assert f"hint: set DEPLOY to {meant}" in mporch("validate").err


@pytest.mark.parametrize("path", ["../jobs.yaml", "./../jobs.yaml", "../inner/../jobs.yaml"])
def test_a_pipeline_is_named_by_its_real_folder(project, mporch, monkeypatch, path):
    (project / "inner").mkdir()
    monkeypatch.chdir(project / "inner")
    assert json.loads(mporch("plan", path, "--format", "json").out)["name"] == project.name


def test_a_variable_on_the_command_line_that_nothing_names_is_told(project, mporch):
    text = (project / "jobs.yaml").read_text().replace("version: 1", "version: 1\nvars: {env: dev}")
    (project / "jobs.yaml").write_text(text.replace("todo: ", "todo: ") + 'name: "${vars.env}"\n')
    answer = mporch("validate", "--var", "evn=prod")
    assert "--var:1:1: warning: nothing in the spec names vars.evn [MP153]" in answer.err
    assert "did you mean env?" in answer.err
    assert "MP153" not in mporch("validate", "--var", "env=prod").err


@pytest.mark.parametrize("command", ["run", "plan", "graph", "validate", "test"])
def test_a_file_of_python_is_no_spec(mporch, command):
    answer = mporch(command, "mine.py")
    assert (answer.code, answer.out) == (2, "")
    assert "mine.py is Python, not a spec" in answer.err
    assert 'name a spec in which a job has target: "mine:FUNCTION"' in answer.err


def test_a_target_is_neither_a_spec_nor_a_job(mporch):
    answer = mporch("plan", "mine:numbers")
    assert answer.code == 2
    assert "mine:numbers is a target in Python" in answer.err
    assert 'target: "mine:numbers"' in answer.err


def test_a_file_whose_name_has_a_colon_may_be_a_spec(project, chosen):
    (project / "a:b").write_text((project / "jobs.yaml").read_text())
    assert chosen("a:b") == ["numbers", "work"]


def test_a_case_is_chosen_by_an_option(mporch):
    answer = mporch("test", "it works")
    assert answer.code == 2
    assert (
        "there is no file it works\n  hint: a case is chosen by -k: mporch test -k 'it works'"
        in (answer.err)
    )


def test_without_cases_the_hint_has_a_smallest_one(mporch, project):
    answer = mporch("test")
    assert answer.code == 2
    example = answer.err.partition("  hint: ")[2].partition(" is a smallest one")[0]
    with (project / "jobs.yaml").open("a") as file:
        file.write(f"{example}\n")
    assert mporch("validate").code == 0
