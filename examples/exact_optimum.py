"""Compute the best possible return, play it, and see what a simple policy leaves on the table."""

import gymnasium as gym

import musicgym  # noqa: F401  (registers the environments)
from musicgym.agents.exact_planner import ExactPlanner, plan
from musicgym.agents.heuristics import NearestChordTone
from musicgym.agents.rollout import play


def main() -> None:
    """Plan, play the plan, and compare."""
    envs = gym.make_vec(
        "MelodyCompose-v0",
        num_envs=4,
        progression="I vi ii V",
        rewards={"preset": "acmg", "final_tonic": 5.0},
        observation="compact",
        autoreset_mode="Disabled",
        backend="arrays",
    )
    envs.reset(seed=1)
    best = plan(envs.task, envs.reward, envs.episodes())
    print(f"the optimum is {best.value[0]:.2f}, reached by {best.count[0]:.3g} melodies")
    for policy in (ExactPlanner(envs.task, envs.reward), NearestChordTone(envs.task)):
        paid = play(envs, policy, seed=1).rewards.sum(1).mean()
        share = 100 * float(paid) / best.value.mean()
        print(f"{type(policy).__name__} earns {paid:.2f}, {share:.0f} % of it")
    print(envs.melodies[0].bars())


if __name__ == "__main__":
    main()
