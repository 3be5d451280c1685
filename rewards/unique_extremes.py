"""RL Tuner: one highest and one lowest note."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from musicgym.select import Array, where
from musicgym.sequence import Recurrence


class Extremes(NamedTuple):
    """The extremes so far (B,), as events, and how often each was struck."""

    left: Array  # steps to come
    high: Array
    highs: Array
    low: Array
    lows: Array


@dataclass
class UniqueExtremes(Recurrence):
    r"""Pays at the last step for a highest note that is struck once, and for such a lowest one.

    .. math:: 3 \, [\#\{t : a_t = \max a\} = 1] + 3 \, [\#\{t : a_t = \min a\} = 1]

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [0, 6].
    Counts struck notes, however long they are held. Silent on: all other steps, melodies without a
    note. A single note is both extremes.

    >>> from musicgym.sequence import listen
    >>> listen(UniqueExtremes(), [26, 31, 0, 1, 31, 24])  # the highest is struck twice
    [0.0, 0.0, 0.0, 0.0, 0.0, 3.0]
    """

    once: float = 3.0

    def start(self, zero: Array, steps: int) -> Extremes:
        """Return the memory at the start."""
        return Extremes(left=zero + steps, high=zero - 1, highs=zero, low=zero + 1000, lows=zero)

    def hear(self, memory: Extremes, event: Array) -> tuple[Extremes, Array]:
        """Return the memory after an event, and what it pays."""
        struck = event > 1
        higher, lower = struck & (event > memory.high), struck & (event < memory.low)
        after = Extremes(
            left=memory.left - 1,
            high=where(higher, event, memory.high),
            highs=where(higher, 1, memory.highs + where(event == memory.high, 1, 0)),
            low=where(lower, event, memory.low),
            lows=where(lower, 1, memory.lows + where(event == memory.low, 1, 0)),
        )
        last = after.left == 0
        paid = where(last & (after.highs == 1), self.once, 0.0)
        return after, paid + where(last & (after.lows == 1), self.once, 0.0)
