"""Timeouts, `join`, graces, daemons and clean-up jobs, each with real processes."""

import signal

import pytest
from life_runs import Life

LIMITED = """
defaults: {on_failure: continue, terminate: {grace: 300ms}}
queues: {numbers: 10, words: 10}
jobs:
  polite: {target: "t:forever", timeouts: {run: 300ms}, terminate: {grace: 20s}}
  stubborn: {target: "t:ignore_sigterm", timeouts: {run: 1s}}
  late: {target: "late:never", timeouts: {start: 2s}}
  count: {target: "t:count", output: numbers}
  slow_item: {target: "t:slow_at_three", input: numbers, timeouts: {item: 1s}}
  speak: {target: "t:speak", output: words}
  joiner: {target: "t:never_return", input: words, call: stream, join: 300ms}
  service: {target: "t:forever", daemon: true}
  stubborn_service: {target: "t:ignore_sigterm", daemon: true}
  when_failed: {target: "t:nothing", after: {polite: failed}}
  when_finished: {target: "t:nothing", after: {stubborn: finished, late: finished}}
  when_succeeded: {target: "t:nothing", after: polite}
  and_so_on: {target: "t:nothing", after: when_succeeded}
"""

LIMITED_CODE = """
import signal

def forever():
    signal.pause()

def ignore_sigterm():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()

def count():
    yield from range(5)

def slow_at_three(number):
    if number == 3:
        signal.pause()

def speak():
    return ["a", "b"]

def never_return(words):
    for word in words:
        print(word)
    signal.pause()

def nothing():
    pass
"""


LATE = {"late.py": "import signal\nsignal.pause()\ndef never(): pass\n"}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("limited"), LIMITED, LIMITED_CODE, more=LATE)
    try:
        yield life.end()
    finally:
        life.close()


def test_each_limit_ends_its_own_job_and_no_other(limited):
    assert limited.exit_code == 1
    assert limited.statuses() == {
        "polite": "timed_out",
        "stubborn": "timed_out",
        "late": "failed",
        "count": "succeeded",
        "slow_item": "timed_out",
        "speak": "succeeded",
        "joiner": "timed_out",
        "service": "terminated",
        "stubborn_service": "killed",
        "when_failed": "succeeded",
        "when_finished": "succeeded",
        "when_succeeded": "skipped",
        "and_so_on": "skipped",
    }


def test_the_stop_signal_is_enough_for_a_polite_worker(limited):
    assert _signals(limited, "polite-1") == ["SIGTERM"]
    assert limited.codes()["polite"] == [-signal.SIGTERM]


def test_a_stubborn_worker_is_killed_after_its_grace(limited):
    assert _signals(limited, "stubborn-1") == ["SIGTERM", "SIGKILL"]
    assert limited.codes()["stubborn"] == [-signal.SIGKILL]


def test_a_worker_that_is_not_ready_in_time_is_killed_at_once(limited):
    assert _signals(limited, "late-1") == ["SIGKILL"]
    assert "timeouts.start" in _end(limited, "late-1")["reason"]


def test_an_item_timeout_names_the_item_and_leaves_it_and_the_rest(limited):
    end = _end(limited, "slow_item-1")
    assert end["item"] == "numbers:4"
    assert end["reason"] == "item numbers:4 (3) took longer than 1 s (timeouts.item)"
    assert limited.ledger("numbers") == {"put": 5, "done": 3, "left": 2}


def test_a_worker_that_does_not_return_at_the_end_of_its_input_is_timed_out(limited):
    assert "join" in _end(limited, "joiner-1")["reason"]
    assert limited.log.printed("joiner-1") == ["a", "b"]


def test_a_daemons_end_is_no_failure_even_when_it_took_a_kill(limited):
    assert "service" not in limited.reason
    assert _signals(limited, "stubborn_service-1") == ["SIGTERM", "SIGKILL"]


def test_clean_up_jobs_come_after_what_they_wait_for(limited):
    log = limited.log
    assert log.place("job.started", job="when_failed") > log.place("job.ended", job="polite")
    assert log.place("job.started", job="when_finished") > log.place("job.ended", job="stubborn")


def test_the_runs_own_timeout_ends_everything_with_124(ran):
    ended = ran(
        """
        timeout: 3s
        jobs:
          polite: {target: "t:forever"}
          stubborn: {target: "t:ignore_sigterm", terminate: {grace: 200ms}}
          clean_up: {target: "t:nothing", after: {polite: finished}}
        """,
        LIMITED_CODE,
    )
    assert ended.exit_code == 124
    assert ended.summary["status"] == "timed_out"
    assert ended.statuses() == {"polite": "terminated", "stubborn": "killed", "clean_up": "skipped"}


def test_the_time_an_items_outputs_wait_for_room_is_not_the_items(ran):
    ended = ran(
        """
        queues: {seeds: 10, plants: 2}
        jobs:
          sow: {target: "t:sow", output: seeds}
          grow: {target: "t:grow", input: seeds, output: plants, timeouts: {item: 400ms}}
          reap: {target: "t:reap", input: plants}
        """,
        """
        import time

        def sow():
            return range(2)

        def grow(seed):
            for _ in range(6):
                yield seed

        def reap(plant):
            time.sleep(0.15)
        """,
    )
    assert ended.exit_code == 0
    assert ended.ledger("plants") == {"put": 12, "done": 12}


def _signals(ended, worker):
    return [record["signal"] for record in ended.log.having("signal.sent", worker=worker)]


def _end(ended, worker):
    (record,) = ended.log.having("worker.ended", worker=worker)
    return record
