"""The policies without learning do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import vector_env

from musicgym.agents.heuristics import (
    AlternatedChordTones,
    HeldTonic,
    NearestChordTone,
    UniformRandom,
)
from musicgym.agents.rollout import play
from musicgym.benchmarks.metrics.acmg import chord_match
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.events import HOLD, REST
from musicgym.vector_env import MelodyComposeVectorEnv


def drawn(size: int = 60, **changes: object) -> MelodyComposeVectorEnv:
    """Return environments whose key, mode and chords are drawn."""
    return vector_env(size, **{"key": "random", "progression": "random", "bars": 4, **changes})


def test_the_held_tonic_strikes_the_tonic_once_and_holds_it() -> None:
    envs = drawn()
    events = play(envs, HeldTonic(envs.task), seed=1).events
    assert (events[:, 1:] == HOLD).all()
    pieces = Pieces.of(envs.melodies)
    assert (pieces.pitch[:, 0] % 12 == pieces.tonic).all()
    assert len(set(pieces.tonic.tolist())) > 6
    middle = sum(envs.task.comfortable) // 2
    assert (abs(pieces.pitch[:, 0] - middle) <= 6).all()


@pytest.mark.parametrize("ties", ["middle", "lower"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_nearest_chord_tone_always_sounds_a_tone_of_the_chord(ties: str, seed: int) -> None:
    envs = drawn()
    play(envs, NearestChordTone(envs.task, ties), seed)
    pieces = Pieces.of(envs.melodies)
    assert pieces.sounding.all()
    assert (chord_match(pieces) == 1).all()


def test_the_nearest_chord_tone_moves_to_the_nearest_and_holds_while_it_can() -> None:
    envs = drawn(20)
    events = play(envs, NearestChordTone(envs.task), seed=1).events.numpy()
    pieces = Pieces.of(envs.melodies)
    for i in range(20):
        for t in range(1, envs.task.steps):
            before, mask = pieces.pitch[i, t - 1], pieces.masks[i, t]
            reach = min(abs(p - before) for p in range(128) if mask >> p % 12 & 1)
            assert abs(pieces.pitch[i, t] - before) == reach
            assert (events[i, t] == HOLD) == (reach == 0)


def test_without_a_chord_the_nearest_chord_tone_holds() -> None:
    envs = drawn(3, key="C major", progression="C N.C. C N.C.")
    events = play(envs, NearestChordTone(envs.task), seed=1).events
    assert (events[:, 4:8] == HOLD).all()


@pytest.mark.parametrize(("ties", "second"), [("middle", 69), ("lower", 65)])
def test_of_two_tones_as_near_it_takes_the_one_nearer_the_middle_or_the_lower(
    ties: str, second: int
) -> None:
    envs = vector_env(1, progression="C F")
    assert sum(envs.task.comfortable) // 2 == 69
    play(envs, NearestChordTone(envs.task, ties), 1)
    # From 69 the nearest of C is G4 (67); from there F4 (65) and A4 (69) of F are as near.
    assert Pieces.of(envs.melodies).notes[0].tolist() == [67, second]


@pytest.mark.parametrize("bars", [2, 4])
def test_the_alternated_chord_tones_strike_another_chord_tone_on_every_step(bars: int) -> None:
    envs = drawn(200, bars=bars)
    play(envs, AlternatedChordTones(envs.task), 1)
    pieces = Pieces.of(envs.melodies)
    assert (pieces.events > REST).all()
    assert (chord_match(pieces) == 1).all()
    steps = abs(np.diff(pieces.pitch.astype(int), axis=1))
    assert steps.min() > 0 and steps.max() <= 10
    assert all(len(set(row)) == 2 for row in pieces.pitch[:, :4])  # one chord a bar
    low, high = envs.task.comfortable
    assert low <= pieces.pitch.min() and pieces.pitch.max() <= high


def test_the_alternated_chord_tones_end_on_the_tonic_where_the_last_chord_has_it() -> None:
    envs = drawn(200)
    play(envs, AlternatedChordTones(envs.task), 1)
    pieces = Pieces.of(envs.melodies)
    home = pieces.masks[:, -1] >> pieces.tonic & 1 == 1
    assert 20 < home.sum() < 180
    np.testing.assert_array_equal(pieces.pitch[:, -1] % 12 == pieces.tonic, home)


@pytest.mark.parametrize(
    ("progression", "pitches"),
    [
        ("C G", [67, 72, 67, 72, 67, 71, 67, 71]),
        # The last but one leaves C5 to the last: it is E4, and not C5 as before.
        ("Gm C", [70, 67, 70, 67, 72, 67, 64, 72]),
        ("C N.C.", [67, 72, 67, 72]),
    ],
)
def test_the_alternated_chord_tones_are_the_two_nearest_the_middle(
    progression: str, pitches: list[int]
) -> None:
    envs = vector_env(1, progression=progression)
    assert sum(envs.task.comfortable) // 2 == 69
    play(envs, AlternatedChordTones(envs.task), 1)
    assert Pieces.of(envs.melodies).notes[0].tolist() == pitches


def test_the_alternated_chord_tones_are_strong_where_striking_pays() -> None:
    formula = {"preset": "acmg", "non_chord_tone": {"reading": "formula"}}
    envs = drawn(100, rewards=formula)
    policies = (AlternatedChordTones(envs.task), NearestChordTone(envs.task))
    many, few = (float(play(envs, policy, 1).rewards.sum(1).mean()) for policy in policies)
    assert many > few + 1


def test_uniform_draws_every_valid_event_equally_often() -> None:
    envs = drawn(1000)
    rollout = play(envs, UniformRandom(envs.task), seed=1)
    first = rollout.events[:, 0]
    assert (first != HOLD).all()
    ringing = rollout.observation[..., list(envs.parts).index("ringing")] == 1
    counts = torch.bincount(rollout.events[ringing], minlength=38).double()
    expected = counts.sum() / 38
    assert float(((counts - expected) ** 2 / expected).sum()) < 69.3  # 37 degrees: p > 0.001
    assert counts[HOLD] > 0 and counts[REST] > 0


def test_the_nearest_chord_tone_earns_more_than_the_held_tonic_and_that_more_than_chance() -> None:
    envs = drawn(100)
    policies = (NearestChordTone(envs.task), HeldTonic(envs.task), UniformRandom(envs.task))
    returns = [float(play(envs, policy, 1).rewards.sum(1).mean()) for policy in policies]
    assert np.all(np.diff(returns) < -1), returns
