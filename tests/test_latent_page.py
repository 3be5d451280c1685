"""What the generators' page says of latent vectors, folds and fine-tuning to another corpus."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import corpus, task
from torch import Tensor

from musicgym.agents.configs import GeneratorConfig
from musicgym.agents.generators.generator import Generator
from musicgym.agents.generators.latent import Posterior
from musicgym.agents.lessons import Lessons, lessons
from musicgym.benchmarks.generators import latent, transfer
from musicgym.observation import layout

TASK = task(key="natural", progression="random")
ONE, OTHER = 10, 12


class Chooser(Generator):
    """Strikes one pitch at every step where z is above 0, and another where it is below."""

    def __init__(self, spread: float = 1.0) -> None:
        super().__init__(layout(TASK), TASK.n_events, GeneratorConfig(latent=2))
        self.spread = spread

    def encode(self, lessons: Lessons) -> Posterior:
        first = torch.where(lessons.events[:, 0] == ONE, 1.0, -1.0)
        mean = torch.stack([first * self.spread, torch.zeros_like(first)], -1)
        return Posterior(mean, torch.full_like(mean, math.log(0.01)))

    def whole(self, observation: Tensor, kind: Any = None, latent: Tensor | None = None) -> Tensor:
        assert latent is not None
        logits = torch.full((*observation.shape[:2], TASK.n_events), -50.0)
        logits[..., ONE], logits[..., OTHER] = latent[:, :1], -latent[:, :1]
        return logits

    def begin(self, latent: Tensor) -> Tensor:
        return latent * 20

    def step(self, observation: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.whole(observation[:, None], latent=state)[:, 0], state


@pytest.fixture(scope="module")
def melodies() -> tuple[Lessons, Any]:
    """Eight melodies: four of each pitch alone, two a tune."""
    seen = lessons(corpus(12), "train", TASK).observation[:8]
    events = torch.tensor([ONE, OTHER] * 4)[:, None].expand(-1, TASK.steps).contiguous()
    return Lessons(seen, events), np.array(list("aabbccdd"))


def test_the_latents_worth_is_what_another_melodys_costs(melodies: Any) -> None:
    data, tunes = melodies
    torch.manual_seed(0)
    found = latent.used(Chooser(), data, tunes, draws=10)
    # Under z = 1 the own pitch has probability sigmoid(2), the other's z gives sigmoid(-2).
    own, other = (TASK.steps * math.log1p(math.exp(sign * 2)) for sign in (-1, 1))
    rows = latent.of_another_tune(tunes, 0)
    same = np.mean([data.events[i, 0] == data.events[j, 0] for i, j in enumerate(rows)])
    assert found["own"] == pytest.approx(own, rel=1e-4)
    assert found["other"] == pytest.approx(same * own + (1 - same) * other, rel=1e-4)
    # One unit varies, both cost: (mean^2 + 0.01 - log 0.01 - 1) / 2.
    cost = [(square + 0.01 - math.log(0.01) - 1) / 2 for square in (1, 0)]
    assert found["units"] == pytest.approx(cost, rel=1e-5) and found["active"] == 1
    assert found["kl"] == pytest.approx(sum(cost) / TASK.steps, rel=1e-5)
    assert found["total"] == pytest.approx(found["kl"] + found["reconstruction"])
    assert all(tunes[i] != tunes[j] for i, j in enumerate(rows))


def test_interpolation_drifts_from_one_melody_to_the_other(melodies: Any) -> None:
    data, tunes = melodies
    found = latent.drift(Chooser(), TASK, data, tunes, pairs=8, seeds=2)
    rows = latent.of_another_tune(tunes, 1)
    chosen = np.random.default_rng(0).choice(8, 8, replace=False)
    same = np.mean([data.events[i, 0] == data.events[rows[i], 0] for i in chosen])
    assert found["here"][0] == pytest.approx(1.0) and found["there"][-1] == pytest.approx(1.0)
    assert found["here"][-1] == pytest.approx(same) == found["there"][0]
    assert found["nll"][-1] > found["nll"][0]
    assert found["spearman"]["here"] < 0 < found["spearman"]["there"]
    assert found["spearman_of_means"]["nll"] == pytest.approx(1.0)
    assert found["spearman_of_means"]["here"] <= found["spearman"]["here"]
    assert len(found["shown"]) == 11 and len(found["here"]) == 9


def curve(*losses: float) -> dict[str, list[float]]:
    parts = ("loss", "reconstruction", "kl", "active_units")
    names = ("train_loss", *(f"validation_{part}" for part in parts))
    return {**{name: list(losses) for name in names}, "seconds": [1.0 * i for i in range(4)]}


def test_the_section_shows_the_figures_and_its_pictures(melodies: Any, tmp_path: Path) -> None:
    data, tunes = melodies
    model = Chooser()
    part = latent.used(model, data, tunes, draws=2) | {
        "interpolation": latent.drift(model, TASK, data, tunes, pairs=4, seeds=1)
    }
    found = {
        "melodies": 8,
        "steps": TASK.steps,
        "nll": {"melody_lstm": 0.5, "markov": 1.0},
        "curves": {"melody_lstm": {}, "lstm_vae": curve(3, 2, 2.5), "transformer_vae": curve(3)},
        "models": {"lstm_vae": part, "transformer_vae": part},
    }
    text = "\n".join(latent.section(found, tmp_path))
    gain = f"{part['other'] - part['own']:.2f}"
    assert f"| {gain} | 1 of 2 | {part['importance_weighted']:.4f} |" in text
    assert f"{part['importance_weighted'] / 0.5:.3f}" in text
    assert "| VAE-LSTM | 3 | 2 | 1 |" in text  # epochs, the best, and its seconds
    assert "4.8046 | 4.8003 | 2.7e-05" in text
    for name in latent.PICTURES:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({tmp_path.name}/{name}.png)" in text


def test_what_fine_tuning_gains() -> None:
    found = transfer.gains(curve(3.0, 2.0, 2.5), curve(2.2, 1.9, 1.5))
    assert found == {"scratch": 2.0, "started": 1.5, "scratch_epochs": 2, "epochs": 2}
    assert math.isnan(transfer.gains(curve(1.0), curve(2.0, 3.0))["epochs"])


def test_an_excerpt_holds_so_many_training_tunes_and_all_others() -> None:
    held = corpus(20)
    part = transfer.excerpt(held, 3)
    assert len({piece.tune for piece in part.of("train")}) == 3
    assert {p.name for p in part.of("train")} < {p.name for p in held.of("train")}
    for split in ("validation", "test"):
        assert part.of(split) == held.of(split)


def test_the_section_on_transfer_shows_folds_and_gains(tmp_path: Path) -> None:
    runs = {"VAE-LSTM, 3 tunes": {"scratch": curve(3.0, 2.0), "chorales": curve(1.5, 2.5)}}
    found = {"folds": [0.5, 0.7], "split": 0.55, "runs": runs}
    text = "\n".join(transfer.section(found, tmp_path))
    assert "0.600 +- 0.141" in text and "0.550" in text
    assert "| VAE-LSTM, 3 tunes | 2.0000 | 1.5000 | +0.5000 | 2 | 1 |" in text
    assert (tmp_path / "transfer.png").exists()
