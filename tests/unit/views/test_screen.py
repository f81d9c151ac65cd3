"""The screen of a run: what goes where, and in which order."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import msgspec
import pytest
from pictures import BEFORE, HEADER, SAMPLE

from orchestrator.core.protocol import notifications
from orchestrator.core.protocol.messages import Failure
from orchestrator.views.output import OutputMode, ProgressMode
from orchestrator.views.screen import Screen, Settings, settings_for
from orchestrator.views.tables import colours


def at(t):
    return msgspec.structs.replace(SAMPLE, t=t)


def describe(fact):
    level = 40 if isinstance(fact, notifications.Stalled) else 30
    quiet = isinstance(
        fact, notifications.JobStarted | notifications.DiskHasRoom | notifications.RunResumed
    )
    return "event", 20 if quiet else level, type(fact).__name__


def output(text, stream=notifications.Stream.STDOUT):
    return notifications.OutputLine(job="a", worker="a-1", pid=5, stream=stream, text=text)


def screen(**settings):
    return Screen(Settings(**settings), describe, HEADER)


def test_output_goes_where_the_target_wrote_it(capfd):
    view = screen()
    view.notify(output("one"), 0.0)
    view.notify(output("two", notifications.Stream.STDERR), 0.0)
    view.flush()
    assert capfd.readouterr() == ("a-1 | one\n", "a-1 | two\n")


def test_with_json_all_output_goes_to_standard_error(capfd):
    view = screen(all_to_stderr=True)
    view.notify(output("one"), 0.0)
    view.close()
    assert capfd.readouterr() == ("", "a-1 | one\n")


def test_a_file_is_given_all_of_a_turn_however_much_that_is(tmp_path):
    """No reader is slow there: nothing may be dropped, as it is for one that is."""
    script = (
        "from test_screen import output, screen\n"
        "view = screen()\n"
        "for n in range(300): view.notify(output(f'{n} ' + 'x' * 50_000), 0.0)\n"
        "view.close()\n"
    )
    with (tmp_path / "out").open("w") as out:
        command = [sys.executable, "-c", script]
        subprocess.run(command, cwd=Path(__file__).parent, stdout=out, check=True, timeout=60)
    with (tmp_path / "out").open() as out:
        assert [int(line.split()[2]) for line in out] == list(range(300))


def test_that_standard_output_cannot_be_written_is_told_at_the_end():
    script = (
        "from test_screen import output, screen\n"
        "view = screen()\n"
        "view.notify(output('one'), 0.0)\n"
        "view.close()\n"
    )
    with Path("/dev/full").open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parent,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        )
    assert done.stderr == (
        "mporch: warning: the rest of standard output is missing: No space left on device;"
        " see the log\n"
    )


def test_nothing_is_written_before_the_flush(capfd):
    view = screen()
    view.notify(output("one"), 0.0)
    assert view.pending
    assert capfd.readouterr() == ("", "")
    view.flush()
    assert not view.pending


def test_warnings_are_told_with_their_hint(capfd):
    view = screen()
    view.notify(notifications.Warned(message="m", hint="do this"), 0.0)
    view.notify(notifications.Stalled(waits=()), 0.0)
    view.close()
    assert capfd.readouterr().err == (
        "mporch: warning: Warned\nmporch:   hint: do this\nmporch: error: Stalled\n"
    )


def test_who_was_told_that_the_disk_is_full_is_told_when_there_is_room_again(capfd):
    view = screen()
    view.notify(notifications.DiskFull(reason="full", timeout_s=60.0), 0.0)
    view.notify(notifications.DiskHasRoom(waited_s=2.0), 2.0)
    view.close()
    assert capfd.readouterr().err == "mporch: warning: DiskFull\nmporch: DiskHasRoom\n"


@pytest.mark.parametrize("live", [False, True])
def test_what_a_run_is_resumed_with_is_told(capfd, live):
    view = screen(live=live)
    view.notify(notifications.RunResumed(name="n", spec="s", python="p", pid=1, queued=112), 0.0)
    view.close()
    assert "mporch: RunResumed\n" in capfd.readouterr().err


def test_long_news_are_cut(capfd):
    view = Screen(Settings(), lambda _: ("event", 40, "x" * 4000), HEADER)
    view.notify(notifications.Stalled(waits=()), 0.0)
    view.close()
    assert len(capfd.readouterr().err) < 600


def test_what_the_report_tells_is_not_told_twice(capfd):
    view = screen()
    failure = Failure(kind="ValueError", message="")
    view.notify(
        notifications.ItemSkipped(job="a", worker="a-1", item="q:1", queue="q", failure=failure),
        0.0,
    )
    view.notify(notifications.RunEnded(status="failed", exit_code=1, duration_s=1.0), 0.0)
    view.close()
    assert capfd.readouterr() == ("", "")


def test_a_failed_item_is_told_once_and_not_again_with_its_worker(capfd):
    view = screen()
    failure = Failure(kind="ValueError", message="")
    of = {"job": "a", "worker": "a-1", "failure": failure}
    view.notify(notifications.ItemFailed(item="q:1", queue="q", **of), 0.0)
    view.notify(notifications.WorkerEnded(pid=5, state="failed", exit_code=1, **of), 0.0)
    view.close()
    assert capfd.readouterr().err == "mporch: warning: ItemFailed\n"


@pytest.mark.parametrize("live, said", [(False, "mporch: JobStarted\n"), (True, "")])
def test_starts_are_told_only_where_no_display_shows_them(capfd, live, said):
    view = screen(live=live)
    view.notify(notifications.JobStarted(job="a", workers=1, target="m:f"), 0.0)
    view.close()
    assert capfd.readouterr().err == said


def test_the_display_is_drawn_of_each_sample_but_the_last(capfd):
    view = screen(live=True)
    for sample in (BEFORE, SAMPLE, msgspec.structs.replace(at(13.0), last=True)):
        view.update(sample)
    view.close()
    drawn = capfd.readouterr().err
    assert drawn.count("census") == 2
    assert "12 s" in drawn


def test_the_display_says_what_limits_the_run(capfd):
    view = Screen(Settings(live=True), describe, HEADER, sentence=lambda: "`parse` limits it")
    view.update(SAMPLE)
    assert capfd.readouterr().err.splitlines()[-1] == "`parse` limits it"


def test_output_stands_above_the_display_which_is_drawn_again_below(capfd):
    view = screen(live=True)
    view.update(SAMPLE)
    view.notify(output("x", notifications.Stream.STDERR), 0.1)
    view.flush()
    drawn = capfd.readouterr().err
    before, after = drawn.split("a-1 | x\n")
    assert before.endswith("\x1b[J\r")
    assert after.startswith("census")
    view.close()
    assert capfd.readouterr().err.endswith("\x1b[J\r")


def test_without_a_display_a_plain_line_is_said_every_ten_seconds(capfd):
    view = screen(lines=True)
    for tick in range(1, 140):
        view.update(at(tick / 4))
    view.close()
    said = capfd.readouterr()
    assert said.out == ""
    assert [line.split(":")[:2] for line in said.err.splitlines()] == [
        ["mporch", " 10 s"],
        ["mporch", " 20 s"],
        ["mporch", " 30 s"],
    ]
    assert "\x1b" not in said.err


@pytest.mark.parametrize("settings", [{}, {"lines": True, "news": False}])
def test_who_wants_no_progress_is_told_none(settings, capfd):
    view = screen(**settings)
    view.update(at(11.0))
    view.close()
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def terminal():
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        termios.tcsetwinsize(follower, (24, 80))
        yield stream
    os.close(leader)


def settings(stream, environ=None, output=OutputMode.PREFIXED, progress=ProgressMode.AUTO):
    return settings_for(
        output=output, json_output=False, progress=progress, stderr=stream, environ=environ or {}
    )


@pytest.mark.parametrize("progress", [ProgressMode.AUTO, ProgressMode.LIVE])
def test_on_a_terminal_there_are_colours_and_a_display(terminal, progress):
    chosen = settings(terminal, progress=progress)
    assert (chosen.live, chosen.lines, chosen.colour) == (True, False, True)


@pytest.mark.parametrize(
    ("progress", "lines"),
    [
        (ProgressMode.AUTO, True),
        (ProgressMode.LIVE, True),
        (ProgressMode.LINES, True),
        (ProgressMode.NONE, False),
    ],
)
def test_without_a_terminal_there_are_plain_lines(tmp_path, progress, lines):
    with (tmp_path / "f").open("w") as file:
        chosen = settings(file, progress=progress)
    assert (chosen.live, chosen.lines, chosen.colour) == (False, lines, False)


@pytest.mark.parametrize(
    ("environ", "mode", "progress", "lines"),
    [
        ({"TERM": "dumb"}, OutputMode.PREFIXED, ProgressMode.AUTO, True),
        ({}, OutputMode.RAW, ProgressMode.AUTO, True),
        ({}, OutputMode.PREFIXED, ProgressMode.NONE, False),
        ({}, OutputMode.PREFIXED, ProgressMode.LINES, True),
    ],
)
def test_no_display_where_it_cannot_be_or_is_not_wanted(terminal, environ, mode, progress, lines):
    chosen = settings(terminal, environ, mode, progress)
    assert (chosen.live, chosen.lines) == (False, lines)


def test_no_color_is_honoured(terminal):
    assert not colours(terminal, {"NO_COLOR": "1"})
    assert colours(terminal, {"NO_COLOR": ""})


def retried(n):
    failure = Failure(kind="ValueError", message=f"bad {n}")
    about = {"job": "a", "worker": "a-1", "item": f"q:{n}", "queue": "q"}
    return notifications.ItemRetried(**about, attempts=1, delay_s=0.0, failure=failure)


@pytest.mark.parametrize("live", [False, True])
def test_what_repeats_is_counted_and_told_before_its_job_ends(live, capfd):
    view = screen(live=live)
    for n in range(1, 100):
        view.notify(retried(n), n / 1000)
    view.notify(notifications.JobEnded(job="a", state="failed"), 1.0)
    view.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mporch: ")]
    assert lines == [
        *["mporch: warning: ItemRetried"] * 3,
        "mporch: warning: a: 99 retries in all: ValueError: bad #",
        *["mporch: warning: JobEnded"] * (not live),
    ]


def test_what_repeats_is_told_at_the_end_of_a_run_whose_job_has_not_ended(capfd):
    view = screen()
    for n in range(4):
        view.notify(retried(n), 0.0)
    view.close()
    assert capfd.readouterr().err.splitlines()[3:] == [
        "mporch: warning: a: 4 retries in all: ValueError: bad #"
    ]


def test_without_news_nothing_that_repeats_is_told(capfd):
    view = screen(news=False)
    for n in range(40):
        view.notify(retried(n), n)
    view.close()
    assert capfd.readouterr().err == ""
