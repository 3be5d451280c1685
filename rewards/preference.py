"""Learned: how well listeners would like a melody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musicgym.learned import Learned, Melodies, WholeMelody
from musicgym.select import Array


@dataclass
class Preference(Learned, WholeMelody):
    r"""Pays at the last step how well listeners would like the whole melody.

    .. math:: P(A \text{ preferred to } B) = \sigma(r(A) - r(B))

    with r fitted to choices between pairs of melodies (``musicgym preference fit``): linear in the
    42 features on which human-likeness is measured, so those figures are no outside judge of what
    was rewarded by it. ``spread="bar"`` pays at the end of each bar what the melody so far has
    gained.

    Reference: Bradley & Terry 1952; Christiano et al. 2017 (arXiv 1706.03741) for such a reward.
    Range: all numbers; 0 is the mean of the melodies that were heard, and a melody that is better
    by 1 is preferred in 73 % of pairs. A feature beyond what was heard counts as the farthest that
    was, so the reward has a ceiling. Silent on: every step but the last. The meter and grid must be
    among those that were heard; any key and range will do.

    Args:
        scorer: a file of ``musicgym preference fit``, or any `musicgym.learned.MelodyScorer`.
        loader: reads it.
        spread: ``"end"`` or ``"bar"``.

    >>> import numpy as np
    >>> class Few:
    ...     def score(self, melodies):
    ...         return -1.0 * (melodies.events > 1).sum(1)
    >>> from musicgym.env import MelodyComposeEnv
    >>> env = MelodyComposeEnv(bars=1, progression="I", rewards={"preference": {"scorer": Few()}})
    >>> observation, info = env.reset(seed=1)
    >>> [env.step(event)[1] for event in (14, 0, 16, 0, 18, 0, 1, 0)][-2:]
    [0.0, -3.0]
    """

    loader: str = "musicgym.benchmarks.listening.reward_model:load_scorer"
    spread: str = "end"

    name: ClassVar[str] = "preference"

    def __post_init__(self) -> None:
        """Check the spread and load the scorer."""
        if self.spread not in ("end", "bar"):
            raise ValueError(f"rewards: preference: spread={self.spread!r} is not one of end, bar.")
        super().__post_init__()

    def score(self, melodies: Melodies) -> Array:
        """Return the rewards (N,) of melodies."""
        return self.judge.score(melodies)
