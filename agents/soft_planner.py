"""The soft optimum: the best trade of return against the distance to a Markov prior, exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.reward import Reward
from musicgym.task import Task

from .exact_planner import Planner, Weights
from .markov import MarkovTable
from .planning_tables import Backup, Floats, Model, Table, model_of
from .policy import masked

__all__ = ["SoftOptimum", "SoftPlanner", "beta_at", "soft_optimum"]

_LEAST, _MOST = 1e-4, 1e6  # the betas that are searched


class SoftOptimum(NamedTuple):
    """The policy that is best against a prior, in each of B episodes.

    Attributes:
        returns: (B,) the return that it expects.
        kl: (B,) its distance from the prior, in nats a step.
        value: (B,) return less beta times the sum of the distances: nothing is higher.
    """

    returns: Floats
    kl: Floats
    value: Floats


def soft_optimum(
    task: Task,
    reward: Reward,
    episodes: Episodes,
    prior: MarkovTable,
    beta: float,
    weights: Weights = None,
) -> SoftOptimum:
    r"""Return what the soft optimum earns, and how far it is from the prior; nothing is sampled.

    .. math:: V_t(s) = \beta \log \sum_e p_0(e \mid s)
        \exp \frac{r(s, e) + \mathbb{E}\, V_{t+1}(s')}{\beta}, \quad
        \pi(e \mid s) \propto p_0(e \mid s) \exp \frac{r(s, e) + \mathbb{E}\, V_{t+1}(s')}{\beta}

    The prior gives a hold in silence no probability, as in a rollout.

    Args:
        task: what fixes the episodes.
        reward: its rules.
        episodes: B of them.
        prior: the policy that is stayed near to.
        beta: the price of a nat; large stays with the prior, small goes to the exact optimum.
        weights: of the reward's terms, by name or (K,); those of the reward by default.

    Raises:
        NotFiniteMemory: a sequence term has a weight.
        ValueError: beta is not above 0, or the weights do not fit the reward.
    """
    model = model_of(task, reward, episodes, weights, read=("pitch",))
    return _evaluate(model, Prior(prior, model), beta)


def beta_at(
    task: Task,
    reward: Reward,
    episodes: Episodes,
    prior: MarkovTable,
    kl: float,
    weights: Weights = None,
) -> float:
    """Return the beta whose soft optimum is `kl` nats a step from the prior, mean over episodes.

    Arguments are those of `soft_optimum`, which is computed about ten times: a few dozen episodes
    are enough.

    Raises:
        ValueError: no beta from 1e-4 to 1e6 leads there.
    """
    from scipy.optimize import brentq

    model = model_of(task, reward, episodes, weights, read=("pitch",))
    log_prior = Prior(prior, model)

    def excess(log_beta: float) -> float:
        return float(_evaluate(model, log_prior, math.exp(log_beta)).kl.mean()) - kl

    low = high = 0.0  # beta 1; the distance falls as beta rises
    while excess(low) < 0:
        low -= 1.5
        if low < math.log(_LEAST):
            raise ValueError(f"kl: {kl!r} nats a step is farther from the prior than the optimum.")
    while excess(high) > 0:
        high += 1.5
        if high > math.log(_MOST):
            raise ValueError(f"kl: {kl!r} nats a step is too near to the prior, or not above 0.")
    if low == high:
        return 1.0
    low, high = (low, low + 1.5) if low < 0 else (high - 1.5, high)
    return math.exp(brentq(excess, low, high, xtol=1e-5))


class Prior:
    """The log-probabilities of a Markov table in the states of a model, kept for each position."""

    def __init__(self, prior: MarkovTable, model: Model) -> None:
        """Start with none."""
        self.prior, self.model = prior, model
        self.kept: dict[int, Floats] = {}

    def __call__(self, t: int) -> Floats:
        """Return log-probabilities (E, S) at a step, without the median tone."""
        position = t % self.model.c.steps_per_bar
        if position not in self.kept:
            seen = torch.from_numpy(self.model.observed(t))
            self.kept[position] = np.ascontiguousarray(log_prior(self.prior, seen).T)
        return self.kept[position]


def log_prior(prior: MarkovTable, observation: Tensor) -> Floats:
    """Return the log-probabilities (N, A) of a prior, a hold in silence ruled out."""
    logits, _ = prior(observation.cpu())
    logits = masked(logits.double(), observation.cpu(), prior.columns["ringing"])
    found: Floats = logits.log_softmax(-1).numpy()
    return found


def soft(log_prior: Callable[[int], Floats], beta: float) -> Backup:
    """Return the backup of soft values and of the nats to come (2, S)."""
    if not (beta > 0 and math.isfinite(beta)):
        raise ValueError(f"beta: {beta!r} is not a finite number above 0.")

    def backup(table: Table, ahead: Floats, t: int) -> Floats:
        prior = log_prior(t)[:, None]  # (E, 1, S')
        worth = ahead[0].take(table.to)  # (E, S)
        worth += table.reward[0]
        worth /= beta
        exponent = worth.reshape(len(prior), -1, prior.shape[-1]) + prior
        exponent = exponent.reshape(worth.shape)
        top = exponent.max(0)
        exponent -= top
        share = np.exp(np.maximum(exponent, -600, out=exponent), out=exponent)  # less is slow
        total = share.sum(0)
        value = np.log(total) + top
        worth += ahead[1].take(table.to)
        worth *= share
        nats = worth.sum(0) / total - value
        return np.stack([beta * value, nats])

    return backup


def _evaluate(model: Model, log_prior: Prior, beta: float) -> SoftOptimum:
    value, nats = model.sweep([0, 0], soft(log_prior, beta)).T
    return SoftOptimum(value + beta * nats, nats / (model.c.steps - model.start), value)


class SoftPlanner(Planner):
    """Plays the soft optimum: its logits are those of the exact policy.

    Args:
        task: the environment's.
        reward: the environment's.
        prior: the policy that is stayed near to.
        beta: the price of a nat (see `beta_at`).
        weights: of the reward's terms, by name or (K,); those of the reward by default.
    """

    def __init__(
        self,
        task: Task,
        reward: Reward,
        prior: MarkovTable,
        beta: float,
        weights: Weights = None,
    ) -> None:
        """Keep what fixes the plan."""
        super().__init__(task, reward, weights)
        self.prior, self.beta = prior, beta

    def plan(self, episodes: Episodes) -> tuple[Model, list[list[Floats]]]:
        """Return the model, and the soft values after each step."""
        model = model_of(self.task, self.reward, episodes, self.weights, read=("pitch",))
        kept: list[list[Floats]] = [[] for _ in range(self.task.steps)]
        backup = soft(Prior(self.prior, model), self.beta)
        model.sweep([0, 0], backup, lambda t, u, ahead: kept[t].append(ahead[:1].copy()))
        return model, kept

    def judge(self, reward: Floats, ahead: Floats, observation: Tensor) -> Floats:
        """Return the log-probabilities of the prior and what is to gain over beta."""
        worth = (reward + ahead[0]) / self.beta
        logits = worth + log_prior(self.prior, observation).T
        shifted: Floats = np.maximum(logits - logits.max(0), -1e9)  # softmax cannot tell
        return shifted
