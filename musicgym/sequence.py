"""Sequence terms as recurrences: a memory, and how an event changes it and pays.

The text is written once and runs on NumPy arrays and on torch tensors. The batch is the last axis
of every array of a memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .dynamics import Episodes
from .reward import SequenceTerm
from .select import Array, where

__all__ = ["Recurrence", "check_at_least", "counting", "listen"]

#: A named tuple of arrays, the batch last.
Memory = Any


class Recurrence(SequenceTerm):
    """A sequence term that says what it remembers at the start and how it hears an event.

    A subclass writes `start` and `hear` with operators, `where`, ``.any(0)`` and ``.sum(0)``; the
    rest (batches, environments that start again or wait) is done here. It is pure but for its
    memory, so a new array is made at every step.
    """

    _memory: Memory = None

    def start(self, zero: Array, steps: int) -> Memory:
        """Return the memory at the start of melodies of so many steps; `zero` is int64 (B,)."""
        raise NotImplementedError

    def hear(self, memory: Memory, event: Array) -> tuple[Memory, Array]:
        """Return the memory after an event int64 (B,), and what it pays (B,)."""
        raise NotImplementedError

    def heeds(self, event: Array) -> Array:
        """Tell which events count (B,); the others change nothing and pay 0."""
        return event >= 0

    def begin(self, episodes: Episodes, which: Array) -> None:
        """Start the melodies where the mask `which` bool (B,) holds."""
        fresh = self.start(episodes.key * 0, episodes.roots.shape[1])
        before = self._memory
        same = before is not None and all(
            a.shape == b.shape and a.device == b.device for a, b in zip(fresh, before, strict=True)
        )
        self._memory = _chosen(which, fresh, before) if same else fresh

    def pay(self, events: Array) -> Array:
        """Return raw values (B,) of the events int64 (B,) of a step; -1 where none is played."""
        heeded = self.heeds(events)
        memory, value = self.hear(self._memory, events)
        if isinstance(heeded, np.ndarray) and heeded.all():  # a tensor would have to be waited for
            self._memory = memory
            return value
        self._memory = _chosen(heeded, memory, self._memory)
        return where(heeded, value, 0.0)


def _chosen(mask: Array, new: Memory, old: Memory) -> Memory:
    """Return the new memory where the mask (B,) holds and the old one elsewhere."""
    return type(new)(*(where(mask, a, b) for a, b in zip(new, old, strict=True)))


def counting(n: int, like: Array) -> Array:
    """Return 0 to n - 1 as int64 (n, 1), to be compared with arrays (B,) of the kind of `like`."""
    if isinstance(like, np.ndarray):
        return np.arange(n)[:, None]
    import torch

    return torch.arange(n, device=like.device)[:, None]


def listen(term: SequenceTerm, events: Sequence[int]) -> list[float]:
    """Return what a sequence term pays at each event of one whole melody, to 9 decimals.

    >>> from musicgym.rewards.unique_extremes import UniqueExtremes
    >>> listen(UniqueExtremes(), [26, 28, 26, 24])
    [0.0, 0.0, 0.0, 6.0]
    """
    one, none = np.zeros(1, np.int64), np.zeros((1, len(events)), np.int64)
    term.begin(Episodes(one, one, none, none, none, one), one == 0)
    return [round(float(term.pay(np.array([event]))[0]), 9) for event in events]


def check_at_least(term: object, **least: int) -> None:
    """Raise a ValueError where a field of a term is below its least value."""
    for name, value in least.items():
        if getattr(term, name) < value:
            raise ValueError(
                f"{type(term).__name__}: {name}={getattr(term, name)!r} is below {value}."
            )
