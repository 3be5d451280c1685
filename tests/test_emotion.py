"""Emotion: five numbers of a melody, exact on melodies, an expectation on probabilities."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import small
import torch

from musicgym.benchmarks.suites import SAD
from musicgym.benchmarks.tasks import BenchmarkTask, corpus_windows
from musicgym.corpus.dataset import Corpus, windows
from musicgym.emotion import (
    EMOTIONS,
    FEATURES,
    LEVELS,
    TARGETS,
    EmotionTargets,
    distances,
    emotion,
    emotion_of,
    nearest,
    targets,
)
from musicgym.events import to_notes
from musicgym.melody import parse_events

C, A = np.array([0]), np.array([9])
#: The places of the features.
DENSITY, INTERVAL, SPREAD, REGISTER, MODE = range(5)


def of(text: str, low: int = 60, tonic: int = 0) -> list[float]:
    """Return the features of a melody in text."""
    events = np.array([parse_events(text, low, low + 30)])
    return [round(float(value), 4) for value in emotion_of(events, low, np.array([tonic]))[0]]


def soft(size: int = 3, steps: int = 6, n_events: int = 9, seed: int = 0) -> np.ndarray:
    """Return probabilities at random."""
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(n_events, 0.7), (size, steps))


def test_a_melody_has_the_numbers_that_were_worked_out_by_hand() -> None:
    # C4 E4 A4 over 8 steps: 3 notes; intervals 4 and 5; pitches 60, 64, 69 of mean 64.3333 and
    # variance (18.7778 + 0.1111 + 21.7778) / 3; C sounds 2 steps, E 2, A 3 of which E and A count.
    assert of("C4 . E4 . A4 . . -") == [0.375, 4.5, 3.6818, 4.3333, round(5 / 7, 4)]


def test_minor_thirds_sixths_and_sevenths_count_against_the_mode() -> None:
    # Eb, Ab and Bb are 3, 8 and 10 above C; E is 4, and D counts for nothing.
    assert of("Eb4 Ab4 Bb4 . E4 D4")[MODE] == round((1 - 4) / 6, 4)


def test_the_mode_is_read_from_the_tonic_and_so_is_the_register() -> None:
    # C is the minor third of A; A3 = 57 is the tonic nearest to C4 = 60.
    assert of("C4 . . .", tonic=9)[REGISTER:] == [3.0, -1.0]
    # G3 = 55 lies five below C4, F#4 = 66 six above it.
    assert of("C4 . . .", tonic=7)[REGISTER] == 5.0
    assert of("C4 . . .", tonic=6)[REGISTER] == -6.0


def test_rests_do_not_break_an_interval_and_end_the_sounding_time() -> None:
    assert of("C4 - - E4") == [0.5, 4.0, 2.0, 2.0, 0.5]


def test_a_hold_in_silence_counts_as_a_rest() -> None:
    assert of(". E4 - .") == of("- E4 - -") == [0.25, 0.0, 0.0, 4.0, 1.0]


def test_what_is_undefined_is_0() -> None:
    assert of("- - - -") == [0.0] * 5
    assert of("- D4 . -") == [0.25, 0.0, 0.0, 2.0, 0.0]


def test_moving_melody_tonic_and_range_together_changes_nothing() -> None:
    events = np.array(small.corpus().pieces[0].events)[None]
    plain = emotion_of(events, 48, C)
    for by in range(1, 12):
        assert np.allclose(emotion_of(events, 48 + by, (C + by) % 12), plain)


def test_every_melody_is_measured_as_its_notes_say() -> None:
    rng = np.random.default_rng(3)
    events, low, tonic = rng.integers(0, 14, (40, 16)), 55, rng.integers(0, 12, 40)
    found = emotion_of(events, low, tonic, n_events=20)
    for row, key, values in zip(events, tonic, found, strict=True):
        notes = to_notes(row, low)
        pitch = np.array([note.pitch for note in notes])
        signs = {4: 1, 9: 1, 11: 1, 3: -1, 8: -1, 10: -1}
        major = sum(note.duration * signs.get((note.pitch - key) % 12, 0) for note in notes)
        home = min(range(low - 5, low + 7), key=lambda p: (p - key) % 12 != 0)  # noqa: B023
        wanted = (
            len(notes) / 16,
            np.abs(np.diff(pitch)).mean(),
            pitch.std(),
            pitch.mean() - home,
            major / sum(note.duration for note in notes),
        )
        assert np.allclose(values, wanted)


def test_soft_numbers_are_quotients_of_expectations_over_independent_steps() -> None:
    probabilities, low, tonic = soft(1, 3, 6)[0], 62, A
    total = np.zeros(8)
    for row in itertools.product(range(6), repeat=3):
        chance = np.prod([probabilities[t, event] for t, event in enumerate(row)])
        notes = to_notes(row, low)
        pitch = np.array([note.pitch for note in notes], dtype=float)
        signs = {4: 1, 9: 1, 11: 1, 3: -1, 8: -1, 10: -1}
        total += chance * np.array([
            len(notes), np.abs(np.diff(pitch)).sum(), max(len(notes) - 1, 0),
            pitch.sum(), (pitch**2).sum(), len(notes),
            sum(n.duration * signs.get((n.pitch - 9) % 12, 0) for n in notes),
            sum(n.duration for n in notes),
        ])  # fmt: skip
    mean = total[3] / total[5]
    wanted = [
        total[0] / 3, total[1] / total[2], np.sqrt(total[4] / total[5] - mean**2),
        mean - 57, total[6] / total[7],
    ]  # fmt: skip
    assert np.allclose(emotion(probabilities[None], low, tonic), [wanted])


def test_torch_agrees_with_numpy_on_probabilities_and_on_events() -> None:
    probabilities, tonic = soft(), np.array([0, 9, 4])
    wanted = emotion(probabilities, 60, tonic)
    found = emotion(torch.from_numpy(probabilities), 60, torch.from_numpy(tonic))
    assert np.allclose(found.numpy(), wanted, atol=1e-12)
    single = emotion(torch.from_numpy(probabilities).float(), 60, torch.from_numpy(tonic))
    assert single.dtype == torch.float32
    assert np.allclose(single.numpy(), wanted, atol=1e-5)
    events = np.random.default_rng(1).integers(0, 9, (3, 12))
    drawn = emotion_of(torch.from_numpy(events), 60, torch.from_numpy(tonic))
    assert np.allclose(drawn.numpy(), emotion_of(events, 60, tonic), atol=1e-12)


def test_the_gradient_is_that_of_finite_differences() -> None:
    logits = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    weights = torch.tensor([1.0, 0.5, -0.3, 0.2, 2.0], dtype=torch.float64)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (emotion(x.softmax(-1), 60, torch.tensor([0, 9])) @ weights).sum()

    assert torch.autograd.gradcheck(loss, (logits.requires_grad_(True),))
    assert all(
        float(torch.autograd.grad(emotion(logits.softmax(-1), 60, C)[:, k].sum(), logits)[0].norm())
        > 1e-4
        for k in range(5)
    )


def test_the_gradient_is_finite_where_a_number_is_undefined() -> None:
    silence = torch.zeros(1, 4, 6, dtype=torch.float64)
    silence[:, :, 1] = 1
    one_pitch = torch.zeros(1, 4, 6, dtype=torch.float64)
    one_pitch[:, :, 3] = 1
    for melody in (silence, one_pitch):
        given = melody.clone().requires_grad_(True)
        emotion(given, 60, C).sum().backward()
        assert given.grad is not None
        assert torch.isfinite(given.grad).all()


@pytest.fixture(scope="module")
def known() -> EmotionTargets:
    return targets(windows(small.corpus(), "train", bars=8), 48)


def test_targets_are_the_percentiles_that_the_mapping_names(known: EmotionTargets) -> None:
    cut = windows(small.corpus(), "train", bars=8)
    found = emotion_of(cut.events.astype(int), 48, np.where(cut.modes == 1, 9, 0))
    for name, row in zip(EMOTIONS, known.values, strict=True):
        wanted = [
            np.percentile(found[:, k], LEVELS[TARGETS[name][feature]])
            for k, feature in enumerate(FEATURES)
        ]
        assert np.allclose(row, wanted)
        assert known.vector(name).tolist() == list(row)
    assert np.allclose(known.deviations, found.std(0))
    assert known.vector("neutral").tolist() == np.median(found, axis=0).tolist()


def test_targets_survive_json(known: EmotionTargets) -> None:
    assert EmotionTargets.from_json(known.to_json()) == known


def test_each_target_is_nearest_to_itself(known: EmotionTargets) -> None:
    for without in (("mode",), ()):
        assert nearest(known.table, known, without).tolist() == [0, 1, 2, 3, 4]
        soft_kind = nearest(torch.from_numpy(known.table).float(), known, without)
        assert soft_kind.tolist() == [0, 1, 2, 3, 4]


def test_the_nearest_is_told_in_standard_deviations_and_without_the_mode() -> None:
    rows = [[0.0, 0, 0, 0, 0]] * 5
    rows[1], rows[2] = [4.0, 0, 0, 0, 0], [0.0, 0, 0, 2.0, 0]
    rows[3], rows[4] = [9.0, 9, 9, 9, 9], [0.0, 0, 0, 0, 5.0]
    known = EmotionTargets(tuple(map(tuple, rows)), (4.0, 1.0, 1.0, 1.0, 1.0))
    # 3 / 4 of a deviation from row 0 and 1 / 4 from row 1; plainly, row 1 is 1 away.
    assert nearest(np.array([[3.0, 0, 0, 0, 5.0]]), known).tolist() == [1]
    assert nearest(np.array([[3.0, 0, 0, 0, 5.0]]), known, ()).tolist() == [4]
    assert nearest(np.array([[0.0, 0, 0, 1.1, 0]]), known).tolist() == [2]


def test_distances_are_root_mean_squares_of_the_features_that_count() -> None:
    rows = ((1.0, 2.0, 3.0, 4.0, 0.5),) * 5
    known = EmotionTargets(rows, (0.5, 1.0, 1.0, 2.0, 0.1))
    found = np.array([[2.0, 2.0, 2.0, 8.0, 0.5]])  # 2, 0, 1, 2 and 0 deviations away
    assert np.allclose(distances(found, known), np.sqrt(9 / 4))
    assert np.allclose(distances(found, known, ()), np.sqrt(9 / 5))
    assert np.allclose(distances(found, known, ("density", "mode")), np.sqrt(5 / 3))


def test_each_melody_may_have_a_range_of_its_own() -> None:
    events, low = np.array([parse_events("C4 E4 - A4", 60, 90)] * 2), np.array([60, 55])
    both = emotion_of(events, low, np.array([0, 7]))
    assert np.allclose(both[0], both[1])  # a fourth lower, in G
    assert np.allclose(both[1], emotion_of(events[:1], 55, np.array([7])))


def test_an_unknown_emotion_or_feature_is_refused_by_name(known: EmotionTargets) -> None:
    with pytest.raises(ValueError, match=r"'clam' is not one of .*calm"):
        known.vector("clam")
    with pytest.raises(ValueError, match=r"'modes' is not one of .*mode"):
        nearest(known.table, known, ("modes",))
    with pytest.raises(ValueError, match="no feature is left"):
        nearest(known.table, known, FEATURES)


def test_targets_of_a_wrong_shape_or_of_no_numbers_are_refused(known: EmotionTargets) -> None:
    with pytest.raises(ValueError, match=r"\(5, 5\).*not \(4, 5\)"):
        replace(known, values=known.values[:4])
    with pytest.raises(ValueError, match="above 0"):
        replace(known, deviations=(0.0, 1, 1, 1, 1))
    with pytest.raises(ValueError, match="not the JSON of targets"):
        EmotionTargets.from_json("[1]")


def test_a_corpus_in_which_a_number_never_changes_is_refused() -> None:
    cut = windows(small.corpus(), "train", bars=8)
    same = cut._replace(events=np.full_like(cut.events, 14))
    with pytest.raises(ValueError, match="the density is the same in all"):
        targets(same, 48)


def test_the_sad_targets_of_the_suite_are_those_of_the_chorales(chorales: Corpus) -> None:
    task = BenchmarkTask().task
    known = targets(corpus_windows(chorales, "train", task), task.low)
    np.testing.assert_allclose(SAD["values"], known.values, atol=1e-4)
    np.testing.assert_allclose(SAD["deviations"], known.deviations, atol=1e-4)
