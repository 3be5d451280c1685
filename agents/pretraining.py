"""Pretraining: Melody_LSTM learns the next event of a corpus by maximum likelihood."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from musicgym.corpus.dataset import Corpus
from musicgym.observation import layout
from musicgym.task import Task

from .configs import ActorConfig, MelodyLSTMConfig, PretrainConfig
from .lessons import Lessons, lessons, nll
from .melody_lstm import MelodyLSTM
from .policy import masked, ringing_column
from .threads import few_threads

__all__ = ["pretrain"]


@torch.no_grad()
def evaluate(model: MelodyLSTM, data: Lessons, ringing: int) -> tuple[float, float]:
    """Return the mean NLL in nats a step and the share of events that are predicted best."""
    model.eval()
    logits = model.whole(data.observation)
    best = masked(logits, data.observation, ringing).argmax(-1)
    return float(nll(logits, data, ringing).mean()), float((best == data.events).float().mean())


@few_threads()
@torch.random.fork_rng(devices=())
def pretrain(
    corpus: Corpus,
    task: Task,
    size: ActorConfig,
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
    assert isinstance(size, MelodyLSTMConfig)
    torch.manual_seed(config.seed)
    sizes = layout(task)
    ringing = ringing_column(task)
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
            part = Lessons(*(tensor[rows] for tensor in train))
            loss = nll(model.whole(part.observation), part, ringing).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(rows)
        loss_now, accuracy = evaluate(model, validation, ringing)
        if loss_now < best:
            best, kept = loss_now, copy.deepcopy(model.state_dict())
        report({
            "epoch": epoch + 1,
            "train_nll": total / len(train.events),
            "validation_nll": loss_now,
            "validation_accuracy": accuracy,
            "learning_rate": schedule.get_last_lr()[0],
        })  # fmt: skip
    model.load_state_dict(kept)
    model.embedding.fill_unseen(train.observation)
    figures = {}
    for name, data in (("validation", validation), ("test", test)):
        figures[f"{name}_nll"], figures[f"{name}_accuracy"] = evaluate(model, data, ringing)
    model.requires_grad_(False)
    return model.eval(), figures
