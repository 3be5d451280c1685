"""Eq. 2 of ACMG: chord tones on strong beats."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class ChordTone(Rule):
    r"""Pays for a chord tone on a strong beat and takes for any other pitch there.

    .. math:: l_{c1} = 0.6 \text{ if } a_t \in C_t \text{ on a strong beat, else } -1.0;
        0 \text{ on weak beats}

    Reference: ACMG, Eq. 2. Range: [-1.0, 0.6]. Judged at the step on which a strong beat starts.
    Silent on: weak beats, spans without a chord. A rest pays `rest`.
    Departs from it: "chord inversions" in the text is read as chord tones.

    >>> ChordTone()(Moment.example(in_chord=False))
    -1.0
    """

    inside: float = 0.6
    outside: float = -1.0
    rest: float = 0.0

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        here = m.strong & m.has_chord
        value = where(m.in_chord, self.inside, self.outside)
        silent = where(m.sounding, 0.0, self.rest)
        return where(here, where(m.judged, value, silent), 0.0)
