"""Pretraining: Melody_LSTM learns the next event of a corpus by maximum likelihood."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from musicgym.corpus.dataset import Corpus, windows
from musicgym.dynamics import Readings, advance, constants, initial, moment
from musicgym.observation import layout, observe
from musicgym.select import count_bits
from musicgym.task import Task, chord_masks

from .configs import MelodyLSTMConfig, PretrainConfig
from .melody_lstm import MelodyLSTM
from .policy import masked
from .threads import few_threads

__all__ = ["Lessons", "lessons", "likelihood", "pretrain"]


class Lessons(NamedTuple):
    """Windows of a corpus as observations (N, T, F) uint8 and the events (N, T) to predict."""

    observation: Tensor
    events: Tensor


def lessons(corpus: Corpus, split: str, task: Task, hop: int = 1) -> Lessons:
    """Play the windows of a split through the dynamics and keep what a policy would have seen."""
    cut = windows(
        corpus, split, bars=task.bars, meter=task.meter, low=task.low, high=task.high, hop=hop
    )
    tonics = np.where(cut.modes == 1, 9, 0)  # C major and A minor
    codes = cut.codes.astype(np.int64)
    roots = np.where(codes > 0, (cut.roots - tonics[:, None]) % 12, 0)
    masks = chord_masks(roots, codes)
    c = constants(task, Readings())._replace(
        spans=codes.shape[1],
        steps_per_chord=task.steps_per_beat,
        roots=roots.ravel(),
        codes=codes.ravel(),
        masks=masks.ravel(),
        sizes=count_bits(masks.ravel()),
    )
    rows = np.arange(len(codes))
    state = initial(c, rows * 0, rows, tonics, cut.modes.astype(np.int64), rows * 0)
    parts, seen = layout(task), []
    for t in range(task.steps):
        now = observe(c, state)
        seen.append(np.stack([getattr(now, part) for part in parts], axis=-1))
        state = advance(c, state, moment(c, state, cut.events[:, t].astype(np.int64)), rows * 0)
    observation = torch.from_numpy(np.stack(seen, axis=1).astype(np.uint8))
    return Lessons(observation, torch.from_numpy(cut.events.astype(np.int64)))


def likelihood(model: MelodyLSTM, data: Lessons, ringing: int) -> Tensor:
    """Return the negative log-likelihood (N, T) in nats of each event."""
    logits = masked(model.whole(data.observation), data.observation, ringing)
    flat = nn.functional.cross_entropy(
        logits.flatten(0, 1), data.events.flatten(), reduction="none"
    )
    return flat.view(data.events.shape)


@torch.no_grad()
def evaluate(model: MelodyLSTM, data: Lessons, ringing: int) -> tuple[float, float]:
    """Return the mean NLL in nats a step and the share of events that are predicted best."""
    model.eval()
    logits = masked(model.whole(data.observation), data.observation, ringing)
    nll = nn.functional.cross_entropy(logits.flatten(0, 1), data.events.flatten())
    return float(nll), float((logits.argmax(-1) == data.events).float().mean())


@few_threads()
def pretrain(
    corpus: Corpus,
    task: Task,
    size: MelodyLSTMConfig,
    config: PretrainConfig,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
    device: str | torch.device = "cpu",
) -> tuple[MelodyLSTM, dict[str, float]]:
    """Pretrain Melody_LSTM; keep the epoch that is best on the validation tunes.

    Args:
        corpus: prepared pieces on the task's grid.
        task: fixes the observation, the alphabet and the length of a window.
        size: of the model.
        config: how it is trained.
        report: called after each epoch with the epoch, losses and learning rate.
        device: where to train.

    Returns:
        The model in evaluation mode, and its validation and test figures.
    """
    torch.manual_seed(config.seed)
    sizes = layout(task)
    ringing = list(sizes).index("ringing")
    train, validation, test = (
        Lessons(*(part.to(device) for part in lessons(corpus, split, task, hop)))
        for split, hop in (("train", config.hop), ("validation", 1), ("test", 1))
    )
    model = MelodyLSTM(sizes, task.n_events, size).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay)
    steps = config.epochs * math.ceil(len(train.events) / config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, steps)
    best, kept = math.inf, copy.deepcopy(model.state_dict())
    for epoch in range(config.epochs):
        model.train()
        total = 0.0
        for rows in torch.split(torch.randperm(len(train.events)), config.batch):
            loss = likelihood(model, Lessons(*(part[rows] for part in train)), ringing).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        nll, accuracy = evaluate(model, validation, ringing)
        if nll < best:
            best, kept = nll, copy.deepcopy(model.state_dict())
        report({
            "epoch": epoch + 1,
            "train_nll": total / len(train.events),
            "validation_nll": nll,
            "validation_accuracy": accuracy,
            "learning_rate": schedule.get_last_lr()[0],
        })  # fmt: skip
    model.load_state_dict(kept)
    figures = {}
    for name, data in (("validation", validation), ("test", test)):
        figures[f"{name}_nll"], figures[f"{name}_accuracy"] = evaluate(model, data, ringing)
    model.requires_grad_(False)
    return model.eval(), figures
