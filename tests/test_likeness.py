"""Human-likeness: features and distances by hand, and what human, copied and random music score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import small
from playing import spelt

from musicgym.benchmarks.features import FAMILIES, FEATURES, features
from musicgym.benchmarks.human import Sample, apart, draw, equal_counts, spread
from musicgym.benchmarks.likeness import (
    DISTANCES,
    Human,
    compare,
    floors,
    frechet,
    jensen_shannon,
    likeness,
    matched,
    mmd2,
    two_sample_accuracy,
)
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.tasks import as_melodies, corpus_windows
from musicgym.events import FIRST_NOTE
from musicgym.melody import Melody
from musicgym.task import Task
from musicgym.theory import Key, parse_progression

MAJOR = Key.parse("C major")
TASK = Task(key="natural", bars=4, steps_per_beat=1)


def pieces(*texts: str, chords: str = "C", key: Key = MAJOR, **how: Any) -> Pieces:
    """Return melodies of one length over chords that share it evenly."""
    spans = parse_progression(chords, key)
    return Pieces.of([Melody(tuple(spelt(text)), 48, key, spans, **how) for text in texts])


def named(batch: Pieces) -> dict[str, float]:
    """Return the features of the first melody by name."""
    return dict(zip(FEATURES, features(batch)[0].tolist(), strict=True))


def normal(n: int, shift: float = 0.0, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(shift, 1, (n, 3))


def sample(vectors: Any, tunes: Any, minor: Any = None) -> Sample:
    """Return vectors as a sample."""
    if minor is None:
        minor = np.zeros(len(vectors), np.bool_)
    return Sample(vectors, vectors, np.array(tunes), np.array(minor, dtype=np.bool_))


@pytest.fixture(scope="module")
def human() -> Human:
    return Human.of(small.corpus(), TASK)


def shuffled(batch: Pieces, seed: int = 0) -> Pieces:
    """Return the melodies with their pitches shuffled among their onsets."""
    events, rng = batch.events.copy(), np.random.default_rng(seed)
    for row in events:
        struck = np.flatnonzero(row >= FIRST_NOTE)
        row[struck] = rng.permutation(row[struck])
    return replace(batch, events=events)


def random(batch: Pieces, seed: int = 0) -> Pieces:
    """Return random events over the chords of the melodies."""
    return replace(
        batch, events=np.random.default_rng(seed).integers(0, TASK.n_events, batch.events.shape)
    )


# Features


def test_there_are_42_features_with_names() -> None:
    assert len(FEATURES) == len(set(FEATURES)) == 42
    assert [len(bins) for bins in FAMILIES.values()] == [12, 9, 6, 4]
    assert features(pieces("C4 . . . . . . .", "- - - - - - - -")).shape == (2, 42)


def test_the_features_of_a_melody_by_hand() -> None:
    # quarters C E, dotted quarter F#, eighth F#, rest, eighth G one octave up, quarter A down there
    f = named(pieces("C4 . E4 . F#4 . . F#4 | - G5 A4 . . . . .", chords="C G"))
    expected = {
        "degree_0": 2 / 15, "degree_4": 2 / 15, "degree_6": 4 / 15, "degree_7": 1 / 15,
        "degree_9": 6 / 15, "degree_1": 0,
        "up_third": 1 / 5, "up_step": 1 / 5, "repeated": 1 / 5, "up_sixth_or_more": 1 / 5,
        "down_sixth_or_more": 1 / 5, "down_step": 0,
        "up_to_eighth": 2 / 6, "up_to_quarter": 2 / 6, "up_to_dotted_quarter": 1 / 6,
        "up_to_half": 0, "up_to_dotted_half": 1 / 6, "longer": 0,
        "first_beat": 1 / 6, "strong_beat": 1 / 6, "weak_beat": 2 / 6, "off_beat": 2 / 6,
        "mean_pitch": (60 + 64 + 66 + 66 + 79 + 69) / 6, "pitch_range": 19,
        "notes_per_quarter": 6 / 8, "rest_share": 1 / 16,
        "chord_match": 5 / 15,  # C, E over C; of G5, A4 over G the G
        "chord_match_on_strong_beats": 1 / 3,  # C4, not F#4, a rest, not A4
        "in_key": 4 / 6,
        "direction_changes": 1 / 3,  # up up (up) down: 4 moves, 3 pairs, 1 turn
        "rhythm_of_last_bar": 1 / 5,  # onsets at 0 2 4 7 and at 1 2
    }  # fmt: skip
    assert {name: pytest.approx(value) for name, value in expected.items()} == {
        name: f[name] for name in expected
    }
    assert f["pitch_deviation"] == pytest.approx(np.std([60, 64, 66, 66, 79, 69]))
    x = np.array([60, 64, 66, 66, 79, 69]) - f["mean_pitch"]
    assert f["autocorrelation"] == pytest.approx((x[1:] * x[:-1]).sum() / (x * x).sum())


def test_features_do_not_depend_on_the_grid_or_the_key() -> None:
    coarse = pieces("C4 . E4 A3 | - G4 . .", chords="C F", steps_per_beat=1)
    fine = pieces(
        "C4 . . . E4 . A3 . | - - G4 . . . . .", chords="C F", steps_per_beat=2
    )  # the same at half the step
    moved = Pieces.of([Melody(
        tuple(spelt("C4 . E4 A3 | - G4 . .")), 48, MAJOR, parse_progression("C F", MAJOR), "4/4", 1
    ).transposed(-5)])  # fmt: skip
    np.testing.assert_allclose(features(fine), features(coarse), atol=1e-12)
    np.testing.assert_allclose(features(moved), features(coarse), atol=1e-12)


def test_pitches_are_moved_to_c_major_or_a_minor_by_a_tritone_at_most() -> None:
    sharp, flat, minor = (Key.parse(name) for name in ("F# major", "G major", "E minor"))
    assert named(pieces("F#4 . . .", chords="I", key=sharp))["mean_pitch"] == 60
    assert named(pieces("G4 . . .", chords="I", key=flat))["mean_pitch"] == 72
    assert named(pieces("E4 . . .", chords="i", key=minor))["mean_pitch"] == 69


def test_onset_positions_know_the_meter() -> None:
    six = named(pieces("C4 C4 C4 C4 C4 C4", meter="6/8", steps_per_beat=1))
    assert [six[name] for name in FAMILIES["onset_position"]] == pytest.approx(
        [1 / 6, 1 / 6, 4 / 6, 0]
    )
    assert six["up_to_eighth"] == 1  # its beat is an eighth
    three = named(pieces("C4 C4 C4 C4 C4 C4", meter="3/4", steps_per_beat=2))
    assert [three[name] for name in FAMILIES["onset_position"]] == pytest.approx(
        [1 / 6, 0, 2 / 6, 3 / 6]
    )


@pytest.mark.parametrize("text", ["- - - - - - - -", ". . . . . . . .", "C4 . . . . . . .", ""])
def test_every_melody_has_finite_features(text: str) -> None:
    f = named(pieces(text, chords="N.C."))
    assert all(math.isfinite(value) for value in f.values())
    assert f["mean_pitch"] == 60 and f["chord_match"] == f["autocorrelation"] == 0
    assert f["rest_share"] == (1 if text.startswith(("-", ".")) else 0)


# Distances


def test_mmd_of_tiny_sets_by_the_formula() -> None:
    a, b = np.array([[0.0], [2.0], [3.0]]), np.array([[1.0], [5.0]])

    def k(d: float) -> float:
        return math.exp(-d * d / (2 * 1.5**2))

    expected = (
        2 * (k(2) + k(3) + k(1)) / 6 + 2 * k(4) / 2
        - 2 * (k(1) + k(5) + k(1) + k(3) + k(2) + k(2)) / 6
    )  # fmt: skip
    assert mmd2(a, b, width=1.5) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(mmd2(a, b[:1], width=1.5))


def test_mmd_is_zero_on_average_and_grows_with_the_shift() -> None:
    same = [mmd2(normal(20, seed=2 * i), normal(20, seed=2 * i + 1), 2.0) for i in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 200**0.5
    assert mmd2(normal(50), normal(50, 2, 1), 2.0) > mmd2(normal(50), normal(50, 1, 1), 2.0) > 0.1


def test_frechet_distance_of_normal_distributions_by_hand() -> None:
    a, b = np.array([[-1.0], [0.0], [1.0]]), np.array([[2.0], [5.0], [8.0]])  # N(0, 1), N(5, 9)
    assert frechet(a, b) == pytest.approx(25 + (1 - 3) ** 2)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])  # deviations 2, 1 and 1, 1 along turned axes
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]]) * (3 / 4) ** 0.5
    assert frechet(square * [2, 1] @ turn, square @ turn) == pytest.approx((2 - 1) ** 2)
    assert math.isnan(frechet(a, b[:1]))


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    from scipy.linalg import sqrtm

    a, b = normal(30), normal(30, seed=1) @ np.array([[1, 2, 0], [0, 1, 0], [0.5, 0, 3]])
    one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    gap = a.mean(0) - b.mean(0)
    expected = gap @ gap + np.trace(one + other - 2 * sqrtm(one @ other).real)
    assert frechet(a, b) == pytest.approx(expected)


def test_jensen_shannon_of_given_histograms() -> None:
    p, q = np.array([1.0, 0]), np.array([0.5, 0.5])
    expected = 0.5 * math.log2(4 / 3) + 0.5 * (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2))
    assert jensen_shannon(p, q) == pytest.approx(expected)
    assert jensen_shannon(q, 7 * p) == pytest.approx(expected)
    assert jensen_shannon(q, q) == 0
    assert math.isnan(jensen_shannon(p, 0 * q))


def test_a_classifier_tells_what_differs_and_not_what_is_the_same() -> None:
    tunes = np.arange(40) % 10
    near, far = sample(normal(40), tunes), sample(normal(40, 6, 1), tunes)
    assert two_sample_accuracy(near, far) == 1
    assert two_sample_accuracy(near, near) == 0.5
    assert math.isnan(two_sample_accuracy(near.at(np.arange(1)), far))
    one = sample(normal(4), [3] * 4)
    assert math.isnan(two_sample_accuracy(one, one))


def test_the_classifier_is_tried_on_tunes_that_it_has_not_seen() -> None:
    # each tune has a place of its own: known tunes give their set away, new ones do not
    rng = np.random.default_rng(0)
    places = rng.normal(0, 1, (40, 40))
    tunes = np.repeat(np.arange(40), 10)
    vectors = places[tunes] + rng.normal(0, 0.01, (400, 40))
    accuracy = two_sample_accuracy(sample(vectors[:200], tunes[:200]),
                                   sample(vectors[200:], tunes[200:]))  # fmt: skip
    assert accuracy < 0.75  # with melodies of one tune in two folds it is 1


# Draws


def test_draws_have_equal_modes_and_spread_over_tunes() -> None:
    rng = np.random.default_rng(0)
    a = sample(normal(9), [0, 0, 0, 0, 1, 2, 3, 3, 3], [0] * 6 + [1] * 3)
    b = sample(normal(5), [5] * 5, [0, 1, 1, 1, 1])
    assert (a.counts, b.counts, equal_counts(a, b)) == ((6, 3), (1, 4), (1, 3))
    assert draw(a, (2, 1), rng).counts == (2, 1)
    for _ in range(5):
        few = spread(a, (3, 1), rng)
        assert sorted(few.tunes) == [0, 1, 2, 3]
    assert sorted(spread(a, (9, 9), rng).vectors[:, 0]) == sorted(a.vectors[:, 0])


def test_parted_melodies_share_no_tune_and_are_made_like_the_reference() -> None:
    tunes = np.repeat(np.arange(20), [6, 5] + [3] * 18)
    everyone = sample(normal(len(tunes)), tunes, tunes % 2)
    like = sample(normal(8), [0] * 4 + [2] * 2 + [1, 3], [0] * 6 + [1, 1])
    for seed in range(20):
        one, other = apart(everyone, like, np.random.default_rng(seed))
        assert one.counts == other.counts == like.counts
        assert not set(one.tunes) & set(other.tunes)
        assert sorted(np.unique(one.tunes, return_counts=True)[1]) == [1, 1, 2, 4]
        assert np.bincount(other.tunes).max() == 1  # one melody a tune where it can be had


# Human melodies


def test_scales_and_width_see_training_windows_only(human: Human) -> None:
    corpus = small.corpus()
    cut = corpus_windows(corpus, "train", TASK)
    train = features(Pieces.of(as_melodies(cut, TASK)))
    np.testing.assert_allclose(human.centre, train.mean(0))
    np.testing.assert_allclose(human.scale, np.maximum(train.std(0), 0.02))
    vectors = (train - human.centre) / human.scale
    gaps = np.sqrt(((vectors[:, None] - vectors) ** 2).sum(-1))[np.triu_indices(len(train), 1)]
    assert human.width == pytest.approx(np.median(gaps), rel=0.02)
    assert len(human.training) == len(corpus.of("train"))
    line = corpus.of("train")[0].melody().notes()
    assert human.training[0].tolist() == [note.pitch for note in line]


def test_the_reference_is_the_windows_of_the_split(human: Human) -> None:
    cut = corpus_windows(small.corpus(), "test", TASK)
    expected = Pieces.of(as_melodies(cut, TASK))
    for name in ("events", "low", "tonic", "minor", "masks", "pitch"):
        np.testing.assert_array_equal(getattr(human.pieces, name), getattr(expected, name))
    assert len(set(human.sample.tunes.tolist())) == len(set(cut.tunes))
    assert set(human.sample.tunes) <= set(human.everyone.tunes)


def test_a_melody_belongs_to_the_tune_whose_chords_it_has(human: Human) -> None:
    cut = corpus_windows(small.corpus(), "test", TASK)
    moved = Pieces.of([melody.transposed(4) for melody in as_melodies(cut, TASK)])
    np.testing.assert_array_equal(human.read(moved).tunes, human.sample.tunes)
    np.testing.assert_allclose(human.read(moved).vectors, human.sample.vectors, atol=1e-9)
    elsewhere = replace(human.pieces, masks=human.pieces.masks * 0 + 0b111)
    unknown = human.read(elsewhere).tunes
    assert (unknown < 0).all()
    major, minor = (set(unknown[elsewhere.minor == mode].tolist()) for mode in (False, True))
    assert len(major) == len(minor) == 1 and major != minor  # one for each progression


def test_both_sides_have_as_many_melodies_of_each_mode(human: Human) -> None:
    few = human.sample.at(np.r_[np.flatnonzero(human.sample.minor), 0, 1])
    many = human.everyone
    for seen in (few, many):
        one, other = matched(seen, human, np.random.default_rng(0))
        assert one.counts == other.counts == equal_counts(seen, human.sample)
    few = human.everyone.at(np.flatnonzero(~human.everyone.minor)[:2])
    for seed in range(10):  # two human melodies are of two tunes
        one, _ = matched(few, human, np.random.default_rng(seed))
        assert len(set(one.tunes)) == 2
    one, _ = matched(human.sample.at(np.arange(1)), human, np.random.default_rng(0))
    assert sum(one.counts) == 1


def test_a_copy_is_too_near_and_noise_and_shuffles_are_far(human: Human) -> None:
    noise = floors(human, splits=10)
    copy = likeness(human.pieces, human)
    assert list(copy) == list(noise) == list(DISTANCES)
    mean, deviation = noise["mmd2"]
    assert copy["mmd2"] < min(0.0, mean)
    assert copy["frechet"] == pytest.approx(0, abs=1e-6)
    assert copy["c2st"] == 0.5
    assert copy["js_interval"] == pytest.approx(0, abs=1e-12)
    mixed, wild = likeness(shuffled(human.pieces), human), likeness(random(human.pieces), human)
    assert wild["mmd2"] > mixed["mmd2"] > mean + 3 * deviation
    assert wild["frechet"] > mixed["frechet"] > noise["frechet"][0]
    assert wild["c2st"] > 0.9
    assert mixed["js_pitch_class"] < 0.01 < mixed["js_interval"]


def test_a_floor_is_the_mean_distance_of_human_melodies_of_other_tunes(human: Human) -> None:
    apart_by_tunes = []
    for number in range(3):
        rng = np.random.default_rng([7, number])
        like = spread(human.sample, human.sample.counts, rng)
        one, other = apart(human.everyone, like, rng)
        apart_by_tunes.append(mmd2(one.vectors, other.vectors, human.width))
    found = floors(human, 3, 7)
    assert found["mmd2"] == pytest.approx((np.mean(apart_by_tunes), np.std(apart_by_tunes)))
    assert found["frechet"][0] > 1 and found["js_interval"][0] > 1e-4  # no set beside itself


def test_equal_seeds_give_equal_figures(human: Human) -> None:
    some = replace(random(human.pieces), minor=np.zeros(len(human.pieces.events), np.bool_))
    assert likeness(some, human, 3) == likeness(some, human, 3)
    assert floors(human, 2, 3) == floors(human, 2, 3) != floors(human, 2, 4)


def test_a_difference_is_that_of_the_distances_with_an_interval_over_tunes(human: Human) -> None:
    mixed, wild = shuffled(human.pieces), random(human.pieces)
    found = compare(wild, mixed, human)
    expected = likeness(wild, human)["mmd2"] - likeness(mixed, human)["mmd2"]
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert 0 < found.low < found.value < found.high
    assert compare(mixed, mixed, human) == (0, 0, 0)


def test_the_interval_of_equal_systems_holds_zero_where_there_are_many_tunes() -> None:
    many = Human.of(small.corpus(), TASK, "train")
    drawn = [random(many.pieces, seed) for seed in range(20)]
    level = [compare(a, b, many, 200) for a, b in zip(drawn[::2], drawn[1::2], strict=True)]
    assert sum(d.low <= 0 <= d.high for d in level) >= 8


@pytest.mark.parametrize("text", ["- " * 16, ". " * 16, "C4 " + ". " * 15, "C4 D4 " * 8, ""])
@pytest.mark.parametrize("count", [1, 3])
def test_short_batches_and_empty_melodies_give_numbers_or_nan(
    human: Human, text: str, count: int
) -> None:
    few = pieces(*[text] * count, steps_per_beat=1)
    found = likeness(few, human)
    assert list(found) == list(DISTANCES)
    assert math.isnan(found["mmd2"]) == (count == 1)
    assert math.isnan(found["js_interval"]) == ("D4" not in text)
    difference = compare(few, few, human, samples=10)
    assert math.isnan(difference.value) == (count == 1)


def test_a_reward_of_one_mode_is_compared_in_that_mode(human: Human) -> None:
    major = replace(human.pieces, tonic=human.pieces.tonic * 0, minor=human.pieces.minor & False)
    counts = equal_counts(human.read(major), human.sample)
    assert counts == (human.sample.counts[0], 0)
    assert floors(human, 2, counts=counts)["mmd2"][0] < 0.5


def test_the_human_row_has_as_many_of_each_mode_one_of_each_tune_before_a_second(
    human: Human,
) -> None:
    places = human.even()
    minor, tunes = human.sample.minor[places], human.sample.tunes[places]
    assert len(set(places.tolist())) == len(places)
    assert minor.sum() == (~minor).sum() == min(human.sample.counts)
    for mode in (False, True):
        held = np.bincount(tunes[minor == mode])
        there = np.bincount(human.sample.tunes[human.sample.minor == mode], minlength=len(held))
        room = held[there[: len(held)] > held]  # tunes with windows to spare
        assert held.max() - room.min(initial=held.max()) <= 1
    one_mode = replace(human, sample=human.sample.at(np.flatnonzero(~human.sample.minor)))
    assert len(one_mode.even()) == human.sample.counts[0]
