"""Diversity: how much melodies differ from one another, and how much of them is copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .features import frame
from .human import Human, by_turns, choose, equal_counts, some
from .metrics.acmg import distinct
from .metrics.metric import Floats, Measured, histograms
from .metrics.pieces import Pieces

__all__ = [
    "DIVERSITY",
    "cosines",
    "distinct_ngrams",
    "diversity",
    "hamming",
    "human_diversity",
    "longest_shared",
    "vendi",
]

Ints = npt.NDArray[np.int64]

#: Intervals that a melody needs to be called a copy: runs of 11 and fewer stand by chance in the
#: training pieces of the chorales and in others of their melodies alike.
LEAST_COPIED = 12
#: The names of the figures.
DIVERSITY = (
    *("vendi", "hamming", "distinct_melodies", "distinct_2", "distinct_3", "distinct_4"),
    *("shared_with_training", "shared_with_training_max"),
    *("shared_with_reference", "shared_with_reference_max", "copied"),
)


def diversity(pieces: Pieces, human: Human, seed: int = 0) -> dict[str, Measured]:
    """Return the `DIVERSITY` of melodies.

    Most figures depend on how many melodies there are. So as many of each mode are drawn as the
    human reference has as well (all, if they have no mode in common).

    - ``vendi``: see `vendi`; two melodies are as similar as the cosine between their 42 features,
      standardised by the training windows. From 1 to the number of melodies, 42 at the most.
    - ``hamming``: see `hamming`. From 0 to 1.
    - ``distinct_melodies``: the share of melodies whose events equal no earlier one's, in one key.
    - ``distinct_2``, ``distinct_3``, ``distinct_4``: see `distinct_ngrams`. From 0 to 1.
    - ``shared_with_training``: the mean over melodies of the longest run of intervals that stands
      in a training piece as well, see `longest_shared`; ``..._max`` is the longest of all.
    - ``shared_with_reference``: the same for the pieces that the human windows were cut from.
    - ``copied``: the share of melodies whose intervals all stand in a row in a training or a
      reference piece, in any key. Melodies of fewer than 12 intervals are left out: so few may
      stand in another's piece by chance.

    A figure is NaN where it is undefined: ``hamming`` for one melody or without a step, the others
    about intervals where no melody has any. Melodies without an interval are left out of
    ``shared_...`` and ``copied``.

    Args:
        pieces: the melodies.
        human: the human melodies of the same task.
        seed: of the draw.
    """
    sample = human.read(pieces)
    counts = equal_counts(sample, human.sample)
    counts = counts if sum(counts) else sample.counts
    chosen = choose(sample.minor, counts, np.random.default_rng(seed))
    drawn = some(pieces, chosen)
    return _variety(drawn, sample.vectors[chosen]) | _copying(drawn, human)


def human_diversity(human: Human, seed: int = 0) -> dict[str, Measured]:
    """Return the `DIVERSITY` of human melodies, the row that others are read beside.

    A reference split has few tunes, and its windows overlap: as a set it is less diverse than human
    music is. So the figures of variety are those of as many windows spread over the tunes of all
    splits, one of each tune before a second of any. Those of copying are of the reference's
    windows, which no training has seen; the windows stand in the reference themselves, so what they
    share with it is undefined.
    """
    counts, order = human.sample.counts, by_turns(human.everyone, np.random.default_rng(seed))
    minor = human.everyone.minor[order]
    chosen = np.concatenate([order[minor == m][:c] for m, c in enumerate(counts)])
    variety = _variety(some(human.windows, chosen), human.everyone.vectors[chosen])
    total = len(human.pieces.events)
    undefined = {
        name: Measured(float("nan"), 0, total) for name in DIVERSITY if "reference" in name
    }
    return variety | _copying(human.pieces, replace(human, reference=())) | undefined


def _variety(pieces: Pieces, vectors: Floats) -> dict[str, Measured]:
    total = len(pieces.events)
    found = {
        "vendi": vendi(cosines(vectors)),
        "hamming": hamming(pieces),
        "distinct_melodies": distinct(_in_one_key(pieces)),
        **{f"distinct_{n}": distinct_ngrams(pieces, n) for n in (2, 3, 4)},
    }
    return {name: Measured(v, total * (not np.isnan(v)), total) for name, v in found.items()}


def _copying(pieces: Pieces, human: Human) -> dict[str, Measured]:
    notes = pieces.line.count
    known, copied, found = notes > 1, np.zeros(len(notes), np.bool_), {}
    for name, lines in (("training", human.training), ("reference", human.reference)):
        longest = longest_shared(pieces.notes, lines)
        copied |= longest == notes - 1
        most = float(longest[known].max()) if known.any() else float("nan")
        found[f"shared_with_{name}"] = _mean(longest, known)
        found[f"shared_with_{name}_max"] = Measured(most, int(known.sum()), len(notes))
    return found | {"copied": _mean(copied, notes > LEAST_COPIED)}


def _mean(values: npt.NDArray[np.generic], known: npt.NDArray[np.bool_]) -> Measured:
    """Return the mean over the melodies whose value is known."""
    mean = float(values[known].astype(np.float64).mean()) if known.any() else float("nan")
    return Measured(mean, int(known.sum()), len(known))


def cosines(vectors: Floats) -> Floats:
    """Return the cosine of the angle between any two vectors (N, F): (N, N).

    A vector of zeros is similar to itself and to no other.
    """
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(length > 0, length, 1)
    similar = units @ units.T
    np.fill_diagonal(similar, 1.0)
    return np.asarray(similar)


def vendi(similarity: Floats) -> float:
    r"""Return the Vendi score of N items, the number of different ones among them.

    .. math:: \exp\left(-\sum_i \lambda_i \log \lambda_i\right)

    over the eigenvalues of the similarity matrix (N, N) divided by N; it is positive semidefinite
    and has 1 on its diagonal. From 1, all the same, to N, no two similar. NaN without an item.

    Reference: Friedman and Dieng, "The Vendi score", TMLR 2023.

    >>> round(vendi(np.ones((4, 4))), 6), round(vendi(np.eye(4)), 6)
    (1.0, 4.0)
    """
    if not len(similarity):
        return float("nan")
    values = np.linalg.eigvalsh(similarity / len(similarity))
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def distinct_ngrams(pieces: Pieces, n: int) -> float:
    """Return how many different runs of n intervals there are, over the number of all runs.

    The intervals are in semitones from one struck note to the next, rests and lengths aside. The
    runs are counted over all melodies together. NaN where no melody has n intervals.

    Reference: Li et al., "A diversity-promoting objective function", NAACL 2016, there of words.
    """
    line = pieces.line
    runs = line.present[:, n:]  # notes that end a run
    columns = [line.interval[:, i : i + runs.shape[1]][runs] for i in range(n)]
    grams = np.stack(columns, axis=1)
    return len(np.unique(grams, axis=0)) / len(grams) if len(grams) else float("nan")


def hamming(pieces: Pieces) -> float:
    """Return the mean share of steps on which two melodies have different events.

    The mean is over all pairs. A note is another event than a note of another pitch (both moved to
    C major or A minor), than a hold and than a rest. NaN for one melody, and without a step.
    """
    size, steps = pieces.events.shape
    if size < 2 or not steps:
        return float("nan")
    events = _in_one_key(pieces).events
    step = np.broadcast_to(np.arange(steps), events.shape)
    counts = histograms(step.ravel(), events.ravel(), steps, int(events.max()) + 1)
    same = (counts * (counts - 1)).sum(1) / (size * (size - 1))
    return float(1 - same.mean())


def _in_one_key(pieces: Pieces) -> Pieces:
    """Return the melodies moved to C major or A minor, each pitch the same event in all of them."""
    low = pieces.low - frame(pieces)
    moved = pieces.events + (low - low.min(initial=0))[:, None]
    return replace(pieces, events=np.where(pieces.struck, moved, pieces.events))


def longest_shared(lines: Sequence[Ints], others: Sequence[Ints]) -> Ints:
    """Return the length of the longest run of intervals that each line shares with any other (N,).

    Runs are grown from every place of every line by one interval at a time; those that only one
    side has are dropped on the way. So the time is that of the shared runs.

    Args:
        lines: the struck pitches of N melodies.
        others: the struck pitches of the pieces they may have been copied from.

    >>> longest_shared([np.array([60, 62, 64, 60])], [np.array([50, 67, 69, 71])]).tolist()
    [2]
    """
    found = np.zeros(len(others) + len(lines), np.int64)
    steps = [np.diff(line) for line in (*others, *lines)]
    intervals = np.concatenate([np.empty(0, np.int64), *steps])
    sizes = np.array([len(step) for step in steps], dtype=np.int64)
    line = np.repeat(np.arange(len(steps)), sizes)
    left = np.repeat(sizes.cumsum(), sizes) - np.arange(len(intervals))  # to the end of the line
    ours = line >= len(others)
    start, length = np.arange(len(intervals)), 1
    run = intervals - intervals.min(initial=0)
    span = int(run.max(initial=0)) + 1  # an interval is a number below this
    symbol = run
    while len(start):
        runs, run = np.unique(run, return_inverse=True)  # each run's number, among those as long
        sides = np.zeros((2, len(runs)), np.bool_)
        sides[ours[start].astype(np.int64), run] = True
        shared = np.asarray(sides.all(0))[run]
        found[line[start[shared]]] = length
        longer = shared & (left[start] > length)
        start = start[longer]
        run = run[longer] * span + symbol[start + length]
        length += 1
    return found[len(others) :]
