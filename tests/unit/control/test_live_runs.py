"""The live run that a command means, where that cannot be told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.control.live import run_or_only_one
from orchestrator.errors import RunNotFoundError
from orchestrator.runlog.directory import LOG_NAME


def test_a_run_whose_log_cannot_be_read_is_not_said_to_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / LOG_NAME
    log.touch()
    monkeypatch.setattr(os, "access", lambda path, _: path != log)
    with pytest.raises(RunNotFoundError, match="another user"):
        run_or_only_one(str(tmp_path), tmp_path, {})
