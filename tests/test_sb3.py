"""Stable-Baselines3 learns on the registered environment as it comes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import musicgym  # noqa: F401 (it registers the environments)

sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")


def mean_return(model: Any, episodes: int = 50) -> float:
    """Return the mean return of a model's drawn actions."""
    env, total = gym.make("MelodyCompose-v0", bars=4), 0.0
    model.set_random_seed(5)
    for i in range(episodes):
        observation, _ = env.reset(seed=10_000 + i)
        done = False
        while not done:
            action, _ = model.predict(observation)
            observation, reward, done, _, _ = env.step(action)
            total += float(reward)
    return total / episodes


def test_ppo_learns_out_of_the_box() -> None:
    model = sb3.PPO("MlpPolicy", gym.make("MelodyCompose-v0", bars=4), seed=1)
    before = mean_return(model)
    model.learn(5 * 2048)
    after = mean_return(model)
    assert after > before + 8, (before, after)


def test_maskable_ppo_reads_the_masks_and_never_plays_an_invalid_hold() -> None:
    env = gym.make("MelodyCompose-v0", bars=4)
    model = contrib.MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=32, seed=1)
    model.learn(128)
    for seed in range(50):
        observation, info = env.reset(seed=seed)
        done = False
        while not done:
            masks = env.unwrapped.action_masks()
            np.testing.assert_array_equal(masks, info["action_mask"])
            action, _ = model.predict(observation, action_masks=masks)
            assert masks[int(action)]
            observation, _, done, _, info = env.step(action)


def test_a_policy_of_many_inputs_learns_on_the_dict() -> None:
    env = gym.make("MelodyCompose-v0", bars=4, observation="dict")
    model = sb3.PPO("MultiInputPolicy", env, n_steps=64, batch_size=32, seed=1)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(128)
    assert any(not torch.equal(before[n], v) for n, v in model.policy.state_dict().items())
    action, _ = model.predict(env.reset(seed=1)[0])
    assert env.action_space.contains(int(action))
