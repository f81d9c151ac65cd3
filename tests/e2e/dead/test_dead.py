"""`mporch dead`, the installed command on small pipelines: its page, and what the page promises."""

import fcntl
import json
import os
import pickle
import re
import subprocess
import time
from pathlib import Path

from dead_runs import BROKEN, MENDED, SPEC, Mporch, items
from e2e_runs import ROOT, finished

PAGE = (ROOT / "docs" / "dead-letters.md").read_text()
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_is_true(command: Path, tmp_path: Path) -> None:
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    stdout, commands = "", 0
    for kind, text in FENCES:
        if kind in {"yaml", "python"}:
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text)
        elif kind == "text":
            assert stdout == text
        else:
            for line in text.splitlines():
                commands += 1
                expected = re.search(r"# exit code (\d+)", line)
                done = finished(
                    line.removeprefix("$ "),
                    cwd=tmp_path,
                    env={**os.environ, "PATH": path},
                    timeout_s=60,
                )
                assert done.returncode == int(expected[1] if expected else 0), (line, done.stderr)
                stdout = done.stdout
    assert commands >= 9


def test_letters_are_listed_and_shown_without_running_or_printing_anything_of_theirs(
    mporch: Mporch, broken: str
) -> None:
    listed = mporch("dead", "list", "--format", "json")
    numbers = items(listed)
    assert numbers.keys() == {"ValueError", "WorkerDied", "orchestrator.UnpicklableItemError"}
    table = mporch("dead", "list").stdout
    assert r"ValueError: \x1b[31mred\u202e" in table
    shown = mporch("dead", "show", str(numbers["ValueError"])).stdout
    assert "mine.Order(id=1)" in shown
    assert 'raise ValueError("' in shown
    assert "\x1b" not in table + shown
    assert "\u202e" not in table + shown


def test_a_replay_after_the_bug_was_fixed_balances_and_goes_through_once(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    done = mporch("dead", "replay", "--all", "--format", "json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary["jobs"]) == {"replay-a", "replay-c", "work", "join"}
    for name, put in (("a", 3), ("b", 3), ("c", 0)):
        assert (summary["queues"][name]["put"], summary["queues"][name]["done"]) == (put, put)
    printed = {line.partition(" | ")[2] for line in done.stderr.splitlines() if " | " in line}
    assert printed == {"got 1", "got 3", "got 4"}

    letters = json.loads(mporch("dead", "list", broken, "--format", "json").stdout)
    assert [letter["replayed"] for letter in letters] == [[summary["run"]]] * 3
    again = mporch("dead", "replay", broken, "--all")
    assert again.returncode == 2
    assert "replayed before" in again.stderr
    named = mporch("dead", "replay", broken, "2", "--format", "json")
    assert json.loads(named.stdout)["queues"]["a"]["put"] == 1


def test_the_command_that_report_and_list_name_feeds_the_letters_back(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    told = mporch("show").stdout, mporch("dead", "list").stderr
    named = {re.search(r"mporch (dead replay [^\n]*)", text)[1] for text in told}
    assert len(named) == 1
    (tmp_path / "mine.py").write_text(MENDED)
    assert mporch(*named.pop().split()).returncode == 0


def test_a_replay_of_a_durable_spec_is_not_resumed_but_says_how_to_go_on(
    mporch: Mporch, tmp_path: Path
) -> None:
    (tmp_path / "jobs.yaml").write_text(SPEC.replace("version: 1", "version: 1\ndurable: true"))
    (tmp_path / "mine.py").write_text(BROKEN)
    first = json.loads(mporch("run", "--format", "json").stdout)["run"]
    (tmp_path / "mine.py").write_text(f"{MENDED}\nraise RuntimeError('at import')\n")
    assert mporch("dead", "replay", first, "--all").returncode == 1
    refused = mporch("resume")
    assert refused.returncode == 2
    assert f"is a replay of dead letters of {first}" in refused.stderr
    hint = re.search(r"mporch (dead replay \S+ --all)", refused.stderr)
    assert hint, refused.stderr
    (tmp_path / "mine.py").write_text(MENDED)
    assert mporch(*hint[1].split()).returncode == 0


def test_an_item_that_fails_again_is_a_letter_of_the_new_run_with_the_same_item(
    mporch: Mporch, broken: str
) -> None:
    number = items(mporch("dead", "list", "--format", "json"))["ValueError"]
    for run in (broken, "last"):
        number = number if run == broken else 1
        assert mporch("dead", "replay", run, str(number)).returncode == 3
        shown = json.loads(mporch("dead", "show", "--format", "json").stdout)
        assert [letter["value"] for letter in shown] == ["mine.Order(id=1)"]
        assert shown[0]["run"] != broken


def test_letters_of_an_older_run_that_were_not_replayed_stay_in_sight(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    waiting = f"not replayed yet in other runs: 2 of {broken}\n"
    number = items(mporch("dead", "list", "--format", "json"))["ValueError"]
    failed = mporch("dead", "replay", str(number))
    assert "2 other letters of that run were not replayed yet" in failed.stderr
    hint = re.search(r"hint: mporch (dead list .*)", failed.stderr)
    assert hint
    rest = mporch(*hint[1].split()).stderr
    assert f"then mporch dead replay {broken} --all" in rest

    (tmp_path / "mine.py").write_text(MENDED)
    assert waiting in mporch("dead", "list").stderr
    assert mporch("dead", "replay", "--all").returncode == 0
    none = mporch("dead", "list").stderr
    assert none.endswith(f"has no dead letters; {waiting}")
    again = json.loads(mporch("runs", "--format", "json").stdout)[1]["run"]
    refused = mporch("dead", "replay", "--all")
    assert refused.returncode == 2
    assert f"\n  hint: `mporch dead replay {broken} --all` feeds back those of" in refused.stderr
    listed = mporch("dead", "list", again).stderr
    assert "or debug; all of the run were replayed\n" in listed
    assert waiting in listed
    refused = mporch("dead", "replay", again, "--all")
    assert f"\n  hint: `mporch dead replay {broken} --all` feeds back those of" in refused.stderr
    assert (
        f"`mporch dead replay {again} --all --again` feeds these back once more" in refused.stderr
    )

    assert mporch("dead", "replay", broken, "--all").returncode == 0
    assert mporch("dead", "list").stderr.endswith(f"the latest that has is {again}, all replayed\n")
    refused = mporch("dead", "replay", "--all").stderr
    assert f"`mporch dead replay {broken} --all --again` feeds back those of" in refused
    rows = json.loads(mporch("runs", "--format", "json").stdout)
    assert [row["replay_of"] for row in rows] == [broken, again, broken, ""]


def test_a_replay_that_could_not_begin_leaves_its_letters_as_they_were(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(f"{MENDED}\nraise RuntimeError('at import')\n")
    assert mporch("dead", "replay", broken, "--all").returncode == 1
    letters = json.loads(mporch("dead", "list", broken, "--format", "json").stdout)
    assert [letter["replayed"] for letter in letters] == [[], [], []]
    (tmp_path / "mine.py").write_text(MENDED)
    assert mporch("dead", "replay", broken, "--all").returncode == 0


def test_a_replay_that_fails_in_the_middle_names_the_letters_it_owes(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    stuck = "def work(order):\n    if order.id == 3: raise SystemExit(0)\n"
    (tmp_path / "mine.py").write_text(MENDED.replace("def work(order):\n", stuck))
    fails = SPEC.replace("on_error: dead_letter", "on_error: {ValueError: dead_letter}")
    (tmp_path / "fails.yaml").write_text(fails)
    numbers = items(mporch("dead", "list", "--format", "json"))
    order = [str(numbers[error]) for error in ("ValueError", "WorkerDied")]
    done = mporch("dead", "replay", broken, *order, "--spec", "fails.yaml")
    assert done.returncode == 1
    told = f"1 of 2 letters did not get through, and do not count as replayed: {order[1]}\n"
    assert told in done.stderr
    letters = json.loads(mporch("dead", "list", broken, "--format", "json").stdout)
    assert [str(each["letter"]) for each in letters if each["replayed"]] == order[:1]
    hint = re.search(r"hint: mporch (dead replay .*)", done.stderr)
    assert hint
    assert hint[1].split()[-1] == order[1]
    (tmp_path / "mine.py").write_text(MENDED)
    again = mporch(*hint[1].split(), "--format", "json")
    assert json.loads(again.stdout)["queues"]["a"]["put"] == 1


def test_a_letter_whose_class_is_gone_costs_no_other_letter(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    gone = MENDED.replace("class Order", "class Gone").replace("Order", "Gone")
    (tmp_path / "mine.py").write_text(gone)
    done = mporch("dead", "replay", "--all", "--format", "json")
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["queues"]["a"]["dead"] == 3
    assert "mine.Order(id=1)" in mporch("dead", "show", "last", "1-3").stdout
    (tmp_path / "mine.py").write_text(MENDED)
    assert mporch("dead", "replay", "--all").returncode == 0


def test_exports_are_lines_of_json_or_the_pickles_themselves(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in mporch("dead", "export").stdout.splitlines()]
    assert [(line["letter"], line["item_is"]) for line in lines] == [(n, "repr") for n in (1, 2, 3)]
    done = mporch("dead", "export", "2", "--format", "pickle", "-o", "one.pickle")
    assert done.returncode == 0, done.stderr
    (pickled,) = pickle.loads((tmp_path / "one.pickle").read_bytes())
    assert b"Order" in pickled
    assert mporch("dead", "export", "-o", "one.pickle").returncode == 2


MISTAKES = {
    "show 9": "no letter 9",
    "show last x": "'x' is not the number of a letter",
    "show 1,2": "'1,2' is not the number of a letter",
    "replay 5-": "'5-' is not the number of a letter",
    "replay 3-1": "the range 3-1 ends before it begins",
    "drop 2-1 --yes": "the range 2-1 ends before it begins",
    "show": "which letter?",
    "debug 1-2": "which letter?",
    "list nothing": "no run 'nothing'",
    "list --job wrok": "did you mean work?",
    "replay": "give their numbers, or --all",
    "replay all": "`mporch dead replay --all` feeds all back",
    "replay 1 --all": "not both",
    "replay 1 --spec other.yaml": "no job work that reads a",
    "replay 1 --spec none.yaml": "there is no such file",
}


def test_mistakes_of_use_are_explained(mporch: Mporch, broken: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(SPEC.replace("work:", "toil:"))
    for arguments, words in MISTAKES.items():
        done = mporch("dead", *arguments.split())
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_of_a_range_what_is_not_there_is_told(mporch: Mporch, broken: str) -> None:
    done = mporch("dead", "show", "2-99", "--format", "json")
    assert [letter["letter"] for letter in json.loads(done.stdout)] == [2, 3]
    assert f"mporch: warning: run {broken} has no letter 4-99\n" in done.stderr
    assert "has no letter" not in mporch("dead", "show", "1-3").stderr


def test_a_second_replay_of_all_has_a_short_hint_with_the_command_first(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    assert mporch("dead", "replay", "--all").returncode == 0
    refused = mporch("dead", "replay", broken, "--all")
    assert refused.returncode == 2
    hint = refused.stderr.partition("  hint: ")[2]
    assert hint == (f"`mporch dead replay {broken} --all --again` feeds these back once more\n")


def test_a_project_folder_that_is_gone_is_named(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    home = tmp_path / "kept"
    (tmp_path / ".mporch" / "runs" / broken).rename(home)
    plan = json.loads((home / "plan.json").read_text())
    plan["project_dir"] = str(tmp_path / "gone")
    (home / "plan.json").write_text(json.dumps(plan))
    done = mporch("dead", "replay", "./kept", "--all")
    assert done.returncode == 2
    assert f"folder of the run is gone: {tmp_path / 'gone'}" in done.stderr


def test_a_run_without_letters_says_so_and_names_one_that_has(
    mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MENDED)
    assert mporch("run").returncode == 0
    done = mporch("dead", "list")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"has no dead letters; not replayed yet in other runs: 3 of {broken}\n" in done.stderr
    assert mporch("dead", "list", "--format", "json").stdout == "[]\n"


def test_of_two_replays_at_the_same_moment_one_takes_the_letters(
    command: Path, mporch: Mporch, broken: str, tmp_path: Path
) -> None:
    """Both have looked what was replayed before when the first may note what it takes."""
    (tmp_path / "mine.py").write_text(MENDED)
    [dead] = tmp_path.glob(".mporch/runs/*/dead")
    fd = os.open(dead, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    replays = [
        subprocess.Popen(
            [command, "dead", "replay", broken, "--all", "--no-live"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        deadline = time.monotonic() + 60
        while sum(_waits_for_a_lock(each.pid) for each in replays) < 2:
            assert time.monotonic() < deadline, "they do not wait for each other"
        os.close(fd)
        said = [each.communicate(timeout=60)[1] for each in replays]
    finally:
        for each in replays:
            each.kill()
            each.wait()
    codes = [each.returncode for each in replays]
    assert sorted(codes) == [0, 2], said
    assert "letters 1-3 of" in said[codes.index(2)]
    assert "have just been replayed, in" in said[codes.index(2)]
    letters = json.loads(mporch("dead", "list", broken, "--format", "json").stdout)
    assert [len(letter["replayed"]) for letter in letters] == [1, 1, 1]


def _waits_for_a_lock(pid: int) -> bool:
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and str(pid) in line.split() for line in lines)
