"""Given melodies are read and paid exactly as the environment pays them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playing import Onsets
from small import vector_env

from musicgym.replay import begin, pay
from musicgym.reward import Term, load

SPECS = ["acmg", "acmg_literal", "balanced", {"median_line": {"median": "nearest"}}]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("progression", ["I V", "random"])
def test_events_are_paid_as_in_the_environment_that_gave_the_episodes(
    spec: Any, progression: str
) -> None:
    envs = vector_env(16, rewards=spec, progression=progression, key="random")
    envs.reset(seed=5)
    episodes = envs.episodes()
    rng = np.random.default_rng(0)
    events = rng.integers(-1, envs.task.n_events + 1, (16, envs.task.steps))
    raw = []
    for t in range(envs.task.steps):
        envs.step(events[:, t])
        raw.append(envs.raw.copy())
    c, state = begin(episodes, envs.task, envs.reward.readings)
    np.testing.assert_array_equal(pay(c, state, events, envs.reward), np.stack(raw, axis=1))


def test_sequence_terms_start_anew_and_need_the_episodes() -> None:
    envs = vector_env(2)
    envs.reset(seed=0)
    reward = load({"chord_tone": 1.0}, steps=8)
    reward = type(reward)((*reward.terms, Term("onsets", 1.0, Onsets())), reward.readings)
    events = np.array([[2, 0, 2, 1, 2, 0, 0, 0], [1] * 8])
    c, state = begin(envs.episodes(), envs.task, reward.readings)
    with pytest.raises(ValueError, match="episodes"):
        pay(c, state, events, reward)
    for _ in range(2):
        raw = pay(c, state, events, reward, envs.episodes())
        assert raw[:, :, 1].tolist() == [[1, 1, 2, 2, 3, 3, 3, 3], [0] * 8]
