r"""Human-likeness: how far melodies are from human ones, and how far human ones are from another.

All distances are of two sets of as many melodies, with as many in major and in minor on both sides,
on the 42 `features` standardised by the training windows.

A human window is not independent of the others of its tune, and a test split has few tunes. So
human melodies of *other* tunes do not come out at 0 but at the floor, which `floors` measures: read
every distance beside it. Systems play over the reference's own chords, which brings them a little
nearer than other tunes are; a distance far below the floor is no merit but a sign of copies, which
`musicgym.benchmarks.diversity` counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .features import FAMILIES, FEATURES
from .human import (
    Counts,
    Human,
    Sample,
    apart,
    draw,
    equal_counts,
    spread,
    squared_distances,
)
from .metrics.metric import Floats, ratio
from .metrics.pieces import Pieces

__all__ = [
    "DISTANCES",
    "Difference",
    "Human",
    "compare",
    "floors",
    "frechet",
    "jensen_shannon",
    "kernel",
    "likeness",
    "mmd2",
    "two_sample_accuracy",
]

Ints = npt.NDArray[np.int64]
#: The names of the distances, the primary one first.
DISTANCES = ("mmd2", "frechet", "c2st", *(f"js_{family}" for family in FAMILIES))
FOLDS = 5


class Difference(NamedTuple):
    """A difference with its 95 % interval."""

    value: float
    low: float
    high: float


def likeness(pieces: Pieces, human: Human, seed: int = 0) -> dict[str, float]:
    """Return the `DISTANCES` of melodies to the human melodies; NaN where one is undefined.

    As many melodies of each mode are drawn from both sides as both have.

    - ``mmd2``: the primary one, see `mmd2`. Unit 1, from about 0 to 2.
    - ``frechet``: see `frechet`. Differences under 1.5 mean nothing at 200 melodies.
    - ``c2st``: see `two_sample_accuracy`. Chance is 0.5.
    - ``js_pitch_class``, ``js_interval``, ``js_duration``, ``js_onset_position``: see
      `jensen_shannon`, of the mean shares of the features' four histograms. From 0 to 1 bit.

    Args:
        pieces: the melodies.
        human: what they are compared with.
        seed: of the draw and of the classifier's folds.
    """
    rng = np.random.default_rng(seed)
    return _distances(*matched(human.read(pieces), human, rng), human.width, seed)


def floors(
    human: Human, splits: int = 30, seed: int = 0, counts: Counts | None = None
) -> dict[str, tuple[float, float]]:
    """Return the mean and the standard deviation of each distance between human melodies.

    The windows of all splits of the corpus are parted anew each time, by tunes, see
    `musicgym.benchmarks.human.apart`: a reference of few tunes, and as many windows of other tunes
    in the place of the system. So a floor is what human music of other tunes scores at the same
    counts. (The test split alone has too few tunes to be parted: 14 in the chorales.)

    Args:
        human: the human melodies.
        splits: how often they are parted.
        seed: of the partings.
        counts: melodies in major and in minor on either side; by default those of the reference,
            which a system is compared with if it has as many of each mode.

    Returns:
        NaN where a distance is undefined in every split.
    """
    rows = []
    for number in range(splits):
        rng = np.random.default_rng([seed, number])
        like = spread(human.sample, counts or human.sample.counts, rng)
        one, other = apart(human.everyone, like, rng)
        rows.append(_distances(one, other, human.width, number))
    found = {}
    for name in DISTANCES:
        values = np.array([row[name] for row in rows])
        known = values[~np.isnan(values)]
        mean, deviation = (known.mean(), known.std()) if known.size else (np.nan, np.nan)
        found[name] = (float(mean), float(deviation))
    return found


def matched(sample: Sample, human: Human, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Return the human melodies and the others, as many of each mode."""
    counts = equal_counts(sample, human.sample)
    return spread(human.sample, counts, rng), draw(sample, counts, rng)


def _distances(one: Sample, other: Sample, width: float, seed: int) -> dict[str, float]:
    found = {
        "mmd2": mmd2(one.vectors, other.vectors, width),
        "frechet": frechet(one.vectors, other.vectors),
        "c2st": two_sample_accuracy(one, other, seed),
    }
    for family, bins in FAMILIES.items():
        first = FEATURES.index(bins[0])
        shares = (s.features[:, first : first + len(bins)].sum(0) for s in (one, other))
        found[f"js_{family}"] = jensen_shannon(*shares)
    return found


def kernel(a: Floats, b: Floats, width: float) -> Floats:
    r"""Return :math:`k(x, y) = \exp(-|x - y|^2 / 2 w^2)` of vectors (N, F) and (M, F): (N, M)."""
    return np.asarray(np.exp(squared_distances(a, b) / (-2 * width**2)))


def mmd2(a: Floats, b: Floats, width: float) -> float:
    r"""Return the squared maximum mean discrepancy of two sets of vectors (N, F) and (M, F).

    .. math:: \frac{\sum_{i \ne j} k(a_i, a_j)}{N (N - 1)} + \frac{\sum_{i \ne j} k(b_i, b_j)}
              {M (M - 1)} - \frac{2 \sum_{i, j} k(a_i, b_j)}{N M}

    The mean over independent draws of one distribution is 0, so the value may be negative; that of
    a copy is. The `kernel` is Gaussian; its width in `likeness` is the median distance of two
    training windows. NaN with fewer than two vectors on a side.

    Reference: Gretton et al., "A kernel two-sample test", JMLR 2012, Eq. 3.

    >>> x = np.array([[0.0], [1.0]])
    >>> round(mmd2(x, x, width=1.0), 6)  # 2 exp(-1/2) - (2 + 2 exp(-1/2)) / 2
    -0.393469
    """
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return float("nan")
    within = sum(
        (kernel(x, x, width).sum() - len(x)) / (len(x) * (len(x) - 1)) for x in (a, b)
    )  # k(x, x) = 1
    return float(within - 2 * kernel(a, b, width).mean())


def frechet(a: Floats, b: Floats) -> float:
    r"""Return the Fréchet distance of the normal distributions fitted to two sets of vectors.

    .. math:: |\mu_a - \mu_b|^2 + \mathrm{tr}(C_a + C_b - 2 (C_a^{1/2} C_b C_a^{1/2})^{1/2})

    The covariances have N - 1 in the denominator. It depends on N: compare equal counts only. NaN
    with fewer than two vectors on a side.

    Reference: Dowson and Landau 1982; Heusel et al. 2017 (there on the features of a network).

    >>> round(frechet(np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])), 6)  # 9 + (2 - 8**.5)**2
    11.0
    """
    if min(len(a), len(b)) < 2:
        return float("nan")
    one, other = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    gap = a.mean(0) - b.mean(0)
    return max(0.0, float(gap @ gap + np.trace(one) + np.trace(other) - 2 * overlap))


def two_sample_accuracy(one: Sample, other: Sample, seed: int = 0) -> float:
    """Return how often a classifier tells the second set from the first; chance is 0.5.

    A logistic regression on the standardised features, tried on melodies of tunes that it has not
    seen: five folds, no tune in two of them, nor melodies over the chords of one tune. NaN where
    there are too few tunes.

    Reference: Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    vectors = np.concatenate([one.vectors, other.vectors])
    tunes = np.concatenate([one.tunes, other.tunes])
    labels = np.repeat([0, 1], [len(one.vectors), len(other.vectors)])
    folds = min(FOLDS, len(np.unique(tunes)), *np.bincount(labels, minlength=2))
    if folds < 2:
        return float("nan")
    right = np.zeros(len(labels), np.bool_)
    parting = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for seen, unseen in parting.split(vectors, labels, tunes):
        if len(np.unique(labels[seen])) < 2:
            return float("nan")
        model = LogisticRegression(max_iter=200).fit(vectors[seen], labels[seen])
        right[unseen] = model.predict(vectors[unseen]) == labels[unseen]
    return float(right.mean())


def jensen_shannon(p: Floats, q: Floats) -> float:
    r"""Return the Jensen-Shannon divergence of two histograms (K,) in bits, from 0 to 1.

    .. math:: \tfrac12 \sum_k p_k \log_2 \frac{p_k}{m_k} + \tfrac12 \sum_k q_k \log_2
              \frac{q_k}{m_k}, \qquad m = (p + q) / 2

    They are divided by their sums first. NaN where one is empty.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 3.0]))
    1.0
    """
    if min(p.sum(), q.sum()) <= 0:
        return float("nan")
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    terms = (x * np.log2(np.where(x > 0, x, 1) / np.where(x > 0, middle, 1)) for x in (p, q))
    return max(0.0, float(sum(term.sum() for term in terms) / 2))  # no negative rounding error


def compare(a: Pieces, b: Pieces, human: Human, samples: int = 1000, seed: int = 0) -> Difference:
    """Return how much farther from the human melodies a is than b, in ``mmd2``.

    The value is the difference of their `likeness` at this seed. For the interval the tunes are
    drawn anew, with replacement, a tune's human melodies and the melodies of both systems over its
    chords together; the tune's weight is how often it was drawn. With 30 tunes an interval holds
    the truth in about 90 % of cases, with 4 in about 80 %.

    Args:
        a: the melodies of one system.
        b: those of the other, over the same progressions where it can be had.
        human: what both are compared with.
        samples: how often the tunes are drawn.
        seed: of the draws.

    Returns:
        The difference and its 95 % percentile interval. NaN where ``mmd2`` is undefined, and an
        interval of NaN where there are fewer than two tunes.
    """
    rng = np.random.default_rng(seed)
    pairs = [matched(human.read(pieces), human, np.random.default_rng(seed)) for pieces in (a, b)]
    tunes = np.unique(np.concatenate([sample.tunes for pair in pairs for sample in pair]))
    drawn = rng.multinomial(len(tunes), np.full(len(tunes), 1 / len(tunes)), samples)
    weights = np.concatenate([np.ones((1, len(tunes))), drawn])  # first the tunes as they are
    one, other = (_weighted_mmd2(*pair, tunes, weights, human.width) for pair in pairs)
    found = one - other
    known = found[1:][~np.isnan(found[1:])]
    enough = len(tunes) > 1 and known.size > 0
    low, high = np.quantile(known, (0.025, 0.975)) if enough else (np.nan, np.nan)
    return Difference(float(found[0]), float(low), float(high))


def _weighted_mmd2(
    one: Sample, other: Sample, tunes: Ints, weights: Floats, width: float
) -> Floats:
    """Return `mmd2` with each melody weighted as its tune is (S, tunes): (S,)."""
    member = [np.asarray(s.tunes[:, None] == tunes, dtype=np.float64) for s in (one, other)]

    def average(i: int, j: int) -> Floats:
        samples = (one, other)
        values = kernel(samples[i].vectors, samples[j].vectors, width)
        pairs = np.ones_like(values)
        if i == j:
            values, pairs = values - np.eye(len(values)), pairs - np.eye(len(values))
        top, bottom = (
            np.einsum("st,tu,su->s", weights, member[i].T @ x @ member[j], weights, optimize=True)
            for x in (values, pairs)
        )
        return ratio(top, bottom)

    return average(0, 0) + average(1, 1) - 2 * average(0, 1)
