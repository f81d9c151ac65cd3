"""What the tests of the plan share: compile a few lines of jobs and queues."""

from dataclasses import replace

import pytest

from orchestrator.errors import SpecError
from orchestrator.machine.machine import this_machine
from orchestrator.plan.compile import compile_spec
from orchestrator.spec import loads


@pytest.fixture
def compiled(tmp_path):
    """Compile jobs (`{name: flow mapping}`) whose target, unless given, is one that exists.

    The machine is this one, but for what is given of it by name.
    """

    def compile_jobs(jobs, top="", **machine):
        lines = [f"version: 1\n{top}\njobs:"]
        for name, keys in jobs.items():
            target = "" if "target:" in keys or "command:" in keys else "target: 'os:getcwd', "
            lines.append(f"  {name}: {{{target}{keys}}}")
        spec = loads("\n".join(lines), name="jobs.yaml", project_dir=tmp_path)
        return compile_spec(spec, replace(this_machine(), **machine))

    return compile_jobs


@pytest.fixture
def found(compiled):
    """Compile, and return the problems, warnings too."""

    def problems(jobs, top="", **machine):
        try:
            return compiled(jobs, top, **machine).warnings
        except SpecError as error:
            return error.problems

    return problems


@pytest.fixture
def only(found):
    """Compile, and return the one problem there must be."""

    def problem(jobs, top="", **machine):
        problems = found(jobs, top, **machine)
        assert len(problems) == 1, problems
        return problems[0]

    return problem
