"""Eq. 3 of ACMG: non-chord tones (extras) away from strong beats."""

from __future__ import annotations

from dataclasses import dataclass, field

from musicgym.dynamics import Moment
from musicgym.reward import Rule, check_choice
from musicgym.select import Array, where

# reading: (first extra, chord tone before any extra, later extra, chord tone after an extra)
READINGS = {
    "prose": (0.5, -0.4, -0.5, 0.0),
    "formula": (-0.4, 0.5, -0.5, 0.0),
    "lenient": (0.0, 0.0, -0.5, 0.0),
}
SCOPES = ("bar", "previous_weak")


@dataclass(frozen=True)
class NonChordTone(Rule):
    r"""Pays for one non-chord tone (an extra) a bar on weak steps and takes for further ones.

    .. math:: l_{c2} = \begin{cases} 0.5 & \text{first extra} \\ -0.4 & \text{chord tone, none yet}
        \\ -0.5 & \text{a further extra} \\ 0 & \text{chord tone after an extra} \end{cases}

    Reference: ACMG, Eq. 3. Range: [-0.5, 0.5]. Judges struck notes at steps that do not start a
    strong beat. Silent on: holds, rests, strong beats, spans without a chord.
    Departs from it: four values and one condition are legible. ``reading="prose"`` follows the
    text, ``"formula"`` exchanges the first two values (it pays for striking: its optimum strikes
    61 of 64 steps), ``"lenient"`` only takes for further extras. ``scope="bar"`` looks for an
    extra struck earlier in the bar, ``"previous_weak"`` at what sounded at the previous weak beat.

    >>> NonChordTone()(Moment.example(strong=False, in_chord=False, extra=True))
    0.5
    """

    reading: str = "prose"
    scope: str = "bar"
    first_extra: float = field(init=False)
    tone_before: float = field(init=False)
    later_extra: float = field(init=False)
    tone_after: float = field(init=False)
    in_bar: bool = field(init=False)

    def __post_init__(self) -> None:
        """Resolve the words to numbers."""
        check_choice(self, "reading", tuple(READINGS))
        check_choice(self, "scope", SCOPES)
        names = ("first_extra", "tone_before", "later_extra", "tone_after")
        for name, value in zip(names, READINGS[self.reading], strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "in_bar", self.scope == "bar")

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        here = m.struck & (m.strong ^ True) & m.has_chord
        used = where(self.in_bar, m.extra_in_bar, m.extra_before)
        tone = where(used, self.tone_after, self.tone_before)
        extra = where(used, self.later_extra, self.first_extra)
        return where(here, where(m.in_chord, tone, extra), 0.0)
