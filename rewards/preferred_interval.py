"""RL Tuner: intervals."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class PreferredInterval(Rule):
    r"""Pays for small and for consonant intervals, holds and rests; takes for wide ones.

    .. math:: 5 \cdot \begin{cases} 0.3,\ 0.15 & \text{a hold, a rest after the 1st or 5th degree}
        \\ 0.075,\ 0.05 & \text{a hold, a rest after another} \\ 0.15 & \text{a third of the key}
        \\ 0.1 & \text{a fifth of the key} \\ 0.09,\ 0.08,\ 0.07,\ 0.05,\ 0.02 &
        \text{4, 2, 5, 9, 7 semitones} \\ -0.3 & \text{11 semitones} \\ -1 & \text{above 12}
        \end{cases}

    A fifth of the key leaves the 1st or the 5th degree, a third of the key the 1st or the 3rd, up
    or down. An interval is taken against the note struck before, rests between or not.

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code.
    Range: [-5, 1.5]. Silent on: the first note and rests before it; other intervals.
    Departs from it: any key, not C major alone; in minor the third of the key is 3 semitones.

    >>> PreferredInterval()(Moment.example(interval=2))
    0.4
    """

    scale: float = 5.0
    stable_hold: float = 0.3
    stable_rest: float = 0.15
    hold: float = 0.075
    rest: float = 0.05
    key_third: float = 0.15
    key_fifth: float = 0.1
    third: float = 0.09
    second: float = 0.08
    fourth: float = 0.07
    sixth: float = 0.05
    fifth: float = 0.02
    seventh: float = -0.3
    beyond_octave: float = -1.0

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        before = (m.degree - m.interval) % 12  # the degree that sounded last
        stable = (before == 0) | (before == 7)
        third = where(m.mode == 1, 3, 4)
        distance = abs(m.interval)
        key_third = (distance == third) & ((before == 0) | (before == third))
        odd = where(distance == 11, self.seventh, where(distance > 12, self.beyond_octave, 0.0))
        wide = where(distance == 9, self.sixth, where(distance == 7, self.fifth, odd))
        step = where(distance == 2, self.second, where(distance == 5, self.fourth, wide))
        plain = where(distance == 4, self.third, step)
        interval = where(
            key_third, self.key_third, where((distance == 7) & stable, self.key_fifth, plain)
        )
        hold = where(stable, self.stable_hold, self.hold)
        rest = where(stable, self.stable_rest, self.rest)
        unstruck = where(m.sounding, hold, where(m.has_pitch, rest, 0.0))
        judged = where(m.has_interval, interval, 0.0)
        return self.scale * where(m.struck, judged, unstruck)
