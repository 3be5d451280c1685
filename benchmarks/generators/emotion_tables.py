"""The tables and the picture of what melodies of an emotion come out as."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast

import numpy as np

from musicgym.benchmarks.metrics.zhao import FAMILY
from musicgym.benchmarks.published import ZHAO_ABLATIONS, ZHAO_TABLE
from musicgym.emotion import EMOTIONS, FEATURES
from musicgym.export.extras import require

__all__ = ["ablations", "following", "nats", "picture", "said", "share", "systems"]

#: Our ablations under the paper's names.
PAPER = {"one level": "no RNN"}


def said(counts: list[int]) -> str:
    """Return what share is nearest to each emotion."""
    shares = zip(EMOTIONS, np.array(counts) / sum(counts), strict=True)
    return ", ".join(f"{name} {share:.0%}" for name, share in shares)


def share(counts: list[int], emotion: str) -> float:
    """Return the share of melodies that are nearest to an emotion."""
    return counts[EMOTIONS.index(emotion)] / sum(counts)


def following(row: Mapping[str, Any], told: str) -> float:
    """Return the share of all melodies that are nearest to what was asked for."""
    shares = [share(row["followed"][emotion][told], emotion) for emotion in EMOTIONS]
    return float(np.mean(shares))


def nats(variants: Mapping[str, Any], lstm: Mapping[str, Any]) -> list[str]:
    """Return the table of the likelihoods."""
    lines = [
        "What it costs, in nats a step: the NLL of Melody_LSTM, and of the others its bound with "
        "one draw of z and of the emotion, and importance-weighted.",
        "",
        "| | validation, one draw | weighted | test, one draw | weighted | KL | active units "
        "| epochs | CPU s |",
        "|---" * 9 + "|",
    ]
    figures = lstm["learned"]["pretraining"]
    values = [figures[f"{split}_nll"] for split in ("validation", "test")]
    lines.append(f"| Melody_LSTM | | {values[0]:.3f} | | {values[1]:.3f} | | | | |")
    for name, row in variants.items():
        cells = [
            f"{row['nll'][split][kind]:.3f}"
            for split in ("validation", "test")
            for kind in ("one", "weighted")
        ]
        figures = row["pretraining"]
        lines.append(
            f"| {name} | {' | '.join(cells)} | {figures['validation_kl']:.3f} "
            f"| {figures['validation_active_units']:.0f} | {row['epochs']} | {row['seconds']:.0f} |"
        )
    return lines


def systems(found: Mapping[str, Any]) -> list[str]:
    """Return the metrics of Zhao et al., and beside them what the paper prints."""
    human, full = found["human"]["figures"], found["variants"]["full"]["figures"]
    ours = {
        "human": human,
        "Melody_LSTM": found["melody_lstm"]["figures"],
        **{name: row["figures"] for name, row in found["variants"].items()},
    }
    lines = [
        "Their metrics, with emotions drawn evenly. Human: test windows, as many in major as in "
        "minor; their BLEU is that of the validation tunes. At 120 quarter notes a minute 8 bars "
        "last 16 s.",
        "",
        "| | " + " | ".join(ours) + " |",
        "|---" * (1 + len(ours)) + "|",
    ]
    for metric in FAMILY:
        unit, scale = (f", {metric.unit}" if metric.unit else ""), 100 if metric.unit == "%" else 1
        cells = " | ".join(f"{scale * row[metric.name]:.2f}" for row in ours.values())
        lines.append(f"| {metric.name.replace('_', ' ')}{unit} | {cells} |")
    cells = " | ".join(f"{row['mmd2']:.3f}" if "mmd2" in row else "" for row in ours.values())
    printers = tuple(ZHAO_TABLE["duration"])
    lines += [
        f"| mmd2 | {cells} |",
        "",
        "What the paper prints. It gives no formulas, and its melodies are of another length and "
        "speed, so at most the order of its systems can be read.",
        "",
        "| | human | full | " + " | ".join(printers) + " |",
        "|---" * (3 + len(printers)) + "|",
    ]
    for name, printed in ZHAO_TABLE.items():
        cells = " | ".join(f"{printed[system]:g}" for system in printers)
        title = name.replace("_", " ")
        lines.append(f"| {title} | {human[name]:.2f} | {full[name]:.2f} | {cells} |")
    return lines


def ablations(found: Mapping[str, Any]) -> list[str]:
    """Return each metric of the ablations, found and printed."""
    lines = [
        "Ablations, found / printed (pitch variation is their note jump; one level stands for "
        "their `no RNN`):",
        "",
        "| | " + " | ".join(name.replace("_", " ") for name in ZHAO_ABLATIONS) + " |",
        "|---" * (1 + len(ZHAO_ABLATIONS)) + "|",
    ]
    for name, row in found["variants"].items():
        cells = [
            f"{row['figures'][metric]:.2f} / {printed[PAPER.get(name, name)]:g}"
            for metric, printed in ZHAO_ABLATIONS.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


COLOURS = dict(zip(EMOTIONS, ("#d97706", "#1d4ed8", "#059669", "#b91c1c", "#6b7280"), strict=True))
UNITS = ("notes a step", "semitones", "semitones", "semitones", "major - minor")


def picture(found: dict[str, Any]) -> bytes:
    """Return means against targets, and who is told for whom with and without the emotion loss.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "the picture of the emotions")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = cast(Any, figure.subfigures(2, 1, height_ratios=(1, 1.35)))
    panels = above.subplots(1, len(FEATURES))
    full, plain = (found["variants"][name] for name in ("full", "no emotion loss"))
    for k, (axes, feature) in enumerate(zip(panels, FEATURES, strict=True)):
        for place, emotion in enumerate(EMOTIONS):
            target, row = found["targets"][place][k], full["followed"][emotion]
            target += (place - 2) * 0.08 * found["deviations"][k]  # side by side where they agree
            axes.errorbar(target, row["means"][k], row["deviations"][k], fmt="o", capsize=3,
                          color=COLOURS[emotion], label=emotion)  # fmt: skip
            axes.plot(target, plain["followed"][emotion]["means"][k], "x", color=COLOURS[emotion])
        ends = np.sort([*axes.get_xlim(), *axes.get_ylim()])[[0, -1]]
        axes.plot(ends, ends, color="#9ca3af", lw=0.8, zorder=0)
        axes.set(title=feature, xlabel=f"target, {UNITS[k]}", xlim=ends, ylim=ends)
    panels[0].set_ylabel("played (x: without the loss)")
    handles, labels = panels[0].get_legend_handles_labels()
    above.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    titles = {
        "with the emotion loss": (full, "told"),
        "... and the mode counted": (full, "told_with_mode"),
        "without the emotion loss": (plain, "told"),
    }
    for axes, (title, (row, told)) in zip(below.subplots(1, 3), titles.items(), strict=True):
        table = np.array([row["followed"][emotion][told] for emotion in EMOTIONS], float)
        table *= 100 / table.sum(1, keepdims=True)
        axes.imshow(table, cmap="Blues", vmin=0, vmax=100)
        for i, j in np.ndindex(table.shape):
            colour = "white" if table[i, j] > 50 else "#111827"
            axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(EMOTIONS)), EMOTIONS)
        axes.set_yticks(range(len(EMOTIONS)), EMOTIONS)
        whole = f"{following(row, told):.0%}"
        axes.set(title=f"{title}: {whole}", xlabel="nearest target, %", ylabel="asked for")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
