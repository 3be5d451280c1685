"""RL Tuner: leaps that are resolved, and leaps that are doubled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from musicgym.select import Array, where
from musicgym.sequence import Recurrence, check_at_least


class Leap(NamedTuple):
    """The last note and the open leap (B,)."""

    note: Array  # the last event that struck a note, 0 before the first
    way: Array  # of the open leap: 1 up, -1 down, 0 none is open
    origin: Array  # the event that it left
    since: Array  # steps since the last leap


@dataclass
class LeapResolution(Recurrence):
    r"""Pays for resolving a leap and takes for a second leap in its direction.

    .. math:: 5 \text{ if } d\,(a_t - a_0) \le 0; \quad
        -5 \text{ if } d\,(a_t - a_{t-1}) \ge 7; \quad 0 \text{ else}

    A leap of `leap` semitones or more from :math:`a_0` in the direction d is open until a note at
    or beyond :math:`a_0` resolves it. Further leaps in its direction leave it open. A resolving
    leap opens none.

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [-5, 5].
    Silent on: holds and rests, which do not part two notes; the first note.
    Departs from it: a return resolves the leap by leap and by step alike. ``literal=True`` reads a
    leap back as the code: it closes the open leap wherever it lands, and pays only where more than
    `wait` steps lie between the two leaps.

    >>> from musicgym.sequence import listen
    >>> listen(LeapResolution(), [26, 35, 0, 31, 26])  # C5 up to A5, F5, and home
    [0.0, 0.0, 0.0, 0.0, 5.0]
    """

    leap: int = 7
    resolved: float = 5.0
    doubled: float = -5.0
    literal: bool = False
    wait: int = 6

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_at_least(self, leap=1, wait=0)

    def start(self, zero: Array, steps: int) -> Leap:
        """Return the memory at the start."""
        return Leap(note=zero, way=zero, origin=zero, since=zero)

    def hear(self, memory: Leap, event: Array) -> tuple[Leap, Array]:
        """Return the memory after an event, and what it pays."""
        struck = event > 1
        interval = event - memory.note
        leaps = struck & (memory.note > 0) & (abs(interval) >= self.leap)
        way = where(interval > 0, 1, -1)
        returns = struck & (memory.way != 0) & ((event - memory.origin) * memory.way <= 0)
        back = leaps & (memory.way == 0 - way)
        closes = where(self.literal, where(leaps, back, returns), returns)
        late = where(leaps, memory.since > self.wait, closes)
        resolves = where(self.literal, closes & late, closes)
        opens = leaps & (memory.way == 0)
        after = Leap(
            note=where(struck, event, memory.note),
            way=where(opens, way, where(closes, 0, memory.way)),
            origin=where(opens, memory.note, memory.origin),
            since=where(leaps, 0, memory.since + 1),
        )
        doubles = leaps & (memory.way == way)
        return after, where(resolves, self.resolved, where(doubles, self.doubled, 0.0))
