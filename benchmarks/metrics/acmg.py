"""The note-sequence metrics of ACMG's Table 1 and of its figures.

An undefined value (no note, no interval) is NaN; a mean over melodies leaves it out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .pieces import Pieces

__all__ = ["METRICS", "distinct", "table"]

Floats = npt.NDArray[np.float64]


def _over(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)


def excessive_repetition(pieces: Pieces) -> Floats:
    r"""Return :math:`\sum_{runs} \max(0, run - 4) / notes` (N,); runs are of equal struck pitches.

    Reference: ACMG, Table 1, "repeated". NaN without a note.
    """
    values = []
    for notes in pieces.notes:
        edges = np.flatnonzero(np.diff(notes)) + 1
        runs = np.diff([0, *edges, len(notes)])
        values.append(np.maximum(runs - 4, 0).sum() / len(notes) if len(notes) else np.nan)
    return _over(values)


def outside_key(pieces: Pieces) -> Floats:
    """Return the share of struck notes outside the key (N,); minor has both 6ths and 7ths.

    Reference: ACMG, Table 1, "not a key note". NaN without a note.
    """
    count = pieces.struck.sum(1)
    outside = (pieces.struck & ~pieces.in_scale).sum(1)
    return np.where(count > 0, outside / np.maximum(count, 1), np.nan)


def under_octave(pieces: Pieces) -> Floats:
    """Return the share of intervals between struck notes that are under 12 semitones (N,).

    Reference: ACMG, Table 1, "within an octave". NaN with fewer than two notes.
    """
    gaps = (np.abs(np.diff(notes)) for notes in pieces.notes)
    return _over([float((g < 12).mean()) if len(g) else np.nan for g in gaps])


def autocorrelation(pieces: Pieces) -> Floats:
    r"""Return the mean over lags 1 to 3 of the autocorrelation of the struck pitches (N,).

    .. math:: r_k = \sum_t (x_t - \bar x)(x_{t+k} - \bar x) / \sum_t (x_t - \bar x)^2

    Reference: ACMG, Table 1. NaN with fewer than five notes or a single pitch.
    """
    values = []
    for notes in pieces.notes:
        x = notes - notes.mean() if len(notes) else notes
        power = float((x * x).sum())
        lags = [float((x[:-k] * x[k:]).sum()) / power for k in (1, 2, 3)] if power else []
        values.append(float(np.mean(lags)) if lags and len(notes) > 4 else np.nan)
    return _over(values)


def unique_highest(pieces: Pieces) -> Floats:
    """Return whether the highest pitch is struck once (N,). NaN without a note."""
    return _over([float((n == n.max()).sum() == 1) if len(n) else np.nan for n in pieces.notes])


def unique_lowest(pieces: Pieces) -> Floats:
    """Return whether the lowest pitch is struck once (N,). NaN without a note."""
    return _over([float((n == n.min()).sum() == 1) if len(n) else np.nan for n in pieces.notes])


def chord_match(pieces: Pieces) -> Floats:
    """Return the share of sounding time whose pitch class is in the chord (N,).

    Reference: ACMG, Eq. 12-13, reading (B). Spans without a chord do not count. NaN in silence.
    """
    counted = pieces.sounding & (pieces.masks > 0)
    inside = counted & ((pieces.masks >> (pieces.pitch % 12)) & 1 == 1)
    return np.where(counted.any(1), inside.sum(1) / np.maximum(counted.sum(1), 1), np.nan)


def ends_on_tonic(pieces: Pieces) -> Floats:
    """Return whether the last struck note is the tonic (N,). NaN without a note."""
    pairs = zip(pieces.notes, pieces.tonic, strict=True)
    return _over([float(n[-1] % 12 == tonic) if len(n) else np.nan for n, tonic in pairs])


def pitch_range(pieces: Pieces) -> Floats:
    """Return the semitones from the lowest to the highest struck pitch (N,). NaN without a note."""
    return _over([float(np.ptp(n)) if len(n) else np.nan for n in pieces.notes])


def onset_share(pieces: Pieces) -> Floats:
    """Return the share of steps that strike a note (N,)."""
    return np.asarray(pieces.struck.mean(1), dtype=np.float64)


METRICS: dict[str, tuple[Callable[[Pieces], Floats], str]] = {
    "excessive_repetition": (excessive_repetition, "%"),
    "outside_key": (outside_key, "%"),
    "under_octave": (under_octave, "%"),
    "chord_match": (chord_match, "%"),
    "ends_on_tonic": (ends_on_tonic, "%"),
    "pitch_range": (pitch_range, "st"),
    "onset_share": (onset_share, "%"),
    "autocorrelation": (autocorrelation, ""),
    "unique_highest": (unique_highest, "%"),
    "unique_lowest": (unique_lowest, "%"),
}


def distinct(pieces: Pieces) -> float:
    """Return the share of melodies whose events equal no earlier one's."""
    rows = np.unique(pieces.events, axis=0)
    return len(rows) / len(pieces.events)


def table(pieces: Pieces) -> dict[str, float]:
    """Return the mean of every metric over the melodies that it is defined on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all undefined: the mean is NaN
        means = {name: float(np.nanmean(metric(pieces))) for name, (metric, _) in METRICS.items()}
    return {**means, "distinct": distinct(pieces)}
