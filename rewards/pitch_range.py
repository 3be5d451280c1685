"""Eq. 7 of ACMG: the range of the melody."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class PitchRange(Rule):
    r"""Pays for a pitch inside the tessitura and takes for one outside.

    .. math:: l_{l3} = 0.1 \text{ if } low \le a_t \le high, \text{ else } -0.6

    Reference: ACMG, Eq. 7. Range: [-0.6, 0.1]. A rest pays `rest`.
    Departs from it: the paper gives no range; the task's `tessitura` does (A3 to A5 by default).

    >>> PitchRange()(Moment.example(pitch=50))
    -0.6
    """

    inside: float = 0.1
    outside: float = -0.6
    rest: float = 0.0

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        value = where((m.pitch >= m.low) & (m.pitch <= m.high), self.inside, self.outside)
        return where(m.judged, value, where(m.sounding, 0.0, self.rest))
