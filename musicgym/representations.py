"""A melody in the forms that papers feed to their models, and back into events.

============= ======================================= =============================================
form          content                                 who uses it
============= ======================================= =============================================
piano roll    128 x T of 0 and 1: the pitch sounds at  the study that compares an LSTM with a VAE on
              the step or not                          MIDI
note events   (time, pitch, velocity), one row for     Ganorkar & Rathkanthiwar (CVAE and
              each start and each end of a note        conditional GAN)
============= ======================================= =============================================

Both are made from and read into the events of `musicgym.events`, which stay the one alphabet of
environments, rewards and metrics. A binary roll has a weakness: a note struck again looks like
one long note. So a roll here comes with the roll of its onsets. From the two together a melody
comes back exactly; from the first alone, notes of one pitch without a gap are joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .events import Note, from_notes, to_notes

__all__ = [
    "PITCHES",
    "NoteEvent",
    "PianoRoll",
    "from_note_events",
    "from_piano_roll",
    "seconds_per_step",
    "to_note_events",
    "to_piano_roll",
]

#: The number of MIDI pitches, and so of the rows of a piano roll.
PITCHES = 128

#: A time may lie this share of a step beside the grid.
_TOLERANCE = 0.01


class PianoRoll(NamedTuple):
    """A melody, or a batch of melodies, as two binary rolls.

    Attributes:
        sounding: uint8 (128, T) or (N, 128, T), 1 where the pitch sounds at the step.
        onsets: the same shape, 1 where the pitch is struck at the step.
    """

    sounding: NDArray[np.uint8]
    onsets: NDArray[np.uint8]


class NoteEvent(NamedTuple):
    """The start of a note, or its end.

    Attributes:
        time: from the beginning of the melody, in the unit that was asked for.
        pitch: a MIDI number.
        velocity: 1 to 127 at the start of a note, 0 at its end, as MIDI has it.
    """

    time: float
    pitch: int
    velocity: int


def to_piano_roll(events: ArrayLike, low: int) -> PianoRoll:
    """Return the binary piano roll of a melody, and the roll of its onsets.

    Args:
        events: (T,), or (N, T) for a batch, such as the events of
            `musicgym.corpus.dataset.windows`.
        low: the MIDI pitch of event 2.

    Raises:
        ValueError: the events have another shape, are no whole numbers of 0 or more, or a pitch
            lies outside 0 to 127.

    >>> roll = to_piano_roll([2, 0, 1, 6], low=60)  # C4 for two steps, a rest, E4
    >>> roll.sounding.shape, roll.sounding[60].tolist(), roll.sounding[64].tolist()
    ((128, 4), [1, 1, 0, 0], [0, 0, 0, 1])
    >>> roll.onsets[60].tolist()
    [1, 0, 0, 0]
    """
    table = np.asarray(events)
    if table.ndim not in (1, 2):
        raise ValueError(f"events: the shape {table.shape} is neither (T,) nor (N, T).")
    if table.size and (table.dtype.kind not in "iu" or table.min() < 0):
        raise ValueError("events: they must be whole numbers of 0 or more.")
    rows = np.atleast_2d(table)
    sounding = np.zeros((len(rows), PITCHES, rows.shape[1]), np.uint8)
    onsets = np.zeros_like(sounding)
    for row, on, struck in zip(rows.tolist(), sounding, onsets, strict=True):
        for onset, duration, pitch in to_notes(row, low):
            if not 0 <= pitch < PITCHES:
                raise ValueError(f"events: the pitch {pitch} at step {onset} is not from 0 to 127.")
            on[pitch, onset : onset + duration] = 1
            struck[pitch, onset] = 1
    shape = (*table.shape[:-1], PITCHES, table.shape[-1])
    return PianoRoll(sounding.reshape(shape), onsets.reshape(shape))


def from_piano_roll(
    sounding: ArrayLike, onsets: ArrayLike | None = None, *, low: int, high: int
) -> NDArray[np.uint8]:
    """Return the events (T,) or (N, T) of a monophonic binary piano roll.

    A note begins where the pitch that sounds changes and where `onsets` has a 1. With the onsets
    this undoes `to_piano_roll`; without them a note struck again is one with the note before.

    Args:
        sounding: (128, T) or (N, 128, T), of 0 and 1 or of booleans.
        onsets: the same shape; None if it is not known where notes are struck again.
        low: the MIDI pitch of event 2.
        high: the highest MIDI pitch of the events.

    Raises:
        ValueError: a shape or a value is wrong, two pitches sound together, a pitch lies outside
            `low` to `high`, or one is struck that does not sound.

    >>> roll = to_piano_roll([2, 2, 1, 6], low=60)
    >>> from_piano_roll(*roll, low=60, high=72).tolist()
    [2, 2, 1, 6]
    >>> from_piano_roll(roll.sounding, low=60, high=72).tolist()
    [2, 0, 1, 6]
    """
    on = _binary("sounding", sounding)
    struck = np.zeros_like(on) if onsets is None else _binary("onsets", onsets)
    if struck.shape != on.shape:
        raise ValueError(f"onsets: the shape {struck.shape} is not that of the roll, {on.shape}.")
    steps = on.shape[-1]
    rolls, marks = (on[None], struck[None]) if on.ndim == 2 else (on, struck)
    for where, problem in (
        (rolls.sum(axis=1) > 1, "two pitches or more sound together; a melody has one at a time"),
        ((marks > rolls).any(axis=1), "a pitch is struck that does not sound"),
    ):
        if where.any():
            melody, step = np.argwhere(where)[0].tolist()
            raise ValueError(f"piano roll: in melody {melody}, step {step}, {problem}.")
    pitches = np.where(rolls.any(axis=1), rolls.argmax(axis=1), -1)  # (N, T)
    begins = marks.any(axis=1) | (np.diff(pitches, axis=1, prepend=-1) != 0)
    found = []
    for line, begin in zip(pitches.tolist(), begins.tolist(), strict=True):
        notes: list[Note] = []
        for step, (pitch, first) in enumerate(zip(line, begin, strict=True)):
            if pitch >= 0 and first:
                notes.append(Note(step, 1, pitch))
            elif pitch >= 0:
                notes[-1] = notes[-1]._replace(duration=notes[-1].duration + 1)
        found.append(from_notes(notes, steps, low, high))
    return np.array(found, np.uint8).reshape(*on.shape[:-2], steps)


def _binary(name: str, given: ArrayLike) -> NDArray[np.uint8]:
    """Return a roll as 0 and 1."""
    roll = np.asarray(given)
    if roll.ndim not in (2, 3) or roll.shape[-2] != PITCHES:
        raise ValueError(f"{name}: the shape {roll.shape} is neither (128, T) nor (N, 128, T).")
    if not ((roll == 0) | (roll == 1)).all():
        raise ValueError(f"{name}: a binary roll holds 0 and 1 only; compare it with a threshold.")
    return roll.astype(np.uint8)


def seconds_per_step(tempo: float, quarters_per_step: float) -> float:
    """Return the length of a step in seconds.

    Args:
        tempo: quarter notes a minute.
        quarters_per_step: the length of a step, as `musicgym.Melody.quarters_per_step` has it.

    Raises:
        ValueError: one of them is not a positive number.

    >>> seconds_per_step(120, 0.5)  # eighths at 120 quarters a minute
    0.25
    """
    for name, value in (("tempo", tempo), ("quarters_per_step", quarters_per_step)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: {value!r} is not a positive number.")
    return 60 / tempo * quarters_per_step


def to_note_events(
    events: Sequence[int], low: int, *, step: float = 1, velocity: int = 90
) -> list[NoteEvent]:
    """Return a melody as (time, pitch, velocity), in the order of time.

    The end of a note has velocity 0 and comes before the start of the next. A melody of this
    package has no dynamics, so all notes have one velocity. ``numpy.array`` makes the rows a
    table (M, 3).

    Args:
        events: T events.
        low: the MIDI pitch of event 2.
        step: the length of a step in the unit of the times: 1 for times in steps,
            `seconds_per_step` for seconds.
        velocity: 1 to 127.

    Raises:
        ValueError: the velocity, the step or a pitch is out of range.

    >>> to_note_events([2, 0, 1, 6], low=60, step=0.25)[:2]
    [NoteEvent(time=0.0, pitch=60, velocity=90), NoteEvent(time=0.5, pitch=60, velocity=0)]
    """
    _check_step(step)
    if not 1 <= velocity <= 127:
        raise ValueError(f"velocity: {velocity!r} is not from 1 to 127.")
    found = []
    for onset, duration, pitch in to_notes(events, low):
        if not 0 <= pitch < PITCHES:
            raise ValueError(f"events: the pitch {pitch} at step {onset} is not from 0 to 127.")
        found.append(NoteEvent(onset * step, pitch, velocity))
        found.append(NoteEvent((onset + duration) * step, pitch, 0))
    return found


def from_note_events(
    rows: Sequence[Sequence[float]] | NDArray[Any],
    steps: int,
    low: int,
    high: int,
    *,
    step: float = 1,
) -> list[int]:
    """Return the events of a melody given as (time, pitch, velocity); undoes `to_note_events`.

    The rows may come in any order. Every velocity above 0 starts a note, and 0 ends it; a note
    without an end sounds to the end of the melody. The events keep no velocity.

    Args:
        rows: M rows of time, pitch and velocity.
        steps: T, the length of the melody.
        low: the MIDI pitch of event 2.
        high: the highest MIDI pitch of the events.
        step: the length of a step in the unit of the times.

    Raises:
        ValueError: the rows are no table (M, 3), a value is out of range, a time does not lie on
            the grid, a note is struck while another sounds, or one ends that does not sound.

    >>> from_note_events([(0, 60, 90), (0.5, 60, 0), (0.75, 64, 80)], 4, 60, 72, step=0.25)
    [2, 0, 1, 6]
    """
    _check_step(step)
    table = np.asarray(rows, float)
    table = table.reshape(-1, 3) if not table.size else table
    if table.ndim != 2 or table.shape[1] != 3:
        raise ValueError(f"rows: the shape {table.shape} is not (M, 3): time, pitch, velocity.")
    places = table[:, 0] / step
    grid = np.rint(places)
    whole = (table[:, 1:] == np.rint(table[:, 1:])) & (table[:, 1:] >= 0) & (table[:, 1:] <= 127)
    for bad, problem in (
        (~whole.all(axis=1), "the pitch and the velocity must be whole numbers from 0 to 127"),
        (~((grid >= 0) & (grid <= steps)), f"the time must lie in the {steps} steps of {step:g}"),
        (~(abs(places - grid) <= _TOLERANCE), f"the time is no multiple of the step, {step:g}"),
    ):
        if bad.any():
            row = tuple(table[int(np.argmax(bad))].tolist())
            raise ValueError(f"rows: {row}: {problem}.")
    notes: list[Note] = []
    held: Note | None = None
    # At one time, ends come first.
    order = np.lexsort((table[:, 2] > 0, grid))
    for place, pitch, velocity in zip(grid[order], *table[order, 1:].T, strict=True):
        if velocity > 0:
            if held:
                raise ValueError(
                    f"rows: the pitch {pitch:g} is struck at step {place:g} while {held.pitch} "
                    "sounds; a melody has one note at a time."
                )
            held = Note(int(place), steps - int(place), int(pitch))
        elif held is None or held.pitch != pitch:
            raise ValueError(
                f"rows: the pitch {pitch:g} ends at step {place:g} but does not sound."
            )
        else:
            notes.append(held._replace(duration=int(place) - held.onset))
            held = None
    return from_notes([*notes, held] if held else notes, steps, low, high)


def _check_step(step: float) -> None:
    if not (np.isfinite(step) and step > 0):
        raise ValueError(f"step: {step!r} is not a positive number.")
