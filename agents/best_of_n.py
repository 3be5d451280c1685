"""Best of N: draw many melodies from a policy and keep the one that the reward likes best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.reward import PolicyTerm, Reward
from musicgym.task import Task

from .heuristics import SURE
from .imagination import Imagined, imagine
from .learning import Report
from .melody_lstm import MelodyLSTM
from .policy import Policy, chances, ready
from .search_curve import at_kl, curve, kl_bound, mixture

__all__ = [
    "Best",
    "BestOfN",
    "Drawn",
    "at_kl",
    "curve",
    "draws",
    "kl_bound",
    "mixture",
    "pool",
]

#: Melodies that are drawn at once: enough to fill a core, and some 50 MB at 64 steps.
AT_ONCE = 2048
#: From so many melodies on, compiled loops are worth their second of loading.
MANY = 8192

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Drawn(NamedTuple):
    """N melodies of a larger number of draws.

    Attributes:
        episode: (N,) the episode of each melody.
        draw: (N,) which draw in that episode it is.
        made: the melodies.
        returns: (N,) the weighted sums of what they are paid, policy terms left out.
    """

    episode: Ints
    draw: Ints
    made: Imagined
    returns: Floats


def draws(
    policy: Policy,
    task: Task,
    reward: Reward,
    episodes: Episodes,
    count: int,
    seed: int = 0,
    at_once: int = AT_ONCE,
    opening: Ints | None = None,
    **how: Any,
) -> Iterator[Drawn]:
    """Draw `count` melodies in each of B episodes, draw by draw, a few at once.

    Draw r is the play with the seed ``seed + r * 2**32``, so draw 0 is what `imagine` plays. What
    an episode itself draws (its median tones) is the same in all of them.

    Args:
        policy: what plays; the melodies are its own, one by one.
        task: of the episodes.
        reward: what pays.
        episodes: what is fixed in the B episodes.
        count: melodies an episode.
        seed: fixes the melodies.
        at_once: melodies played in one batch: it bounds the memory and changes nothing else.
        opening: (B, t) events that each melody of an episode begins with, unpaid.
        how: `sampling`, `steps_per_chord` or `device` of `imagine`.
    """
    if count < 1:
        raise ValueError(f"count: {count!r} is not 1 or more.")
    paying = Reward(
        tuple(t for t in reward.terms if t.weight and not isinstance(t.pays, PolicyTerm)),
        reward.readings,
    )
    fixed = Episodes(*(torch.as_tensor(part).cpu().numpy() for part in episodes))
    key, size = torch.from_numpy(fixed.key.astype(np.int64)), len(fixed.key)
    player = ready(policy)
    if isinstance(policy, MelodyLSTM):
        player.compiled = policy.head.weight.device.type == "cpu" and count * size >= MANY
    for first in range(0, count * size, at_once):
        draw, episode = np.divmod(np.arange(first, min(first + at_once, count * size)), size)
        seeds = torch.from_numpy(draw << 32) + seed
        chance = chances(key[torch.from_numpy(episode)], seeds, fixed.masks.shape[1])
        some = Episodes(*(part[episode] for part in fixed))
        first_events = None if opening is None else opening[episode]
        made = imagine(
            player, some, task, paying, chance=chance, opening=first_events, **how
        )  # fmt: skip
        returns = made.returns(paying)
        if not np.isfinite(returns).all():
            raise ValueError("rewards: a melody's return is not a finite number.")
        yield Drawn(episode, draw, made, returns)


def pool(
    policy: Policy,
    task: Task,
    reward: Reward,
    episodes: Episodes,
    count: int,
    seed: int = 0,
    report: Report = lambda _: None,
    hear: Callable[[Drawn], None] = lambda _: None,
    **how: Any,
) -> Floats:
    """Return the returns (B, M) of `count` melodies of a policy in each episode.

    Args:
        policy: what plays.
        task: of the episodes.
        reward: what pays, policy terms left out.
        episodes: what is fixed in the B episodes.
        count: melodies an episode (M).
        seed: fixes the melodies.
        report: called with ``{"melodies": ...}``, how many are done, out of B * M.
        hear: called with the melodies themselves, some at a time.
        how: of `draws`.
    """
    returns = np.empty((len(episodes.key), count))
    done = 0
    for drawn in draws(policy, task, reward, episodes, count, seed, **how):
        returns[drawn.episode, drawn.draw] = drawn.returns
        hear(drawn)
        done += len(drawn.draw)
        report({"melodies": done})
    return returns


class Best:
    """The best of the first n draws in each of B episodes, of equals the first.

    Attributes:
        events: (B, T) the best melodies so far.
        returns: (B,) their returns, -inf before there is one.
    """

    def __init__(self, n: int, size: int, steps: int) -> None:
        """Start with no melody; draws from number n on are passed over."""
        self.n = n
        self.events, self.returns = np.zeros((size, steps), np.int64), np.full(size, -np.inf)

    def hear(self, drawn: Drawn) -> None:
        """Keep what is better of the draws that come next."""
        few = np.flatnonzero(drawn.draw < self.n)
        # Highest return last, of equals the first draw last: it is the one that stays.
        order = few[np.lexsort((-drawn.draw[few], drawn.returns[few]))]
        winner = np.full(len(self.returns), -1)
        winner[drawn.episode[order]] = order
        met = np.flatnonzero(winner >= 0)
        better = met[drawn.returns[winner[met]] > self.returns[met]]
        self.returns[better] = drawn.returns[winner[better]]
        self.events[better] = drawn.made.events[winner[better]]


class BestOfN:
    """A policy that draws n melodies of another at the start and plays the best of them.

    The best is the one of the highest return, policy terms left out; of equals the first. Where the
    reward draws median tones (``median="random"``) they are the episode's own, which no policy
    sees before they are due: there it is clairvoyant. It does not know of weights changed at a
    reset, nor of an opening but by `opening`.

    Reference: best-of-n or rejection sampling, Stiennon et al. 2020 (arXiv 2009.01325).
    """

    def __init__(
        self,
        policy: Policy,
        task: Task,
        reward: Reward,
        n: int,
        seed: int = 0,
        opening: Callable[[Episodes], Ints] | None = None,
        **how: Any,
    ) -> None:
        """Keep what draws and what scores.

        Args:
            policy: what draws.
            task: of the episodes it will play.
            reward: what scores, from `musicgym.reward.load`.
            n: melodies drawn an episode.
            seed: fixes them.
            opening: gives the events (B, t) that its episodes begin with.
            how: of `draws`.
        """
        if n < 1:
            raise ValueError(f"n: {n!r} is not 1 or more.")
        self.policy, self.task, self.reward, self.n = policy, task, reward, n
        self.seed, self.opening, self.how = seed, opening, how

    def plan(self, episodes: Episodes) -> tuple[Ints, Floats]:
        """Return the best events (B, T) and their returns (B,)."""
        best = Best(self.n, *episodes.masks.shape)
        first = self.opening and self.opening(episodes)
        for drawn in draws(
            self.policy, self.task, self.reward, episodes, self.n, self.seed, opening=first,
            **self.how,
        ):  # fmt: skip
            best.hear(drawn)
        return best.events, best.returns

    def initial_state(self, episodes: Episodes) -> tuple[Tensor, int]:
        """Draw and choose; return the events (B, T) to play and the step."""
        return torch.from_numpy(self.plan(episodes)[0]), 0

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the chosen event of each episode as a certainty."""
        events, step = state
        now = events[:, step].to(observation.device)
        certain = torch.nn.functional.one_hot(now, self.task.n_events).float() * SURE
        return certain, (events, step + 1)
