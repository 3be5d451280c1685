"""The metrics of Zhao et al., at 120 quarter notes a minute.

The paper gives names and no formulas, so that the formulas are ours. Emotional consistency is read
from five numbers of a melody, see `musicgym.emotion`; only what was asked for an emotion has one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from musicgym.emotion import EMOTIONS, EmotionTargets, distances, emotion_of, number
from musicgym.meters import METERS

from .acmg import TRIAD_MASKS, triad_fit
from .metric import Floats, Measured, Metric, entropy, histograms, mean, ratio
from .pieces import Pieces

__all__ = ["FAMILY", "bleu", "emotion_figures", "emotions"]

#: Seconds of a quarter note.
QUARTER = 0.5
#: N-grams of intervals are numbers to this base.
BASE = 512


def _seconds_per_step(pieces: Pieces) -> float:
    return QUARTER * pieces.quarters_per_step


def _waits(pieces: Pieces) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the steps from each onset to the next (N, M - 1) and whether there is a next."""
    there = pieces.line.present[:, 1:]
    return np.where(there, np.diff(pieces.line.onset, axis=1), 0), there


def duration(pieces: Pieces) -> Floats:
    """Return the seconds from the first step to the end of the last note (N,).

    NaN without a note.
    """
    ends = np.where(pieces.line.present, pieces.line.onset + pieces.line.duration, 0).max(1)
    return np.where(pieces.line.count > 0, ends * _seconds_per_step(pieces), np.nan)


def pitch_variation(pieces: Pieces) -> Floats:
    """Return the mean absolute interval between successive notes in semitones (N,).

    NaN with fewer than two notes.
    """
    return mean(np.abs(pieces.line.interval), pieces.line.present[:, 1:])


def rhythm_diversity(pieces: Pieces) -> Floats:
    r"""Return the entropy of the times between successive onsets in bits (N,).

    .. math:: H = -\sum_d P(d) \log_2 P(d)

    NaN with fewer than two notes.
    """
    waits, there = _waits(pieces)
    size, steps = pieces.events.shape
    return entropy(histograms(np.nonzero(there)[0], waits[there], size=size, bins=steps + 1))


def harmonic_richness(pieces: Pieces) -> Floats:
    """Return how often the triad that the melody implies changes (N,).

    A span goes from one strong beat to the next (half a bar of 4/4, a bar of 3/4). It implies the
    triads, of the 40 major, minor, diminished and augmented ones, whose tones sound longest in it;
    they are often several, and the changes are the fewest that lead through all spans. Silent
    spans imply nothing. NaN without a note.
    """
    size, steps = pieces.events.shape
    width = METERS[pieces.meter].strong_every * pieces.steps_per_beat
    spans = -(-steps // width)
    span = np.arange(steps) // width + spans * np.arange(size)[:, None]
    fit = triad_fit(pieces, span, size * spans).reshape(size, spans, len(TRIAD_MASKS))
    implied = fit == fit.max(2, keepdims=True)  # (N, spans, 40), all of them in silence
    changes, kept = np.zeros(size), np.ones((size, len(TRIAD_MASKS)), np.bool_)
    for s in range(spans):  # a triad is kept as long as one fits all spans since the last change
        both = kept & implied[:, s]
        change = ~both.any(1)
        changes += change
        kept = np.where(change[:, None], implied[:, s], both)
    return np.where(pieces.line.count > 0, changes, np.nan)


def melodic_complexity(pieces: Pieces) -> Floats:
    """Return the notes a second, up to the end of the last note (N,). NaN without a note."""
    return ratio(pieces.line.count, np.nan_to_num(duration(pieces)))


def pitch_stability(pieces: Pieces) -> Floats:
    """Return the standard deviation of the struck pitches in semitones (N,). NaN without a note."""
    pitch, there = pieces.line.pitch, pieces.line.present
    return np.sqrt(mean((pitch - mean(pitch, there)[:, None]) ** 2, there))


def mean_wait(pieces: Pieces) -> Floats:
    """Return the mean time from one onset to the next in seconds (N,).

    NaN with fewer than two notes.
    """
    waits, there = _waits(pieces)
    return mean(waits, there) * _seconds_per_step(pieces)


def rhythm_continuity(pieces: Pieces) -> Floats:
    """Return the mean absolute change from one time between onsets to the next, in seconds (N,).

    0 is an even pulse. NaN with fewer than three notes.
    """
    waits, _ = _waits(pieces)
    changes = mean(np.abs(np.diff(waits, axis=1)), pieces.line.present[:, 2:])
    return changes * _seconds_per_step(pieces)


def note_repetition(pieces: Pieces) -> Floats:
    """Return the share of notes that repeat the pitch before them (N,), the first left out.

    NaN with fewer than two notes.
    """
    return mean(pieces.line.interval == 0, pieces.line.present[:, 1:])


def bleu(pieces: Pieces, reference: Pieces, order: int) -> float:
    r"""Return BLEU of the melodies' interval sequences, from 0 to 1.

    .. math:: B_n = e^{\min(0, 1 - r/c)} (p_1 p_2 \cdots p_n)^{1/n}

    p_k is the share of k-grams of intervals, over all melodies together, that a reference holds:
    each counts at most as often as in the one reference that has it most often. c is the number of
    intervals, r that of the references nearest in length (of two, the shorter). No smoothing; a
    set measured against itself scores 1. NaN if there is no interval on one of the sides.

    Reference: K. Papineni et al., "BLEU", 2002. What Zhao et al. count is not said; intervals
    make it independent of the key.
    """
    own, other = (np.maximum(side.line.count - 1, 0) for side in (pieces, reference))
    if not own.any() or not other.any():
        return float("nan")
    nearest = 2 * np.abs(other - own[:, None]) + (other > own[:, None])
    closest = other[np.argmin(nearest, axis=1)].sum()
    precisions = [_precision(pieces, reference, k) for k in range(1, order + 1)]
    if min(precisions) == 0:
        return 0.0
    penalty = min(0.0, 1 - closest / own.sum())
    return float(np.exp(penalty + np.mean(np.log(precisions))))


def _precision(pieces: Pieces, reference: Pieces, order: int) -> float:
    """Return the clipped precision of n-grams; 0 if the melodies have none."""
    _, grams, times = _grams(pieces, order)
    _, known, most = _grams(reference, order)
    names, index = np.unique(known, return_inverse=True)
    limit = np.zeros(len(names) + 1, np.int64)
    np.maximum.at(limit, index, most)
    place = np.searchsorted(names, grams)
    found = np.append(names, -1)[place] == grams
    return float(np.minimum(times, np.where(found, limit[place], 0)).sum() / max(times.sum(), 1))


def _grams(
    pieces: Pieces, order: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (melody, n-gram of intervals, how often) for each n-gram in each melody."""
    line = pieces.line
    width = max(line.interval.shape[1] - order + 1, 0)
    code = np.zeros((len(line.interval), width), np.int64)
    for k in range(order):
        code = code * BASE + line.interval[:, k : k + width] + BASE // 2
    there = line.present[:, order:] if width else np.zeros(code.shape, np.bool_)
    pairs = np.stack([np.nonzero(there)[0], code[there]], 1)
    unique, times = np.unique(pairs, axis=0, return_counts=True)
    return unique[:, 0], unique[:, 1], times


def emotions(pieces: Pieces) -> Floats:
    """Return the five numbers that emotions are told by (N, 5), see `musicgym.emotion.emotion`.

    Every melody has finite ones.
    """
    return np.asarray(emotion_of(pieces.events, pieces.low, pieces.tonic))


def emotion_figures(
    pieces: Pieces, known: EmotionTargets, asked: str | Sequence[str] | None = None
) -> dict[str, Measured]:
    """Return how a set of N melodies stands to the emotions, the mode left out.

    ``emotion_sad`` and so on are the shares whose nearest emotion it is, ``emotion_distance`` the
    mean distance to the nearest, see `musicgym.emotion.distances`. Where an emotion was asked for,
    one or one a melody, ``emotional_consistency`` is the share nearest to it, and
    ``asked_emotion_distance`` the mean distance to it. Humans were not asked: their shares say what
    melodies that ignore the question score.
    """
    away = distances(emotions(pieces), known)  # (N, 5)
    heard, total = away.argmin(1), len(away)
    figures = {f"emotion_{name}": float((heard == k).mean()) for k, name in enumerate(EMOTIONS)}
    figures["emotion_distance"] = float(away.min(1).mean())
    if asked is not None:
        names = [asked] * total if isinstance(asked, str) else list(asked)
        wanted = np.array([number(name) for name in names])
        figures["emotional_consistency"] = float((heard == wanted).mean())
        figures["asked_emotion_distance"] = float(away[np.arange(total), wanted].mean())
    return {name: Measured(value, total, total) for name, value in figures.items()}


def _bleu(order: int) -> Metric:
    def at_order(pieces: Pieces, reference: Pieces) -> float:
        return bleu(pieces, reference, order)

    title = f"Interval sequences shared with the reference, up to {order} in a row"
    return Metric(f"bleu_{order}", "zhao", "", title, at_order, against=True)


FAMILY = (
    *(
        Metric(name, "zhao", unit, title, function)
        for name, unit, title, function in (
            ("duration", "s", "Time to the end of the last note", duration),
            ("pitch_variation", "st", "Mean absolute interval", pitch_variation),
            ("rhythm_diversity", "bits", "Entropy of the times between onsets", rhythm_diversity),
            ("harmonic_richness", "", "Changes of the implied triad", harmonic_richness),
            ("melodic_complexity", "", "Notes a second", melodic_complexity),
            ("pitch_stability", "st", "Standard deviation of the pitches", pitch_stability),
            ("rhythm_continuity", "s", "Change between times between onsets", rhythm_continuity),
            ("note_repetition", "%", "Notes that repeat the pitch before", note_repetition),
        )
    ),
    *(_bleu(order) for order in (1, 2, 3, 4)),
)
