"""Eq. 8 of ACMG: end on the tonic."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class FinalTonic(Rule):
    r"""Pays once, at the last step, for ending on the tonic.

    .. math:: l_{l4} = 0.8 \text{ if } a_T \text{ is the tonic, else } -0.6

    Reference: ACMG, Eq. 8. Range: [-0.6, 0.8]. Speaks at the last step even in a rest, of the
    pitch that sounded last; -0.6 for a melody without a note. Silent on: all other steps.
    Departs from it: the key's tonic, major or minor, not "C".

    >>> FinalTonic()(Moment.example(last_step=True, degree=0))
    0.8
    """

    tonic: float = 0.8
    other: float = -0.6

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        value = where(m.has_pitch & (m.degree == 0), self.tonic, self.other)
        return where(m.last_step, value, 0.0)
