"""The metrics of Zhao et al.: values by hand, and BLEU against a count with dictionaries."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from tunes import close, pieces, random_melodies

from musicgym.benchmarks.metrics import Pieces
from musicgym.benchmarks.metrics.zhao import (
    bleu,
    duration,
    harmonic_richness,
    mean_wait,
    melodic_complexity,
    note_repetition,
    pitch_stability,
    pitch_variation,
    rhythm_continuity,
    rhythm_diversity,
)


def test_the_duration_ends_with_the_last_note() -> None:
    # An eighth is a quarter of a second.
    close(duration(pieces("- C4 . D4 . - - -", "C4 . . . . . . .")), 5 / 4, 2)


def test_seconds_depend_on_the_grid_and_the_meter() -> None:
    close(duration(pieces("C4 . . .", steps_per_beat=4)), 1 / 2)
    close(duration(pieces("C4 . . .", steps_per_beat=1)), 2)
    close(duration(pieces("C4 . . . . .", meter="6/8", steps_per_beat=1)), 6 / 4)
    close(duration(pieces("C4 . . . . .", meter="3/4", steps_per_beat=2)), 6 / 4)


def test_pitch_variation_is_the_mean_absolute_interval() -> None:
    close(pitch_variation(pieces("C4 E4 - D4 . G3 . .", "C4 . . . . . . .")), (4 + 2 + 7) / 3,
          np.nan)  # fmt: skip


def test_rhythm_diversity_is_an_entropy_in_bits() -> None:
    # Times between onsets: 1 1 2 2; 2 2 2; 1 1 2 (rests count as time).
    texts = (
        "C4 C4 C4 . C4 . C4 .",
        "C4 . C4 . C4 . C4 .",
        "C4 C4 C4 - C4 - - -",
        "C4 - - - - - - -",
    )
    thirds = -(1 / 3) * math.log2(1 / 3) - (2 / 3) * math.log2(2 / 3)
    close(rhythm_diversity(pieces(*texts)), 1, 0, thirds, np.nan)


def test_harmony_changes_when_no_triad_fits_on() -> None:
    # Half bars: C E G | F A C | G B D | C. The last fits many triads, but none that fits G B D.
    text = "C4 E4 G4 . F4 A4 C5 . G4 B4 D5 . C4 . . ."
    close(harmonic_richness(pieces(text)), 3)
    close(harmonic_richness(pieces("C4 E4 G4 . C5 . E4 .")), 0)


def test_harmony_changes_as_seldom_as_can_be() -> None:
    # C alone fits C, F, Am and more; then F A C needs F, which fits C too: no change.
    close(harmonic_richness(pieces("C4 . . . F4 A4 C5 .")), 0)
    close(harmonic_richness(pieces("E4 G#4 B4 . C4 E4 G4 .")), 1)


def test_silent_spans_change_no_harmony() -> None:
    close(harmonic_richness(pieces("C4 E4 G4 - - - - - D4 F4 A4 . - - - -")), 1)
    close(harmonic_richness(pieces("- - - - - - - -")), np.nan)


def test_harmony_is_read_from_one_strong_beat_to_the_next() -> None:
    # In 3/4 a bar is one span: C E G F A is C's or F's, no change; in 4/4 it is two.
    text = "C4 E4 G4 . F4 A4"
    close(harmonic_richness(pieces(text, meter="3/4")), 0)
    close(harmonic_richness(pieces(text, meter="4/4")), 1)


def test_complexity_is_in_notes_a_second_up_to_the_last_note() -> None:
    close(melodic_complexity(pieces("C4 D4 E4 . - - - -", "- - - - - - - -")), 3, np.nan)


def test_pitch_stability_is_a_standard_deviation() -> None:
    close(pitch_stability(pieces("C4 D4 C4 D4 - - - -", "C4 . . . . . . .")), 1, 0)


def test_rhythm_continuity_is_the_mean_change_of_the_pulse_in_seconds() -> None:
    # Times 1 3 2: changes 2 and 1 steps of a quarter of a second.
    close(rhythm_continuity(pieces("C4 D4 . . E4 . F4 .", "C4 . D4 . E4 . F4 .")), 1.5 / 4, 0)
    close(rhythm_continuity(pieces("C4 . . . D4 . . .")), np.nan)


def test_the_mean_time_between_onsets_is_in_seconds() -> None:
    close(mean_wait(pieces("C4 D4 . . E4 . F4 .", "C4 - - - - - - -")), 2 / 4, np.nan)


def test_a_repeated_note_has_the_pitch_before_it() -> None:
    close(note_repetition(pieces("C4 C4 - C4 D4 . - -", "C4 . . . . . . .")), 2 / 3, np.nan)


def test_bleu_of_a_worked_example() -> None:
    # Intervals 2 2 2 1 against 2 2 1: unigrams 2, 2 and 1 of four are found; bigrams 22, 22, 21:
    # 22 and 21 of three. The melody is the longer one: no penalty.
    some, human = pieces("C4 D4 E4 F#4 G4 - - -"), pieces("C4 D4 E4 F4 - - - -")
    close(bleu(some, human, 1), 3 / 4)
    close(bleu(some, human, 2), math.sqrt(3 / 4 * 2 / 3))
    close(bleu(some, human, 3), (3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
    close(bleu(some, human, 4), 0)


def test_a_melody_shorter_than_its_reference_is_penalised() -> None:
    # Two intervals, both known, against four.
    close(bleu(pieces("C4 D4 E4 - -"), pieces("C4 D4 E4 F4 G4"), 2), math.exp(1 - 4 / 2))


def test_the_reference_nearest_in_length_counts_and_of_two_the_shorter() -> None:
    human = pieces("C4 D4 E4 F4 G4 A4 - -", "C4 D4 - - - - - -")  # 5 and 1 intervals
    close(bleu(pieces("C4 D4 E4 F4 - - - -"), human, 1), 1)  # 3: as near to 1 as to 5


def test_an_interval_counts_as_often_as_in_the_one_reference_that_has_it_most() -> None:
    human = pieces("C4 D4 E4 - - -", "E4 F#4 A4 - - -")  # 2 2 and 2 3
    close(bleu(pieces("C4 D4 E4 F#4 A4 -"), human, 1), 3 / 4)  # 2 2 2 3: two 2s and the 3


def test_a_set_against_itself_scores_one() -> None:
    some = Pieces.of(random_melodies(4))
    assert [bleu(some, some, n) for n in (1, 2, 3, 4)] == pytest.approx([1, 1, 1, 1])


def test_bleu_without_an_interval_is_undefined() -> None:
    some, none = pieces("C4 D4 E4 . -"), pieces("C4 . . . -")
    close(bleu(some, none, 1), np.nan)
    close(bleu(none, some, 1), np.nan)


def counted(some: Pieces, human: Pieces, order: int) -> float:
    """BLEU as the paper says it, with dictionaries."""
    rows, others = ([np.diff(n).tolist() for n in side.notes] for side in (some, human))
    logs = 0.0
    for n in range(1, order + 1):
        grams = [Counter(tuple(r[i : i + n]) for i in range(len(r) - n + 1)) for r in rows]
        known: Counter[tuple[int, ...]] = Counter()
        for r in others:
            known |= Counter(tuple(r[i : i + n]) for i in range(len(r) - n + 1))
        hits = sum(min(times, known[g]) for gram in grams for g, times in gram.items())
        logs += math.log(hits / sum(sum(gram.values()) for gram in grams)) / order
    lengths = sum(min((abs(len(o) - len(r)), len(o)) for o in others)[1] for r in rows)
    return math.exp(min(0.0, 1 - lengths / sum(map(len, rows))) + logs)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_is_that_of_a_count_with_dictionaries(order: int) -> None:
    some, human = Pieces.of(random_melodies(20, seed=1)), Pieces.of(random_melodies(30, 5, seed=2))
    assert bleu(some, human, order) == pytest.approx(counted(some, human, order), abs=1e-12)
