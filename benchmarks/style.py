"""Styles: the classifier that the metrics ask, and the one that the `style` reward asks.

They tell the same classes apart, on disjoint tunes and by different features: the metrics' is a
scikit-learn model over whole-melody features, which no agent is ever rewarded by; the reward's is
a network over events, see `musicgym.agents.style`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musicgym.agents import style as network
from musicgym.agents.style import StyleConfig, StyleFacts, StyleModel
from musicgym.files import cache_folder
from musicgym.task import Task

from .features import FEATURES, features
from .metrics.acmg import accepted
from .metrics.ganorkar import inception_score, style_accuracy
from .metrics.metric import Floats, Measured
from .metrics.pieces import Pieces
from .style_examples import CLASSES, Examples, corpora, examples

__all__ = [
    "StyleJudge",
    "confusion",
    "fit_judge",
    "judge_of",
    "scorer",
    "style_figures",
    "tensors",
]

Ints = npt.NDArray[np.int64]
#: The features that do not look at the chords. Those of the folk tunes were inferred from the
#: melodies, so chords would tell the corpora by how they were labelled.
MELODIC = [place for place, name in enumerate(FEATURES) if "chord" not in name]
#: Rounds of boosting; a tree a class each.
TREES = 100
#: Melodies of each class below which it is not fitted: it would call all melodies by one name.
LEAST = 25


@dataclass(frozen=True)
class StyleJudge:
    """The classifier of the metrics: gradient-boosted trees over the melodic features.

    Attributes:
        model: the fitted scikit-learn classifier.
        classes: the names of its classes.
    """

    model: Any
    classes: tuple[str, ...] = CLASSES

    def probabilities(self, pieces: Pieces) -> Floats:
        """Return class probabilities (N, C) of melodies; their chords are not looked at."""
        return np.asarray(self.model.predict_proba(_melodic(pieces)))


def fit_judge(train: Examples, seed: int = 0) -> StyleJudge:
    """Fit the classifier of the metrics; it is never saved, as it takes seconds."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=TREES, random_state=seed)
    return StyleJudge(model.fit(_melodic(train.pieces), train.style))


def judge_of(task: Task) -> StyleJudge:
    """Return the classifier of the metrics for a task's melodies, fitted once a process.

    Raises:
        CorpusMissing: the chorales or the folk tunes are not prepared; nothing is built here.
        ValueError: one of them has too few melodies for the task.
    """
    return _judge(task.meter, task.bars, task.steps_per_beat, task.low, task.high)


@lru_cache(maxsize=4)
def _judge(meter: str, bars: int, steps_per_beat: int, low: int, high: int) -> StyleJudge:
    task = Task(
        key="natural",
        progression="random",
        meter=meter,
        bars=bars,
        steps_per_beat=steps_per_beat,
        pitch_range=(low, high),
    )
    train = examples(corpora(steps_per_beat), task, "train", "metric")
    if len(train.style) < LEAST * len(CLASSES):
        raise ValueError(f"style: fewer than {LEAST} melodies a class to learn from.")
    return fit_judge(train)


def scorer(
    task: Task,
    config: StyleConfig = StyleConfig(),  # noqa: B008 (frozen)
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> tuple[StyleModel, Path]:
    """Return the network of the `style` reward for a task's melodies, and where it is kept.

    It is fitted where it is missing, and kept in the user's cache beside the agents.

    Raises:
        CorpusMissing: the chorales or the folk tunes are not prepared.
        ValueError: one of them has no melody for the task.
    """
    known = corpora(task.steps_per_beat)
    marks = [(corpus.name, corpus.fingerprint) for corpus in known.values()]
    facts = StyleFacts.of(task, CLASSES, marks)
    fixed = json.dumps([asdict(facts), asdict(config), task.bars], sort_keys=True)
    digest = hashlib.sha256(fixed.encode()).hexdigest()[:8]
    name = f"style-{task.meter.replace('/', '-')}-grid{task.steps_per_beat}-{digest}.safetensors"
    path = cache_folder("agents") / name
    if path.exists():
        return StyleModel.load(path), path
    train = examples(known, task, "train", "reward")
    model = network.fit(
        tensors(train), tensors(examples(known, task, "validation")), facts, config, report
    )
    model.save(path)
    return model, path


def tensors(given: Examples) -> network.Examples:
    """Return melodies as the network takes them."""
    pieces = given.pieces
    return network.Examples(*map(torch.from_numpy, (pieces.events, pieces.tonic, given.style)))


def style_figures(
    judge: StyleJudge, pieces: Pieces, asked: str | Sequence[str] | None
) -> dict[str, Measured]:
    """Return what the classifier says of N melodies.

    ``classical_style``, the row of ACMG's Table 1, is the share it takes for chorales;
    ``called_folk``, ``called_corrupted`` and ``called_random`` are the other shares;
    ``inception_score`` is the symbolic one; ``style_accuracy`` the share it takes for the style
    that was asked for, absent where none was.

    Args:
        judge: the classifier.
        pieces: the melodies.
        asked: the style that was asked for, one or N.
    """
    said, total = judge.probabilities(pieces), len(pieces.events)
    figures = {"classical_style": float(accepted(said, judge.classes.index("chorale")).mean())}
    for place, name in enumerate(judge.classes):
        if name != "chorale":
            figures[f"called_{name}"] = float(accepted(said, place).mean())
    figures["inception_score"] = inception_score(said)
    if asked is not None:
        names = [asked] * total if isinstance(asked, str) else list(asked)
        figures["style_accuracy"] = style_accuracy(said, [judge.classes.index(n) for n in names])
    return {name: Measured(value, total, total) for name, value in figures.items()}


def confusion(said: Ints, style: Ints, size: int = len(CLASSES)) -> Floats:
    """Return the share of each class (rows) that is taken for each class (columns): (C, C).

    NaN in the row of a class without a melody.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    counts = np.zeros((size, size))
    np.add.at(counts, (style, said), 1)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(1, keepdims=True))


def _melodic(pieces: Pieces) -> Floats:
    return features(replace(pieces, masks=np.zeros_like(pieces.masks)))[:, MELODIC]
