"""PPO and A2C: their losses by hand, and that they learn, repeat and can be interrupted."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from small import actor_critic, vector_env
from torch import Tensor
from torch.backends import cudnn

from musicgym.agents import a2c, ppo
from musicgym.agents.configs import A2CConfig, KLConfig, LearningConfig, PPOConfig
from musicgym.agents.learning import Batch, Learner, Losses
from musicgym.agents.rollout import play
from musicgym.tensor_env import MelodyComposeTensorEnv

ITERATION = 64 * 8  # environments x steps


def learner(
    config: LearningConfig | None = None, iterations: int = 2, size: int = 64, **changes: Any
) -> Learner:
    config = replace(config or PPOConfig(), total_steps=iterations * size * 8)
    envs = vector_env(size, **changes)
    update = ppo.update if isinstance(config, PPOConfig) else a2c.update
    model = actor_critic(envs.task, config.seed, hidden=32)
    prior = copy.deepcopy(model.actor).requires_grad_(False) if config.kl.beta else None
    return Learner(model, [envs], config, update, prior)


def weights(of: Learner) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in of.state()[0].items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# The losses


def test_the_clipped_surrogate_of_a_worked_example() -> None:
    ratio = torch.tensor([1.5, 0.5, 0.5, 1.1])
    advantage = torch.tensor([1.0, -1.0, 1.0, -2.0])
    # The smaller of each pair: 1.2 of 1.5 and 1.2; -0.8 of -0.5 and -0.8; 0.5; -2.2.
    loss = ppo.clipped_surrogate(ratio.log(), torch.zeros(4), advantage, clip=0.2)
    assert float(loss) == pytest.approx(-(1.2 - 0.8 + 0.5 - 2.2) / 4, abs=1e-6)


def test_beyond_the_clip_there_is_no_gradient() -> None:
    log_p = torch.tensor([1.5, 0.5, 0.5, 1.5]).log().requires_grad_()
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0])
    ppo.clipped_surrogate(log_p, torch.zeros(4), advantage, clip=0.2).backward()
    assert log_p.grad is not None
    assert (log_p.grad[:2] == 0).all() and (log_p.grad[2:] != 0).all()


def test_the_policy_gradient_of_a_worked_example() -> None:
    loss = a2c.policy_gradient(torch.tensor([-1.0, -2.0]), torch.tensor([3.0, -0.5]))
    assert float(loss) == pytest.approx(-(-3.0 + 1.0) / 2)


def test_before_a_step_the_ratio_is_1_and_the_losses_are_those_of_the_rollout() -> None:
    held = learner()
    rollout = play(held.envs[0], held.model.actor, seed=1)
    batch, figures = held.price(rollout)
    again = held.losses(batch, lambda log_p: (log_p - batch.log_probability).abs().max())
    assert float(again.policy.detach()) < 1e-5
    assert float(again.entropy.detach()) == pytest.approx(float(figures["entropy"]), abs=1e-5)
    assert abs(float(batch.advantage.mean())) < 1e-5
    assert float(batch.advantage.std()) == pytest.approx(1, abs=1e-4)


def test_the_total_loss_weighs_its_parts() -> None:
    kl = KLConfig(beta=1.0)
    held = learner(PPOConfig(value_weight=0.25, entropy_weight=0.5, max_grad_norm=1e9, kl=kl))
    with torch.no_grad():
        held.model.actor.head.weight.add_(0.3 * torch.randn_like(held.model.actor.head.weight))
    batch, _ = held.price(play(held.envs[0], held.model.actor, seed=1))

    def parts() -> Losses:
        return held.losses(batch, lambda log_p: a2c.policy_gradient(log_p, batch.advantage))

    losses = parts()
    assert losses.kl > 0.01
    total = losses.policy + 0.25 * losses.value - 0.5 * losses.entropy + 2.0 * losses.kl
    expected = torch.autograd.grad(total, list(held.model.parameters()), allow_unused=True)
    held.descend(parts(), kl_weight=torch.tensor(2.0))
    for parameter, gradient in zip(held.model.parameters(), expected, strict=True):
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient)


def test_the_gradient_is_clipped_to_its_norm_and_reported_before_that() -> None:
    held = learner(PPOConfig(max_grad_norm=1e-3))
    batch, _ = held.price(play(held.envs[0], held.model.actor, seed=1))
    norm = held.descend(held.losses(batch, lambda log_p: -log_p.mean() * 100), batch.kl_weight)
    grads = [p.grad for p in held.model.parameters() if p.grad is not None]
    clipped = float(torch.cat([g.flatten() for g in grads]).norm())
    assert norm > 1e-2
    assert clipped == pytest.approx(1e-3, rel=1e-3)


def test_each_epoch_takes_every_episode_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held = learner(PPOConfig(epochs=2, minibatches=3), size=8)
    batch, _ = held.price(play(held.envs[0], held.model.actor, seed=1))
    taken: list[int] = []
    take = Batch.take
    monkeypatch.setattr(Batch, "take", lambda b, rows: taken.extend(rows.tolist()) or take(b, rows))
    ppo.update(held, batch, seed=1)
    assert sorted(taken[:8]) == sorted(taken[8:]) == list(range(8))
    assert taken[:8] != taken[8:]


# The rewards that it learns from


def test_the_policy_is_judged_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = vector_env(4, rewards="acmg")
    told: list[Any] = []
    tell = envs.observe_policy
    monkeypatch.setattr(envs, "observe_policy", lambda p: (told.append(p), tell(p)))
    actor = actor_critic(envs.task).actor
    place = envs.reward.names.index("state_variance")
    plain = play(envs, actor, seed=1)
    assert not told and (plain.terms[..., place] == 0).all()
    judged = play(envs, actor, seed=1, judge=True)
    assert len(told) == envs.task.steps
    assert (judged.terms[..., place] > 0).all()
    assert all(np.allclose(p.sum(-1), 1) for p in told)
    assert (told[0][:, 0] == 0).all()  # nothing rings yet: the mask has been applied
    assert torch.equal(plain.events, judged.events)


def test_a_reward_without_policy_terms_never_asks_for_the_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    envs = vector_env(4, rewards="balanced")
    monkeypatch.setattr(envs, "observe_policy", lambda p: pytest.fail("it was asked"))
    play(envs, actor_critic(envs.task).actor, seed=1, judge=True)


def test_the_rewards_of_a_rollout_are_the_weighted_terms() -> None:
    envs = vector_env(16, rewards="balanced")
    rollout = play(envs, actor_critic(envs.task).actor, seed=1)
    paid = rollout.terms.numpy() @ envs.weights
    np.testing.assert_allclose(rollout.rewards.numpy(), paid, atol=1e-6)


def test_the_kl_to_come_is_taken_from_the_reward_of_each_step() -> None:
    held = learner(PPOConfig(kl=KLConfig(beta=2.0), gamma=1.0, lam=1.0))
    with torch.no_grad():
        for parameter in held.model.actor.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape))
    rollout = play(held.envs[0], held.model.actor, seed=1)
    batch, figures = held.price(rollout)
    assert figures["kl"] > 0.05
    free = learner(PPOConfig(gamma=1.0, lam=1.0))
    free.model.load_state_dict(held.model.state_dict())
    unpriced, _ = free.price(rollout)
    price = (unpriced.returns * free.scale.std + free.scale.centre) - (
        batch.returns * held.scale.std + held.scale.centre
    )
    assert torch.allclose(price[-1], torch.zeros(64), atol=1e-3)  # nothing comes after the last
    assert (price[:-1].diff(dim=0) < 1e-3).all()  # the earlier, the more is still to come
    assert float(price[0].mean()) == pytest.approx(2.0 * 7 * float(figures["kl"]), rel=0.35)


def test_a_price_on_leaving_the_prior_needs_a_prior() -> None:
    held = learner()
    config = replace(held.config, kl=KLConfig(beta=1.0))
    with pytest.raises(ValueError, match=r"no prior.* a kl\.target of None"):
        Learner(held.model, held.envs, config, ppo.update)


def test_a_seed_that_is_too_large_for_the_melodies_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^seed: 1000000000000 .* 64 melodies.* below 72057\d+"):
        learner(PPOConfig(seed=10**12))
    learner(PPOConfig(seed=72057 * 10**6)).step()


# Learning


@pytest.mark.parametrize(
    ("config", "iterations", "gain"),
    [(PPOConfig(learning_rate=3e-3), 30, 8.0), (A2CConfig(learning_rate=1e-2), 100, 6.0)],
    ids=["ppo", "a2c"],
)
def test_it_raises_the_return(config: LearningConfig, iterations: int, gain: float) -> None:
    held = learner(config, iterations)
    unseen = 10**9
    before = float(play(held.envs[0], held.model.actor, unseen).rewards.sum(1).mean())
    held.learn()
    after = float(play(held.envs[0], held.model.actor, unseen).rewards.sum(1).mean())
    assert after > before + gain, (before, after)


def test_the_distance_to_the_prior_is_held_near_its_target() -> None:
    target, figures = 0.2, []
    config = PPOConfig(learning_rate=2e-3, kl=KLConfig(beta=0.5, target=target))
    held = learner(config, iterations=60)
    held.learn(figures.append)
    late = np.mean([row["kl"] for row in figures[-20:]])
    assert late == pytest.approx(target, rel=0.3)
    assert figures[0]["kl"] == pytest.approx(0, abs=1e-6)


def test_it_reports_the_return_each_term_and_the_losses() -> None:
    held, rows = learner(iterations=2), []
    held.learn(rows.append)
    assert [row["steps"] for row in rows] == [ITERATION, 2 * ITERATION]
    row = rows[-1]
    for name in ("return", "kl", "entropy", "explained_variance", "beta", "learning_rate"):
        assert np.isfinite(row[name])
    assert {f"term/{name}" for name in held.envs[0].reward.names} <= row.keys()
    assert {"loss/policy", "loss/value", "loss/gradient_norm"} <= row.keys()
    assert row["frames_per_second"] > 0
    paid = sum(
        row[f"term/{name}"] * weight
        for name, weight in zip(held.envs[0].reward.names, held.envs[0].weights, strict=True)
    )
    assert row["return"] == pytest.approx(paid, abs=1e-4)


def test_the_learning_rate_falls_from_its_start_towards_a_small_rest() -> None:
    held, rows = learner(PPOConfig(learning_rate=1e-3, epochs=1), iterations=20, size=4), []
    held.learn(rows.append)
    rates = [row["learning_rate"] for row in rows]
    assert rates[0] == 1e-3
    assert all(a > b for a, b in zip(rates, rates[1:], strict=False))
    assert 0 < rates[-1] < 2e-4


def test_environments_are_taken_in_turn() -> None:
    two = [vector_env(4, rewards="acmg"), vector_env(4, rewards="balanced")]
    model = actor_critic(two[0].task)
    held = Learner(model, two, PPOConfig(total_steps=4 * 32), ppo.update)
    rows: list[dict[str, Any]] = []
    held.learn(rows.append)
    assert ["term/state_variance" in row for row in rows] == [True, False, True, False]


# Precision


def test_losses_in_bfloat16_are_near_those_in_float32() -> None:
    full, half = (learner(PPOConfig(precision=p)) for p in ("float32", "bfloat16"))
    rollout = play(full.envs[0], full.model.actor, seed=1)
    losses = []
    for held in (full, half):
        batch, _ = held.price(rollout)
        policy = partial(a2c.policy_gradient, advantage=batch.advantage)
        losses.append(torch.stack(held.losses(batch, policy)).detach())
    assert not torch.equal(*losses)
    torch.testing.assert_close(*losses, atol=5e-3, rtol=5e-3)


def test_in_bfloat16_the_first_ratio_is_1_too() -> None:
    held = learner(PPOConfig(precision="bfloat16"))
    player = held.model.prepared(torch.bfloat16)
    batch, _ = held.price(play(held.envs[0], player, seed=1, judge=True))
    again = held.losses(batch, lambda log_p: (log_p - batch.log_probability).abs().max())
    assert float(again.policy.detach()) < 1e-3


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_tf32_is_asked_for_in_a_step_only(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cudnn, "is_available", lambda: True)

    def asked() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32

    before, during = asked(), []
    held = learner(PPOConfig(precision=precision))
    descend = held.descend
    held.descend = lambda *given: (  # type: ignore[method-assign]
        during.append(asked()) or descend(*given)
    )
    held.step()
    assert set(during) == {("high", True) if precision == "tf32" else ("highest", False)}
    assert asked() == before


def test_an_iteration_looks_at_the_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # A "meta" tensor has no values, so whatever the host asks of it fails.
    monkeypatch.setattr(MelodyComposeTensorEnv, "_check_device", lambda *_: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.optim, "Adam", lambda p, **_: torch.optim.SGD(p, lr=1e-3))
    looks: list[Tensor] = []
    monkeypatch.setattr(Tensor, "tolist", lambda t: looks.append(t) or [0.5] * len(t))
    envs = vector_env(8, backend="tensor", device="meta", rewards="acmg")
    model = actor_critic(envs.task).to("meta")
    prior = copy.deepcopy(model.actor)
    for update, config in ((ppo.update, PPOConfig), (a2c.update, A2CConfig)):
        looks.clear()
        kl = KLConfig(beta=0.5, target=0.1)
        figures = Learner(model, [envs], config(kl=kl), update, prior).step()
        assert len(looks) == 1 and figures["kl"] == 0.5


def test_learning_on_tensors_is_learning_on_arrays() -> None:
    arrays, tensors = learner(), learner(backend="tensor")
    rows: list[list[dict[str, Any]]] = [[], []]
    for held, seen in zip((arrays, tensors), rows, strict=True):
        held.learn(seen.append)
    for one, other in zip(*rows, strict=True):
        for row in (one, other):
            del row["frames_per_second"], row["seconds"]
        assert one == pytest.approx(other, abs=1e-5)
    one, other = weights(arrays), weights(tensors)
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-4)


# Repeating and interrupting


@pytest.mark.parametrize(
    "config",
    [PPOConfig(), A2CConfig(), PPOConfig(precision="bfloat16")],
    ids=["ppo", "a2c", "bfloat16"],
)
def test_equal_seeds_give_equal_weights_and_others_do_not(config: LearningConfig) -> None:
    one, two, other = (learner(c) for c in (config, config, replace(config, seed=2)))
    other.model.load_state_dict(one.model.state_dict())  # so that only the draws differ
    for held in (one, two, other):
        held.learn()
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_restored_learner_goes_on_to_the_bit(precision: str) -> None:
    config = PPOConfig(kl=KLConfig(beta=0.5, target=0.1), precision=precision)
    whole, start, rest = (learner(config, iterations=4) for _ in range(3))
    whole.learn()
    start.step()
    start.step()
    tensors, numbers = start.state()
    rest.restore({name: value.clone() for name, value in tensors.items()}, numbers)
    rest.learn()
    assert same(weights(whole), weights(rest))
    assert float(whole.beta) != 0.5 and not (whole.scale.moments == 0).any()


def test_an_iteration_whose_losses_are_not_finite_leaves_everything_as_before() -> None:
    held = learner()
    held.step()
    before = weights(held)
    held.config = replace(held.config, max_grad_norm=1e30, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"iteration 2 is not finite.*is kept"):
        held.step()
    assert held.iteration == 1 and same(weights(held), before)


@pytest.mark.parametrize("at", [0, 1], ids=["first iteration", "later iteration"])
def test_an_iteration_interrupted_in_its_middle_leaves_everything_as_before(at: int) -> None:
    held, whole = learner(iterations=3), learner(iterations=3)
    for _ in range(at):
        held.step()
    before, descend, calls = weights(held), held.descend, []

    def interrupted(*arguments: Any) -> float:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(arguments)
        return descend(*arguments)

    held.descend = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        held.step()
    assert held.iteration == at
    assert same(weights(held), before)
    held.descend = descend  # type: ignore[method-assign]
    held.learn()
    whole.learn()
    assert same(weights(held), weights(whole))


@pytest.mark.parametrize(
    "wrong",
    [{"gamma": 1.1}, {"lam": -0.1}, {"total_steps": 0}, {"learning_rate": 0.0},
     {"max_grad_norm": float("nan")}, {"precision": "float16"}],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PPOConfig(**wrong)


# Openings in a rollout


def test_an_opening_is_heard_and_unpaid() -> None:
    envs = vector_env(5)
    actor = actor_critic(envs.task).actor
    rollout = play(envs, actor, seed=1, options={"events": np.array([26, 0, 30])})
    assert rollout.events[:, :3].tolist() == [[26, 0, 30]] * 5
    assert (rollout.rewards[:, :3] == 0).all() and (rollout.terms[:, :3] == 0).all()
    assert (rollout.rewards[:, 3:] != 0).any()
    assert len(set(map(tuple, rollout.events.tolist()))) > 1


@pytest.mark.parametrize(
    "opening", [np.full(8, 26), np.full((3, 2), 26), np.array([0.5])], ids=["long", "rows", "float"]
)
def test_an_opening_that_does_not_fit_is_refused(opening: np.ndarray) -> None:
    envs = vector_env(5)
    with pytest.raises(ValueError, match="events"):
        play(envs, actor_critic(envs.task).actor, seed=1, options={"events": opening})


def test_a_rollout_puts_the_number_of_threads_back() -> None:
    envs, before = vector_env(2), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        play(envs, actor_critic(envs.task).actor, seed=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
