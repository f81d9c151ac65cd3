"""The page that tells a dead process's broker what `get` had returned."""

import mmap

from orchestrator.features.standalone.pages import AckPage, read_acks


def pages():
    """The process's side and the broker's."""
    page = AckPage()
    there = mmap.mmap(page.fd, 0, prot=mmap.PROT_READ)
    page.close_fd()
    return page, there


def note(page, slot, lease, taken):
    page.words[slot], page.words[slot + 1] = lease, taken


def test_the_broker_reads_what_each_slot_says():
    page, there = pages()
    first, second = page.slot(), page.slot()
    note(page, first, 7, 3)
    note(page, second, 9, 1)
    assert read_acks(there) == ((7, 3), (9, 1))


def test_a_slot_given_back_says_nothing_and_is_used_again():
    page, there = pages()
    first, second = page.slot(), page.slot()
    note(page, first, 7, 3)
    note(page, second, 9, 1)
    page.free(first)
    assert read_acks(there) == ((9, 1),)
    assert page.slot() == first


def test_a_page_scribbled_over_is_read_without_harm():
    page, there = pages()
    page.words[0] = -5
    assert read_acks(there) == ()
    page.words[0] = 1 << 60
    assert read_acks(there) == ()
