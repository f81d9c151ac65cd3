"""The page of a queue's size: what it tells is true, or it tells nothing."""

import pytest

from orchestrator.features.standalone.pages import _LAST, Size, SizePage, new_page


@pytest.fixture
def page():
    made = SizePage(new_page())
    yield made
    made.close()


def test_nothing_is_told_before_the_broker_keeps_it(page):
    assert page.look() is None
    page.note(0, 0, 0)
    assert page.look() == Size(0, 0, 0)


def test_what_was_sent_and_is_not_applied_is_on_its_way(page):
    page.note(0, 0, 0)
    one, other = page.slot(11), page.slot(12)
    page.count(one, 2)
    page.count(other, 3)
    assert page.look() == Size(5, 0, 0)
    page.note(4, 4, 4)
    assert page.look() == Size(1, 4, 4)
    page.note(5, 2, 3)
    assert page.look() == Size(0, 2, 3)


def test_what_the_dead_have_not_sent_is_not_waited_for(page):
    page.note(0, 0, 0)
    slot = page.slot(11)
    page.count(slot, 5)
    page.leave(11, 3)
    page.note(3, 3, 3)
    assert page.look() == Size(0, 3, 3)
    page.leave(11, 3)  # told twice
    assert page.look() == Size(0, 3, 3)
    assert page.slot(12) == slot  # which is free again
    page.count(slot, 1)
    assert page.look() == Size(1, 3, 3)


def test_more_applied_than_was_counted_is_not_believed(page):
    page.note(1, 1, 1)
    assert page.look() is None


def test_a_page_that_is_being_written_is_not_read(page):
    page.note(0, 0, 0)
    page._words[0] += 1
    assert page.look() is None


def test_nothing_is_told_once_there_are_more_processes_than_slots(page):
    page.note(0, 0, 0)
    while slot := page.slot(7):
        last = slot
    assert last == _LAST
    assert page.look() is None
    assert page.slot(7) == 0
