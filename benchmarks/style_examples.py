"""Examples of styles: human melodies of two corpora, corrupted ones and random ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.corpus.dataset import Corpus, Windows, load
from musicgym.dynamics import Readings, State
from musicgym.replay import begin, episodes_of, walk
from musicgym.reward import Reward
from musicgym.task import Task

from .audit.corruptions import random_pitches, random_rhythm, shuffle_pitches
from .metrics.pieces import Pieces
from .tasks import corpus_windows

__all__ = ["CLASSES", "CORPORA", "HALVES", "Examples", "corpora", "examples", "half"]

Ints = npt.NDArray[np.int64]
#: The classes that are human, and the corpus that shows each.
CORPORA = {"chorale": "chorales", "folk": "folk"}
#: What melodies are told apart as. Corrupted ones are human ones of either kind with one thing
#: destroyed; random ones are drawn evenly from the valid events by the environment's own text.
CLASSES = (*CORPORA, "corrupted", "random")
#: What is destroyed. Wrong chords and a moved melody leave the melody itself as it was.
CORRUPTED = (shuffle_pitches, random_pitches, random_rhythm)
#: Who may learn from a tune: the network of the `style` reward, or the classifier of the metrics.
HALVES = ("reward", "metric")
#: Melodies of a class, at most.
MOST = 1500


class Examples(NamedTuple):
    """Melodies of known class, without their chords.

    Attributes:
        pieces: N melodies.
        style: (N,) places in `CLASSES`.
        tunes: the tune of each, of a random melody that of its chords.
    """

    pieces: Pieces
    style: Ints
    tunes: tuple[str, ...]


def half(tune: str) -> str:
    """Return which of `HALVES` may learn from a tune of a training split.

    >>> half("Bach BWV 1.6") in HALVES
    True
    """
    return HALVES[hashlib.sha256(tune.encode()).digest()[0] % 2]


def corpora(steps_per_beat: int = 2) -> dict[str, Corpus]:
    """Return the corpora of the human classes from the cache; nothing is built.

    Raises:
        CorpusMissing: one of them is not prepared; the message says what to run.
    """
    return {style: load(name, steps_per_beat=steps_per_beat) for style, name in CORPORA.items()}


def examples(
    known: Mapping[str, Corpus],
    task: Task,
    split: str,
    only: str | None = None,
    most: int = MOST,
    seed: int = 0,
) -> Examples:
    """Return melodies of every class, equally many, as many as the smallest corpus has.

    Args:
        known: the corpus of each human class.
        task: gives bars, meter, grid and range.
        split: of the corpora.
        only: one of `HALVES`: only tunes that it may learn from.
        most: melodies of a class, at most; one of each tune is taken before a second.
        seed: of the choice, of the corruptions and of the random melodies.

    Raises:
        ValueError: a corpus has no melody for the task.
    """
    rng = np.random.default_rng(seed)
    both = replace(task, key="natural")  # a style has major and minor melodies
    cuts = {name: corpus_windows(corpus, split, both) for name, corpus in known.items()}
    if only:
        cuts = {
            name: _at(cut, np.flatnonzero([half(tune) == only for tune in cut.tunes]))
            for name, cut in cuts.items()
        }
    for name, cut in cuts.items():
        if not len(cut.events):
            raise ValueError(f"style: no {name} of the split {split!r} falls to the half {only!r}.")
    count = min(most, *(len(cut.events) for cut in cuts.values()))
    human = {name: _spread(cut, count, rng) for name, cut in cuts.items()}
    ways = len(CORRUPTED)
    mixed = _join(
        [_at(cut, np.arange(i, count, len(human))) for i, cut in enumerate(human.values())]
    )
    order = rng.permutation(count)
    corrupted = _join(
        [change(_at(mixed, order[i::ways]), task, (seed, i)) for i, change in enumerate(CORRUPTED)]
    )
    drawn = mixed._replace(events=_random_play(mixed, task, rng))
    parts = [*human.values(), corrupted, drawn]
    style = np.repeat(np.arange(len(parts)), [len(part.events) for part in parts])
    whole = _join(parts)
    return Examples(_pieces(whole, task), style, whole.tunes)


def _random_play(cut: Windows, task: Task, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return melodies of valid events, each as likely, over the chords of windows."""
    c, state = begin(episodes_of(cut, task), task, Readings(), task.steps_per_beat)

    def choose(step: int, now: State) -> Ints:
        least = np.where(now.ringing, 0, 1)  # a hold needs a note that sounds
        return rng.integers(least, task.n_events)

    events, _ = walk(c, state, choose, task.steps, Reward((), Readings()))
    return events.astype(np.uint8)


def _pieces(cut: Windows, task: Task) -> Pieces:
    """Return windows without their chords."""
    return Pieces(
        cut.events.astype(np.int64),
        np.full(len(cut.events), task.low),
        np.where(cut.modes == 1, 9, 0),
        cut.modes == 1,
        np.zeros(cut.events.shape, np.int64),
        task.meter,
        task.steps_per_beat,
    )


def _spread(cut: Windows, count: int, rng: np.random.Generator) -> Windows:
    """Return so many windows at random, one of each tune before a second."""
    order = rng.permutation(len(cut.events))
    seen: dict[str, int] = {}
    turns = []
    for place in order:
        turns.append(seen.setdefault(cut.tunes[place], 0))
        seen[cut.tunes[place]] += 1
    return _at(cut, order[np.argsort(turns, kind="stable")][:count])


def _at(cut: Windows, places: npt.ArrayLike) -> Windows:
    """Return some of the windows."""
    some = np.asarray(places, dtype=np.int64)
    return Windows(
        cut.events[some],
        cut.roots[some],
        cut.codes[some],
        cut.modes[some],
        tuple(cut.tunes[i] for i in some),
        tuple(cut.names[i] for i in some),
    )


def _join(cuts: Sequence[Windows]) -> Windows:
    """Return windows of one length as one."""
    return Windows(
        np.concatenate([cut.events for cut in cuts]),
        np.concatenate([cut.roots for cut in cuts]),
        np.concatenate([cut.codes for cut in cuts]),
        np.concatenate([cut.modes for cut in cuts]),
        tuple(tune for cut in cuts for tune in cut.tunes),
        tuple(name for cut in cuts for name in cut.names),
    )
