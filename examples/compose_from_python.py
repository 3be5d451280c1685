"""Train a small ACMG from Python, compose with it, and save what it composed."""

import argparse
from pathlib import Path

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import PPOConfig


def main() -> None:
    """Train without a corpus for a moment and compose over a progression in D minor."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--out", type=Path, default=Path("out"))
    arguments = parser.parse_args()
    agent = ACMG(
        ACMGConfig(
            pretraining=None,
            progressions=("random",),
            num_envs=32,
            learning=PPOConfig(total_steps=arguments.steps, learning_rate=2e-3, epochs=4),
        )
    )
    agent.learn()
    for number, made in enumerate(agent.compose("D minor", "i VI III VII", count=2, seed=1), 1):
        print(made.melody.bars(), f"reward {made.total:.2f}", sep="\n")
        made.melody.save(arguments.out / f"small-{number}.mid")


if __name__ == "__main__":
    main()
