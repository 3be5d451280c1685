"""ACMG's figures 8 and 9, with ours: pitch classes (Eq. 11) and chord matching (Eq. 12-13)."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from musicgym.export.extras import require

from .records import HUMAN
from .tables import Row

__all__ = ["figures_8_and_9"]

SYSTEMS = {
    HUMAN: ("human", "#111827"),
    "lstm": ("LSTM", "#059669"),
    "no_theory": ("no theory", "#f59e0b"),
    "complete": ("complete", "#b91c1c"),
    "complete_kl": ("complete, KL", "#db2777"),
    "balanced_kl": ("balanced, KL", "#1d4ed8"),
}
DEGREES = ("1", "♭2", "2", "♭3", "3", "4", "♭5", "5", "♭6", "6", "♭7", "7")
MATCHES = {"triad_match": "(A) best-fitting triad", "chord_match": "(B) sounding time"}


def figures_8_and_9(systems: Sequence[Row]) -> bytes:
    """Return both figures as one PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "the papers' figures")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {row.name: row for row in systems if row.name in SYSTEMS}
    figure = Figure(figsize=(13, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    shares = [f"pitch_class_{k}" for k in range(12)]
    _bars(left, rows, dict(zip(shares, DEGREES, strict=True)))
    left.set(title="Eq. 11: notes by scale degree", ylabel="share of notes, %")
    _bars(right, rows, MATCHES)
    right.set(title="Eq. 12-13: chord matching", ylabel="%")
    left.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _bars(axes: Any, rows: dict[str, Row], figures: dict[str, str]) -> None:
    """Draw groups of bars, a group a figure and a bar a system, in percent."""
    width = 0.8 / max(len(rows), 1)
    for place, (name, row) in enumerate(rows.items()):
        title, colour = SYSTEMS[name]
        across = [k + width * (place - (len(rows) - 1) / 2) for k in range(len(figures))]
        axes.bar(across, [100 * row.mean(f) for f in figures], width, color=colour, label=title)
    axes.set_xticks(range(len(figures)), list(figures.values()))
    axes.grid(axis="y", color="#e5e7eb")
    axes.set_axisbelow(True)
