"""``musicgym bench train``: our PPO beside two recurrent peers, as equal as they allow.

All: one LSTM shared by actor and critic with linear heads, rollouts of 64 steps in as many
environments, four epochs of four minibatches, Adam, one thread. Ours pays for its embedding, its
skip connection and for judging the policy (Eq. 9-10); the peers' LSTM reads the flat observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from musicgym.export.extras import MissingExtra, require

from .rows import Row, compare
from .turns import Clock, Measure, take_turns, timed

if TYPE_CHECKING:
    from musicgym.agents.actor_critic import ActorCritic

__all__ = [
    "HIDDEN",
    "cleanrl_style",
    "network",
    "ours",
    "recurrent_ppo",
    "training",
]

HIDDEN = 256
EPOCHS, MINIBATCHES = 4, 4
#: Ours are measured in each of them.
PRECISIONS = ("float32", "bfloat16")
ID = "MelodyCompose-v0"
#: Iterations before the first that counts.
WARMUPS = 3
#: A turn is one iteration, however long it takes.
ONE_ITERATION = 1e-9
#: Ratios asked for: beside RecurrentPPO, and beside the CleanRL-style loop.
TARGETS: dict[int, tuple[float | None, float]] = {64: (4.0, 3.0), 1024: (None, 1.3)}


def training(
    repeats: int = 5, sizes: Sequence[int] = tuple(TARGETS), hidden: int = HIDDEN
) -> list[Row]:
    """Compare one iteration of our PPO with those of the peers, in frames a second.

    Args:
        repeats: turns of each, after three to warm up.
        sizes: environments; RecurrentPPO, whose environments are single ones, plays the smallest.
        hidden: width of the LSTM.
    """
    from musicgym.agents.threads import few_threads

    from .environments import on_threads

    rows: list[Row] = []
    for size in sizes:
        least_recurrent, least = TARGETS.get(size, (None, None))
        peers: dict[str, tuple[Callable[[int, int], Measure], float | None]] = {
            "CleanRL-style LSTM PPO": (cleanrl_style, least)
        }
        if size == min(sizes):
            peers["sb3 RecurrentPPO"] = (recurrent_ppo, least_recurrent)
        sides = {p: ours(hidden, size, p) for p in PRECISIONS}
        absent: dict[str, str] = {}
        for peer, (make, _) in peers.items():
            try:
                sides[peer] = make(hidden, size)
            except MissingExtra as reason:
                absent[peer] = f"not installed: {reason}"
        with on_threads(1), few_threads():
            turns = take_turns(
                sides, ONE_ITERATION, repeats, WARMUPS, f"LSTM-{hidden}, {size:,} envs"
            )
        for peer, (_, target) in peers.items():
            for precision in PRECISIONS:
                name = f"PPO {precision}, {size:,} envs"
                rows.append(compare(name, peer, turns, precision, peer, target, absent=absent))
    return rows


def ours(
    hidden: int = HIDDEN,
    num_envs: int = 64,
    precision: str = "float32",
    device: str = "cpu",
    clock: Clock = "cpu",
    backend: str = "auto",
) -> Measure:
    """Return a measure of our PPO in frames; a block is one iteration.

    Args:
        hidden: width of the LSTM.
        num_envs: environments.
        precision: ``"float32"`` or ``"bfloat16"``.
        device: where the model and its batches are.
        clock: the one that says when a turn is over.
        backend: of the environments; "tensor" puts them on the device too.
    """
    import torch

    from musicgym.agents.configs import PPOConfig
    from musicgym.agents.learning import Learner
    from musicgym.agents.ppo import update

    where: dict[str, Any] = {
        "backend": backend,
        **({"device": device} if backend == "tensor" else {}),
    }
    envs: Any = gym.make_vec(
        ID, num_envs=num_envs, observation="compact", autoreset_mode="Disabled", **where
    )
    model = network(hidden).to(device)
    config = PPOConfig(
        total_steps=10**9, epochs=EPOCHS, minibatches=MINIBATCHES, precision=precision
    )
    learner = Learner(model, [envs], config, update)

    def iteration() -> int:
        learner.step()
        if device != "cpu":
            torch.cuda.synchronize()
        return learner.steps_per_iteration

    return timed(iteration, clock)


def network(hidden: int = HIDDEN) -> ActorCritic:
    """Return our actor-critic: one LSTM that both share."""
    from musicgym.agents.actor_critic import ActorCritic
    from musicgym.agents.configs import ActorCriticConfig, MelodyLSTMConfig
    from musicgym.observation import layout
    from musicgym.task import Task

    task = Task()
    size = ActorCriticConfig(MelodyLSTMConfig(hidden), shared=True)
    return ActorCritic(layout(task), task.n_events, size)


def cleanrl_style(hidden: int = HIDDEN, num_envs: int = 64) -> Measure:
    """Return the same measure of the CleanRL-style loop, on our own vector environment."""
    from .cleanrl_style import Settings, Trainer

    envs: Any = gym.make_vec(ID, num_envs=num_envs, observation="flat", autoreset_mode="SameStep")
    settings = Settings(hidden, envs.task.steps, EPOCHS, MINIBATCHES)
    trainer = Trainer(envs, settings)

    def iteration() -> int:
        trainer.iterate()
        return trainer.frames

    return timed(iteration)


def recurrent_ppo(hidden: int = HIDDEN, num_envs: int = 64) -> Measure:
    """Return the same measure of sb3-contrib's RecurrentPPO, on as many single environments.

    Raises:
        MissingExtra: sb3-contrib is not installed.
    """
    sb3 = require("sb3_contrib", "sb3", "the training benchmark")
    vec_env = require("stable_baselines3.common.vec_env", "sb3", "the training benchmark")
    envs = vec_env.DummyVecEnv([lambda: gym.make(ID) for _ in range(num_envs)])
    # A rollout is one episode an environment, as ours.
    steps: int = envs.envs[0].unwrapped.task.steps
    frames = steps * num_envs
    model = sb3.RecurrentPPO(
        "MlpLstmPolicy",
        envs,
        n_steps=steps,
        batch_size=frames // MINIBATCHES,
        n_epochs=EPOCHS,
        policy_kwargs={
            "lstm_hidden_size": hidden,
            "shared_lstm": True,
            "enable_critic_lstm": False,
            "net_arch": [],
        },
        device="cpu",
        seed=0,
    )

    def iteration() -> int:
        model.learn(frames, reset_num_timesteps=False, log_interval=None)
        return frames

    return timed(iteration)
