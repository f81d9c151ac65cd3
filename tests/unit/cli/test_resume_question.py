"""The question of `mporch resume`: what ends it without an answer."""

from typing import NoReturn

import click
import pytest

from orchestrator.cli.resume import _says_yes


def ended_by(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_prompt: str) -> NoReturn:
        raise kind

    monkeypatch.setattr("click.termui.visible_prompt_func", end)


def test_the_end_of_input_is_a_no(monkeypatch, capsys):
    ended_by(EOFError, monkeypatch)
    assert not _says_yes("Go on?")
    assert capsys.readouterr().err.endswith("\n")


def test_ctrl_c_is_no_answer(monkeypatch):
    ended_by(KeyboardInterrupt, monkeypatch)
    with pytest.raises(click.Abort):
        _says_yes("Go on?")
