"""Learned: what a critic that tells a corpus from a model says of the melody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musicgym.learned import Learned, Melodies, WholeMelody
from musicgym.select import Array


@dataclass
class Critic(Learned, WholeMelody):
    r"""Pays at the last step how much like the corpus a critic finds the whole melody.

    .. math:: (D(x, C) - \mu) / \sigma

    with D the WGAN-GP critic of a CVAE-GAN, which hears the melody x and its conditions C (chords,
    key, metre, style), and its mean and standard deviation over the melodies that it has learned
    from, of all styles and metres together.

    Reference: Ganorkar & Rathkanthiwar; Gulrajani et al. 2017 (arXiv 1704.00028). Departs from
    them: the score is standardised, so that 0 is typical of all these melodies. (Those of one style
    may lie beside it: chorales at 0.9 with the default model.) Range: all numbers; mostly -3 to 3
    on these melodies. Silent on: every step but the last. Rests and holds are
    heard as the events that they are; a melody of rests only has a score as any other has. The
    range, grid and meter must be those of the checkpoint, in C major or A minor, or moved with the
    key.

    Args:
        scorer: the checkpoint of a ``cvae_gan``, or any `musicgym.learned.MelodyScorer`.
        loader: reads it.

    >>> class Onsets:
    ...     def score(self, melodies):
    ...         return (melodies.events > 1).mean(1)
    >>> from musicgym.env import MelodyComposeEnv
    >>> env = MelodyComposeEnv(bars=1, progression="I", rewards={"critic": {"scorer": Onsets()}})
    >>> observation, info = env.reset(seed=1)
    >>> [env.step(event)[1] for event in (26, 0, 28, 0, 0, 1, 1, 1)]
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25]
    """

    name: ClassVar[str] = "critic"

    def score(self, melodies: Melodies) -> Array:
        """Return the scores (N,) of melodies."""
        return self.judge.score(melodies)
