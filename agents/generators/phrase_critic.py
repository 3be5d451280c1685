"""The phrase critic: tells the phrases of a corpus from a model's, by features of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from musicgym.emotion import FEATURES, emotion
from musicgym.events import FIRST_NOTE

__all__ = ["PhraseCritic", "phrase_features"]

HIDDEN = 64


def phrase_features(probabilities: Tensor, tonic: Tensor, steps: int) -> Tensor:
    """Return features (N * P, 19 + S) of the P phrases of N melodies; they can be differentiated.

    They are the five numbers of `musicgym.emotion.emotion`, the expected share of struck notes on
    each degree above the tonic, the shares of holds and rests, and the probability of an onset at
    each of the S steps. A phrase that is not whole is left out.

    Args:
        probabilities: (N, T, A) of the events at each step.
        tonic: int64 (N,) above the pitch of event 2, modulo 12.
        steps: of a phrase (S).
    """
    size, n_events = len(probabilities), probabilities.shape[-1]
    phrases = probabilities.shape[1] // steps
    cut = probabilities[:, : phrases * steps].reshape(size * phrases, steps, n_events)
    tonic = tonic.repeat_interleave(phrases)
    notes = cut[..., FIRST_NOTE:]  # (N * P, S, K)
    struck = notes.sum(1)
    degree = (torch.arange(notes.shape[-1], device=tonic.device) - tonic[:, None]) % 12
    degrees = struck.new_zeros(len(struck), 12).scatter_add(1, degree, struck)
    return torch.cat(
        [
            emotion(cut, 0, tonic),
            degrees / degrees.sum(-1, keepdim=True).clamp(min=1),
            cut[..., :FIRST_NOTE].mean(1),
            notes.sum(-1),
        ],
        -1,
    )


class PhraseCritic(nn.Module):
    r"""A small network that scores phrases, above 0 for the corpus's.

    Both sides learn from one loss (Goodfellow et al. 2014), the model by its reversed gradient
    (Ganin et al. 2016):

    .. math:: -\log \sigma(D(real)) - \log (1 - \sigma(D(fake)))
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, steps: int) -> None:
        """Make the network for phrases of so many steps."""
        super().__init__()
        self.steps, width = steps, len(FEATURES) + 12 + FIRST_NOTE + steps
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.layers = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(0.2), nn.Linear(HIDDEN, 1),
        )  # fmt: skip

    def meet(self, features: Tensor) -> None:
        """Keep the scale of a corpus's features (N, F)."""
        self.centre.copy_(features.mean(0))
        self.scale.copy_(features.std(0).clamp(min=0.02))

    def forward(self, features: Tensor) -> Tensor:
        """Return scores (N,) of features (N, F)."""
        scaled = (features - self.centre) / self.scale
        return cast(Tensor, self.layers(scaled).squeeze(-1))

    def loss(self, real: Tensor, fake: Tensor, weight: float) -> Tensor:
        """Return the loss (): its gradient by the fake features is reversed, times the weight."""
        reverse: Callable[..., Tensor] = _Reverse.apply
        said = self(real), self(reverse(fake, weight))
        return (nn.functional.softplus(-said[0]) + nn.functional.softplus(said[1])).mean()


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None
