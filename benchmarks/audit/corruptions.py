"""Corrupted copies of melodies over chords: what a reward of music should like less.

Each corruption takes windows, their task and a seed, and returns windows of the same shape; it
touches one thing and keeps the rest. Equal seeds give equal copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from musicgym.corpus.dataset import Windows
from musicgym.events import FIRST_NOTE, HOLD
from musicgym.task import Task

__all__ = [
    "CORRUPTIONS",
    "random_pitches",
    "random_rhythm",
    "shuffle_pitches",
    "strike_again",
    "swap_chords",
    "transpose_melody",
]

Seed = int | Sequence[int]
Events = npt.NDArray[np.int64]


def swap_chords(cut: Windows, task: Task, seed: Seed) -> Windows:
    """Give each melody the chords of a window of another tune, in the same mode if there is one.

    Raises:
        ValueError: all windows are of one tune.
    """
    rng = np.random.default_rng(seed)
    tunes = np.array(cut.tunes)
    order = rng.permuted(np.tile(np.arange(len(tunes)), (len(tunes), 1)), axis=1)  # (N, N)
    other = tunes[order] != tunes[:, None]
    if not other.any():
        raise ValueError(
            "audit: the windows are of one tune only, and wrong chords are those of another; take "
            "another split or fewer bars."
        )
    alike = cut.modes[order] == cut.modes[:, None]
    taken = np.take_along_axis(order, (2 * other + (other & alike)).argmax(1)[:, None], 1)[:, 0]
    return cut._replace(roots=cut.roots[taken], codes=cut.codes[taken])


def shuffle_pitches(cut: Windows, task: Task, seed: Seed) -> Windows:
    """Permute the struck pitches of each melody among its onsets."""
    rng = np.random.default_rng(seed)
    return _each(cut, lambda notes, events: _put(events, notes, rng.permutation(events[notes])))


def random_pitches(cut: Windows, task: Task, seed: Seed) -> Windows:
    """Draw each struck pitch evenly from the lowest to the highest of its own melody, all keys."""
    rng = np.random.default_rng(seed)

    def draw(notes: Events, events: Events) -> Events:
        least, most = events[notes].min(), events[notes].max()
        return _put(events, notes, rng.integers(least, most + 1, len(notes)))

    return _each(cut, draw)


def random_rhythm(cut: Windows, task: Task, seed: Seed) -> Windows:
    """Strike the same pitches in the same order at random steps, each held until the next.

    The first onset stays where it is. Rests after it become holds.
    """
    rng = np.random.default_rng(seed)

    def place(notes: Events, events: Events) -> Events:
        first = notes[0]
        later = rng.permutation(np.arange(first + 1, len(events)))[: len(notes) - 1]
        held = np.where(np.arange(len(events)) > first, HOLD, events)
        return _put(held, np.concatenate([[first], np.sort(later)]), events[notes])

    return _each(cut, place)


def transpose_melody(cut: Windows, task: Task, seed: Seed) -> Windows:
    """Move each melody, not its chords, by 1 to 6 semitones up or down, within the task's range.

    A melody that fills the whole range stays as it is.
    """
    rng = np.random.default_rng(seed)

    def move(notes: Events, events: Events) -> Events:
        least, most = events[notes].min(), events[notes].max()
        fitting = [
            by
            for by in (*range(-6, 0), *range(1, 7))
            if least + by >= FIRST_NOTE and most + by < task.n_events
        ]
        return _put(events, notes, events[notes] + (rng.choice(fitting) if fitting else 0))

    return _each(cut, move)


def strike_again(cut: Windows, task: Task, seed: Seed, every: bool = False) -> Windows:
    """Strike a held note again, at one random step of each melody, or at every held step.

    A melody without a held step stays as it is.
    """
    rng = np.random.default_rng(seed)

    def strike(notes: Events, events: Events) -> Events:
        last = np.maximum.accumulate(np.where(events == HOLD, -1, np.arange(len(events))))
        held = np.flatnonzero((events == HOLD) & (last >= 0))
        held = held[events[last[held]] >= FIRST_NOTE]
        some = held if every or not len(held) else rng.choice(held, 1)
        return _put(events, some, events[last[some]])

    return _each(cut, strike)


#: The corruptions of the audit under the names of its columns.
CORRUPTIONS: dict[str, Callable[[Windows, Task, Seed], Windows]] = {
    "wrong chords": swap_chords,
    "shuffled pitches": shuffle_pitches,
    "random pitches": random_pitches,
    "random rhythm": random_rhythm,
    "transposed": transpose_melody,
}


def _each(cut: Windows, change: Callable[[Events, Events], Events]) -> Windows:
    """Return windows with each melody changed, given the steps of its onsets and its events."""
    melodies = cut.events.astype(np.int64)
    changed = [change(np.flatnonzero(row >= FIRST_NOTE), row) for row in melodies]
    return cut._replace(events=np.array(changed, dtype=np.uint8))


def _put(events: Events, steps: Events, values: Events) -> Events:
    """Return events with others at some steps."""
    changed = events.copy()
    changed[steps] = values
    return changed
