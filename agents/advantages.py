"""Advantages: generalised advantage estimation, and the scale of returns."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ReturnScale", "gae"]


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    r"""Return generalised advantages (T, B) of whole episodes that end after step T, time first.

    .. math:: \delta_t = r_t + \gamma V_{t+1} - V_t, \quad
        A_t = \sum_{k \ge 0} (\gamma \lambda)^k \delta_{t+k}, \quad V_T = 0

    The sums are one product with the matrix of the powers.

    Reference: Schulman et al. 2016 (arXiv 1506.02438), Eq. 16.

    Args:
        rewards: (T, B).
        values: (T, B), the estimate before each step.
        gamma: discount; 1 for melodies of fixed length.
        lam: the weight of longer estimates, 0 to 1.

    >>> gae(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.5], [0.5]]), 1.0, 1.0)
    tensor([[2.5000],
            [1.5000]])
    """
    after = torch.cat([values[1:], torch.zeros_like(values[:1])])
    delta = rewards + gamma * after - values
    step = torch.arange(len(delta), device=delta.device)
    ahead = (step - step[:, None]).double()  # (T, T): k of A_t (rows) and delta_(t + k)
    powers = ((gamma * lam) ** ahead.clamp(min=0)).where(ahead >= 0, 0.0)
    return (powers @ delta.double()).to(delta.dtype)


class ReturnScale:
    """Running mean and standard deviation of returns: the critic predicts them standardised.

    Its numbers are tensors on the learner's device, so that nothing waits for them.
    """

    def __init__(self, device: str | torch.device = "cpu") -> None:
        """Start with nothing seen."""
        #: float64 (3,): mean, mean square, and weight of what was seen.
        self.moments = torch.zeros(3, dtype=torch.float64, device=device)

    @property
    def std(self) -> Tensor:
        """The standard deviation (), 1 before anything is seen."""
        mean, square, weight = self.moments
        spread = (square / weight - (mean / weight) ** 2).clamp(min=1e-6).sqrt()
        return torch.where(weight > 0, spread, 1.0).float()

    @property
    def centre(self) -> Tensor:
        """The mean (), 0 before anything is seen."""
        mean, _, weight = self.moments
        return torch.where(weight > 0, mean / weight, 0.0).float()

    def update(self, mean: Tensor, square: Tensor, rate: float = 0.05) -> None:
        """Take the mean and the mean square () of an iteration's returns into the averages."""
        now = torch.stack([mean, square, torch.ones_like(mean)])
        self.moments = self.moments + rate * (now - self.moments)
