"""Eq. 5 of ACMG: repeated notes."""

from __future__ import annotations

from dataclasses import dataclass

from musicgym.dynamics import RUN_CAP, Moment
from musicgym.reward import Rule
from musicgym.select import Array, where


@dataclass(frozen=True)
class Repetition(Rule):
    r"""Takes for striking the same pitch once more after `max_run` equal notes.

    .. math:: l_{l1} = -0.6 \text{ if } a_t = a_{t-1} = a_{t-2} = a_{t-3}, \text{ else } 0

    Reference: ACMG, Eq. 5. Range: [-0.6, 0]. Judges struck notes; holds are no repetition and
    rests do not break a run.
    Departs from it: the formula means the 4th equal note (``max_run=3``), the text the 5th
    (``max_run=4``).

    >>> Repetition()(Moment.example(run_length=4))
    -0.6
    """

    max_run: int = 3
    repeated: float = -0.6

    def __post_init__(self) -> None:
        """Check that the run can be counted."""
        if not 1 <= self.max_run < RUN_CAP:
            raise ValueError(
                f"Repetition: max_run={self.max_run!r} is not from 1 to {RUN_CAP - 1}."
            )

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        return where(m.struck & (m.run_length > self.max_run), self.repeated, 0.0)
