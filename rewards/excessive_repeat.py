"""RL Tuner: notes that are repeated too often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from musicgym.select import Array, where
from musicgym.sequence import Recurrence, check_at_least


class Run(NamedTuple):
    """The run of equal notes that goes on (B,)."""

    note: Array  # the event that strikes it, -1 before the first
    count: Array
    apart: Array  # bool: a hold or a rest came after its first note
    rests: Array  # rests since the last note
    holds: Array  # holds since the last note


@dataclass
class ExcessiveRepeat(Recurrence):
    r"""Takes for striking one note too often in a row, and for resting too long.

    .. math:: -100 \text{ from the 6th equal note in a row on; from the 8th where holds or rests
        lie between; from the 3rd rest in a row}

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code.
    Range: [-100, 0]. Silent on: holds, the first `max_rests` rests.
    Departs from it: a held note is one note. ``literal=True`` counts as the code does: each hold
    of a note after the `max_run`-th is a repetition too, and holds or rests before the first note
    of a run count as between its notes.

    >>> from musicgym.sequence import listen
    >>> listen(ExcessiveRepeat(), [26] * 6)
    [0.0, 0.0, 0.0, 0.0, 0.0, -100.0]
    """

    repeated: float = -100.0
    max_run: int = 5
    max_apart: int = 7
    max_rests: int = 2
    literal: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_at_least(self, max_run=1, max_apart=1, max_rests=0)

    def start(self, zero: Array, steps: int) -> Run:
        """Return the memory at the start."""
        return Run(note=zero - 1, count=zero, apart=zero > 0, rests=zero, holds=zero)

    def hear(self, memory: Run, event: Array) -> tuple[Run, Array]:
        """Return the memory after an event, and what it pays."""
        struck, rest, hold = event > 1, event == 1, event == 0
        same = event == memory.note
        between = memory.rests + memory.holds > 0
        after = Run(
            note=where(struck, event, memory.note),
            count=where(same, memory.count + 1, where(struck, 1, memory.count)),
            apart=where(
                same, memory.apart | between, where(struck, between & self.literal, memory.apart)
            ),
            rests=where(struck, 0, memory.rests + where(rest, 1, 0)),
            holds=where(struck, 0, memory.holds + where(hold, 1, 0)),
        )
        most = where(after.apart, self.max_apart, self.max_run)
        too_often = struck & (after.count > most)
        too_long = (rest & (after.rests > self.max_rests)) | (
            hold & (after.holds > self.max_run) & self.literal
        )
        return after, where(too_often | too_long, self.repeated, 0.0)
