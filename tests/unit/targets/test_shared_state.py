"""A parameter named for shared state is told what takes its place in a run."""

import pytest

from orchestrator.targets.calls import advice_for


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("stop_event", "raises EndOfStream"),
        ("event", "raises EndOfStream"),
        ("is_done", "raises EndOfStream"),
        ("shutdown", "raises EndOfStream"),
        ("lock", "fcntl.flock"),
        ("print_lock", "fcntl.flock"),
        ("semaphore", "fcntl.flock"),
        ("counter", "call: stream"),
        ("shared_value", "call: stream"),
        ("conn", "a handle to a queue"),
        ("q", "input: {q: QUEUE}"),
        ("result_queue", "output: {result_queue: QUEUE}"),
    ],
)
def test_what_takes_its_place(parameter, said):
    assert said in " ".join(advice_for(parameter).format(name=parameter).split())


@pytest.mark.parametrize("parameter", ["path", "n", "eventual", "blocking", "stopwords", "url"])
def test_others_are_given_as_usual(parameter):
    assert not advice_for(parameter)
