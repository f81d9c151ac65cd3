"""The question of `mporch resume`: what ends it without an answer."""

from typing import NoReturn

import click
import pytest

from orchestrator.console.printing import says_yes


def ended_by(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_prompt: str) -> NoReturn:
        raise kind

    monkeypatch.setattr("click.termui.visible_prompt_func", end)


def test_the_end_of_input_is_a_no(monkeypatch, capsys):
    ended_by(EOFError, monkeypatch)
    assert not says_yes("Go on?")
    assert capsys.readouterr().err.endswith("\n")


def test_ctrl_c_is_no_answer(monkeypatch):
    ended_by(KeyboardInterrupt, monkeypatch)
    with pytest.raises(click.Abort):
        says_yes("Go on?")


@pytest.mark.parametrize(
    ("answers", "agreed"),
    [(["x", "y"], True), (["x", "No"], False), (["YES"], True), ([""], False)],
)
def test_what_is_neither_yes_nor_no_is_asked_again(monkeypatch, capsys, answers, agreed):
    left = iter(answers)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt: next(left))
    assert says_yes("Go on?") is agreed
    told = capsys.readouterr().err
    assert told.count("answer y for yes or n for no") == answers.count("x")
