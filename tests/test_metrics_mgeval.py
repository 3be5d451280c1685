"""MGEval's features by hand, and its distances, densities and what is read from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from tunes import close, pieces, random_melodies

from musicgym.benchmarks.metrics import METRICS, Pieces, measure
from musicgym.benchmarks.metrics.mgeval import (
    FEATURES,
    densities,
    distances,
    divergence,
    note_count,
    note_length_histogram,
    note_length_transitions,
    overlap,
    pitch_class_histogram,
    pitch_class_transitions,
)
from musicgym.theory import Key

RNG = np.random.default_rng


def test_there_are_nine_features_with_two_metrics_each() -> None:
    assert len(FEATURES) == 9
    names = {name for name, metric in METRICS.items() if metric.family == "mgeval"}
    assert names == {f"{kind}_{feature}" for kind in ("kld", "overlap") for feature in FEATURES}


def test_pitch_classes_are_weighted_by_time_from_the_tonic() -> None:
    p = pieces("D4 . . F#4 - - - D5", key=Key.parse("D major"))
    close(pitch_class_histogram(p)[0], 4 / 5, 0, 0, 0, 1 / 5, *[0] * 7)


def test_transitions_are_counts_of_pairs_over_rests_too() -> None:
    found = pitch_class_transitions(pieces("C4 D4 - C5 D4 . . .")).reshape(12, 12)
    assert (found[0, 2], found[2, 0], found.sum()) == (2, 1, 3)


def test_note_lengths_are_those_of_a_whole_note() -> None:
    # An eighth (12 of 96), a quarter (24), a dotted quarter (36), an eighth.
    text = "C4 - D4 . E4 . . F4"
    found = note_length_histogram(pieces(text))[0]
    close(found[[3, 2, 6]], 2 / 4, 1 / 4, 1 / 4)
    pairs = note_length_transitions(pieces(text)).reshape(12, 12)
    assert (pairs[3, 2], pairs[2, 6], pairs[6, 3], pairs.sum()) == (1, 1, 1, 3)


def test_a_length_between_two_is_the_nearest() -> None:
    # Five eighths: 60 of 96, as far from 48 as from 72; the half stands first.
    assert note_length_histogram(pieces("C4 . . . . - - -"))[0][1] == 1
    # Seven eighths: 84, as far from 96 as from 72; the whole stands first.
    assert note_length_histogram(pieces("C4 . . . . . . -"))[0][0] == 1


def test_the_grid_changes_no_length() -> None:
    for grid in ({"steps_per_beat": 4}, {"meter": "6/8", "steps_per_beat": 2}):
        assert note_length_histogram(pieces("C4 . . .", **grid))[0][2] == 1  # a quarter


def test_notes_are_counted() -> None:
    close(note_count(pieces("C4 C4 . E4 - - - -", "- - - - - - - -")), 3, 0)


def test_distances_leave_out_a_melody_itself_and_what_is_undefined() -> None:
    close(np.sort(distances(np.array([0.0, 1.0, 3.0]))), 1, 1, 2, 2, 3, 3)
    close(distances(np.array([0.0, np.nan, 4.0]), np.array([[1.0], [np.nan]])[:, 0]), 1, 3)
    close(distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])), 5)


def test_densities_are_those_of_scipy() -> None:
    intra, inter = RNG(0).gamma(3.0, size=400), RNG(1).normal(4.0, size=500)
    found = densities(intra, inter)
    assert found is not None
    assert found.grid[0] == min(intra.min(), inter.min())
    assert found.grid[-1] == max(intra.max(), inter.max())
    for ours, sample in ((found.intra, intra), (found.inter, inter)):
        np.testing.assert_allclose(ours, stats.gaussian_kde(sample)(found.grid), atol=2e-4)


def test_divergence_and_overlap_are_those_of_scipy_on_one_grid() -> None:
    intra, inter = RNG(0).normal(size=300), RNG(1).normal(1.0, size=300)
    found = densities(intra, inter)
    assert found is not None
    one, two = stats.gaussian_kde(intra), stats.gaussian_kde(inter)
    expected = stats.entropy(one(found.grid), two(found.grid))
    assert divergence(found) == pytest.approx(expected, rel=2e-3)
    area = integrate.quad(lambda x: min(one(x)[0], two(x)[0]), found.grid[0], found.grid[-1])[0]
    assert overlap(found) == pytest.approx(area, abs=2e-3)


def test_equal_samples_do_not_diverge_and_far_ones_stay_finite() -> None:
    sample = RNG(0).normal(size=500)
    same, far = densities(sample, sample), densities(sample, sample + 1000)
    assert divergence(same) == pytest.approx(0, abs=1e-12)
    assert 0.98 < overlap(same) <= 1
    assert np.isfinite(divergence(far)) and divergence(far) > 10
    assert overlap(far) < 1e-6


def test_samples_without_a_spread_have_no_density() -> None:
    flat = np.ones(9)
    assert densities(flat, np.arange(9.0)) is None
    assert densities(np.arange(9.0), np.array([1.0])) is None
    assert np.isnan(divergence(None)) and np.isnan(overlap(None))


def test_a_set_like_the_human_one_is_nearer_to_it() -> None:
    human, alike = (Pieces.of(random_melodies(40, seed=s)) for s in (5, 6))
    held = pieces(*["C4 . . . . . . . " * 4, "D4 . . . . . . . " * 4] * 20)
    names = [name for name, metric in METRICS.items() if metric.family == "mgeval"]
    near, far = measure(alike, human, names), measure(held, human, names)
    for feature in FEATURES:
        assert near[f"kld_{feature}"].value < far[f"kld_{feature}"].value, feature
        assert near[f"overlap_{feature}"].value > far[f"overlap_{feature}"].value, feature


def test_the_human_set_is_the_one_whose_own_distances_count() -> None:
    narrow, wide = np.array([0.0, 0.1, 0.2, 0.3]), np.array([0.0, 5.0, 9.0, 20.0])
    there = densities(distances(wide), distances(narrow, wide))
    back = densities(distances(narrow), distances(wide, narrow))
    assert divergence(there) != pytest.approx(divergence(back), rel=0.1)
    human, some = Pieces.of(random_melodies(9, seed=7)), Pieces.of(random_melodies(9, seed=8))
    values = note_count(human), note_count(some)
    expected = divergence(densities(distances(values[0]), distances(values[1], values[0])))
    assert measure(some, human, ["kld_note_count"])["kld_note_count"].value == expected
