"""MGEval: nine features of melodies, and how far apart two sets of melodies lie in each.

Reference: L.-C. Yang and A. Lerch, "On the evaluation of generative models in music", 2020, and its
public code. For each feature the distances between the melodies of the human set (intra-set) and
those from the set to that one (inter-set) are smoothed with Gaussian kernels; the divergence and
the overlap of the two densities say how alike the sets are.

Departs from it: both densities are read on ONE grid, from the least to the largest distance of
both, where the original samples each on its own; pitch classes are counted from the tonic, so that
the key does not matter; every pair of successive notes is a transition, over rests too; lengths are
fractions of a whole note in every meter, where the original takes fractions of the bar.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .acmg import pitch_range
from .metric import Floats, Metric, histograms, ratio
from .muspy_metrics import pitches_used
from .pieces import Pieces
from .zhao import mean_wait, pitch_variation

__all__ = ["FAMILY", "FEATURES", "Densities", "densities", "distances", "divergence", "overlap"]

#: Note lengths in 96ths of a whole note: whole to sixteenth, dotted half to sixteenth, triplets.
LENGTHS = np.array([96, 48, 24, 12, 6, 72, 36, 18, 9, 32, 16, 8])
#: Points of the grid on which densities are read.
POINTS = 1000
#: A probability of the inter-set counts as at least this, so that the divergence stays finite.
FLOOR = 1e-12


# The features


def note_count(pieces: Pieces) -> Floats:
    """Return the number of notes (N,)."""
    return pieces.line.count.astype(np.float64)


def pitch_class_histogram(pieces: Pieces) -> Floats:
    """Return the share of sounding time of each degree above the tonic (N, 12). NaN in silence."""
    degrees = (pieces.pitch - pieces.tonic[:, None]) % 12
    rows = np.nonzero(pieces.sounding)[0]
    counts = histograms(rows, degrees[pieces.sounding], size=len(pieces.events), bins=12)
    return ratio(counts, counts.sum(1, keepdims=True))


def pitch_class_transitions(pieces: Pieces) -> Floats:
    """Return how often each degree follows each degree (N, 144), as counts."""
    return _transitions(pieces, (pieces.line.pitch - pieces.tonic[:, None]) % 12)


def note_length_histogram(pieces: Pieces) -> Floats:
    """Return the share of notes of each of twelve lengths (N, 12). NaN without a note."""
    there = pieces.line.present
    counts = histograms(np.nonzero(there)[0], _lengths(pieces)[there], len(there), len(LENGTHS))
    return ratio(counts, counts.sum(1, keepdims=True))


def note_length_transitions(pieces: Pieces) -> Floats:
    """Return how often each of twelve lengths follows each (N, 144), as counts."""
    return _transitions(pieces, _lengths(pieces))


def _lengths(pieces: Pieces) -> npt.NDArray[np.int64]:
    """Return the place in `LENGTHS` of the nearest length of each note (N, M); ties: the first."""
    parts = np.arange(pieces.events.shape[1] + 1) * pieces.quarters_per_step * 24
    nearest = np.argmin(np.abs(parts[:, None] - LENGTHS), axis=1)
    return np.asarray(nearest[pieces.line.duration])


def _transitions(pieces: Pieces, kinds: npt.NDArray[np.int64]) -> Floats:
    there = pieces.line.present[:, 1:]
    pairs = (12 * kinds[:, :-1] + kinds[:, 1:])[there]
    counts = histograms(np.nonzero(there)[0], pairs, size=len(kinds), bins=144)
    return counts.astype(np.float64)


#: The nine features: (N,) or (N, D) each.
FEATURES: dict[str, Callable[[Pieces], Floats]] = {
    "pitch_count": pitches_used,
    "pitch_class_histogram": pitch_class_histogram,
    "pitch_class_transitions": pitch_class_transitions,
    "pitch_range": pitch_range,
    "pitch_interval": pitch_variation,
    "note_count": note_count,
    "onset_interval": mean_wait,
    "note_length_histogram": note_length_histogram,
    "note_length_transitions": note_length_transitions,
}


# The distances


def distances(some: Floats, others: Floats | None = None) -> Floats:
    """Return the Euclidean distances of each of some (N, D) to each of others, or to each other.

    Values (N,) or (N, D); melodies with an undefined value are left out. Without `others` the
    distances of a melody to itself are left out: N (N - 1) values, else N R.
    """
    a = _defined(some)
    b = a if others is None else _defined(others)
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    away = np.sqrt(np.maximum(squares, 0.0))
    keep = ~np.eye(len(a), dtype=np.bool_) if others is None else np.ones_like(away, np.bool_)
    return np.asarray(away[keep])


def _defined(values: Floats) -> Floats:
    rows = values.reshape(len(values), -1)
    return rows[~np.isnan(rows).any(1)]


class Densities(NamedTuple):
    """Two densities on one grid of equally spaced points."""

    grid: Floats
    intra: Floats
    inter: Floats


def densities(intra: Floats, inter: Floats) -> Densities | None:
    r"""Return the Gaussian-kernel densities of two samples on one grid from least to largest.

    .. math:: f(x) = \frac{1}{n h} \sum_i \phi((x - x_i) / h), \quad h = n^{-1/5} s

    with Scott's bandwidth, s the standard deviation. Samples are first shared between the two
    points of the grid around them. None where a sample has no spread.
    """
    if min(len(intra), len(inter)) < 2 or not np.ptp(intra) or not np.ptp(inter):
        return None
    low, high = min(intra.min(), inter.min()), max(intra.max(), inter.max())
    grid = np.linspace(low, high, POINTS)
    return Densities(grid, _density(intra, grid), _density(inter, grid))


def _density(sample: Floats, grid: Floats) -> Floats:
    step = grid[1] - grid[0]
    place = np.clip((sample - grid[0]) / step, 0, POINTS - 1)
    left = np.minimum(place.astype(np.int64), POINTS - 2)
    right = place - left
    mass = np.bincount(left, 1 - right, POINTS) + np.bincount(left + 1, right, POINTS)
    width = float(sample.std(ddof=1)) * len(sample) ** -0.2
    reach = np.arange(1 - POINTS, POINTS) * step / width
    kernel = np.exp(-0.5 * reach * reach) / (np.sqrt(2 * np.pi) * width * len(sample))
    return np.convolve(mass, kernel)[POINTS - 1 : 2 * POINTS - 1]


def divergence(found: Densities | None) -> float:
    r"""Return the Kullback-Leibler divergence of the intra-set from the inter-set, in nats.

    .. math:: \sum_x p(x) \log (p(x) / q(x))

    p is the intra-set's density and q the inter-set's, each made to sum to 1 on the grid.
    NaN without densities.
    """
    if found is None:
        return float("nan")
    p, q = (side / side.sum() for side in (found.intra, found.inter))
    logs = np.log(np.maximum(p, FLOOR) / np.maximum(q, FLOOR))
    return float((p * logs).sum())


def overlap(found: Densities | None) -> float:
    r"""Return the area under both densities, from 0 to 1: :math:`\int \min(f, g)`, on the grid.

    What lies outside the grid is left out, as in the original, so that two equal sets come near 1
    and do not reach it. NaN without densities.
    """
    if found is None:
        return float("nan")
    return float(np.trapezoid(np.minimum(found.intra, found.inter), found.grid))


def _compared(feature: str, pieces: Pieces, reference: Pieces) -> Densities | None:
    human = FEATURES[feature](reference)
    return densities(distances(human), distances(FEATURES[feature](pieces), human))


def _metrics(feature: str) -> tuple[Metric, Metric]:
    def kld(pieces: Pieces, reference: Pieces) -> float:
        return divergence(_compared(feature, pieces, reference))

    def area(pieces: Pieces, reference: Pieces) -> float:
        return overlap(_compared(feature, pieces, reference))

    what = feature.replace("_", " ")
    return (
        Metric(f"kld_{feature}", "mgeval", "nats", f"KLD of distances: {what}", kld, against=True),
        Metric(f"overlap_{feature}", "mgeval", "", f"Overlap of distances: {what}", area, True),
    )


FAMILY = tuple(metric for feature in FEATURES for metric in _metrics(feature))
