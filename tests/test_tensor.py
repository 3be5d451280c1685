"""The tensor backend gives what the others give, as tensors, and never waits for the device."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from playing import random_events, spelt
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from musicgym.backends import tensor as tensor_backend
from musicgym.backends.batch import COLUMNS as NUMPY_COLUMNS
from musicgym.backends.tensor import COLUMNS, TensorCore
from musicgym.dynamics import Moment, State, constants
from musicgym.env import MelodyComposeEnv
from musicgym.observation import layout
from musicgym.randomness import episode_key
from musicgym.reward import PolicyTerm, Rule, SequenceTerm, load
from musicgym.rewards.presets import PRESETS
from musicgym.select import Array
from musicgym.task import Task
from musicgym.tensor_env import MelodyComposeTensorEnv
from musicgym.vector_env import MelodyComposeVectorEnv

MODES = ["NextStep", "SameStep", "Disabled"]
SIZE = 5
#: 8 steps, everything drawn.
TASK: dict[str, Any] = {
    "bars": 2, "steps_per_beat": 1, "key": "random", "progression": "random",
    "rewards": "acmg_literal", "observation": "compact",
}  # fmt: skip
RISING, PEAKED = f"{__name__}:Rising", f"{__name__}:Peaked"
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Rising(SequenceTerm):
    """Pays for each note above the highest so far: on NumPy arrays and on tensors alike."""

    def begin(self, episodes: Any, which: Array) -> None:
        fresh = episodes.tonic * 0.0
        before = getattr(self, "highest", fresh)
        self.highest = before * (which ^ True) + fresh * which

    def pay(self, events: Array) -> Array:
        higher = (events > 1) & (events > self.highest)
        self.highest = self.highest * (higher ^ True) + events * higher
        return higher * 0.5


class Peaked(PolicyTerm):
    """Pays the probability of a hold."""

    def judge(self, probabilities: Array) -> Array:
        return probabilities[:, 0] * 2.0


class Branching(Rule):
    """Does not run on a batch."""

    def __call__(self, m: Moment) -> Array:
        return 1.0 if m.struck else 0.0


def make(size: int = SIZE, backend: str = "tensor", **arguments: Any) -> Any:
    return gym.make_vec("MelodyCompose-v0", num_envs=size, backend=backend, **{**TASK, **arguments})


def events(steps: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    return random_events(38, steps, seed, size)  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Return what a tensor environment gave as NumPy arrays."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    assert isinstance(value, Tensor), type(value)
    return value.numpy()


def same(ours: Any, theirs: Any, path: str = "") -> None:
    """Assert that tensors are what NumPy gave: exact, but floats to float32 rounding."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{path}[{i}]")
    elif isinstance(theirs, dict):
        assert set(ours) == set(theirs), (path, set(ours) ^ set(theirs))
        for name in theirs:
            same(ours[name], theirs[name], f"{path}/{name}")
    elif theirs.dtype == object:  # final_obs: one row an environment, or None
        for i, row in enumerate(theirs):
            if row is not None:
                parts = (
                    {name: part[i] for name, part in ours.items()}
                    if isinstance(ours, dict)
                    else ours[i]
                )
                same(parts, row, f"{path}[{i}]")
    else:
        assert isinstance(ours, Tensor), (path, type(ours))
        got, expected = ours.numpy(), np.asarray(theirs)
        assert got.shape == expected.shape, path
        if expected.dtype == np.float64:
            assert got.dtype == np.float32, path
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6, err_msg=path)
        else:
            assert got.dtype == expected.dtype, (path, got.dtype, expected.dtype)
            np.testing.assert_array_equal(got, expected, path)


def drive(mode: str, steps: int = 30, options: Any = None, **arguments: Any) -> None:
    """Play the tensor environment beside NumPy's with the same random events, and compare all."""
    execution = arguments.pop("execution", None)
    size = arguments.pop("size", SIZE)
    ours = make(size, autoreset_mode=mode, execution=execution, **arguments)
    theirs = make(size, "arrays", autoreset_mode=mode, **arguments)
    given = options or {}
    same(ours.reset(seed=3, options=dict(given)), theirs.reset(seed=3, options=dict(given)))
    n_events, rng = ours.task.n_events, np.random.default_rng(0)
    some = np.arange(size) % 2 == 0
    for step, actions in enumerate(random_events(n_events, steps, 1, size)):
        if step == 3:  # so that the episodes end at different steps
            for envs in (ours, theirs):
                last = envs.reset(options={"reset_mask": some.copy()})
            same(ours.raw * 0, np.zeros_like(theirs.raw.reshape(-1, len(ours.reward.names))))
        if step % 2:
            p = rng.dirichlet(np.ones(n_events), size)
            ours.observe_policy(torch.from_numpy(p))
            theirs.observe_policy(p)
        a, b = ours.step(torch.from_numpy(actions)), theirs.step(actions)
        same(a, b, f"step {step}: ")
        same(ours.played, theirs.played)
        same(tuple(ours.episodes()), tuple(theirs.episodes()))
        if mode == "Disabled" and b[2].any():
            mask = b[2].copy()
            last = [envs.reset(options={"reset_mask": mask.copy()}) for envs in (ours, theirs)]
            same(*last)
        if step % 7 == 0:
            assert ours.melodies == theirs.melodies


# --- Equal to the other backends ---------------------------------------------------------------


@pytest.mark.parametrize("observation", ["flat", "compact", "dict"])
@pytest.mark.parametrize("mode", MODES)
def test_every_output_is_that_of_the_numpy_environment(mode: str, observation: str) -> None:
    timing = {"NextStep": "dense", "SameStep": "bar", "Disabled": "end"}[mode]
    drive(mode, observation=observation, reward_timing=timing)


@pytest.mark.parametrize("timing", ["dense", "bar", "end"])
@pytest.mark.parametrize("mode", MODES)
def test_terms_that_are_no_rules_pay_the_same(mode: str, timing: str) -> None:
    rewards = {RISING: 0.5, PEAKED: 2.0, "chord_tone": 1.0, "state_variance": 3.0}
    drive(mode, rewards=rewards, reward_timing=timing, options={"events": spelt("C5 D5")})


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("meter", "steps_per_beat"), [("4/4", 2), ("3/4", 1), ("6/8", 2), ("2/4", 4)]
)
def test_every_preset_is_equal_in_every_meter_and_grid(
    preset: str, meter: str, steps_per_beat: int
) -> None:
    drive("NextStep", rewards=preset, meter=meter, steps_per_beat=steps_per_beat, steps=36)


@pytest.mark.parametrize("scoring", ["time", "onset", "literal"])
@pytest.mark.parametrize("key", ["C major", "F# minor", "natural"])
def test_fixed_keys_ranges_and_scorings_are_equal(key: str, scoring: str) -> None:
    drive("SameStep", key=key, scoring=scoring, pitch_range=("D3", "G5"), rewards="acmg")


@pytest.mark.parametrize(
    "options",
    [
        {"progression": "V7 N.C.", "key": "E major"},
        {"progression": "VI VII", "key": "random"},
        {"key": "B minor"},
        {"events": np.array([spelt("C5 . D5")] * 3 + [spelt("- C5 ."), [-4, 99, 0]])},
        {"weights": {"chord_tone": np.arange(5.0), "repetition": -2.0}},
    ],
    ids=lambda options: "-".join(options),
)
def test_the_options_of_a_reset_are_equal(options: dict[str, Any]) -> None:
    drive("NextStep", options=options)


def test_options_may_be_tensors() -> None:
    ours, theirs = make(rewards="acmg"), make(backend="arrays", rewards="acmg")
    given = {
        "events": torch.ones((5, 2), dtype=torch.int64),
        "weights": {"chord_tone": torch.arange(5.0)},
    }
    numbers = {"events": np.ones((5, 2), int), "weights": {"chord_tone": np.arange(5.0)}}
    same(ours.reset(seed=1, options=given), theirs.reset(seed=1, options=numbers))
    mask = torch.tensor([True, False, True, False, False])
    same(
        ours.reset(options={"reset_mask": mask}),
        theirs.reset(options={"reset_mask": mask.numpy()}),
    )
    for actions in events(8):
        same(ours.step(torch.from_numpy(actions)), theirs.step(actions))


@pytest.mark.parametrize("seed", [0, 2**32 - 2, 2**63 - 2, 2**64 + 5, [4, None, 2**40, 1, 0]])
def test_seeds_give_the_same_keys(seed: Any) -> None:
    ours, theirs = make(), make(backend="arrays")
    for envs in (ours, theirs):
        envs.reset(seed=7)
        envs.reset(seed=seed)
    same(ours.episodes().key, theirs.episodes().key)
    if isinstance(seed, int):
        assert ours.episodes().key.tolist() == [episode_key(seed + i) for i in range(SIZE)]
    for envs in (ours, theirs):
        envs.reset()
    same(ours.episodes().key, theirs.episodes().key)


def test_environment_i_is_the_single_environment_with_seed_plus_i() -> None:
    envs = make(rewards="acmg")
    singles = [MelodyComposeEnv(**{**TASK, "rewards": "acmg"}) for _ in range(SIZE)]
    seen, _ = envs.reset(seed=11)
    for i, single in enumerate(singles):
        np.testing.assert_array_equal(seen[i].numpy(), single.reset(seed=11 + i)[0])
    for actions in events(8):
        seen, rewards, done, _, infos = envs.step(actions)
        for i, single in enumerate(singles):
            one = single.step(int(actions[i]))
            np.testing.assert_array_equal(seen[i].numpy(), one[0])
            assert float(rewards[i]) == pytest.approx(one[1], abs=1e-6)
            assert bool(done[i]) == one[2]
    assert envs.melodies == [single.melody for single in singles]
    assert infos["melody"].tolist() == [list(single.melody.events) for single in singles]
