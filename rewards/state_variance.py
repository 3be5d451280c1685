"""Eq. 9-10 of ACMG: the variance of the policy's probabilities."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.reward import PolicyTerm
from musicgym.select import Array


@dataclass(frozen=True)
class StateVariance(PolicyTerm):
    r"""Pays for a peaked policy: the variance of its n event probabilities.

    .. math:: V_s = \frac{1}{n} \sum_{i=1}^{n} \left(p_i - \frac{1}{n}\right)^2

    Reference: ACMG, Eq. 9-10. Range: [0, (n - 1) / n^2], or [0, 1] if `normalised`. It is affine
    in the collision probability, so it is an anti-entropy bonus. It pays in training only: without
    ``observe_policy`` before a step it is 0.

    >>> import numpy as np
    >>> StateVariance(normalised=True).judge(np.array([[1.0, 0.0, 0.0, 0.0]]))
    array([1.])
    """

    normalised: bool = False

    def judge(self, probabilities: Array) -> Array:
        """Return the variances (B,) of probabilities (B, n)."""
        n = probabilities.shape[-1]
        variance = ((probabilities - 1 / n) ** 2).mean(-1)
        return variance * (n**2 / (n - 1)) if self.normalised else variance
