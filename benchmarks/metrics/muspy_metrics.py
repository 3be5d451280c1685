"""MusPy's metrics of pitches, scale and rhythm.

Reference: H.-W. Dong et al., "MusPy: a toolkit for symbolic music generation", 2020, and the papers
it names. Values equal those of `muspy` 0.5 (a test compares them) but for three differences.
In MusPy a note that ends on a bar line or on a beat reaches into the next bar or beat, so that an
empty last bar is added (two equal bars have a groove consistency under 1); here it does not.
MusPy's music ends with its last note; here with the last step. MusPy's beats are quarter notes;
here they are the meter's (an eighth in 6/8). Its pitch range is `acmg.pitch_range`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musicgym.theory import SCALES

from .metric import Floats, Metric, entropy, histograms, mean, ratio
from .pieces import Pieces

__all__ = ["FAMILY", "degree_counts"]

#: (mode, degree) whether the degree, 0 to 11 above the tonic, is in the scale; minor is natural.
IN_SCALE = np.array([[degree in SCALES[mode] for degree in range(12)] for mode in SCALES])


def degree_counts(pieces: Pieces) -> npt.NDArray[np.int64]:
    """Return how many notes lie 0 to 11 semitones above the tonic, octaves aside (N, 12)."""
    degrees = (pieces.pitch - pieces.tonic[:, None]) % 12
    return _counts(pieces, degrees, 12)


def _counts(pieces: Pieces, values: npt.NDArray[np.int64], bins: int) -> npt.NDArray[np.int64]:
    rows = np.nonzero(pieces.struck)[0]
    return histograms(rows, values[pieces.struck], size=len(pieces.events), bins=bins)


def pitches_used(pieces: Pieces) -> Floats:
    """Return the number of different pitches struck (N,)."""
    return np.asarray((_counts(pieces, pieces.pitch, 256) > 0).sum(1), dtype=np.float64)


def pitch_classes_used(pieces: Pieces) -> Floats:
    """Return the number of different pitch classes struck (N,)."""
    return np.asarray((degree_counts(pieces) > 0).sum(1), dtype=np.float64)


def pitch_entropy(pieces: Pieces) -> Floats:
    r"""Return the entropy of the struck pitches in bits (N,).

    .. math:: H = -\sum_p P(p) \log_2 P(p)

    NaN without a note.
    """
    return entropy(_counts(pieces, pieces.pitch, 256))


def pitch_class_entropy(pieces: Pieces) -> Floats:
    """Return the entropy of the struck pitch classes in bits (N,). NaN without a note."""
    return entropy(degree_counts(pieces))


def pitch_in_scale(pieces: Pieces) -> Floats:
    """Return the share of notes in the scale of the key, minor natural (N,).

    `acmg.outside_key` allows minor its raised degrees too. NaN without a note.
    """
    counts = degree_counts(pieces)
    inside = (counts * IN_SCALE[pieces.minor.astype(np.int64)]).sum(1)
    return ratio(inside, counts.sum(1))


def scale_consistency(pieces: Pieces) -> Floats:
    """Return the share of notes in the major or natural minor scale that holds most of them (N,).

    NaN without a note.
    """
    counts = degree_counts(pieces)
    scales = np.stack([np.roll(scale, root) for scale in IN_SCALE for root in range(12)])
    return ratio((counts @ scales.T).max(1), counts.sum(1))


def groove_consistency(pieces: Pieces) -> Floats:
    r"""Return how alike the onsets of successive bars are (N,), from 0 to 1.

    .. math:: 1 - \frac{1}{(B - 1) S} \sum_b d(G_b, G_{b+1})

    G_b are the S steps of bar b, 1 where a note is struck; d counts the steps that differ.
    NaN with fewer than two bars or without a note.
    """
    bars = pieces.onsets
    differ = (bars[:, 1:] != bars[:, :-1]).sum((1, 2))
    places = max(bars.shape[1] - 1, 0) * bars.shape[2]
    return 1 - ratio(differ, np.where(pieces.line.count > 0, places, 0))


def empty_beats(pieces: Pieces) -> Floats:
    """Return the share of beats in which nothing sounds (N,). NaN without a step."""
    return _empty(pieces, pieces.steps_per_beat)


def empty_bars(pieces: Pieces) -> Floats:
    """Return the share of bars in which nothing sounds (N,). NaN without a step."""
    return _empty(pieces, pieces.steps_per_bar)


def _empty(pieces: Pieces, width: int) -> Floats:
    size, steps = pieces.sounding.shape
    spans = -(-steps // width)
    whole = np.zeros((size, spans * width), np.bool_)  # an incomplete last span ends in silence
    whole[:, :steps] = pieces.sounding
    silent = ~whole.reshape(size, spans, width).any(2)
    return mean(silent, np.ones_like(silent))


FAMILY = tuple(
    Metric(name, "muspy", unit, title, function)
    for name, unit, title, function in (
        ("pitches_used", "", "Different pitches", pitches_used),
        ("pitch_classes_used", "", "Different pitch classes", pitch_classes_used),
        ("pitch_entropy", "bits", "Entropy of the pitches", pitch_entropy),
        ("pitch_class_entropy", "bits", "Entropy of the pitch classes", pitch_class_entropy),
        ("pitch_in_scale", "%", "Notes in the key's scale, minor natural", pitch_in_scale),
        ("scale_consistency", "%", "Notes in the scale that fits best", scale_consistency),
        ("groove_consistency", "%", "Onsets that agree in successive bars", groove_consistency),
        ("empty_beats", "%", "Beats without a sound", empty_beats),
        ("empty_bars", "%", "Bars without a sound", empty_bars),
    )
)
