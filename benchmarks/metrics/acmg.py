"""The metrics of ACMG's Table 1 (of the sequence of struck notes) and of its figures.

An undefined value (no note, no interval) is NaN; a mean over melodies leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .metric import Floats, Metric, histograms, mean, ratio
from .pieces import Pieces

__all__ = [
    "FAMILY",
    "accepted",
    "autocorrelations",
    "distinct",
    "pitch_class_shares",
]

#: Triads as semitones above a root: major, minor, diminished, augmented.
TRIADS = ((0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8))
#: The pitch classes of all triads as twelve bits each; an augmented one has three roots.
TRIAD_MASKS = np.array(
    sorted({sum(1 << (r + t) % 12 for t in tones) for tones in TRIADS for r in range(12)})
)


# Repetition


def run_positions(pieces: Pieces) -> npt.NDArray[np.int64]:
    """Return for each note (N, M) its place, from 1, in its run of equal struck pitches; else 0."""
    pitch, there = pieces.line.pitch, pieces.line.present
    place = np.arange(pitch.shape[1])
    new = np.ones_like(there)
    new[:, 1:] = pitch[:, 1:] != pitch[:, :-1]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    return np.where(there, place - first + 1, 0)


def excessive_repetition(pieces: Pieces) -> Floats:
    r"""Return :math:`\sum_{runs} \max(0, run - 4) / notes` (N,); runs are of equal struck pitches.

    Reference: ACMG, Table 1, "repeated". NaN without a note.
    """
    return ratio((run_positions(pieces) > 4).sum(1), pieces.line.count)


def in_long_runs(pieces: Pieces) -> Floats:
    """Return the share of notes in runs of more than four equal struck pitches (N,).

    Reference: ACMG, Table 1, "repeated", the other reading: all notes of a long run count, not
    only those after its fourth. NaN without a note.
    """
    place = run_positions(pieces)
    return ratio((place > 4).sum(1) + 4 * (place == 5).sum(1), pieces.line.count)


# Autocorrelation


def autocorrelations(pieces: Pieces) -> Floats:
    r"""Return the autocorrelation of the struck pitches at lags 1, 2, 3: (N, 3).

    .. math:: r_k = \sum_t (x_t - \bar x)(x_{t+k} - \bar x) / \sum_t (x_t - \bar x)^2

    Reference: ACMG, Table 1; RL Tuner's table. Rests and lengths do not count. NaN with fewer than
    five notes or a single pitch.
    """
    found = correlations(pieces.line.pitch, pieces.line.present)
    return np.where(pieces.line.count[:, None] > 4, found, np.nan)


def correlations(values: npt.NDArray[np.int64], there: npt.NDArray[np.bool_]) -> Floats:
    """Return the autocorrelation at lags 1, 2, 3 of each row of values, those there: (N, 3).

    What is there stands left of what is not. NaN where all values are equal.
    """
    x = np.where(there, values - mean(values, there)[:, None], 0.0)
    x = np.where(np.abs(x) < 1e-9, 0.0, x)  # a mean is not exact: equal values have no power
    power = (x * x).sum(1)
    return np.stack([ratio((x[:, :-k] * x[:, k:]).sum(1), power) for k in (1, 2, 3)], 1)


def autocorrelation(pieces: Pieces) -> Floats:
    """Return the mean over lags 1 to 3 of `autocorrelations`, signs kept (N,)."""
    return np.asarray(autocorrelations(pieces).mean(1))


def autocorrelation_size(pieces: Pieces) -> Floats:
    """Return the mean over lags 1 to 3 of the absolute values of `autocorrelations` (N,)."""
    return np.asarray(np.abs(autocorrelations(pieces)).mean(1))


# Pitches


def outside_key(pieces: Pieces) -> Floats:
    """Return the share of struck notes outside the key (N,); minor has both 6ths and 7ths.

    Reference: ACMG, Table 1, "not a key note". NaN without a note.
    """
    return ratio((pieces.struck & ~pieces.in_scale).sum(1), pieces.line.count)


def under_octave(pieces: Pieces) -> Floats:
    """Return the share of intervals between struck notes that are under 12 semitones (N,).

    Reference: ACMG, Table 1, "within an octave". NaN with fewer than two notes.
    """
    return mean(np.abs(pieces.line.interval) < 12, pieces.line.present[:, 1:])


def unique_highest(pieces: Pieces) -> Floats:
    """Return whether the highest pitch is struck once (N,).

    Reference: ACMG, Table 1, "one maximum"; RL Tuner's table. NaN without a note.
    """
    return _unique(pieces, pieces.line.highest)


def unique_lowest(pieces: Pieces) -> Floats:
    """Return whether the lowest pitch is struck once (N,).

    Reference: ACMG, Table 1, "one minimum"; RL Tuner's table. NaN without a note.
    """
    return _unique(pieces, pieces.line.lowest)


def _unique(pieces: Pieces, pitch: npt.NDArray[np.int64]) -> Floats:
    times = (pieces.line.present & (pieces.line.pitch == pitch[:, None])).sum(1)
    return np.where(pieces.line.count > 0, times == 1, np.nan)


def ends_on_tonic(pieces: Pieces) -> Floats:
    """Return whether the last struck note is the tonic (N,). NaN without a note."""
    count = pieces.line.count
    last = np.take_along_axis(pieces.line.pitch, np.maximum(count - 1, 0)[:, None], 1)[:, 0]
    return np.where(count > 0, last % 12 == pieces.tonic, np.nan)


def pitch_range(pieces: Pieces) -> Floats:
    """Return the semitones from the lowest to the highest struck pitch (N,). NaN without a note."""
    return np.where(pieces.line.count > 0, pieces.line.highest - pieces.line.lowest, np.nan)


def onset_share(pieces: Pieces) -> Floats:
    """Return the share of steps that strike a note (N,). NaN without a step."""
    return ratio(pieces.line.count, pieces.struck.shape[1])


# The figures


def pitch_class_shares(pieces: Pieces) -> Floats:
    r"""Return the share of each pitch class over all notes of all melodies (12,).

    .. math:: P(k) = \sum_i n_{ik} / \sum_i \sum_j n_{ij}

    n_ik are the struck notes of melody i that lie k semitones above its tonic, octaves aside.
    Reference: ACMG, Eq. 11; there of C, here of the tonic. NaN without a note.
    """
    degree = (pieces.pitch - pieces.tonic[:, None]) % 12
    counts = np.bincount(degree[pieces.struck], minlength=12)
    return ratio(counts, counts.sum())


def chord_match(pieces: Pieces) -> Floats:
    """Return the share of sounding time whose pitch class is in the chord (N,).

    Reference: ACMG, Eq. 12-13, reading (B). Spans without a chord do not count. NaN in silence.
    """
    counted = pieces.sounding & (pieces.masks > 0)
    inside = counted & ((pieces.masks >> (pieces.pitch % 12)) & 1 == 1)
    return mean(inside, counted)


def triad_match(pieces: Pieces) -> Floats:
    r"""Return the share of chord spans whose triad no other triad fits better (N,).

    .. math:: M = \frac{1}{S} \sum_s [\max_{y \subseteq c_s} f_s(y) = \max_{y'} f_s(y')]

    A span s is a stretch of steps over one chord; f_s(y) is the time in it that sounds a tone of
    the triad y, one of the 40 major, minor, diminished and augmented ones.
    Reference: ACMG, Eq. 12-13, reading (A). Choices that are ours: of triads that fit equally well
    the given one counts (a single note fits three of each kind); a seventh chord is matched by any
    triad that it holds, Am7 by Am and by C. Spans without a chord, with a chord that holds no
    triad (sus2, sus4) and silent ones do not count; NaN where none is left.
    """
    new = np.ones(pieces.masks.shape, np.bool_)
    new[:, 1:] = pieces.masks[:, 1:] != pieces.masks[:, :-1]
    piece, start = np.nonzero(new)
    span = np.cumsum(new).reshape(new.shape) - 1  # (N, T) numbered through the batch
    fit = triad_fit(pieces, span, len(piece))
    given = pieces.masks[piece, start][:, None] & TRIAD_MASKS == TRIAD_MASKS
    counted = given.any(1) & fit.any(1)
    matched = counted & (np.where(given, fit, -1).max(1) == fit.max(1))
    size = len(pieces.masks)
    return ratio(np.bincount(piece[matched], minlength=size),
                 np.bincount(piece[counted], minlength=size))  # fmt: skip


def triad_fit(pieces: Pieces, span: npt.NDArray[np.int64], spans: int) -> npt.NDArray[np.int64]:
    """Return the steps of each span that sound a tone of each triad (spans, 40).

    Every step belongs to the span (N, T) whose number it bears.
    """
    heard = histograms(
        span[pieces.sounding], pieces.pitch[pieces.sounding] % 12, size=spans, bins=12
    )
    return np.asarray(heard @ (TRIAD_MASKS[:, None] >> np.arange(12) & 1).T)


# The style classifier


def accepted(probabilities: npt.ArrayLike, styles: npt.ArrayLike) -> Floats:
    """Return whether a classifier's most likely class is the wanted style (N,).

    Reference: ACMG, Table 1, "classical style", from the class probabilities (N, C) of any
    classifier. `styles` is one class or (N,). The first of equally likely classes is taken.
    """
    return np.asarray(np.argmax(probabilities, axis=1) == np.asarray(styles), dtype=np.float64)


def _lag(k: int) -> Callable[[Pieces], Floats]:
    def at_lag(pieces: Pieces) -> Floats:
        return autocorrelations(pieces)[:, k - 1]

    at_lag.__doc__ = f"Return `autocorrelations` at lag {k} (N,)."
    return at_lag


FAMILY = tuple(
    Metric(name, "acmg", unit, title, function)
    for name, unit, title, function in (
        ("excessive_repetition", "%", "Notes after four equal ones", excessive_repetition),
        ("in_long_runs", "%", "Notes in runs of more than four equal ones", in_long_runs),
        ("outside_key", "%", "Notes outside the key", outside_key),
        ("under_octave", "%", "Intervals under an octave", under_octave),
        ("unique_highest", "%", "Highest pitch struck once", unique_highest),
        ("unique_lowest", "%", "Lowest pitch struck once", unique_lowest),
        ("autocorrelation", "", "Autocorrelation of pitches, mean of lags 1-3", autocorrelation),
        ("autocorrelation_size", "", "The same, of absolute values", autocorrelation_size),
        ("autocorrelation_1", "", "Autocorrelation of pitches, lag 1", _lag(1)),
        ("autocorrelation_2", "", "Autocorrelation of pitches, lag 2", _lag(2)),
        ("autocorrelation_3", "", "Autocorrelation of pitches, lag 3", _lag(3)),
        ("chord_match", "%", "Sounding time on a chord tone", chord_match),
        ("triad_match", "%", "Chords that no other triad fits better", triad_match),
        ("ends_on_tonic", "%", "Last note is the tonic", ends_on_tonic),
        ("pitch_range", "st", "Lowest to highest pitch", pitch_range),
        ("onset_share", "%", "Steps that strike a note", onset_share),
    )
)


def distinct(pieces: Pieces) -> float:
    """Return the share of melodies whose events equal no earlier one's."""
    rows = np.unique(pieces.events, axis=0)
    return len(rows) / len(pieces.events)
