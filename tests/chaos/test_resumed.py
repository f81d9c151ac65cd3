"""Short forms of `tests.chaos.resumed`, `.crash_points`, `.rivals` and `.damage`."""

from __future__ import annotations

import itertools
import random
import shutil

import pytest

from .crash_points import SMALL, Killed, Point, Struck, sweep
from .damage import Store, damages, judge_all
from .resumed_checker import judge
from .resumed_rounds import Round
from .resumed_shapes import Middle, Shape
from .rivals import WRITES, contend

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which kills at a system call, is not installed"
)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_durable_run_whose_orchestrator_is_killed_again_and_again_is_exact(tmp_path, seed):
    shape = Shape.of(seed)
    history = Round(shape, tmp_path / "round", seed).play(3)
    assert judge(history).problems == (), shape


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed in the midst, its source not done."""
    return Killed(SMALL, tmp_path_factory.mktemp("killed"), WRITES, enough=False)


@needs_strace
@pytest.mark.parametrize(
    "points",
    [
        [Point(call="renameat", n=2), Point(call="pwrite64", n=41)],
        [Point(call="pwrite64", n=30, error="ENOSPC"), Point(call="pwrite64", n=50, error="EIO")],
    ],
    ids=["killed", "cannot write"],
)
def test_what_happens_at_a_write_leaves_a_run_that_resumes_exactly(tmp_path, points):
    numbers = itertools.count()

    def new():
        run = Struck(SMALL, tmp_path / str(next(numbers)), 0)
        (run.folder / "enough").touch()
        return run

    assert list(sweep(new, points, tmp_path / "kept")) == [""] * len(points)


@needs_strace
def test_a_resume_that_is_killed_can_be_resumed(killed, tmp_path):
    def again():
        run = killed.again()
        (run.folder / "enough").touch()
        return run

    points = [Point(call="pwrite64", n=2)]
    assert list(sweep(again, points, tmp_path / "kept")) == [""]


@needs_strace
def test_of_two_that_resume_at_once_one_goes_on_and_the_other_names_it(killed):
    assert contend(killed.again()) == []


@needs_strace
def test_damage_is_told_or_does_no_harm(killed, tmp_path):
    store = Store.read(killed.again().folder / "run")
    some = random.Random(0).sample(list(damages(store, 61)), 150)
    counts, wrong = judge_all(store, some, tmp_path / "damaged")
    assert wrong == []
    assert counts["exact"] > 10
    assert counts["refused"] > 10
    assert counts["salvaged"] > 10


def test_the_pipelines_are_all_played():
    assert {Shape.of(seed).middle for seed in range(5)} == set(Middle)
