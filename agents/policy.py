"""Policy: the one interface for whatever can play, and sampling from its logits."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.observation import layout
from musicgym.randomness import draw, first_key
from musicgym.task import Task

from .configs import Sampling

__all__ = ["Policy", "chances", "masked", "ringing_column", "sample"]


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


def chances(key: Tensor, seed: int | Tensor, steps: int) -> Tensor:
    """Return the draws (T, B) that pick the events of a play, from the episodes' keys (B,).

    A draw depends on nothing else: not on the batch, nor on the device. The seed salts the key, so
    two plays that meet the same episode choose other events in it, and no draw of the environment
    comes again. Each episode may have a seed of its own, int64 (B,).
    """
    step = torch.arange(steps, device=key.device)[:, None]
    drawn: Tensor = draw(draw(key, first_key(seed)), step)
    return drawn


def sample(logits: Tensor, how: Sampling, chance: Tensor) -> Tensor:
    r"""Draw events (B,) from logits (B, A), each with the 32 random bits of its chance (B,).

    .. math:: e = \min \{ e : \sum_{a \le e} p_a > u \sum_a p_a \}, \quad u = chance / 2^{32}

    The sums are of whole numbers (p in units of 2^-30), so they are exact on every device, and an
    event of probability 0 is never drawn.
    """
    if how.temperature < 1e-6:  # dividing by less would leave the range of float32
        return logits.argmax(-1)
    if how.temperature != 1:
        logits = logits / how.temperature
    if how.top_k:
        least = logits.topk(min(how.top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    probabilities = logits.softmax(-1)
    if how.top_p < 1:
        ranked, order = probabilities.sort(-1, descending=True)
        keep = ranked.cumsum(-1) - ranked < how.top_p
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, ranked * keep)
    below = (probabilities * 2**30).long().cumsum(-1)  # (B, A)
    point = chance * below[:, -1] >> 32
    return (below <= point[:, None]).sum(-1)
