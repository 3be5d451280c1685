"""Whole-episode rollouts: a policy plays a vector environment from start to end."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.options import read_options
from musicgym.reward import PolicyTerm
from musicgym.vector_env import MelodyComposeVectorEnv

from .configs import Sampling
from .melody_lstm import MelodyLSTM, Player
from .policy import Policy, chances, masked, ringing_column, sample
from .threads import few_threads

__all__ = ["Rollout", "play"]


class Rollout(NamedTuple):
    """B whole episodes of T steps, on the policy's device.

    Attributes:
        observation: uint8 (B, T, F), before each step.
        events: int64 (B, T).
        rewards: float32 (B, T).
        terms: float64 (B, T, K), raw values in the order of the environment's reward.
        episodes: what was fixed in the episodes.
        logits: float32 (B, T, A) that the events were drawn from, the mask applied; kept only for
            learning.
        values: float32 (B, T), the player's own estimates, or None.
    """

    observation: Tensor
    events: Tensor
    rewards: Tensor
    terms: Tensor
    episodes: Episodes
    logits: Tensor | None = None
    values: Tensor | None = None


@few_threads()
@torch.no_grad()
def play(
    envs: MelodyComposeVectorEnv,
    policy: Policy,
    seed: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    options: dict[str, Any] | None = None,
    device: str | torch.device = "cpu",
    judge: bool = False,
    first: int = 0,
) -> Rollout:
    """Play one whole episode in each environment; all randomness comes from the seed.

    Melody i depends on the seed and i only, not on how many are played beside it. The environments
    give ``"compact"`` observations and do not reset by themselves. With an opening in the options
    the policy hears it, and its events and zero rewards stand first. Policy terms pay only if
    `judge`: in training, not in returns that are compared.

    Args:
        envs: where to play.
        policy: what plays; a `MelodyLSTM` is prepared first.
        seed: fixes the episodes and the events that are drawn.
        sampling: how events are drawn.
        options: of the reset.
        device: where the policy is.
        judge: let policy terms pay, and keep the logits and the player's values.
        first: the place of the first melody in a larger batch: the result is its rows
            ``first`` to ``first + B``.

    Raises:
        ValueError: the seed or an option is out of its range.
    """
    if min(seed, first) < 0 or seed + first >= 2**63:
        raise ValueError(f"seed: {seed!r} (first: {first!r}) is not from 0 to 2**63 - 1.")
    given = read_options(options, envs.task, envs.num_envs).events
    opening = np.zeros((1, 0), np.int64) if given is None else np.atleast_2d(given)
    rest = {k: v for k, v in (options or {}).items() if k != "events"}
    seen, _ = envs.reset(seed=seed + first, options=rest)
    steps, size, taught = envs.task.steps, envs.num_envs, opening.shape[-1]
    forced = np.broadcast_to(opening, (size, taught)).T  # (taught, B)
    judged = judge and any(isinstance(term, PolicyTerm) for _, term in envs.reward.others)
    ringing = ringing_column(envs.task)
    episodes = envs.episodes()
    chance = chances(torch.as_tensor(episodes.key).to(device), seed, steps)  # (T, B)
    player = policy.prepared() if isinstance(policy, MelodyLSTM) else policy
    state = player.initial_state(episodes)
    # Time first, so that each step writes neighbours.
    observation = torch.empty((steps, size, seen.shape[1]), dtype=torch.uint8, device=device)
    events = torch.empty((steps, size), dtype=torch.int64, device=device)
    rewards = np.zeros((steps, size), np.float32)
    terms = np.zeros((steps, size, len(envs.reward.names)))
    all_logits = torch.empty((steps, size, envs.task.n_events), device=device) if judge else None
    all_values: list[Tensor] = []
    for t in range(steps):
        observation[t] = torch.from_numpy(seen)
        now = observation[t]
        if isinstance(player, Player):
            logits, values, state = player.step(now, state)
            all_values += [] if values is None else [values]
        else:
            logits, state = player(now, state)
        logits = masked(logits, now, ringing)
        if all_logits is not None:
            all_logits[t] = logits
        if t < taught:
            played = torch.tensor(forced[t], device=device)
        else:
            played = sample(logits, sampling, chance[t])
        if judged and t >= taught:
            envs.observe_policy(logits.double().softmax(-1).cpu().numpy())
        seen, reward, *_ = envs.step(played.cpu().numpy())
        events[t] = torch.from_numpy(envs.played)
        if t >= taught:
            rewards[t], terms[t] = reward, envs.raw
    return Rollout(
        observation.transpose(0, 1),
        events.T,
        torch.from_numpy(rewards).to(device).T,
        torch.from_numpy(terms).to(device).transpose(0, 1),
        episodes,
        None if all_logits is None else all_logits.transpose(0, 1),
        torch.stack(all_values).T if all_values else None,
    )
