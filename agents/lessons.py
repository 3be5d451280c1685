"""Lessons: windows of a corpus as a policy would have seen them, and the events to predict."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from musicgym.corpus.dataset import Corpus, windows
from musicgym.dynamics import Readings, advance, moment
from musicgym.observation import layout, observe
from musicgym.replay import begin, episodes_of
from musicgym.task import Task

from .policy import masked

__all__ = ["Lessons", "lessons", "nll"]


class Lessons(NamedTuple):
    """Windows of a corpus as observations (N, T, F) uint8 and the events (N, T) to predict."""

    observation: Tensor
    events: Tensor


def lessons(corpus: Corpus, split: str, task: Task, hop: int = 1) -> Lessons:
    """Play the windows of a split through the dynamics and keep what a policy would have seen."""
    cut = windows(
        corpus, split, bars=task.bars, meter=task.meter, low=task.low, high=task.high, hop=hop
    )
    c, state = begin(episodes_of(cut, task), task, Readings(), task.steps_per_beat)
    chance = state.key * 0  # no median tone is drawn under these readings
    parts, seen = layout(task), []
    for t in range(task.steps):
        now = observe(c, state)
        seen.append(np.stack([getattr(now, part) for part in parts], axis=-1))
        state = advance(c, state, moment(c, state, cut.events[:, t].astype(np.int64)), chance)
    observation = torch.from_numpy(np.stack(seen, axis=1).astype(np.uint8))
    return Lessons(observation, torch.from_numpy(cut.events.astype(np.int64)))


def nll(logits: Tensor, data: Lessons, ringing: int) -> Tensor:
    """Return the negative log-likelihood (N, T) in nats of each event, from logits (N, T, A)."""
    logits = masked(logits, data.observation, ringing)
    flat = nn.functional.cross_entropy(
        logits.flatten(0, 1), data.events.flatten(), reduction="none"
    )
    return flat.view(data.events.shape)
