"""Piano rolls and (time, pitch, velocity), both ways."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgym.events import FIRST_NOTE, HOLD, REST, from_notes, to_notes
from musicgym.representations import (
    NoteEvent,
    PianoRoll,
    from_note_events,
    from_piano_roll,
    seconds_per_step,
    to_note_events,
    to_piano_roll,
)

LOW, HIGH = 58, 64
EVENT = st.integers(0, FIRST_NOTE + HIGH - LOW)
MELODIES = st.lists(EVENT, max_size=24)
BATCHES = st.integers(0, 12).flatmap(
    lambda steps: st.lists(st.lists(EVENT, min_size=steps, max_size=steps), min_size=1, max_size=4)
)

#: C4 for two steps, struck again, a rest, E4 held to the end.
EVENTS, MELODY_LOW = [2, 0, 2, 1, 6, 0], 60


def written(events: list[int]) -> list[int]:
    """Return the unique form of a melody's events."""
    return from_notes(to_notes(events, LOW), len(events), LOW, HIGH)


def roll(**pitches: list[int]) -> np.ndarray[Any, Any]:
    """Return a roll with rows such as ``p60=[1, 0]``."""
    made = np.zeros((128, len(next(iter(pitches.values())))), np.uint8)
    for name, row in pitches.items():
        made[int(name[1:])] = row
    return made


def test_a_roll_has_a_row_for_every_pitch_and_one_where_it_sounds():
    made = to_piano_roll(EVENTS, MELODY_LOW)
    sounding = roll(p60=[1, 1, 1, 0, 0, 0], p64=[0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(made.sounding, sounding)
    np.testing.assert_array_equal(made.onsets, roll(p60=[1, 0, 1, 0, 0, 0], p64=[0, 0, 0, 0, 1, 0]))
    assert made.sounding.dtype == made.onsets.dtype == np.uint8


@given(BATCHES)
def test_a_roll_with_its_onsets_comes_back_exactly_and_a_batch_is_its_melodies(batch):
    made = to_piano_roll(np.array(batch, int), LOW)
    assert made.sounding.shape == made.onsets.shape == (len(batch), 128, len(batch[0]))
    back = from_piano_roll(*made, low=LOW, high=HIGH)
    assert back.dtype == np.uint8 and back.tolist() == [written(row) for row in batch]
    for row, sounding, onsets in zip(batch, *made, strict=True):
        one = to_piano_roll(np.array(row, int), LOW)
        np.testing.assert_array_equal(one, PianoRoll(sounding, onsets))
        assert from_piano_roll(*one, low=LOW, high=HIGH).tolist() == written(row)


@given(MELODIES)
def test_a_roll_alone_comes_back_up_to_notes_struck_again(events):
    back = from_piano_roll(to_piano_roll(np.array(events, int), LOW).sounding, low=LOW, high=HIGH)
    joined, sounds = [], REST
    for event in written(events):
        joined.append(HOLD if event == sounds else event)
        sounds = sounds if event == HOLD else event
        if event == REST:
            joined[-1] = REST
    assert back.tolist() == joined


def test_a_note_cut_at_the_start_of_a_roll_is_struck_there():
    sounding, onsets = roll(p60=[1, 1], p62=[0, 0]), roll(p60=[0, 0])
    assert from_piano_roll(sounding, onsets, low=60, high=72).tolist() == [2, 0]
    assert from_piano_roll(sounding.astype(bool), low=59, high=72).tolist() == [3, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (roll(p60=[0, 1], p64=[0, 1]),),
            "in melody 0, step 1, two pitches or more",
        ),
        ((roll(p60=[1, 0]), roll(p60=[1, 1])), "step 1, a pitch is struck that does not sound"),
        ((roll(p60=[1, 0]), roll(p60=[1])), "onsets: the shape (128, 1) is not that of the roll"),
        ((roll(p60=[1, 0]).T,), "sounding: the shape (2, 128) is neither (128, T) nor (N, 128, T)"),
        ((roll(p60=[1, 0]) * 90,), "sounding: a binary roll holds 0 and 1 only"),
        ((roll(p73=[1, 0]),), "its pitch lie in 60 to 72"),
    ],
)
def test_a_roll_that_is_no_melody_is_refused_with_the_reason(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_piano_roll(*given, low=60, high=72)


def test_the_second_melody_of_a_batch_is_named():
    batch = np.stack([roll(p60=[1, 0]), roll(p60=[0, 1], p61=[0, 1])])
    with pytest.raises(ValueError, match="in melody 1, step 1, two pitches"):
        from_piano_roll(batch, low=60, high=72)


@pytest.mark.parametrize(
    ("events", "low", "message"),
    [
        ([[[2]]], 60, "the shape (1, 1, 1) is neither (T,) nor (N, T)"),
        ([2, -1], 60, "whole numbers of 0 or more"),
        ([0.5], 60, "whole numbers of 0 or more"),
        ([1, 40], 100, "the pitch 138 at step 1 is not from 0 to 127"),
    ],
)
def test_events_that_have_no_roll_are_refused(events, low, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        to_piano_roll(events, low)


def test_notes_end_with_velocity_zero_in_steps_and_in_seconds():
    steps = [(0, 60, 90), (2, 60, 0), (2, 60, 90), (3, 60, 0), (4, 64, 90), (6, 64, 0)]
    assert to_note_events(EVENTS, MELODY_LOW) == steps
    step = seconds_per_step(tempo=100, quarters_per_step=0.5)
    assert step == pytest.approx(0.3)
    seconds = to_note_events(EVENTS, MELODY_LOW, step=step, velocity=64)
    assert seconds[1] == NoteEvent(pytest.approx(0.6), 60, 0) and seconds[4].velocity == 64
    assert seconds[-1].time == pytest.approx(1.8)


@given(MELODIES, st.sampled_from([1, 0.25, 60 / 97 / 4, 1 / 3]), st.randoms())
def test_note_events_come_back_in_any_order_and_unit(events, step, random):
    rows = to_note_events(events, LOW, step=step)
    assert all(a.time <= b.time for a, b in zip(rows, rows[1:], strict=False))
    random.shuffle(rows)
    assert from_note_events(rows, len(events), LOW, HIGH, step=step) == written(events)
    assert from_note_events(np.array(rows), len(events), LOW, HIGH, step=step) == written(events)


def test_a_note_without_an_end_sounds_to_the_end():
    assert from_note_events([(1, 60, 1)], 4, 60, 72) == [1, 2, 0, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 60)], "the shape (1, 2) is not (M, 3)"),
        ([(0, 60, 90), (1, 62, 90)], "the pitch 62 is struck at step 1 while 60 sounds"),
        ([(0, 60, 90), (1, 62, 0)], "the pitch 62 ends at step 1 but does not sound"),
        ([(0, 60, 90), (0.5, 60, 0)], "(0.5, 60.0, 0.0): the time is no multiple of the step, 1"),
        ([(0, 60, 90), (5, 60, 0)], "the time must lie in the 4 steps of 1"),
        ([(-1, 60, 90)], "the time must lie in the 4 steps"),
        ([(float("nan"), 60, 90)], "the time must lie in the 4 steps"),
        ([(0, 60, 128)], "whole numbers from 0 to 127"),
        ([(0, 60.5, 90)], "whole numbers from 0 to 127"),
        ([(0, 59, 90)], "its pitch lie in 60 to 72"),
    ],
)
def test_note_events_that_are_no_melody_are_refused(rows, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        from_note_events(rows, 4, 60, 72)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="velocity: 0 is not from 1 to 127"):
        to_note_events([2], 60, velocity=0)
    with pytest.raises(ValueError, match="the pitch 138 at step 0"):
        to_note_events([40], 100)
    with pytest.raises(ValueError, match="step: 0 is not a positive number"):
        to_note_events([2], 60, step=0)
    with pytest.raises(ValueError, match="tempo: inf is not a positive number"):
        seconds_per_step(float("inf"), 0.5)
