"""The latent vector: posteriors, their KL to the prior, and what says that z is used."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Posterior", "active_units"]

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
