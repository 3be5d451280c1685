"""The reward model: what it is fitted to, what it pays, and what is preferred after training."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from playing import spelt

from musicgym.agents import checkpoints
from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import ActorCriticConfig, MelodyLSTMConfig
from musicgym.agents.heuristics import HeldTonic
from musicgym.benchmarks.features import FEATURES, features
from musicgym.benchmarks.listening.choices import Judgement
from musicgym.benchmarks.listening.reward_model import (
    RIDGES,
    RewardModel,
    choose_ridge,
    features_of,
    fit,
    left_out,
    load_scorer,
    log_loss,
    told,
)
from musicgym.benchmarks.listening.simulated import Listener, measure
from musicgym.benchmarks.listening.wins import fit_logistic
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.env import MelodyComposeEnv
from musicgym.melody import Melody
from musicgym.theory import Chord, Key

C, G = Chord(0, ""), Chord(7, "")
TASK: dict[str, Any] = {**small.TINY, "key": "C major", "observation": "compact"}


def melody(text: str, **changes: Any) -> Melody:
    given = {"low": 48, "key": Key.parse("C major"), "chords": (C, G), "steps_per_beat": 1}
    return Melody(tuple(spelt(text)), **{**given, **changes})


def model(**weights: float) -> RewardModel:
    """Return a reward of some features, standardised by 0 and 1, heard from -10 to 100."""
    size = len(FEATURES)
    one, heard = np.ones(size), (("4/4", 1),)
    wanted = np.array([weights.get(name, 0.0) for name in FEATURES])
    return RewardModel(0 * one, one, -10 * one, 100 * one, wanted, heard)


def drawn(seed: int, steps: int = 8) -> Melody:
    """Return a random melody."""
    rng = np.random.default_rng(seed)
    moves = rng.integers(-7, 8, steps) * (rng.random(steps) < 0.3 + 0.7 * rng.random())
    events = tuple(np.clip(14 + np.cumsum(moves), 2, 30).tolist())
    return Melody(events, 48, Key.parse("C major"), (C, G), "4/4", 1)


def wide(of: Melody) -> float:
    """Return the mean size of the intervals."""
    return float(np.abs(np.diff([note.pitch for note in of.notes()])).mean())


def judged_by_intervals(count: int, seed: int = 0, sure: float = 2.0) -> list[Judgement]:
    """Return choices of a listener who prefers small intervals, and errs."""
    rng, made = np.random.default_rng(seed), []
    for i in range(count):
        pair = (drawn(10_000 * seed + 2 * i), drawn(10_000 * seed + 2 * i + 1))
        odds = sure * (wide(pair[1]) - wide(pair[0]))
        score = float(rng.random() < 1 / (1 + math.exp(-odds)))
        made.append(Judgement(("one", "other"), pair, score, "ear", score))
    return made


# --- What is paid --------------------------------------------------------------------------------


def test_a_melody_is_paid_its_weighted_features_at_the_last_step(tmp_path: Path) -> None:
    model(notes_per_quarter=2.0, up_third=3.0, in_key=-1.0).save(tmp_path / "reward")
    env = MelodyComposeEnv(
        rewards={"preference": {"scorer": str(tmp_path / "reward"), "weight": 0.5}}, **TASK
    )
    env.reset(seed=0)
    paid = [env.step(event)[1] for event in spelt("C4 . E4 G4 | - . C5 C#5")]
    # 5 notes in 8 quarters; of the intervals 4 3 5 1 two are thirds up; 4 of 5 notes are in C
    assert paid[:-1] == [0.0] * 7
    assert paid[-1] == pytest.approx(0.5 * (2 * 5 / 8 + 3 * 2 / 4 - 4 / 5))


def test_a_melody_in_an_environment_has_the_features_of_the_melody_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = replace(model(), weights=rng.normal(size=len(FEATURES)))
    made.save(tmp_path / "reward")
    given = {**TASK, "key": "Eb major", "progression": "I V vi IV", "chords_per_bar": 2}
    env = MelodyComposeEnv(rewards={"preference": {"scorer": str(tmp_path / "reward")}}, **given)
    env.reset(seed=0)
    events = spelt("Eb4 . G4 F4 | Bb4 - C5 Eb5")
    paid = [env.step(event)[1] for event in events]
    chords = tuple(Chord(*chord) for chord in ((3, ""), (10, ""), (0, "m"), (8, "")))
    itself = melody("C4 " * 8, key=Key.parse("Eb major"), chords=chords)
    itself = replace(itself, events=tuple(events))
    assert paid[-1] == pytest.approx(float(made.rewards(Pieces.of([itself]))[0]))


def test_bars_are_paid_what_the_melody_gains_by_them(tmp_path: Path) -> None:
    model(notes_per_quarter=8.0).save(tmp_path / "reward")
    spec = {"preference": {"scorer": str(tmp_path / "reward"), "spread": "bar"}}
    env = MelodyComposeEnv(rewards=spec, **TASK)
    env.reset(seed=0)
    paid = [env.step(event)[1] for event in spelt("C4 D4 E4 . | G4 . . .")]
    assert paid == pytest.approx([0, 0, 0, 6.0, 0, 0, 0, 4 - 6])  # 3 notes in 4, then 4 in 8


def test_beyond_what_was_heard_nothing_more_is_paid() -> None:
    heard = replace(
        model(mean_pitch=1.0), lowest=np.full(len(FEATURES), 60.0),
        highest=np.full(len(FEATURES), 72.0),
    )  # fmt: skip
    pieces = Pieces.of([melody(f"{note} . . . . . . .") for note in ("C3", "E4", "C5", "B5")])
    np.testing.assert_allclose(heard.rewards(pieces), [60, 64, 72, 72])


def test_a_feature_that_was_alike_in_all_melodies_is_not_looked_at() -> None:
    still = replace(model(mean_pitch=1.0), deviation=np.zeros(len(FEATURES)))
    assert still.rewards(Pieces.of([melody("C4 D4 E4 F4 G4 A4 B4 C5")])).tolist() == [0.0]


def test_tensors_are_answered_in_tensors(tmp_path: Path) -> None:
    import gymnasium as gym

    model(notes_per_quarter=2.0, chord_match=1.0).save(tmp_path / "reward")
    spec = {"preference": {"scorer": str(tmp_path / "reward")}}
    told = []
    for backend in ("arrays", "tensor"):
        envs = gym.make_vec("MelodyCompose-v0", num_envs=3, backend=backend, rewards=spec, **TASK)
        envs.reset(seed=1)
        for column in np.random.default_rng(2).integers(0, 20, (8, 3)):
            paid = envs.step(torch.from_numpy(column) if backend == "tensor" else column)[1]
        told.append(np.asarray(paid))
    assert (np.abs(told[0]) > 0.1).all()
    np.testing.assert_allclose(told[1], told[0], rtol=1e-6)


# --- Fitting -------------------------------------------------------------------------------------


def test_a_logistic_fit_of_one_number_is_the_share_that_was_chosen() -> None:
    score = np.array([1.0, 1, 1, 0])
    weight = fit_logistic(np.ones((4, 1)), score, 1e-9)
    assert weight[0] == pytest.approx(math.log(3), abs=1e-6)  # sigma(w) = 3/4
    ties = fit_logistic(np.ones((2, 1)), np.array([1.0, 0.5]), 1e-9)
    assert ties[0] == pytest.approx(math.log(3), abs=1e-6)  # a tie is half a win: 1.5 of 2


def test_a_ridge_fit_has_no_slope_at_its_end() -> None:
    rng = np.random.default_rng(0)
    x, score = rng.normal(size=(30, 5)), rng.integers(0, 3, 30) / 2
    weights = fit_logistic(x, score, 0.7)
    slope = x.T @ (1 / (1 + np.exp(-x @ weights)) - score) + 0.7 * weights
    assert np.abs(slope).max() < 1e-5


def test_always_won_choices_end_in_finite_weights() -> None:
    x = np.ones((50, 1)) * 40.0
    assert 0 < fit_logistic(x, np.ones(50), 0.3)[0] < 10


def test_a_model_without_the_tune_is_asked_about_it() -> None:
    # Each tune has its own feature, so that a model that has not heard it knows nothing of it.
    x, score = np.eye(8), np.ones(8)
    odds = left_out(x, score, np.arange(8), 0, lambda *_: [1.0])
    np.testing.assert_allclose(odds, np.zeros((1, 8)), atol=1e-12)
    shared = left_out(x[[0, 0, 1, 1, 2, 2, 3, 3]], score, np.arange(8), 0, lambda *_: [1.0])
    assert (shared > 0.1).all()  # as eight tunes: each feature is heard in another one
    alike = left_out(
        x[[0, 0, 1, 1, 2, 2, 3, 3]], score, np.repeat(np.arange(4), 2), 0, lambda *_: [1.0]
    )
    np.testing.assert_allclose(alike, np.zeros((1, 8)), atol=1e-12)


def test_few_tunes_are_not_cross_validated_and_take_the_strongest_ridge() -> None:
    x, score = np.eye(3), np.ones(3)
    assert choose_ridge(x, score, np.arange(3), 0) == RIDGES[0]


def test_the_ridge_is_weak_where_choices_follow_a_feature_and_strong_where_they_do_not() -> None:
    rng = np.random.default_rng(3)
    x, tune = rng.normal(size=(120, 4)), np.arange(120)
    follows, random = (x[:, 0] > 0).astype(float), rng.integers(0, 2, 120).astype(float)
    assert choose_ridge(x, follows, tune, 0) <= 1
    assert choose_ridge(x, random, tune, 0) >= 30


def test_odds_of_nothing_are_half_right() -> None:
    odds, score = np.array([2.0, -1.0, 0.0, 3.0]), np.array([1.0, 1.0, 0.0, 0.0])
    assert told(odds, score).tolist() == [1.0, 0.0, 0.5, 0.0]
    assert log_loss(np.zeros(4), score) == pytest.approx(math.log(2))


def test_a_listener_who_likes_small_intervals_is_found_out() -> None:
    fitted, odds = fit(judged_by_intervals(60, seed=2))
    assert fitted.figures["accuracy"] > 0.75 and fitted.figures["loss"] < 0.5
    assert fitted.figures["choices"] == fitted.figures["tunes"] == 60 == len(odds)
    others = [(drawn(900_000 + 2 * i), drawn(900_001 + 2 * i)) for i in range(200)]
    rewards = [fitted.rewards(Pieces.of(side)) for side in zip(*others, strict=True)]
    liked = [wide(a) < wide(b) for a, b in others]
    assert np.mean((rewards[0] > rewards[1]) == liked) > 0.8


def test_a_listener_who_chooses_at_random_is_told_no_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    random = [j._replace(score=float(rng.integers(2))) for j in judged_by_intervals(60)]
    fitted, _ = fit(random)
    assert fitted.figures["accuracy"] < 0.65 and fitted.figures["loss"] > 0.66
    assert fitted.figures["ridge"] > 30


def test_it_does_not_matter_which_melody_stands_first() -> None:
    judged = judged_by_intervals(30)
    turned = [
        Judgement(j.systems[::-1], j.melodies[::-1], 1 - j.score, j.listener, 1 - j.first)
        for j in judged
    ]
    np.testing.assert_allclose(fit(judged)[0].weights, fit(turned)[0].weights, atol=1e-6)


def test_features_are_found_of_melodies_of_different_lengths_and_grids() -> None:
    mixed = [drawn(1), melody("C4 D4 E4 F4", chords=(C,)), melody("C4 . D4 . " * 4, meter="2/4",
             chords=(C, G), steps_per_beat=2), drawn(2)]  # fmt: skip
    found = features_of(mixed)
    for row, each in zip(found, mixed, strict=True):
        np.testing.assert_array_equal(row, features(Pieces.of([each]))[0])


# --- Files ---------------------------------------------------------------------------------------


def test_a_reward_is_read_as_it_was_written(tmp_path: Path) -> None:
    written, _ = fit(judged_by_intervals(12))
    written.save(tmp_path / "reward")
    read = RewardModel.load(tmp_path / "reward")
    for name in ("mean", "deviation", "lowest", "highest", "weights"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.heard == written.heard == (("4/4", 1),)
    assert read.figures == pytest.approx(written.figures)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": ["mean_pitch"]}, "other features"),
        ({"heard": None}, "does not fit together"),
        ({"tensors": torch.full((len(FEATURES),), torch.nan)}, "weights is not 42 finite"),
        ({"tensors": torch.zeros(3)}, "weights is not 42 finite"),
    ],
)
def test_a_wrong_reward_file_is_refused(tmp_path: Path, change: Any, words: str) -> None:
    model(mean_pitch=1.0).save(tmp_path / "reward")
    held = checkpoints.load(tmp_path / "reward", "preference")
    tensors, facts = dict(held.tensors), {**held.facts, **change}
    if "tensors" in change:
        tensors["weights"] = facts.pop("tensors")
    checkpoints.save(tmp_path / "reward", "preference", tensors, facts)
    with pytest.raises(ValueError, match=words):
        RewardModel.load(tmp_path / "reward")


def test_the_loader_takes_no_words(tmp_path: Path) -> None:
    model().save(tmp_path / "reward")
    assert load_scorer(tmp_path / "reward", "preference").heard == (("4/4", 1),)
    with pytest.raises(ValueError, match="style is nothing that"):
        load_scorer(tmp_path / "reward", "preference", style="folk")


# --- A listener whose taste is known -------------------------------------------------------------


def test_a_simulated_listener_is_measured_from_choices_to_the_agent() -> None:
    base = ACMGConfig(
        steps_per_beat=1, bars=2, progressions=("random",), pretraining=None,
        model=ActorCriticConfig(MelodyLSTMConfig(hidden=12)),
    )  # fmt: skip
    prior, learned = ACMG(base).model.actor, []

    def learn(config: ACMGConfig) -> Any:
        spec: Any = config.rewards
        assert RewardModel.load(Path(spec["preference"]["scorer"])).figures["choices"] == 80
        learned.append(config)
        return HeldTonic(config.task())

    found = measure(base, prior, learn, "random", "random", choices=80, count=60)
    assert learned == [replace(base, rewards=learned[0].rewards)]
    assert found["told"][0] > 0.6 and found["ceiling"][0] > found["told"][0] - 0.1
    assert found["interval_after"] == 0 < found["interval_before"]
    assert found["won_surely"][0] == 1.0 and found["won"][0] > 0.95  # no interval is smaller


def test_the_simulated_listener_prefers_smaller_intervals_and_errs() -> None:
    small_steps, leaps = melody("C4 D4 E4 F4 G4 A4 B4 C5"), melody("C4 G4 C4 G4 C4 G4 C4 G4")
    odds = Listener(sure=0.5).odds([small_steps], [leaps])
    assert odds[0] == pytest.approx(0.5 * (7 - 12 / 7))
    said = Listener().choose(np.full(4000, odds[0]), seed=0)
    assert said.mean() == pytest.approx(1 / (1 + math.exp(-odds[0])), abs=0.02)
