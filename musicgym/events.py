"""The one event alphabet, and the way from events to notes and back.

A melody of T steps is T events, one a grid slot:

====== ================================================================================
event  meaning
====== ================================================================================
0      hold: what sounds goes on. Invalid while nothing sounds; it then counts as a rest.
1      rest: what sounds is silenced; nothing sounds.
2 + k  strike the pitch ``low + k``; what sounded before ends.
====== ================================================================================

The written form is unique: in silence every step is a rest. Rewards, metrics, the corpus and
every exporter read this one alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["FIRST_NOTE", "HOLD", "REST", "Note", "from_notes", "to_notes"]

HOLD = 0
REST = 1
FIRST_NOTE = 2


class Note(NamedTuple):
    """A note: its onset and duration in steps and its pitch as a MIDI number."""

    onset: int
    duration: int
    pitch: int


def to_notes(events: Sequence[int], low: int) -> list[Note]:
    """Return the notes that a sequence of events sounds.

    >>> to_notes([2, 0, 1, 6], low=60)
    [Note(onset=0, duration=2, pitch=60), Note(onset=3, duration=1, pitch=64)]
    """
    notes: list[Note] = []
    ringing = False
    for step, event in enumerate(int(e) for e in events):
        if event >= FIRST_NOTE:
            notes.append(Note(step, 1, low + event - FIRST_NOTE))
            ringing = True
        elif event == HOLD and ringing:
            notes[-1] = notes[-1]._replace(duration=notes[-1].duration + 1)
        else:
            ringing = False
    return notes


def from_notes(notes: Iterable[Note], steps: int, low: int, high: int) -> list[int]:
    """Return the events of a monophonic melody; a later onset cuts the note before it.

    Raises:
        ValueError: a note lies outside the steps or the range.

    >>> from_notes([Note(0, 2, 60), Note(3, 1, 64)], steps=4, low=60, high=72)
    [2, 0, 1, 6]
    """
    events = [REST] * steps
    for note in sorted(notes):
        if not (0 <= note.onset < steps and note.duration >= 1 and low <= note.pitch <= high):
            raise ValueError(
                f"note {tuple(note)}: its onset must lie in 0 to {steps - 1}, its duration be 1 or "
                f"more and its pitch lie in {low} to {high}."
            )
        events[note.onset :] = [REST] * (steps - note.onset)
        end = min(note.onset + note.duration, steps)
        events[note.onset : end] = [note.pitch - low + FIRST_NOTE] + [HOLD] * (end - note.onset - 1)
    return events
