"""A chart of what mporch is beside its peers: an SVG that reads on light and on dark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from benchmarks import figures, report, works

PEERS = (works.PIPE, works.POOL, works.QUEUE, works.TUNED, "import click", "ProcessPoolExecutor")
"""Those that are drawn; the page's tables have all."""

_WIDTH, _LEFT, _RIGHT, _ROW, _HEAD = 760, 300, 700, 15, 24
_LOWEST, _HIGHEST = 1 / 16, 16.0
_STYLE = """
text { font-family: system-ui, 'DejaVu Sans', sans-serif; font-size: 11px; fill: #24292f }
.title { font-weight: 600 }
.faster { fill: #1a7f37 } .slower { fill: #bc4c00 }
.axis { stroke: #8c959f } .grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .faster { fill: #3fb950 } .slower { fill: #f0883e }
  .axis { stroke: #8b949e } .grid { stroke: #30363d }
}
"""


def chart(record: dict[str, Any]) -> str:
    """The chart: a bar goes right where mporch is faster than a peer, left where it is slower."""
    parts: list[str] = []
    y = 40.0
    for work in record["works"].values():
        bars = list(_bars(work))
        if not bars:
            continue
        parts.append(_text(8, y + 12, work["title"].replace("`", ""), "title"))
        y += _HEAD - 6
        for name, speed in bars:
            parts += _bar(y, name, speed)
            y += _ROW
        y += 8
    height = round(y + 8)
    mark = " (a trial: no figures to quote)" if report.why_a_trial(record["made"]) else ""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            f' width="{_WIDTH}" height="{height}" role="img">',
            "<title>How many times as fast as its peers mporch is</title>",
            f"<style>{_STYLE}</style>",
            _text(8, 16, f"mporch is so many times as fast as …{mark}", "title"),
            *_grid(height),
            *parts,
            "</svg>\n",
        ]
    )


def _bars(work: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The peers that are drawn, and how fast mporch is beside each; None where that is noisy."""
    more = work["metrics"][0][2]
    for name in PEERS:
        if name in work["ways"] and (ratio := report.ratio_of(work, name)) is not None:
            speed = ratio.median if more else 1 / ratio.median
            yield name, None if ratio.noisy else speed


def _bar(y: float, name: str, speed: float | None) -> Iterator[str]:
    yield _text(_LEFT - 8, y + 10, name, anchor="end")
    one = _x(1)
    if speed is None:
        yield _text(one + 6, y + 10, "noisy")
        return
    end = _x(speed)
    kind = "faster" if speed >= 1 else "slower"
    yield (
        f'<rect class="{kind}" x="{min(one, end):.1f}" y="{y + 1:.1f}"'
        f' width="{max(1.0, abs(end - one)):.1f}" height="{_ROW - 4}" rx="2"/>'
    )
    yield _text(max(one, end) + 6, y + 10, f"{figures.number(speed)} ×")


def _grid(height: int) -> Iterator[str]:
    for power in range(-4, 5, 2):
        value = 2.0**power
        x = _x(value)
        kind = "axis" if not power else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{height - 8}"/>'
        name = f"{value:g} ×" if power >= 0 else f"1/{round(1 / value)} ×"
        yield _text(x, 29, name, anchor="middle")


def _x(value: float) -> float:
    """Where a value lies on the logarithmic axis."""
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    at = (math.log(min(max(value, _LOWEST), _HIGHEST)) - low) / (high - low)
    return _LEFT + at * (_RIGHT - _LEFT)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
