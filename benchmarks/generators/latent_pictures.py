"""The pictures of the latent vector: losses, KL a unit, and melodies between two melodies."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from musicgym.export.extras import require
from musicgym.representations import to_piano_roll

__all__ = ["pictures"]

COLOURS = ("#1d4ed8", "#b91c1c", "#6b7280")


def pictures(found: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, bytes]:
    """Return name -> PNG: ``losses``, ``units`` and ``interpolation``.

    Args:
        found: what `latent.measure` returned.
        titles: of the models.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "pictures of the latent vector")
    return {
        "losses": _losses(found["curves"], titles),
        "units": _units(found, titles),
        "interpolation": _interpolation(found["models"], titles),
    }


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _losses(curves: Mapping[str, Any], titles: Mapping[str, str]) -> bytes:
    """Draw loss against epoch side by side."""
    shown = {name: curve for name, curve in curves.items() if curve}
    figure = _figure((4.2 * len(shown), 3.6))
    axes = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    for place, (name, curve) in zip(axes, shown.items(), strict=True):
        main = "nll" if name == "melody_lstm" else "loss"
        lines = {f"train_{main}": "-", f"validation_{main}": "-"}
        if main == "loss":
            lines |= {"validation_reconstruction": "--", "validation_kl": ":"}
        for colour, (line, style) in zip((*COLOURS, COLOURS[1]), lines.items(), strict=False):
            epochs = range(1, len(curve[line]) + 1)
            place.plot(epochs, curve[line], style, color=colour, label=line.replace("_", " "))
        place.set(title=titles.get(name, "Melody_LSTM"), xlabel="epoch", ylim=(0, 2.2))
        place.grid(color="#e5e7eb")
        place.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("nats a step")
    return _png(figure)


def _units(found: Mapping[str, Any], titles: Mapping[str, str]) -> bytes:
    """Draw active units against epoch, and the KL of each number of z in falling order."""
    models = found["models"]
    figure = _figure((4.2 * (len(models) + 1), 3.2))
    first, *axes = figure.subplots(1, len(models) + 1)
    for place, (name, held), colour in zip(axes, models.items(), COLOURS, strict=False):
        active = found["curves"][name]["validation_active_units"]
        first.plot(range(1, len(active) + 1), active, color=colour, label=titles[name])
        units = sorted(held["units"], reverse=True)
        place.bar(range(1, len(units) + 1), units, color=colour)
        place.axhline(0.05, color="#111827", linestyle=":", linewidth=1)
        place.set(title=f"{titles[name]}: KL, nats a melody", xlabel="numbers of z, by their KL")
    first.set(title="active units, validation", xlabel="epoch")
    first.legend(frameon=False)
    return _png(figure)


def _interpolation(models: Mapping[str, Any], titles: Mapping[str, str]) -> bytes:
    """Draw one pair's melodies as piano rolls: a melody, nine points on the way, the other."""
    figure = _figure((5.4 * len(models), 8.0))
    axes = np.atleast_1d(figure.subplots(1, len(models)))
    for place, (name, found) in zip(axes, models.items(), strict=True):
        way = found["interpolation"]
        rolls = to_piano_roll(way["shown"], way["low"]).sounding  # (R, 128, T)
        sounding = np.flatnonzero(rolls.any((0, 2)))
        bands = rolls[::-1, sounding.min() - 1 : sounding.max() + 2]  # the first melody on top
        height = bands.shape[1]
        place.imshow(
            bands.reshape(-1, bands.shape[2]), aspect="auto", origin="lower", cmap="Blues",
            interpolation="none",
        )  # fmt: skip
        for row in range(1, len(bands)):
            place.axhline(row * height - 0.5, color="#9ca3af", linewidth=0.8)
        points = len(bands) - 2
        labels = ["first", *(f"{i / (points - 1):g}" for i in range(points)), "other"]
        place.set_yticks([(row + 0.5) * height for row in range(len(bands))], labels[::-1])
        place.set(title=titles[name], xlabel="step")
    return _png(figure)
