"""From faulthandler's text to a failure with the user's own frames."""

import sysconfig
from pathlib import Path

import orchestrator
from orchestrator.engine.node import crash
from orchestrator.engine.node.crash import CrashText, crash_in, stopped_in, threads_in

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


def dump(*frames, header="Current thread 0x00000000000000ff (most recent call first):"):
    lines = [f'  File "{file}", line {n} in {name}' for n, (file, name) in enumerate(frames, 1)]
    return "\n".join((header, *lines, "", ""))


BEGIN = (
    (f"{OURS}/worker/main.py", "_run"),
    (f"{OURS}/worker/main.py", "live"),
    (f"{OURS}/engine/node/child.py", "bootstrap"),
    (f"{LIB}/multiprocessing/process.py", "run"),
    ("/p/starts_mporch.py", "<module>"),
)
"""What has called a target, and, of a fork, the orchestrator itself."""


def names(report):
    return [[name for _, _, name in thread.frames] for thread in threads_in(report)]


def test_what_has_begun_the_worker_is_not_the_users_even_of_a_fork():
    assert names(dump(("/p/mine.py", "f"), *BEGIN)) == [["f"]]


def test_frames_of_compiled_modules_are_mporchs_own():
    compiled = ("orchestrator/worker/item_calls.py", "run_items")
    assert names(dump(("/p/mine.py", "f"), compiled, *BEGIN)) == [["f"]]


def test_what_mporch_waits_by_is_no_frame_of_the_users_but_a_target_of_the_library_is():
    waits = (f"{LIB}/threading.py", "wait"), (f"{OURS}/worker/link.py", "receive")
    calls = (f"{LIB}/shutil.py", "copy"), (f"{OURS}/worker/item_calls.py", "_work")
    assert names(dump(*waits, *BEGIN)) == [[]]
    assert names(dump(*calls, *BEGIN)) == [["copy"]]


def test_what_a_module_is_imported_by_is_no_frame_of_the_users():
    by = (
        ("<frozen importlib._bootstrap>", "_load"),
        (f"{LIB}/importlib/__init__.py", "import_module"),
    )
    ours = (f"{OURS}/worker/target.py", "load")
    assert names(dump(("/p/mine.py", "<module>"), *by, ours, *BEGIN)) == [["<module>"]]


def test_a_thread_of_the_users_that_uses_a_queue_is_told_and_mporchs_own_is_not():
    header = "Thread 0x0000000000000001 [mporch-flusher] (most recent call first):"
    root = (f"{LIB}/threading.py", "run"), (f"{LIB}/threading.py", "_bootstrap")
    users = dump((f"{OURS}/worker/handle.py", "put"), ("/p/mine.py", "g"), *root, header=header)
    ours = dump((f"{LIB}/threading.py", "wait"), (f"{OURS}/worker/flusher.py", "_run"), *root)
    assert names(users + ours) == [["g"], []]
    assert [thread.name for thread in threads_in(users)] == ["mporch-flusher"]


def test_where_the_main_thread_waits_in_no_code_of_the_users_another_one_is_told():
    header = "Thread 0x0000000000000001 (most recent call first):"
    other = dump(("/p/mine.py", "g"), header=header)
    told = stopped_in(other + dump((f"{OURS}/worker/main.py", "_wait"), *BEGIN))
    assert told.where == "/p/mine.py:1"
    assert told.traceback.startswith("  in thread 0x0000000000000001\n")
    told = stopped_in(other + dump(("/p/mine.py", "f"), *BEGIN))
    assert told.traceback == '  File "/p/mine.py", line 1, in f\n'


def test_a_crash_in_the_cell_reads_as_a_printed_one_and_a_mere_stack_is_none():
    assert crash_in(TEXT) == fed(TEXT)
    assert crash_in(TEXT.partition("\n\n")[2]) is None
    assert crash_in("") is None
