"""The metrics of Ganorkar and Rathkanthiwar: values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tunes import close, pieces

from musicgym.benchmarks.metrics.ganorkar import (
    distances_by_style,
    inception_score,
    negative_log_likelihood,
    roll_error,
    sequence_coherence,
    style_accuracy,
)


def test_the_likelihood_is_in_nats_an_event() -> None:
    close(negative_log_likelihood(np.log([[0.5, 0.5], [1.0, 0.25]])), np.log(2), np.log(4) / 2)
    close(negative_log_likelihood(np.zeros((1, 0))), np.nan)


def test_rolls_differ_in_one_cell_a_step_or_in_two() -> None:
    # A note against silence, a note against another, an equal one, silence against silence.
    some, other = pieces("C4 D4 E4 - C4 . . ."), pieces("- E4 E4 - C4 C4 . .")
    close(roll_error(some, other), (1 + 2) / 8 / 128)
    close(roll_error(some, some), 0)


def test_rolls_are_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"\(1, 4\) and \(1, 5\)"):
        roll_error(pieces("C4 . . ."), pieces("C4 . . . ."))


def test_the_inception_score_counts_clear_and_different_styles() -> None:
    assert inception_score(np.eye(4)) == pytest.approx(4)
    assert inception_score([[1.0, 0.0], [1.0, 0.0]]) == 1  # one style only
    assert inception_score([[0.5, 0.5], [0.5, 0.5]]) == pytest.approx(1)  # nothing is clear
    # p(y) = (.75, .25): KL of (1, 0) is log 4/3, of (.5, .5) log(2/3)/2 + log(2)/2.
    expected = np.exp((np.log(4 / 3) + np.log(2 / 3) / 2 + np.log(2) / 2) / 2)
    assert inception_score([[1.0, 0.0], [0.5, 0.5]]) == pytest.approx(expected)
    assert np.isnan(inception_score(np.zeros((0, 3))))


def test_the_distance_of_a_style_is_to_the_human_melodies_of_that_style() -> None:
    # One number each: means 2 and 5, variances 2 and 8: 3 squared + (2 sqrt 2 - sqrt 2) squared.
    some, human = np.array([[1.0], [7.0], [3.0]]), np.array([[7.0], [3.0], [7.0], [9.0], [1.0]])
    found = distances_by_style(some, [0, 1, 0], human, [0, 0, 1, 1, 2])
    assert found[0] == pytest.approx(9 + 2)
    assert sorted(found) == [0, 1, 2]
    assert np.isnan([found[1], found[2]]).all()


def test_style_accuracy_is_the_share_of_right_most_likely_classes() -> None:
    assert style_accuracy([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], [0, 1, 1]) == pytest.approx(2 / 3)


def test_coherence_is_the_mean_cosine_of_successive_bars() -> None:
    bar = "C4 . . . E4 . . ."
    close(sequence_coherence(pieces(f"{bar} {bar}")), 1)
    # Other pitch classes, the same onsets: cosines 0 and 1.
    close(sequence_coherence(pieces(f"{bar} D4 . . . F4 . . .")), 1 / 2)
    # C in place of E: (4, 4) with (8, 0): 1 / sqrt 2; onsets 1 and 5 with 1: 1 / sqrt 2.
    close(sequence_coherence(pieces(f"{bar} C5 . . . . . . .")), 1 / np.sqrt(2))


def test_empty_vectors_do_not_count_in_the_coherence() -> None:
    # The second bar is held: C as before, and no onset to compare.
    close(sequence_coherence(pieces("C4 . . . . . . . . . . . . . . .")), 1)
    close(sequence_coherence(pieces("C4 . . . . . . . - - - - - - - -")), np.nan)
    close(sequence_coherence(pieces("C4 . . . . . . .")), np.nan)
