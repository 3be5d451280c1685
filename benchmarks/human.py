"""The human melodies that likeness and diversity are measured against, and equal draws of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from musicgym.corpus.dataset import LOW, Corpus, Windows
from musicgym.corpus.splits import SPLITS
from musicgym.events import FIRST_NOTE
from musicgym.task import Task, chord_masks

from .features import features
from .metrics.metric import Floats
from .metrics.pieces import Pieces
from .tasks import corpus_windows

__all__ = [
    "Counts",
    "Human",
    "Sample",
    "apart",
    "draw",
    "equal_counts",
    "first",
    "spread",
    "squared_distances",
]

Ints = npt.NDArray[np.int64]
#: How many melodies in major and in minor.
Counts = tuple[int, int]

#: The least standard deviation that a feature is divided by, so that a bin which training melodies
#: hardly ever use does not outweigh all others. In the feature's own unit.
LEAST_DEVIATION = 0.02
#: Training windows that the kernel's width is taken from, at most.
MOST_FOR_WIDTH = 1000


class Sample(NamedTuple):
    """N melodies as numbers.

    Attributes:
        features: (N, 42), see `musicgym.benchmarks.features.features`.
        vectors: (N, 42) the features, standardised by the training windows.
        tunes: (N,) numbers; melodies of one tune, or over the chords of one tune, are not
            independent. Those over chords of no known tune have numbers below 0, one for each
            progression.
        minor: (N,) whether the mode is minor.
    """

    features: Floats
    vectors: Floats
    tunes: Ints
    minor: npt.NDArray[np.bool_]

    def at(self, index: Ints) -> Sample:
        """Return some of the melodies."""
        return Sample(
            self.features[index], self.vectors[index], self.tunes[index], self.minor[index]
        )

    @property
    def counts(self) -> Counts:
        """How many are in major and in minor."""
        return int((~self.minor).sum()), int(self.minor.sum())


@dataclass(frozen=True)
class Human:
    """The human melodies of a task: built once, read by `likeness`, `floors` and `diversity`.

    Scales and the kernel's width see training windows only.

    Attributes:
        pieces: the windows of the reference split.
        sample: the same as numbers.
        windows: the windows of all splits.
        everyone: the same as numbers; floors are taken over them.
        centre: (42,) means of the features over the training windows.
        scale: (42,) their standard deviations, 0.02 at the least.
        width: the kernel's width, the median distance between two training windows.
        training: the struck pitches of each training piece.
        reference: the struck pitches of each piece of the reference split.
    """

    pieces: Pieces
    sample: Sample
    windows: Pieces
    everyone: Sample
    centre: Floats
    scale: Floats
    width: float
    training: tuple[Ints, ...]
    reference: tuple[Ints, ...]

    @staticmethod
    def of(corpus: Corpus, task: Task, split: str = "test") -> Human:
        """Gather the human melodies of a corpus for a task.

        Args:
            corpus: pieces and their split by tune.
            task: gives bars, meter, grid and range; the chords are the corpus's own.
            split: the reference, ``"validation"`` for choices and ``"test"`` for the final figures.

        Raises:
            ValueError: the training or the reference split has no melody for the task.
        """
        cuts = {name: corpus_windows(corpus, name, task) for name in ("train", split)}
        for name in SPLITS:
            try:
                cuts.setdefault(name, corpus_windows(corpus, name, task))
            except ValueError:  # a small corpus: the floors do without this split
                continue
        names = sorted({tune for cut in cuts.values() for tune in cut.tunes})
        number = {tune: i for i, tune in enumerate(names)}
        pieces = {name: _pieces(cut, task) for name, cut in cuts.items()}
        found = {name: features(batch) for name, batch in pieces.items()}
        centre = found["train"].mean(0)
        scale = np.maximum(found["train"].std(0), LEAST_DEVIATION)
        samples = {
            name: Sample(
                found[name],
                (found[name] - centre) / scale,
                np.array([number[tune] for tune in cut.tunes]),
                pieces[name].minor,
            )
            for name, cut in cuts.items()
        }
        return Human(
            pieces=pieces[split],
            sample=samples[split],
            windows=join(list(pieces.values())),
            everyone=Sample(*map(np.concatenate, zip(*samples.values(), strict=True))),
            centre=centre,
            scale=scale,
            width=_width(samples["train"].vectors),
            training=_lines(corpus, "train"),
            reference=_lines(corpus, split),
        )

    def even(self) -> Ints:
        """Return the places of reference windows, as many in major as in minor, tune by tune.

        Systems play both modes evenly, so this is the human row beside them. All windows where the
        reference has one mode only.
        """
        order = by_turns(self.sample, np.random.default_rng(0))
        least = min(self.sample.counts)
        if not least:
            return np.sort(order)
        minor = self.sample.minor[order]
        return np.sort(np.concatenate([order[minor == mode][:least] for mode in (False, True)]))

    def read(self, pieces: Pieces) -> Sample:
        """Return melodies as numbers; each belongs to the tune whose chords it was played over."""
        found = features(pieces)
        keys = _progressions(pieces)
        tunes = [self._tune.get(key, -1 - crc32(key[1], key[0])) for key in keys]
        return Sample(
            found,
            (found - self.centre) / self.scale,
            np.array(tunes, dtype=np.int64),
            np.asarray(pieces.minor),
        )

    @cached_property
    def _tune(self) -> dict[tuple[bool, bytes], int]:
        """The tune of each progression of the reference split."""
        return dict(zip(_progressions(self.pieces), self.sample.tunes.tolist(), strict=True))


def _pieces(cut: Windows, task: Task) -> Pieces:
    masks = chord_masks(cut.roots.astype(np.int64), cut.codes.astype(np.int64))
    return Pieces(
        cut.events.astype(np.int64),
        np.full(len(cut.events), task.low),
        np.where(cut.modes == 1, 9, 0),
        cut.modes == 1,
        np.repeat(masks, task.steps_per_beat, axis=1),
        task.meter,
        task.steps_per_beat,
    )


def join(batches: Sequence[Pieces]) -> Pieces:
    """Return batches of one length, meter and grid as one."""
    return replace(
        batches[0],
        events=np.concatenate([batch.events for batch in batches]),
        low=np.concatenate([batch.low for batch in batches]),
        tonic=np.concatenate([batch.tonic for batch in batches]),
        minor=np.concatenate([batch.minor for batch in batches]),
        masks=np.concatenate([batch.masks for batch in batches]),
    )


def some(pieces: Pieces, places: Ints) -> Pieces:
    """Return some of the melodies."""
    return replace(
        pieces,
        events=pieces.events[places],
        low=pieces.low[places],
        tonic=pieces.tonic[places],
        minor=pieces.minor[places],
        masks=pieces.masks[places],
    )


def _lines(corpus: Corpus, split: str) -> tuple[Ints, ...]:
    """Return the struck pitches of each piece of a split."""
    events = (np.array(piece.events) for piece in corpus.of(split))
    return tuple(line[line >= FIRST_NOTE] + LOW - FIRST_NOTE for line in events)


def _width(vectors: Floats) -> float:
    """Return the median distance of two vectors, 1 if they are all the same."""
    some = vectors[:: -(-len(vectors) // MOST_FOR_WIDTH)]
    apart = np.sqrt(squared_distances(some, some)[np.triu_indices(len(some), 1)])
    return float(np.median(apart)) if apart.any() else 1.0


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Return the squared Euclidean distances (N, M) of vectors (N, F) and (M, F)."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.asarray(np.maximum(squares, 0.0))  # no negative rounding error


def _progressions(pieces: Pieces) -> list[tuple[bool, bytes]]:
    """Return the mode and the chords above the tonic, as a key to look up."""
    tonic = pieces.tonic[:, None]
    masks = (pieces.masks >> tonic | pieces.masks << (12 - tonic)) & 0xFFF
    return [(bool(m), row.tobytes()) for m, row in zip(pieces.minor, masks, strict=True)]


def equal_counts(a: Sample, b: Sample) -> Counts:
    """Return how many melodies of each mode both have."""
    return min(a.counts[0], b.counts[0]), min(a.counts[1], b.counts[1])


def choose(minor: npt.NDArray[np.bool_], counts: Counts, rng: np.random.Generator) -> Ints:
    """Return the places of melodies at random, so many of each mode, or all there are."""
    parts = [rng.permutation(np.flatnonzero(minor == m))[:c] for m, c in enumerate(counts)]
    return np.concatenate(parts)


def draw(sample: Sample, counts: Counts, rng: np.random.Generator) -> Sample:
    """Return melodies of a sample at random, so many of each mode, or all there are."""
    return sample.at(choose(sample.minor, counts, rng))


def by_turns(sample: Sample, rng: np.random.Generator) -> Ints:
    """Return the places of the melodies, at random, one of each tune and mode before a second."""
    order = rng.permutation(len(sample.tunes))
    turn = _turn(2 * sample.tunes[order] + sample.minor[order])
    return np.asarray(order[np.argsort(turn, kind="stable")])


def spread(sample: Sample, counts: Counts, rng: np.random.Generator) -> Sample:
    """Return so many melodies of each mode, or all there are, one of each tune before a second."""
    return first(sample.at(by_turns(sample, rng)), counts)


def first(sample: Sample, counts: Counts) -> Sample:
    """Return the first melodies of a sample, so many of each mode, or all there are."""
    parts = [np.flatnonzero(sample.minor == minor)[:c] for minor, c in enumerate(counts)]
    return sample.at(np.concatenate(parts))


def _turn(tunes: Ints) -> Ints:
    """Return how many of the same tune stand before each (N,)."""
    order = np.argsort(tunes, kind="stable")
    starts = np.r_[True, np.diff(tunes[order]) != 0] if len(tunes) else np.empty(0, np.bool_)
    place = np.arange(len(tunes))
    turn = np.empty(len(tunes), np.int64)
    turn[order] = place - np.maximum.accumulate(np.where(starts, place, 0))
    return turn


def apart(everyone: Sample, like: Sample, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Return two equal draws of human melodies that share no tune.

    The first is a stand-in for the reference `like`: for each tune in it, some other tune of its
    mode with as many melodies (the largest there is, if none has as many), and half of all tunes at
    the most. The second is a stand-in for a system: melodies spread over the tunes that are left.
    """
    groups, sizes = np.unique(2 * like.tunes + like.minor, return_counts=True)
    choices, held = np.unique(2 * everyone.tunes + everyone.minor, return_counts=True)
    group = 2 * everyone.tunes + everyone.minor
    free, taken = np.ones(len(choices), np.bool_), []
    for i in np.argsort(-sizes, kind="stable")[: len(np.unique(everyone.tunes)) // 2]:
        usable = free & (choices % 2 == groups[i] % 2)
        if not usable.any():
            continue
        fitting = usable & (held >= min(sizes[i], held[usable].max()))
        choice = rng.choice(choices[fitting])
        taken.append(rng.permutation(np.flatnonzero(group == choice))[: sizes[i]])
        free &= choices != choice
    one = everyone.at(np.concatenate(taken)) if taken else everyone.at(np.empty(0, np.int64))
    left = everyone.at(np.flatnonzero(~np.isin(everyone.tunes, one.tunes)))
    counts = equal_counts(one, left)
    return draw(one, counts, rng), spread(left, counts, rng)
