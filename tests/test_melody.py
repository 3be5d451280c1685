"""Melody: notes, chord spans, bars, transposition, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgym.events import Note, to_notes
from musicgym.melody import Melody
from musicgym.meters import GRIDS, METERS
from musicgym.theory import ALL_KEYS, NO_CHORD, QUALITIES, Chord, Key, parse_progression

C_MAJOR = Key.parse("C major")
TUNE = Melody(
    events=(2, 0, 6, 0, 9, 0, 0, 1, 8, 6, 4, 6, 2, 0, 0, 0),
    low=60,
    key=C_MAJOR,
    chords=parse_progression("C C G C", C_MAJOR),
    name="tune",
)


@st.composite
def melodies(draw) -> Melody:
    meter = draw(st.sampled_from(sorted(METERS)))
    grid, bars = draw(st.sampled_from(GRIDS)), draw(st.integers(1, 3))
    beats = METERS[meter].beats * bars
    events = draw(st.lists(st.integers(0, 37), min_size=beats * grid, max_size=beats * grid))
    chord = st.builds(Chord, st.integers(0, 11), st.sampled_from(list(QUALITIES)[1:]))
    chords = draw(st.lists(st.just(NO_CHORD) | chord, min_size=beats, max_size=beats))
    key = draw(st.sampled_from(ALL_KEYS))
    return Melody(tuple(events), 48, key, tuple(chords), meter, grid, draw(st.text(max_size=5)))


def test_notes_are_the_sounding_notes_in_steps():
    assert TUNE.notes() == [
        Note(0, 2, 60), Note(2, 2, 64), Note(4, 3, 67), Note(8, 1, 66), Note(9, 1, 64),
        Note(10, 1, 62), Note(11, 1, 64), Note(12, 4, 60),
    ]  # fmt: skip


def test_spans_join_equal_neighbouring_chords():
    c, g = Chord(0, ""), Chord(7, "")
    assert TUNE.spans() == [(0, 8, c), (8, 4, g), (12, 4, c)]


@given(melodies())
def test_spans_cover_every_step_once_and_neighbours_differ(melody):
    spans = melody.spans()
    ends = [onset + duration for onset, duration, _ in spans]
    assert [onset for onset, _, _ in spans] == [0, *ends[:-1]]
    assert ends[-1] == len(melody.events)
    assert all(a[2] != b[2] for a, b in zip(spans, spans[1:], strict=False))
    for onset, duration, chord in spans:
        first, last = onset // melody.steps_per_chord, (onset + duration) // melody.steps_per_chord
        assert set(melody.chords[first:last]) == {chord}


@pytest.mark.parametrize(
    ("meter", "grid", "bar", "quarters"),
    [("4/4", 2, 8, 0.5), ("3/4", 4, 12, 0.25), ("2/4", 1, 2, 1.0), ("6/8", 2, 12, 0.25)],
)
def test_the_grid_follows_the_meter(meter, grid, bar, quarters):
    melody = Melody((2,) * bar, 60, C_MAJOR, (NO_CHORD,), meter, grid)
    assert (melody.steps_per_bar, melody.quarters_per_step) == (bar, quarters)


def test_bars_show_note_names_under_their_chords():
    assert TUNE.bars().split("\n") == [
        "| C                       |",
        "| C4 .  E4 .  G4 .  .  -  |",
        "| G            C           |",
        "| F#4 E4 D4 E4 C4 .  .  .  |",
    ]


@given(melodies())
def test_the_rows_of_a_bar_are_equally_long_and_name_every_note(melody):
    lines = melody.bars().split("\n")
    assert len(lines) == 2 * len(melody.events) // melody.steps_per_bar
    assert all(len(a) == len(b) for a, b in zip(lines[::2], lines[1::2], strict=True))
    names = [cell for line in lines[1::2] for cell in line.strip("| ").split()]
    assert len(names) == len(melody.events)
    assert sum(name not in (".", "-") for name in names) == len(melody.notes())


@given(melodies(), st.integers(-24, 24))
def test_transposing_moves_notes_chords_and_tonic_together(melody, semitones):
    moved = melody.transposed(semitones)
    assert moved.notes() == [n._replace(pitch=n.pitch + semitones) for n in melody.notes()]
    assert moved.key.tonic == (melody.key.tonic + semitones) % 12
    assert moved.key.mode == melody.key.mode
    for old, new in zip(melody.chords, moved.chords, strict=True):
        assert set(new.pitch_classes) == {(p + semitones) % 12 for p in old.pitch_classes}
    assert moved.transposed(-semitones).events == melody.events


@given(melodies())
def test_a_melody_is_the_same_after_a_round_trip_through_json(melody):
    assert Melody.from_json(melody.to_json()) == melody


def test_json_is_plain_data_even_when_the_events_are_an_array():
    melody = Melody(np.array([2, 0, 6, 0]), 60, C_MAJOR, (Chord(0, ""),))  # type: ignore[arg-type]
    data = json.loads(melody.to_json())
    assert data["events"] == [2, 0, 6, 0] and data["key"] == "C major"
    assert data["chords"] == [{"root": 0, "quality": ""}]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{}", "melody"),
        ("[1, 2]", "melody"),
        ("7", "melody"),
        ("{", "melody"),
        ('{"events": [2], "low": 60, "key": "C major", "chords": [3]}', "melody"),
        ('{"events": [2], "low": 60, "key": "C major", "chords": [], "colour": 1}', "melody"),
        ('{"events": [2], "low": 60, "key": "H", "chords": []}', "key: 'H'"),
    ],
)
def test_json_that_is_no_melody_is_refused_with_a_value_error(text, match):
    with pytest.raises(ValueError, match=match):
        Melody.from_json(text)


def test_an_unknown_meter_is_named_with_the_meters_there_are():
    with pytest.raises(ValueError, match=r"'5/4' is not one of 2/4, 3/4, 4/4, 6/8"):
        Melody((2,), 60, C_MAJOR, (NO_CHORD,), "5/4")


@pytest.mark.parametrize("chords", [(), (NO_CHORD,) * 3])
def test_chords_that_do_not_fill_the_steps_evenly_are_refused(chords):
    with pytest.raises(ValueError, match=f"{len(chords)} chords do not divide 8 steps"):
        Melody((2,) * 8, 60, C_MAJOR, chords)


def test_events_and_notes_agree_on_the_lowest_pitch():
    assert TUNE.notes() == to_notes(TUNE.events, TUNE.low)
    assert min(note.pitch for note in Melody((2, 0), 55, C_MAJOR, (NO_CHORD,)).notes()) == 55
