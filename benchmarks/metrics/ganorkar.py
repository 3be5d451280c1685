"""The metrics of Ganorkar and Rathkanthiwar that symbols allow.

Most are functions of what a model or a classifier says: log-probabilities, class probabilities,
features. Their Fréchet distance is of audio features; ours is of symbolic ones, so it is never
called FAD, and no figure of theirs is on its scale. Listeners' ratings are not here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .acmg import accepted
from .metric import Floats, Metric, histograms, mean
from .pieces import Pieces

__all__ = [
    "FAMILY",
    "distances_by_style",
    "inception_score",
    "negative_log_likelihood",
    "roll_error",
    "sequence_coherence",
    "style_accuracy",
]

#: Pitches of the piano roll: all of MIDI's.
PITCHES = 128


def negative_log_likelihood(log_probabilities: npt.ArrayLike) -> Floats:
    r"""Return :math:`-\frac{1}{T} \sum_t \log p(e_t | e_{<t})` (N,), in nats an event.

    `log_probabilities` (N, T) are what a policy gave to the events of each melody, given those
    before them. NaN without a step.
    """
    values = np.asarray(log_probabilities, dtype=np.float64)
    return 0.0 - mean(values, np.ones(values.shape, np.bool_))


def roll_error(pieces: Pieces, others: Pieces) -> Floats:
    r"""Return the mean squared error between piano rolls (N,), from 0 to 2 / 128.

    .. math:: \frac{1}{128 T} \sum_t \sum_p (x_{tp} - y_{tp})^2

    x and y are 1 where a pitch sounds; melody i is compared with the other melody i, such as its
    reconstruction. Onsets do not count. NaN without a step.

    Raises:
        ValueError: the two are not of one shape.
    """
    if pieces.events.shape != others.events.shape:
        raise ValueError(
            f"roll_error: as many melodies of as many steps are needed, not {pieces.events.shape} "
            f"and {others.events.shape}."
        )
    differ = pieces.pitch != others.pitch  # 0 in silence
    cells = differ * (pieces.sounding.astype(np.float64) + others.sounding)
    return mean(cells / PITCHES, np.ones_like(differ))


def inception_score(probabilities: npt.ArrayLike) -> float:
    r"""Return :math:`\exp \frac{1}{N} \sum_i KL(p(y | x_i) \| p(y))`, from 1 to C.

    `probabilities` (N, C) are a style classifier's. High if each melody is clearly of one style and
    the melodies are of many. NaN without a melody.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    if not len(given):
        return float("nan")
    logs = np.log(np.where(given > 0, given, 1.0))
    overall = given.mean(0)
    spread = np.log(np.where(overall > 0, overall, 1.0))
    return float(np.exp((given * (logs - spread)).sum(1).mean()))


def distances_by_style(
    features: Floats, styles: npt.ArrayLike, human: Floats, human_styles: npt.ArrayLike
) -> dict[int, float]:
    """Return the Fréchet distance of melodies to the human ones of their style, for each style.

    `features` (N, D) and `human` (M, D) are vectors of any kind, such as those of
    `musicgym.benchmarks.features`; the distance depends on their number, see
    `musicgym.benchmarks.likeness.frechet`. NaN for a style with fewer than two on one of the sides.
    """
    from musicgym.benchmarks.likeness import frechet  # which reads metrics itself

    own, others = np.asarray(styles), np.asarray(human_styles)
    return {
        int(style): frechet(features[own == style], human[others == style])
        for style in np.unique(np.concatenate([own, others]))
    }


def style_accuracy(probabilities: npt.ArrayLike, styles: npt.ArrayLike) -> float:
    """Return the share of melodies whose most likely class (N, C) is the style they have (N,)."""
    return float(accepted(probabilities, styles).mean())


def sequence_coherence(pieces: Pieces) -> Floats:
    r"""Return how alike successive bars are (N,), from 0 to 1.

    The mean cosine of the vectors of bar b and bar b + 1, over two kinds of vectors: the time that
    each pitch class sounds, and the steps where a note is struck. Pairs in which one of the two
    vectors is empty do not count. NaN where no pair is left.

    The paper gives a figure and no definition; this one is ours.
    """
    size, total = len(pieces.events), pieces.bars
    piece, step = np.nonzero(pieces.sounding)
    bar = piece * total + step // pieces.steps_per_bar
    heard = histograms(bar, pieces.pitch[pieces.sounding] % 12, size=size * total, bins=12)
    kinds: Sequence[npt.NDArray[np.int64]] = (
        heard.reshape(size, total, 12),
        pieces.onsets.astype(np.int64),
    )
    cosines, counted = [], []
    for bars in kinds:
        before, after = bars[:, :-1], bars[:, 1:]
        lengths = np.sqrt((before * before).sum(2) * (after * after).sum(2))  # (N, bars - 1)
        cosines.append((before * after).sum(2) / np.maximum(lengths, 1))
        counted.append(lengths > 0)
    return mean(np.concatenate(cosines, 1), np.concatenate(counted, 1))


FAMILY = (
    Metric("sequence_coherence", "ganorkar", "", "Likeness of successive bars", sequence_coherence),
)
