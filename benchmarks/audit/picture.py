"""The audit as one picture."""

from __future__ import annotations

import io
import textwrap
from typing import Any

__all__ = ["picture"]

Found = dict[str, Any]


def picture(found: Found) -> bytes:
    """Return the picture of an audit as PNG: AUC, returns and conflicts, verdicts below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(found["auc"]["all"])
    figure = Figure(figsize=(16, 3.2 + 0.5 * max(rows, 6)), layout="constrained")
    FigureCanvasAgg(figure)
    corpus = found["corpus"]
    title = (
        f"Reward audit of {found['target']['name']}: {corpus['windows']} melodies, "
        f"{corpus['tunes']} tunes, {corpus['name']}/{corpus['split']}"
    )
    said = "\n".join(
        textwrap.fill(f"{label}: {sentence}", 150) for label, sentence in found["verdicts"]["whole"]
    )
    figure.suptitle(f"{title}\n{said}", fontsize=12)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.5, 1, 1.2])
    draw_auc(left, found)
    draw_returns(middle, found)
    draw_conflicts(right, found)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()


def draw_auc(axes: Any, found: Found) -> None:
    """Draw the AUC heat map: a row a term, a column a corruption."""
    table = found["auc"]["all"]
    corruptions = list(table["whole"])
    values = [[table[name][c][0] for c in corruptions] for name in table]
    axes.imshow(values, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    for i, name in enumerate(table):
        for j, corruption in enumerate(corruptions):
            value, low, high = table[name][corruption]
            color = "white" if abs(value - 0.5) > 0.3 else "black"
            axes.text(j, i - 0.1, f"{value:.2f}", ha="center", va="center", color=color)
            axes.text(
                j, i + 0.24, f"{low:.2f}-{high:.2f}", ha="center", va="center", color=color,
                fontsize=7,
            )  # fmt: skip
    axes.set_xticks(range(len(corruptions)), [c.replace(" ", "\n") for c in corruptions])
    axes.set_yticks(range(len(table)), [_wrapped(name) for name in table])
    axes.axhline(len(table) - 1.5, color="black", linewidth=1)
    axes.set_title("AUC: a melody out-scores a corrupted one\n(1 knows music, 0.5 is blind)")


def draw_returns(axes: Any, found: Found) -> None:
    """Draw the returns of the corpus and the trivial policies, as shares of the optimum."""
    rows = found["returns"]
    shares = found["returns"]["corpus"]["share"] is not None
    values = [100 * row["share"] if shares else row["mean"][0] for row in rows.values()]
    colors = ["tab:green" if name == "corpus" else "tab:gray" for name in rows]
    bars = axes.barh([_wrapped(name) for name in rows], values, color=colors)
    for label in axes.bar_label(bars, fmt="%.0f", padding=3):
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.axvline(values[list(rows).index("corpus")], color="tab:green", linewidth=1, linestyle=":")
    if shares:
        axes.axvline(100, color="black", linewidth=1)
        axes.set_title("Return, % of the exact optimum")
    else:
        axes.set_title("Return (no exact optimum to compare with)")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.2)
    axes.invert_yaxis()


def draw_conflicts(axes: Any, found: Found) -> None:
    """Draw how much of a column's span is given up when the row's term is made best first."""
    conflicts = found["optimum"]["conflicts"]
    if not conflicts:
        axes.axis("off")
        axes.text(0.5, 0.5, "no conflict matrix:\nno term is a rule", ha="center", va="center")
        return
    terms = list(conflicts)
    values = [[row[name] or 0.0 for name in terms] for row in conflicts.values()]
    axes.imshow(values, cmap="Reds", vmin=0, vmax=1, aspect="auto")
    for i, name in enumerate(terms):
        for j, other in enumerate(terms):
            lost = conflicts[name][other]
            number = "-" if lost is None else f"{100 * lost:.0f}"
            color = "gray" if values[i][j] < 0.005 else "white" if values[i][j] > 0.6 else "black"
            axes.text(j, i, "" if i == j else number, ha="center", va="center", color=color)
    axes.set_xticks(range(len(terms)), terms, rotation=45, ha="right")
    axes.set_yticks(range(len(terms)), terms)
    axes.set_title("Conflicts: % of the column's span lost\nwhen the row is made best first")


def _wrapped(name: str) -> str:
    return textwrap.fill(name, 16)
