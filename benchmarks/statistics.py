r"""Statistics of few runs on several tasks, and the bootstrap that all intervals are taken from.

Scores are matrices of R runs (seeds) and K tasks; axes before these two are passed through, so
that thousands of resamples are one call. Reference: Agarwal et al., "Deep reinforcement learning at
the edge of the statistical precipice", NeurIPS 2021 (arXiv 2108.13264).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Estimate",
    "ends",
    "estimate",
    "improvement",
    "improvement_estimate",
    "interquartile_mean",
    "mean",
    "mean_estimates",
    "median",
    "optimality_gap",
    "profile",
    "resampled",
    "upper_limits",
    "weights",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: A figure and the ends of its 95 % interval.
Estimate = list[float]

#: Resamples of a bootstrap.
RESAMPLES = 2000
#: The quantiles of the resamples that are the ends of a plain percentile interval.
PERCENTILES = (0.025, 0.975)


def interquartile_mean(scores: npt.ArrayLike) -> Floats:
    r"""Return the mean of the middle half of the pooled scores (..., R, K): (...).

    .. math:: \frac{1}{n - 2c} \sum_{i=c+1}^{n-c} x_{(i)}, \qquad n = RK,\; c = \lfloor n/4 \rfloor

    with the scores of all tasks together in rising order. Unit of the scores.

    >>> float(interquartile_mean([[0.0, 1.0], [3.0, 100.0]]))  # the mean of 1 and 3
    2.0
    """
    pooled = _pooled(scores)
    cut = pooled.shape[-1] // 4
    middle = np.sort(pooled, axis=-1)[..., cut : pooled.shape[-1] - cut]
    return np.asarray(middle.mean(-1))


def mean(scores: npt.ArrayLike) -> Floats:
    """Return the mean of scores (..., R, K): (...)."""
    return np.asarray(_pooled(scores).mean(-1))


def median(scores: npt.ArrayLike) -> Floats:
    """Return the median over the tasks of the tasks' means, of scores (..., R, K): (...).

    >>> float(median([[0.0, 1.0, 5.0], [4.0, 3.0, 99.0]]))  # the means are 2, 2 and 52
    2.0
    """
    return np.asarray(np.median(np.asarray(scores, np.float64).mean(-2), axis=-1))


def optimality_gap(scores: npt.ArrayLike, goal: float = 1.0) -> Floats:
    r"""Return how far scores (..., R, K) stay below a goal on average: (...).

    .. math:: \gamma - \frac{1}{RK} \sum_{r,k} \min(x_{rk}, \gamma)

    What is above the goal :math:`\gamma` makes up for nothing. From 0 on.

    >>> float(optimality_gap([[0.5, 2.0]]))
    0.25
    """
    return np.asarray(goal - np.minimum(_pooled(scores), goal).mean(-1))


def improvement(x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
    r"""Return how probably a run of x is better than one of y, the mean over tasks: (...).

    .. math:: \frac{1}{K} \sum_k \frac{1}{R_x R_y} \sum_{i,j}
              \left( [x_{ik} > y_{jk}] + \tfrac12 [x_{ik} = y_{jk}] \right)

    From 0 to 1. It says how often, not by how much.

    Args:
        x: (..., R_x, K) scores.
        y: (..., R_y, K) scores on the same tasks.

    >>> float(improvement([[1.0], [3.0]], [[2.0], [3.0]]))  # lost, lost, won and drawn
    0.375
    """
    return np.asarray(_wins(x, y).mean((-3, -2, -1)))


def resampled(scores: npt.ArrayLike, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return the matrices (S, R, K) of a stratified bootstrap of scores (R, K).

    In each of S resamples R runs of each task are drawn with replacement, in each task anew.
    """
    given = np.asarray(scores, np.float64)
    return given.ravel()[_places(*given.shape, seed, resamples)]


def estimate(
    statistic: Callable[[Floats], Floats], scores: npt.ArrayLike, seed: int = 0
) -> Estimate:
    """Return a statistic of scores (R, K) with its stratified-bootstrap percentile interval.

    Args:
        statistic: from (..., R, K) to (...), such as `interquartile_mean`.
        scores: R runs of K tasks. One run tells no interval: its ends are NaN.
        seed: of the resamples.
    """
    given = np.asarray(scores, np.float64)
    if len(given) < 2:
        return [float(statistic(given)), np.nan, np.nan]
    low, high = np.quantile(statistic(resampled(given, seed)), PERCENTILES)
    return [float(statistic(given)), float(low), float(high)]


def mean_estimates(values: npt.ArrayLike, seed: int = 0) -> Floats:
    """Return the means of N rows of R runs each (N, R), and their percentile intervals: (N, 3)."""
    given = np.asarray(values, np.float64)
    middle = given.mean(1, keepdims=True)
    if given.shape[1] < 2:
        return np.hstack([middle, np.full((len(given), 2), np.nan)])
    share = weights(given.shape[1], seed) / given.shape[1]
    return np.hstack([middle, np.quantile(given @ share.T, PERCENTILES, axis=1).T])


def improvement_estimate(x: npt.ArrayLike, y: npt.ArrayLike, seed: int = 0) -> Estimate:
    """Return `improvement` of scores (R_x, K) and (R_y, K) with its percentile interval.

    The runs of x and of y are resampled independently, in each task anew.
    """
    won = _wins(x, y)  # (R_x, R_y, K)
    value = float(won.mean())
    if min(won.shape[:2]) < 2:
        return [value, np.nan, np.nan]
    some, others = (_shares(won.shape[side], won.shape[2], seed, side) for side in (0, 1))
    drawn = ((some @ won.transpose(2, 0, 1)) * others).sum(-1).mean(0)
    low, high = np.quantile(drawn, PERCENTILES)
    return [value, float(low), float(high)]


def profile(scores: npt.ArrayLike, taus: Sequence[float] | Floats, seed: int = 0) -> Floats:
    r"""Return the performance profile of scores (R, K): the share of runs above each tau.

    .. math:: \hat F(\tau) = \frac{1}{RK} \sum_{r,k} [x_{rk} > \tau]

    Returns:
        (3, T): the shares, and the ends of their pointwise 95 % percentile intervals.

    >>> profile([[0.2, 0.9], [0.4, 0.9]], [0.3, 0.9])[0].tolist()
    [0.75, 0.0]
    """
    given, at = np.asarray(scores, np.float64), np.asarray(taus, np.float64)
    share = (given[..., None] > at).mean((0, 1))
    if len(given) < 2:
        return np.stack([share, *np.full((2, len(at)), np.nan)])
    pooled = np.sort(_pooled(resampled(given, seed)), axis=-1)
    above = np.stack([(pooled > tau).mean(-1) for tau in at], axis=-1)
    return np.stack([share, *np.quantile(above, PERCENTILES, axis=0)])


def upper_limits(values: npt.ArrayLike) -> Floats:
    r"""Return the upper 95 % limits of the means of rows of R runs (..., R): (...).

    .. math:: \bar x + t_{R-1;\,0.95}\; s / \sqrt{R}

    One-sided, after Student: a percentile of five runs would be too low. NaN with one run.
    """
    from scipy.special import stdtrit

    given = np.asarray(values, np.float64)
    runs = given.shape[-1]
    if runs < 2:
        return np.full(given.shape[:-1], np.nan)
    return np.asarray(given.mean(-1) + stdtrit(runs - 1, 0.95) * given.std(-1, ddof=1) / runs**0.5)


def weights(groups: int, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return how often each of G groups is taken in each resample: (S, G), each row sums to G."""
    drawn = np.random.default_rng(seed).multinomial(
        groups, np.full(groups, 1 / groups), size=resamples
    )
    return np.asarray(drawn, np.float64)


def ends(sizes: npt.ArrayLike, strata: int = 1) -> tuple[float, float]:
    r"""Return the two quantiles of the resamples that are the ends of a 95 % interval over groups.

    .. math:: \Phi\left(\mp \sqrt{\tfrac{n}{n - 1}}\; t_{k (n - 1)}\right)

    with t the 97.5 % point of Student's distribution; :math:`n = (\sum s)^2 / \sum s^2` groups of
    one size tell as much as these of the sizes s do. All of the resamples where n is 1. Where
    groups are drawn in each of k strata anew, n are those of one stratum.

    Reference: Hesterberg, "What teachers should know about the bootstrap", 2015, the expanded
    percentile interval.
    """
    from scipy.special import ndtr, stdtrit

    size = np.asarray(sizes, dtype=np.float64)
    groups = size.sum() ** 2 / (size * size).sum()
    if groups <= 1:
        return 0.0, 1.0
    away = np.sqrt(groups / (groups - 1)) * stdtrit(strata * (groups - 1), 0.975)
    return float(ndtr(-away)), float(ndtr(away))


@lru_cache(16)  # a table of many entries asks for the same again and again
def _shares(runs: int, tasks: int, seed: int, side: int) -> Floats:
    """Return the share of each run in each resample of each task, (K, S, R)."""
    drawn = np.random.default_rng([seed, side]).multinomial(
        runs, np.full(runs, 1 / runs), size=(tasks, RESAMPLES)
    )
    return drawn / runs


@lru_cache(4)
def _places(runs: int, tasks: int, seed: int, resamples: int) -> Ints:
    """Return which of the scores (R, K), one after another, each resample takes: (S, R, K)."""
    drawn = np.random.default_rng(seed).integers(runs, size=(resamples, runs, tasks))
    return np.asarray(drawn * tasks + np.arange(tasks))


def _pooled(scores: npt.ArrayLike) -> npt.NDArray[Any]:
    given = np.asarray(scores)
    if given.dtype.kind != "f":
        given = given.astype(np.float64)
    if given.ndim < 2 or not given.shape[-1] * given.shape[-2]:
        raise ValueError(f"statistics: scores of shape {given.shape} are not (runs, tasks).")
    return given.reshape(*given.shape[:-2], -1)


def _wins(x: npt.ArrayLike, y: npt.ArrayLike) -> Floats:
    """Return 1, 1/2 or 0 for each run of x against each of y: (..., R_x, R_y, K)."""
    one, other = (np.asarray(scores, np.float64) for scores in (x, y))
    if one.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"statistics: scores on {one.shape[-1]} tasks and on {other.shape[-1]} tasks cannot "
            f"be compared."
        )
    return np.asarray((np.sign(one[..., :, None, :] - other[..., None, :, :]) + 1) / 2)
