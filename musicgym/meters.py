"""The meters: beats a bar, the note value of a beat, and where the strong beats fall."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GRIDS", "METERS", "Meter"]


class Meter(NamedTuple):
    """A meter.

    Attributes:
        beats: beats a bar; a beat is the denominator (an eighth in 6/8).
        unit: the denominator.
        strong_every: a beat is strong when its index from 0 is a multiple of this.
    """

    beats: int
    unit: int
    strong_every: int


METERS = {
    "2/4": Meter(2, 4, 2),
    "3/4": Meter(3, 4, 3),
    "4/4": Meter(4, 4, 2),
    "6/8": Meter(6, 8, 3),
}

#: Allowed numbers of grid slots a beat.
GRIDS = (1, 2, 4)
