"""The metrics of melodies: values by hand, and what is undefined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from playing import spelt

from musicgym.benchmarks.evaluate import markdown
from musicgym.benchmarks.metrics.acmg import (
    METRICS,
    autocorrelation,
    chord_match,
    distinct,
    ends_on_tonic,
    excessive_repetition,
    onset_share,
    outside_key,
    pitch_range,
    table,
    under_octave,
    unique_highest,
    unique_lowest,
)
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.melody import Melody
from musicgym.theory import Key, parse_progression

MAJOR, MINOR = Key.parse("C major"), Key.parse("A minor")
SILENCE = " ".join(["-"] * 8)
EMPTY = " ".join(["."] * 8)


def pieces(*texts: str, key: Key = MAJOR, chords: str = "C", low: int = 48) -> Pieces:
    """Return melodies of one length over chords that share it evenly."""
    spans = parse_progression(chords, key)
    return Pieces.of([Melody(tuple(spelt(text, low)), low, key, spans) for text in texts])


def close(values: Any, *expected: float) -> None:
    np.testing.assert_allclose(values, expected, atol=1e-12)


# Reading


def test_pieces_know_what_is_struck_what_sounds_and_at_which_pitch() -> None:
    p = pieces(". C4 . - . E4 . G4")
    assert p.struck[0].tolist() == [False, True, False, False, False, True, False, True]
    assert p.sounding[0].tolist() == [False, True, True, False, False, True, True, True]
    assert p.pitch[0].tolist() == [0, 60, 60, 0, 0, 64, 64, 67]
    assert p.notes[0].tolist() == [60, 64, 67]


def test_pieces_spread_the_chords_over_the_steps() -> None:
    p = pieces("C4 . . . . . . .", chords="C Am")
    assert (p.masks[0, :4] == 0b10010001).all()
    assert (p.masks[0, 4:] == (1 << 9 | 1 << 0 | 1 << 4)).all()


def test_pieces_are_melodies_of_one_length_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Pieces.of([])
    short, long = (Melody((2,) * n, 48, MAJOR, parse_progression("C", MAJOR)) for n in (4, 8))
    with pytest.raises(ValueError, match="one length"):
        Pieces.of([short, long])


# Values by hand


def test_repetition_counts_what_exceeds_four_equal_notes_in_a_row() -> None:
    texts = ("C4 C4 C4 C4 - - - -", "C4 C4 C4 C4 C4 C4 E4 F4", "C4 . C4 . C4 - C4 C4",
             "C4 C4 C4 C4 E4 C4 C4 C4")  # fmt: skip
    close(excessive_repetition(pieces(*texts)), 0, 2 / 8, 1 / 5, 0)


def test_notes_outside_the_key_are_counted_by_onset() -> None:
    close(outside_key(pieces("C4 . C#4 . . . F#4 G4", "B4 A4 - - - - - -")), 2 / 4, 0)


def test_minor_has_both_sixths_and_both_sevenths() -> None:
    close(outside_key(pieces("F4 F#4 G4 G#4 A4 Bb4 C#4 D#4", key=MINOR)), 3 / 8)


def test_an_octave_is_not_under_an_octave() -> None:
    texts = ("C4 C5 C#4 D4 - - - -", "C4 . . B4 . - - -", "C3 C5 . . . . . .")
    close(under_octave(pieces(*texts)), 2 / 3, 1, 0)


def test_chord_match_is_a_share_of_the_sounding_time() -> None:
    texts = ("C4 . . D4 - - - E4", "C4 . . . . . . .", "F4 . . . . . . .")
    close(chord_match(pieces(*texts)), 4 / 5, 1, 0)
    close(chord_match(pieces("C4 . . . . . . .", chords="C Dm")), 1 / 2)


def test_time_without_a_chord_does_not_count_for_the_chord_match() -> None:
    close(chord_match(pieces("C4 . D4 . F4 . . .", chords="C N.C.")), 1 / 2)
    assert np.isnan(chord_match(pieces("C4 . . . . . . .", chords="N.C."))).all()


def test_the_end_is_the_last_struck_note_in_any_octave() -> None:
    texts = ("G4 . C3 - - - - -", "C4 . . . . . . G4", "C5 . . . . . . .")
    close(ends_on_tonic(pieces(*texts)), 1, 0, 1)
    close(ends_on_tonic(pieces("C4 . A4 . . . . .", key=MINOR)), 1)


def test_the_range_goes_from_the_lowest_to_the_highest_note() -> None:
    close(pitch_range(pieces("E4 C4 G4 . - C5 . .", "D4 . . . . . . .")), 12, 0)


def test_the_share_of_onsets_is_over_all_steps() -> None:
    close(
        onset_share(pieces("E4 . G4 . - - - C5", SILENCE, "C4 D4 C4 D4 C4 D4 C4 D4")), 3 / 8, 0, 1
    )


def test_the_autocorrelation_of_a_worked_example() -> None:
    # About their mean: -1 1 -1 1 -1 1 over 60, 62; lags 1 to 3 give -5/6, 4/6, -3/6.
    close(autocorrelation(pieces("C4 D4 C4 D4 C4 D4 - -")), (-5 + 4 - 3) / 6 / 3)


def test_a_unique_extreme_is_struck_once() -> None:
    p = pieces("C4 E4 G4 E4 - - - -", "C4 G4 C4 G4 - - - -", "C4 . - . - . . .")
    close(unique_highest(p), 1, 0, 1)
    close(unique_lowest(p), 1, 0, 1)


def test_distinct_is_the_share_that_equals_no_earlier_melody() -> None:
    one, two = "C4 . . . . . . .", "D4 . . . . . . ."
    assert distinct(pieces(one, two, one, one)) == 0.5
    assert distinct(pieces(one)) == 1


def test_a_transposed_melody_has_the_same_metrics() -> None:
    key, chords = Key.parse("C major"), parse_progression("C Am F G", MAJOR)
    melody = Melody(tuple(spelt("C4 E4 . D4 F#4 - G4 C4")), 48, key, chords)
    here, there = table(Pieces.of([melody])), table(Pieces.of([melody.transposed(5)]))
    assert here == pytest.approx(there)
    assert table(Pieces.of([melody, melody.transposed(5)]))["distinct"] == 0.5


# What is undefined

UNDEFINED_IN_SILENCE = set(METRICS) - {"onset_share"}


@pytest.mark.parametrize("text", [SILENCE, EMPTY], ids=["rests", "invalid holds"])
@pytest.mark.parametrize("name", METRICS)
def test_a_melody_without_a_note_is_undefined_and_never_a_crash(name: str, text: str) -> None:
    metric, _ = METRICS[name]
    (value,) = metric(pieces(text))
    assert math.isnan(value) == (name in UNDEFINED_IN_SILENCE)


@pytest.mark.parametrize("name", METRICS)
def test_of_one_note_only_intervals_and_the_autocorrelation_are_undefined(name: str) -> None:
    metric, _ = METRICS[name]
    (value,) = metric(pieces("- C4 . . - - - -"))
    assert math.isnan(value) == (name in ("under_octave", "autocorrelation"))


@pytest.mark.parametrize("text", ["C4 C4 C4 C4 C4 C4 C4 C4", "C4 E4 G4 E4 - - - -"])
def test_the_autocorrelation_needs_five_notes_and_two_pitches(text: str) -> None:
    assert np.isnan(autocorrelation(pieces(text))).all()


def test_a_table_leaves_the_undefined_out_of_its_means() -> None:
    row = table(pieces(SILENCE, "C4 . . . F#4 . . ."))
    assert row["outside_key"] == 0.5
    assert row["onset_share"] == pytest.approx(1 / 8)
    assert row["distinct"] == 1


@pytest.mark.filterwarnings("error")
def test_a_table_of_silence_is_undefined_without_a_warning() -> None:
    row = table(pieces(SILENCE, SILENCE))
    assert {name for name, value in row.items() if math.isnan(value)} == UNDEFINED_IN_SILENCE
    assert "-" in markdown([("silence", row)])


@pytest.mark.parametrize("seed", range(20))
def test_random_events_never_crash_and_stay_within_their_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = rng.random((9, 1))  # from melodies of holds and rests only to notes only
    events = np.where(rng.random((9, 8)) < kind, rng.integers(0, 2, (9, 8)), 0)
    events = np.where(rng.random((9, 8)) < kind, rng.integers(2, 38, (9, 8)), events)
    chords = parse_progression("C N.C. G7 Am", MAJOR)
    melodies = Pieces.of([Melody(tuple(row.tolist()), 48, MAJOR, chords) for row in events])
    for name, (metric, unit) in METRICS.items():
        values = metric(melodies)
        assert values.shape == (9,), name
        if unit == "%":
            known = values[~np.isnan(values)]
            assert ((known >= 0) & (known <= 1)).all(), name


# The printed table


def test_the_markdown_has_percent_for_shares_and_a_dash_for_what_is_missing() -> None:
    text = markdown(
        [("corpus", {"outside_key": 0.021, "pitch_range": 11.0}), ("agent", {"kl": 0.5})]
    )
    lines = text.splitlines()
    assert lines[0] == "| system | outside key % | pitch range | kl |"
    assert lines[2] == "| corpus | 2.1 | 11.00 | - |"
    assert lines[3] == "| agent | - | - | 0.50 |"
