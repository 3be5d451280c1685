"""The hierarchical RNN-VAE: whether its melodies follow an emotion, and what each part does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import (
    ActorCriticConfig,
    HierarchicalTraining,
    HierarchicalVAEConfig,
)
from musicgym.agents.generators.hierarchical_vae import HierarchicalVAE
from musicgym.agents.generators.latent import importance_weighted
from musicgym.agents.lessons import Lessons, lessons
from musicgym.agents.library import with_prior
from musicgym.agents.policy import Policy
from musicgym.agents.reporting import stages
from musicgym.agents.rollout import Rollout, play
from musicgym.benchmarks.evaluate import EVALUATION_SEED
from musicgym.benchmarks.human import Human, some
from musicgym.benchmarks.likeness import floors, likeness
from musicgym.benchmarks.metrics import measure as measured
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.metrics.zhao import FAMILY
from musicgym.benchmarks.scenes import Scene, pieces_of
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.corpus.dataset import Corpus, prepare
from musicgym.emotion import EMOTIONS, EmotionTargets, emotion_of, nearest
from musicgym.files import write_whole

from .emotion_tables import ablations, following, nats, picture, said, share, systems

__all__ = ["VARIANTS", "followed", "measure", "section"]

Floats = npt.NDArray[np.float64]
#: The model and its ablations: name -> changes of its size, changes of its training. Zhao et al.
#: call one of them "no RNN"; here one level is left, as a model without any has no last h2.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "full": ({}, {}),
    "no VAE": ({"variational": False}, {}),
    "one level": ({"levels": 1}, {}),
    "no emotion loss": ({}, {"emotion": 0.0}),
    "no adversarial loss": ({}, {"adversarial": 0.0}),
}
METRICS = tuple(metric.name for metric in FAMILY)
#: Those that need no reference, and those that do.
OWN, AGAINST = (
    tuple(metric.name for metric in FAMILY if metric.against == against)
    for against in (False, True)
)
PICTURE = "emotions.png"


def config(name: str) -> ACMGConfig:
    """Return the agent whose prior is a variant."""
    size, training = VARIANTS[name]
    model = ActorCriticConfig(HierarchicalVAEConfig(**size))
    return ACMGConfig(model=model, pretraining=HierarchicalTraining(**training))


def measure(count: int = 300, samples: int = 30) -> dict[str, Any]:
    """Train the model and its ablations where they are missing, and measure what they play.

    Args:
        count: melodies an emotion, over held-out progressions.
        samples: of the importance-weighted bound of the NLL.
    """
    corpus, task = prepare(), BenchmarkTask()
    human, envs = Human.of(corpus, task.task, task.split), task.envs(count)
    found: dict[str, Any] = {"count": count, "samples": samples, "variants": {}}
    for name in VARIANTS:
        agent = with_prior(config(name), corpus, stages())
        model = agent.prior
        assert isinstance(model, HierarchicalVAE)
        row = _learned(agent)
        row["nll"] = {
            split: bounds(model, lessons(corpus, split, agent.config.task()), samples)
            for split in ("validation", "test")
        }
        row["followed"] = {}
        for emotion in EMOTIONS:
            rollout = play(envs, model.prepared(emotion=emotion), EVALUATION_SEED)
            pieces = _pieces(rollout, task)
            told = followed(pieces, model.emotions, emotion)
            row["followed"][emotion] = {**told, "mmd2": likeness(pieces, human)["mmd2"]}
        row["figures"] = _figures(_pieces(play(envs, model, EVALUATION_SEED), task), human)
        found["variants"][name] = row
        if name == "full":
            known = model.emotions
    return found | _beside(corpus, task, human, known, envs)


def _beside(
    corpus: Corpus, task: BenchmarkTask, human: Human, known: EmotionTargets, envs: Any
) -> dict[str, Any]:
    """Return the rows of Melody_LSTM and of the human melodies, and the targets."""
    lstm = with_prior(ACMGConfig(), corpus, stages())
    prior: Policy = lstm.model.actor if lstm.prior is None else lstm.prior
    windows = some(human.pieces, human.even())
    others = Human.of(corpus, task.task, "validation").pieces
    figures = {**measured(windows, None, OWN), **measured(others, human.pieces, AGAINST)}
    felt = nearest(_emotion(human.pieces), known)
    return {
        "targets": known.table.tolist(),
        "deviations": list(known.deviations),
        "floor": floors(human)["mmd2"],
        "melody_lstm": {
            "learned": _learned(lstm),
            "figures": _figures(_pieces(play(envs, prior, EVALUATION_SEED), task), human),
        },
        "human": {
            "figures": {name: value.value for name, value in figures.items()},
            "felt": np.bincount(felt, minlength=len(EMOTIONS)).tolist(),
        },
    }


def _learned(agent: ACMG) -> dict[str, Any]:
    """Return what pretraining reported, with its epochs and CPU seconds."""
    curve = agent.facts.get("curve", {})
    return {
        "pretraining": agent.facts["pretraining"],
        "epochs": len(next(iter(curve.values()), [])),
        "seconds": curve.get("seconds", [float("nan")])[-1],
        "curve": {
            name: [round(value, 4) for value in curve[name]]
            for name in ("train_emotion", "train_critic", "validation_reconstruction")
            if name in curve
        },
    }


def _pieces(rollout: Rollout, task: BenchmarkTask) -> Pieces:
    scene = Scene(rollout.episodes, task.task.steps_per_chord, None)
    return pieces_of(scene, task, rollout.events.numpy())


def _emotion(pieces: Pieces) -> Floats:
    found: Floats = emotion_of(pieces.events, int(pieces.low[0]), pieces.tonic)
    return found


def _figures(pieces: Pieces, human: Human) -> dict[str, float]:
    told = {name: m.value for name, m in measured(pieces, human.pieces, METRICS).items()}
    return {**told, "mmd2": likeness(pieces, human)["mmd2"]}


def followed(pieces: Pieces, known: EmotionTargets, emotion: str) -> dict[str, Any]:
    """Return how melodies that were asked for an emotion come out.

    Args:
        pieces: N melodies of one range.
        known: the targets.
        emotion: what was asked for.

    Returns:
        ``told`` and ``told_with_mode``, how many are nearest to each emotion; ``means`` and
        ``deviations`` of the features; ``distance``, the mean over the melodies of the root of the
        mean squared distance to the target over the features, in standard deviations.
    """
    found = _emotion(pieces)
    off = known.standardised(found - known.vector(emotion))
    return {
        "told": np.bincount(nearest(found, known), minlength=len(EMOTIONS)).tolist(),
        "told_with_mode": np.bincount(
            nearest(found, known, without=()), minlength=len(EMOTIONS)
        ).tolist(),
        "means": found.mean(0).tolist(),
        "deviations": found.std(0).tolist(),
        "distance": float(np.sqrt((off**2).mean(1)).mean()),
    }


def bounds(model: HierarchicalVAE, data: Lessons, samples: int) -> dict[str, float]:
    """Return bounds of the NLL, nats a step: with one draw of z and emotion, and with many.

    The emotions are drawn evenly, so they tell the model nothing of the melody.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        each = {"one": 1, "weighted": samples}
        steps = data.events.shape[1]
        return {
            name: float(importance_weighted(model, data, draws).mean()) / steps
            for name, draws in each.items()
        }


# The section of the page


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section of the page, from what `measure` found; the picture goes to the folder."""
    write_whole(folder / PICTURE, picture(found))
    variants, lstm = found["variants"], found["melody_lstm"]
    mean, deviation = found["floor"]
    lines = [
        "The hierarchical RNN-VAE (Zhao et al.) plays under one of five target emotions, set by "
        "percentiles of the training corpus (see `musicgym.emotion`). In training the target is "
        "drawn at random, so that without the emotion loss it says nothing. "
        f"{found['count']} melodies an emotion over held-out progressions at temperature 1, each "
        "told by its nearest target; chance is 20 %. Without the mode is the figure that counts: "
        "a melody over given chords can hardly choose it. mmd2 is the distance to human melodies "
        f"of all emotions (floor {mean:.3f} ± {deviation:.3f}); melodies of one emotion alone are "
        "farther away, as human ones would be. "
        f"Of the human test windows the nearest targets are {said(found['human']['felt'])}.",
        "",
        "| | follow, without the mode | with the mode | "
        + " | ".join(f"{emotion}, mmd2" for emotion in EMOTIONS)
        + " | distance to the target, sd |",
        "|---" * (4 + len(EMOTIONS)) + "|",
    ]
    for name, row in variants.items():
        told = row["followed"]
        cells = [
            f"{share(told[emotion]['told'], emotion):.0%}, {told[emotion]['mmd2']:.3f}"
            for emotion in EMOTIONS
        ]
        distance = np.mean([told[emotion]["distance"] for emotion in EMOTIONS])
        lines.append(
            f"| {name} | {following(row, 'told'):.1%} | {following(row, 'told_with_mode'):.1%} "
            f"| {' | '.join(cells)} | {distance:.2f} |"
        )
    lines += ["", f"![Emotions](generators/{PICTURE})", ""]
    return [*lines, *nats(variants, lstm), "", *systems(found), "", *ablations(found)]
