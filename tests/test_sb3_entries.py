"""Stable-Baselines3's models as entries: they learn on our melodies and play as our policies."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import TINY, vector_env
from small import task as tiny

from musicgym.agents import sb3
from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.rollout import play
from musicgym.agents.sb3 import SB3Config, SB3Policy, as_played, read_zip
from musicgym.agents.sb3_training import sb3_path, train

baselines = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")

PRACTICE = ACMGConfig(
    steps_per_beat=1, bars=2, progressions=("I V", "random"), pretraining=None, rewards="balanced"
)
SHORT = SB3Config("ppo", total_steps=512, n_envs=8, batch_size=32, n_epochs=2, hidden=8)


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = ACMGConfig.envs
    monkeypatch.setattr(ACMGConfig, "envs", lambda *a, **k: envs(*a, **{**k, "backend": "arrays"}))


def weights(policy: SB3Policy) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in policy.policy.state_dict().items()}


def same(one: SB3Policy, other: SB3Policy) -> bool:
    a, b = weights(one), weights(other)
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("algorithm", sb3.ALGORITHMS)
def test_one_seed_gives_one_model_and_another_seed_another(algorithm: str, tmp_path: Path) -> None:
    config = replace(SHORT, algorithm=algorithm, total_steps=128)
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    one = train(config, PRACTICE, tmp_path / "one")
    assert torch.equal(before[0], torch.get_rng_state())  # the user's own numbers are untouched
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()
    torch.manual_seed(4)
    assert same(one, train(config, PRACTICE, tmp_path / "two"))
    assert not same(one, train(replace(config, seed=2), PRACTICE, tmp_path / "three"))
    assert one.facts["training_steps"] == 128 and one.facts["training_seconds"] > 0
    assert [row[0] for row in one.curve] == [64, 128]


@pytest.mark.parametrize("algorithm", sb3.ALGORITHMS)
def test_a_training_that_was_killed_ends_with_the_same_model(
    algorithm: str, tmp_path: Path
) -> None:
    config = replace(SHORT, algorithm=algorithm, total_steps=256)
    whole = train(config, PRACTICE, tmp_path / "whole")

    def stop(figures: dict[str, Any]) -> None:
        if figures["steps"] == 192:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, PRACTICE, tmp_path / "killed", stop, every=0)
    seen: list[int] = []
    gone_on = train(config, PRACTICE, tmp_path / "killed", lambda f: seen.append(f["steps"]))
    assert seen == [192, 256]  # from the checkpoint at 128
    assert same(whole, gone_on)
    assert [row[::2] for row in gone_on.curve] == [row[::2] for row in whole.curve]
    again = train(config, PRACTICE, tmp_path / "killed", stop)  # it is there: nothing is learned
    assert same(whole, again)


def test_a_rollout_may_be_shorter_than_a_melody(tmp_path: Path) -> None:
    config = replace(SHORT, algorithm="a2c", n_steps=3, total_steps=256)
    whole = train(config, PRACTICE, tmp_path / "whole")
    with pytest.raises(ZeroDivisionError):
        train(config, PRACTICE, tmp_path / "killed", lambda f: f["steps"] > 150 and 1 // 0, every=0)
    assert same(whole, train(config, PRACTICE, tmp_path / "killed"))


def test_ppo_learns_what_pays(tmp_path: Path) -> None:
    config = replace(SHORT, total_steps=8_000, n_envs=32, batch_size=64, n_epochs=4, hidden=32)
    made = train(config, PRACTICE, tmp_path / "it")
    first, last = (np.mean([row[2] for row in rows]) for rows in (made.curve[:5], made.curve[-5:]))
    assert last > first + 2, (first, last)
    envs = vector_env(100, progression="random", rewards="balanced")
    assert float(play(envs, made, 5).rewards.sum(1).mean()) == pytest.approx(last, abs=1)


@pytest.mark.parametrize("kind", ["flat", "compact", "dict"])
def test_a_model_hears_the_observation_that_it_learned_on(kind: str) -> None:
    env = gym.make("MelodyCompose-v0", **TINY, observation=kind)
    name = "MultiInputPolicy" if kind == "dict" else "MlpPolicy"
    model = baselines.PPO(name, env, n_steps=8, batch_size=8, seed=1)
    policy = SB3Policy(model.policy, tiny())
    compact = vector_env(1)
    seen, _ = compact.reset(seed=3)
    expected, _ = env.reset(seed=3)
    for event in (10, 0, 1, 1, 20, 0, 7):
        heard = policy.observed(torch.from_numpy(np.ascontiguousarray(seen)))
        if kind == "dict":
            assert {n: int(v) for n, v in heard.items()} == {n: int(v) for n, v in expected.items()}
        else:
            np.testing.assert_array_equal(heard[0].numpy(), expected)
        logits, _ = policy(torch.from_numpy(np.ascontiguousarray(seen)), None)
        said = model.policy.get_distribution(model.policy.obs_to_tensor(expected)[0])
        ringing = torch.from_numpy(np.ascontiguousarray(seen))[:, policy.ringing] > 0
        torch.testing.assert_close(logits, as_played(said.distribution.logits, ringing))
        seen = compact.step(np.array([event]))[0]
        expected = env.step(event)[0]


def test_a_recurrent_model_remembers_as_sb3_does() -> None:
    env = gym.make("MelodyCompose-v0", **TINY)
    model = contrib.RecurrentPPO("MlpLstmPolicy", env, n_steps=8, batch_size=8, seed=1)
    policy = SB3Policy(model.policy, tiny())
    compact = vector_env(1)
    seen, _ = compact.reset(seed=3)
    state, own = policy.initial_state(compact.episodes()), None
    flat, _ = env.reset(seed=3)
    starts = np.array([True])
    for _ in range(6):
        logits, state = policy(torch.from_numpy(np.ascontiguousarray(seen)), state)
        action, own = model.predict(flat, own, starts, deterministic=True)
        if int(action) > 1:
            assert int(logits[0, 2:].argmax()) + 2 == int(action)
        torch.testing.assert_close(state[0].numpy(), own[0])
        starts = np.array([False])
        seen, flat = compact.step(np.array([int(action)]))[0], env.step(int(action))[0]


def test_an_invalid_hold_is_the_rest_that_it_counts_as() -> None:
    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log().repeat(2, 1)
    played = as_played(logits, torch.tensor([False, True])).softmax(-1)
    expected = torch.tensor([[0.0, 0.3, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]])
    torch.testing.assert_close(played, expected)


@pytest.mark.parametrize("algorithm", sb3.ALGORITHMS)
def test_a_saved_zip_is_read_without_its_pickle(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, name = sb3.ALGORITHMS[algorithm]
    env = gym.make("MelodyCompose-v0", **TINY)
    size: dict[str, Any] = {"net_arch": [16], "activation_fn": torch.nn.ReLU}
    kind = "MlpPolicy"
    if algorithm == "recurrent_ppo":
        size, kind = {"lstm_hidden_size": 12, "n_lstm_layers": 2}, "MlpLstmPolicy"
    model = getattr(sys.modules[package], name)(kind, env, policy_kwargs=size, seed=1)
    model.save(tmp_path / "m.zip")

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was read")

    monkeypatch.setattr("cloudpickle.loads", refused)
    monkeypatch.setattr("pickle.loads", refused)
    read = read_zip(tmp_path / "m.zip", algorithm, tiny())
    envs = vector_env(4)
    own = SB3Policy(model.policy, tiny())
    assert torch.equal(play(envs, read, 1).events, play(envs, own, 1).events)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no model that SB3 saved"):
        read_zip(tmp_path / "no.zip", "ppo", tiny())
    env = gym.make("MelodyCompose-v0", **{**TINY, "steps_per_beat": 4})
    baselines.A2C("MlpPolicy", env).save(tmp_path / "other.zip")
    with pytest.raises(ValueError, match="does not fit a a2c|another task"):
        read_zip(tmp_path / "other.zip", "a2c", tiny())
    with pytest.raises(ValueError, match="'dqn' is not one of ppo"):
        read_zip(tmp_path / "other.zip", "dqn", tiny())


def test_a_model_of_another_task_is_refused() -> None:
    model = baselines.PPO("MlpPolicy", gym.make("MelodyCompose-v0", bars=4), n_steps=8)
    with pytest.raises(ValueError, match="reads Box.*learned on another task"):
        SB3Policy(model.policy, tiny())


def test_without_stable_baselines_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ImportError, match=r"pip install 'musicgym\[sb3\]'"):
        train(SHORT, PRACTICE, tmp_path / "it")


def test_where_a_model_is_kept_depends_on_all_that_makes_it(tmp_path: Path) -> None:
    base = sb3_path(SHORT, PRACTICE, "tunes", tmp_path)
    assert base == sb3_path(SHORT, PRACTICE, "tunes", tmp_path) and base.parent == tmp_path
    others = [
        sb3_path(replace(SHORT, seed=9), PRACTICE, "tunes", tmp_path),
        sb3_path(SHORT, replace(PRACTICE, bars=4), "tunes", tmp_path),
        sb3_path(SHORT, PRACTICE, "songs", tmp_path),
    ]
    assert len({base, *others}) == 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"algorithm": "pro"}, r"'pro' is not one of .*did you mean 'ppo'"),
        ({"n_envs": 0}, "n_envs: 0 is not 1 or more"),
        ({"gamma": 1.5}, "gamma: 1.5 is not from 0 to 1"),
        ({"learning_rate": 0.0}, "not above 0"),
        ({"ent_coef": -1.0}, "0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SB3Config(**settings)
