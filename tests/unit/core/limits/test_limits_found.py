"""The limit of a run, from samples made by hand: which job, why, from when to when."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from hand_made import During, chain, samples, wired

from orchestrator.core.limits import Bottleneck, Limits, limits_of
from orchestrator.core.samples import Header, JobSample, JobWiring, Sample, Service, SlowItem

RUN = {"run": 1.0}
STARVED = {"run": 0.1, "starve": 0.9}
BLOCKED = {"run": 0.1, "block": 0.9}
HELD = {"run": 0.05, "held": 0.95}
STARTS = {"start": 1.0}
AT_END = {"run": 0.25, "starve": 0.75, "end": 0.75}
FULL = {"size": 9.0, "full": 0.95}
GROWS = {"put": 40.0, "done": 30.0}
NONE = {"size": 0.1, "empty": 0.9}
ABC = chain("a", "b", "c")
ABC4 = chain("a", "b", "c", workers={"b": 4})
A_SLOW = During(s=4, jobs={"a": RUN, "b": STARVED, "c": STARVED}, queues={"a-b": NONE})
B_SLOW = During(s=4, jobs={"a": BLOCKED, "b": RUN, "c": STARVED}, queues={"a-b": FULL})
C_SLOW = During(s=4, jobs={"a": BLOCKED, "b": BLOCKED, "c": RUN}, queues={"b-c": FULL})
B_HELD = During(s=4, jobs={"a": BLOCKED, "b": HELD, "c": STARVED}, queues={"a-b": FULL})
B_STARTS = During(s=4, jobs={"a": BLOCKED, "b": STARTS, "c": STARVED}, queues={"a-b": FULL})
ALL_START = During(s=0.5, jobs={"a": STARTS, "b": STARTS, "c": STARTS})
MANY = Service(items=1000, total_s=10.0)
SLOW = Service(items=1001, total_s=13.0, slowest=(SlowItem(seconds=3.0, item="a-b:7", name="z"),))
B_STRAGGLES = During(
    s=3, jobs={"b": AT_END, "c": STARVED}, at=("b", "a-b:7", 4.0), service={"b": MANY}
)
BURSTS = During(
    s=4,
    jobs={
        "a": {"run": 0.5, "block": 0.5},
        "b": {"run": 0.5, "starve": 0.5},
        "c": STARVED,
    },
    queues={"a-b": {"size": 1.0, "bytes": 0.5, "empty": 0.4}},
)
WAITS = During(
    s=4,
    jobs={"a": BLOCKED, "b": {"run": 0.1, "starve": 0.9, "within": 0.8}, "c": STARVED},
)
FAN_OUT = wired(
    JobWiring(name="a", writes=("l", "r"), shape="source"),
    JobWiring(name="left", reads=("l",)),
    JobWiring(name="right", reads=("r",)),
)
FAN_IN = wired(
    JobWiring(name="a", writes=("q",), shape="source"),
    JobWiring(name="b", writes=("q",), shape="source"),
    JobWiring(name="c", reads=("q",)),
)
APART = wired(*ABC.jobs, JobWiring(name="tick", shape="task"))
DAEMON = wired(*ABC.jobs, JobWiring(name="tick", shape="task", daemon=True))
TASKS = wired(JobWiring(name="first", shape="task"), JobWiring(name="then", shape="task"))
LOOP = wired(
    JobWiring(name="a", reads=("back",), writes=("on",)),
    JobWiring(name="b", reads=("on",), writes=("back",)),
)


def during(phase: During, **changes: object) -> During:
    return dataclasses.replace(phase, **changes)  # type: ignore[arg-type]


def of(header: Header, *phases: During, step: float = 0.25) -> list[tuple[str, str]]:
    return [(each.job, each.why) for each in limits_of(header, samples(header, *phases, step=step))]


@pytest.mark.parametrize(
    ("header", "phases", "expected"),
    [
        (ABC, [A_SLOW], [("a", "busy")]),
        (ABC, [B_SLOW], [("b", "busy")]),
        (ABC, [C_SLOW], [("c", "busy")]),
        (ABC, [B_HELD], [("b", "rate")]),
        (ABC, [B_STARTS], [("b", "starting")]),
        (ABC, [ALL_START, B_SLOW], [("b", "busy")]),
        (
            ABC,
            [during(ALL_START, s=4), B_SLOW],
            [("a", "starting"), ("b", "starting"), ("c", "starting"), ("b", "busy")],
        ),
        (ABC4, [B_STRAGGLES], [("b", "straggler")]),
        (ABC4, [B_SLOW, B_STRAGGLES], [("b", "busy"), ("b", "straggler")]),
        (ABC4, [A_SLOW, B_STRAGGLES], [("a", "busy"), ("b", "straggler")]),
        (ABC, [BURSTS], [("a", "bytes")]),
        (ABC, [WAITS], [("b", "batches")]),
        (ABC, [during(B_SLOW, busy=0.96)], [("b", "processors")]),
        (ABC, [during(B_SLOW, busy=0.94)], [("b", "busy")]),
        (ABC, [during(B_SLOW, busy=None)], [("b", "busy")]),
        (ABC, [during(B_SLOW, throttled=0.3)], [("b", "processors")]),
        (ABC, [during(B_HELD, busy=0.99)], [("b", "rate")]),
        (ABC, [during(B_SLOW, disk=0.6)], [("b", "disk full")]),
        (ABC, [A_SLOW, B_SLOW], [("a", "busy"), ("b", "busy")]),
        (ABC, [during(A_SLOW, s=3), B_SLOW, C_SLOW], [("a", "busy"), ("b", "busy"), ("c", "busy")]),
        (ABC, [during(A_SLOW, s=1), during(B_SLOW, s=3)], [("b", "busy"), ("a", "busy")]),
        (ABC, [during(A_SLOW, s=0.3), B_SLOW], [("b", "busy")]),
        (
            FAN_OUT,
            [During(s=4, jobs={"a": BLOCKED, "left": STARVED, "right": RUN})],
            [("right", "busy")],
        ),
        (
            FAN_OUT,
            [During(s=4, jobs={"a": BLOCKED, "left": {"run": 0.95, "starve": 0.05}, "right": RUN})],
            [("right", "busy"), ("left", "busy")],
        ),
        (
            FAN_OUT,
            [During(s=4, jobs={"a": BLOCKED, "left": {"run": 0.8, "starve": 0.2}, "right": RUN})],
            [("right", "busy")],
        ),
        (
            FAN_IN,
            [
                During(s=0.3, jobs={"a": RUN, "b": RUN, "c": STARVED}),
                During(s=4, jobs={"a": RUN, "c": STARVED}),
            ],
            [("a", "busy")],
        ),
        (
            FAN_IN,
            [During(s=4, jobs={"a": RUN, "b": BLOCKED, "c": RUN}, queues={"q": FULL})],
            [("c", "busy")],
        ),
        (
            APART,
            [during(B_SLOW, jobs={**B_SLOW.jobs, "tick": RUN}), C_SLOW],
            [("b", "busy"), ("c", "busy")],
        ),
        (DAEMON, [during(B_SLOW, jobs={**B_SLOW.jobs, "tick": RUN})], [("b", "busy")]),
        (
            TASKS,
            [During(s=2, jobs={"first": RUN}), During(s=2, jobs={"then": RUN})],
            [("first", "busy"), ("then", "busy")],
        ),
        (
            LOOP,
            [During(s=4, jobs={"a": RUN, "b": STARVED}, queues={"on": NONE, "back": FULL})],
            [("a", "busy")],
        ),
        (
            LOOP,
            [During(s=4, jobs={"a": RUN, "b": RUN}, queues={"on": FULL, "back": FULL})],
            [("a", "busy"), ("b", "busy")],
        ),
        (
            ABC,
            [
                During(
                    s=4,
                    jobs={"a": RUN, "b": RUN, "c": STARVED},
                    queues={"a-b": GROWS},
                )
            ],
            [("b", "busy")],
        ),
        (
            ABC,
            [During(s=4, jobs={"a": RUN, "b": RUN, "c": STARVED}, queues={"a-b": NONE})],
            [("a", "busy"), ("b", "busy")],
        ),
        (chain("only"), [During(s=4, jobs={"only": RUN})], []),
        (chain("only"), [During(s=4, jobs={"only": RUN}, busy=1.0)], [("only", "processors")]),
        (ABC, [during(B_SLOW, s=0.15)], []),
        (ABC, [During(s=4, jobs={})], []),
        (wired(), [During(s=4, jobs={})], []),
    ],
    ids=[
        "a slow source",
        "a slow middle",
        "a slow sink",
        "a rate",
        "a slow import",
        "all start, for a moment",
        "all start, for long",
        "nothing but one item",
        "one item at the end, after a slow middle",
        "one item at the end, after a slow source",
        "bytes: bursts that do not fit",
        "batches that wait",
        "processors spent",
        "processors nearly spent",
        "processors not measured",
        "a quota that throttles",
        "a rate, whatever the processors do",
        "a full disk",
        "two phases",
        "three phases",
        "the longer of two phases stands first",
        "a moment is no phase",
        "a branch",
        "two branches, hardly apart",
        "two branches, apart",
        "a second source that ends at once",
        "two sources, and a slow sink",
        "a job beside, that ends before the others",
        "a daemon beside",
        "one task after the other",
        "a loop",
        "a loop, both busy",
        "a queue that grows",
        "two as slow as each other",
        "one job",
        "one job, and processors spent",
        "too short",
        "nobody lives",
        "no job at all",
    ],
)
@pytest.mark.parametrize("step", [0.05, 0.25])
def test_the_limit_is_who_was_held_least(
    header: Header, phases: list[During], expected: list[tuple[str, str]], step: float
) -> None:
    assert of(header, *phases, step=step) == expected


@pytest.mark.parametrize("seconds", [60, 3600])
def test_the_step_of_the_samples_changes_hardly_anything(seconds: int) -> None:
    phases = [during(A_SLOW, s=seconds * 0.3), during(B_SLOW, s=seconds * 0.7)]
    found = [
        limits_of(ABC, samples(ABC, *phases, step=seconds / n)) for n in (120, 240, 1111, 2400)
    ]
    for each in found:
        assert [(one.job, one.why) for one in each] == [("b", "busy"), ("a", "busy")]
        assert each[0].share == pytest.approx(0.7, abs=0.04)
        assert each[1].to_s == pytest.approx(0.3 * seconds, abs=0.04 * seconds)
        assert each[1].to_s == each[0].from_s


def test_no_sample_or_one_tells_of_no_limit() -> None:
    assert limits_of(ABC, []) == ()
    assert limits_of(ABC, [Sample(t=0.0, jobs=(JobSample(state="running"),) * 3)]) == ()


def test_one_late_sample_tells_of_all_before_it() -> None:
    *_, last = samples(ABC, B_SLOW)
    (found,) = limits_of(ABC, [last])
    assert (found.job, found.from_s, found.to_s, found.share) == ("b", 0.0, 4.0, 1.0)


def test_a_sample_that_is_no_later_is_left_out() -> None:
    limits, again = Limits(ABC), Limits(ABC)
    for sample in samples(ABC, B_SLOW):
        limits.add(sample)
        again.add(sample)
        again.add(msgspec.structs.replace(sample, jobs=()))
        again.add(msgspec.structs.replace(sample, t=sample.t - 1))
        again.add(msgspec.structs.replace(sample, t=float("nan")))
    assert again.found() == limits.found() != ()


def test_counters_that_shrink_and_rows_that_lack_do_not_matter() -> None:
    every = list(samples(ABC, B_SLOW))
    every[7] = msgspec.structs.replace(every[7], jobs=(), queues=())
    every[9] = msgspec.structs.replace(every[9], jobs=every[0].jobs)
    assert limits_of(ABC, every)[0].job == "b"


def test_a_run_that_goes_on_is_told_of_as_often_as_one_likes() -> None:
    limits = Limits(ABC)
    for sample in samples(ABC, during(A_SLOW, s=40), during(B_SLOW, s=60)):
        limits.add(sample)
        if sample.t == 40:
            assert [each.job for each in limits.found()] == ["a"]
        limits.found()
    assert limits.found() == limits_of(
        ABC, samples(ABC, during(A_SLOW, s=40), during(B_SLOW, s=60))
    )


def test_an_item_that_a_worker_is_at_is_told_by_its_number_and_later_by_its_name() -> None:
    alive = limits_of(ABC4, samples(ABC4, B_SLOW, B_STRAGGLES))
    assert "its item `a-b:7` took 3 s" in alive[1].text
    ended = During(s=0.25, jobs={"c": STARVED}, service={"b": SLOW})
    late = limits_of(ABC4, samples(ABC4, B_SLOW, B_STRAGGLES, ended))
    assert "its item `a-b:7` (z) took 3 s" in late[1].text


def test_an_item_that_has_ended_is_known_without_rows_of_workers() -> None:
    ended = During(s=0.25, jobs={"c": STARVED}, service={"b": SLOW})
    every = samples(ABC4, B_SLOW, B_STRAGGLES, ended)
    found = limits_of(ABC4, (msgspec.structs.replace(sample, workers=()) for sample in every))
    assert [(each.job, each.why) for each in found] == [("b", "busy"), ("b", "straggler")]


def test_a_long_item_beside_workers_that_work_is_no_straggler() -> None:
    busy = during(B_SLOW, at=("b", "a-b:7", 0.0), service={"b": MANY})
    assert of(ABC4, busy) == [("b", "busy")]


def test_a_thousand_jobs_are_looked_through() -> None:
    names = [f"j{n}" for n in range(1000)]
    header = chain(*names)
    shares = {name: BLOCKED if n < 500 else STARVED for n, name in enumerate(names)}
    (found,) = limits_of(header, samples(header, During(s=4, jobs={**shares, "j500": RUN}), step=1))
    assert found.job == "j500"


def test_what_is_found_goes_through_json() -> None:
    (found,) = limits_of(ABC, samples(ABC, B_SLOW))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Bottleneck) == found
    assert set(msgspec.to_builtins(found)) == {"job", "why", "share", "from_s", "to_s", "text"}
