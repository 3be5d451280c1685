"""Eq. 6 of ACMG: leaps."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class OctaveLeap(Rule):
    r"""Pays for smooth motion from one note to the next and takes for leaps.

    .. math:: l_{l2} = 0.3 \text{ if } |a_t - a_{t-1}| \le 10, \text{ else } -0.5

    Reference: ACMG, Eq. 6. Range: [-0.5, 0.3]. A held step counts as an interval of 0, so that
    striking a held note again earns no more. Silent on: the first onset. A rest pays `rest`.
    Departs from it: the text says an octave (``reach=12``), the formula 10.

    >>> OctaveLeap()(Moment.example(interval=12))
    -0.5
    """

    reach: int = 10
    within: float = 0.3
    beyond: float = -0.5
    rest: float = 0.0

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        value = where(abs(m.interval) <= self.reach, self.within, self.beyond)
        return where(m.has_interval, value, where(m.sounding, 0.0, self.rest))
