"""RL Tuner: how likely a pretrained policy finds each event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from musicgym.dynamics import Constants, Episodes
from musicgym.learned import Learned
from musicgym.select import Array
from musicgym.task import Task


@dataclass
class PriorLogLikelihood(Learned):
    r"""Pays at every step the log-probability that a frozen policy gives to the event, in nats.

    .. math:: \log p_0(a_t | s_t)

    s_t is what the environment would show as ``"compact"`` observation before the step. A hold
    where nothing sounds is ruled out, as in a rollout; it is heard as the rest that it counts as.

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796), which weighs it by 1 and the rules
    by 1/c. Range: up to 0. Speaks at every step, the first included; rests and holds are events as
    any other. A generator plays under z = 0, the middle of its prior, without which a melody would
    not always earn the same: that is not the likelihood over all z, which `elbo` estimates. The
    range, grid and meter must be those of the checkpoint, in C major or A minor, or moved with the
    key.

    Args:
        scorer: the checkpoint of any agent: what it learned from its corpus (its prior), or its
            actor if it never did; or any `musicgym.learned.StepScorer`.
        loader: reads it.
        attributes: what is asked of a generator, such as ``{"emotion": "sad"}``; for a path only.

    >>> import numpy as np
    >>> class Coin:
    ...     def begin(self, c, episodes, which, memory):
    ...         return None
    ...     def hear(self, memory, events):
    ...         return memory, np.where(events == 0, -0.7, -2.0)
    >>> from musicgym.env import MelodyComposeEnv
    >>> rewards = {"prior_log_likelihood": {"scorer": Coin(), "weight": 0.5}}
    >>> env = MelodyComposeEnv(bars=1, progression="I", rewards=rewards)
    >>> observation, info = env.reset(seed=1)
    >>> [env.step(event)[1] for event in (26, 0, 0, 1)]
    [-1.0, -0.35, -0.35, -1.0]
    """

    attributes: Mapping[str, str] | None = None

    name: ClassVar[str] = "prior_log_likelihood"
    words: ClassVar[tuple[str, ...]] = ("attributes",)
    _memory: Any = field(default=None, init=False, repr=False, compare=False)
    _c: Constants | None = field(default=None, init=False, repr=False, compare=False)

    def meet(self, task: Task, c: Constants) -> None:
        """Keep how the melodies are read."""
        super().meet(task, c)
        self._c = c

    def begin(self, episodes: Episodes, which: Array) -> None:
        """Start the melodies where the mask `which` bool (B,) holds."""
        if self._c is None:
            raise ValueError("rewards: PriorLogLikelihood has not met a task: call meet first.")
        self._memory = self.judge.begin(self._c, episodes, which, self._memory)

    def pay(self, events: Array) -> Array:
        """Return log-probabilities (B,) of the events int64 (B,) of a step; -1: none is played."""
        self._memory, value = self.judge.hear(self._memory, events)
        return value
