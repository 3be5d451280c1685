"""Learned: how surely a melody is of a style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musicgym.learned import Learned, Melodies, WholeMelody
from musicgym.select import Array


@dataclass
class Style(Learned, WholeMelody):
    r"""Pays at the last step the log-odds that the whole melody is of a style.

    .. math:: \log \frac{p(style | x)}{1 - p(style | x)}

    with p from a frozen classifier of intervals, scale degrees and rhythm
    (`musicgym.agents.style`), never the one that a metric uses.

    Reference: our own; Jaques et al. 2016 (arXiv 1611.02796) for a frozen network as a reward.
    Range: all numbers; 0 where the style is as likely as not. Silent on: every step but the last.
    A melody of rests only is judged too. The range, grid and meter must be those of the checkpoint;
    any key will do, as degrees are counted from the tonic.

    Args:
        scorer: a checkpoint of kind "style", or any `musicgym.learned.MelodyScorer`.
        loader: reads it.
        style: the style, such as ``"chorale"``; for a path only.

    >>> import numpy as np
    >>> class Sure:
    ...     def score(self, melodies):
    ...         return np.full(len(melodies.events), np.log(0.9 / 0.1))
    >>> from musicgym.env import MelodyComposeEnv
    >>> env = MelodyComposeEnv(bars=1, progression="I", rewards={"style": {"scorer": Sure()}})
    >>> observation, info = env.reset(seed=1)
    >>> [round(env.step(1)[1], 2) for _ in range(8)][-2:]
    [0.0, 2.2]
    """

    style: str | None = None

    name: ClassVar[str] = "style"
    words: ClassVar[tuple[str, ...]] = ("style",)

    def score(self, melodies: Melodies) -> Array:
        """Return the log-odds (N,) of melodies."""
        return self.judge.score(melodies)
