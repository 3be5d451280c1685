"""RL Tuner: motifs that come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from musicgym.select import Array, where
from musicgym.sequence import Recurrence, check_at_least, counting

from .motif import Window, moved, opened


class Past(NamedTuple):
    """The last events, and all that was played before them."""

    step: Array  # (B,) events so far
    notes: Array  # (w, B) see `Window`
    last: Array  # (B,) the last w events as one number, a byte each
    before: Array  # (B,) the w events before those
    windows: Array  # (R, B) all windows so far that the last one does not overlap


@dataclass
class RepeatedMotif(Recurrence):
    r"""Pays at every step whose last eight events were played before, if they hold a motif.

    .. math:: 4 + (u - 3) \text{ if } u \ge 3 \text{ and the window was played before, else } 0

    with u distinct pitches struck in the last `window` events. The two windows are equal event by
    event, holds and rests included, and do not overlap.

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [0, 9].
    Speaks at every step from the second `window` on.

    >>> from musicgym.sequence import listen
    >>> listen(RepeatedMotif(), 2 * [26, 0, 28, 0, 30, 0, 31, 0])[-2:]
    [0.0, 5.0]
    """

    window: int = 8
    least: int = 3
    found: float = 4.0
    richer: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers: the events of a window are the bytes of a whole number."""
        check_at_least(self, window=1, least=1)
        if self.window > 8:
            raise ValueError(f"RepeatedMotif: window={self.window!r} is above 8.")

    def start(self, zero: Array, steps: int) -> Past:
        """Return the memory at the start; the byte 255 stands for no event."""
        empty, window = zero - 1, opened(zero, self.window)
        rows = max(steps - 2 * self.window + 1, 1)
        return Past(*window, last=empty, before=empty, windows=empty + 0 * counting(rows, zero))

    def hear(self, memory: Past, event: Array) -> tuple[Past, Array]:
        """Return the memory after an event, and what it pays."""
        m = memory
        window, distinct = moved(Window(m.step, m.notes), event)
        bits = 8 * self.window
        every = -1 if bits == 64 else 2**bits - 1
        before = (m.before << 8 | m.last >> (bits - 8) & 255) & every
        last = (m.last << 8 | event) & every
        row = m.step - (2 * self.window - 1)  # from there on `before` is a whole window
        now = counting(len(m.windows), event) == row
        windows = where(now, before, m.windows)  # (R, B)
        again = (windows == last).any(0)
        more = where(again, distinct - self.least, 0.0)
        paid = where(again & (distinct >= self.least), self.found + self.richer * more, 0.0)
        return Past(*window, last, before, windows), paid
