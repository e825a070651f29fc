"""The report's drawings: SVG text that stands in the page, in the page's own type. Same values, same bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .report_episodes import Panel
from .report_facts import FORCES
from .words import Words

Array = NDArray[np.float64]
INK, SOFT, LINE, DATA, LIMIT = "#1b2733", "#5d6b78", "#d8dde2", "#1d4e89", "#b3261e"
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#edf0f2",
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.5,
}
WIDTH, ROW_HEIGHT = 7.2, 1.25  # inches
STRAIGHT = 0.12  # px off a straight line that nobody sees


def episode_plot(
    panels: Sequence[Panel], worst_s: float, shots: Sequence[float], salt: str, words: Words
) -> str:
    """Each panel's quantity against its limit over an episode; the worst moment and the pictures' moments are marked."""
    with _Figure(len(panels), ROW_HEIGHT * len(panels) + 0.45, salt) as figure:
        for axes, panel in zip(figure.axes, panels, strict=True):
            _draw_panel(axes, panel, words)
            if np.isfinite(worst_s):
                axes.axvline(worst_s, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        top = figure.axes[0]
        for number, time in enumerate(shots, 1):
            top.annotate(str(number), (time, 1.0), (0, 5), xycoords=("data", "axes fraction"),
                         textcoords="offset points", ha="center", color=SOFT, fontsize=7.5)  # fmt: skip
            top.plot(
                [time],
                [1.0],
                marker="v",
                markersize=3,
                color=SOFT,
                transform=top.get_xaxis_transform(),
                clip_on=False,
            )
        figure.axes[-1].set_xlabel(words("plot.time"))
        return figure.svg()


def _draw_panel(axes: Any, panel: Panel, words: Words) -> None:
    time, left, right = panel.time, panel.left, panel.right
    axes.plot(time, left, color=DATA, linewidth=1.3)
    axes.plot(time, right, color=LIMIT, linewidth=1.0, linestyle=(0, (5, 2)))
    low, high = _range(np.concatenate([left[np.isfinite(left)], right[np.isfinite(right)]]))
    axes.set_ylim(low, high)
    if panel.plain:
        edge = high if panel.operator in ("<=", "<") else low
        axes.fill_between(time, right, np.full_like(right, edge), facecolor="#fdf3f2", linewidth=0, hatch="////",
                          edgecolor="#efcdc9", zorder=0)  # fmt: skip
    if not panel.applies.all():
        axes.fill_between(time, 0, 1, where=~panel.applies, transform=axes.get_xaxis_transform(), color="#8a949d",
                          alpha=0.13, linewidth=0, step="mid")  # fmt: skip
    force = f" ({words('constraints.force')})" if panel.unit in FORCES else ""
    axes.set_title(
        f"{panel.constraint} · {panel.comparison}{force}", loc="left", fontsize=8.5, color=INK, pad=12
    )
    axes.set_ylabel("" if panel.unit == "1" else panel.unit.replace("*", "·"))
    axes.margins(x=0.01)


def _range(values: Array) -> tuple[float, float]:
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    pad = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad


def cycle_plot(cycles: Array, takt_s: float, words: Words) -> str:
    """How long the successful episodes took, against takt."""
    with _Figure(1, 2.0, "cycle") as figure:
        axes = figure.axes[0]
        end = max(float(cycles.max()), takt_s) * 1.04
        axes.hist(cycles, bins=np.linspace(min(float(cycles.min()) * 0.9, end * 0.5), end, 46), color="#7d9cbf",
                  edgecolor="white", linewidth=0.5)  # fmt: skip
        axes.axvline(takt_s, color=LIMIT, linewidth=1.2, linestyle=(0, (5, 2)))
        axes.annotate(words("plot.takt", takt=f"{takt_s:g}"), (takt_s, 1.0), (-4, -8), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha="right", color=LIMIT)  # fmt: skip
        axes.set_xlabel(words("plot.cycle"))
        axes.set_ylabel(words("plot.episodes"))
        return figure.svg()


class _Figure:
    """Axes one above the other that share their time, and their SVG with ids of its own."""

    def __init__(self, rows: int, height: float, salt: str) -> None:
        import matplotlib

        style: Any = {**STYLE, "svg.hashsalt": salt}
        self._context = matplotlib.rc_context(style)
        self._rows, self._height, self._salt = rows, height, salt

    def __enter__(self) -> _Figure:
        from matplotlib.figure import Figure

        self._context.__enter__()
        self._figure = Figure(figsize=(WIDTH, self._height), layout="constrained")
        self.axes: list[Any] = list(np.atleast_1d(self._figure.subplots(self._rows, 1, sharex=True)))
        return self

    def __exit__(self, *_: object) -> None:
        self._context.__exit__(None, None, None)

    def svg(self) -> str:
        """The drawing as an `<svg>` element that takes the width of its place."""
        buffer = io.StringIO()
        empty = dict.fromkeys(("Date", "Creator", "Type", "Format"))
        with warnings.catch_warnings():  # the browser has the glyphs that matplotlib's own font lacks
            warnings.filterwarnings("ignore", "Glyph .* missing")
            self._figure.savefig(buffer, format="svg", transparent=True, metadata=empty)
        found = re.search(r"<svg.*</svg>", buffer.getvalue(), re.DOTALL)
        assert found is not None
        drawing = re.sub(r"<metadata>.*?</metadata>\s*", "", found.group(), flags=re.DOTALL)
        drawing = re.sub(r' d="([^"]*)"', lambda path: f' d="{thinned(path.group(1))}"', drawing)
        drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{self._salt}-", drawing)
        return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r'<svg \1role="img"', drawing, count=1)


def thinned(path: str) -> str:
    """An SVG path to 0.1 px, without the points of its lines that lie on the way from one to another to within `STRAIGHT`."""
    kept: list[str] = []
    line: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        if command in "ML":
            x, y = (round(float(number), 1) for number in numbers.split())
            if command == "M":
                kept, line = kept + _written(line), []
            line.append((x, y))
        else:
            kept, line = (
                [*kept, *_written(line), command + re.sub(r"(\.\d)\d+", r"\1", " ".join(numbers.split()))],
                [],
            )
    return "".join(kept + _written(line))


def _written(line: Sequence[tuple[float, float]]) -> list[str]:
    """The commands of a line that begins at its first point."""
    if not line:
        return []
    points = np.array(line)
    told = np.zeros(len(points), bool)
    told[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:  # Douglas and Peucker (1973)
        first, last = spans.pop()
        if last - first < 2:
            continue
        way, off = points[last] - points[first], points[first + 1 : last] - points[first]
        along = ((off * way).sum(axis=1) / max(float((way * way).sum()), 1e-9)).clip(0.0, 1.0)
        gaps = np.hypot(*(off - along[:, None] * way).T)
        worst = int(gaps.argmax())
        if gaps[worst] > STRAIGHT:
            middle = first + 1 + worst
            told[middle] = True
            spans += [(first, middle), (middle, last)]
    return [f"{'L' if i else 'M'}{x:g} {y:g}" for i, (x, y) in enumerate(points[told])]
