"""From a target's name to what is called: its place, and the objects that are made of a class."""

import contextlib

from orchestrator.features.deadletters.replay_source import letters
from orchestrator.worker import target
from orchestrator.worker.command import CommandCall


def test_what_is_called_for_a_command_or_by_a_replay_has_no_place_of_the_users():
    assert target.place_of(CommandCall) == target.place_of(letters) == ""
    code = test_what_is_called_for_a_command_or_by_a_replay_has_no_place_of_the_users.__code__
    mine = test_what_is_called_for_a_command_or_by_a_replay_has_no_place_of_the_users
    assert target.place_of(mine) == f"{__file__}:{code.co_firstlineno}"


class Doubling(contextlib.AbstractContextManager):
    """Gives another object than itself when it is entered."""

    left = 0

    def __init__(self, by):
        self._by = by

    def __enter__(self):
        return lambda item: item * self._by

    def __exit__(self, *_exc):
        Doubling.left += 1


def test_an_object_that_is_a_context_manager_is_entered_and_left_once():
    with target.Entered() as entered:
        made = target.construct(Doubling, (), {"by": 2}, entered)
        assert made(21) == 42
        assert Doubling.left == 0
    assert Doubling.left == 1


def test_an_object_that_is_none_is_what_was_made():
    with target.Entered() as entered:
        assert target.construct(dict, (), {"a": 1}, entered) == {"a": 1}
