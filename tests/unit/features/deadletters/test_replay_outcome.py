"""Which letters a replay owes, by its books."""

from orchestrator.core.protocol.notifications import Ledger
from orchestrator.core.reporting import JobSummary, Summary
from orchestrator.features.deadletters.replay import Feed, Owed, owed, ranges_of

LETTERS = tuple(range(11, 21))


def feed(*, alone: bool = True) -> Feed:
    return Feed(source="replay-a", queue="a", letters=LETTERS, alone=alone)


def books(*, put: int, a: Ledger, b: Ledger | None = None) -> Summary:
    return Summary(
        run="r",
        name="n",
        status="interrupted",
        exit_code=130,
        started="",
        ended="",
        duration_s=1.0,
        jobs={"replay-a": JobSummary(status="terminated", workers=1, items_out=put)},
        queues={"a": a, "b": b or Ledger(maxsize=10)},
    )


def test_letters_that_were_never_put_and_those_that_are_left_are_owed() -> None:
    summary = books(put=6, a=Ledger(maxsize=10, put=6, done=4, left=2))
    found = owed([feed()], summary, {"a": [range(2, 3), range(5, 6)]})
    assert found == Owed(letters=(12, 15, 17, 18, 19, 20), unclear={}, later={})


def test_all_are_owed_if_none_has_ended() -> None:
    summary = books(put=6, a=Ledger(maxsize=10, put=6, left=6))
    assert owed([feed()], summary, {"a": [range(1, 7)]}).letters == LETTERS


def test_none_is_owed_if_all_have_ended() -> None:
    summary = books(put=10, a=Ledger(maxsize=10, put=10, done=5, skipped=2, dead=3))
    assert owed([feed()], summary, {"a": []}) == Owed(letters=(), unclear={}, later={})


def test_what_another_job_may_have_put_is_not_taken_for_a_letter() -> None:
    summary = books(put=6, a=Ledger(maxsize=10, put=9, done=7, left=2))
    found = owed([feed(alone=False)], summary, {"a": [range(3, 5)]})
    assert found == Owed(letters=(17, 18, 19, 20), unclear={"a": 2}, later={})


def test_what_letters_became_and_is_left_is_told_apart() -> None:
    done = Ledger(maxsize=10, put=10, done=10)
    summary = books(put=10, a=done, b=Ledger(maxsize=10, put=10, done=7, left=3))
    assert owed([feed()], summary, {"b": [range(8, 11)]}) == Owed(
        letters=(), unclear={}, later={"b": 3}
    )


def test_numbers_are_written_as_a_command_takes_them() -> None:
    assert ranges_of([1, 3, 4, 5, 9]) == ["1", "3-5", "9"]
