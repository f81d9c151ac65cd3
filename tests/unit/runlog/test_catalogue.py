"""The catalogue: every fact has its event, and the docs know them all."""

import typing
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.messages import Failure
from orchestrator.runlog.catalogue import _ENTRIES, CATALOGUE, context, describe
from orchestrator.runlog.schema import EVENTS, Level, fields_of, flaw_of, log_schema, tables

DOCS = Path(__file__).parents[3] / "docs" / "log.md"


def test_every_fact_is_in_the_catalogue_exactly_once():
    assert sorted(e.notification.__name__ for e in _ENTRIES) == sorted(
        f.__name__ for f in typing.get_args(notifications.Notification)
    )


def test_no_two_facts_share_an_event():
    assert len({entry.event for entry in CATALOGUE.values()}) == len(CATALOGUE)


def test_the_docs_tables_are_made_of_the_schema():
    """As is the JSON Schema: to change one, change `runlog/schema.py`."""
    for table in tables():
        assert table in DOCS.read_text()


def test_the_schema_has_exactly_the_catalogues_events():
    assert sorted(EVENTS) == sorted(entry.event for entry in CATALOGUE.values())


@pytest.mark.parametrize(
    ("how", "told"),
    [("stop", "stopping: job a failed"), ("drain", "stopping (drain): job a failed")],
)
def test_the_usual_way_to_stop_is_not_said_twice(how, told):
    fact = notifications.RunStopping(how=how, reason="job a failed")
    assert CATALOGUE[type(fact)].msg(fact) == told


def test_a_state_of_two_words_is_told_as_words():
    fact = notifications.JobEnded(job="a", state="timed_out", reason="it hung")
    assert CATALOGUE[type(fact)].msg(fact) == "a timed out: it hung"


def names_of(entry):
    """The fields that a fact may be logged with."""
    names = set(entry.notification.__struct_fields__) - entry.spoken - entry.unlogged
    if "failure" in names:
        names = (names - {"failure"}) | {"error_type", "error", "where", "traceback"}
        names.add("item_name")
        names |= {"stack"} if entry.event == "worker.ended" else set()
    if "item" in names and entry.event not in ("output", "log"):
        names.add("queue")
    if entry.event in ("run.started", "run.resumed"):
        names.add("format")
    if "worker" in names:
        names.add("pid")
    return names | {"ts", "run", "event", "level", "msg"}


@pytest.mark.parametrize("entry", _ENTRIES, ids=lambda entry: entry.event)
def test_the_schema_has_exactly_the_fields_of_each_fact(entry):
    assert fields_of(entry.event) == names_of(entry)


def test_the_schema_is_one_and_tells_good_records_from_bad():
    schema = log_schema()
    Draft202012Validator.check_schema(schema)
    good = {
        "ts": "2026-12-01T02:27:22.948370Z",
        "run": "r1",
        "event": "log",
        "level": "error",
        "job": "w",
        "worker": "w-1",
        "pid": 5,
        "msg": "",
        "logger": "",
        "fields": {"a": 1},
        "item": "q:1",
        "attempt": 1,
    }
    validator = Draft202012Validator(schema)
    assert validator.is_valid(good)
    assert flaw_of(good) == ""
    for change in (
        {"event": "logs"},
        {"level": "loud"},
        {"state": "failed"},
        {"thread": ""},
        {"fields": None},
    ):
        assert not validator.is_valid(good | change), change
        assert flaw_of(good | change), change
    without = {key: value for key, value in good.items() if key != "logger"}
    assert not validator.is_valid(without)
    assert flaw_of(without) == "log without logger"
    assert not validator.is_valid(good | {"ts": "today"})


def test_a_stop_is_told_by_where_it_met_the_target_and_is_no_error():
    stopped = Failure(kind="StopRequested", message="stopped here", traceback="  File ...")
    fact = ended(state="terminated", exit_code=-15, failure=stopped, item="q:7")
    told = context(fact)
    assert (told["stack"], told["queue"]) == ("  File ...", "q")
    assert {"error", "error_type", "traceback"}.isdisjoint(told)
    assert describe(fact)[2] == "a-1 terminated with exit code -15"


def test_lists_without_elements_say_nothing():
    told = context(notifications.RunResumed(name="n", spec="s", python="p", pid=1))
    assert {"jobs_done", "lost", "protection"}.isdisjoint(told)
    assert told["queued"] == 0


@pytest.mark.parametrize("code, level", [(0, Level.INFO), (3, Level.WARNING), (1, Level.ERROR)])
def test_a_run_that_succeeded_but_for_dead_letters_is_a_warning(code, level):
    fact = notifications.RunEnded(status="succeeded", exit_code=code, duration_s=1.0)
    assert describe(fact)[1] is level


def ended(**changes):
    base = {"job": "a", "worker": "a-1", "pid": 5, "state": "succeeded", "exit_code": 0}
    return notifications.WorkerEnded(**base | changes)


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ("succeeded", Level.INFO),
        ("skipped", Level.INFO),
        ("terminated", Level.INFO),
        ("killed", Level.WARNING),
        ("failed", Level.ERROR),
        ("timed_out", Level.ERROR),
    ],
)
def test_the_level_of_an_end_depends_on_how_it_ended(state, level):
    assert describe(ended(state=state))[1] is level


def test_the_message_of_a_death_gives_its_reason():
    fact = ended(state="failed", exit_code=-11, reason="killed by SIGSEGV at item files:17")
    assert describe(fact)[2] == "a-1 failed with exit code -11: killed by SIGSEGV at item files:17"


def test_the_message_of_a_failure_gives_the_exception_and_the_place():
    failure = Failure(kind="ValueError", message="no", where="a.py:3")
    fact = ended(state="failed", exit_code=1, failure=failure)
    assert describe(fact)[2] == "a-1 failed with exit code 1: ValueError: no (a.py:3)"


def test_items_left_make_the_end_of_a_queue_an_error():
    ledger = notifications.Ledger(maxsize=3, put=3, done=1, left=2)
    _, level, msg = describe(notifications.QueueEnded(queue="q", ledger=ledger))
    assert level is Level.ERROR
    assert msg == "queue q ended: 3 put, 1 done, 2 left"


@pytest.mark.parametrize("dropped, left, level", [(0, 0, 20), (4, 0, 30), (4, 1, 40)])
def test_a_closed_queue_is_as_grave_as_what_it_lost(dropped, left, level):
    assert describe(notifications.QueueClosed(queue="q", dropped=dropped, left=left))[1] == level


def test_sigkill_is_a_warning_and_other_signals_are_not():
    def sent(name):
        return notifications.SignalSent(job="a", worker="a-1", pid=5, signal=name, reason="timeout")

    assert describe(sent("SIGKILL"))[1] is Level.WARNING
    assert describe(sent("SIGTERM"))[1] is Level.INFO


def test_a_run_that_failed_ends_as_an_error():
    assert (
        describe(notifications.RunEnded(status="failed", exit_code=1, duration_s=1.0))[1]
        is Level.ERROR
    )


def test_a_job_that_holds_up_a_drain_is_told_with_its_queued_items_and_the_wait() -> None:
    told = describe(notifications.HeldByRate(job="fetch", queued=5, next_s=3599.25))[2]
    assert told == "waiting for fetch, held by its rate: 5 queued, the next may start in 3599.2 s"
