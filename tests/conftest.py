"""Tests depend on nothing but the code: not on who runs them, nor on chance where CI is set."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import forms
import pytest
from hypothesis import HealthCheck, settings

_NOT_INSTALLED = forms.prefer_installed()  # before anything of mporch is imported

from orchestrator import compiled  # noqa: E402
from orchestrator.runlog.schema import flaw_of  # noqa: E402

# How long an example takes, or is made, tells how busy the machine is.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("any"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "any")


_OF_THE_SHELL = re.compile(r"MPORCH_(?!TEST_)\w+|NO_COLOR|FORCE_COLOR|COLUMNS")


@pytest.fixture(autouse=True)
def _own_settings_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shell sets for mporch or for colours does not reach a test."""
    for name in filter(_OF_THE_SHELL.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logs_are_as_documented(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every event of every run that a test has made is one of docs/log.md, with its fields."""
    given = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if given else None
    yield
    for path in folder.rglob("log.jsonl") if folder is not None else ():
        if path.is_file() and not path.is_symlink():
            assert not (flaws := _flaws_of(path)), f"{path}: {flaws}"


def _flaws_of(path: Path) -> list[str]:
    """What is wrong with the records of a log of mporch's own; torn lines are no records."""
    first, *more = path.read_bytes().splitlines() or [b""]
    if b'"event": "run.started"' not in first or b'"format": ' not in first:
        return []  # made up by a test
    flaws = set()
    for line in (first, *more):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and (flaw := flaw_of(record)):
            flaws.add(f"{flaw}: {line[:300]!r}")
    return sorted(flaws)[:5]


@pytest.fixture
def monkeypatch() -> Iterator[pytest.MonkeyPatch]:
    """As pytest's, but what is compiled it refuses to patch."""
    patch = forms.Patch()
    yield patch
    patch.undo()


def pytest_report_header() -> list[str]:
    """Say which form of mporch is tested."""
    folder = Path(compiled.__file__).parent
    told = f"mporch: the {compiled.form()} form, in {folder}"
    return [told, *filter(None, [_NOT_INSTALLED])]


def pytest_configure() -> None:
    """nohup ignores SIGHUP, a shell's `&` SIGINT: every process of a test would inherit that."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="run the tests too that are marked as long"
    )
    parser.addoption(
        "--on",
        choices=["local", "agent"],
        default=os.environ.get("MPORCH_ON", "local"),
        help="where the workers of the scenarios live",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of many of a kind some stand for all, unless all are asked for.

    What cannot hold for one engine has a mark with its reason. What patches code is for the pure
    form, and what compares the forms for a compiled one: .ci/run tests both.
    """
    on = config.getoption("--on")
    for item in items:
        for mark in item.iter_markers("only_on"):
            if mark.args[0] != on:
                item.add_marker(pytest.mark.skip(reason=f"only on {mark.args[0]}: {mark.args[1]}"))
    pure = compiled.form() == "pure"
    others = {"compiled_only"} if pure else {"pure_only"}
    if not config.getoption("--long"):
        others.add("long")
    left_out = {item for item in items if any(map(item.get_closest_marker, others))}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))
