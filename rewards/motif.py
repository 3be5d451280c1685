"""RL Tuner: motifs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from musicgym.select import Array, where
from musicgym.sequence import Recurrence, check_at_least, counting


class Window(NamedTuple):
    """The notes of the last `w` events."""

    step: Array  # (B,) events so far
    notes: Array  # (w, B) the event of step s at s % w: each pitch only where it was struck last


def opened(zero: Array, width: int) -> Window:
    """Return an empty window of so many events."""
    return Window(zero, zero + counting(width, zero) * 0)


def moved(window: Window, event: Array) -> tuple[Window, Array]:
    """Return the window moved on by an event, and its distinct pitches (B,), 0 before it is full.

    A pitch struck again is struck out where it stood before: its last place stays longest.
    """
    width = len(window.notes)
    here = counting(width, event) == window.step % width
    notes = where(here, event, where(window.notes == event, 0, window.notes))  # (w, B)
    after = Window(window.step + 1, notes)
    return after, where(after.step < width, 0, (notes > 1).sum(0))


@dataclass
class Motif(Recurrence):
    r"""Pays at every step whose last eight events hold a motif: three distinct pitches or more.

    .. math:: 3 + 0.3\,(u - 3) \text{ if } u \ge 3, \text{ else } 0

    with u distinct pitches struck in the last `window` events.

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [0, 4.5].
    Speaks at every step, holds and rests included, from the `window`-th on.

    >>> from musicgym.sequence import listen
    >>> listen(Motif(), [26, 0, 28, 0, 30, 0, 31, 0])[-1]
    3.3
    """

    window: int = 8
    least: int = 3
    found: float = 3.0
    richer: float = 0.3

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_at_least(self, window=1, least=1)

    def start(self, zero: Array, steps: int) -> Window:
        """Return the memory at the start."""
        return opened(zero, self.window)

    def hear(self, memory: Window, event: Array) -> tuple[Window, Array]:
        """Return the memory after an event, and what it pays."""
        after, distinct = moved(memory, event)
        more = where(distinct > 0, distinct - self.least, 0.0)
        return after, where(distinct >= self.least, self.found + self.richer * more, 0.0)
