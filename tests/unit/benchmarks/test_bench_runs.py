"""Runs of the benchmarks: commands measured from outside, rounds, the session, the options."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import orchestrator
from benchmarks import __main__ as command_line
from benchmarks import machine, pairs, peers, processes, rounds
from benchmarks.processes import FailedError
from benchmarks.ways import DISTRIBUTIONS, Place, Way, milliseconds
from benchmarks.works import WORKS, Work

ROOT = Path(__file__).parents[3]
_IN_A_CHILD = """
import os, sys
from pathlib import Path
from benchmarks import processes
processes.adopt_orphans()
burn = "import os, time\\nwhile time.process_time() < 0.3: pass"
daemon = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
other = os.fork() or os.read(0, 1) or os._exit(0)
took = processes.run([sys.executable, "-c", daemon], Path(sys.argv[1]))
os.kill(other, 0)
print(took.cpu_s >= 0.3)
"""


def program(text: str) -> Any:
    """A way's `prepare` that runs a program."""

    def prepare(place: Place) -> Sequence[str]:
        return [place.python, "-c", text, str(place.n)]

    return prepare


def work_of(*ways: Way, **keys: Any) -> Work:
    return Work("w", "a work", "Group", ways, milliseconds, **{"first_n": 10, **keys})


def test_the_processor_time_of_orphans_is_counted_and_others_are_left(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_CHILD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


def test_a_command_that_fails_tells_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="it broke"):
        processes.run([sys.executable, "-c", "raise SystemExit('it broke')"], tmp_path)


def test_a_command_that_does_not_end_is_killed(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="had not ended"):
        processes.run(["sleep", "1000"], tmp_path, timeout_s=0.01)


def test_a_folder_has_the_targets_and_not_the_product_of_this_tree(tmp_path: Path) -> None:
    processes.lay_targets(tmp_path)
    processes.lay_targets(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks"]
    assert (tmp_path / "benchmarks/stages.py").exists()


# -- rounds -------------------------------------------------------------------------------------


def test_every_way_is_run_in_each_round_and_who_fails_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "adopt_orphans", lambda: None)
    work = work_of(
        Way("mporch", program("pass"), product=True),
        Way("broken", program("raise SystemExit('no luck')")),
        Way("absent", program("pass"), needs="zmq_that_is_not_there"),
    )
    monkeypatch.setitem(DISTRIBUTIONS, "zmq_that_is_not_there", "pyzmq")
    said: list[str] = []
    builds = {"other": sys.executable}
    there, missing = rounds.take_rounds(
        [work], builds, rounds=2, seconds=1, quick=False, say=said.append
    )
    ways = rounds.recorded(there)["w"]["ways"]
    assert list(ways) == ["mporch", "mporch (other)", "broken"]
    assert [len(way["samples"]) for way in ways.values()] == [2, 2, 0]
    assert "no luck" in ways["broken"]["failed"]
    assert missing == {"absent": "no module zmq_that_is_not_there (`pip install pyzmq`)"}
    assert said[-1] == "round 2 of 2: w"


def test_the_start_is_measured_beside_each_run_that_has_a_base() -> None:
    found = rounds.Runner(work_of(base_n=2), Way("peer", program("pass")), "", sys.executable)
    found.size_up(1.0, quick=False)
    found.take()
    assert len(found.base_cpu_s) == 1 and len(found.samples[0]) == 2


def test_every_other_round_goes_backwards() -> None:
    runners: Any = ["a", "b", "c"]
    assert [list(rounds.in_turn(runners, at)) for at in (0, 1)] == [
        ["a", "b", "c"],
        ["c", "b", "a"],
    ]


def test_sizes_are_round_and_within_their_bounds() -> None:
    assert rounds.scaled(1_234_567, 2, least=1, most=1 << 40) == 2_400_000
    assert rounds.scaled(10, 2, least=100, most=1 << 40) == 100
    assert rounds.scaled(1e6, 2, least=1, most=4_000) == 4_000


def test_a_scaled_way_runs_as_many_items_as_its_first_run_tells() -> None:
    work = work_of(scaled=True)
    object.__setattr__(work, "read", lambda _place, _took: [5000.0])
    found = rounds.Runner(work, Way("peer", program("pass")), "", sys.executable)
    found.size_up(2.0, quick=False)
    assert found.n == 10_000


# -- works --------------------------------------------------------------------------------------


def product_ways() -> list[tuple[Work, Way]]:
    return [(work, way) for work in WORKS.values() for way in work.ways if way.product]


@pytest.mark.parametrize(
    ("work", "way"), product_ways(), ids=lambda of: getattr(of, "key", getattr(of, "name", ""))
)
def test_every_spec_of_the_benchmarks_is_right(work: Work, way: Way, tmp_path: Path) -> None:
    way.prepare(Place(tmp_path, min(work.first_n, 3)))
    if (tmp_path / "jobs.yaml").exists():
        orchestrator.load(tmp_path / "jobs.yaml")


def test_who_is_compared_does_the_work() -> None:
    for work in WORKS.values():
        names = [way.name for way in work.ways]
        assert len(set(names)) == len(names)
        assert {work.subject, *work.wanted} <= set(names)


def test_every_optional_peer_is_of_the_extra() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser["options.extras_require"]["bench"].split()
    assert {line.partition(">=")[0] for line in lines} == set(DISTRIBUTIONS.values())
    needed = {way.needs for work in WORKS.values() for way in work.ways} - {""}
    assert needed <= set(DISTRIBUTIONS)


MODULES = {"zmq": "zmq", "faster-fifo": "faster_fifo", "joblib": "joblib", "pypeln": "pypeln"}


@pytest.mark.parametrize("key", peers.WAYS)
def test_every_peer_moves_all_items(key: str, tmp_path: Path) -> None:
    pytest.importorskip(MODULES.get(key, "json"))
    processes.lay_targets(tmp_path)
    command = [sys.executable, "-m", "benchmarks.peers", key, "dicts", "600", "100"]
    processes.run(command, tmp_path)
    assert len(processes.stamps(tmp_path)) == 2


@pytest.mark.parametrize("key", pairs.WAYS)
def test_every_pair_makes_all_its_trips(key: str, tmp_path: Path) -> None:
    pytest.importorskip(MODULES.get(key, "json"))
    processes.lay_targets(tmp_path)
    processes.run([sys.executable, "-m", "benchmarks.pairs", "trips", key, "20"], tmp_path)
    assert len(pairs.found(tmp_path)) == 20


# -- the session --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "own", "words"),
    [
        ("1\n", "file", "a session of its own, autogroup -10"),
        ("0\n", "file", "autogroup is off"),
        (None, "file", "this kernel has no autogroup"),
        ("1\n", "empty", "autogroup does not count in this cgroup"),
        ("1\n", "refuses", "autogroup -10 is not allowed"),
    ],
)
def test_what_became_of_the_priority_is_told(
    switch: str | None, own: str, words: str, tmp_path: Path
) -> None:
    if switch is not None:
        (tmp_path / "switch").write_text(switch)
    path = tmp_path if own == "refuses" else tmp_path / "own"
    if own != "refuses":
        path.write_text("/autogroup-12 nice 0\n" if own == "file" else "")
    assert words in machine.raise_autogroup(path, tmp_path / "switch")


def test_daemons_beside_have_the_same_priority(tmp_path: Path) -> None:
    for name in ("self", "7/task/7", "8", "9"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "self/autogroup").write_text("/autogroup-12 nice -10\n")
    (tmp_path / "7/task/7/children").write_text("8 9")
    machine.raise_beside(tmp_path, 7)
    assert [(tmp_path / pid / "autogroup").read_text() for pid in "89"] == ["-10\n", "-10\n"]
    machine.raise_beside(tmp_path, 6)


def test_where_autogroup_does_not_count_nothing_beside_is_changed(tmp_path: Path) -> None:
    for name in ("self", "7/task/7", "8"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "self/autogroup").write_text("")
    (tmp_path / "7/task/7/children").write_text("8")
    machine.raise_beside(tmp_path, 7)
    assert not (tmp_path / "8/autogroup").exists()


def test_the_work_is_done_in_a_session_of_its_own() -> None:
    code = (
        "import os, sys; from benchmarks import machine; mine = os.getsid(0);"
        " sys.exit(machine.in_own_session(lambda said: 7 * (os.getsid(0) != mine and bool(said))))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 7


def test_the_machine_is_described() -> None:
    found = machine.described()
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["versions"]["click"]
    assert 0 <= machine.busy_share(0) <= 1


# -- the options --------------------------------------------------------------------------------


def test_only_a_whole_run_writes_unless_told() -> None:
    parsed = command_line.parsed
    assert (parsed([]).write, parsed([]).rounds) == (True, 9)
    assert not parsed(["--quick"]).write
    assert not parsed(["--only", "ints,dicts"]).write
    assert parsed(["--only", "ints,dicts"]).works == ["ints", "dicts"]
    assert parsed(["--quick", "--write"]).write


@pytest.mark.parametrize("wrong", [["--only", "int"], ["--beside", "x"], ["--rounds", "0"]])
def test_wrong_options_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line.parsed(wrong)
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_run_prints_figures_and_ends_with_1_if_mporch_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = work_of(
        Way("mporch", program("raise SystemExit(3)"), product=True), Way("peer", program("pass"))
    )
    monkeypatch.setitem(WORKS, "w", work)
    monkeypatch.setattr(processes, "adopt_orphans", lambda: None)
    monkeypatch.setattr(machine, "busy_share", lambda _seconds: 0.0)
    options = command_line.parsed(["--quick", "--only", "w", "--rounds", "1"])
    assert command_line.measured(options, "session") == 1
    said = capsys.readouterr()
    assert "failed: mporch" in said.out and "a work" in said.out
    assert said.err.startswith("session\n")
