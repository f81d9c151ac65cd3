"""Tests depend on nothing but the code: not on who runs them, nor on chance where CI is set."""

import os
import re

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


_OF_THE_SHELL = re.compile(r"MPORCH_(?!TEST_)\w+|NO_COLOR|FORCE_COLOR|COLUMNS")


@pytest.fixture(autouse=True)
def _own_settings_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shell sets for mporch or for colours does not reach a test."""
    for name in filter(_OF_THE_SHELL.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)
