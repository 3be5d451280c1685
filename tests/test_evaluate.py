"""Evaluation: the human row is graded by the environment's own rules."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from small import corpus, vector_env

import musicgym  # noqa: F401  (registers the environments)
from musicgym.agents.heuristics import HeldTonic
from musicgym.benchmarks.evaluate import as_melodies, corpus_windows, evaluate, markdown, replay


@pytest.mark.parametrize(
    "rewards",
    ["balanced", "acmg_no_chords", {"preset": "acmg", "non_chord_tone": {"reading": "formula"}}],
)
@pytest.mark.parametrize("pitch_range", [("C3", "B5"), ("G3", "G5")])
def test_the_corpus_is_paid_what_the_environment_pays_for_its_melodies(
    rewards: Any, pitch_range: tuple[str, str]
) -> None:
    envs = vector_env(1, rewards=rewards, pitch_range=pitch_range)
    cut = corpus_windows(corpus(), "test", envs.task)
    returns = []
    for melody in as_melodies(cut, envs.task):
        env = gym.make(
            "MelodyCompose-v0",
            bars=2,
            steps_per_beat=1,
            key=melody.key.name,
            progression=[chord.symbol() for chord in melody.chords],
            chords_per_bar=4,
            rewards=rewards,
            pitch_range=pitch_range,
        )
        env.reset(seed=0)
        returns.append(sum(float(env.step(event)[1]) for event in melody.events))
    assert len(returns) > 3
    assert replay(envs, cut) == pytest.approx(np.mean(returns), abs=1e-9)


def test_a_row_has_the_return_over_the_rules_and_the_metrics() -> None:
    envs = vector_env(4, rewards="acmg")
    row, melodies = evaluate(envs, HeldTonic(envs.task))
    assert len(melodies) == 4
    assert row["ends_on_tonic"] == 1 and row["pitch_range"] == 0
    assert row["under_octave"] != row["under_octave"]  # one note: no interval


def test_the_table_shows_shares_in_percent_and_a_dash_where_undefined() -> None:
    text = markdown([("held", {"return": 1.0, "ends_on_tonic": 0.5, "under_octave": float("nan")})])
    assert text.splitlines()[0] == "| system | return | ends on tonic % | under octave % |"
    assert text.splitlines()[2] == "| held | 1.00 | 50.0 | - |"
