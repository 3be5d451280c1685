"""The latent vector: posteriors, their KL to the prior, and what says that z is used."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from musicgym.agents.lessons import Lessons, nll

if TYPE_CHECKING:
    from .generator import Generator

__all__ = ["Posterior", "active_units", "between", "importance_weighted", "log_prior"]

#: A number of z is active where its mean varies by more than this and its KL is at least that.
LEAST_VARIANCE, LEAST_KL = 0.01, 0.05


class Posterior(NamedTuple):
    """A Gaussian with independent parts, q(z | melody), for each of B melodies.

    Attributes:
        mean: (B, Z).
        log_variance: (B, Z).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """Return z (B, Z), drawn with torch's own randomness; it can be differentiated."""
        return self.mean + (self.log_variance / 2).exp() * torch.randn_like(self.mean)

    def kl(self) -> Tensor:
        r"""Return the KL to the standard normal (B, Z), in nats.

        .. math:: \tfrac12 (\mu^2 + \sigma^2 - \log \sigma^2 - 1)
        """
        mean, log_variance = self
        return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)

    def log_density(self, z: Tensor) -> Tensor:
        """Return log q(z) (...) of z (..., B, Z), summed over its parts."""
        return _log_normal(z, self.mean, self.log_variance)


def log_prior(z: Tensor) -> Tensor:
    """Return log p(z) (...) of z (..., Z) under the standard normal."""
    return _log_normal(z, torch.zeros_like(z), torch.zeros_like(z))


def _log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    apart = (z - mean).square() / log_variance.exp() + log_variance
    return -0.5 * (apart + torch.log(torch.tensor(2 * torch.pi))).sum(-1)


def active_units(posterior: Posterior) -> Tensor:
    """Return which numbers of z carry something, bool (Z,): they vary and they cost.

    The variance of the posterior mean over the melodies is above `LEAST_VARIANCE`, and the mean KL
    at least `LEAST_KL` nats.

    Reference: Burda et al. 2016 (arXiv 1509.00519) for the variance.
    """
    varied = posterior.mean.var(0) > LEAST_VARIANCE
    return varied & (posterior.kl().mean(0) >= LEAST_KL)


@torch.no_grad()
def importance_weighted(
    model: Generator, data: Lessons, draws: int = 100, kind: torch.dtype = torch.float32
) -> Tensor:
    r"""Return a bound on the negative log-likelihood of melodies (N,), in nats a melody.

    .. math:: -\log \frac1K \sum_{k=1}^K \frac{p(x | z_k) p(z_k)}{q(z_k | x)},
        \quad z_k \sim q(z | x)

    It falls towards -log p(x) as K grows; at K = 1 its mean is that of reconstruction plus KL.
    Torch's own randomness draws.

    Reference: Burda et al. 2016 (arXiv 1509.00519).

    Args:
        model: in evaluation mode.
        data: the melodies.
        draws: K.
        kind: the type of the products, float32 or bfloat16.
    """
    posterior = model.encode(data)
    total = torch.full((len(data.events),), -torch.inf, device=data.events.device)
    for _ in range(draws):
        z = posterior.sample()
        latent = torch.cat([z, model.premise(data)], -1)  # one that is drawn is summed out too
        logits = model.whole(data.observation, kind, latent)
        told = nll(logits, data, model.ringing).sum(-1)
        total = torch.logaddexp(total, log_prior(z) - posterior.log_density(z) - told)
    return math.log(draws) - total


def between(one: Tensor, other: Tensor, share: float) -> Tensor:
    r"""Return the latents (..., L) a share of the way from one to another, on an arc.

    .. math:: \frac{\sin((1 - s) \theta)}{\sin \theta} a + \frac{\sin(s \theta)}{\sin \theta} b

    with the angle theta between a and b; on the straight line where they (almost) share one.

    Reference: White 2016 (arXiv 1609.04468).

    >>> between(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 0.5).tolist()
    [0.7071067690849304, 0.7071067690849304]
    """
    cosine = torch.cosine_similarity(one, other, -1)[..., None]
    angle = cosine.clamp(-1, 1).arccos()
    whole = angle.sin()
    arc = (((1 - share) * angle).sin() * one + (share * angle).sin() * other) / whole
    return torch.where(whole.abs() < 1e-4, (1 - share) * one + share * other, arc)
