"""Best of N keeps the best of what was drawn, and its curve and its KL are the true ones."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import log
from typing import Any

import numpy as np
import pytest
from small import actor_critic, vector_env

from musicgym.agents import best_of_n
from musicgym.agents.best_of_n import BestOfN, at_kl, curve, kl_bound, pool
from musicgym.agents.heuristics import HeldTonic, UniformRandom
from musicgym.agents.imagination import imagine
from musicgym.agents.rollout import play
from musicgym.replay import begin, pay
from musicgym.reward import Reward, Rule, Term
from musicgym.vector_env import MelodyComposeVectorEnv

SIZE, N, SEED = 5, 12, 7
SPECS = ["balanced", "acmg", "acmg_literal"]  # the last draws median tones


def drawn(size: int = SIZE, spec: Any = "balanced") -> MelodyComposeVectorEnv:
    """Return environments at the start of episodes whose key, mode and chords are drawn."""
    envs = vector_env(size, rewards=spec, progression="random", key="random")
    envs.reset(seed=2)
    return envs


def made(envs: MelodyComposeVectorEnv, kind: str = "lstm") -> Any:
    if kind == "lstm":
        return actor_critic(envs.task).actor
    return {"uniform": UniformRandom, "tonic": HeldTonic}[kind](envs.task)


def candidates(envs: MelodyComposeVectorEnv, policy: Any, n: int = N) -> tuple[Any, Any]:
    """Return the events (n, B, T) of n plays and what each is paid (n, B), one play at a time."""
    episodes, reward = envs.episodes(), envs.reward
    seeds = [SEED + 2**32 * r for r in range(n)]
    events = [imagine(policy, episodes, envs.task, reward, seed).events for seed in seeds]
    c, state = begin(episodes, envs.task, reward.readings)
    paid = [(pay(c, state, e, reward) @ reward.weights).sum(1) for e in events]
    return np.stack(events), np.stack(paid)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", ["lstm", "uniform", "tonic"])
@pytest.mark.parametrize("size", [1, SIZE])
def test_it_plans_the_best_of_its_candidates(spec: str, kind: str, size: int) -> None:
    envs = drawn(size, spec)
    policy = made(envs, kind)
    events, returns = candidates(envs, policy)
    best, value = BestOfN(policy, envs.task, envs.reward, N, SEED).plan(envs.episodes())
    np.testing.assert_allclose(value, returns.max(0), atol=1e-9)
    first = (returns > returns.max(0) - 1e-9).argmax(0)
    np.testing.assert_array_equal(best, events[first, np.arange(size)])
    if kind != "tonic":
        assert (returns.max(0) > returns.mean(0) + 0.1).all()
        assert len(np.unique(events[:, 0], axis=0)) == N  # every draw is another melody


def test_best_of_one_is_the_policy_itself() -> None:
    envs = drawn()
    policy = made(envs)
    events, _ = BestOfN(policy, envs.task, envs.reward, 1, SEED).plan(envs.episodes())
    alone = imagine(policy, envs.episodes(), envs.task, envs.reward, SEED)
    np.testing.assert_array_equal(events, alone.events)


@pytest.mark.parametrize("spec", SPECS)
def test_in_the_environment_it_earns_exactly_what_it_was_chosen_for(spec: str) -> None:
    envs = drawn(spec=spec)
    best = BestOfN(made(envs), envs.task, envs.reward, N, SEED)
    rollout = play(envs, best, seed=40)
    earned = rollout.terms.sum(1).numpy() @ envs.reward.weights
    events, value = best.plan(rollout.episodes)
    np.testing.assert_array_equal(rollout.events.numpy(), events)
    np.testing.assert_allclose(earned, value, atol=1e-9)


def test_of_equals_it_keeps_the_first() -> None:
    envs = drawn(spec={"octave_leap": 0.0})
    policy = made(envs, "uniform")
    for at_once in (3, 1000):
        best = BestOfN(policy, envs.task, envs.reward, N, SEED, at_once=at_once)
        events, value = best.plan(envs.episodes())
        np.testing.assert_array_equal(events, candidates(envs, policy, 1)[0][0])
        assert (value == 0).all()


def test_how_many_are_drawn_at_once_changes_nothing() -> None:
    envs = drawn()
    policy = made(envs)
    plans, pools = [], []
    for at_once in (1, 7, SIZE, 1000):  # less than an episode's draws, across draws, all
        best = BestOfN(policy, envs.task, envs.reward, N, SEED, at_once=at_once)
        plans.append(best.plan(envs.episodes()))
        given = policy, envs.task, envs.reward, envs.episodes(), N, SEED
        pools.append(pool(*given, at_once=at_once))
    for (events, value), returns in zip(plans, pools, strict=True):
        np.testing.assert_array_equal(events, plans[0][0])
        np.testing.assert_array_equal(value, returns.max(1))
        np.testing.assert_array_equal(returns, pools[0])


def test_compiled_loops_draw_the_same_melodies(monkeypatch: pytest.MonkeyPatch) -> None:
    envs = drawn()
    best = BestOfN(made(envs), envs.task, envs.reward, N, SEED)
    plain, _ = best.plan(envs.episodes())
    monkeypatch.setattr(best_of_n, "MANY", 1)
    np.testing.assert_array_equal(best.plan(envs.episodes())[0], plain)


def test_a_pool_holds_the_return_of_each_draw_and_tells_how_far_it_is() -> None:
    envs = drawn(spec="acmg")
    policy, told = made(envs), []
    given = policy, envs.task, envs.reward, envs.episodes(), N, SEED
    returns = pool(*given, lambda figures: told.append(figures["melodies"]), at_once=25)
    np.testing.assert_allclose(returns, candidates(envs, policy)[1].T, atol=1e-9)
    assert told == [25, 50, 60]


class Endless(Rule):
    """Pays without end."""

    def __call__(self, m: Any) -> Any:
        return m.pitch * np.inf


def test_no_draws_and_endless_returns_are_refused() -> None:
    envs = drawn()
    given = made(envs), envs.task, envs.reward
    with pytest.raises(ValueError, match="n: 0 is not 1 or more"):
        BestOfN(*given, 0)
    with pytest.raises(ValueError, match="count: 0 is not 1 or more"):
        pool(*given, envs.episodes(), 0)
    endless = Reward((Term("endless", 1.0, Endless()),), envs.reward.readings)
    with pytest.raises(ValueError, match="finite"), np.errstate(invalid="ignore"):
        pool(*given[:2], endless, envs.episodes(), 1)


# The curve


@pytest.mark.parametrize("m", [1, 2, 4, 7])
def test_the_curve_is_the_mean_best_of_all_subsets(m: int) -> None:
    returns = np.random.default_rng(m).normal(size=(3, m)).round(1)
    found = curve(returns)
    assert list(found) == [n for n in (1, 2, 4) if n <= m] + [7] * (m == 7)
    for n, value in found.items():
        every = [returns[:, list(some)].max(1) for some in combinations(range(m), n)]
        assert value == pytest.approx(np.mean(every), abs=1e-12)


def test_the_curve_of_many_draws_is_exact_and_rises() -> None:
    m = 1024
    ranks = np.random.default_rng(0).permutation(np.arange(1.0, m + 1))
    found = curve(np.stack([ranks, ranks + 100]))
    assert list(found) == [2**i for i in range(11)]
    for n, value in found.items():  # the mean maximum of n of the numbers 1 to m
        assert value == pytest.approx(n * (m + 1) / (n + 1) + 50, rel=1e-10)
    assert all(a < b for a, b in pairwise(found.values()))


@pytest.mark.parametrize("returns", [np.zeros(3), np.zeros((2, 0)), np.zeros((0, 2))], ids=str)
def test_a_curve_needs_draws_of_episodes(returns: Any) -> None:
    with pytest.raises(ValueError, match="episodes, draws"):
        curve(returns)


def test_best_of_n_earns_what_the_curve_says() -> None:
    envs = drawn(40)
    policy = made(envs, "uniform")
    returns = pool(policy, envs.task, envs.reward, envs.episodes(), 256, SEED)
    best = BestOfN(policy, envs.task, envs.reward, 8, seed=99)
    _, value = best.plan(envs.episodes())
    spread = value.std() / len(value) ** 0.5
    assert curve(returns)[8] == pytest.approx(value.mean(), abs=4 * spread)
    assert curve(returns)[8] > curve(returns)[1] + 8 * spread


# The price in KL


def test_the_bound_of_the_kl_is_that_of_the_paper() -> None:
    assert kl_bound(1, 64) == 0
    assert kl_bound(4, 1) == pytest.approx(log(4) - 3 / 4)
    assert kl_bound(1024, 64) == pytest.approx((10 * log(2) - 1023 / 1024) / 64)
    bounds = [kl_bound(2**i, 64) for i in range(11)]
    assert all(a < b for a, b in pairwise(bounds))
    with pytest.raises(ValueError, match="n=0"):
        kl_bound(0, 64)


def test_no_policy_of_few_melodies_strays_further_than_the_bound() -> None:
    # Three melodies in rising order of return: best of n plays the k-th with F_k^n - F_(k-1)^n.
    p = np.array([0.5, 0.3, 0.2])
    for n in (2, 4, 16):
        best = np.diff(np.append(0, p.cumsum()) ** n)
        kl = float((best * np.log(best / p)).sum())
        assert 0 < kl <= kl_bound(n, 1)


def test_a_value_at_a_kl_lies_on_the_line_between_two_points() -> None:
    points = {1: 0.0, 2: 10.0, 4: 30.0}
    for n, value in points.items():
        assert at_kl(points, kl_bound(n, 8), 8) == pytest.approx(value)
    quarter = 0.75 * kl_bound(2, 8) + 0.25 * kl_bound(4, 8)
    assert at_kl(points, quarter, 8) == pytest.approx(15.0)
    assert at_kl(points, 9.0, 8) == 30.0 and at_kl(points, -0.1, 8) == 0.0
    assert np.isnan(at_kl(points, float("nan"), 8))
