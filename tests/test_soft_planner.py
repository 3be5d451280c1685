"""The soft planner is exact: it agrees with sums over all melodies and with what is played."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from small import vector_env
from test_exact_planner import NARROW, Whole, every_melody, returns, three_beats

from musicgym.agents.exact_planner import NotFiniteMemory, plan
from musicgym.agents.markov import MarkovTable
from musicgym.agents.policy import masked
from musicgym.agents.rollout import play
from musicgym.agents.soft_planner import SoftPlanner, beta_at, soft_optimum
from musicgym.dynamics import State, advance, moment
from musicgym.observation import observe
from musicgym.replay import begin
from musicgym.reward import Reward, Term
from musicgym.task import Task


def table(task: Task, seed: int = 0) -> MarkovTable:
    """Return a table of random probabilities."""
    made = MarkovTable(task)
    shape = (2 * made.sizes["pitch"], made.sizes["position"], task.n_events)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    made.logits = (1.5 * noise).log_softmax(-1)
    return made


def chances(envs: Any, prior: MarkovTable, events: Any) -> Any:
    """Return the log-probabilities (N,) that the prior gives to melodies of the first episode."""
    c, first = begin(envs.episodes(), envs.task, envs.reward.readings)
    state = State(*(np.repeat(column[:1], len(events)) for column in first))
    total = np.zeros(len(events))
    for column in events.T:
        seen = torch.from_numpy(np.stack(observe(c, state), axis=-1))
        logits = masked(prior(seen)[0].double(), seen, prior.columns["ringing"])
        total += logits.log_softmax(-1).numpy()[np.arange(len(events)), column]
        state = advance(c, state, moment(c, state, column), 0)
    return total


@pytest.mark.parametrize("beta", [0.1, 1.0, 7.0])
@pytest.mark.parametrize(
    "spec", ["acmg", "balanced", {"preset": "acmg_literal", "median_line": {"median": "nearest"}}]
)
def test_value_return_and_distance_are_those_of_all_melodies(spec: Any, beta: float) -> None:
    envs = three_beats(spec)
    prior = table(envs.task)
    events, raw = every_melody(envs)
    total, prior_log = raw @ envs.reward.weights[: raw.shape[1]], chances(envs, prior, events)
    assert np.exp(prior_log).sum() == pytest.approx(1)
    tilted = prior_log + total / beta
    log_sum = float(np.logaddexp.reduce(tilted))
    share = np.exp(tilted - log_sum)
    found = soft_optimum(envs.task, envs.reward, envs.episodes(), prior, beta)
    np.testing.assert_allclose(found.value, [beta * log_sum] * 3, atol=1e-9)
    np.testing.assert_allclose(found.returns, [share @ total] * 3, atol=1e-9)
    kl = share @ (tilted - log_sum - prior_log) / 3
    np.testing.assert_allclose(found.kl, [kl] * 3, atol=1e-9)


DRAWN = {"median_line": {"median": "random", "reach": 1}, "octave_leap": {"reach": 3}}


@pytest.mark.parametrize("spec", ["acmg", DRAWN, {**DRAWN, "scoring": "literal"}], ids=str)
def test_what_is_played_has_the_return_and_the_distance(spec: Any) -> None:
    size = 1500
    envs = vector_env(size, rewards=spec, progression="I V7", bars=2, **NARROW)
    prior, beta = table(envs.task), 0.3
    policy = SoftPlanner(envs.task, envs.reward, prior, beta)
    rollout = play(envs, policy, seed=5)
    found = soft_optimum(envs.task, envs.reward, rollout.episodes, prior, beta)
    state, kl = policy.initial_state(rollout.episodes), np.zeros(size)
    for t in range(envs.task.steps):
        seen = rollout.observation[:, t]
        mine, state = policy(seen, state)
        mine, other = (
            masked(x.double(), seen, prior.columns["ringing"]).log_softmax(-1)
            for x in (mine, prior(seen)[0])
        )
        kl += (mine.exp() * (mine - other)).sum(-1).numpy() / envs.task.steps
    for played, expected in ((returns(envs, rollout), found.returns), (kl, found.kl)):
        error = (played - expected).std() / math.sqrt(size)
        assert abs((played - expected).mean()) < 4 * error < 0.12
    np.testing.assert_allclose(
        found.value, found.returns - beta * envs.task.steps * found.kl, atol=1e-9
    )


def test_it_goes_from_the_prior_to_the_exact_optimum() -> None:
    envs = three_beats("acmg")
    arguments = envs.task, envs.reward, envs.episodes(), table(envs.task)
    events, raw = every_melody(envs)
    total = raw @ envs.reward.weights[: raw.shape[1]]
    prior = np.exp(chances(envs, arguments[3], events))
    far = soft_optimum(*arguments, beta=1e6)
    np.testing.assert_allclose(far.returns, [prior @ total] * 3, atol=1e-4)
    assert (abs(far.kl) < 1e-9).all()
    best = plan(*arguments[:3]).value
    near = soft_optimum(*arguments, beta=1e-3)
    np.testing.assert_allclose(near.returns, best, atol=1e-6)
    steps = [soft_optimum(*arguments, beta=beta) for beta in (1e-2, 0.1, 1, 10, 100)]
    assert (np.diff([s.returns[0] for s in steps]) < 0).all()
    assert (np.diff([s.kl[0] for s in steps]) < 0).all()


@pytest.mark.parametrize("kl", [1e-4, 0.05, 0.4])
def test_the_beta_of_a_distance_is_found(kl: float) -> None:
    envs = vector_env(6, rewards="acmg", progression="random", bars=1, **NARROW)
    envs.reset(seed=2)
    arguments = envs.task, envs.reward, envs.episodes(), table(envs.task)
    beta = beta_at(*arguments, kl)
    assert float(soft_optimum(*arguments, beta).kl.mean()) == pytest.approx(kl, rel=1e-3)


@pytest.mark.parametrize("kl", [50.0, 0.0, -1.0])
def test_a_distance_that_no_beta_has_is_refused(kl: float) -> None:
    envs = three_beats("acmg")
    with pytest.raises(ValueError, match="nats a step"):
        beta_at(envs.task, envs.reward, envs.episodes(), table(envs.task), kl)


@pytest.mark.parametrize("beta", [0.0, -1.0, math.inf, math.nan])
def test_beta_must_be_above_0(beta: float) -> None:
    envs = three_beats("acmg")
    with pytest.raises(ValueError, match="above 0"):
        soft_optimum(envs.task, envs.reward, envs.episodes(), table(envs.task), beta)


def test_a_term_that_judges_the_whole_melody_is_refused_by_name() -> None:
    envs = three_beats("acmg")
    reward = Reward((*envs.reward.terms, Term("whole", 0.5, Whole())), envs.reward.readings)
    with pytest.raises(NotFiniteMemory, match="whole"):
        SoftPlanner(envs.task, reward, table(envs.task), 1.0).initial_state(envs.episodes())
