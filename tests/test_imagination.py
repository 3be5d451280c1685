"""Melodies played without an environment are those that the environment would have played."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small import actor_critic, corpus, task, vector_env
from torch import Tensor

from musicgym.agents.configs import Sampling
from musicgym.agents.heuristics import NearestChordTone, UniformRandom
from musicgym.agents.imagination import imagine
from musicgym.agents.rollout import play
from musicgym.corpus.dataset import windows
from musicgym.dynamics import Episodes
from musicgym.observation import layout
from musicgym.replay import episodes_of
from musicgym.reward import load

SPECS = ["acmg", "acmg_literal", "balanced", {"playing:Onsets": 0.5, "median_line": 1.0}]


@pytest.mark.parametrize("make", ["lstm", UniformRandom, NearestChordTone])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_it_plays_and_is_paid_as_in_the_environment(spec: Any, make: Any) -> None:
    envs = vector_env(12, rewards=spec, progression="random", key="random")
    policy = actor_critic(envs.task).actor if make == "lstm" else make(envs.task)
    rollout = play(envs, policy, seed=3, judge=True)
    made = imagine(policy, rollout.episodes, envs.task, envs.reward, seed=3, keep=True)
    np.testing.assert_array_equal(made.events, rollout.events.numpy())
    torch.testing.assert_close(made.logits, rollout.logits)
    rules = [k for k, name in enumerate(envs.reward.names) if name != "state_variance"]
    paid = rollout.terms.sum(1).numpy()[:, rules]
    np.testing.assert_allclose(made.paid[:, rules], paid, atol=1e-12)
    assert (np.delete(made.paid, rules, axis=1) == 0).all()  # no probabilities are judged
    returns = (paid * envs.reward.weights[rules]).sum(1)
    np.testing.assert_allclose(made.returns(envs.reward), returns, atol=1e-12)


def test_a_seed_fixes_the_events_and_leaves_the_episodes_alone() -> None:
    envs = vector_env(20, rewards="acmg_literal", progression="random")
    envs.reset(seed=1)
    given = UniformRandom(envs.task), envs.episodes(), envs.task, envs.reward
    one, again, two = (imagine(*given, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.events, again.events)
    assert (one.events != two.events).any(axis=1).all()


def test_temperature_is_heeded() -> None:
    envs = vector_env(20)
    policy, cold = actor_critic(envs.task).actor, Sampling(temperature=0.0)
    rollout = play(envs, policy, 3, cold)
    made = imagine(policy, rollout.episodes, envs.task, envs.reward, 3, cold)
    np.testing.assert_array_equal(made.events, rollout.events.numpy())
    assert len(np.unique(made.events, axis=0)) == 1  # one progression, one greedy melody


class Listening(UniformRandom):
    """Remembers what it has observed."""

    def initial_state(self, episodes: Episodes) -> Any:
        self.heard: list[Tensor] = []
        return super().initial_state(episodes)

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.heard.append(observation.clone())
        return super().__call__(observation, state)


def test_the_windows_of_a_corpus_are_episodes_with_a_chord_each_beat() -> None:
    of = task(key="natural")
    episodes = episodes_of(windows(corpus(), "train", bars=2, meter="4/4"), of)
    policy = Listening(of)
    made = imagine(policy, episodes, of, load("balanced", of.steps), steps_per_chord=1)
    assert made.events.shape == episodes.masks.shape
    column = list(layout(of)).index("next_root")
    following = torch.stack(policy.heard, 1)[:, :-1, column]
    np.testing.assert_array_equal(following.numpy(), episodes.roots[:, 1:])
    assert (episodes.roots[:, 1:] != episodes.roots[:, :-1]).any()


def test_episodes_of_another_length_are_refused() -> None:
    envs = vector_env(2)
    envs.reset(seed=1)
    longer = task(bars=4)
    with pytest.raises(ValueError, match="8 steps and the task 16"):
        imagine(UniformRandom(longer), envs.episodes(), longer, envs.reward)
