"""The curves as pictures: log axes, every curve labelled where it ends."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

from musicgym.export.extras import require

from .rows import amount
from .scaling import Figure

__all__ = ["picture", "spread"]

INK, PAPER_LINE = "#374151", "#e5e7eb"
OURS = ("#1d4ed8", "#0891b2", "#059669", "#7c3aed", "#db2777")
THEIRS = ("#b45309", "#4b5563", "#b91c1c", "#65a30d", "#a78bfa", "#a16207")
#: What the foreign peers are called in a picture.
LABELS = {
    "pufferlib": "PufferLib C CartPole",
    "gymnax-scan": "gymnax CartPole, scan",
    "gymnax-step": "gymnax CartPole, by step",
    "envpool": "EnvPool CartPole",
}


def picture(figure: Figure) -> bytes:
    """Return a figure as a PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "a picture of the curves")
    from matplotlib import figure as plots
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made = plots.Figure(figsize=(9.5, 5.6), dpi=110)
    FigureCanvasAgg(made)
    axes: Any = made.add_axes((0.085, 0.115, 0.63, 0.78))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ends = []
    ours, theirs = iter(OURS * 3), iter(THEIRS * 3)
    for curve in figure.curves:
        rates = curve.rates()
        colour = next(ours) if curve.is_ours else next(theirs)
        axes.plot(
            list(rates), list(rates.values()), color=colour, marker="o", markersize=4,
            lw=2.2 if curve.is_ours else 1.5, ls="-" if curve.is_ours else "--",
        )  # fmt: skip
        last = max(rates)
        clock = " (wall)" if curve.clock == "wall" else ""
        text = f"{LABELS.get(curve.name, curve.name)}{clock}  {amount(rates[last])}"
        ends.append((last, rates[last], text, colour))
    places = sorted({x for curve in figure.curves for x in curve.turns})
    axes.set_xticks(places, [f"{x:,}" for x in places], size=9)
    axes.minorticks_off()
    values = [r for curve in figure.curves for r in curve.rates().values()]
    low, high = math.log10(min(values) / 1.3), math.log10(max(values) * 1.3)
    axes.set_ylim(10.0**low, 10.0**high)
    axes.set_xlim(places[0] / 1.15, places[-1] * 1.15)
    marks = (1, 3) if high - low < 4 else (1,)
    ticks = [m * 10.0**p for p in range(math.floor(low), math.ceil(high)) for m in marks]
    ticks = [tick for tick in ticks if low <= math.log10(tick) <= high]
    axes.set_yticks(ticks, [amount(t).replace(".00", "").replace(".0", "") for t in ticks], size=9)
    axes.grid(True, color=PAPER_LINE, lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel(figure.axis, color=INK)
    axes.set_ylabel(f"{figure.unit} (CPU time, one thread)", color=INK)
    axes.set_title(figure.title, loc="left", pad=14, size=12, weight="bold", color=INK)
    heights = [(math.log10(y) - low) / (high - low) for _, y, _, _ in ends]
    for (x, y, text, colour), height in zip(ends, spread(heights, 0.045), strict=True):
        axes.annotate(
            text, (x, y), xytext=(1.03, height), textcoords="axes fraction", va="center",
            size=9, color=colour, weight="bold" if colour in OURS else "normal",
            arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "color": colour, "lw": 0.6},
        )  # fmt: skip
    buffer = BytesIO()
    made.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def spread(heights: list[float], gap: float) -> list[float]:
    """Return heights moved apart to at least `gap`, in their order, about as little as need be.

    None stands above 1.

    >>> [round(h, 2) for h in spread([0.5, 0.5, 0.9], 0.1)]
    [0.45, 0.55, 0.9]
    """
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    groups: list[list[int]] = []

    def bottom(group: list[int]) -> float:
        centre = sum(heights[i] for i in group) / len(group)
        return centre - gap * (len(group) - 1) / 2

    for index in order:
        groups.append([index])
        while len(groups) > 1 and (
            bottom(groups[-2]) + gap * len(groups[-2]) > bottom(groups[-1]) + 1e-12
        ):
            last = groups.pop()
            groups[-1] += last
    placed = [0.0] * len(heights)
    for group in groups:
        for place, index in enumerate(group):
            placed[index] = bottom(group) + gap * place
    most = 1.0
    for index in reversed(order):
        placed[index] = min(placed[index], most)
        most = placed[index] - gap
    return placed
