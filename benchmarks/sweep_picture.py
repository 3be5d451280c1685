"""The picture of a sweep: what each varied field does to the objective, KL, likeness and terms.

A row of panels a field: a dot a seed, lines through the means. Two fields on a grid have a row of
heat maps as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from musicgym.export.extras import require

from .records import Record
from .sweep import Sweep
from .sweep_axes import Axis
from .sweep_results import Objective, Result, number
from .sweep_text import short_names
from .tables import heading, scale

__all__ = ["picture"]

INK, LINE, MAIN = "#374151", "#e5e7eb", "#1d4ed8"
#: Colours of the other field's values, from low to high, and of the terms.
SHADES = "viridis"
TERMS = ("#1d4ed8", "#b45309", "#059669", "#7c3aed", "#dc2626", "#0891b2", "#6b7280", "#be185d")
#: The other field has lines of its own up to so many values.
LINES = 6
#: Points that a mean of a range is taken over, at least, and means along it at most.
LEAST, MEANS = 3, 6
TITLES = {"kl": "KL to the prior, nats a step", "mmd2": "distance to human melodies (MMD²)"}


def picture(
    sweep: Sweep, found: Sequence[Result], objective: Objective, human: Record | None
) -> bytes:
    """Return the picture as a PNG.

    Raises:
        ValueError: no point has a record.
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "a picture of a sweep")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    good = [result for result in found if result.records]
    if not good:
        raise ValueError("sweep: every run has failed, so there is nothing to draw.")
    asked = dict.fromkeys([objective.name, "kl", "mmd2"])
    shown = [name for name in asked if any(r.mean(name) == r.mean(name) for r in good)]
    maps = _is_grid(sweep, good)
    names = short_names(sweep)
    rows, across = len(sweep.axes) + maps, len(shown) + 1
    figure = Figure(figsize=(4.1 * across, 3.5 * rows + 0.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, across, squeeze=False)
    for place, (axis, name) in enumerate(zip(sweep.axes, names, strict=True)):
        other = 1 - place if maps and len(sweep.axes[1 - place].values) <= LINES else None
        where = _Places(axis, good)
        for column, title in enumerate(shown):
            panel = panels[place, column]
            _effect(panel, sweep, good, where, title, other, names)
            if human is not None and title != "kl":
                _human(panel, number(human, title) * scale(title))
            if title == "mmd2" and human is not None:
                panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
        if other is not None:
            panels[place, 0].legend(title=names[other], frameon=False, fontsize=8, title_fontsize=8)
        _terms(panels[place, -1], sweep, good, where)
        for panel in panels[place]:
            where.label(panel, name)
    if maps:
        for column, title in enumerate(shown):
            _heat(figure, panels[-1, column], sweep, good, title, names)
        panels[-1, -1].set_axis_off()
    figure.suptitle(
        f"{sweep.task.name}, {sweep.task.task.split} split: {sweep.entry.name}, {sweep.seeds} "
        f"seeds a point", color=INK,
    )  # fmt: skip
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


class _Places:
    """Where the values of an axis stand: a list side by side, a range by its numbers."""

    def __init__(self, axis: Axis, found: Sequence[Result]) -> None:
        self.axis = axis
        self.values = list(axis.values)
        if all(type(value) in (int, float) for value in self.values):
            self.values.sort()
        self.ranged = not self.values

    def of(self, result: Result) -> float:
        """Return where a point stands."""
        value = result.settings[self.axis.name]
        return float(value) if self.ranged else float(self.values.index(value))

    def label(self, panel: Any, name: str) -> None:
        """Name the axis and its values."""
        panel.set_xlabel(name)
        if not self.ranged:
            said = ["+".join(v) if isinstance(v, tuple) else str(v) for v in self.values]
            panel.set_xticks(range(len(said)), said)
            panel.set_xlim(-0.4, len(said) - 0.6)
        elif self.axis.log:
            low, high = self.axis.low, self.axis.high
            panel.set_xscale("log")
            panel.set_xlim(low / 1.1, high * 1.1)
            decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ticks = [float(f"{m}e{e}") for e in decades for m in (1, 2, 5)]
            ticks = [tick for tick in ticks if low <= tick <= high]
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.set_xticks([], minor=True)

    def means(self, found: Sequence[Result], values: Sequence[float]) -> tuple[Any, Any]:
        """Return a line through the means: at each value of a list, over parts of a range."""
        x, y = np.array([self.of(result) for result in found]), np.array(values)
        known = ~np.isnan(y)
        x, y = x[known], y[known]
        if not self.ranged:
            there = np.unique(x)
            return there, np.array([y[x == each].mean() for each in there])
        order = np.argsort(x)
        parts = np.array_split(order, max(1, min(MEANS, len(x) // LEAST)))
        middle = [np.exp(np.log(x[p]).mean()) if self.axis.log else x[p].mean() for p in parts]
        return np.array(middle), np.array([y[p].mean() for p in parts])


def _effect(
    panel: Any, sweep: Sweep, found: Sequence[Result], where: _Places, title: str,
    other: int | None, names: Sequence[str],
) -> None:  # fmt: skip
    """Draw a figure over a field: a dot a seed, a line of means, one for each value of another."""
    _plain(panel)
    panel.set_ylabel(TITLES.get(title, heading(title)))
    groups: list[tuple[str, str, Sequence[Result]]] = [("", MAIN, found)]
    if other is not None:
        field = sweep.axes[other]
        groups = [
            (str(value), colour, [r for r in found if r.settings[field.name] == value])
            for value, colour in zip(field.values, _shades(len(field.values)), strict=True)
        ]
    for place, (label, colour, some) in enumerate(groups):
        if not some:
            continue
        aside = 0.0 if where.ranged else 0.06 * (place - (len(groups) - 1) / 2)
        x = np.concatenate([np.full(len(r.records), where.of(r) + aside) for r in some])
        y = np.concatenate([r.values(title) for r in some]) * scale(title)
        panel.scatter(x, y, s=16, color=colour, alpha=0.45, lw=0, zorder=3)
        along, means = where.means(some, [r.mean(title) * scale(title) for r in some])
        panel.plot(along + aside, means, color=colour, lw=1.8, marker="o", ms=4.5, label=label,
                   zorder=4)  # fmt: skip


def _terms(panel: Any, sweep: Sweep, found: Sequence[Result], where: _Places) -> None:
    """Draw what each term pays by the task's weights, less what it pays at the first value."""
    _plain(panel)
    panel.axhline(0, color=INK, lw=0.8)
    drawn = 0
    for term in sweep.task.task.reward.terms:
        paid = [result.mean(f"return_{term.name}") for result in found]
        if not any(paid) or all(value != value for value in paid):
            continue
        along, means = where.means(found, paid)
        panel.plot(along, means - means[0], color=TERMS[drawn % len(TERMS)], lw=1.8, marker="o",
                   ms=4.5, ls="-" if drawn < len(TERMS) else "--",
                   label=term.name.replace("_", " "))  # fmt: skip
        drawn += 1
    panel.set_ylabel("return by term, change")
    if drawn:
        panel.legend(frameon=False, fontsize=8)


def _heat(
    figure: Any, panel: Any, sweep: Sweep, found: Sequence[Result], title: str, names: Sequence[str]
) -> None:
    """Draw the mean of a figure over both fields, its values written in."""
    down, along = (_Places(axis, found) for axis in sweep.axes)
    cells = np.full((len(down.values), len(along.values)), np.nan)
    for result in found:
        cells[int(down.of(result)), int(along.of(result))] = result.mean(title) * scale(title)
    drawn = panel.imshow(cells, cmap=SHADES, aspect="auto", origin="lower")
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
    for (i, j), value in np.ndenumerate(cells):
        if value == value:
            panel.annotate(f"{value:.3g}", (j, i), ha="center", va="center", size=9,
                           color="white" if value < middle else "black")  # fmt: skip
    for places, ticks, label, name in (
        (along, panel.set_xticks, panel.set_xlabel, names[1]),
        (down, panel.set_yticks, panel.set_ylabel, names[0]),
    ):
        ticks(range(len(places.values)), [str(value) for value in places.values])
        label(name)
    panel.set_title(TITLES.get(title, heading(title)), size=10, color=INK)
    figure.colorbar(drawn, ax=panel)


def _is_grid(sweep: Sweep, found: Sequence[Result]) -> bool:
    """Tell whether two fields have a point for each pair of their values."""
    if len(sweep.axes) != 2 or not all(axis.values for axis in sweep.axes):
        return False
    return len(found) == len(sweep.axes[0].values) * len(sweep.axes[1].values)


def _human(panel: Any, value: float) -> None:
    """Draw the human value as a dotted line."""
    if value == value:
        panel.axhline(value, color=INK, lw=1, ls=":", zorder=2)
        panel.annotate("human", (1, value), xycoords=("axes fraction", "data"), size=8, color=INK,
                       ha="right", va="bottom")  # fmt: skip


def _plain(panel: Any) -> None:
    panel.grid(color=LINE, lw=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _shades(count: int) -> list[Any]:
    """Return colours from dark to light; the lightest are too faint for lines."""
    from matplotlib import colormaps

    return [colormaps[SHADES](x) for x in np.linspace(0.1, 0.75, count)]
