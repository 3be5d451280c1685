"""Lessons: windows of a corpus as a policy would have seen them, and the events to predict."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from musicgym.corpus.dataset import Corpus, windows
from musicgym.dynamics import Episodes, Readings, advance, moment
from musicgym.observation import layout, observe
from musicgym.replay import begin, episodes_of
from musicgym.task import Task, chord_masks

from .policy import masked

__all__ = ["Lessons", "episodes_in", "lessons", "nll", "perform"]

Act = Callable[[int, npt.NDArray[np.uint8]], npt.NDArray[np.int64]]


class Lessons(NamedTuple):
    """Windows of a corpus as observations (N, T, F) uint8 and the events (N, T) to predict."""

    observation: Tensor
    events: Tensor


def lessons(corpus: Corpus, split: str, task: Task, hop: int = 1) -> Lessons:
    """Play the windows of a split through the dynamics and keep what a policy would have seen."""
    cut = windows(
        corpus, split, bars=task.bars, meter=task.meter, low=task.low, high=task.high, hop=hop
    )
    events = cut.events.astype(np.int64)
    return perform(episodes_of(cut, task), task, lambda t, _: events[:, t])


def perform(episodes: Episodes, task: Task, act: Act) -> Lessons:
    """Play events in given episodes, a chord a beat, and keep what a policy would have seen.

    Args:
        episodes: N of the task's length.
        task: what else fixes them.
        act: gives the events (N,) of a step from its number and the observations uint8 (N, F).
    """
    c, state = begin(episodes, task, Readings(), task.steps_per_beat)
    chance = state.key * 0  # no median tone is drawn under these readings
    parts, seen, played = layout(task), [], []
    for t in range(task.steps):
        now = observe(c, state)
        seen.append(np.stack([getattr(now, part) for part in parts], axis=-1).astype(np.uint8))
        m = moment(c, state, act(t, seen[-1]))
        played.append(m.event)
        state = advance(c, state, m, chance)
    observation, events = (np.stack(part, axis=1) for part in (seen, played))
    return Lessons(torch.from_numpy(observation), torch.from_numpy(events))


def episodes_in(heard: Lessons, task: Task) -> Episodes:
    """Return the episodes (N) of lessons, as `perform` plays them; their keys are 0 to N - 1."""
    seen = dict(zip(layout(task), heard.observation.cpu().numpy().T.astype(np.int64), strict=True))
    roots, codes = seen["root"].T, seen["quality"].T
    return Episodes(
        (seen["tonic"][0] + task.low) % 12,
        seen["mode"][0],
        roots,
        codes,
        chord_masks(roots, codes),
        np.arange(len(roots)),
    )


def nll(logits: Tensor, data: Lessons, ringing: int) -> Tensor:
    """Return the negative log-likelihood (N, T) in nats of each event, from logits (N, T, A)."""
    logits = masked(logits, data.observation, ringing)
    flat = nn.functional.cross_entropy(
        logits.flatten(0, 1), data.events.flatten(), reduction="none"
    )
    return flat.view(data.events.shape)
