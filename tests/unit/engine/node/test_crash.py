"""From faulthandler's text to a failure with the user's own frames."""

import sysconfig
from pathlib import Path

import orchestrator
from orchestrator.engine.node import crash
from orchestrator.engine.node.crash import CrashText, stopped_in

OURS = Path(orchestrator.__file__).parent
LIB = sysconfig.get_path("stdlib")
TEXT = f"""\
Fatal Python error: Segmentation fault

Thread 0x00007f0000000001 (most recent call first):
  File "/p/other.py", line 1 in other
Current thread 0x00007f0000000000 (most recent call first):
  File "{LIB}/ctypes/__init__.py", line 519 in string_at
  File "/p/mine.py", line 7 in inner
  File "/p/mine.py", line 9 in f
  File "{OURS}/worker/items.py", line 80 in run_items
  File "{LIB}/runpy.py", line 3 in main

Extension modules: msgspec._core (total: 1)
"""


def fed(text):
    crash = CrashText()
    for line in text.splitlines():
        crash.line(line)
    return crash.failure()


def test_a_crash_is_placed_at_the_users_innermost_line_with_the_users_frames_last_called_last():
    failure = fed(TEXT)
    assert (failure.kind, failure.message) == ("Crash", "Segmentation fault")
    assert failure.where == "/p/mine.py:7"
    assert failure.traceback == (
        "Traceback (most recent call last):\n"
        '  File "/p/mine.py", line 9, in f\n'
        '  File "/p/mine.py", line 7, in inner\n'
        f'  File "{LIB}/ctypes/__init__.py", line 519, in string_at\n'
        "Segmentation fault\n"
    )


def test_what_is_no_crash_is_none():
    assert fed('  File "/p/mine.py", line 7 in inner\nValueError: 3\n') is None


def test_only_the_last_crash_counts_and_endless_text_is_not_kept():
    last = fed(TEXT + "Fatal Python error: Aborted\n" + "x\n" * 1000 + TEXT.partition("\n")[2])
    assert (last.message, last.where, last.traceback) == ("Aborted", "", "")


def test_a_stack_that_was_asked_for_is_what_lies_between_mporchs_own_frames():
    told = stopped_in(
        "Stack (most recent call first):\n"
        f'  File "{OURS}/worker/current.py", line 4 in check\n'
        f'  File "{LIB}/queue.py", line 5 in get\n'
        '  File "/p/mine.py", line 7 in inner\n'
        '  File "/p/mine.py", line 9 in f\n'
        f'  File "{OURS}/worker/items.py", line 80 in run_items\n'
    )
    assert told.where == "/p/mine.py:7"
    assert told.traceback == (
        '  File "/p/mine.py", line 9, in f\n'
        '  File "/p/mine.py", line 7, in inner\n'
        f'  File "{LIB}/queue.py", line 5, in get\n'
    )


def test_a_folder_whose_name_begins_as_mporchs_own_does_is_the_users(monkeypatch):
    monkeypatch.setattr(crash, "PACKAGE", "/srv/orchestrator/")  # in no site-packages
    told = stopped_in('  File "/srv/orchestrator_jobs/mine.py", line 7 in f\n')
    assert told.where == "/srv/orchestrator_jobs/mine.py:7"


def test_a_worker_that_was_in_no_code_of_the_users_is_nowhere():
    ours = f'Stack (most recent call first):\n  File "{OURS}/worker/items.py", line 1 in a\n'
    assert stopped_in(ours) is None
    assert stopped_in("") is None
