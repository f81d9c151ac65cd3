"""Records of a control connection: bounded, strict, and never unpickled."""

import pickle
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.protocol.events import Blame, Orphaned, Phase
from orchestrator.core.protocol.messages import Failure
from orchestrator.core.protocol.notifications import (
    Logged,
    OutputLine,
    Progress,
    Stream,
    Survivor,
    Warned,
)
from orchestrator.engine.agents import control
from orchestrator.engine.engine import Figures

BLAME = Blame(lease=7, index=3, phase=Phase.RUNNING)
FAILURE = Failure(kind="OSError", message="no", bases=("OSError",))
LINE = OutputLine(job="j", worker="j-1", pid=5, stream=Stream.STDERR, text="é\\x00", item="q:1")
LOGGED = Logged(job="j", worker="j-1", pid=5, ts=1.5, level="INFO", logger="l", msg="m", text=None)
FROM_AGENT = [
    control.Beat(),
    control.LifeStarted(life=1, pid=77),
    control.LifeNotStarted(life=1, failure=FAILURE),
    control.LifeCancelled(life=1),
    control.LifeDied(life=1, exit_code=None),
    control.LifeDied(
        life=1, exit_code=-9, blame=BLAME, failure=FAILURE, orphaned=Orphaned.FORKSERVER
    ),
    control.LifeOverdue(life=1, blame=BLAME),
    control.LifeUnstoppable(life=1),
    control.LifePrinted(life=1, line=LINE),
    control.LifeLogged(life=1, record=LOGGED),
    control.LifeDrew(
        life=1, progress=Progress(job="j", worker="j-1", stream=Stream.STDOUT, text="50 %")
    ),
    control.LifeMeasured(
        life=1, figures=Figures(cpu_s=1.5, rss=1 << 20, blame=BLAME, at_item_s=0.5)
    ),
    control.Cells(cells={1: BLAME, 2: Blame()}),
    control.AgentWarned(warning=Warned(message="m", hint="h")),
    control.AgentEnded(survivors=(Survivor(pid=1, command="c", user="u"),)),
]
TO_AGENT = [
    control.Beat(),
    control.StartLife(life=1, worker="j-1", order=b"\x00" * 1000),
    control.CancelLife(life=1),
    control.SignalLife(life=1, signum=15),
    control.KillLife(life=1),
    control.StackOfLife(life=1),
    control.MeasureLife(life=1),
    control.BuryLife(life=1),
    control.Acknowledge(n=5),
    control.EndAgent(),
]


@pytest.mark.parametrize("n", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("reader", "records"), [(control.from_agent, FROM_AGENT), (control.to_agent, TO_AGENT)]
)
def test_records_arrive_as_they_were_sent_with_their_sizes(reader, records, n):
    data = b"".join(map(control.encode, records))
    got = []
    reading = reader()
    for at in range(0, len(data), n):
        got += reading.feed(data[at : at + n])
    assert [record for record, _ in got] == records
    assert sum(size for _, size in got) == len(data)


@pytest.mark.parametrize("reader", [control.from_agent, control.to_agent])
def test_a_record_of_four_gigabytes_is_refused_at_its_length(reader):
    with pytest.raises(control.RecordError, match="4294967295 bytes"):
        reader().feed(b"\xff\xff\xff\xff")


def test_what_is_announced_takes_no_memory():
    reading = control.to_agent()
    assert reading.feed(struct.pack("<I", control.MOST_TO_AGENT) + b"x") == []


@pytest.mark.parametrize(
    "value",
    [
        [99],
        [20, 1],
        [20, 1, 77, "more"],
        [20, 0, 77],
        [20, -1, 77],
        [20, 1, 1 << 40],
        [20, "1", 77],
        [23, 1, 1000],
        [23, 1, -300],
        [30, {"1": [0, 0, 0]}],
        [1, 1, "j-1", b""],
        {"life": 1},
        None,
        pickle.dumps(FAILURE),
    ],
)
def test_what_is_no_record_of_an_agent_is_refused(value):
    data = msgspec.msgpack.encode(value)
    with pytest.raises(control.RecordError):
        control.from_agent().feed(struct.pack("<I", len(data)) + data)


def test_what_nests_without_an_end_is_refused():
    data = b"\x91" * 100_000
    with pytest.raises(control.RecordError):
        control.from_agent().feed(struct.pack("<I", len(data)) + data)


def test_an_order_shows_in_no_traceback():
    assert "secret" not in repr(control.StartLife(life=1, worker="j-1", order=b"secret"))


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_waits_for_more(data):
    reading = control.from_agent()
    try:
        reading.feed(data)
    except control.RecordError:
        return
    assert reading.feed(b"") == []
