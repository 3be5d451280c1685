"""Advantages: generalised advantage estimation, and the scale of returns."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ReturnScale", "gae"]


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    r"""Return generalised advantages (B, T) of whole episodes that end after step T.

    .. math:: \delta_t = r_t + \gamma V_{t+1} - V_t, \quad
        A_t = \sum_{k \ge 0} (\gamma \lambda)^k \delta_{t+k}, \quad V_T = 0

    Reference: Schulman et al. 2016 (arXiv 1506.02438), Eq. 16.

    Args:
        rewards: (B, T).
        values: (B, T), the estimate before each step.
        gamma: discount; 1 for melodies of fixed length.
        lam: the weight of longer estimates, 0 to 1.

    >>> gae(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.5]]), 1.0, 1.0)
    tensor([[2.5000, 1.5000]])
    """
    after = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    delta = rewards + gamma * after - values
    advantages = torch.empty_like(delta)
    last = torch.zeros_like(delta[:, 0])
    for t in reversed(range(delta.shape[1])):
        last = delta[:, t] + gamma * lam * last
        advantages[:, t] = last
    return advantages


class ReturnScale:
    """Running mean and standard deviation of returns: the critic predicts them standardised."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.mean, self.square, self.weight = 0.0, 0.0, 0.0

    @property
    def std(self) -> float:
        """The standard deviation, 1 before anything is seen."""
        if not self.weight:
            return 1.0
        mean = self.mean / self.weight
        return float(max(self.square / self.weight - mean**2, 1e-6) ** 0.5)

    @property
    def centre(self) -> float:
        """The mean, 0 before anything is seen."""
        return self.mean / self.weight if self.weight else 0.0

    def update(self, returns: Tensor, rate: float = 0.05) -> None:
        """Take the returns of an iteration into the exponential averages."""
        self.mean += rate * (float(returns.mean()) - self.mean)
        self.square += rate * (float(returns.square().mean()) - self.square)
        self.weight += rate * (1.0 - self.weight)

    def state(self) -> list[float]:
        """Return what `restore` takes."""
        return [self.mean, self.square, self.weight]

    def restore(self, state: list[float]) -> None:
        """Return to a state."""
        self.mean, self.square, self.weight = state
