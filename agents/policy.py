"""Policy: the one interface for whatever can play, and sampling from its logits."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.observation import layout
from musicgym.task import Task

from .configs import Sampling

__all__ = ["Policy", "masked", "ringing_column", "sample"]


class Policy(Protocol):
    """Plays B episodes at once: observations to logits over events.

    A policy reads the ``"compact"`` observation of its task: uint8 (B, F), the parts of
    `musicgym.observation.layout` in their order.
    """

    def initial_state(self, episodes: Episodes) -> Any:
        """Return the policy's state at the start of the episodes; it may look at all chords."""

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) and the next state. The rollout applies the event mask."""


def ringing_column(task: Task) -> int:
    """Return the column of the compact observation that says whether a note rings."""
    return list(layout(task)).index("ringing")


def masked(logits: Tensor, observation: Tensor, ringing: int) -> Tensor:
    """Return logits (..., A) with the hold ruled out where nothing rings.

    Args:
        logits: (..., A).
        observation: uint8 (..., F).
        ringing: the column of the observation that says whether a note rings.
    """
    silent = observation[..., ringing] == 0
    hold = logits[..., :1].masked_fill(silent[..., None], -1e9)
    return torch.cat([hold, logits[..., 1:]], dim=-1)


def sample(logits: Tensor, how: Sampling, generator: torch.Generator) -> Tensor:
    """Draw events (B,) from logits (B, A)."""
    if how.temperature < 1e-6:  # dividing by less would leave the range of float32
        return logits.argmax(-1)
    logits = logits / how.temperature
    if how.top_k:
        least = logits.topk(min(how.top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = logits.softmax(-1)
    if how.top_p < 1:
        ranked, order = probabilities.sort(-1, descending=True)
        keep = ranked.cumsum(-1) - ranked < how.top_p
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ranked * keep)
    # The largest of p / Exp(1) is a draw from p: one pass, no cumulative sums.
    noise = torch.empty_like(probabilities).exponential_(generator=generator)
    return (probabilities / noise).argmax(-1)
