"""Splitting a corpus by tune, so that no melody of the test set was trained on.

Composers set one hymn tune many times, so pieces are grouped by tune first and the groups are
split. Two pieces share a tune if their openings are equal but for one note, if they share a long
run of intervals anywhere (both blind to rhythm, transposition and repeated notes), or if eight
bars of the one sound like eight bars of the other, ornaments aside.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from musicgym.events import FIRST_NOTE, HOLD, REST

__all__ = ["SPLITS", "assign", "group_tunes", "likeness"]

SPLITS = ("train", "validation", "test")

#: The share of the pieces in the validation set, and again in the test set.
SHARE = 0.1

#: Notes of an opening that are compared, and notes in a run that two tunes do not share by chance.
OPENING, RUN = 12, 15

#: Eight bars in which more than this share of the time has the same pitch are the same tune.
#: Among the chorales, variants of one tune lie above and unlike tunes below.
ALIKE, BARS = 0.6, 8


def _line(events: Sequence[int]) -> list[int]:
    """Return the pitches struck, repeated notes once."""
    notes = [event for event in events if event >= FIRST_NOTE]
    return [p for i, p in enumerate(notes) if i == 0 or p != notes[i - 1]]


def _intervals(line: Sequence[int]) -> tuple[int, ...]:
    return tuple(b - a for a, b in zip(line, line[1:], strict=False))


def _marks(line: list[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield what two pieces must have in common, any one of them, to be the same tune."""
    opening = line[:OPENING]
    if len(opening) < OPENING:  # too short for a tolerance: everything is one note from it
        yield "whole", _intervals(opening)
        return
    # Openings that differ by one note are equal once that note is left out of both.
    for i in range(len(opening)):
        yield "opening", _intervals(opening[:i] + opening[i + 1 :])
    for i in range(len(line) - RUN + 1):
        yield "run", _intervals(line[i : i + RUN])


def group_tunes(
    melodies: Sequence[Sequence[int]], names: Sequence[str], steps_per_bar: Sequence[int]
) -> list[str]:
    """Return the tune of each melody (its events), equal for those that share a tune.

    The tune is named after its first piece in alphabetical order. The time grows with the square
    of the number of bars, some 10 s for 20,000 bars.

    >>> a, b = [2, 4, 6, 7, 9, 7, 6, 4, 2, 4], [9, 0, 9, 11, 13, 14, 16, 14, 13, 11, 9, 11]
    >>> group_tunes([a, b, [2, 3, 2]], ["one", "two", "three"], [8, 8, 8])
    ['one', 'one', 'three']
    """
    parent = list(range(len(melodies)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, tuple[int, ...]], int] = {}
    for i, events in enumerate(melodies):
        for mark in _marks(_line(events)):
            parent[root(i)] = root(first.setdefault(mark, i))
    for i, j in _alike(melodies, steps_per_bar):
        parent[root(i)] = root(j)
    title: dict[int, str] = {}
    for i in sorted(range(len(names)), key=lambda i: names[i]):
        title.setdefault(root(i), names[i])
    return [title[root(i)] for i in range(len(names))]


def _alike(
    melodies: Sequence[Sequence[int]], steps_per_bar: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of melodies that sound alike for eight bars, in bars of one width."""
    for width in sorted(set(steps_per_bar)):
        cuts, owners = [], []
        for i, events in enumerate(melodies):
            if steps_per_bar[i] == width:
                heard = _sounding(np.asarray(events)[None])[0]
                for start in range(0, len(heard) - BARS * width + 1, width):
                    cuts.append(heard[start : start + BARS * width])
                    owners.append(i)
        if not cuts:
            continue
        table, owner = np.array(cuts), np.array(owners)
        for cut, i in zip(table, owners, strict=True):
            equal = (table == np.where(cut == REST, HOLD, cut)).mean(axis=1)
            yield from ((i, int(j)) for j in set(owner[equal > ALIKE].tolist()) if j < i)


def _sounding(events: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return (N, T): at each step the last event that was no hold (a rest if there is none)."""
    steps = np.arange(events.shape[1])
    last = np.maximum.accumulate(np.where(events != HOLD, steps, -1), axis=1)
    heard = np.take_along_axis(events, np.maximum(last, 0), axis=1)
    return np.where((last < 0) | (heard == HOLD), REST, heard)


def likeness(events: NDArray[np.integer], others: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return (N,): for each melody (N, T), the most it has in common with one of `others` (M, T).

    What two melodies have in common is the share of the steps at which the same pitch sounds.
    A test set that leaks has values near 1 against the training set.

    >>> likeness(np.array([[2, 0, 4, 0]]), np.array([[2, 0, 0, 0], [7, 0, 0, 0]]))
    array([0.5])
    """
    table = _sounding(np.asarray(others))
    rows = _sounding(np.asarray(events))
    return np.array(
        [(table == np.where(row == REST, HOLD, row)).mean(axis=1).max() for row in rows]
    )


def assign(tunes: Sequence[str]) -> dict[str, str]:
    """Return tune -> split, given the tune of every piece.

    The tunes are taken in the order of a hash of their names, so the result depends on nothing
    else. Each of test and validation gets about a tenth of the pieces in whole tunes, and at
    least one tune where there are three; the rest is for training.

    >>> sorted(assign(["a", "b", "c", "c"]).values())
    ['test', 'train', 'validation']
    """
    sizes = Counter(tunes)
    order = sorted(sizes, key=lambda tune: hashlib.sha256(tune.encode()).hexdigest())
    split = dict.fromkeys(order, "train")
    if len(order) < 3:
        return split
    target = max(1, round(SHARE * len(tunes)))
    for side, spare in (("test", 2), ("validation", 1)):  # tunes left for the other sides
        free = [tune for tune in order if split[tune] == "train"]
        fitting = (t for t in free if sizes[t] <= target)
        chosen = [next(fitting, min(free, key=lambda tune: sizes[tune]))]
        for tune in fitting:
            taken = sum(sizes[t] for t in chosen)
            if taken + sizes[tune] <= target and len(chosen) < len(free) - spare:
                chosen.append(tune)
        split.update(dict.fromkeys(chosen, side))
    return split
