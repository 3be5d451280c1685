"""The exact optimum: backward induction over the states of an episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.observation import layout
from musicgym.replay import begin
from musicgym.reward import Reward
from musicgym.task import Task

from .planning_tables import NEVER, Floats, Model, NotFiniteMemory, Table, model_of

__all__ = [
    "ExactPlanner",
    "NotFiniteMemory",
    "Plan",
    "clairvoyant",
    "conflicts",
    "plan",
    "single_rule_maxima",
]

Weights = Mapping[str, float] | npt.ArrayLike | None
Report = Callable[[dict[str, Any]], None]

TIE = 1e-9  # returns that differ by less are equal
LARGE = 1e200  # counts above are kept as a share of the largest


@dataclass(frozen=True, eq=False)
class Plan:
    """The exact optimum of B episodes.

    Attributes:
        value: (B,) the best return, in expectation over the draws to come.
        count: (B,) how many melodies have it, within 1e-9; NaN where draws to come matter, and
            infinite above 1e308.
    """

    value: Floats
    count: Floats


def plan(
    task: Task,
    reward: Reward,
    episodes: Episodes,
    weights: Weights = None,
    steps_per_chord: int | None = None,
    report: Report = lambda _: None,
    opening: npt.NDArray[np.int64] | None = None,
) -> Plan:
    r"""Return the best return that any policy can expect in each episode.

    .. math:: V_t(s) = \max_e \; r(s, e) + \mathbb{E}\, V_{t+1}(s'), \quad V_T = 0

    The states and what an event pays are those of the environment: its own text is run. Policy
    terms are left out, as they pay in training only.

    Args:
        task: what fixes the episodes.
        reward: its rules.
        episodes: B of them, as an environment or `musicgym.replay.episodes_of` gives them.
        weights: of the reward's terms, by name or (K,); those of the reward by default.
        steps_per_chord: grid slots a chord; any that fits the chords gives the same.
        report: hears ``{"steps": done}`` after each step, counted from the end.
        opening: (B, t) events that are given: the return is that of what follows them.

    Raises:
        NotFiniteMemory: a sequence term has a weight.
        ValueError: the weights do not fit the reward, or the opening the episodes.

    >>> import gymnasium as gym
    >>> envs = gym.make_vec("MelodyCompose-v0", num_envs=1, bars=4, backend="arrays")
    >>> _ = envs.reset(seed=1)
    >>> plan(envs.task, envs.reward, envs.episodes()).value.round(2)
    array([32.7])
    """
    model = model_of(task, reward, episodes, weights, steps_per_chord, opening)
    value, count, scale = model.sweep([0, 1, 0], best, report=report).T
    with np.errstate(over="ignore"):
        count = count * np.exp(scale)
    return Plan(value, np.where(model.drawn[model.which], np.nan, count))


def clairvoyant(
    task: Task,
    reward: Reward,
    episodes: Episodes,
    weights: Weights = None,
    steps_per_chord: int | None = None,
) -> Floats:
    """Return the best returns (B,) of who knows each episode's draws to come: an upper bound."""
    model = model_of(task, reward, episodes, weights, steps_per_chord, known=True)
    return model.sweep([0], highest)[:, 0]


def single_rule_maxima(
    task: Task, reward: Reward, episodes: Episodes, steps_per_chord: int | None = None
) -> tuple[Floats, Floats]:
    """Return the least and the most (B, K) that each rule alone can pay, with weight 1."""
    c, state = begin(episodes, task, reward.readings, steps_per_chord or 1)
    found = np.empty((2, len(state.row), len(reward.rules)))
    for i, sign in enumerate((-1.0, 1.0)):
        for k, rule in enumerate(reward.rules):
            found[i, :, k] = sign * Model(c, state, [rule], [[sign]]).sweep([0], highest)[:, 0]
    return found[0], found[1]


def conflicts(
    task: Task, reward: Reward, episodes: Episodes, steps_per_chord: int | None = None
) -> Floats:
    r"""Return how much of a rule must be given up where another one is made optimal first: (K, K).

    .. math:: C_{ij} = \frac{\max_j - \max_{j \mid i}}{\max_j - \min_j}

    Row i comes first, and rule j gets the most that the melodies allow that are best for i. 0 means
    that both can be had, 1 that nothing of j is left; mean over the episodes, NaN where rule j
    cannot vary in any of them. The rules count alone, without their weights.
    """
    c, state = begin(episodes, task, reward.readings, steps_per_chord or 1)
    least, most = single_rule_maxima(task, reward, episodes, steps_per_chord)
    span = np.where(most - least > TIE, most - least, np.nan)  # (B, K)
    size = len(reward.rules)
    given_up = np.zeros((size, size))
    for i, first in enumerate(reward.rules):
        for j, second in enumerate(reward.rules):
            share = np.zeros(len(span))
            if i != j:
                model = Model(c, state, [first, second], np.eye(2))
                share = most[:, j] - model.sweep([0, 0], first_then_second)[:, 1]
            share = (share / span[:, j])[~np.isnan(span[:, j])]
            given_up[i, j] = share.mean() if len(share) else np.nan
    return given_up


def highest(table: Table, ahead: Floats, t: int) -> Floats:
    """Return the best value of each state (1, S)."""
    worth = ahead[0].take(table.to)  # (E, S)
    worth += table.reward[0]
    most: Floats = worth.max(0)
    return most[None]


def best(table: Table, ahead: Floats, t: int) -> Floats:
    """Return the best value of each state, and how many ways lead to it: (3, S).

    The number is the second row times e to the third, which is the same for all states.
    """
    value, count, scale = ahead
    worth = value.take(table.to)  # (E, S)
    worth += table.reward[0]
    most = worth.max(0)
    ways = (count.take(table.to) * (worth >= most - TIE)).sum(0)
    top = ways.max()
    if top > LARGE:
        ways, scale = ways / top, scale + np.log(top)
    return np.stack([most, ways, np.broadcast_to(scale[:1], most.shape)])


def first_then_second(table: Table, ahead: Floats, t: int) -> Floats:
    """Return the best value of a first reward and, of the ways to it, that of a second: (2, S)."""
    worth = ahead.take(table.to, axis=1)  # (2, E, S)
    worth += table.reward
    most = worth[0].max(0)
    return np.stack([most, np.where(worth[0] >= most - TIE, worth[1], NEVER).max(0)])


class Planner:
    """A policy that has planned its episodes to the end before it plays them."""

    def __init__(self, task: Task, reward: Reward, weights: Weights = None) -> None:
        """Keep what fixes the plan."""
        self.task, self.reward, self.weights = task, reward, weights
        self.columns = {part: j for j, part in enumerate(layout(task))}

    def plan(self, episodes: Episodes) -> tuple[Model, list[list[Floats]]]:
        """Return the model, and what comes after each step (T, U), figures (X, S) each."""
        raise NotImplementedError

    def judge(self, reward: Floats, ahead: Floats, observation: Tensor) -> Floats:
        """Return logits (E, B) from rewards (E, B) and figures (X, E, B) of what comes after."""
        raise NotImplementedError

    def initial_state(self, episodes: Episodes) -> Any:
        """Plan the episodes; return the plan and the step."""
        given = Episodes(*(p.cpu().numpy() if isinstance(p, Tensor) else p for p in episodes))
        return *self.plan(given), 0

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return logits (B, A), float32."""
        model, kept, step = state
        seen = observation.cpu().numpy().astype(np.int64)
        parts = {name: seen[:, j] for name, j in self.columns.items()}
        reward, to = model.seen(parts, step, model.which)  # (1, E, B), (E, B)
        ahead = np.empty((len(kept[step][0]), *to.shape))
        for b, u in enumerate(model.which):
            ahead[:, :, b] = kept[step][u][:, to[:, b]]
        logits = self.judge(reward[0], ahead, observation).T.astype(np.float32)
        return torch.from_numpy(logits).to(observation.device), (model, kept, step + 1)


class ExactPlanner(Planner):
    """Plays optimally: each optimal melody with the same probability.

    It goes on optimally from an opening that is given, too. Where draws to come matter it draws
    evenly among the optimal events. It plans all episodes when
    they begin, each distinct one once, and keeps about 15 kB a step of each: 1 MB for 8 bars of
    eighths, 30 MB for 128 bars of sixteenths.

    Args:
        task: the environment's.
        reward: the environment's.
        weights: of the reward's terms, by name or (K,); those of the reward by default.
    """

    def plan(self, episodes: Episodes) -> tuple[Model, list[list[Floats]]]:
        """Return the model, and value and number of ways after each step."""
        model = model_of(self.task, self.reward, episodes, self.weights)
        kept: list[list[Floats]] = [[] for _ in range(self.task.steps)]
        model.sweep([0, 1, 0], best, lambda t, u, ahead: kept[t].append(ahead[:2].copy()))
        for u in np.flatnonzero(model.drawn):
            for step in kept:
                step[u][1] = 1
        return model, kept

    def judge(self, reward: Floats, ahead: Floats, observation: Tensor) -> Floats:
        """Return the log of the number of ways on after optimal events, -1e9 after others."""
        worth = reward + ahead[0]
        ways = np.log(np.maximum(ahead[1], 1e-300))
        return np.where(worth >= worth.max(0) - TIE, ways, -1e9)
