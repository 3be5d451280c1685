"""``musicgym bench sample``: composing from a policy, one step after the other.

The same melodies are asked of Melody_LSTM as it plays (the embedding folded into the weights), of
the same network whose ``nn.LSTM`` is called once a step, and of RecurrentPPO. A melody
is 64 steps; the environments, native and in one batch, count on every side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from torch import Tensor

from musicgym.agents.configs import MelodyLSTMConfig
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.dynamics import Episodes
from musicgym.export.extras import MissingExtra, require
from musicgym.observation import layout

from .rows import Row, compare
from .turns import Measure, middle, take_turns, timed

__all__ = ["CalledByStep", "play_measure", "predict_measure", "sampling"]

ID = "MelodyCompose-v0"
BATCHES = (1, 64, 1024)
NETWORKS = (MelodyLSTMConfig(128, 1), MelodyLSTMConfig(256, 2))


class CalledByStep:
    """A policy that calls a Melody_LSTM's ``nn.LSTM`` on one step at a time, as is often done."""

    def __init__(self, model: MelodyLSTM) -> None:
        """Take the model, which stays as it is."""
        self.model = model

    def initial_state(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Return zeros (layers, B, H), twice."""
        config = self.model.config
        shape = (config.layers, len(episodes.tonic), config.hidden)
        zeros = self.model.head.weight.new_zeros(shape)
        return zeros, zeros

    def __call__(
        self, observation: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return logits (B, A) of one step (B, F) and the next state."""
        x = self.model.embedding(observation)  # (B, H)
        h, state = self.model.lstm(x[None], state)
        return self.model.head(h[0]) + self.model.skip(x), state


def sampling(
    seconds: float = 0.5,
    repeats: int = 5,
    batches: Sequence[int] = BATCHES,
    networks: Sequence[MelodyLSTMConfig] = NETWORKS,
) -> list[Row]:
    """Compare ways to compose, in steps a second.

    Args:
        seconds: of a turn; it ends with a whole batch of melodies.
        repeats: turns of each.
        batches: melodies at once.
        networks: sizes of Melody_LSTM.
    """
    from musicgym.agents.threads import few_threads

    from .environments import on_threads

    rows = []
    for config in networks:
        for batch in batches:
            name = f"play, {config.layers} x {config.hidden}, batch {batch:,}"
            step, predict = "nn.LSTM by the step", "RecurrentPPO.predict"
            sides = {
                "ours": play_measure(config, batch),
                step: play_measure(config, batch, by_step=True),
            }
            absent: dict[str, str] = {}
            try:
                sides[predict] = predict_measure(config, batch)
            except MissingExtra as reason:
                absent[predict] = f"not installed: {reason}"
            with on_threads(1), few_threads():
                turns = take_turns(sides, seconds, repeats, title=name)
            melodies = middle(turns["ours"], "cpu") / 64
            note = f"{melodies:,.0f} melodies of 64 steps a second"
            rows.append(compare(name, step, turns, "ours", step, note=note))
            rows.append(compare(name, predict, turns, "ours", predict, absent=absent))
    return rows


def play_measure(config: MelodyLSTMConfig, batch: int, by_step: bool = False) -> Measure:
    """Return a measure of whole melodies played by a Melody_LSTM, in steps.

    Args:
        config: its size.
        batch: melodies at once.
        by_step: call its ``nn.LSTM`` once a step instead.
    """
    import torch

    from musicgym.agents.rollout import play

    envs: Any = gym.make_vec(ID, num_envs=batch, observation="compact", autoreset_mode="Disabled")
    torch.manual_seed(0)
    model = MelodyLSTM(layout(envs.task), envs.task.n_events, config).eval()
    policy = CalledByStep(model) if by_step else model

    def block() -> int:
        play(envs, policy, seed=0)
        return batch * int(envs.task.steps)

    return timed(block)


def predict_measure(config: MelodyLSTMConfig, batch: int) -> Measure:
    """Return the same measure of RecurrentPPO's `predict`; the environments are our native ones.

    Raises:
        MissingExtra: sb3-contrib is not installed.
    """
    sb3 = require("sb3_contrib", "sb3", "the sampling benchmark")
    envs: Any = gym.make_vec(ID, num_envs=batch, observation="flat", autoreset_mode="Disabled")
    size = {"lstm_hidden_size": config.hidden, "n_lstm_layers": config.layers}
    shared = {"shared_lstm": True, "enable_critic_lstm": False, "net_arch": []}
    model = sb3.RecurrentPPO(
        "MlpLstmPolicy", gym.make(ID), policy_kwargs={**size, **shared}, device="cpu", seed=0
    )

    def block() -> int:
        seen, _ = envs.reset(seed=0)
        state, begun = None, np.ones(batch, bool)
        for _ in range(envs.task.steps):
            events, state = model.predict(seen, state, begun)
            seen, _, _, _, _ = envs.step(events)
            begun = np.zeros(batch, bool)
        return batch * int(envs.task.steps)

    return timed(block)
