"""The exception tree."""

import pickle
import queue
import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrator import errors
from orchestrator.errors import ExitCode, Fault, Problem, Rule, Severity, SpecError

RULE = Rule("MP201")
DOUBT = replace(RULE, code="MP202", severity=Severity.WARNING)


def _all_errors(root=errors.MporchError):
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:  # the core refines InternalError for itself
            yield from _all_errors(child)


@pytest.mark.parametrize("kind", sorted(set(_all_errors()), key=lambda k: k.__name__))
def test_every_error_says_whose_fault_it_is_and_has_an_exit_code(kind):
    assert isinstance(kind.fault, Fault)
    assert isinstance(kind.exit_code, ExitCode)
    assert kind.__name__ in errors.__doc__
    assert kind.__name__ in errors.__all__


def test_a_hint_is_kept_beside_the_message():
    error = errors.UsageError("no such job", hint="did you mean parse?")
    assert (str(error), error.hint) == ("no such job", "did you mean parse?")


def test_the_exit_codes_are_those_that_are_documented():
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 70, 71, 74, 124, 129, 130, 143]


def test_the_end_of_a_stream_is_caught_by_code_written_for_the_standard_queue():
    assert issubclass(errors.EndOfStream, queue.Empty)
    assert issubclass(errors.EndOfStream, errors.QueueShutDown)
    assert issubclass(errors.ShutDown, errors.QueueShutDown)
    assert not issubclass(errors.ShutDown, queue.Empty)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="queue.ShutDown came with Python 3.13")
def test_shutdown_is_the_one_of_the_standard_library():
    assert errors.QueueShutDown is queue.ShutDown


def _problem(**changes):
    values = {"file": "jobs.yaml", "line": 3, "column": 7, "message": "no", "hint": ""}
    return Problem(**{"rule": RULE} | values | changes)


def test_a_problem_is_one_line_with_its_place_and_one_with_its_hint():
    assert str(_problem()) == "jobs.yaml:3:7: error: no [MP201]"
    warning = _problem(hint="do so", rule=DOUBT)
    assert str(warning) == "jobs.yaml:3:7: warning: no [MP202]\n  hint: do so"


def test_a_problem_never_sends_control_characters_to_the_terminal():
    text = str(_problem(message='unknown key "\x1b[31m\n"', file="a\nb.yaml"))
    assert text == r'a\nb.yaml:3:7: error: unknown key "\x1b[31m\n" [MP201]'


def test_a_spec_error_prints_all_its_problems():
    error = SpecError([_problem(), _problem(line=9)])
    assert str(error).splitlines() == [
        "jobs.yaml:3:7: error: no [MP201]",
        "jobs.yaml:9:7: error: no [MP201]",
    ]


@pytest.mark.parametrize(
    "error",
    [
        SpecError([_problem()]),
        errors.UsageError("a", hint="b"),
        errors.TargetError("a", traceback_text="t", hint="b"),
        errors.EndOfStream(),
        errors.UnpicklableItemError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_module_loads_nothing_but_the_standard_library():
    code = (
        "import sys, orchestrator.errors as e;"
        "tops = {name.partition('.')[0] for name in sys.modules};"
        "print({'pydantic', 'yaml', 'msgspec', 'rich', 'structlog', 'psutil', 'click'} & tops)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
