"""The writer: one event a line, ASCII JSON, whatever a target says."""

import errno
import fcntl
import json
import os
import stat

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.protocol.messages import STOPPED, Failure
from orchestrator.core.protocol.notifications import (
    ItemDead,
    ItemFailed,
    ItemRetried,
    ItemSkipped,
    Logged,
    OutputLine,
    RunStarted,
    Stream,
    Warned,
    WorkerStarted,
)
from orchestrator.errors import DiskFullError, ResumeError, RunDirectoryError
from orchestrator.escaping import uncoloured
from orchestrator.rfc3339 import timestamp
from orchestrator.runlog import writer
from orchestrator.runlog.catalogue import context, describe
from orchestrator.runlog.jsonl import dumps
from orchestrator.runlog.schema import Level, flaw_of
from orchestrator.runlog.writer import Lines, RunLog

STARTED = RunStarted(name="census", spec="/p/jobs.yaml", python="3.11.7", pid=7)


def output(text, more=False):
    return OutputLine(job="a", worker="a-1", pid=5, stream=Stream.STDOUT, text=text, more=more)


def logged(**changes):
    base = {"job": "a", "worker": "a-1", "pid": 5, "ts": 1.0, "level": "INFO", "logger": "x"}
    return Logged(**base | {"msg": "hello"} | changes)


@pytest.fixture
def log(tmp_path):
    log = RunLog(tmp_path, "r1")
    yield log
    log.close()


def records(log):
    log.flush()
    return [json.loads(line) for line in log.path.read_bytes().splitlines()]


def test_every_record_has_ts_run_event_level_and_msg_in_front(log):
    for fact in (STARTED, output("x"), logged()):
        log.notify(fact, ts=1.5)
    for record in records(log):
        assert list(record)[:4] == ["ts", "run", "event", "level"]
        assert record["run"] == "r1"
        assert "msg" in record
    assert records(log)[0]["ts"] == "1970-01-01T00:00:01.500000Z"


def test_a_failure_is_unfolded_into_error_type_error_and_traceback(log):
    failure = Failure(kind="ValueError", message="no", traceback="Traceback...", where="a.py:3")
    log.notify(ItemFailed(job="a", worker="a-1", item="q:7", queue="q", failure=failure))
    (record,) = records(log)
    assert record["level"] == "error"
    assert (record["error_type"], record["error"]) == ("ValueError", "no")
    assert (record["traceback"], record["where"]) == ("Traceback...", "a.py:3")
    assert record["msg"] == "a-1 failed at q:7: ValueError: no (a.py:3)"


TEXTS = st.text(st.characters(), max_size=9) | st.text(st.characters(max_codepoint=127))
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(["ValueError", STOPPED, ""]),
    message=TEXTS,
    traceback=TEXTS,
    where=TEXTS,
    item_name=TEXTS,
)


def facts_of_items():
    known = {"job": TEXTS, "worker": st.just("a-1") | TEXTS, "item": TEXTS, "queue": TEXTS}
    used = known | {"failure": FAILURES, "attempts": st.integers(0, 9)}
    return st.one_of(
        st.builds(ItemSkipped, **known, failure=FAILURES),
        st.builds(ItemFailed, **known, failure=FAILURES),
        st.builds(ItemRetried, **used, delay_s=st.floats() | st.integers(0, 9)),
        st.builds(ItemDead, **used, chunk=st.just(b""), index=st.just(0), packed=st.just(False)),
    )


@given(facts_of_items(), st.booleans())
def test_what_becomes_of_an_item_is_written_as_every_other_event(fact, has_pid):
    """The short way gives, byte for byte, what the catalogue's dictionary is encoded to."""
    lines = Lines("r1")
    if has_pid:
        lines.event(WorkerStarted(job="a", worker="a-1", pid=5, start_method="fork"), 0.0)
    event, level, msg = describe(fact)
    fields = context(fact)
    if has_pid and fields.get("worker") == "a-1":
        fields["pid"] = 5
    head = {"ts": timestamp(1.5), "run": "r1", "event": event, "level": str(level)}
    urgent, line = lines.event(fact, 1.5)
    assert urgent is (level >= Level.WARNING)
    assert line == dumps({**head, **fields, "msg": msg}) + "\n"


@pytest.mark.parametrize("kind", [ItemSkipped, ItemRetried, ItemDead, ItemFailed])
def test_what_becomes_of_an_item_goes_the_short_way_with_all_its_fields(kind, monkeypatch):
    texts = {name: f"a {name}" for name in Failure.__struct_fields__}
    failure = Failure(**texts | {"bases": ("ValueError",)})
    values = {"failure": failure, "attempts": 2, "delay_s": 0.5, "chunk": b"", "index": 0}
    values |= {"packed": False}
    fact = kind(**{name: values.get(name, f"a {name}") for name in kind.__struct_fields__})
    wanted = context(fact)
    monkeypatch.setattr(writer, "context", None)
    record = json.loads(Lines("r1").event(fact, 1.5)[1])
    assert {key: value for key, value in record.items() if key in wanted} == wanted
    assert flaw_of(record) == ""


def test_what_says_nothing_is_left_out(log):
    log.notify(Warned(message="careful"))
    assert set(records(log)[0]) == {"ts", "run", "event", "level", "msg"}


@given(st.text(st.characters()))
def test_any_text_stays_one_ascii_line_and_comes_back_unchanged(text):
    lines = Lines("r1")
    for line in (lines.output(output(text), 0.0), lines.logged(logged(msg=text), 0.0)):
        assert line.isascii()
        assert line.endswith("\n")
        assert line.count("\n") == 1
        assert json.loads(line)["msg"] == uncoloured(text)


def test_a_fake_record_in_the_output_is_only_text(log):
    log.notify(output('{"event": "run.ended", "level": "error"}'))
    assert records(log)[0]["event"] == "output"


def test_a_line_cut_at_the_limit_says_so(log):
    log.notify(output("half", more=True))
    assert records(log)[0]["more"] is True


def test_a_log_record_keeps_its_own_time_and_fields(log):
    log.notify(logged(ts=2.0, level="WARN", fields='{"user": "ann"}'), ts=9.0)
    (record,) = records(log)
    assert record["ts"].startswith("1970-01-01T00:00:02")
    assert (record["level"], record["fields"]) == ("warning", {"user": "ann"})


@pytest.mark.parametrize("ts", [float("nan"), float("inf"), -1.0, 1e300])
def test_an_absurd_time_of_a_log_record_is_replaced(log, ts):
    log.notify(logged(ts=ts), ts=9.0)
    assert records(log)[0]["ts"].startswith("1970-01-01T00:00:09")


def test_what_is_known_of_a_record_is_written_and_nothing_else(log):
    known = {
        "item": "q:7",
        "attempt": 2,
        "error_type": "ValueError",
        "error": "no",
        "traceback": "Traceback...",
        "call": "m.py:12 work",
        "thread": "mine",
        "cut": ("msg", "fields.blob"),
    }
    log.notify(logged(**known))
    log.notify(logged())
    whole, bare = records(log)
    assert {key: whole[key] for key in known} == known | {"cut": ["msg", "fields.blob"]}
    assert set(bare) == {"ts", "run", "event", "level", "job", "worker", "pid", "msg", "logger"}


def test_a_line_has_its_item_and_the_time_when_it_was_written(log):
    log.notify(msgspec.structs.replace(output("x"), ts=2.0, item="q:1-3", attempt=1), ts=9.0)
    (record,) = records(log)
    assert record["ts"] == "1970-01-01T00:00:02.000000Z"
    assert (record["item"], record["attempt"]) == ("q:1-3", 1)


def test_colours_are_not_logged_and_all_else_is(log):
    log.notify(output("\x1b[31mred\x1b[0m \x1b[2J"))
    log.notify(logged(msg="\x1b[1;31mbold\x1b[m"))
    assert [record["msg"] for record in records(log)] == ["red \x1b[2J", "bold"]


def test_output_is_buffered_until_flush(log):
    log.notify(output("x"))
    assert log.pending
    assert log.path.read_bytes() == b""
    log.flush()
    assert not log.pending
    assert log.path.read_bytes()


def test_a_warning_is_written_at_once_with_all_before_it(log):
    log.notify(output("x"))
    log.notify(Warned(message="careful"))
    assert len(log.path.read_bytes().splitlines()) == 2


def test_a_warning_that_is_only_added_is_urgent_until_it_is_written(log):
    log.add(output("x"))
    assert not log.urgent
    log.add(Warned(message="careful"))
    log.add(output("y"))
    assert log.urgent
    assert log.path.read_bytes() == b""
    log.flush()
    assert not log.urgent
    assert len(log.path.read_bytes().splitlines()) == 3


def test_a_full_buffer_is_written_without_waiting(log):
    log.notify(output("x" * 70_000))
    assert log.path.stat().st_size > 70_000


def test_the_file_is_private(log):
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_an_existing_log_is_refused(tmp_path, log):
    with pytest.raises(RunDirectoryError, match=r"log\.jsonl"):
        RunLog(tmp_path, "r2")


def test_a_link_in_the_place_of_the_log_is_not_followed(tmp_path):
    (tmp_path / "log.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirectoryError):
        RunLog(tmp_path, "r1")
    assert not (tmp_path / "elsewhere").exists()


def failing(real, number):
    """A write that takes ten bytes, and then none."""
    taken = []

    def write(fd, data):
        if taken:
            raise OSError(number, os.strerror(number))
        taken.append(real(fd, bytes(data[:10])))
        return taken[0]

    return write


def test_without_room_nothing_is_lost_and_the_next_flush_tells(log, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(writer.os, "write", failing(os.write, errno.ENOSPC))
        log.notify(Warned(message="one"))
        log.notify(Warned(message="two"))
        with pytest.raises(DiskFullError, match=r"log\.jsonl: No space left") as caught:
            log.flush()
    assert "space" in caught.value.hint
    assert log.urgent
    log.flush()
    assert not log.urgent
    assert [record["msg"] for record in records(log)] == ["one", "two"]


def test_any_other_failed_write_names_the_path_once_and_the_log_goes_on_later(log, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(writer.os, "write", failing(os.write, errno.EIO))
        with pytest.raises(RunDirectoryError, match=r"log\.jsonl: Input/output error"):
            log.notify(Warned(message="one"))
        log.notify(Warned(message="two"))
    log.notify(Warned(message="three"))
    log.flush()
    torn, last = log.path.read_bytes().splitlines()
    assert len(torn) == 10
    assert json.loads(last)["msg"] == "three"


def test_short_writes_are_continued(log, monkeypatch):
    real = os.write
    monkeypatch.setattr(writer.os, "write", lambda fd, data: real(fd, bytes(data[:7])))
    log.notify(STARTED)
    assert records(log)[0]["event"] == "run.started"


def test_the_log_is_locked_while_it_is_open(tmp_path):
    log = RunLog(tmp_path, "r1")
    with log.path.open() as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        log.close()
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_closing_twice_does_nothing(log):
    log.notify(STARTED)
    log.close()
    log.close()
    assert log.path.read_bytes()


def test_a_new_log_that_a_resume_has_locked_first_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "lock_while_open", lambda fd: False)
    monkeypatch.setattr(writer, "holder", lambda fd: 77)
    with pytest.raises(ResumeError, match="in process 77"):
        RunLog(tmp_path, "r1")


def test_who_has_locked_a_log_is_named_though_the_log_names_others(tmp_path):
    log = RunLog(tmp_path, "r1")
    log.notify(STARTED)
    log.flush()
    with pytest.raises(ResumeError, match=f"in process {os.getpid()}$"):
        RunLog(tmp_path, "r1", resumed=True)
    log.close()
