"""Who wins: shares of choices with intervals, an exact test, and Bradley-Terry strengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.benchmarks.audit.statistics import mean
from musicgym.benchmarks.statistics import Estimate
from musicgym.melody import Melody

from .choices import Judgement

__all__ = [
    "Win", "fit_logistic", "least_share", "sign_flip", "strengths", "tunes", "wilson", "win_rate",
    "wins",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Resamples of the strengths, and listeners from which on they are what is resampled.
RESAMPLES, ENOUGH_LISTENERS = 500, 5


class Win(NamedTuple):
    """What listeners chose between two systems.

    Attributes:
        systems: the two.
        won: choices for the first.
        lost: choices for the second.
        tied: no difference.
        rate: share of the first, a tie as half a win, with its 95 % interval.
        p_tunes: of the two-sided sign test over pairs of melodies: would these listeners choose so
            among other melodies of the systems?
        p_listeners: the same over listeners: would other listeners? NaN with one listener.
    """

    systems: tuple[str, str]
    won: int
    lost: int
    tied: int
    rate: Estimate
    p_tunes: float
    p_listeners: float

    @property
    def p(self) -> float:
        """The larger of the two, which speaks of other melodies and of other listeners."""
        return float(np.fmax(self.p_tunes, self.p_listeners))


def wins(judged: Sequence[Judgement], seed: int = 0) -> list[Win]:
    """Return what was chosen between each two systems that met.

    Args:
        judged: the choices; the same two systems may stand in either order.
        seed: fixes the resamples.
    """
    found = []
    names = sorted({name for j in judged for name in j.systems})
    for pair in combinations(names, 2):
        met = [j for j in judged if set(j.systems) == set(pair)]
        if met:
            score = np.array([j.score if j.systems == pair else 1 - j.score for j in met])
            listener, tune = _numbered([j.listener for j in met]), tunes(met)
            one = len(set(listener)) == 1
            found.append(Win(
                pair, int((score == 1).sum()), int((score == 0).sum()), int((score == 0.5).sum()),
                win_rate(score, listener, tune, seed), sign_flip(_sums(score, tune)),
                math.nan if one else sign_flip(_sums(score, listener)),
            ))  # fmt: skip
    return found


def tunes(judged: Sequence[Judgement]) -> Ints:
    """Return a number for each choice (N,), equal where they share a melody, by any chain."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place: dict[Melody, int] = {}
    ends = [[place.setdefault(m, len(place)) for m in j.melodies] for j in judged]
    first, second = np.array(ends).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(place), len(place)))
    return np.asarray(connected_components(graph, directed=False)[1][first], dtype=np.int64)


def win_rate(score: Floats, listener: Ints, tune: Ints, seed: int = 0) -> Estimate:
    """Return the mean of scores (N,) from 0 to 1, with a 95 % interval that is the widest of three.

    They are Wilson's, as if each choice stood alone, and the bootstraps over tunes and over
    listeners: choices of one listener, or of one pair, are alike.

    Args:
        score: 1 for a win, 0 for a loss, 1/2 for a tie.
        listener: (N,) numbers.
        tune: (N,) numbers.
        seed: fixes the resamples.
    """
    ends = [wilson(float(score.sum()), len(score))]
    for group in (_numbered(listener), _numbered(tune)):  # of some choices they have gaps
        if 1 < group.max() + 1 < len(score):
            _, low, high = mean(score, group, seed)
            ends.append((low, high))
    return [float(score.mean()), min(low for low, _ in ends), max(high for _, high in ends)]


def wilson(won: float, count: int) -> tuple[float, float]:
    r"""Return Wilson's 95 % interval of a share.

    .. math:: \frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}

    Reference: Wilson 1927. A tie counts as half a win, which makes the interval a little wide.

    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]
    """
    z, p = 1.959964, won / count
    middle, below = p + z * z / (2 * count), 1 + z * z / count
    away = z * math.sqrt(p * (1 - p) / count + (z / (2 * count)) ** 2)
    return max(0.0, (middle - away) / below), min(1.0, (middle + away) / below)


def sign_flip(sums: Ints) -> float:
    r"""Return the exact two-sided p-value that sums (G,) of clusters lean to neither side.

    .. math:: P(|\sum_g \pm s_g| \ge |\sum_g s_g|)

    over all signs, each as likely; s_g are wins less losses in a cluster. With single choices it is
    the binomial sign test. Ties (0) say nothing. 1 where all are 0.

    >>> sign_flip(np.array([1, 1, 1, 1, 1, -1])), sign_flip(np.array([5]))
    (0.21875, 1.0)
    """
    sizes = np.abs(sums[sums != 0])
    chances = np.ones(1)  # of sums -S, ..., S
    for size in sizes:
        wider = np.zeros(len(chances) + 2 * size)
        wider[: len(chances)] += chances / 2
        wider[2 * size :] += chances / 2
        chances = wider
    most = int(sizes.sum())
    return float(min(1.0, chances[np.abs(np.arange(-most, most + 1)) >= abs(sums.sum())].sum()))


def least_share(decided: int) -> float:
    """Return the least share of so many decided choices that a sign test finds at 5 %, NaN if none.

    >>> least_share(20), least_share(5)
    (0.75, nan)
    """
    from scipy.stats import binom

    for won in range((decided + 1) // 2, decided + 1):
        if 2 * binom.sf(won - 1, decided, 0.5) <= 0.05:
            return won / decided
    return math.nan


def strengths(judged: Sequence[Judgement], seed: int = 0) -> dict[str, Estimate]:
    r"""Return each system's Bradley-Terry strength with a 95 % interval, their mean 0.

    .. math:: P(i \text{ preferred to } j) = \sigma(s_i - s_j)

    A tie is half a win of each. Every two systems that met are given one tie more, so that one that
    always wins has a finite strength. The interval resamples listeners where there are five or
    more, else pairs of melodies.

    Reference: Bradley & Terry 1952.
    """
    names = sorted({name for j in judged for name in j.systems})
    ends = np.array([[names.index(name) for name in j.systems] for j in judged])
    signed = np.eye(len(names))[ends[:, 0]] - np.eye(len(names))[ends[:, 1]]  # (N, K)
    score = np.array([j.score for j in judged])
    met = np.unique(np.sort(ends, axis=1), axis=0)
    extra = np.eye(len(names))[met[:, 0]] - np.eye(len(names))[met[:, 1]]

    def fit(rows: Ints) -> Floats:
        x = np.concatenate([signed[rows], extra])
        found = fit_logistic(x, np.append(score[rows], np.full(len(extra), 0.5)), 1e-6)
        return np.asarray(found - found.mean())

    listener = _numbered([j.listener for j in judged])
    group = listener if listener.max() + 1 >= ENOUGH_LISTENERS else tunes(judged)
    members = [np.flatnonzero(group == g) for g in range(group.max() + 1)]
    rng = np.random.default_rng(seed)
    drawn = [
        fit(np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    best = fit(np.arange(len(judged)))
    return {n: [float(best[k]), float(low[k]), float(high[k])] for k, n in enumerate(names)}


def fit_logistic(x: Floats, score: Floats, ridge: float, start: Floats | None = None) -> Floats:
    r"""Return the weights (D,) of a logistic regression without an intercept, by Newton's method.

    .. math:: \min_w -\sum_i [y_i \log \sigma(x_i w) + (1 - y_i) \log \sigma(-x_i w)]
        + \tfrac{\lambda}{2} |w|^2

    Args:
        x: (N, D) what the first of two has more than the second.
        score: (N,) 1, 1/2 or 0.
        ridge: the strength lambda, above 0.
        start: weights to begin at.
    """
    from scipy.special import expit

    weights: Floats = np.zeros(x.shape[1]) if start is None else start

    def loss(w: Floats) -> float:
        logit = x @ w
        return float((np.logaddexp(0, logit) - score * logit).sum() + ridge / 2 * w @ w)

    now = loss(weights)
    for _ in range(100):
        chance = expit(x @ weights)
        slope = x.T @ (chance - score) + ridge * weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + ridge * np.eye(x.shape[1])
        step, share = np.linalg.solve(curve, slope), 1.0
        while (then := loss(weights - share * step)) > now and share > 1e-6:
            share /= 2
        weights = weights - share * step
        if now - then < 1e-10 * (1 + abs(now)):
            break
        now = then
    return weights


def _numbered(names: Sequence[str] | Ints) -> Ints:
    """Return a number from 0 for each name, equal where they are."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _sums(score: Floats, group: Ints) -> Ints:
    """Return wins less losses of each group."""
    return np.bincount(group, 2 * score - 1).astype(np.int64)
