"""The two sides of the training benchmark, as equal as their libraries allow.

Both: one LSTM shared by actor and critic with linear heads, whole rollouts of 64 steps in 64
environments of ``MelodyCompose-v0``, four epochs of four minibatches, Adam, one thread. Ours pays
for its skip connection and for judging the policy (Eq. 9-10); the peer reads the flat observation.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from musicgym.export.extras import require

from .throughput import Measure, rate

__all__ = ["HIDDEN", "ours", "theirs"]

HIDDEN = 256
ENVS, EPOCHS, MINIBATCHES = 64, 4, 4
ID = "MelodyCompose-v0"


def ours(hidden: int = HIDDEN, num_envs: int = ENVS) -> Measure:
    """Return a measure of frames a CPU-second of our PPO; a block is one iteration."""
    from musicgym.agents.actor_critic import ActorCritic
    from musicgym.agents.configs import ActorCriticConfig, MelodyLSTMConfig, PPOConfig
    from musicgym.agents.learning import Learner
    from musicgym.agents.ppo import update
    from musicgym.observation import layout

    envs: Any = gym.make_vec(
        ID, num_envs=num_envs, observation="compact", autoreset_mode="Disabled"
    )
    size = ActorCriticConfig(MelodyLSTMConfig(hidden), shared=True)
    model = ActorCritic(layout(envs.task), envs.task.n_events, size)
    config = PPOConfig(total_steps=10**9, epochs=EPOCHS, minibatches=MINIBATCHES)
    learner = Learner(model, [envs], config, update)

    def iteration() -> int:
        learner.step()
        return learner.steps_per_iteration

    return lambda seconds: rate(iteration, seconds)


def theirs(hidden: int = HIDDEN, num_envs: int = ENVS) -> Measure:
    """Return the same measure of sb3-contrib's RecurrentPPO.

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

    return lambda seconds: rate(iteration, seconds)
