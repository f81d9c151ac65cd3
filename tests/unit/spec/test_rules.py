"""The catalogue of rules is true: each example of it breaks, or keeps, what it says."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.app.import_check.problems import import_problems
from orchestrator.cli.validate import validate
from orchestrator.errors import Problem, Rule, SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.checks.targets import imported_targets
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import load, rules
from orchestrator.spec.rules import CATALOGUE, RuleText, examples_module, text_of, themes
from orchestrator.views.problems import render_page

ROOT = Path(__file__).parents[3]
RULES = CATALOGUE.values()
IMPORTED = next(theme.rules for theme in themes() if theme.title == "Targets, imported")
VALIDATE = "mporch validate"


def codes_of(example, folder, monkeypatch, *, imports=False):
    """Run the commands of an example in `folder`, check its spec, and return the codes.

    Only the rules of `--import` need its targets imported.
    """
    (folder / "mine.py").write_text(examples_module())
    lines = example.splitlines(keepends=True)
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    script = "".join(line for line in commands if not line.startswith(VALIDATE))
    spec = "".join(line for line in lines if not line.startswith("$ "))
    if spec:
        (folder / "jobs.yaml").write_text(spec, encoding="utf-8")
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, timeout=10)
    if commands and commands[-1].startswith(VALIDATE):
        arguments = shlex.split(commands[-1].removeprefix(VALIDATE))
        monkeypatch.chdir(folder)
        told = CliRunner().invoke(validate, [*arguments, "--format", "json"]).stdout
        return {problem["code"] for problem in json.loads(told)[0]["problems"]}
    try:
        spec = load(folder / "jobs.yaml")
        compiled = compile_spec(spec, this_machine())
        told = compiled.warnings
        if imports:
            told += tuple(
                import_problems(
                    spec, imported_targets(spec, compiled.plan, this_machine()), timeout_s=60.0
                )
            )
        return {p.code for p in told}
    except SpecError as error:
        return {p.code for p in error.problems}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_wrong_example_breaks_its_own_rule_and_no_other(rule, tmp_path, monkeypatch):
    if rule.code == "MP406":  # this system has every start method
        monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    assert codes_of(text_of(rule).wrong, tmp_path, monkeypatch, imports=rule in IMPORTED) == {
        rule.code
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_right_example_keeps_every_rule(rule, tmp_path, monkeypatch):
    assert codes_of(text_of(rule).right, tmp_path, monkeypatch, imports=rule in IMPORTED) == set()


def test_a_code_is_mp_and_three_digits_and_stands_for_one_rule():
    codes = [rule.code for theme in themes() for rule in theme.rules]
    assert len(codes) == len(set(codes)) == len(CATALOGUE)
    assert codes == sorted(codes)
    assert all(re.fullmatch(r"MP[1-9][0-9]{2}", code) for code in codes)


def test_every_rule_has_its_text_and_no_text_lacks_its_rule():
    data = tomllib.loads((ROOT / "orchestrator" / "spec" / "rules.toml").read_text("utf-8"))
    del data["mine"]
    texts = {code: text for theme in data.values() for code, text in theme.items()}
    assert sorted(texts) == sorted(CATALOGUE)
    for code, text in texts.items():
        assert set(text) == set(RuleText._fields), code
        assert all(isinstance(each, str) and each.strip() for each in text.values()), code


def test_rules_are_made_in_the_catalogue_only():
    made = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "orchestrator").rglob("*.py")
        if re.search(r"\bRule\(\n? *[\"'c]", path.read_text(encoding="utf-8"))
    ]
    assert made == ["orchestrator/spec/rules.py"]


def test_every_rule_is_raised_somewhere():
    catalogue = Path(rules.__file__)
    sources = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "orchestrator").rglob("*.py")
        if path != catalogue
    ]
    names = {name for text in sources for name in re.findall(r"\.([A-Z][A-Z0-9_]+)\b", text)}
    declared = {name for name, value in vars(rules).items() if isinstance(value, Rule)}
    assert len(declared) == len(CATALOGUE)
    assert declared <= names


def test_a_problem_without_a_rule_cannot_be_made():
    with pytest.raises(TypeError, match="rule"):
        Problem(file="f", line=1, column=1, message="m")


def test_the_page_is_that_of_the_catalogue():
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert page == render_page(), "mporch explain --format markdown > docs/rules.md"
