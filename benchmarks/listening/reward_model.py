"""The reward model of the `preference` term: Bradley-Terry, linear in a melody's 42 features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musicgym.agents import checkpoints
from musicgym.agents.checkpoints import CheckpointError
from musicgym.benchmarks.features import FEATURES, features
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.learned import Melodies, on_host
from musicgym.melody import Melody
from musicgym.meters import METERS
from musicgym.select import Array
from musicgym.task import Task

from .choices import Judgement
from .wins import fit_logistic, tunes

__all__ = ["RIDGES", "RewardModel", "features_of", "fit", "load_scorer"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: The strengths of the ridge that are tried, from the strongest on.
RIDGES = tuple(float(x) for x in np.geomspace(1000, 0.3, 12))
#: Parts of a cross-validation, where there are so many tunes.
FOLDS = 10


@dataclass(frozen=True)
class RewardModel:
    r"""A reward fitted to choices, so that sigma(r(A) - r(B)) is the chance that A is preferred.

    .. math:: r(x) = \sum_j w_j \frac{\mathrm{clip}(f_j(x), l_j, h_j) - \mu_j}{\sigma_j}

    with the 42 features f of `musicgym.benchmarks.features`, the mean and deviation of each over
    the melodies that were heard, and their lowest and highest value: beyond what was heard nothing
    is known, so nothing more is paid.

    Attributes:
        mean: (42,) of the melodies heard.
        deviation: (42,) theirs; 0 where all are alike, and the feature is not looked at.
        lowest: (42,) theirs.
        highest: (42,) theirs.
        weights: (42,) of the standardised features.
        heard: the meters and grids of the melodies heard.
        figures: the ridge, and how well choices left out are told: see `fit`.
    """

    mean: Floats
    deviation: Floats
    lowest: Floats
    highest: Floats
    weights: Floats
    heard: tuple[tuple[str, int], ...]
    figures: dict[str, float] = field(default_factory=dict)

    def standardise(self, found: Floats) -> Floats:
        """Return features (N, 42) in deviations from the mean, inside what was heard."""
        inside = np.clip(found, self.lowest, self.highest) - self.mean
        return np.divide(inside, self.deviation, where=self.deviation > 0, out=0 * inside)

    def rewards(self, pieces: Pieces) -> Floats:
        """Return the rewards (N,) of melodies."""
        return np.asarray(self.standardise(features(pieces)) @ self.weights)

    def meet(self, task: Task) -> None:
        """Raise a ValueError where no such melodies were heard; any key and range will do."""
        if (task.meter, task.steps_per_beat) not in self.heard:
            known = " or ".join(f"{meter}, {grid} steps a beat" for meter, grid in self.heard)
            raise ValueError(
                f"the listeners heard melodies in {known}; the task has {task.meter}, "
                f"{task.steps_per_beat} steps a beat."
            )

    def score(self, melodies: Melodies) -> Array:
        """Return the rewards (N,), in arrays or tensors as the events are."""
        c, given = melodies.c, melodies.events
        beats = c.steps_per_bar // c.steps_per_beat
        meter = next(name for name, meter in METERS.items() if meter.beats == beats)
        episodes = type(melodies.episodes)(*map(on_host, melodies.episodes))
        found = self.rewards(Pieces.over(episodes, on_host(given), c.low, meter, c.steps_per_beat))
        return found if isinstance(given, np.ndarray) else torch.from_numpy(found).to(given.device)

    def save(self, path: Path) -> None:
        """Write it as a checkpoint of kind "preference"."""
        tensors = {name: torch.from_numpy(getattr(self, name)) for name in ARRAYS}
        facts = {"features": FEATURES, "heard": self.heard, "figures": self.figures}
        checkpoints.save(path, "preference", tensors, facts)

    @staticmethod
    def load(path: Path) -> RewardModel:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: it is corrupt, of another kind or format, or of other features.
        """
        held = checkpoints.load(path, "preference")
        try:
            if tuple(held.facts["features"]) != FEATURES:
                raise ValueError("it was fitted to other features: fit it again")
            arrays: dict[str, Any] = {n: held.tensors[n].double().numpy() for n in ARRAYS}
            for name, values in arrays.items():
                if values.shape != (len(FEATURES),) or not np.isfinite(values).all():
                    raise ValueError(f"{name} is not {len(FEATURES)} finite numbers")
            heard = tuple((str(meter), int(grid)) for meter, grid in held.facts["heard"])
            return RewardModel(**arrays, heard=heard, figures=dict(held.facts["figures"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"checkpoint: {path} does not fit together ({error}).") from error


ARRAYS = ("mean", "deviation", "lowest", "highest", "weights")


def load_scorer(path: str | Path, name: str, **words: Any) -> RewardModel:
    """Return the scorer of the `preference` term from a file; it takes no words."""
    if words:
        raise ValueError(f"{name}: {', '.join(words)} is nothing that a reward model takes.")
    return RewardModel.load(Path(path).expanduser())


def features_of(melodies: Sequence[Melody]) -> Floats:
    """Return the features (N, 42) of melodies of any lengths, meters and grids."""
    found = np.empty((len(melodies), len(FEATURES)))
    kinds = [(len(m.events), m.meter, m.steps_per_beat) for m in melodies]
    for kind in set(kinds):
        rows = [i for i, other in enumerate(kinds) if other == kind]
        found[rows] = features(Pieces.of([melodies[i] for i in rows]))
    return found


def fit(judged: Sequence[Judgement], seed: int = 0) -> tuple[RewardModel, Floats]:
    """Fit a reward model to choices, a tie as half a win of each.

    The ridge is the one with the least loss in a cross-validation over tunes: pairs that share a
    melody lie in one part. The model's honest accuracy comes from a second one around it, which
    chooses its ridge without the part that it is asked about.

    Args:
        judged: the choices.
        seed: fixes the parts.

    Returns:
        The model, and for each choice (N,) the log-odds of melody 0 that a model says which has not
        seen its tunes; all 0 where there are fewer than four. The model's figures are ``ridge``,
        ``choices``, ``tunes``, ``accuracy`` over the decided choices left out and ``loss``, nats a
        choice left out (log 2 = 0.693 is chance).
    """
    heard = list(dict.fromkeys(m for j in judged for m in j.melodies))
    place = {melody: i for i, melody in enumerate(heard)}
    found = features_of(heard)
    kinds = tuple(sorted({(m.meter, m.steps_per_beat) for m in heard}))
    deviation = found.std(0)
    deviation[deviation < 1e-9] = 0.0
    model = RewardModel(
        found.mean(0), deviation, found.min(0), found.max(0), np.zeros(len(FEATURES)), kinds
    )
    z = model.standardise(found)
    x = z[[place[j.melodies[0]] for j in judged]] - z[[place[j.melodies[1]] for j in judged]]
    score, tune = np.array([j.score for j in judged]), tunes(judged)
    ridge = choose_ridge(x, score, tune, seed)
    odds = left_out(x, score, tune, seed, lambda a, b, c: [choose_ridge(a, b, c, seed)])[0]
    decided = score != 0.5
    figures = {
        "ridge": ridge, "choices": len(score), "tunes": int(tune.max() + 1),
        "accuracy": float(told(odds, score)[decided].mean()) if decided.any() else float("nan"),
        "loss": float(log_loss(odds, score)),
    }  # fmt: skip
    weights = fit_logistic(x, score, ridge)
    return replace(model, weights=weights, figures=figures), odds


def told(odds: Floats, score: Floats) -> Floats:
    """Return whether log-odds say who won (N,): 1, 0, or 1/2 where they say nothing."""
    return np.where(odds == 0, 0.5, (odds > 0) == (score > 0.5)).astype(np.float64)


def log_loss(odds: Floats, score: Floats) -> float:
    """Return the mean loss of log-odds (N,) in nats."""
    return float((np.logaddexp(0, odds) - score * odds).mean())


def choose_ridge(x: Floats, score: Floats, tune: Ints, seed: int) -> float:
    """Return the ridge with the least loss on what is left out; the strongest without enough."""
    odds = left_out(x, score, tune, seed, lambda *_: RIDGES)
    if not odds.any():
        return RIDGES[0]
    return RIDGES[int(np.argmin([log_loss(row, score) for row in odds]))]


def left_out(
    x: Floats,
    score: Floats,
    tune: Ints,
    seed: int,
    ridges: Callable[[Floats, Floats, Ints], Sequence[float]],
) -> Floats:
    """Return the log-odds (R, N) of each choice by models fitted without its part of the tunes.

    Zeros where there are fewer than four tunes.

    Args:
        x: (N, D) differences of features.
        score: (N,).
        tune: (N,) numbers of tunes.
        seed: fixes the parts.
        ridges: gives the R strengths from what a model is fitted to.
    """
    names, number = np.unique(tune, return_inverse=True)
    if len(names) < 4:
        return np.zeros((1, len(score)))
    parts = min(FOLDS, len(names))
    part = (np.random.default_rng(seed).permutation(len(names)) % parts)[number]
    odds: list[Floats] = []
    for p in range(parts):
        seen, asked = part != p, part == p
        weights: Floats | None = None
        for r, ridge in enumerate(ridges(x[seen], score[seen], tune[seen])):
            weights = fit_logistic(x[seen], score[seen], ridge, weights)
            if r == len(odds):
                odds.append(np.zeros(len(score)))
            odds[r][asked] = x[asked] @ weights
    return np.array(odds)
