"""Runs of mporch that leave nothing behind, even when a test fails."""

import pytest
from life_runs import Life


@pytest.fixture(autouse=True)
def on(request, _own_settings_stay_out, monkeypatch):
    """Where the workers of this test's runs live (`--on`); every command that it begins obeys."""
    where = request.config.getoption("--on")
    monkeypatch.setenv("MPORCH_ON", where)
    return where


@pytest.fixture
def begin(tmp_path):
    """Begins a run of a spec (without its version) and the code of its module `t`."""
    lives = []

    def begun(spec, code, *options, **how):
        folder = tmp_path / f"life-{len(lives)}"
        folder.mkdir()
        lives.append(Life(folder, spec, code, *options, **how))
        return lives[-1]

    yield begun
    for life in lives:
        life.close()


@pytest.fixture
def ran(begin):
    """Runs a spec to its end and returns how that was."""
    return lambda *args, **how: begin(*args, **how).end()
