"""RL Tuner: melodies that repeat themselves at short distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from musicgym.select import Array, where
from musicgym.sequence import Recurrence


class Sums(NamedTuple):
    """Whole numbers (B,) from which the coefficients follow exactly, whatever the length."""

    count: Array
    total: Array  # of x
    square: Array  # of x^2
    last1: Array  # the latest value, 0 where there is none
    last2: Array
    last3: Array
    first1: Array  # the sum of the first value
    first2: Array  # of the first two
    first3: Array
    lagged1: Array  # the sum of products of values 1 apart
    lagged2: Array
    lagged3: Array


@dataclass
class Autocorrelation(Recurrence):
    r"""Takes for pitches that correlate with those one, two or three notes before.

    .. math:: -3 \sum_{k=1}^{3} |r_k| \, [|r_k| > 0.15], \quad
        r_k = \sum_t (x_t - \bar x)(x_{t+k} - \bar x) / \sum_t (x_t - \bar x)^2

    over all notes struck so far.

    Reference: RL Tuner (Jaques et al. 2016, arXiv 1611.02796) and its public code. Range: [-9, 0].
    Speaks where a note is struck. Silent on: holds and rests; as long as all pitches are equal.
    Departs from it: a held note is one value. ``literal=True`` takes every event for a value, a
    hold as 0 and a rest as 1, and speaks at every step, as the code does.

    >>> from musicgym.sequence import listen
    >>> listen(Autocorrelation(), [26, 0, 28, 26])  # r_1 = -1/2, then -2/3 and r_2 = 1/6
    [0.0, 0.0, -1.5, -2.5]
    """

    per_unit: float = -3.0
    threshold: float = 0.15
    literal: bool = False

    def heeds(self, event: Array) -> Array:
        """Tell which events are values."""
        return event >= 0 if self.literal else event > 1

    def start(self, zero: Array, steps: int) -> Sums:
        """Return the memory at the start."""
        return Sums(*[zero] * len(Sums._fields))

    def hear(self, memory: Sums, event: Array) -> tuple[Sums, Array]:
        """Return the memory after an event, and what it pays."""
        s, x = memory, event
        after = Sums(
            count=s.count + 1,
            total=s.total + x,
            square=s.square + x * x,
            last1=x,
            last2=s.last1,
            last3=s.last2,
            first1=s.first1 + where(s.count < 1, x, 0),
            first2=s.first2 + where(s.count < 2, x, 0),
            first3=s.first3 + where(s.count < 3, x, 0),
            lagged1=s.lagged1 + x * s.last1,
            lagged2=s.lagged2 + x * s.last2,
            lagged3=s.lagged3 + x * s.last3,
        )
        n, total = after.count, after.total
        spread = n * (n * after.square - total * total)  # n^2 times the sum of squares
        some = spread > 0
        divisor = where(some, spread, 1.0)
        ends1 = after.first1 + after.last1
        ends2 = after.first2 + after.last1 + after.last2
        ends3 = after.first3 + after.last1 + after.last2 + after.last3

        def share(k: int, ends: Array, lagged: Array) -> Array:
            # sum (x - mean)(y - mean) over the n - k pairs (x, y), times n^2
            together = n * n * lagged - n * total * (total + total - ends) + (n - k) * total * total
            r = abs(where(some & (n > k), together, 0.0) / divisor)
            return where(r > self.threshold, self.per_unit * r, 0.0)

        paid = share(1, ends1, after.lagged1) + share(2, ends2, after.lagged2)
        return after, paid + share(3, ends3, after.lagged3)
