"""The machine as this process sees it."""

import multiprocessing
import os

import pytest

from orchestrator.machine.machine import processors, this_machine, within_quota


@pytest.mark.parametrize(
    ("usable", "quota", "workers"),
    [(4, None, 4), (4, 2.0, 2), (4, 2.5, 2), (4, 8.0, 4), (2, 0.5, 1), (1, None, 1)],
)
def test_a_quota_lets_whole_processors_be_busy_and_at_least_one(usable, quota, workers):
    assert within_quota(usable, quota) == workers


def test_the_processors_are_those_that_this_process_may_use():
    told = getattr(os, "process_cpu_count", None)
    expected = told() if told else len(os.sched_getaffinity(0))
    assert processors() == expected


def test_this_machine_has_memory_processors_and_a_signal_to_stop_with():
    machine = this_machine()
    assert machine.memory_bytes > 1 << 26
    assert 1 <= machine.usable_processors <= machine.processors
    assert machine.stop_signals["SIGTERM"] == 15
    assert not {"SIGKILL", "SIGSTOP"} & machine.stop_signals.keys()


@pytest.mark.parametrize(
    ("there", "known"),
    [
        (["fork", "spawn", "forkserver"], ("forkserver", "spawn", "fork")),
        (["spawn"], ("spawn",)),
        (["fork", "spawn"], ("spawn", "fork")),
    ],
)
def test_the_best_start_method_that_is_there_is_the_default(monkeypatch, there, known):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: there)
    machine = this_machine()
    assert tuple(each.value for each in machine.start_methods) == known
    assert machine.start_method.value == known[0]


def test_the_system_may_not_tell_its_memory(monkeypatch):
    def untold(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", untold)
    assert this_machine().memory_bytes is None
