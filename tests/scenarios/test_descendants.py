"""Sweeping and reaping, each in a subreaper of its own."""

from os_orchestrators import orchestrate


def test_a_sweep_ends_children_their_groups_and_daemons_and_leaves_no_zombie():
    told = orchestrate("sweep_everybody")
    assert told["ended_in_time"]
    assert told["killed"] == told["expected"]
    assert told["left"] == []
    assert told["survived"] == []


def test_a_sweep_ends_a_process_that_forks_without_end():
    """A chain in which each process forks the next one and exits."""
    assert orchestrate("sweep_a_chain") == {"left": [], "survived": []}


def test_a_sweep_spares_whom_it_is_told_to():
    assert orchestrate("sweep_sparing_one") == {"spared_alive": True, "other_ended": True}


def test_strangers_are_reaped_and_the_exit_codes_of_the_known_left_to_others():
    told = orchestrate("reap_strangers_only")
    assert told["reaped"] == told["strangers"]
    assert told["known_exit_code"] == 7
    assert told["again"] == []


def test_a_sweep_that_comes_to_its_end_while_it_searches_still_kills_what_it_finds():
    assert orchestrate("sweep_without_time") == {"ended": True}


def test_what_dead_leaders_left_in_their_groups_is_killed_and_nobody_else():
    """And nobody is looked for more often than a group may grow meanwhile: twice for all seven."""
    told = orchestrate("kill_what_leaders_left")
    assert told == {
        "before": True,
        "ended": {
            "child": True,
            "grandchild": True,
            "orphan": True,
            "own_group": False,
            "own_session": False,
            "daemon": False,
        },
        "looks": 2,
    }


def test_a_group_whose_leader_lives_is_anothers():
    assert orchestrate("spare_a_group_whose_number_has_passed") == {"ended": False}


def test_who_was_forked_while_its_group_was_killed_is_killed_as_well():
    assert orchestrate("kill_a_group_that_forks_while_it_is_killed") == {"ended": True}
