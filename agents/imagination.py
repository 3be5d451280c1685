"""Playing a policy in given episodes, without an environment: what planning by sampling needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.backends.arrays import write_observation
from musicgym.dynamics import Episodes, State
from musicgym.observation import layout
from musicgym.replay import begin, walk
from musicgym.reward import Reward
from musicgym.task import Task

from .configs import Sampling
from .policy import Policy, begin_play, chances, ready, ringing_column
from .rollout import Manner, choose
from .threads import few_threads

__all__ = ["Imagined", "imagine"]


class Imagined(NamedTuple):
    """N whole melodies of T steps.

    Attributes:
        events: int64 (N, T), an invalid one as the rest that it counts as.
        paid: float64 (N, K), the raw values of the reward's terms summed over the melody; policy
            terms pay 0.
        logits: float32 (N, T, A) that the events were drawn from, the mask applied, or None.
    """

    events: npt.NDArray[np.int64]
    paid: npt.NDArray[np.float64]
    logits: Tensor | None = None

    def returns(self, reward: Reward) -> npt.NDArray[np.float64]:
        """Return the weighted sums (N,) of what was paid."""
        total: npt.NDArray[np.float64] = (self.paid * reward.weights).sum(-1)
        return total


@few_threads()
@torch.no_grad()
def imagine(
    policy: Policy,
    episodes: Episodes,
    task: Task,
    reward: Reward,
    seed: int = 0,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    steps_per_chord: int | None = None,
    chance: Tensor | None = None,
    keep: bool = False,
    device: str | torch.device = "cpu",
    latent: Tensor | None = None,
    opening: npt.NDArray[np.int64] | None = None,
) -> Imagined:
    """Play one melody in each of N given episodes, as `rollout.play` does in an environment.

    The draws of an episode (its median tones) are those of its key; the events are drawn as a play
    with this seed would draw them.

    Args:
        policy: what plays; it is prepared first, where it can be.
        episodes: what is fixed, from an environment or `musicgym.replay.episodes_of`.
        task: of the episodes.
        reward: what is paid; its readings are observed.
        seed: fixes the events that are drawn.
        sampling: how events are drawn.
        steps_per_chord: grid slots a chord, the task's by default (see `musicgym.replay.begin`).
        chance: int64 (T, N) 32-bit draws that pick the events, in place of the seed's.
        keep: whether to keep the logits.
        device: where the policy is.
        latent: (N, L) what a `LatentPolicy` plays under, in place of what it would draw.
        opening: (N, t) events that are given and not paid; the policy hears them.

    Raises:
        ValueError: the episodes are not of the task's length.

    >>> from musicgym.reward import load
    >>> from musicgym.agents.heuristics import HeldTonic
    >>> task = Task(bars=1, progression="I")
    >>> one, line = np.zeros(1, np.int64), np.zeros((1, 8), np.int64)
    >>> in_c = Episodes(one, one, roots=line, codes=line + 1, masks=line + 0b10010001, key=one)
    >>> made = imagine(HeldTonic(task), in_c, task, load({"final_tonic": 1.0}, task.steps))
    >>> made.events.tolist(), made.paid.tolist()
    ([[26, 0, 0, 0, 0, 0, 0, 0]], [[0.8]])
    """
    device, sizes = torch.device(device), layout(task)
    manner = Manner(sampling, ringing_column(task), keep, judged=False)
    player = ready(policy)
    if episodes.masks.shape[1] != task.steps:
        raise ValueError(
            f"episodes: they have {episodes.masks.shape[1]} steps and the task {task.steps}."
        )
    c, start = begin(episodes, task, reward.readings, steps_per_chord)
    n = len(start.key)
    if chance is None:
        chance = chances(torch.from_numpy(start.key), seed, task.steps)
    chance = chance.to(device)
    seen, every = np.empty((n, len(sizes)), np.uint8), np.arange(n)
    carried, _ = begin_play(player, episodes, chance[0], latent)
    kept: list[Tensor] = []
    given = 0 if opening is None else opening.shape[1]

    def act(t: int, state: State) -> npt.NDArray[np.int64]:
        nonlocal carried
        write_observation(c, state, sizes, False, seen, every)
        now = torch.from_numpy(seen).to(device)
        logits, _, events, carried = choose(manner, player, now, carried, chance[t])
        if keep:
            kept.append(logits)
        drawn: npt.NDArray[np.int64] = events.cpu().numpy()
        return drawn if opening is None or t >= given else opening[:, t]

    events, paid = walk(c, start, act, task.steps, reward, episodes, task)
    return Imagined(events, paid[:, given:].sum(1), torch.stack(kept, 1) if keep else None)
