"""Whole-episode rollouts: a policy plays a vector environment from start to end."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicgym.backends.tensor import CAPTURES, Played
from musicgym.dynamics import Episodes, State
from musicgym.options import read_options
from musicgym.reward import PolicyTerm
from musicgym.tensor_env import Begun, MelodyComposeTensorEnv
from musicgym.vector_env import MelodyComposeVectorEnv

from .configs import Sampling
from .melody_lstm import LSTMState, Player
from .policy import Policy, ValuedPolicy, begin_play, chances, masked, ready, ringing_column, sample
from .threads import few_threads

__all__ = ["Captured", "Rollout", "play"]


class Rollout(NamedTuple):
    """B whole episodes of T steps, on the policy's device.

    Attributes:
        observation: uint8 (B, T, F), before each step.
        events: int64 (B, T).
        rewards: float32 (B, T).
        terms: float (B, T, K), raw values in the order of the environment's reward.
        episodes: what was fixed in the episodes.
        logits: float32 (B, T, A) that the events were drawn from, the mask applied, at temperature
            1; None where they are not kept.
        values: float32 (B, T), the player's own estimates, or None.
        latent: float32 (B, L), what a `LatentPolicy` played under, or None.
    """

    observation: Tensor
    events: Tensor
    rewards: Tensor
    terms: Tensor
    episodes: Episodes
    logits: Tensor | None = None
    values: Tensor | None = None
    latent: Tensor | None = None


class Steps(NamedTuple):
    """What is kept of the steps, time first: (T, B, ...), the fields of `Rollout`."""

    observation: Tensor
    events: Tensor
    rewards: Tensor
    terms: Tensor
    logits: Tensor | None
    values: Tensor | None


class Manner(NamedTuple):
    """How a rollout is played.

    Attributes:
        sampling: how events are drawn.
        ringing: the column of the observation that says whether a note rings.
        keep: whether logits and values are kept.
        judged: whether the policy terms hear the probabilities.
    """

    sampling: Sampling
    ringing: int
    keep: bool
    judged: bool


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
    captured: Captured | None = None,
    keep: bool = False,
    latent: Tensor | None = None,
) -> Rollout:
    """Play one whole episode in each environment; all randomness comes from the seed.

    Melody i depends on the seed and i only, not on how many are played beside it. The environments
    give ``"compact"`` observations and do not reset by themselves. With an opening in the options
    the policy hears it, and its events and zero rewards stand first. Policy terms pay only if
    `judge`: in training, not in returns that are compared. On a tensor environment nothing leaves
    the device.

    Args:
        envs: where to play.
        policy: what plays; it is prepared first, where it can be.
        seed: fixes the episodes and the events that are drawn.
        sampling: how events are drawn.
        options: of the reset.
        device: where the policy is.
        judge: let policy terms pay, and keep the logits and the player's values.
        keep: keep them although no policy term pays.
        latent: (B, L) what a `LatentPolicy` plays under, in place of what it would draw.
        first: the place of the first melody in a larger batch: the result is its rows
            ``first`` to ``first + B``.
        captured: keeps the CUDA graph of a rollout from one call to the next. What it returns
            stays as it is until the next call.

    Raises:
        ValueError: the seed or an option is out of its range.
    """
    if min(seed, first) < 0 or seed + first >= 2**63:
        raise ValueError(f"seed: {seed!r} (first: {first!r}) is not from 0 to 2**63 - 1.")
    given = read_options(options, envs.task, envs.num_envs).events
    opening = np.zeros((1, 0), np.int64) if given is None else np.atleast_2d(given)
    rest = {k: v for k, v in (options or {}).items() if k != "events"}
    forced = np.broadcast_to(opening, (envs.num_envs, opening.shape[-1])).T  # (taught, B)
    judged = judge and any(isinstance(term, PolicyTerm) for _, term in envs.reward.others)
    manner = Manner(sampling, ringing_column(envs.task), judge or keep, judged)
    player = ready(policy)
    device = torch.device(device)
    if isinstance(envs, MelodyComposeTensorEnv):
        reset = envs.begin(seed + first, rest)
        episodes = envs.episodes()
        chance = chances(episodes.key, seed, envs.task.steps)
        start, latent = begin_play(player, episodes, chance[0], latent)
        taught = torch.from_numpy(forced.copy()).to(device)
        if captured is not None and isinstance(player, Player) and not len(taught):
            steps, state, seen = captured.play(envs, manner, player, reset, chance, start)
        else:
            steps, state, seen = play_tensors(
                envs.stepper, manner, player, reset, chance, start, taught
            )
        rewards, terms = envs.put(state, seen, steps.events, steps.rewards, steps.terms)
        steps = steps._replace(rewards=rewards, terms=terms)
    else:
        seen, _ = envs.reset(seed=seed + first, options=rest)
        episodes = envs.episodes()
        chance = chances(torch.from_numpy(episodes.key).to(device), seed, envs.task.steps)
        start, latent = begin_play(player, episodes, chance[0], latent)
        steps = play_arrays(envs, manner, player, seen, chance, start, forced)
    heard = len(forced)
    steps.rewards[:heard], steps.terms[:heard] = 0, 0
    return Rollout(
        steps.observation.transpose(0, 1),
        steps.events.T,
        steps.rewards.T,
        steps.terms.transpose(0, 1),
        episodes,
        None if steps.logits is None else steps.logits.transpose(0, 1),
        None if steps.values is None else steps.values.T,
        latent,
    )


def choose(
    manner: Manner, player: Policy, now: Tensor, state: Any, chance: Tensor
) -> tuple[Tensor, Tensor | None, Tensor, Any]:
    """Return the policy's logits (B, A), mask applied, its values (B,), its events, its state."""
    values: Tensor | None = None
    if isinstance(player, ValuedPolicy):
        logits, values, state = player.step(now, state)
    else:
        logits, state = player(now, state)
    logits = masked(logits, now, manner.ringing)
    return logits, values, sample(logits, manner.sampling, chance), state


def play_arrays(
    envs: MelodyComposeVectorEnv, manner: Manner, player: Policy, seen: Any, chance: Tensor,
    state: Any, forced: Any,
) -> Steps:  # fmt: skip
    """Play environments on NumPy from their start."""
    (steps, size), device = chance.shape, chance.device
    # Time first, so that each step writes neighbours.
    observation = torch.empty((steps, size, seen.shape[1]), dtype=torch.uint8, device=device)
    events = torch.empty((steps, size), dtype=torch.int64, device=device)
    rewards = np.zeros((steps, size), np.float32)
    terms = np.zeros((steps, size, len(envs.reward.names)))
    kept: list[Tensor] = []
    estimates: list[Tensor] = []
    for t in range(steps):
        observation[t] = torch.from_numpy(seen)
        logits, values, played, state = choose(manner, player, observation[t], state, chance[t])
        if manner.keep:
            kept.append(logits)
            estimates += [] if values is None else [values]
        if t < len(forced):
            played = torch.tensor(forced[t], device=device)
        elif manner.judged:
            envs.observe_policy(logits.double().softmax(-1).cpu().numpy())
        seen, reward, *_ = envs.step(played.cpu().numpy())
        events[t] = torch.from_numpy(envs.played)
        rewards[t], terms[t] = reward, envs.raw
    paid, raw = (torch.from_numpy(part).to(device) for part in (rewards, terms))
    return Steps(observation, events, paid, raw, _stacked(kept), _stacked(estimates))


def play_tensors(
    step: Callable[..., Played], manner: Manner, player: Policy, begun: Begun, chance: Tensor,
    carried: Any, forced: Tensor | None = None,
) -> tuple[Steps, State, Tensor]:  # fmt: skip
    """Play episodes on their device; a pure function of tensors.

    Returns:
        The steps, and the state and the observation at the end.
    """
    state, seen, weights = begun
    told: list[Played] = []
    heard, kept, estimates = [], [], []
    for t in range(len(chance)):
        heard.append(seen)
        logits, values, played, carried = choose(manner, player, seen, carried, chance[t])
        if manner.keep:
            kept.append(logits)
            estimates += [] if values is None else [values]
        probabilities = None
        if forced is not None and t < len(forced):
            played = forced[t]
        elif manner.judged:
            probabilities = logits.double().softmax(-1)
        out = step(state, played, weights, probabilities)
        told.append(out)
        state, seen = out.state, out.observation
    events, rewards, raw = (
        torch.stack([getattr(out, name) for out in told]) for name in ("event", "reward", "raw")
    )
    observation = torch.stack(heard)
    steps = Steps(observation, events.long(), rewards, raw, _stacked(kept), _stacked(estimates))
    return steps, state, seen


def _stacked(rows: list[Tensor]) -> Tensor | None:
    return torch.stack(rows) if rows else None


class Captured:
    """Whole rollouts of a tensor environment as one CUDA graph: policy, sampling, environment.

    Where that cannot be had the steps run as the environment's `execution` says, with a warning
    that says why.
    """

    def __init__(self) -> None:
        """Capture nothing yet."""
        self._kind: Any = None
        self._replay: Callable[[list[Tensor]], tuple[Steps, State, Tensor]] | None = None
        self._failed = False

    def play(
        self, envs: MelodyComposeTensorEnv, manner: Manner, player: Player, begun: Begun,
        chance: Tensor, carried: LSTMState,
    ) -> tuple[Steps, State, Tensor]:  # fmt: skip
        """Play (see `play_tensors`); the first call captures."""
        given = _changing(begun, chance, carried, player)
        kind = (envs.core.tables, manner, *((x.shape, x.dtype) for x in given))
        if kind != self._kind and not self._failed:
            try:
                self._replay = _capture(envs, manner, player, begun, chance, carried)
                self._kind = kind
            except Exception as error:  # whatever a driver or a compiler raises
                self._failed, self._replay = True, None
                text = " ".join(str(error).split())[:300]
                warnings.warn(f"a rollout runs step by step, not captured: {text}", stacklevel=4)
        if self._failed or self._replay is None:
            return play_tensors(envs.stepper, manner, player, begun, chance, carried)
        return self._replay(given)


def _changing(begun: Begun, chance: Tensor, carried: LSTMState, player: Player) -> list[Tensor]:
    """Return the tensors that change from one rollout to the next."""
    return [
        *begun.state,
        *begun[1:],
        chance,
        *(x for pair in carried for x in pair),
        *player.tensors,
    ]


def _capture(
    envs: MelodyComposeTensorEnv, manner: Manner, player: Player, begun: Begun, chance: Tensor,
    carried: LSTMState,
) -> Callable[[list[Tensor]], tuple[Steps, State, Tensor]]:  # fmt: skip
    """Return a function of the tensors that change (see `_changing`)."""
    if chance.device.type not in CAPTURES:
        raise RuntimeError(f"{chance.device} has no CUDA graphs")
    # The graph reads its own tensors; the critic's and the head's weights change in place.
    own = player.copied()
    state = State(*(column.clone() for column in begun.state))
    start = Begun(state, begun.observation.clone(), begun.weights.clone())
    chance = chance.clone()
    carried = tuple((h.clone(), c.clone()) for h, c in carried)

    def run() -> tuple[Steps, State, Tensor]:
        return play_tensors(envs.stepper, manner, own, start, chance, carried)

    with torch.cuda.device(chance.device):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):  # what runs first may compile, allocate or load: no graph may
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out = run()
    held = _changing(start, chance, carried, own)

    def replay(given: list[Tensor]) -> tuple[Steps, State, Tensor]:
        for to, value in zip(held, given, strict=True):
            to.copy_(value)
        with torch.cuda.device(chance.device):
            graph.replay()
        return out

    return replay
