"""Pairs of melodies to be compared: over the same chords where there are such, equally long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from musicgym.melody import Melody

__all__ = ["Paired", "cut", "pair_up"]


class Paired(NamedTuple):
    """What is compared.

    Attributes:
        pairs: a melody of each system.
        matched: how many of the pairs, the first ones drawn, are over the same chords.
    """

    pairs: tuple[tuple[Melody, Melody], ...]
    matched: int


def pair_up(
    first: Sequence[Melody], second: Sequence[Melody], count: int, seed: int, bars: int = 8
) -> Paired:
    """Draw pairs of a melody of each of two systems; no melody is in two pairs.

    Melodies over the same chords in the same key are drawn first; the pairs that are then missing
    are of melodies of one meter and grid. Both melodies of a pair are equally long, so that they
    are not told apart by their length, and differ.

    Args:
        first: the melodies of one system.
        second: those of the other.
        count: pairs at most.
        seed: fixes the draw and the order.
        bars: longer melodies are cut after so many.

    Raises:
        ValueError: count or bars is below 1, or there is no pair.
    """
    if count < 1 or bars < 1:
        raise ValueError(f"pairs: {count!r}, or bars: {bars!r}, is not 1 or more.")
    rng = np.random.default_rng(seed)
    sides = [[_cut_to(melody, bars) for melody in side] for side in (first, second)]
    left = [list(rng.permutation(len(side))) for side in sides]
    pairs: list[tuple[Melody, Melody]] = []
    matched = 0
    for same in (_chords, _grid):
        pairs += _drawn(sides, left, same, count - len(pairs))
        matched = matched if same is _grid else len(pairs)
    if not pairs:
        raise ValueError(
            "listen: there is no pair: the two systems have no melodies of one meter and grid "
            "that differ and have a note."
        )
    return Paired(tuple(pairs[i] for i in rng.permutation(len(pairs))), matched)


def _drawn(
    sides: Sequence[Sequence[Melody]], left: list[list[int]], same: Any, count: int
) -> list[tuple[Melody, Melody]]:
    """Draw at most so many pairs that are the same in something; take what is used from `left`."""
    partners: dict[Any, list[int]] = defaultdict(list)
    for j in left[1]:
        partners[same(sides[1][j])].append(j)
    pairs: list[tuple[Melody, Melody]] = []
    for i in list(left[0]):
        if len(pairs) == count:
            break
        melody = sides[0][i]
        for j in partners[same(melody)]:
            one, other = _equally_long(melody, sides[1][j])
            if one.notes() and other.notes() and one.notes() != other.notes():
                pairs.append((one, other))
                partners[same(melody)].remove(j)
                left[0].remove(i)
                left[1].remove(j)
                break
    return pairs


def _chords(melody: Melody) -> Any:
    return (_grid(melody), melody.key.tonic, melody.key.minor, len(melody.events), *melody.spans())


def _grid(melody: Melody) -> tuple[str, int]:
    return melody.meter, melody.steps_per_beat


def _equally_long(one: Melody, other: Melody) -> tuple[Melody, Melody]:
    steps = min(len(one.events), len(other.events))
    bars = max(1, steps // one.steps_per_bar)
    return _cut_to(one, bars), _cut_to(other, bars)


def _cut_to(melody: Melody, bars: int) -> Melody:
    return cut(melody, min(len(melody.events), bars * melody.steps_per_bar))


def cut(melody: Melody, steps: int) -> Melody:
    """Return the first steps of a melody, with a chord a step where a longer one would be cut.

    >>> from musicgym.theory import Chord, Key
    >>> melody = Melody((2, 0, 4, 0), 60, Key.parse("C major"), (Chord(0, ""), Chord(7, "")))
    >>> cut(melody, 3).events, [chord.symbol() for chord in cut(melody, 3).chords]
    ((2, 0, 4), ['C', 'C', 'G'])
    """
    if steps % melody.steps_per_chord:
        chords = tuple(c for c in melody.chords for _ in range(melody.steps_per_chord))[:steps]
    else:
        chords = melody.chords[: steps // melody.steps_per_chord]
    return replace(melody, events=melody.events[:steps], chords=chords)
