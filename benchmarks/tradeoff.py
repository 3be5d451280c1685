"""The trade-off in one picture: share of the optimum, distance to human melodies, KL to the prior.

A reward alone is easily won by leaving music behind. Each panel sets two of the three against each
other, with the best-of-N curve of the prior, which no training is needed for.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from musicgym.export.extras import require

from .entries import PLANNERS
from .records import HUMAN
from .tables import Row, is_search

__all__ = ["picture"]

TITLES = {
    "kl": "KL to the prior, nats a step",
    "share_of_optimum": "share of the optimum, %",
    "mmd2": "distance to human melodies (MMD²)",
}
INK, LINE = "#374151", "#e5e7eb"
#: Kinds of systems: a test of the row, a colour, a marker, a name for the legend.
KINDS = (
    ("learned", "#1d4ed8", "o", "trained by rewards"),
    ("search", "#b45309", ".", "best of N, no training"),
    ("prior", "#059669", "s", "prior"),
    ("planner", "#7c3aed", "*", "planner"),
    ("simple", "#6b7280", "x", "simple policy"),
)


def kind(row: Row) -> str:
    """Return what kind of system a row is."""
    if row.records[0].facts.get("training_steps"):
        return "learned"
    if is_search(row):
        return "search"
    if row.name.startswith(("melody_lstm", "markov")):
        return "prior"
    return "planner" if row.name in PLANNERS else "simple"


def picture(systems: Sequence[Row]) -> bytes:
    """Return the picture as a PNG.

    Raises:
        ValueError: no system but the human row is there.
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "a picture of the trade-off")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    human = next((row for row in systems if row.name == HUMAN), None)
    others = [r for r in systems if r.name != HUMAN and not r.name.startswith("planted_")]
    if not others:
        raise ValueError("trade-off: the records hold no system but the human row.")
    figure = Figure(figsize=(13, 5.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for axes, x, y in ((left, "kl", "share_of_optimum"), (right, "share_of_optimum", "mmd2")):
        _panel(axes, others, x, y)
        axes.set(xlabel=TITLES[x], ylabel=TITLES[y])
    left.set_xscale("symlog", linthresh=0.1)
    left.set_xlim(-0.01, 20)
    left.set_xticks([0, 0.05, 0.1, 0.3, 1, 3], ["0", "0.05", "0.1", "0.3", "1", "3"])
    right.set_yscale("log")
    if human:
        share = 100 * human.mean("share_of_optimum")
        left.axhline(share, color=INK, lw=1, ls=":")
        left.annotate("human melodies", (1, share), xycoords=("axes fraction", "data"), size=8,
                      ha="right", va="top", color=INK)  # fmt: skip
        floor = human.mean("mmd2")
        if floor > 0:
            right.axhspan(0, floor + human.mean("mmd2_deviation"), color="#d1fae5", lw=0)
            right.annotate("noise floor: human against human", (0.01, floor), size=8, color=INK,
                           xycoords=("axes fraction", "data"), va="bottom")  # fmt: skip
        right.axvline(share, color=INK, lw=1, ls=":")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"{systems[0].records[0].task['rewards']!s}: what a reward buys", color=INK)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _panel(axes: Any, systems: Sequence[Row], x: str, y: str) -> None:
    """Draw the systems, a mark each, one standard deviation over seeds as a cross."""
    axes.grid(color=LINE, lw=0.8)
    axes.set_axisbelow(True)
    for name, colour, marker, label in KINDS:
        some = [row for row in systems if kind(row) == name]
        points = [(row, _scaled(row, x), _scaled(row, y)) for row in some]
        points = [p for p in points if p[1] == p[1] and p[2] == p[2]]
        if not points:
            continue
        if name == "search":
            points.sort(key=lambda p: p[0].records[0].facts["samples"])
            axes.plot([p[1] for p in points], [p[2] for p in points], color=colour, lw=1.5)
        axes.scatter([p[1] for p in points], [p[2] for p in points], color=colour, marker=marker,
                     s=60 if marker != "*" else 130, label=label, zorder=3)  # fmt: skip
        for place, (row, across, up) in enumerate(points):
            title, where, side = row.name.replace("_", " "), (6, 5 - 14 * (place % 2)), "left"
            if name == "search":  # every second N is enough to read the curve by
                if place % 2 == 0 and place < len(points) - 1:
                    continue
                title = title.replace("best of ", "N = ")
                where, side = ((-5, 4), "right") if x == "kl" else ((0, -12), "center")
            axes.annotate(title, (across, up), xytext=where, textcoords="offset points", size=7.5,
                          ha=side, color=colour, zorder=4,
                          bbox={"fc": "white", "ec": "none", "alpha": 0.7, "pad": 0.5})  # fmt: skip
    axes.margins(x=0.12, y=0.08)


def _scaled(row: Row, figure: str) -> float:
    value = row.mean(figure)
    return (
        100 * value
        if figure == "share_of_optimum"
        else max(value, 1e-4)
        if figure == "mmd2"
        else value
    )
