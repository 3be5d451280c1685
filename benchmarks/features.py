"""Features: a melody as 42 numbers, what human-likeness and diversity are measured on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from musicgym.meters import METERS

from .metrics.acmg import autocorrelations, chord_match, onset_share, outside_key, pitch_range
from .metrics.metric import Floats, histograms, mean, ratio
from .metrics.pieces import Pieces

__all__ = ["FAMILIES", "FEATURES", "MIDDLE", "features", "frame"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: The mean pitch that stands for a melody without a note, middle C.
MIDDLE = 60.0
#: The least interval in semitones of each bin after the first.
INTERVALS = (-7, -4, -2, 0, 1, 3, 5, 8)
#: The longest duration in quarter notes of each bin but the last.
DURATIONS = (0.5, 1.0, 1.5, 2.0, 3.0)
#: The four histograms, each with the names of its bins; the shares of a histogram sum to 1.
FAMILIES: dict[str, tuple[str, ...]] = {
    "pitch_class": tuple(f"degree_{semitones}" for semitones in range(12)),
    "interval": (
        *("down_sixth_or_more", "down_fourth_or_fifth", "down_third", "down_step", "repeated"),
        *("up_step", "up_third", "up_fourth_or_fifth", "up_sixth_or_more"),
    ),
    "duration": (
        *("up_to_eighth", "up_to_quarter", "up_to_dotted_quarter", "up_to_half"),
        *("up_to_dotted_half", "longer"),
    ),
    "onset_position": ("first_beat", "strong_beat", "weak_beat", "off_beat"),
}
SCALARS = (
    *("mean_pitch", "pitch_deviation", "pitch_range", "notes_per_quarter", "rest_share"),
    *("chord_match", "chord_match_on_strong_beats", "in_key", "autocorrelation"),
    *("direction_changes", "rhythm_of_last_bar"),
)
#: The names of the 42 features in their order.
FEATURES: tuple[str, ...] = (*(name for bins in FAMILIES.values() for name in bins), *SCALARS)


def features(pieces: Pieces) -> Floats:
    r"""Return the 42 `FEATURES` of each melody (N, 42).

    They hardly depend on the grid, the meter or the length: times are in quarter notes, positions
    are metrical strengths, counts are shares, and pitches are read in C major or A minor (moved
    there by at most a tritone). Melodies are taken to start on a bar line.

    - 12 ``degree_k``: share of sounding time k semitones above the tonic.
    - 9 intervals from one struck note to the next: share of intervals in each bin; a step is 1 or
      2 semitones, a third 3 or 4, a fourth or fifth 5 to 7, a sixth or more from 8.
    - 6 durations: share of notes no longer than an eighth, a quarter, ... and longer than the bin
      before.
    - 4 onset positions: share of notes struck on the first beat, on another strong beat, on a weak
      beat and off the beat.
    - ``mean_pitch``, ``pitch_deviation``, ``pitch_range`` of the struck notes, semitones.
    - ``notes_per_quarter``; ``rest_share`` of the time that is silent.
    - ``chord_match`` over sounding time, and at the instants of the strong beats; ``in_key``, the
      share of struck notes.
    - ``autocorrelation`` of the struck pitches at lag 1.
    - ``direction_changes``: share of turns among successive intervals, repeated notes left out.
    - ``rhythm_of_last_bar``: onsets at the place of an onset one bar before or after, as a share of
      the onsets in either (the Jaccard index of each bar with the next, pooled).

    Every melody has finite features. Where one is undefined (no note, one note, one pitch, no
    chord, one bar) it is 0, and the mean pitch of a melody without a note is middle C, 60. The
    autocorrelation needs five notes.
    """
    line, low = pieces.line, frame(pieces)[:, None]
    follows = line.present[:, 1:]
    moves = follows & (line.interval != 0)
    histogrammed = (
        (pieces.sounding, pieces.pitch - pieces.tonic[:, None], 12),
        (follows, np.searchsorted(INTERVALS, line.interval, side="right"), 9),
        (line.present, np.searchsorted(DURATIONS, line.duration * pieces.quarters_per_step), 6),
        (pieces.struck, np.broadcast_to(_positions(pieces), pieces.struck.shape), 4),
    )
    shares = [_shares(there, bins % size, size) for there, bins, size in histogrammed]
    average = np.nan_to_num(mean(line.pitch - low, line.present), nan=MIDDLE)
    around = (line.pitch - low - average[:, None]) ** 2
    strong = np.where(_positions(pieces) < 2, pieces.masks, 0)
    scalars = (
        average,
        np.sqrt(mean(around, line.present)),
        pitch_range(pieces),
        onset_share(pieces) / pieces.quarters_per_step,
        mean(~pieces.sounding, np.ones_like(pieces.sounding)),
        chord_match(pieces),
        chord_match(replace(pieces, masks=strong)),
        1 - outside_key(pieces),
        autocorrelations(pieces)[:, 0],
        _turns(line.interval, moves),
        _rhythm_of_last_bar(pieces),
    )
    columns = np.stack([np.nan_to_num(scalar, nan=0.0) for scalar in scalars], axis=1)
    return np.concatenate([*shares, columns], axis=1)


def frame(pieces: Pieces) -> Ints:
    """Return the semitones (N,) above C major or A minor, from -5 to 6."""
    return (pieces.tonic - np.where(pieces.minor, 9, 0) + 5) % 12 - 5


def _positions(pieces: Pieces) -> Ints:
    """Return each step's metrical strength (T,): 0 first beat, 1 strong, 2 weak, 3 off the beat."""
    meter = METERS[pieces.meter]
    step = np.arange(pieces.events.shape[1])
    beat = step // pieces.steps_per_beat % meter.beats
    on = np.where(beat == 0, 0, np.where(beat % meter.strong_every == 0, 1, 2))
    return np.where(step % pieces.steps_per_beat == 0, on, 3)


def _shares(there: Bools, bins: Ints, size: int) -> Floats:
    """Return the share of each bin (N, size) among the places (N, M) that count; 0 if none does."""
    counts = histograms(np.nonzero(there)[0], bins[there], len(there), size)
    return np.nan_to_num(ratio(counts, counts.sum(1, keepdims=True)), nan=0.0)


def _turns(interval: Ints, moves: Bools) -> Floats:
    """Return the share of successive moves (N, M) that turn round; NaN with fewer than two."""
    row, place = np.nonzero(moves)
    up = interval[row, place] > 0
    pair = row[1:] == row[:-1]
    turned = np.bincount(row[1:][pair & (up[1:] != up[:-1])], minlength=len(moves))
    return ratio(turned, np.bincount(row[1:][pair], minlength=len(moves)))


def _rhythm_of_last_bar(pieces: Pieces) -> Floats:
    """Return the onsets that each bar and the next share over the onsets of either (N,)."""
    before, after = pieces.onsets[:, :-1], pieces.onsets[:, 1:]
    return ratio((before & after).sum((1, 2)), (before | after).sum((1, 2)))
