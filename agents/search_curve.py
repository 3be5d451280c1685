"""The curve of best of N: what more draws earn, and how far they stray. It needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["at_kl", "curve", "kl_bound", "mixture"]

Floats = npt.NDArray[np.float64]


def curve(returns: Floats) -> dict[int, float]:
    r"""Return the mean best return of N draws for N = 1, 2, 4, ... and M, from M draws an episode.

    .. math:: \hat{E}_N = \sum_{k=N}^{M} \binom{k-1}{N-1} \binom{M}{N}^{-1} r_{(k)}

    with the returns of an episode in rising order: the mean of the maximum over all subsets of N,
    without bias. Each value is a mean over the episodes.

    Args:
        returns: (B, M), from `pool`.

    >>> curve(np.array([[3.0, 1.0, 2.0]]))  # pairs: (1, 2), (1, 3), (2, 3)
    {1: 2.0, 2: 2.6666666666666665, 3: 3.0}
    """
    returns = np.asarray(returns, np.float64)
    if returns.ndim != 2 or not returns.size:
        raise ValueError(f"curve: returns of shape {returns.shape} are not (episodes, draws).")
    m = returns.shape[1]
    ranked = np.sort(returns, axis=1).mean(0)  # (M,)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, m + 1)))])
    k = np.arange(1, m + 1)
    found = {}
    for n in sorted({*(2**i for i in range(m.bit_length())), m}):
        above = k[n - 1 :]
        logs = log_factorial[above - 1] - log_factorial[above - n]  # C(k - 1, n - 1) (n - 1)!
        share = np.exp(logs - logs[-1])  # in units of the last; C(m, n) is their sum
        found[n] = float(share @ ranked[n - 1 :] / share.sum())
    return found


def kl_bound(n: int, steps: int) -> float:
    r"""Return the most that best of n can stray from its policy, in nats a step.

    .. math:: \mathrm{KL} \le \left( \log n - \frac{n-1}{n} \right) / T

    Reference: Beirami et al. 2024 (arXiv 2401.01879), who show that the formula, exact for draws
    that are never equal, is an upper bound.

    >>> kl_bound(1, 64), round(kl_bound(64, 64), 3)
    (0.0, 0.05)
    """
    if n < 1 or steps < 1:
        raise ValueError(f"kl_bound: n={n!r} and steps={steps!r} must be 1 or more.")
    return (math.log(n) - (n - 1) / n) / steps


def at_kl(points: Mapping[int, float], kl: float, steps: int) -> float:
    """Return the value of a `curve` at a KL in nats a step, straight lines between its points.

    A mixture of two N reaches its line. Past the largest N it is that N's value, which
    more draws could only raise; below 0 it is that of N = 1.

    >>> at_kl({1: 10.0, 2: 20.0}, kl_bound(2, 8) / 2, 8)
    15.0
    """
    numbers = sorted(points)
    return float(mixture(numbers, kl, steps) @ [points[n] for n in numbers])


def mixture(numbers: Sequence[int], kl: float, steps: int) -> Floats:
    """Return the share of each N, rising, in the mixture that strays so far (see `at_kl`).

    >>> mixture([1, 2, 4], kl_bound(2, 8), 8).tolist()
    [0.0, 1.0, 0.0]
    """
    bounds = [kl_bound(n, steps) for n in numbers]
    return np.array([np.interp(kl, bounds, one) for one in np.eye(len(bounds))])
