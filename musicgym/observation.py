"""What a policy observes: named small integers, written once for every backend.

``"compact"`` stacks them as uint8, ``"flat"`` is their one-hot as float32, ``"dict"`` names them.
All are relative to the key or to the range: moving melody, chords, key and range together changes
no observation.
"""

from __future__ import annotations

from typing import NamedTuple

from .dynamics import RUN_CAP, Constants, State
from .events import FIRST_NOTE
from .select import Array, where
from .task import Task
from .theory import QUALITIES

__all__ = ["Observation", "layout", "observe"]


class Observation(NamedTuple):
    """The parts of an observation, before the step that it is for.

    Attributes:
        event: the event before (rest at the start).
        pitch: the last struck pitch from 1 = the lowest; 0 before the first note.
        ringing: 1 while a note sounds (a hold is then allowed).
        position: grid slot in the bar.
        bars_left: bars to the end, this one included; 0 at the end.
        root: the chord's root above the tonic.
        quality: the chord's place in `theory.QUALITIES`.
        next_root: the same of the next chord span; 0 after the last.
        next_quality: the same of the next chord span; 0 after the last.
        run: equal notes in a row, capped.
        extra: a non-chord tone was struck on a weak step of this bar.
        weak_extra: one sounded at the previous weak beat.
        median: the median tone from 1 = the window's lowest; 0 where none is drawn.
        mode: 0 major, 1 minor.
        tonic: the tonic above the lowest pitch of the range.
    """

    event: Array
    pitch: Array
    ringing: Array
    position: Array
    bars_left: Array
    root: Array
    quality: Array
    next_root: Array
    next_quality: Array
    run: Array
    extra: Array
    weak_extra: Array
    median: Array
    mode: Array
    tonic: Array


def layout(task: Task, notes_only: bool = False) -> dict[str, int]:
    """Return the names of the parts in order, each with its number of values."""
    if notes_only:
        return {"event": task.n_events}
    n_qualities = len(QUALITIES)
    sizes = Observation(
        event=task.n_events,
        pitch=task.n_events - FIRST_NOTE + 1,
        ringing=2,
        position=task.steps_per_bar,
        bars_left=task.bars + 1,
        root=12,
        quality=n_qualities,
        next_root=12,
        next_quality=n_qualities,
        run=RUN_CAP + 1,
        extra=2,
        weak_extra=2,
        median=13,
        mode=2,
        tonic=12,
    )
    return sizes._asdict()


def observe(c: Constants, s: State) -> Observation:
    """Return the parts of the observation in a state."""
    over = s.step >= c.steps
    span = where(over, s.step - 1, s.step) // c.steps_per_chord
    following = where(span + 1 < c.spans, span + 1, span)
    has_next = span + 1 < c.spans
    here = s.row * c.spans + span
    there = s.row * c.spans + following
    return Observation(
        event=s.event,
        pitch=where(s.pitch > 0, s.pitch - c.low + 1, 0),
        ringing=where(s.ringing, 1, 0),
        position=s.step % c.steps_per_bar,
        bars_left=(c.steps - s.step + c.steps_per_bar - 1) // c.steps_per_bar,
        root=c.roots[here],
        quality=c.codes[here],
        next_root=where(has_next, c.roots[there], 0),
        next_quality=where(has_next, c.codes[there], 0),
        run=s.run,
        extra=where(s.extra, 1, 0),
        weak_extra=where(s.weak_extra, 1, 0),
        median=where(s.median > 0, s.median - c.window + 1, 0),
        mode=s.mode,
        tonic=(s.tonic - c.low) % 12,
    )
