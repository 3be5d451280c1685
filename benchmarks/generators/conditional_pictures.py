"""The picture of the CVAE-GAN: its losses over the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from musicgym.export.extras import require

__all__ = ["curves"]

COLOURS = ("#1d4ed8", "#b91c1c", "#15803d")
#: What is drawn: the figure of an epoch -> its title.
PANELS = {
    "validation_reconstruction": "NLL given z, validation (nats a step)",
    "validation_kl": "KL to the prior, validation (nats a step)",
    "train_wasserstein": "Wasserstein estimate, E[D(real)] - E[D(fake)]",
    "train_penalty": "gradient penalty",
}


def curves(models: Mapping[str, Sequence[Mapping[str, Any]]], titles: Mapping[str, str]) -> bytes:
    """Return the losses of each seed over the epochs as a PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "the picture of the losses")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        for colour, (part, label) in zip(COLOURS, titles.items(), strict=True):
            for row in models[part]:
                values = row["curve"].get(name, [])
                if values:
                    axes.plot(range(1, len(values) + 1), values, color=colour, label=label, lw=1.2)
                label = "_"
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
