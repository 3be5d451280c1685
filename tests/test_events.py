"""The one event alphabet: events to notes and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgym.events import FIRST_NOTE, HOLD, REST, Note, from_notes, to_notes

LOW, HIGH = 60, 72
EVENTS = st.lists(st.integers(0, FIRST_NOTE + HIGH - LOW), max_size=40)


@st.composite
def melodies(draw) -> list[Note]:
    """Draw the notes of a melody: none overlap, silence may stand between them."""
    notes, step = [], 0
    for gap, duration, pitch in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(LOW, HIGH)))
    ):
        notes.append(Note(step + gap, duration, pitch))
        step += gap + duration
    return notes


def unique_form(events: list[int]) -> list[int]:
    """Return the same sound with a rest on every silent step."""
    ringing, out = False, []
    for event in events:
        event = REST if event == HOLD and not ringing else event
        ringing = event != REST
        out.append(event)
    return out


@given(melodies(), st.integers(0, 4))
def test_notes_come_back_from_their_events(notes, silence):
    steps = (notes[-1].onset + notes[-1].duration if notes else 0) + silence
    assert to_notes(from_notes(notes, steps, LOW, HIGH), LOW) == notes


@given(EVENTS)
def test_events_come_back_from_their_notes_in_the_unique_written_form(events):
    again = from_notes(to_notes(events, LOW), len(events), LOW, HIGH)
    assert again == unique_form(events)
    assert to_notes(again, LOW) == to_notes(events, LOW)


@given(EVENTS)
def test_no_event_of_the_written_form_holds_silence(events):
    again = from_notes(to_notes(events, LOW), len(events), LOW, HIGH)
    assert all(a != HOLD or b != REST for a, b in zip(again[1:], again, strict=False))
    assert not again or again[0] != HOLD


def test_a_hold_in_silence_counts_as_a_rest():
    assert to_notes([HOLD, HOLD, 2, REST, HOLD, 3], LOW) == [Note(2, 1, 60), Note(5, 1, 61)]


def test_a_repeated_strike_is_a_second_note_and_a_hold_is_not():
    assert to_notes([2, 2, HOLD], LOW) == [Note(0, 1, 60), Note(1, 2, 60)]


def test_a_later_onset_cuts_the_note_before_it():
    notes = [Note(2, 2, 64), Note(0, 8, 60)]
    assert from_notes(notes, 8, LOW, HIGH) == [2, 0, 6, 0, 1, 1, 1, 1]


def test_a_note_longer_than_the_steps_ends_with_them():
    assert from_notes([Note(1, 9, 72)], 3, LOW, HIGH) == [REST, FIRST_NOTE + 12, HOLD]


@pytest.mark.parametrize(
    "note", [Note(-1, 1, 60), Note(4, 1, 60), Note(0, 0, 60), Note(0, 1, 59), Note(0, 1, 73)]
)
def test_a_note_outside_the_steps_or_the_range_is_named_with_its_limits(note):
    with pytest.raises(ValueError, match="0 to 3.*60 to 72") as caught:
        from_notes([Note(0, 1, 60), note], 4, LOW, HIGH)
    assert str(tuple(note)) in str(caught.value)
