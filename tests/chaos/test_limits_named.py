"""Short form of `tests.chaos.limits`: each shape once, and that its judge sees what is wrong."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .limits import SHAPES, wrong


def test_each_shape_is_told_what_limits_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        problems = pool.map(lambda name: list(wrong(SHAPES[name], tmp_path / name)), SHAPES)
        found = dict(zip(SHAPES, problems, strict=True))
    assert not {name: told for name, told in found.items() if told}


def test_another_limit_than_the_known_one_is_seen(tmp_path: Path) -> None:
    other = dataclasses.replace(SHAPES["rate"], limits=(("end", "busy"),))
    told = list(wrong(other, tmp_path / "other"))
    assert told[0].startswith("not named: [('end', 'busy')], but mid rate ")
    assert told[1].startswith("named without reason: mid rate ")
