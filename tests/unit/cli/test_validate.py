"""validate and explain: formats, strictness, and what the rules say."""

import json

import pytest

from orchestrator.spec.rules import CATALOGUE, text_of, themes

UNBOUNDED = """\
version: 1
queues: {todo: 0}
jobs:
  numbers: {target: "mine:numbers", output: todo}
  work: {target: "mine:work", input: todo}
"""
WRONG = UNBOUNDED.replace("input: todo", "input: tdo, workers: 0")


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 2)])
def test_warnings_fail_only_when_it_is_strict(mporch, project, options, code):
    (project / "jobs.yaml").write_text(UNBOUNDED)
    answer = mporch("validate", *options)
    assert answer.code == code
    assert "jobs.yaml:2:16: warning: " in answer.err
    assert ("ok, 2 jobs" in answer.out) is (code == 0)
    assert "1 warning" in answer.out


def test_a_spec_without_a_problem_passes_when_it_is_strict(mporch):
    answer = mporch("validate", "--strict")
    assert (answer.code, answer.err) == (0, "")


def test_errors_come_before_warnings_and_each_by_its_place(mporch, project):
    (project / "jobs.yaml").write_text(WRONG)
    heads = [line for line in mporch("validate").err.splitlines() if line.startswith("jobs.yaml:")]
    assert [(head.split(":")[1], "error" in head, head[-6:-1]) for head in heads] == [
        ("5", True, "MP301"),
        ("5", True, "MP206"),
        ("2", False, "MP307"),
    ]


def test_the_marks_are_under_the_very_value(mporch, project):
    (project / "jobs.yaml").write_text(WRONG)
    lines = mporch("validate").err.splitlines()
    line, mark = lines[1:3]
    assert line[mark.index("^") : mark.rindex("^") + 1] == "tdo"


def test_the_end_points_to_explain(mporch, project):
    (project / "jobs.yaml").write_text(WRONG)
    assert mporch("validate").err.endswith("More on this: mporch explain MP301 MP206 MP307\n")


def test_many_codes_are_cut_short_visibly(mporch, project):
    keys = (
        "workers: 0, tags: [a b], call: x, rate: 5, cwd: 5, input: no, after: x, limits: 3, zz: 1"
    )
    (project / "jobs.yaml").write_text(f"version: 2\njobs: {{a: {{target: x, {keys}}}}}\n")
    last = mporch("validate").err.splitlines()[-1]
    assert last.startswith("More on this: mporch explain MP")
    assert last.endswith(" …")


def test_the_count_names_the_layer_that_the_errors_are_in(mporch, project):
    (project / "over.yaml").write_text("jobs: {wrok: {workers: 3}}\n")
    answer = mporch("validate", "jobs.yaml", "-f", "over.yaml")
    assert answer.out == "jobs.yaml with over.yaml: 1 error\n"
    assert "did you mean work?" in answer.err
    answer = mporch("validate", "jobs.yaml", "--set", "jobs.work.workers=0")
    assert answer.out == "jobs.yaml with --set: 1 error\n"


def test_json_counts_and_has_codes(mporch, project):
    (project / "jobs.yaml").write_text(WRONG)
    (spec,) = json.loads(mporch("validate", "--format", "json").out)
    assert (spec["ok"], spec["errors"], spec["warnings"]) == (False, 2, 1)
    assert [(p["code"], p["line"], p["column"], p["width"]) for p in spec["problems"]] == [
        ("MP307", 2, 16, 1),
        ("MP301", 5, 38, 3),
        ("MP206", 5, 52, 1),
    ]


@pytest.mark.parametrize(("options", "ok"), [((), True), (("--strict",), False)])
def test_json_says_what_the_exit_code_says(mporch, project, options, ok):
    (project / "jobs.yaml").write_text(UNBOUNDED)
    answer = mporch("validate", "--format", "json", *options)
    assert (json.loads(answer.out)[0]["ok"], answer.code == 0) == (ok, ok)


def test_github_is_told_in_its_own_commands(mporch, project):
    (project / "jobs.yaml").write_text(WRONG)
    answer = mporch("validate", "--format", "github")
    assert (answer.code, answer.err) == (2, "")
    assert answer.out.splitlines() == [
        "::error file=jobs.yaml,line=5,col=38,title=MP301 A queue that is not declared,"
        "endColumn=41::there is no queue tdo%0Ahint: did you mean todo?",
        "::error file=jobs.yaml,line=5,col=52,title=MP206 A number that is too small or too "
        "large::0 is too small: the least is 1%0Ahint: write 1 or more, or auto",
        "::warning file=jobs.yaml,line=2,col=16,title=MP307 A queue without a bound::"
        "the queue todo is unbounded: a fast writer can fill the memory%0A"
        "hint: give it a maxsize or max_bytes",
    ]


def test_a_file_name_cannot_end_a_command_of_github(mporch, project):
    name = "a,b%c:d.yaml"
    (project / name).write_text("[]\n")
    out = mporch("validate", name, "--format", "github").out
    assert out.startswith("::error file=a%2Cb%25c%3Ad.yaml,line=1,col=1,title=MP125 ")


def test_a_run_shows_the_codes_too(mporch, project):
    (project / "jobs.yaml").write_text(WRONG)
    answer = mporch("run")
    assert answer.code == 2
    assert "[MP301]" in answer.err


def test_explain_lists_every_rule(mporch):
    out = mporch("explain").out
    assert [line[:5] for line in out.splitlines()[1:]] == [
        rule.code for theme in themes() for rule in theme.rules
    ]


@pytest.mark.parametrize("spelt", ["MP301", "mp301", "301"])
def test_explain_tells_all_of_a_rule(mporch, spelt):
    rule = text_of(CATALOGUE["MP301"])
    answer = mporch("explain", spelt)
    assert answer.code == 0
    assert answer.out.startswith(f"MP301: {rule.title} (error)\n")
    folded = " ".join(answer.out.split())
    assert rule.why in folded
    for example in (rule.wrong, rule.right):
        assert "".join(f"    {line}\n" for line in example.splitlines()) in answer.out


def test_explain_gives_rules_as_json(mporch):
    (rule,) = json.loads(mporch("explain", "MP307", "--format", "json").out)
    assert (rule["code"], rule["severity"]) == ("MP307", "warning")
    assert len(json.loads(mporch("explain", "--format", "json").out)) == len(CATALOGUE)


@pytest.mark.parametrize("code", ["MP999", "x", ""])
def test_explain_of_no_rule_is_a_usage_error(mporch, code):
    answer = mporch("explain", code)
    assert (answer.code, answer.out) == (2, "")
    assert ("There is no rule" if code else "an argument is empty") in answer.err
