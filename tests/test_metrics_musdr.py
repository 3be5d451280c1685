"""MusDr's metrics: values by hand."""

from __future__ import annotations

import numpy as np
from tunes import close, pieces

from musicgym.benchmarks.metrics.musdr import groove_similarity, h1, h4, window_entropy

ONE, TWO, FOUR = "C4 . C5 . . . . .", "C4 . D4 . . . . .", "C4 D4 E4 F4 . . . ."
SILENCE = "- - - - - - - -"


def test_h1_is_the_mean_entropy_of_the_bars_with_notes() -> None:
    # Octaves are one pitch class: 0 bits; two classes: 1; four: 2. Held and silent bars are none.
    close(h1(pieces(f"{ONE} {TWO} {FOUR} {SILENCE}")), 1)
    close(h1(pieces(f"{FOUR} . . . . . . . .")), 2)
    close(h1(pieces(SILENCE)), np.nan)


def test_h4_is_over_four_bars_one_window_a_bar() -> None:
    # Bars 1-4 hold C C D D, bars 2-5 C D D and D: entropies of 2:2 and of 1:3.
    c, d = "C4 . . . . . . .", "D4 . . . . . . ."
    quarter = -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75)
    close(h4(pieces(f"{c} {c} {d} {d} {d}")), (1 + quarter) / 2)


def test_a_melody_shorter_than_the_window_is_one_window() -> None:
    close(h4(pieces(FOUR)), 2)
    # C C C D, and not the mean of C C and C D.
    close(h4(pieces(f"{ONE} {TWO}")), -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75))
    close(window_entropy(pieces("C4 D4 E4 F4"), 1), 2)  # half a bar


def test_grooves_are_compared_over_all_pairs_of_bars() -> None:
    # Three bars; the third strikes two more steps: pairs differ in 0, 2 and 2 of 8 steps.
    close(groove_similarity(pieces(f"{ONE} {TWO} {FOUR}")), 1 - (0 + 2 + 2) / 3 / 8)
    close(groove_similarity(pieces(f"{ONE} {TWO}")), 1)
    close(groove_similarity(pieces(f"{ONE} {SILENCE}")), 1 - 2 / 8)


def test_one_bar_or_no_note_has_no_groove() -> None:
    close(groove_similarity(pieces(FOUR)), np.nan)
    close(groove_similarity(pieces(f"{SILENCE} {SILENCE}")), np.nan)


def test_a_bar_is_that_of_the_meter() -> None:
    # Six eighths: C D E | C D E are two equal bars of 3/4 or 6/8.
    text = "C4 . D4 . E4 . C4 . D4 . E4 ."
    for grid in ({"meter": "3/4"}, {"meter": "6/8", "steps_per_beat": 1}):
        close(groove_similarity(pieces(text, **grid)), 1)
        close(h1(pieces(text, **grid)), np.log2(3))
