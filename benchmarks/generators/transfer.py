"""Cross-validation of the pretraining, and what a model learned on one corpus brings to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from torch import Tensor

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import MODELS
from musicgym.agents.generators.training import Curve
from musicgym.agents.pretraining import cross_validate, pretrain
from musicgym.agents.reporting import stages
from musicgym.corpus.dataset import Corpus, prepare
from musicgym.export.extras import require

from .latent import trained

__all__ = ["excerpt", "gains", "measure", "section"]

FOLDS, FOLD_EPOCHS = 5, 10
#: Model -> the folk tunes that it learns from, the hop of their windows, and the epochs.
RUNS: dict[str, tuple[str, int | None, int, int]] = {
    "Melody_LSTM, 30 tunes": ("melody_lstm", 30, 1, 12),
    "Melody_LSTM, all 977 tunes": ("melody_lstm", None, 8, 10),
    "VAE-LSTM, 30 tunes": ("lstm_vae", 30, 1, 8),
}


def measure() -> dict[str, Any]:
    """Cross-validate Melody_LSTM on the chorales, and go on from the chorales to folk tunes."""
    chorales, task = prepare(), ACMGConfig().task()
    size, training = MODELS["melody_lstm"]
    short = replace(training(), epochs=FOLD_EPOCHS)
    report = stages()("pretrain", FOLD_EPOCHS * FOLDS)
    folds = cross_validate(
        chorales, task, size(), short, FOLDS, lambda fold: lambda row: report(
            {**row, "epoch": row["epoch"] + (fold - 1) * FOLD_EPOCHS}
        ),
    )  # fmt: skip
    found: dict[str, Any] = {
        "folds": [figures["validation_nll"] for figures in folds],
        "split": pretrain(chorales, task, size(), short).figures["validation_nll"],
        "runs": {},
    }
    folk = prepare("folk")
    for title, (name, tunes, hop, epochs) in RUNS.items():
        size, training = MODELS[name]
        config = replace(training(), epochs=epochs, hop=hop)
        corpus = excerpt(folk, tunes) if tunes else folk
        weights = trained(name, chorales).model.actor.state_dict()
        starts: Mapping[str, Mapping[str, Tensor] | None] = {"scratch": None, "chorales": weights}
        found["runs"][title] = {
            kind: pretrain(
                corpus, task, size(), config, stages()("pretrain", epochs), start=start
            ).curve
            for kind, start in starts.items()
        }
    return found


def excerpt(corpus: Corpus, tunes: int, seed: int = 0) -> Corpus:
    """Return a corpus with so many of its training tunes, drawn by a seed; the rest stays."""
    own = sorted({piece.tune for piece in corpus.of("train")})
    kept = set(np.random.default_rng(seed).choice(own, tunes, replace=False).tolist())
    pieces = tuple(p for p in corpus.pieces if corpus.split[p.name] != "train" or p.tune in kept)
    mark = f"{corpus.fingerprint}-{tunes}tunes{seed}"
    split = {piece.name: corpus.split[piece.name] for piece in pieces}
    return replace(corpus, pieces=pieces, split=split, fingerprint=mark)


def gains(scratch: Curve, started: Curve) -> dict[str, float]:
    """Return the best validation loss of each, and the epochs to the best of the first.

    ``epochs`` is how many epochs the second takes to reach it; NaN if it does not.
    """
    one, two = _losses(scratch), _losses(started)
    there = [epoch for epoch, loss in enumerate(two, 1) if loss <= min(one)]
    return {
        "scratch": min(one),
        "started": min(two),
        "scratch_epochs": one.index(min(one)) + 1,
        "epochs": there[0] if there else float("nan"),
    }


def _losses(curve: Curve) -> list[float]:
    return curve.get("validation_nll") or curve["validation_loss"]


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section's lines; its picture is written into the folder."""
    folds = found["folds"]
    (folder / "transfer.png").write_bytes(_picture(found["runs"]))
    lines = [
        f"Cross-validation of Melody_LSTM on the chorales, {len(folds)} folds of the tunes of "
        f"training and validation, {FOLD_EPOCHS} epochs each (`musicgym pretrain --folds "
        f"{len(folds)} --prior.epochs {FOLD_EPOCHS}`): validation NLL "
        + ", ".join(f"{value:.3f}" for value in folds)
        + f"; {mean(folds):.3f} +- {stdev(folds):.3f} (mean and standard deviation). The fixed "
        f"split, trained as long, shows {found['split']:.3f}.",
        "",
        "From the chorales to folk tunes: the best validation loss on folk (nats a step; for the "
        "VAE-LSTM reconstruction and KL) from random weights and from those pretrained on the "
        "chorales, everything else equal, and the epochs until the loss is as low as the best "
        "from random weights.",
        "",
        "| | from random weights | from the chorales | gain | epochs, random | epochs, chorales |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for title, run in found["runs"].items():
        g = gains(run["scratch"], run["chorales"])
        reached = "never" if np.isnan(g["epochs"]) else f"{g['epochs']:.0f}"
        lines.append(
            f"| {title} | {g['scratch']:.4f} | {g['started']:.4f} | "
            f"{g['scratch'] - g['started']:+.4f} | {g['scratch_epochs']:.0f} | {reached} |"
        )
    return [*lines, "", f"![Fine-tuning to folk]({folder.name}/transfer.png)"]


def _picture(runs: Mapping[str, Mapping[str, Curve]]) -> bytes:
    """Draw validation loss against epoch, from random weights and from the chorales."""
    require("matplotlib", "score", "pictures of fine-tuning")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(runs), 3.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(1, len(runs)))
    labels = {"scratch": ("#6b7280", "random weights"), "chorales": ("#1d4ed8", "the chorales")}
    for place, (title, run) in zip(axes, runs.items(), strict=True):
        for kind, (colour, label) in labels.items():
            losses = _losses(run[kind])
            place.plot(range(1, len(losses) + 1), losses, color=colour, label=f"from {label}")
        place.set(title=title, xlabel="epoch")
        place.grid(color="#e5e7eb")
    axes[0].set_ylabel("validation loss on folk, nats a step")
    axes[0].legend(frameon=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
