"""What the environment has given is told in no problem of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads


@pytest.mark.parametrize(
    "keys",
    [
        'command: ["/nowhere/${TOKEN}"]',
        'command: ["${TOKEN}", x]',
        'command: [./tool], cwd: "nowhere//x${TOKEN}"',
        "command: ['true'], cwd: '/nowhere//x${TOKEN}'",
        "target: '${TOKEN}:f'",
        "target: 'os:getcwd', workers: '${TOKEN}'",
        "target: 'os:getcwd', timeouts: {run: '${TOKEN}'}",
    ],
)
def test_a_problem_tells_the_name_of_a_variable_and_not_its_value(
    keys: str, tmp_path: Path
) -> None:
    try:
        text = f"version: 1\njobs:\n  a: {{{keys}}}"
        environ = {"TOKEN": "hunter2"}
        spec = loads(text, name="jobs.yaml", environ=environ, project_dir=tmp_path)
        problems = compile_spec(spec, this_machine()).warnings
    except SpecError as error:
        problems = error.problems
    told = [f"{problem.message} {problem.hint}" for problem in problems]
    assert any("${TOKEN}" in text for text in told)
    assert not any("hunter2" in text for text in told)
