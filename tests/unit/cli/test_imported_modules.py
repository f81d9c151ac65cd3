"""What a command imports before it answers: nothing that takes long and is not needed."""

import subprocess
import sys

import pytest

RIGHT = "version: 1\njobs:\n  nothing: {target: 'nothing:run'}\n"
WRONG = RIGHT.replace("target", "targte")
NEVER = {"structlog", "asyncio", "ssl", "rich.console", "rich.table"}
"""Nobody needs them."""
if sys.version_info < (3, 13):  # from then on `importlib.invalidate_caches` needs it
    NEVER.add("importlib.metadata")
FOR_WRONG_SPECS = {"pydantic", "pydantic_core"}
OF_AN_ORCHESTRATOR = {
    "sqlite3",
    "orchestrator.app.run",
    "orchestrator.core.broker.broker",
    "orchestrator.engine.conductor",
    "orchestrator.engine.node.process",
    "orchestrator.store.store",
    "orchestrator.worker.main",
}
NOT_FOR_HELP = {
    "difflib",
    "json",
    "msgspec",
    "multiprocessing",
    "orchestrator.app",
    "orchestrator.cli.run",
    "orchestrator.console.options",
    "orchestrator.console.words",
    "orchestrator.plan",
    "orchestrator.spec",
    "renderdag",
    "rich",
    "shutil",
    "yaml",
}


def imported(code, cwd):
    """The modules that a fresh interpreter has after `code`."""
    last = "import os, sys; os.write(2, '\\n'.join(sys.modules).encode())"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{last}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines())


def imported_by(*words, cwd):
    code = f"from orchestrator.cli.main import command_line; command_line({list(words)!r})"
    return imported(code, cwd)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs.yaml").write_text(RIGHT)
    (tmp_path / "wrong.yaml").write_text(WRONG)
    (tmp_path / "nothing.py").write_text("def run():\n    pass\n")
    return tmp_path


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_next_to_nothing(option, folder):
    found = imported_by(option, cwd=folder)
    assert "click" in found
    helped = "import click; click.Command('x').main(['--help'], standalone_mode=False)"
    of_click = imported(helped, folder)
    assert not (found - of_click) & (NEVER | FOR_WRONG_SPECS | OF_AN_ORCHESTRATOR | NOT_FOR_HELP)


def test_the_check_of_a_spec_that_is_right_imports_no_pydantic_and_no_engine(folder):
    found = imported_by("validate", "jobs.yaml", cwd=folder)
    assert {"yaml", "orchestrator.plan.compile"} <= found
    assert not found & (NEVER | FOR_WRONG_SPECS | OF_AN_ORCHESTRATOR)


def test_pydantic_says_what_is_wrong(folder):
    assert imported_by("validate", "wrong.yaml", cwd=folder) >= FOR_WRONG_SPECS


def test_the_guard_of_a_run_imports_nothing_that_only_the_orchestrator_needs(folder):
    found = imported_by("run", "--no-live", "jobs.yaml", cwd=folder)
    assert "orchestrator.engine.node.guard" in found
    assert not found & (NEVER | FOR_WRONG_SPECS | OF_AN_ORCHESTRATOR)


def test_an_orchestrator_imports_no_pydantic_and_no_agents(folder):
    found = imported("import orchestrator.app.run, orchestrator.console.checking", folder)
    assert found >= OF_AN_ORCHESTRATOR - {"orchestrator.worker.main"}
    assert not found & (NEVER | FOR_WRONG_SPECS | {"orchestrator.engine.agents.engine"})


def test_a_worker_imports_no_spec_and_no_library_but_msgspec(folder):
    found = imported("import orchestrator.engine.node.child, orchestrator.worker.main", folder)
    assert "msgspec" in found
    assert not found & (NEVER | FOR_WRONG_SPECS | {"click", "rich", "yaml", "orchestrator.spec"})
