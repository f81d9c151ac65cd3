"""Records of logging libraries on their way out of a worker."""

import contextlib
import copy
import json
import logging
import logging.handlers
import os
import socket
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ipc import records
from orchestrator.worker.logs.console import PendingRecords
from orchestrator.worker.logs.sender import LONG, Sender, level_of, shown, to_json
from orchestrator.worker.logs.standard import StandardLogging
from orchestrator.worker.logs.structured import Rendered
from orchestrator.worker.stopping import StopRequested


class Wire:
    """Both ends of what a worker sends its records by."""

    def __init__(self):
        self.theirs, self.ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.sender = Sender(self.theirs, lambda: ("q:7", 2))

    def received(self):
        found = []
        with contextlib.suppress(BlockingIOError):
            while data := self.ours.recv(1 << 20):
                found.append(records.decode(data))
        return found


@pytest.fixture
def wire():
    wire = Wire()
    yield wire
    wire.ours.close()
    wire.theirs.close()


def send(wire, msg="hello", **more):
    wire.sender.send(ts=1.0, level="info", logger="t", msg=msg, **more)
    (record,) = wire.received()
    return record


@pytest.fixture
def logs(wire, monkeypatch):
    """The seams in `logging`, undone afterwards; `sys.stderr` stands for the console."""
    monkeypatch.setattr(logging.Logger, "callHandlers", logging.Logger.callHandlers)
    monkeypatch.setattr(logging.StreamHandler, "emit", logging.StreamHandler.emit)
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.setLevel(logging.WARNING)
    root.handlers[:] = []
    seams = StandardLogging(wire.sender, PENDING, ConsoleOnly(), Rendered())
    seams.install()
    yield seams
    root.setLevel(level)
    root.handlers[:] = handlers


class _Console:
    def __init__(self):
        self.written = ""

    def write(self, text):
        self.written += text

    def flush(self):
        pass


CONSOLE = _Console()


class ConsoleOnly:
    """Streams of which one is the console."""

    def is_console(self, stream):
        return stream is CONSOLE or isinstance(stream, Tee)

    def is_plain(self, stream):
        return stream is CONSOLE


PENDING = PendingRecords()


class Tee:
    """Writes to the console, as a worker's own streams do, and to itself."""

    def __init__(self):
        self.written = ""
        self.printed = ""

    def write(self, text):
        self.written += text
        if not PENDING.take(text.encode()):
            self.printed += text

    def flush(self):
        pass


def test_a_record_is_one_datagram_with_its_item_process_and_place(logs, wire):
    logging.getLogger("t").warning("%d eggs", 3, extra={"n": 1})
    (record,) = wire.received()
    assert (record.msg, record.level, record.logger) == ("3 eggs", "warning", "t")
    assert (record.item, record.attempt, record.pid) == ("q:7", 2, os.getpid())
    assert record.call.startswith("test_logs.py:")
    assert record.call.endswith(" test_a_record_is_one_datagram_with_its_item_process_and_place")
    assert json.loads(record.fields) == {"n": 1}
    assert record.thread == ""
    assert record.text is None


def test_what_cannot_be_sent_goes_to_stderr_in_a_line(logs, wire, capsys):
    wire.theirs.close()
    logging.getLogger("t").warning("%d eggs", 3)
    assert capsys.readouterr().err == "WARNING t: 3 eggs\n"


def test_the_root_has_no_handler_so_that_basicconfig_works(logs, wire):
    logging.getLogger().handlers[:] = []  # pytest's
    handler = logging.StreamHandler(CONSOLE)
    logging.basicConfig(handlers=[handler], level=logging.DEBUG, format="%(levelname)s %(message)s")
    logging.debug("fine")
    (record,) = wire.received()
    assert (record.level, record.text) == ("debug", "DEBUG fine")
    assert CONSOLE.written == ""


def test_handlers_get_what_they_would_without_mporch(logs, wire):
    """Below WARNING nothing, as long as nobody has set a level; the log has it."""
    logging.getLogger().handlers[:] = []  # pytest's
    seen = []

    class Keeps(logging.Handler):
        def emit(self, record):
            seen.append(record)

    log = logging.getLogger("levels")
    log.addHandler(handler := Keeps())
    try:
        log.info("for the log")
        log.warning("for both")
        log.setLevel(logging.INFO)
        log.info("asked for")
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    assert [r.msg for r in seen] == ["for both", "asked for"]
    assert [r.msg for r in wire.received()] == ["for the log", "for both", "asked for"]
    plain = logging.LogRecord("n", 30, "p", 1, "m", (), None, "f")
    assert set(vars(seen[0])) == set(vars(plain))
    assert {key: type(value) for key, value in vars(seen[0]).items()} == {
        key: type(value) for key, value in vars(plain).items()
    } | {"name": str, "args": tuple}


@pytest.mark.parametrize("raised", [ValueError("no"), RecursionError("deep")])
def test_a_handler_that_raises_costs_no_record_and_raises_as_without_mporch(logs, wire, raised):
    class Breaks(logging.Handler):
        def emit(self, record):
            raise raised

    log = logging.Logger("broken")
    log.addHandler(Breaks())
    with pytest.raises(type(raised)):
        log.error("x")
    assert [r.msg for r in wire.received()] == ["x"]


def test_a_formatter_that_lacks_an_attribute_is_told_as_python_does(logs, wire, capsys):
    log = logging.Logger("formats")
    log.addHandler(handler := logging.StreamHandler(CONSOLE))
    handler.setFormatter(logging.Formatter("%(request)s"))
    log.error("x")
    assert [r.msg for r in wire.received()] == ["x"]
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_handler_that_logs_itself_makes_two_records(logs, wire):
    inner = logging.Logger("inner")

    class Logs(logging.Handler):
        def emit(self, record):
            inner.warning("of %s", record.msg)

    log = logging.Logger("outer")
    log.addHandler(Logs())
    log.error("x")
    assert [(r.logger, r.msg) for r in wire.received()] == [("inner", "of x"), ("outer", "x")]


def test_a_filter_that_drops_all_and_logging_disable_drop_all(logs, wire):
    log = logging.Logger("drops")
    log.addFilter(lambda _: False)
    log.error("x")
    try:
        logging.disable()
        logging.getLogger("t").critical("y")
    finally:
        logging.disable(logging.NOTSET)
    assert wire.received() == []


def test_a_copy_that_a_listener_handles_later_is_no_second_record(logs, wire):
    kept = []

    class Keeps(logging.Handler):
        def emit(self, record):
            kept.append(copy.copy(record))

    log = logging.Logger("queue")
    log.addHandler(Keeps())
    log.error("x")
    logging.StreamHandler(CONSOLE).handle(kept[0])
    assert [r.msg for r in wire.received()] == ["x"]


def test_a_record_of_another_process_or_of_nobody_s_logger_is_one(logs, wire):
    record = logging.makeLogRecord({"msg": "from elsewhere", "levelno": 40, "process": 1})
    logging.StreamHandler(CONSOLE).handle(record)
    ours = logging.LogRecord("n", 30, "p", 1, "handed to a handler", (), None, "f")
    logging.StreamHandler(CONSOLE).handle(ours)
    found = wire.received()
    assert [(r.msg, r.pid) for r in found] == [
        ("from elsewhere", 1),
        ("handed to a handler", os.getpid()),
    ]
    assert found[0].text == "from elsewhere"


def test_a_record_of_which_everything_is_odd_arrives(logs, wire):
    odd = dict.fromkeys(
        ("name", "levelname", "levelno", "created", "process", "threadName", "pathname", "lineno"),
        Hostile(ValueError("odd")),
    )
    log = logging.Logger("odd")
    log.handle(logging.makeLogRecord(odd | {"msg": "still", "exc_info": "x", "stack_info": 5}))
    (record,) = wire.received()
    assert record.msg == "still"
    assert record.level == "info"


@pytest.mark.parametrize("created", [[], {}, "now", None, 10**400])
def test_a_time_that_is_none_costs_no_record(logs, wire, created):
    logger, console = logging.Logger("odd"), logging.StreamHandler(CONSOLE)
    logger.addHandler(console)
    record = logging.makeLogRecord({"msg": "still", "levelno": 40, "created": created})
    logger.handle(record)
    console.handle(logging.makeLogRecord({"msg": "by hand", "created": created}))
    assert [found.msg for found in wire.received()] == ["still", "by hand"]


def test_a_stream_that_is_not_the_console_is_written_to(logs, wire):
    other = _Console()
    log = logging.Logger("other")
    log.addHandler(logging.StreamHandler(other))
    log.error("x")
    assert other.written == "x\n"
    assert [r.text for r in wire.received()] == [None]


def test_a_tee_on_the_console_is_written_to_and_its_record_is_printed_once(logs, wire):
    tee, log = Tee(), logging.Logger("tee")
    log.addHandler(logging.StreamHandler(tee))
    log.error("x")
    tee.write("by hand\n")
    assert (tee.written, tee.printed) == ("x\nby hand\n", "by hand\n")
    assert [(r.msg, r.text) for r in wire.received()] == [("x", "x\n")]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_handlers_the_first_one_s_text_is_the_record_s(logs, wire, order):
    tee, log = Tee(), logging.Logger("two")
    named = logging.StreamHandler(CONSOLE)
    named.setFormatter(logging.Formatter("%(name)s"))
    for handler in (logging.StreamHandler(tee), named)[::order]:
        log.addHandler(handler)
    log.error("x")
    assert (tee.written, tee.printed) == ("x\n", "")
    assert [r.text for r in wire.received()] == ["x\n" if order == 1 else "two"]


def test_a_thread_that_has_drawn_does_not_end_the_watch_over_another_that_has_just_begun():
    """Whose record's text would be output, beside the record."""
    watched = []
    pending = PendingRecords(lambda *more: watched.append(more))
    with pending.apart() as first:
        assert pending.take(b"drawn")
    assert (first.text, watched) == ("drawn", [()])
    assert not pending.take(b"printed")


def test_a_tee_that_is_given_a_record_by_hand_sends_it_once(logs, wire):
    tee, kept = Tee(), []

    class Keeps(logging.Handler):
        def emit(self, record):
            kept.append(copy.copy(record))

    log = logging.Logger("queue")
    log.addHandler(Keeps())
    log.error("known")
    logging.StreamHandler(tee).handle(kept[0])
    logging.StreamHandler(tee).handle(logging.makeLogRecord({"msg": "strange", "levelno": 40}))
    logging.StreamHandler(_Console()).handle(logging.makeLogRecord({"msg": "for a file"}))
    assert (tee.written, tee.printed) == ("known\nstrange\n", "")
    assert [(r.msg, r.text) for r in wire.received()] == [("known", None), ("strange", "strange\n")]


def test_what_a_handler_hands_on_later_is_no_text_of_the_record_at_hand(logs, wire):
    tee, log = Tee(), logging.Logger("memory")
    later = logging.handlers.MemoryHandler(9, logging.ERROR, logging.StreamHandler(tee))
    log.addHandler(later)
    log.warning("before")
    log.error("now")
    assert (tee.written, tee.printed) == ("before\nnow\n", "")
    assert [(r.msg, r.text) for r in wire.received()] == [("before", None), ("now", "now\n")]


def test_a_console_handler_that_keeps_a_record_off_keeps_it_off_the_screen(logs, wire):
    log = logging.Logger("quiet")
    log.addHandler(handler := logging.StreamHandler(CONSOLE))
    handler.setLevel(logging.ERROR)
    log.warning("x")
    assert [r.text for r in wire.received()] == [""]


def test_an_item_s_failure_is_a_record_of_the_program_s_own_handlers_only(logs, wire):
    seen = []

    class Keeps(logging.Handler):
        def emit(self, record):
            seen.append(record)

    root = logging.getLogger()
    root.addHandler(handler := Keeps())
    root.addHandler(console := logging.StreamHandler(CONSOLE))
    try:
        error = ValueError("no")
        logs.tell_item(logging.ERROR, "item %s failed", ("q:7",), error)
    finally:
        root.removeHandler(handler)
        root.removeHandler(console)
    (record,) = seen
    assert (record.name, record.getMessage()) == ("mporch.item", "item q:7 failed")
    assert record.exc_info[1] is error
    assert wire.received() == []
    assert CONSOLE.written == ""


def test_without_handlers_of_the_program_s_own_an_item_s_failure_is_no_record(logs, wire):
    logging.getLogger().handlers[:] = []  # pytest's
    logs.tell_item(logging.ERROR, "item %s failed", ("q:7",), ValueError("no"))
    assert wire.received() == []


def test_a_handler_that_cannot_take_a_failed_item_is_a_warning(logs, wire):
    class Breaks(logging.Handler):
        def emit(self, record):
            if record.name == "mporch.item":
                raise OSError("gone")

    root = logging.getLogger()
    root.addHandler(handler := Breaks())
    try:
        logs.tell_item(logging.ERROR, "item %s failed", ("q:7",), ValueError())
    finally:
        root.removeHandler(handler)
    (record,) = wire.received()
    assert record.level == "warning"
    assert record.msg.endswith("could not take the record of a failed item: OSError: gone")


def test_a_thread_that_is_not_the_main_one_is_named(logs, wire):
    thread = threading.Thread(target=lambda: logging.getLogger("t").error("x"), name="mine")
    thread.start()
    thread.join()
    assert [r.thread for r in wire.received()] == ["mine"]


def test_an_exception_is_its_type_its_text_and_one_traceback(logs, wire):
    try:
        raise KeyError("k")
    except KeyError:
        logging.getLogger("t").exception("caught")
        logging.getLogger("t").error("in words", exc_info=sys.exc_info()[1])
    for record in wire.received():
        assert (record.error_type, record.error) == ("KeyError", "'k'")
        assert record.traceback.startswith("Traceback (most recent call last):\n")
        assert record.traceback.endswith("KeyError: 'k'")


@pytest.mark.parametrize(
    ("name", "number", "level"),
    [
        ("ERROR", 40, "error"),
        ("E", 40, "error"),
        ("\x1b[1;31mWARNING\x1b[0m", 30, "warning"),
        ("SUCCESS", 35, "info"),
        ("Level 35", 35, "warning"),
        ("Level 5", 5, "debug"),
        ("loud", 55, "critical"),
        ("WARN", 30, "warning"),
    ],
)
def test_a_level_is_known_by_name_or_by_number(name, number, level):
    assert level_of(name, number) == level


# -- values ---------------------------------------------------------------------------------------


class Hostile:
    """An object of which everything raises."""

    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error

    __str__ = __repr__
    __hash__ = object.__hash__

    def __eq__(self, other):
        raise self.error


class HostileDict(dict):
    def items(self):
        raise RuntimeError("no items")

    __iter__ = keys = values = __len__ = __getitem__ = items


class HostileText(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = encode = __len__ = __str__


class HostileClass:
    @property
    def __class__(self):
        raise RuntimeError("no class")


def _cycle():
    found = {"a": []}
    found["a"].append(found)
    return found


errors = st.sampled_from([ValueError("x"), SystemExit(1), RecursionError(), MemoryError()])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.datetimes(),
    st.uuids(),
    st.decimals(),
    st.timedeltas(),
    st.builds(Hostile, errors),
    st.builds(HostileText, st.text()),
    st.builds(HostileClass),
    st.builds(_cycle),
    st.builds(lambda: 1 << 200_000),
    st.just("x" * 300_000),
    st.just(["y" * 40] * 5_000),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(st.characters()), st.integers()), inner, max_size=4),
        st.builds(HostileDict, st.dictionaries(st.text(), inner, max_size=3)),
        st.sets(st.text(), max_size=3),
    ),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.text(st.characters(), max_size=20), values, max_size=6))
def test_whatever_the_values_are_the_record_arrives_and_says_what_was_cut(fields):
    wire = Wire()
    try:
        record = send(wire, fields=fields | {"keep": "me"})
    finally:
        wire.ours.close()
        wire.theirs.close()
    kept = json.loads(record.fields) if record.fields else {}
    assert record.fields.isascii()
    assert "\n" not in record.fields
    if "fields" not in record.cut:
        assert kept["keep"] == "me"
    for name, value in fields.items():
        if type(value) is str and len(value) == 300_000:
            shown_as = name.encode("utf-8", "backslashreplace").decode()
            assert {"fields", f"fields.{shown_as}"} & set(record.cut)


def test_a_gigabyte_is_cut_before_it_is_copied(wire):
    blob = bytearray(1 << 30)  # never touched, so it takes no memory
    record = send(wire, fields={"blob": blob, "keep": "me"})
    assert record.cut == ("fields.blob",)
    assert json.loads(record.fields)["keep"] == "me"


def test_of_what_is_too_large_the_longest_goes_first(wire):
    record = send(wire, "m" * 200_000, fields={"blob": "y" * 70_000, "keep": "me"})
    assert set(record.cut) == {"msg", "fields.blob"}
    assert len(records.encode(record)) <= records.RECORD_LIMIT
    assert json.loads(record.fields)["keep"] == "me"
    assert len(record.msg) > 16_000
    record = send(wire, "m" * 100_000)
    assert record.cut == ("msg",)
    assert len(record.msg) > 60_000


def test_thousands_of_small_fields_go_together(wire):
    record = send(wire, fields={f"n{n}": "x" * 100 for n in range(5_000)})
    assert (record.fields, record.cut) == ("", ("fields",))


def test_a_long_traceback_keeps_its_end(wire):
    record = send(wire, traceback="t" * 200_000 + "the end")
    assert record.cut == ("traceback",)
    assert record.traceback.endswith("the end")


def test_lone_surrogates_are_escapes_everywhere(wire):
    record = send(wire, "a\ud800", fields={"k\ud800": "v\udfff", "n": ["\ud800"]})
    assert record.msg == "a\\ud800"
    assert json.loads(record.fields) == {"k\\ud800": "v\\udfff", "n": ["\\ud800"]}


def test_scalars_go_the_fast_way_to_the_same_end():
    fields = {"s": "é😀", "i": 5, "f": 1.5, "b": True, "n": None}
    assert json.loads(to_json(fields)[0]) == fields
    assert to_json(fields)[0].isascii()
    assert json.loads(to_json({"f": float("inf"), "i": 1 << 64})[0]) == {
        "f": "inf",
        "i": str(1 << 64),
    }


def test_what_is_too_deep_or_inside_itself_is_cut():
    deep = []
    for _ in range(100):
        deep = [deep]
    assert to_json({"d": deep})[1] == ("d",)
    assert to_json({"c": _cycle()})[1] == ("c",)
    assert to_json({"t": "x" * (LONG + 1)})[1] == ("t",)


def test_a_stop_signal_in_a_value_s_own_method_is_not_swallowed():
    with pytest.raises(StopRequested):
        shown(Hostile(StopRequested()))
