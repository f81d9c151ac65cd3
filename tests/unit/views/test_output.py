"""What targets print, as lines for the screen."""

import msgspec
import pytest

from orchestrator.core.protocol.notifications import Logged, OutputLine, Progress, Stream
from orchestrator.views.output import (
    OutputMode,
    OutputView,
    ProgressView,
    Throttle,
    to_stderr,
)
from orchestrator.views.screen import targets_colours


def output(text, job="a", stream=Stream.STDOUT, more=False):
    return OutputLine(job=job, worker=f"{job}-1", pid=5, stream=stream, text=text, more=more)


def logged(level="INFO", msg="hello"):
    return Logged(job="a", worker="a-1", pid=5, ts=0.0, level=level, logger="app", msg=msg)


def view(mode=OutputMode.PREFIXED, colour=False):
    return OutputView(mode, colour=colour)


def test_a_line_has_its_worker_in_front():
    assert view().line(output("hello")) == "a-1 | hello\n"


def test_raw_output_is_what_was_written():
    raw = view(OutputMode.RAW)
    assert raw.line(output("\x1b[31mred")) == "\x1b[31mred\n"
    assert raw.line(output("half", more=True)) == "half"


def test_none_shows_nothing():
    assert view(OutputMode.NONE).line(output("x")) is None
    assert view(OutputMode.NONE).line(logged()) is None


def test_a_prefixed_line_is_harmless_wherever_it_goes():
    assert view().line(output("\x1b[2J\u202e")) == "a-1 | \\x1b[2J\\u202e\n"


def test_each_job_keeps_a_colour_of_its_own():
    painted = view(colour=True)
    first, other, again = (painted.line(output("x", job)) for job in ("a", "b", "a"))
    assert first == again
    assert first.split("a-1")[0] != other.split("b-1")[0]


@pytest.mark.parametrize("level, shown", [("DEBUG", False), ("INFO", True), ("CUSTOM", True)])
def test_log_records_below_info_are_only_in_the_log(level, shown):
    assert (view().line(logged(level)) is not None) is shown


def test_a_log_record_of_several_lines_is_prefixed_on_each():
    assert view().line(logged(msg="a\nb")) == "a-1 | INFO app: a\na-1 | b\n"


def test_standard_error_and_log_records_go_to_standard_error():
    assert to_stderr(output("x", stream=Stream.STDERR))
    assert to_stderr(logged())
    assert not to_stderr(output("x"))


def test_the_throttle_lets_so_many_a_second_through_and_counts_the_rest():
    throttle = Throttle(most=3)
    assert [throttle.admit("a-1", 0.1) for _ in range(5)] == [True] * 3 + [False] * 2
    assert throttle.note(0.5) is None
    assert throttle.note(1.2).startswith("lines of output not shown: 2 of a-1: too fast")
    assert throttle.note(1.3) is None
    assert throttle.admit("a-1", 1.4)


def test_a_chatty_worker_hides_no_line_of_the_others():
    throttle = Throttle(most=3)
    shown = [(worker, throttle.admit(worker, 0.1)) for worker in ["a-1"] * 1005 + ["b-1"] * 3]
    assert [ok for worker, ok in shown if worker == "b-1"] == [True] * 3
    assert not throttle.admit("b-1", 0.2)
    assert throttle.note(1.1).startswith("lines of output not shown: 1,002 of a-1, 1 of b-1: ")


def test_a_slow_program_is_never_throttled():
    throttle = Throttle(most=3)
    assert all(throttle.admit("a-1", second / 2) for second in range(100))
    assert throttle.note(1e9) is None


def test_a_record_has_its_fields_beside_it_and_its_traceback_below():
    fact = msgspec.structs.replace(
        logged("warning", "slow"),
        fields='{"ms": 12.5, "user": "u", "why": "two words", "d": {"a": [1]}}',
        traceback="Traceback:\n  no",
    )
    assert view().line(fact) == (
        'a-1 | WARNING app: slow  ms=12.5 user=u why="two words" d={"a": [1]}\n'
        "a-1 |     Traceback:\n"
        "a-1 |       no\n"
    )
    assert view(OutputMode.RAW).line(fact).startswith("WARNING app: slow  ms=12.5")


def test_a_record_without_a_logger_names_none():
    assert view().line(msgspec.structs.replace(logged(), logger="")) == "a-1 | INFO hello\n"


def test_a_record_is_shown_as_its_program_s_own_handler_draws_it():
    drawn = msgspec.structs.replace(logged("debug"), text="12:00 DEBUG hello\n  more")
    assert view().line(drawn) == "a-1 | 12:00 DEBUG hello\na-1 |   more\n"
    assert view(OutputMode.RAW).line(drawn) == "12:00 DEBUG hello\n  more\n"


@pytest.mark.parametrize("mode", OutputMode)
def test_a_record_that_its_program_keeps_off_its_console_is_not_shown(mode):
    assert view(mode).line(msgspec.structs.replace(logged("error"), text="")) is None


def test_the_level_has_a_colour_of_its_own():
    told = {level: view(colour=True).line(logged(level)) for level in ("warning", "error")}
    assert "\x1b[33mWARNING\x1b[0m app" in told["warning"]
    assert "\x1b[31mERROR\x1b[0m app" in told["error"]


def test_a_target_s_colours_end_with_its_line_or_are_not_shown():
    red = output("\x1b[1;31mred\x1b[0m and \x1b[32mgreen \x1b[2J")
    shown = "a-1 | \x1b[1;31mred\x1b[0m and \x1b[32mgreen \\x1b[2J\x1b[0m\n"
    assert view().line(red, colours=True) == shown
    assert view().line(red) == "a-1 | red and green \\x1b[2J\n"


def test_a_line_of_json_goes_where_it_was_written():
    assert not to_stderr(msgspec.structs.replace(logged(), stream=Stream.STDOUT))
    assert to_stderr(msgspec.structs.replace(logged(), stream=Stream.STDERR))


def progress(text):
    return Progress(job="a", worker="a-1", stream=Stream.STDERR, text=text)


def test_the_state_of_a_progress_bar_is_shown_once_a_second_from_its_second_on():
    shown = ProgressView()
    times = [0.0, 0.5, 1.0, 1.5, 2.1]
    assert [shown.admit(progress(f"{t}"), t) for t in times] == [False, False, True, False, True]
    assert not shown.admit(progress(""), 2.2)
    assert not shown.admit(progress("another"), 9.0)
    assert view().line(progress("45%")) == "a-1 | 45%\n"
    assert view(OutputMode.RAW).line(progress("45%")) is None


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, None),
        ({"FORCE_COLOR": "1"}, True),
        ({"CLICOLOR_FORCE": "1"}, True),
        ({"CLICOLOR_FORCE": "0"}, None),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_the_environment_says_whether_a_target_s_colours_are_shown(environ, shown):
    assert targets_colours(environ) is shown
