"""RL Tuner: notes of the key."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where
from musicgym.theory import SCALES

# Tones above the tonic as bits. In minor the raised sixth and seventh are of the key too.
MAJOR = sum(1 << tone for tone in SCALES["major"])
MINOR = sum(1 << tone for tone in {*SCALES["minor"], 9, 11})


@dataclass(frozen=True)
class Key(Rule):
    r"""Takes for striking a note outside the key.

    .. math:: -1 \text{ if } a_t \notin \text{key}, \text{ else } 0

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [-1, 0].
    Silent on: holds and rests.
    Departs from it: any key, not C major alone; in minor the natural sixth and seventh and the
    raised ones are of the key.

    >>> Key()(Moment.example(degree=6))
    -1.0
    """

    outside: float = -1.0

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        inside = where(m.mode == 1, MINOR, MAJOR) >> m.degree & 1 == 1
        return where(m.struck & (inside ^ True), self.outside, 0.0)
