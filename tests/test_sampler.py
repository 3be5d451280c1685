"""A melody played alone is the one that a batch plays, in torch and in the compiled function."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
import small
import torch

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import (
    ActorCriticConfig,
    CVAEGANConfig,
    HierarchicalVAEConfig,
    LSTMVAEConfig,
    MelodyLSTMConfig,
    Sampling,
    TransformerVAEConfig,
)
from musicgym.agents.decoding import choose
from musicgym.agents.policy import sample
from musicgym.agents.rollout import play
from musicgym.agents.sampler import FEW, PATIENCE, SWIFT, Sampler
from musicgym.benchmarks.generators import speed
from musicgym.env import MelodyComposeEnv

SIZES = {
    "one layer": MelodyLSTMConfig(16, 1),
    "two layers": MelodyLSTMConfig(16, 2),
    "with a latent": LSTMVAEConfig(latent=4, hidden=16, layers=2),
    "with attention": TransformerVAEConfig(latent=4, width=16, heads=2, layers=2),
    "in a frame": CVAEGANConfig(
        4, hidden=16, encoder=8, critic=8, styles=("a", "b"), metres=("4/4", "3/4")
    ),
}


def agent(actor, scale=2.0):
    """Return an untrained agent of the tiny task with large weights, so that its state matters."""
    made = ACMG(ACMGConfig(
        bars=2, steps_per_beat=1, pretraining=None, model=ActorCriticConfig(actor, 16),
        progressions=("random",),
    ))  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.model.actor.parameters():
            parameter.mul_(scale).add_(0.1 * torch.randn_like(parameter))  # none is left at 0
    return made


#: The tiny task, a little longer and in every key.
LONGER = {"bars": 4, "key": "random", "rewards": "balanced"}


def alone():
    """Return the single environment of that task."""
    return MelodyComposeEnv(**{**small.TINY, **LONGER}, observation="compact")


def beside(count):
    """Return a batch of the same."""
    return small.vector_env(count, **LONGER)


@pytest.mark.parametrize("compiled", [False, True], ids=["in torch", "compiled"])
@pytest.mark.parametrize("actor", SIZES.values(), ids=SIZES)
def test_alone_a_policy_plays_what_it_plays_in_a_batch(actor, compiled):
    policy, count = agent(actor).model.actor, 12
    how = Sampling(0.9, 12, 0.95)
    options = {"events": np.array([14, 0, 1])}
    batch = play(beside(count), policy, 5, how, options)
    sampler, env = Sampler(policy, compiled), alone()
    for i in range(count):
        own = sampler.play(env, 5, how, options, first=i)
        assert own.events[0].tolist() == batch.events[i].tolist()
        assert torch.equal(own.observation[0], batch.observation[i])
        assert torch.equal(own.terms[0], batch.terms[i])
        assert torch.equal(own.rewards[0], batch.rewards[i])
        assert own.episodes.roots.tolist() == batch.episodes.roots[i : i + 1].tolist()
        assert (own.latent is None) == (batch.latent is None)
        if own.latent is not None:
            assert torch.equal(own.latent[0], batch.latent[i])
    assert len({tuple(row) for row in batch.events.tolist()}) > count / 2


def test_a_given_latent_is_played_under():
    policy = agent(LSTMVAEConfig(latent=4, hidden=16, layers=1)).model.actor
    z = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    batch = play(beside(1), policy, 5, latent=z)
    drawn = Sampler(policy, True).play(alone(), 5)
    own = Sampler(policy, True).play(alone(), 5, latent=z)
    assert own.events.tolist() == batch.events.tolist() != drawn.events.tolist()
    assert torch.equal(own.latent, z)


@pytest.mark.parametrize(
    "how",
    [
        Sampling(), Sampling(0.5), Sampling(0), Sampling(1e-7), Sampling(top_k=1),
        Sampling(2.0, 5), Sampling(top_k=99), Sampling(top_p=0.6), Sampling(0.8, 9, 0.7),
    ],
    ids=str,
)  # fmt: skip
def test_the_compiled_draw_is_that_of_the_policies(how):
    torch.manual_seed(1)
    logits, chance = 3 * torch.randn(400, 38), torch.randint(2**32, (400,))
    logits[::7, 0] = -1e9
    rows = (row.numpy().copy() for row in logits)
    drawn = [
        choose(row, float(how.temperature), how.top_k, float(how.top_p), int(bits))
        for row, bits in zip(rows, chance, strict=True)
    ]
    assert drawn == sample(logits, how, chance).tolist()


def test_a_sampler_sees_that_the_weights_have_changed():
    policy = agent(MelodyLSTMConfig(16, 1)).model.actor
    sampler, env = Sampler(policy, True), alone()
    sampler.play(env, 1)
    with torch.no_grad():
        policy.head.bias[7] += 1e4
    assert set(sampler.play(env, 1).events[0].tolist()) == {7}
    with torch.no_grad():
        policy.embedding.table.weight.zero_()  # folded into other weights
        policy.head.bias.zero_()
    fresh = Sampler(policy, True).play(env, 1)
    assert sampler.play(env, 1).events.tolist() == fresh.events.tolist()


def test_a_width_that_the_compiled_function_cannot_run_plays_in_torch():
    policy = agent(MelodyLSTMConfig(10, 1)).model.actor
    batch = play(beside(1), policy, 5)
    own = Sampler(policy, True).play(alone(), 5)
    assert own.events.tolist() == batch.events.tolist()


def test_the_compiled_function_is_loaded_when_that_has_paid():
    sampler = Sampler(agent(MelodyLSTMConfig(16, 1)).model.actor)
    assert sampler.pays(FEW) and not sampler.pays(FEW + 1)
    env, steps = alone(), 16
    sampler.play(env, 1)
    assert sampler.spent == steps and not sampler.pays(SWIFT)
    sampler.spent = PATIENCE - steps
    sampler.play(env, 1)
    assert sampler.pays(SWIFT) and not sampler.pays(SWIFT + 1)
    attentive = Sampler(agent(HierarchicalVAEConfig(4, hidden=8)).model.actor)
    attentive.spent = PATIENCE
    assert attentive.pays(FEW) and not attentive.pays(FEW + 1)


@pytest.mark.parametrize("seed, first", [(-1, 0), (0, -1), (2**63 - 1, 1)])
def test_seeds_out_of_range_are_refused(seed, first):
    sampler = Sampler(agent(MelodyLSTMConfig(16, 1)).model.actor)
    with pytest.raises(ValueError, match="is not from 0 to"):
        sampler.play(alone(), seed, first=first)


def test_a_single_environment_tells_its_episode_as_a_batch_does():
    env, envs = alone(), beside(3)
    with pytest.raises(gym.error.ResetNeeded):
        env.episodes()
    env.reset(seed=8)
    envs.reset(seed=6)
    for one, many in zip(env.episodes(), envs.episodes(), strict=True):
        assert np.array_equal(one[0], many[2])


@pytest.mark.parametrize("actor", SIZES.values(), ids=SIZES)
def test_a_composed_melody_does_not_depend_on_how_many_are_composed(actor):
    composer = agent(actor)
    many = composer.compose("D minor", "i iv V i", bars=4, count=20, seed=3)
    assert composer.compose("D minor", "i iv V i", bars=4, count=1, seed=3) == many[:1]
    composer._sampler.spent = PATIENCE
    assert composer.compose("D minor", "i iv V i", bars=4, count=5, seed=3) == many[:5]


def test_a_composed_melody_can_be_played_again_under_its_latent():
    composer = agent(LSTMVAEConfig(latent=4, hidden=16))
    first, second = composer.compose("C major", "I V", bars=2, count=2, seed=3)
    assert len(first.latent) == 4 and first.latent != second.latent
    (again,) = composer.compose("C major", "I V", bars=2, seed=3, latent=first.latent)
    assert again == first
    rows = [second.latent, second.latent]
    moved, same = composer.compose("C major", "I V", bars=2, count=2, seed=3, latent=rows)
    assert same == second and moved.latent == second.latent


def test_a_latent_without_attributes_is_completed_by_those_asked_for():
    composer = agent(HierarchicalVAEConfig(4, hidden=8))
    actor = composer.model.actor
    actor.table.copy_(torch.arange(25.0).view(5, 5).flip(0))
    (made,) = composer.compose("C major", "I", bars=2, latent=[0.0, 1.0, 2.0, 3.0], emotion="sad")
    assert made.latent[:4] == (0.0, 1.0, 2.0, 3.0)
    assert made.latent[4:] == tuple(actor.asked(1, emotion="sad")[0].tolist())
    with pytest.raises(ValueError, match="its last 5 numbers are the attributes"):
        composer.compose("C major", "I", bars=2, latent=made.latent, emotion="calm")


def test_what_is_changed_in_place_between_two_calls_is_seen():
    composer, rewards = agent(MelodyLSTMConfig(16)), {"chord_tone": 1.0}
    (first,) = composer.compose("C major", "I", bars=2, rewards=rewards)
    rewards["chord_tone"] = 2.0
    (second,) = composer.compose("C major", "I", bars=2, rewards=rewards)
    assert first.total != 0 and second.total == pytest.approx(2 * first.total)


@pytest.mark.parametrize(
    "actor, asked, words",
    [
        (LSTMVAEConfig(4, hidden=16), {"seed": 2**63}, "seed: 9223372036854775808 is not"),
        (MelodyLSTMConfig(16), {"latent": [0.0]}, "latent: a melody_lstm has no latent"),
        (MelodyLSTMConfig(16), {"emotion": "sad"}, "emotion: a melody_lstm has no emotion"),
        (LSTMVAEConfig(4, hidden=16), {"emotion": "sad"}, "it has no attributes"),
        (HierarchicalVAEConfig(4, hidden=8), {"emotion": "bored"}, "emotion: cheerful, sad"),
        (LSTMVAEConfig(4, hidden=16), {"latent": [0.0] * 5}, "5 numbers .* lstm_vae plays under 4"),
        (HierarchicalVAEConfig(4, hidden=8), {"latent": [0.0]}, "1 numbers .* under 9, or 4"),
        (LSTMVAEConfig(4, hidden=16), {"latent": [[0.0] * 4] * 3}, r"shape \(3, 4\) .* \(1, 4\)"),
        (LSTMVAEConfig(4, hidden=16), {"latent": [[np.nan] * 4]}, "must be finite"),
    ],
    ids=str,
)
def test_a_latent_or_an_attribute_that_cannot_be_is_refused(actor, asked, words):
    with pytest.raises(ValueError, match=words):
        agent(actor).compose("C major", "I", bars=2, **asked)


def test_the_speed_of_every_model_is_measured_and_written(monkeypatch, tmp_path):
    size = LSTMVAEConfig(4, hidden=8, layers=1)
    for name, value in {
        "MODELS": {"lstm_vae": (lambda: size, None)}, "MORE": {}, "MANY": 20, "BARS": 4, "GRID": 1,
        "PATIENCE": 8,
    }.items():  # fmt: skip
        monkeypatch.setattr(speed, name, value)
    found = json.loads(json.dumps(speed.measure(3, 1)))
    row = found["models"]["lstm_vae"]
    assert found["steps"] == 16 and found["repeats"] == 3
    assert 0 < row["one"]["p50"] <= row["one"]["p99"]
    same = ACMG(ACMGConfig(steps_per_beat=1, pretraining=None, model=ActorCriticConfig(size)))
    assert row["weights"] == sum(p.numel() for p in same.model.actor.parameters())
    row["many"]["p50"], row["one"]["p50"] = 70.0, 12.4
    lines = speed.section(found, tmp_path)
    (line,) = [line for line in lines if line.startswith("| lstm_vae | 0")]
    assert "| 12 (" in line and line.endswith("| 3.5 |")
    assert sum("A100" in line for line in lines) == 3
