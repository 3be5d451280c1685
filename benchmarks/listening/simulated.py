"""A simulated listener of known taste: does a fitted reward find it, does an agent please it?

``python -m musicgym.benchmarks.listening.simulated`` trains for some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import DEFAULT_LEARNING
from musicgym.agents.library import obtain, with_prior
from musicgym.agents.policy import Policy
from musicgym.agents.reporting import stages
from musicgym.agents.rollout import play
from musicgym.corpus import dataset
from musicgym.melody import Melody

from .choices import Judgement
from .reward_model import features_of, fit
from .wins import wilson

__all__ = ["Listener", "measure"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Listener:
    r"""Prefers the smaller mean interval d, and errs: P(A) = sigma(sure (d(B) - d(A))).

    Attributes:
        sure: log-odds a semitone.
    """

    sure: float = 3.0

    def odds(self, first: Sequence[Melody], second: Sequence[Melody]) -> Floats:
        """Return the log-odds (N,) that the first of each pair is preferred."""
        return self.sure * (_mean_intervals(second) - _mean_intervals(first))

    def choose(self, odds: Floats, seed: int) -> Floats:
        """Return what it says (N,): 1 where the first is preferred, else 0."""
        drawn = np.random.default_rng(seed).random(len(odds))
        return np.asarray(drawn < 1 / (1 + np.exp(-odds)), dtype=np.float64)


def measure(
    base: ACMGConfig,
    prior: Policy,
    learn: Callable[[ACMGConfig], Policy],
    practice: str,
    held_out: str,
    choices: int = 60,
    count: int = 300,
    weight: float = 10.0,
    seed: int = 1,
) -> dict[str, Any]:
    """Fit a reward to simulated choices between a prior's melodies, and learn by it.

    Args:
        base: the agent, before it has another reward.
        prior: plays what is chosen between.
        learn: trains an agent.
        practice: the progressions of the choices.
        held_out: those of all that is graded.
        choices: how many pairs the listener hears.
        count: pairs in a figure.
        weight: of the preference in the reward; it is the only term.
        seed: fixes melodies and choices.

    Returns:
        The accuracy of the reward on choices between other melodies (``told``), its ceiling, which
        is the accuracy of one who knows the taste (``ceiling``), the share of melodies of the new
        agent that the listener prefers to the prior's over the same chords (``won``), the same
        where it does not err (``won_surely``), each with the ends of its 95 % interval; and the
        mean intervals before and after.
    """
    listener = Listener()

    def heard(policy: Policy, progression: str, size: int, start: int) -> list[Melody]:
        envs = base.envs(progression, size)
        play(envs, policy, seed=start)
        return list(envs.melodies)

    def shared(right: Floats) -> list[float]:
        return [float(right.mean()), *wilson(float(right.sum()), len(right))]

    asked = [heard(prior, practice, choices, seed + 10**6 * side) for side in (1, 2)]
    scores = listener.choose(listener.odds(*asked), seed)
    judged = [
        Judgement(("one", "other"), pair, float(score), "simulated", float(score))
        for pair, score in zip(zip(*asked, strict=True), scores, strict=True)
    ]
    model, _ = fit(judged, seed)
    before, again = (heard(prior, held_out, count, seed + 10**6 * side) for side in (3, 4))
    odds = listener.odds(before, again)
    said = listener.choose(odds, seed + 1)
    first, second = (model.standardise(features_of(m)) @ model.weights for m in (before, again))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "preference.safetensors"
        model.save(path)
        spec = {"preference": {"scorer": str(path), "weight": weight}}
        after = heard(learn(replace(base, rewards=spec)), held_out, count, seed + 10**6 * 3)
    gain = listener.odds(after, before)
    return {
        "figures": model.figures,
        "told": shared(((first > second) == (said > 0.5)) * 1.0),
        "ceiling": shared(((odds > 0) == (said > 0.5)) * 1.0),
        "won": shared(listener.choose(gain, seed + 2)),
        "won_surely": shared(0.5 + 0.5 * np.sign(gain)),
        "interval_before": float(_mean_intervals(before).mean()),
        "interval_after": float(_mean_intervals(after).mean()),
    }


def _mean_intervals(melodies: Sequence[Melody]) -> Floats:
    """Return the mean size of the intervals of each melody (N,), 0 with fewer than two notes."""
    pitches = [[note.pitch for note in melody.notes()] for melody in melodies]
    return np.array([np.abs(np.diff(p)).mean() if len(p) > 1 else 0.0 for p in pitches])


def main(choices: int = 60, steps: int = 300_000) -> None:
    """Measure the default agent on the chorales, and print what was found."""
    corpus, stage = dataset.load("chorales"), stages()
    base = ACMGConfig(learning=replace(DEFAULT_LEARNING, total_steps=steps))
    prior = with_prior(base, corpus, stage).model.actor

    def learn(config: ACMGConfig) -> Policy:
        with TemporaryDirectory() as folder:
            return obtain(config, corpus, stage, Path(folder) / "agent")[0].model.actor

    train, test = (f"corpus:chorales/{split}" for split in ("train", "test"))
    for name, value in measure(base, prior, learn, train, test, choices).items():
        print(name, value)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
