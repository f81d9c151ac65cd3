"""The help of `mporch dead` and its commands."""

import pytest

COMMANDS = ["list", "show", "debug", "replay", "export"]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_narrow_terminal_and_has_examples(mporch, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "60")
    answer = mporch("dead", *command.split(), "--help")
    assert answer.code == 0
    assert [line for line in answer.out.splitlines() if len(line) > 60] == []
    assert f"Examples:\n    mporch dead {command}" in answer.out


def test_each_command_is_listed(mporch):
    listed = mporch("dead", "--help").out
    assert all(f"\n  {command} " in listed for command in COMMANDS)


def test_without_runs_it_says_how_to_make_one(mporch):
    answer = mporch("dead", "list")
    assert answer.code == 2
    assert "there are no runs here" in answer.err
