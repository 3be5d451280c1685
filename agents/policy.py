"""Policy: the one interface for whatever can play, and sampling from its logits."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.observation import layout
from musicgym.randomness import draw, first_key
from musicgym.task import Task

from .configs import Sampling

__all__ = [
    "LatentPolicy",
    "Policy",
    "ValuedPolicy",
    "begin_play",
    "chances",
    "masked",
    "normals",
    "ready",
    "ringing_column",
    "sample",
]


class Policy(Protocol):
    """Plays B episodes at once: observations to logits over events.

    A policy reads the ``"compact"`` observation of its task: uint8 (B, F), the parts of
    `musicgym.observation.layout` in their order.
    """

    def initial_state(self, episodes: Episodes) -> Any:
        """Return the policy's state at the start of the episodes; it may look at all chords."""

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) and the next state. The rollout applies the event mask."""


class LatentPolicy(Protocol):
    """A policy that plays an episode under a latent vector: a `Policy` that draws one itself."""

    def draw(self, chance: Tensor) -> Tensor:
        """Return latents (B, L) from 32 random bits an episode, int64 (B,)."""

    def initial_state(self, episodes: Episodes, latent: Tensor | None = None) -> Any:
        """Return the state at the start; without latents they are drawn from the episodes' keys."""

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) and the next state."""


class ValuedPolicy:
    """A policy ready for a rollout that may estimate values beside its logits."""

    def initial_state(self, episodes: Episodes) -> Any:
        """Return the policy's state at the start of the episodes."""
        raise NotImplementedError

    def step(self, observation: Tensor, state: Any) -> tuple[Tensor, Tensor | None, Any]:
        """Return logits (B, A), values (B,) if it estimates any, and the next state."""
        raise NotImplementedError

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A) of one step (B, F) and the next state."""
        logits, _, state = self.step(observation, state)
        return logits, state


def ready(policy: Any) -> Any:
    """Return a policy made ready for a rollout, where it can be."""
    return policy.prepared() if hasattr(policy, "prepared") else policy


def begin_play(
    policy: Any, episodes: Episodes, chance: Tensor, latent: Tensor | None = None
) -> tuple[Any, Tensor | None]:
    """Return the state at the start of the episodes, and the latents (B, L) if the policy has any.

    Args:
        policy: a `Policy`, or a `LatentPolicy`.
        episodes: what it looks at.
        chance: int64 (B,) 32 random bits an episode, which draw its latents.
        latent: (B, L) latents to play under instead.

    Raises:
        ValueError: latents are given and the policy has none, or others.
    """
    if not hasattr(policy, "draw"):
        if latent is not None:
            raise ValueError("latent: this policy has no latent vector.")
        return policy.initial_state(episodes), None
    if latent is None:
        latent = policy.draw(chance)
    return policy.initial_state(episodes, latent), latent


def normals(chance: Tensor, count: int) -> Tensor:
    r"""Return standard normal numbers float32 (B, count) from 32 random bits each, int64 (B,).

    .. math:: z_j = \sqrt 2 \, \mathrm{erf}^{-1}(2 u_j - 1), \quad u_j = (bits_j + 1/2) / 2^{32}
    """
    bits = draw(chance[:, None], torch.arange(count, device=chance.device))
    return (math.sqrt(2) * torch.erfinv((bits.double() + 0.5) / 2**31 - 1)).float()


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
