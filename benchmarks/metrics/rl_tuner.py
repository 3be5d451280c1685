"""The metrics of RL Tuner's table: how often melodies keep to the rules of counterpoint.

Reference: N. Jaques et al., "Tuning recurrent neural networks with reinforcement learning",
arXiv 1611.02796, Table 1, and the public code of its evaluation. As there, shares are over all
events, holds and rests too. Its autocorrelations and its unique extremes are those of `acmg`.

Departs from it: a hold is a hold and never a note; the tonic counts in any octave. The original
counts holds among the repeated notes and correlates event numbers, holds and rests among them: its
figures compare with `repeated_as_published` and `event_autocorrelation_1` to 3 only. Where a metric
reads windows of eight events, its grid was sixteenths, so that a window was half a bar.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musicgym.events import FIRST_NOTE, HOLD, REST

from .acmg import correlations, run_positions
from .metric import Floats, Metric, mean, ratio
from .pieces import Bools, Pieces

__all__ = ["FAMILY"]

#: A motif is looked for in so many events, and has so many different pitches.
WINDOW, DISTINCT = 8, 3
#: Semitones from which an interval is a leap.
LEAP = 7


def _over_events(flags: Bools, pieces: Pieces) -> Floats:
    return ratio(flags.sum(1), pieces.events.shape[1])


def repeated(pieces: Pieces) -> Floats:
    """Return the share of events that repeat too often (N,).

    Too often are: the sixth equal note and those after it; the eighth, where holds or rests lie
    between them; the third step of a silence and those after it. NaN without a step.
    """
    line, place = pieces.line, run_positions(pieces)
    index = np.arange(place.shape[1]) - np.maximum(place - 1, 0)  # the first note of the run
    close = line.onset - np.take_along_axis(line.onset, index, 1) == place - 1
    many = (place >= 8) | (place >= 6) & close
    silence = _places(~pieces.sounding)
    return ratio(many.sum(1) + (silence >= 3).sum(1), pieces.events.shape[1])


def repeated_as_published(pieces: Pieces) -> Floats:
    """Return the share of events that repeat too often, holds counted as notes (N,).

    As `repeated`, but every event that equals those before it counts, so that a note held for
    seven steps repeats too often. This is how the published figures are counted.
    NaN without a step.
    """
    size, steps = pieces.events.shape
    many = np.zeros((size, steps), np.bool_)
    written = np.where(pieces.sounding, pieces.events, REST)
    holds, rests, equal, last = np.zeros((4, size), np.int64)  # holds and rests: since any note
    between = np.zeros(size, np.bool_)  # whether there is one since the last different note
    for t in range(steps):
        event = written[:, t]
        hold, rest, note = event == HOLD, event == REST, event >= FIRST_NOTE
        again = note & (event == last)
        many[:, t] = (
            hold & (holds > 4)
            | rest & (rests > 1)
            | again & (equal > np.where(between | (holds + rests > 0), 6, 4))
        )
        between = np.where(note, between & again | (holds + rests > 0), between)
        holds, rests = np.where(note, 0, holds + hold), np.where(note, 0, rests + rest)
        equal = np.where(note, 1 + equal * again, equal)
        last = np.where(note, event, last)
    return _over_events(many, pieces)


def event_autocorrelations(pieces: Pieces) -> Floats:
    """Return the autocorrelation of the event numbers at lags 1, 2, 3 (N, 3), as published.

    See `acmg.autocorrelations`, which is of pitches. A hold is 0, a rest 1, the lowest pitch 2, so
    that it tells rhythm (a note, then a hold: below 0) and hardly pitch. NaN if all are equal.
    """
    written = np.where(pieces.sounding, pieces.events, REST)
    return correlations(written, np.ones_like(pieces.sounding))


def not_in_key(pieces: Pieces) -> Floats:
    """Return the share of events that strike a note outside the key (N,); see `acmg.outside_key`.

    NaN without a step.
    """
    return _over_events(pieces.struck & ~pieces.in_scale, pieces)


def starts_on_tonic(pieces: Pieces) -> Floats:
    """Return whether the first event strikes the tonic (N,). NaN without a step."""
    first = (pieces.struck & (pieces.pitch % 12 == pieces.tonic[:, None]))[:, :1]
    return mean(first, np.ones_like(first))


def leaps_resolved(pieces: Pieces) -> float:
    """Return the share of leaps that were resolved, of those resolved or doubled.

    After a leap of seven semitones or more a note at or past the one it departed from resolves it,
    and a leap on in the same direction doubles it (and it stays open); until it is resolved no new
    one begins. All melodies are counted together, as in the original; NaN if no leap was either.
    Departs from it: a leap back resolves at once (there only after six events), and one that does
    not reach the departure leaves the leap open (there it closes it).
    """
    pitch, there = pieces.line.pitch, pieces.line.present
    direction = np.zeros(len(pitch), np.int64)  # of the open leap, 0 = none
    departure = np.zeros(len(pitch), np.int64)
    resolved = doubled = 0
    for i in range(1, pitch.shape[1]):
        step = np.where(there[:, i], pitch[:, i] - pitch[:, i - 1], 0)
        leap = np.where(np.abs(step) >= LEAP, np.sign(step), 0)
        back = there[:, i] & (direction * (pitch[:, i] - departure) <= 0) & (direction != 0)
        begun = (leap != 0) & (direction == 0)
        resolved += int(back.sum())
        doubled += int(((leap == direction) & (direction != 0)).sum())
        departure = np.where(begun, pitch[:, i - 1], departure)
        direction = np.where(back, 0, np.where(begun, leap, direction))
    return float(ratio(resolved, resolved + doubled))


def in_motif(pieces: Pieces) -> Floats:
    """Return the share of events that end eight events with three or more different pitches (N,).

    Only struck pitches count. NaN with fewer than eight steps.
    """
    if pieces.events.shape[1] < WINDOW:
        return np.full(len(pieces.events), np.nan)
    return _over_events(_motifs(pieces), pieces)


def in_repeated_motif(pieces: Pieces) -> Floats:
    """Return the share of events that end a motif which occurred before, without overlap (N,).

    A motif is that of `in_motif`; it occurred before if its eight events, holds and rests too,
    are equal. NaN with fewer than eight steps.
    """
    if pieces.events.shape[1] < WINDOW:
        return np.full(len(pieces.events), np.nan)
    written = np.where(pieces.sounding, pieces.events, REST)
    windows = np.lib.stride_tricks.sliding_window_view(written, WINDOW, axis=1)
    size, places = len(windows), windows.shape[1]
    codes = np.zeros((size, places), np.int64)
    for event in range(WINDOW):  # two windows have one code if and only if they are equal
        _, codes = np.unique(codes * 256 + windows[:, :, event], return_inverse=True)
        codes = codes.reshape(size, places)
    keys = np.arange(size)[:, None] * codes.size + codes
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    before = first[inverse.reshape(size, places)] % places  # its first place in the piece
    again = np.arange(places) - before >= WINDOW
    return _over_events(_motifs(pieces) & again, pieces)


def _at_lag(lag: int) -> Metric:
    def function(pieces: Pieces) -> Floats:
        return event_autocorrelations(pieces)[:, lag - 1]

    name, title = f"event_autocorrelation_{lag}", f"Autocorrelation of event numbers, lag {lag}"
    return Metric(name, "rl_tuner", "", title, function)


def _motifs(pieces: Pieces) -> Bools:
    """Return whether eight events from each step on are a motif (N, T - 7)."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.where(pieces.struck, pieces.events, -1), WINDOW, axis=1
    )
    ordered = np.sort(windows, axis=2)
    new = (ordered[:, :, 1:] != ordered[:, :, :-1]).sum(2) + (ordered[:, :, 0] >= 0)
    return np.asarray(new >= DISTINCT)


def _places(flags: Bools) -> npt.NDArray[np.int64]:
    """Return for each place (N, T) how many places up to it, unbroken, are true."""
    index = np.arange(1, flags.shape[1] + 1)
    return np.asarray(index - np.maximum.accumulate(np.where(flags, 0, index), axis=1))


FAMILY = (
    *(
        Metric(name, "rl_tuner", "%", title, function)
        for name, title, function in (
            ("repeated", "Events that repeat too often", repeated),
            ("repeated_as_published", "The same, holds counted as notes", repeated_as_published),
            ("not_in_key", "Events that strike a note outside the key", not_in_key),
            ("starts_on_tonic", "First event strikes the tonic", starts_on_tonic),
            ("leaps_resolved", "Leaps resolved, of those resolved or doubled", leaps_resolved),
            ("in_motif", "Events that end a motif", in_motif),
            ("in_repeated_motif", "Events that end a motif heard before", in_repeated_motif),
        )
    ),
    *(_at_lag(lag) for lag in (1, 2, 3)),
)
