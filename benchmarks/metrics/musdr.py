"""MusDr's metrics of the Jazz Transformer: H1, H4 and the similarity of grooves.

Reference: S.-L. Wu and Y.-H. Yang, "The Jazz Transformer on the front line", ISMIR 2020, and its
public code. Departs from it: all pairs of bars are compared (there at most 1,000, drawn), over the
grid's steps (there 64 a bar), and a melody without a note is undefined.
"""

from __future__ import annotations

import numpy as np

from .metric import Floats, Metric, entropy, histograms, mean, ratio
from .pieces import Pieces

__all__ = ["FAMILY"]


def window_entropy(pieces: Pieces, bars: int) -> Floats:
    """Return the entropy in bits of the pitch classes struck in so many bars, on average (N,).

    The mean over all windows of `bars` successive bars; windows without a note do not count. A
    melody of fewer bars is one window. NaN without a note.
    """
    size, total = len(pieces.events), pieces.bars
    piece, step = np.nonzero(pieces.struck)
    bar = piece * total + step // pieces.steps_per_bar
    counts = histograms(bar, pieces.pitch[pieces.struck] % 12, size=size * total, bins=12)
    sums = np.zeros((size, total + 1, 12), np.int64)
    sums[:, 1:] = counts.reshape(size, total, 12).cumsum(1)
    width = min(bars, total)
    windows = sums[:, width:] - sums[:, : total + 1 - width]  # (N, windows, 12)
    return mean(np.nan_to_num(entropy(windows)), windows.any(2))


def h1(pieces: Pieces) -> Floats:
    """Return `window_entropy` over one bar (N,)."""
    return window_entropy(pieces, 1)


def h4(pieces: Pieces) -> Floats:
    """Return `window_entropy` over four bars (N,)."""
    return window_entropy(pieces, 4)


def groove_similarity(pieces: Pieces) -> Floats:
    r"""Return how alike the onsets of any two bars are (N,), from 0 to 1.

    .. math:: 1 - \frac{2}{B (B - 1) S} \sum_{a < b} d(G_a, G_b)

    G_b are the S steps of bar b, 1 where a note is struck; d counts the steps that differ.
    NaN with fewer than two bars or without a note.
    """
    bars, width = pieces.onsets.shape[1:]
    struck = pieces.onsets.sum(1)  # (N, S) bars that strike a note on the step
    pairs = bars * (bars - 1) // 2 * width
    differ = (struck * (bars - struck)).sum(1)
    return 1 - ratio(differ, np.where(pieces.line.count > 0, pairs, 0))


FAMILY = tuple(
    Metric(name, "musdr", unit, title, function)
    for name, unit, title, function in (
        ("h1", "bits", "Entropy of the pitch classes of a bar", h1),
        ("h4", "bits", "Entropy of the pitch classes of four bars", h4),
        ("groove_similarity", "%", "Onsets that agree in any two bars", groove_similarity),
    )
)
