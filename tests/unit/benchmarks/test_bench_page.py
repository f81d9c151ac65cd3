"""The page of figures, its chart and the README's table: made from the record that is kept."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, page

ROOT = Path(__file__).parents[3]
RECORD: dict[str, Any] = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))


def way(name: str, values: list[float], *, product: bool = False) -> dict[str, Any]:
    samples = [[value, 0.1] for value in values]
    kept = {"way": name, "build": "", "product": product, "n": 1000, "base_cpu_s": [0.0]}
    return {**kept, "failed": "", "samples": samples}


@pytest.fixture
def record() -> dict[str, Any]:
    """A run of one work on a quiet machine."""
    made = copy.deepcopy(RECORD["made"])
    made |= {"quick": False, "busy_before": 0.01, "busy_after": 0.02, "mporch": {"": "mporch 9"}}
    ways = {
        "mporch": way("mporch", [1e6, 1.1e6, 0.9e6], product=True),
        "bare batched pipe": way("bare batched pipe", [4e6, 4.4e6, 3.6e6]),
        "multiprocessing.Queue": way("multiprocessing.Queue", [1e5, 4e5, 7e5]),
    }
    work = {
        "title": "ints",
        "group": "Items that flow",
        "subject": "mporch",
        "metrics": [["items/s", "items/s", True]],
        "base_n": 2,
        "wanted": {},
        "ways": ways,
    }
    return {"made": made, "missing": {"pypeln": "no module pypeln"}, "works": {"ints": work}}


def test_the_readme_the_page_and_the_chart_are_those_of_the_record() -> None:
    """`python -m benchmarks --readme` and `--page` make them anew."""
    assert page.block(RECORD) in (ROOT / page.README).read_text(encoding="utf-8")
    assert (ROOT / page.PAGE).read_text(encoding="utf-8") == page.page(RECORD)
    assert (ROOT / page.CHART).read_text(encoding="utf-8") == chart.chart(RECORD)


def test_the_record_is_kept_as_it_is() -> None:
    assert json.loads(page.as_json(RECORD)) == RECORD


def test_a_noisy_ratio_is_not_written(record: dict[str, Any]) -> None:
    """The queue's rates are 4 × apart; mporch is about 2.8 times as fast."""
    found = page.page(record)
    assert "0.250 × ± 0 %" in found
    row = next(line for line in found.splitlines() if line.startswith("| multiprocessing.Queue"))
    assert row.endswith("| noisy |")
    assert "| 1,000,000 items/s | 0.250 × |  | noisy |  |" in page.block(record)
    assert chart.chart(record).count("<rect") == 1


def test_who_is_missing_or_has_failed_is_named(record: dict[str, Any]) -> None:
    record["works"]["ints"]["ways"]["bare batched pipe"]["failed"] = "had not ended"
    found = page.page(record)
    assert "* pypeln: no module pypeln" in found
    assert "Failed: bare batched pipe: had not ended." in found


@pytest.mark.parametrize("trial", [{"quick": True}, {"busy_before": 0.5}, {"busy_after": 0.5}])
def test_a_trial_is_marked_and_gives_the_readme_no_figures(
    record: dict[str, Any], trial: dict[str, Any]
) -> None:
    assert "no figures to quote" not in page.page(record)
    assert "1,000,000 items/s" in page.block(record)
    record["made"] |= trial
    assert "**These are no figures to quote.**" in page.page(record)
    assert "1,000,000" not in page.block(record)


def test_the_readme_keeps_what_stands_around_the_table(
    record: dict[str, Any], tmp_path: Path
) -> None:
    readme = tmp_path / page.README
    readme.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n", encoding="utf-8")
    page.write_readme(record, tmp_path)
    assert readme.read_text(encoding="utf-8") == f"before\n{page.block(record)}\nafter\n"
    readme.write_text("before\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no lines"):
        page.write_readme(record, tmp_path)


def test_the_chart_is_an_image_for_light_and_dark(record: dict[str, Any]) -> None:
    text = chart.chart(record)
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in text
    assert 'class="slower"' in text and "0.250 ×" in text


def test_the_chart_tells_speed_where_less_time_is_better(record: dict[str, Any]) -> None:
    record["works"]["ints"]["metrics"] = [["p50", "µs", False]]
    text = chart.chart(record)
    assert 'class="faster"' in text and "4.00 ×" in text
