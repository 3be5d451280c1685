"""Train Stable-Baselines3's PPO on the environment and print the melody that it composes."""

import argparse

import gymnasium as gym
from stable_baselines3 import PPO

import musicgym  # noqa: F401  (registers the environments)


def main() -> None:
    """Train, then compose one melody."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200_000)
    steps = parser.parse_args().steps
    env = gym.make("MelodyCompose-v0", render_mode="ansi")
    model = PPO("MlpPolicy", env, n_steps=min(1024, steps), batch_size=min(256, steps), seed=1)
    model.learn(steps)
    observation, _ = env.reset(seed=1)
    done = False
    while not done:
        action, _ = model.predict(observation)
        observation, _, done, _, _ = env.step(action)
    print(env.render())


if __name__ == "__main__":
    main()
