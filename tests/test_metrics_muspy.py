"""MusPy's metrics: values by hand, and equal to those of MusPy itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tunes import MAJOR, MINOR, close, pieces, random_melodies

from musicgym.benchmarks.metrics import Pieces
from musicgym.benchmarks.metrics.acmg import pitch_range
from musicgym.benchmarks.metrics.muspy_metrics import (
    degree_counts,
    empty_bars,
    empty_beats,
    groove_consistency,
    pitch_class_entropy,
    pitch_classes_used,
    pitch_entropy,
    pitch_in_scale,
    pitches_used,
    scale_consistency,
)
from musicgym.melody import Melody

BAR = "C4 . D4 . E4 . F4 ."
SILENCE = "- - - - - - - -"


def test_pitches_and_pitch_classes_are_counted_once() -> None:
    p = pieces("C4 C5 D4 C4 . . . .", SILENCE)
    close(pitches_used(p), 3, 0)
    close(pitch_classes_used(p), 2, 0)
    close(degree_counts(p)[0], 3, 0, 1, *[0] * 9)


def test_entropies_are_in_bits() -> None:
    p = pieces("C4 C5 D4 E4 . . . .", "C4 C4 C4 C4 . . . .", SILENCE)
    close(pitch_entropy(p), 2, 0, np.nan)
    close(pitch_class_entropy(p), 1.5, 0, np.nan)


def test_the_minor_scale_is_the_natural_one() -> None:
    close(pitch_in_scale(pieces("A4 G#4 G4 B4 - - - -", key=MINOR)), 3 / 4)
    close(pitch_in_scale(pieces("C4 G#4 G4 F#4 - - - -")), 2 / 4)


def test_the_best_scale_need_not_be_the_key() -> None:
    # D E F# G A B C# is D major; with C two of eight are outside C major.
    p = pieces("D4 E4 F#4 G4 A4 B4 C#5 C5")
    close(scale_consistency(p), 7 / 8)
    close(pitch_in_scale(p), 6 / 8)


def test_two_equal_bars_have_one_groove() -> None:
    close(groove_consistency(pieces(f"{BAR} {BAR}", f"{BAR} C4 D4 E4 . F4 . . .")), 1, 1 - 2 / 8)
    close(groove_consistency(pieces(f"{BAR} {SILENCE} {BAR}")), 1 - 4 / 8)


def test_one_bar_or_no_note_has_no_groove() -> None:
    close(groove_consistency(pieces(BAR)), np.nan)
    close(groove_consistency(pieces(f"{SILENCE} {SILENCE}")), np.nan)


def test_a_beat_in_which_a_note_is_held_is_not_empty() -> None:
    close(empty_beats(pieces("- C4 . . - - - D4", SILENCE)), 1 / 4, 1)
    close(empty_bars(pieces(f"{BAR} {SILENCE}", f"{BAR} {BAR}")), 1 / 2, 0)


def test_an_incomplete_last_bar_counts_as_one() -> None:
    close(empty_bars(pieces(f"{BAR} - - - -")), 1 / 2)
    close(groove_consistency(pieces("C4 . . . . . . . D4 . E4 .")), 1 - 1 / 8)


def test_a_beat_is_the_unit_of_the_meter() -> None:
    close(empty_beats(pieces("C4 - - C4 - -", meter="6/8", steps_per_beat=1)), 4 / 6)


# Against MusPy


def music(melody: Melody, short: int) -> Any:
    """Return MusPy's music, its ticks the grid's, each note so many ticks shorter."""
    import muspy

    notes = [muspy.Note(n.onset, n.pitch, n.duration - short) for n in melody.notes()]
    return muspy.Music(resolution=melody.steps_per_beat, tracks=[muspy.Track(notes=notes)])


@pytest.fixture(scope="module")
def melodies() -> list[Melody]:
    """Melodies in major and minor that begin and end with a note."""
    drawn = random_melodies(25, seed=3) + random_melodies(25, seed=4, key=MINOR, chords="Am")
    return [
        Melody((14, *m.events[1:-1], 20), 48, m.key, m.chords)
        for m in drawn
    ]  # fmt: skip


@pytest.fixture(scope="module")
def batch(melodies: list[Melody]) -> Pieces:
    return Pieces.of([Melody(m.events, 48, m.key, m.chords[:1]) for m in melodies])


def test_pitches_are_measured_as_muspy_does(melodies: list[Melody], batch: Pieces) -> None:
    import muspy

    scores = [music(m, 0) for m in melodies]
    for ours, theirs in (
        (pitch_range, muspy.pitch_range),
        (pitches_used, muspy.n_pitches_used),
        (pitch_classes_used, muspy.n_pitch_classes_used),
        (pitch_entropy, muspy.pitch_entropy),
        (pitch_class_entropy, muspy.pitch_class_entropy),
        (scale_consistency, muspy.scale_consistency),
    ):
        np.testing.assert_allclose(ours(batch), [theirs(s) for s in scores], atol=1e-12)
    rates = [
        muspy.pitch_in_scale_rate(s, m.key.tonic, m.key.mode)
        for s, m in zip(scores, melodies, strict=True)
    ]
    np.testing.assert_allclose(pitch_in_scale(batch), rates, atol=1e-12)


def test_rhythm_is_measured_as_muspy_does_where_no_note_reaches_the_next_beat(
    melodies: list[Melody], batch: Pieces
) -> None:
    import muspy

    scores = [music(m, 1) for m in melodies]  # a note ends in the last step that it sounds
    grooves = [muspy.groove_consistency(s, 8) for s in scores]
    np.testing.assert_allclose(groove_consistency(batch), grooves, atol=1e-12)
    beats = [muspy.empty_beat_rate(s) for s in scores]
    assert max(beats) > 0
    np.testing.assert_allclose(empty_beats(batch), beats, atol=1e-12)
    bars = [muspy.empty_measure_rate(s, 8) for s in scores]
    np.testing.assert_allclose(empty_bars(batch), bars, atol=1e-12)


def test_muspy_adds_an_empty_bar_and_beat_at_the_end_and_we_do_not() -> None:
    import muspy
    from tunes import melody

    whole = melody(f"{BAR} {BAR}", key=MAJOR)
    fine = muspy.Music(
        resolution=24,
        tracks=[muspy.Track(notes=[muspy.Note(12 * n.onset, n.pitch, 12 * n.duration)
                                   for n in whole.notes()])],
    )  # fmt: skip
    assert muspy.groove_consistency(fine, 96) == pytest.approx(1 - 4 / 192)  # .979
    close(groove_consistency(Pieces.of([whole])), 1)
    gap = melody("C4 . - - E4 . F4 .")
    assert muspy.empty_beat_rate(music(gap, 0)) == 0  # the C reaches into the second beat
    close(empty_beats(Pieces.of([gap])), 1 / 4)
