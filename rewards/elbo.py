"""Learned: how likely a variational autoencoder finds the melody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from musicgym.learned import Learned, Melodies, WholeMelody
from musicgym.select import Array


@dataclass
class Elbo(Learned, WholeMelody):
    r"""Pays a frozen VAE's evidence lower bound of the melody, in nats.

    .. math:: \sum_t \log p(x_t | x_{<t}, C, z) - KL(q(z | x, C) \| p(z)), \quad z = E_q[z]

    At the last step (``spread="end"``), or at the last step of each bar what the bound of the
    melody so far has gained in that bar (``spread="bar"``), a potential: both sum to the bound of
    the whole melody, so that they reward the same melodies. Divide the weight by the number of
    steps for nats a step.

    Reference: Kingma & Welling 2014 (arXiv 1312.6114). Departs from it: z is the posterior's mean,
    not drawn, so that a melody always earns the same; the value then estimates the bound and is
    itself none. Range: all numbers; for a finished melody nearly always below 0. A melody so far is
    encoded as if it ended there. Rests and holds are events as any other; a melody of rests only
    has a bound too. A VAE with attributes hears the melody's own. The range, grid and meter must be
    those of the checkpoint, in C major or A minor, or moved with the key.

    Args:
        scorer: the checkpoint of a generator, or any `musicgym.learned.MelodyScorer`.
        loader: reads it.
        spread: ``"end"`` or ``"bar"``, which reads half the melody on average at
            each bar and so costs (bars + 1) / 2 times as much.

    >>> class Nats:
    ...     def score(self, melodies):
    ...         return -0.5 * (melodies.events > 1).sum(1)
    >>> from musicgym.env import MelodyComposeEnv
    >>> rewards = {"elbo": {"scorer": Nats(), "spread": "bar"}}
    >>> env = MelodyComposeEnv(bars=2, steps_per_beat=1, progression="I", rewards=rewards)
    >>> observation, info = env.reset(seed=1)
    >>> [env.step(event)[1] for event in (26, 0, 28, 0, 30, 0, 0, 0)]
    [0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -0.5]
    """

    spread: str = "end"

    name: ClassVar[str] = "elbo"

    def __post_init__(self) -> None:
        """Check the spread and load the scorer."""
        if self.spread not in ("end", "bar"):
            raise ValueError(f"rewards: elbo: spread={self.spread!r} is not one of end, bar.")
        super().__post_init__()

    def score(self, melodies: Melodies) -> Array:
        """Return the bounds (N,) of melodies."""
        return self.judge.score(melodies)
