"""Write a rule of your own and mix it with the built-in ones, in one line."""

from dataclasses import dataclass

import gymnasium as gym

import musicgym  # noqa: F401  (registers the environments)
from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class Syncopation(Rule):
    """Pays for a note struck between the beats."""

    value: float = 0.2

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        return where(m.struck & (m.beat_starts ^ True), self.value, 0.0)


def main() -> None:
    """Compose at random and show what the rule paid."""
    rewards = {"preset": "balanced", "final_tonic": 3.0, f"{__name__}:Syncopation": 1.0}
    envs = gym.make_vec("MelodyCompose-v0", num_envs=64, rewards=rewards, bars=4)
    envs.reset(seed=1)
    total = 0.0
    for _ in range(32):
        _, _, _, _, infos = envs.step(envs.action_space.sample())
        total += infos["reward_terms"][f"{__name__}:Syncopation"].mean()
    print(f"syncopation paid {total:.2f} a melody")


if __name__ == "__main__":
    main()
