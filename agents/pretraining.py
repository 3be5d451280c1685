"""Pretraining: a model learns a corpus, and what it learned is measured on other tunes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicgym.corpus.dataset import Corpus
from musicgym.observation import layout
from musicgym.task import Task

from .actor_critic import Actor, make_actor
from .configs import ActorConfig, PretrainConfig, model_name
from .generators.training import Curve, measure, train
from .threads import few_threads

__all__ = ["Pretrained", "cross_validate", "folds", "pretrain"]

Report = Callable[[dict[str, Any]], None]


class Pretrained(NamedTuple):
    """What pretraining returns.

    Attributes:
        model: frozen, in evaluation mode.
        figures: of its best weights, ``validation_*`` and ``test_*``.
        curve: figure -> its values epoch by epoch.
    """

    model: Actor
    figures: dict[str, float]
    curve: Curve


@few_threads()
@torch.random.fork_rng(devices=())
def pretrain(
    corpus: Corpus,
    task: Task,
    size: ActorConfig,
    config: PretrainConfig,
    report: Report = lambda _: None,
    device: str | torch.device = "cpu",
    checkpoint: Path | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> Pretrained:
    """Pretrain a model; keep the epoch that is best on the validation tunes.

    Args:
        corpus: prepared pieces on the task's grid.
        task: fixes the observation, the alphabet and the length of a window.
        size: of the model.
        config: how it is trained.
        report: called after each epoch with the epoch, losses and learning rate.
        device: where to train.
        checkpoint: written after each epoch; a training that was stopped goes on from it.
        start: weights to start from, in place of random ones.

    Raises:
        ValueError: a split has no window of the task's length, the loss is not finite, or the
            checkpoint is of something else.
    """
    torch.manual_seed(config.seed)
    model = make_actor(layout(task), task.n_events, size)
    if start is not None:
        model.load_state_dict(start)  # first: what `lessons` notes of a corpus is to be of this one
    data = {}
    for split, hop in (("train", config.hop), ("validation", 1), ("test", 1)):
        groups = model.lessons(corpus, split, task, hop)
        data[split] = [type(g)(*(part.to(device) for part in g)) for g in groups]
    model = model.to(device)
    about = {
        "model": model_name(size), "size": asdict(size), "training": asdict(config),
        "corpus": corpus.fingerprint, "bars": task.bars, "meter": task.meter,
        "start": None if start is None else _digest(start),
    }  # fmt: skip
    curve = train(
        model, data["train"], data["validation"], config, report, checkpoint, json.dumps(about)
    )
    if start is None:  # weights to start from may have learned what this corpus never shows
        model.fill_gaps(data["train"])
    model.finish(data["train"])
    figures: dict[str, float] = {}
    for split in ("validation", "test"):
        found = measure(model, data[split], config.seed)
        figures |= {f"{split}_{name}": value for name, value in found.items()}
    model.requires_grad_(False)
    return Pretrained(model.eval(), figures, curve)


def _digest(weights: Mapping[str, Tensor]) -> str:
    content = b"".join(weights[name].cpu().numpy().tobytes() for name in sorted(weights))
    return hashlib.sha256(content).hexdigest()[:16]


def folds(corpus: Corpus, count: int, seed: int = 0) -> Iterator[Corpus]:
    """Yield the corpus once for each fold, with that fold's tunes in the place of validation.

    The tunes of training and validation are pooled and dealt out; the test tunes stay.

    Raises:
        ValueError: fewer than 2 folds, or fewer tunes than folds.
    """
    pooled = sorted({p.tune for p in corpus.pieces if corpus.split[p.name] != "test"})
    if not 2 <= count <= len(pooled):
        raise ValueError(
            f"folds: {count!r} is not from 2 to {len(pooled)}, the tunes of {corpus.name!r}."
        )
    order = np.random.default_rng(seed).permutation(len(pooled)).tolist()
    for fold in range(count):
        held = {pooled[place] for place in order[fold::count]}
        split = {
            piece.name: side
            if (side := corpus.split[piece.name]) == "test"
            else ("validation" if piece.tune in held else "train")
            for piece in corpus.pieces
        }
        mark = f"{corpus.fingerprint}-fold{fold + 1}of{count}"
        yield replace(corpus, split=split, fingerprint=mark)


def cross_validate(
    corpus: Corpus,
    task: Task,
    size: ActorConfig,
    config: PretrainConfig,
    count: int,
    report: Callable[[int], Report] = lambda _: lambda _: None,
    device: str | torch.device = "cpu",
) -> list[dict[str, float]]:
    """Return the figures of a model pretrained once for each fold; see `folds` and `pretrain`.

    `report` is called with the number of a fold, from 1, and returns where its epochs are reported.
    """
    return [
        pretrain(part, task, size, config, report(fold), device).figures
        for fold, part in enumerate(folds(corpus, count), 1)
    ]
