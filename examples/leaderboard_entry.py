"""An agent of your own on the leaderboard: a linear policy that learns by REINFORCE.

`leaderboard_entry.toml` beside this file names `make`. It is run with

    musicgym leaderboard run --suite small --entries examples/leaderboard_entry.toml --out runs
"""

import argparse
from itertools import cycle

import gymnasium as gym
import torch
from torch import nn

import musicgym  # noqa: F401  (registers the environments)
from musicgym.agents.policy import masked, ringing_column
from musicgym.agents.rollout import play
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.observation import layout

MELODIES = 32


class Linear(nn.Module):
    """Logits over events: for each part of the observation a learned row, added up."""

    def __init__(self, task):
        """Begin with equal logits."""
        super().__init__()
        sizes = torch.tensor([*layout(task).values()])
        self.register_buffer("starts", sizes.cumsum(0) - sizes)
        self.rows = nn.EmbeddingBag(int(sizes.sum()), task.n_events, mode="sum")
        nn.init.zeros_(self.rows.weight)
        self.curve = []  # rows [steps, return]: the learning curve of the record

    def initial_state(self, episodes):
        """Return nothing: this policy remembers nothing."""

    def forward(self, observation, state=None):
        """Return logits (B, A) of compact observations (B, F), and the next state."""
        return self.rows(observation.long() + self.starts), state


def make(task, seed, steps, benchmark_task, learning_rate=0.05):
    """Return a policy for the task that has learned for so many steps of practice."""
    policy = Linear(task)
    optimiser = torch.optim.Adam(policy.parameters(), learning_rate)
    practice = [
        gym.make_vec(
            "MelodyCompose-v0", num_envs=MELODIES, **benchmark_task.arguments(progression),
            observation="compact", autoreset_mode="Disabled", backend="arrays",
        )
        for progression in benchmark_task.learned_on
    ]  # fmt: skip
    done = 0
    for i, envs in enumerate(cycle(practice)):
        if done >= steps:
            return policy
        melodies = play(envs, policy, seed=(1_000_003 * seed + i) * MELODIES)
        seen = melodies.observation.flatten(0, 1)
        logits = masked(policy(seen)[0], seen, ringing_column(task)).log_softmax(-1)
        played = logits.gather(-1, melodies.events.reshape(-1, 1)).view_as(melodies.events)
        to_go = melodies.rewards.flip(1).cumsum(1).flip(1)
        gain = (to_go - to_go.mean(0)) / (to_go.std() + 1e-6)
        optimiser.zero_grad()
        (-(gain * played).mean()).backward()
        optimiser.step()
        done += played.numel()
        policy.curve.append([done, float(melodies.rewards.sum(1).mean())])


def main():
    """Learn, and print the return at the beginning and at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200_000)
    steps = parser.parse_args().steps
    practice = BenchmarkTask("balanced", bars=4, practice=("random",))
    curve = make(practice.lesson, seed=1, steps=steps, benchmark_task=practice).curve
    print(f"return {curve[0][1]:.2f} at the beginning, {curve[-1][1]:.2f} after {curve[-1][0]}")


if __name__ == "__main__":
    main()
