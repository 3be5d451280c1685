"""Eq. 4 of ACMG: stay near the median line."""

from __future__ import annotations

from dataclasses import dataclass, field

from musicgym.dynamics import Moment, tones_in_window
from musicgym.reward import Rule, check_choice
from musicgym.select import Array, count_bits, where

MEDIANS = ("expected", "random", "nearest")


@dataclass(frozen=True)
class MedianLine(Rule):
    r"""Pays for a pitch near the median tone, a chord tone in the middle octave of the tessitura.

    .. math:: l_{c3} = 0.4 \text{ if } |a_t - m| \le 5, \text{ else } -0.2

    Reference: ACMG, Eq. 4. Range: [-0.2, 0.4]. Silent on: spans without a chord. A rest pays
    `rest`.
    Departs from it: ``median="expected"`` takes the mean over the chord's tones; ``"random"``
    draws m at each change of chord, as the paper; ``"nearest"`` takes the chord tone nearest to
    the one before.

    >>> MedianLine(median="random")(Moment.example(pitch=72, median=67))
    0.4
    >>> round(MedianLine()(Moment.example(pitch=72)), 9)  # near 67 and 72, not near 64
    0.2
    """

    reach: int = 5
    within: float = 0.4
    beyond: float = -0.2
    median: str = "expected"
    rest: float = 0.0
    expected: bool = field(init=False)

    def __post_init__(self) -> None:
        """Resolve the word to a switch."""
        check_choice(self, "median", MEDIANS)
        object.__setattr__(self, "expected", self.median == "expected")

    @property
    def median_reading(self) -> str:  # type: ignore[override]
        """The median tone that the dynamics must keep."""
        return self.median

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        tones = tones_in_window(m.chord, m.tonic, m.window)
        lowest = m.pitch - self.reach - m.window
        highest = m.pitch + self.reach - m.window
        first = where(lowest < 0, 0, where(lowest > 12, 12, lowest))
        last = where(highest > 11, 11, where(highest < -1, -1, highest))
        width = where(last < first, 0, last - first + 1)
        near = tones >> first & (4095 >> (12 - width))
        each = where(m.chord_size == 4, 0.25, 0.3333333333333333)
        mean = self.beyond + (self.within - self.beyond) * (count_bits(near) * each)
        drawn = where(abs(m.pitch - m.median) <= self.reach, self.within, self.beyond)
        value = where(self.expected, mean, drawn)
        silent = where(m.sounding, 0.0, self.rest)
        return where(m.has_chord, where(m.judged, value, silent), 0.0)
