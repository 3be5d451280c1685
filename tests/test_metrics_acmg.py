"""ACMG's metrics: values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tunes import MAJOR, MINOR, close, pieces

from musicgym.benchmarks.metrics.acmg import (
    FAMILY,
    accepted,
    autocorrelation,
    autocorrelation_size,
    autocorrelations,
    chord_match,
    ends_on_tonic,
    excessive_repetition,
    in_long_runs,
    onset_share,
    outside_key,
    pitch_class_shares,
    pitch_range,
    triad_match,
    under_octave,
    unique_highest,
    unique_lowest,
)
from musicgym.theory import Key

SILENCE = " ".join(["-"] * 8)


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


def test_five_notes_have_autocorrelations() -> None:
    # About their mean: -2 -1 0 1 2 (in tones): lag 1 gives (2 + 0 + 0 + 2) / 10.
    close(autocorrelations(pieces("C4 D4 E4 F#4 G#4 - - -"))[0], 4 / 10, -1 / 10, -4 / 10)


@pytest.mark.parametrize("text", ["C4 C4 C4 C4 C4 C4 C4 C4", "C4 E4 G4 E4 - - - -"])
def test_the_autocorrelation_needs_five_notes_and_two_pitches(text: str) -> None:
    assert np.isnan(autocorrelation(pieces(text))).all()


def test_all_notes_of_a_long_run_count_in_the_other_reading_of_repetition() -> None:
    texts = ("C4 C4 C4 C4 C4 C4 E4 F4", "C4 C4 C4 C4 E4 E4 E4 E4", "C4 . C4 . C4 - C4 C4",
             SILENCE)  # fmt: skip
    close(in_long_runs(pieces(*texts)), 6 / 8, 0, 1, np.nan)


def test_two_long_runs_are_two_runs() -> None:
    text = " ".join(["C4"] * 5 + ["D4"] * 6 + ["E4"])
    close(in_long_runs(pieces(text)), 11 / 12)
    close(excessive_repetition(pieces(text)), 3 / 12)


def test_the_autocorrelations_of_a_worked_example_lag_by_lag() -> None:
    p = pieces("C4 D4 C4 D4 C4 D4 - -")
    close(autocorrelations(p)[0], -5 / 6, 4 / 6, -3 / 6)
    close(autocorrelation_size(p), (5 + 4 + 3) / 6 / 3)
    by_name = {metric.name: metric.function for metric in FAMILY}
    for lag, value in zip((1, 2, 3), (-5 / 6, 4 / 6, -3 / 6), strict=True):
        close(by_name[f"autocorrelation_{lag}"](p), value)


def test_rests_and_lengths_do_not_move_the_autocorrelations() -> None:
    some = autocorrelations(pieces("C4 E4 G4 F4 D4 . - -"))
    np.testing.assert_array_equal(autocorrelations(pieces("C4 . E4 G4 - F4 D4 .")), some)


def test_pitch_classes_are_counted_from_the_tonic_over_all_notes() -> None:
    # In C: C C E; in A minor: A C E.
    both = pieces("C4 . C5 . E4 . - -"), pieces("A4 . C5 . E4 . - -", key=MINOR)
    close(pitch_class_shares(both[0]), *np.eye(12)[0] * 2 / 3 + np.eye(12)[4] / 3)
    close(pitch_class_shares(both[1]), *(np.eye(12)[0] + np.eye(12)[3] + np.eye(12)[7]) / 3)
    assert np.isnan(pitch_class_shares(pieces(SILENCE))).all()


def test_a_chord_is_matched_when_no_other_triad_fits_its_span_better() -> None:
    # C E G over C: C fits all of it. Over Am: Am has C and E only, C fits better.
    close(triad_match(pieces("C4 E4 G4 . C4 E4 G4 .", chords="C Am")), 1 / 2)
    # One note fits C, Am and others alike.
    close(triad_match(pieces("C4 . . . C4 . . .", chords="C Am")), 1)
    # Time counts, not notes: G B D sounds six of eight steps, over C.
    close(triad_match(pieces("C4 G4 . B4 . D4 . .", chords="C")), 0)


def test_neighbouring_equal_chords_are_one_span() -> None:
    # Apart, D F A would be lost on C and C E G matched; together they are one span, lost.
    close(triad_match(pieces("D4 F4 A4 . C4 . G4 .", chords="C C")), 0)


def test_a_seventh_chord_is_matched_by_a_triad_that_it_holds() -> None:
    close(triad_match(pieces("C4 E4 G4 . . . . .", chords="Am7")), 1)
    close(triad_match(pieces("D4 F#4 A4 . . . . .", chords="Am7")), 0)


def test_augmented_and_diminished_triads_are_triads() -> None:
    text = "C4 E4 G#4 . B4 D4 F4 ."
    close(triad_match(pieces(text, chords="Caug Bdim")), 1)
    close(triad_match(pieces(text, chords="C G7")), 1 / 2)  # G7 holds B D F; Caug fits better


def test_chords_without_a_triad_and_silent_spans_do_not_count() -> None:
    close(triad_match(pieces("D4 F4 A4 . C4 E4 G4 .", chords="Csus4 C")), 1)
    close(triad_match(pieces("- - - - C4 E4 G4 .", chords="Dm C")), 1)
    close(triad_match(pieces("C4 . . . . . . .", chords="N.C.")), np.nan)
    close(triad_match(pieces(SILENCE)), np.nan)


def test_a_melody_is_accepted_when_its_most_likely_class_is_the_wanted_one() -> None:
    probabilities = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]]
    close(accepted(probabilities, 0), 1, 0, 0)
    close(accepted(probabilities, [0, 2, 2]), 1, 1, 0)


def test_the_key_and_the_chords_matter_and_not_their_height() -> None:
    here = pieces("C4 E4 F#4 . G4 . D4 C4", chords="C G")
    there = pieces("D4 F#4 G#4 . A4 . E4 D4", key=Key.parse("D major"), chords="D A")
    for metric in FAMILY:
        np.testing.assert_allclose(metric.function(here), metric.function(there), atol=1e-12)
    close(outside_key(pieces("D4 F#4 G#4 . A4 . E4 D4", key=MAJOR)), 2 / 6)
