"""Whom a death costs an attempt: the item it happened in, what has left in part, nobody else."""

from __future__ import annotations

import pytest
from fake_broker import FakeBroker, job, output

from orchestrator.core.protocol.messages import End
from orchestrator.core.protocol.notifications import ItemDead, ItemRetried
from orchestrator.plan.model import ErrorAction


def line(*, attempts: int = 3, size: int = 9, **keys: int) -> FakeBroker:
    """Source, map and sink; nine items wait for map."""
    keys = {"attempts": attempts} | keys
    run = FakeBroker(
        {"a": size, "b": size},
        job("src", writes="a"),
        job("map", reads="a", writes="b", otherwise=ErrorAction.DEAD_LETTER, **keys),
        job("snk", reads="b"),
    )
    run.put("src-1", "a", 9)
    return run


def died(run: FakeBroker) -> list[str]:
    return [fact.item for fact in run.facts(ItemDead)]


def tried_again(run: FakeBroker) -> list[str]:
    return [fact.item for fact in run.facts(ItemRetried)]


def next_items(run: FakeBroker, most: int = 9, **keys: int) -> list[int]:
    """What another process of map gets now."""
    run.join(name := f"map-{len(run.sent) + 2}")
    run.lease(name, "a", most, **keys)
    return run.items(name)


def test_a_death_in_an_item_costs_that_item_an_attempt_and_its_neighbours_nothing() -> None:
    run = line()
    lease = run.lease("map-1", "a", 4)
    run.leave("map-1", lease=lease, index=2, running=True)
    assert (tried_again(run), died(run)) == (["a:3"], [])
    assert run.queue("a").attempts == {3: 1}
    assert next_items(run)[:4] == [1, 2, 3, 4]


def test_a_death_between_two_items_costs_nobody_anything() -> None:
    run = line()
    lease = run.lease("map-1", "a", 4)
    run.leave("map-1", lease=lease, index=2)
    assert (tried_again(run), died(run), run.queue("a").attempts) == ([], [], {})


def test_a_death_in_the_last_attempt_makes_a_dead_letter_of_that_item_alone() -> None:
    run = line(attempts=1)
    lease = run.lease("map-1", "a", 4)
    run.leave("map-1", lease=lease, index=2, running=True)
    assert (tried_again(run), died(run)) == ([], ["a:3"])
    assert next_items(run)[:3] == [1, 2, 4]


@pytest.mark.parametrize("running", [False, True])
def test_an_item_of_which_a_part_is_out_is_not_tried_again_wherever_its_worker_died(
    running: bool,
) -> None:
    run = line()
    lease = run.lease("map-1", "a", 4)
    run.commit("map-1", output("b", 2, (0, 2)), done=((lease, 1),))
    run.leave("map-1", lease=lease, index=1, running=running)
    assert (tried_again(run), died(run)) == ([], ["a:2"])
    assert next_items(run)[:2] == [3, 4]


def test_what_is_out_in_part_and_the_item_the_worker_was_at_are_each_charged_for_themselves() -> (
    None
):
    """It had finished the first, but that was not committed yet."""
    run = line()
    lease = run.lease("map-1", "a", 4)
    run.commit("map-1", output("b", 2, (2,)))
    run.leave("map-1", lease=lease, index=2, running=True)
    assert (tried_again(run), died(run)) == (["a:3"], ["a:1"])
    assert next_items(run)[:3] == [2, 3, 4]


def test_an_item_in_a_parked_commit_that_was_out_in_part_costs_the_next_one_nothing() -> None:
    run = line(size=4)
    lease = run.lease("map-1", "a", 3)
    run.commit("map-1", output("b", 4, (4,)))
    run.commit("map-1", output("b", 2, (2,)), done=((lease, 1),))
    assert run.port("map-1").parked
    run.leave("map-1", lease=lease, index=1)
    assert (tried_again(run), died(run)) == ([], [])
    assert next_items(run)[:2] == [2, 3]
    run.commit("snk-1", done=((run.lease("snk-1", "b", 4), 4),))
    assert run.counts("b")["put"] == 6


def test_a_batch_that_dies_costs_nothing_and_its_items_are_handed_out_one_by_one() -> None:
    run = line()
    lease = run.lease("map-1", "a", 3, least=3)
    run.leave("map-1", lease=lease, running=True)
    assert (tried_again(run), died(run)) == ([], [])
    for number in (1, 2, 3):
        assert next_items(run, 3, least=3) == [number]
    assert next_items(run, 3, least=3) == [4, 5, 6]


def test_an_item_that_has_failed_is_handed_out_alone_until_it_has_ended() -> None:
    """It costs its neighbours no work, and the job no more restarts than it has attempts."""
    run = line(retry_delay_s=0.5)
    lease = run.lease("map-1", "a", 3, least=3)
    run.commit("map-1", done=((lease, 3),), ends={1: End.FAILED})
    run.tick(1.0)
    lease = run.lease("map-1", "a", 3, least=3)
    assert run.items("map-1")[3:] == [2]
    run.commit("map-1", done=((lease, 1),))
    assert next_items(run, 3, least=3) == [4, 5, 6]


def test_an_item_that_has_killed_alone_is_handed_out_alone_again() -> None:
    run = line()
    run.leave("map-1", lease=run.lease("map-1", "a", 3, least=3), running=True)
    run.join("map-1")
    alone = run.lease("map-1", "a", 3, least=3)
    run.leave("map-1", lease=alone, running=True)
    assert tried_again(run) == ["a:1"]
    for number in (1, 2, 3):
        assert next_items(run, 3, least=3) == [number]
    assert next_items(run, 3, least=3) == [4, 5, 6]


def test_a_batch_ends_before_an_item_that_has_to_be_alone() -> None:
    """What another worker gives back comes before it."""
    run = line(retry_delay_s=0.5)
    lease = run.lease("map-1", "a", 3, least=3)
    other = run.lease("map-1", "a", 3, least=3)
    run.commit("map-1", done=((lease, 3),), ends={1: End.FAILED})
    run.tick(1.0)
    run.release("map-1", other, kept=0)
    for items in ([4, 5, 6], [2], [7, 8, 9]):
        assert next_items(run, 3, least=3) == items


def test_a_batch_of_which_a_part_is_out_is_not_tried_again_by_any_of_its_items() -> None:
    run = line()
    lease = run.lease("map-1", "a", 3, least=3)
    run.commit("map-1", output("b", 9, (9,)))
    run.leave("map-1", lease=lease, running=True)
    assert (tried_again(run), died(run)) == ([], ["a:1", "a:2", "a:3"])
    assert next_items(run, 3, least=3) == [4, 5, 6]
    assert run.counts("a") == {"put": 9, "dead": 3}
