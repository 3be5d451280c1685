"""Which of two entries is clearly better: paired differences over seeds and tunes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .standings_scores import TaskScores
from .statistics import (
    RESAMPLES,
    Estimate,
    ends,
    estimate,
    interquartile_mean,
    upper_limits,
    weights,
)

__all__ = ["Contest", "Search"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Seeds = tuple[int, ...]
#: Resamples that are worked on at once, so that they stay in the cache.
AT_ONCE = 250
#: A difference that is a smaller share of the scores is rounding (resamples are of 32 bits).
ROUNDING = 1e-6


class Search(NamedTuple):
    """An entry's score less that of best-of-N of the prior at the entry's own KL.

    Attributes:
        value: the difference.
        low: lower end of its 95 % interval.
        high: upper end.
        beyond: whether the entry's KL is more than that of the largest N, on some task: it is
            compared with the largest N, and only a loss is decided.
        largest: the largest N, on the task where it is smallest.
    """

    value: float
    low: float
    high: float
    beyond: bool
    largest: int

    @property
    def side(self) -> str:
        """Return "below", "above", "level" or, where more draws would be asked, "undecided"."""
        if self.high < 0:
            return "below"
        return "undecided" if self.beyond else "above" if self.low > 0 else "level"


class Contest:
    """E entries on the K tasks that a score is over.

    In each of the resamples seeds are drawn in each task anew, with replacement, then tunes, which
    all seeds and all tasks over the same tunes share. All entries take the same draws.

    Attributes:
        tasks: the tasks.
        seeds: of each entry those that it has on all tasks.
        matrices: of each entry its scores (R, K) of these seeds.
        scores: of each entry the interquartile mean, with an interval over seeds.
    """

    def __init__(self, tasks: Sequence[TaskScores], entries: int) -> None:
        """Read the scores of so many entries."""
        self.tasks, self.entries = tasks, entries
        common = set.intersection(*(set(task.seeds) for task in tasks)) if tasks else set()
        self._seeds: Seeds = tuple(sorted(common))
        shape = (entries, len(self._seeds), len(tasks))
        self._values, self._search, kl = (
            self._stacked([getattr(task, name) for task in tasks], shape)
            for name in ("values", "search", "kl")
        )
        self.seeds = [self._known(rows) for rows in self._values]
        places = [self._places(seeds) for seeds in self.seeds]
        self.matrices = [self._values[e, rows] for e, rows in enumerate(places)]
        self.scores: list[Estimate] = [
            estimate(interquartile_mean, some) if some.size else [np.nan] * 3
            for some in self.matrices
        ]
        self.kl_limits = [
            float(upper_limits(kl[e, rows].T).max()) if len(rows) and tasks else np.nan
            for e, rows in enumerate(places)
        ]
        self._rounding = ROUNDING * max(1.0, float(np.nan_to_num(abs(self._values)).max(initial=0)))
        self._better = np.full((entries, entries), np.nan)  # 1: the row is clearly above the column

    def decided(self, some: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return for each of some entries how many others of them are clearly above, and below."""
        for i, e in enumerate(some):
            todo = [f for f in some[i + 1 :] if np.isnan(self._better[e, f])]
            for seeds in {self._shared(e, f) for f in todo}:
                others = [f for f in todo if self._shared(e, f) == seeds]
                drawn, (least, most) = self._resampled(seeds), self._ends(seeds)
                more = drawn[e] - drawn[others]
                won = (more > self._rounding).mean(1) >= 1 - least  # the interval leaves out 0
                lost = (more < -self._rounding).mean(1) >= most
                self._better[e, others] = won * 1.0 - lost
                self._better[others, e] = -self._better[e, others]
        among = self._better[np.ix_(some, some)]
        return (among == -1).sum(1).tolist(), (among == 1).sum(1).tolist()

    def search(self, e: int) -> Search | None:
        """Return how an entry compares with search, None where there is none to compare with."""
        known = self._known(self._search[e])
        seeds = tuple(seed for seed in self.seeds[e] if seed in known)
        if not seeds:
            return None
        drawn, rows = self._resampled(seeds), self._places(seeds)
        limits = np.quantile(drawn[e] - drawn[self.entries + e], self._ends(seeds))
        low, high = (0.0 if abs(x) < self._rounding else float(x) for x in limits)
        own, other = (interquartile_mean(part[e, rows]) for part in (self._values, self._search))
        beyond = any(bool(task.beyond[e]) for task in self.tasks)
        largest = min(task.largest for task in self.tasks)
        return Search(float(own - other), low, high, beyond, largest)

    def _stacked(self, parts: Sequence[Floats], shape: tuple[int, ...]) -> Floats:
        """Return the (E, S, K) figures of the seeds that all tasks have."""
        if not self._seeds or not self.tasks:
            return np.full(shape, np.nan)
        each = zip(self.tasks, parts, strict=True)
        return np.stack([part[:, _at(task, self._seeds)] for task, part in each], axis=-1)

    def _known(self, values: Floats) -> Seeds:
        """Return the seeds at which values (S, K) are known on all tasks."""
        known = np.flatnonzero(~np.isnan(values).any(-1))
        return tuple(self._seeds[s] for s in known)

    def _places(self, seeds: Seeds) -> list[int]:
        return [self._seeds.index(seed) for seed in seeds]

    def _shared(self, e: int, f: int) -> Seeds:
        one, other = self.seeds[e], self.seeds[f]
        return one if one == other else tuple(seed for seed in one if seed in set(other))

    def _ends(self, seeds: Seeds) -> tuple[float, float]:
        """Return the quantiles that are the ends of an interval over some seeds, and over tunes."""
        over_seeds = ends(np.ones(len(seeds)), strata=len(self.tasks))
        sizes = np.concatenate(list({
            task.draws: task.counts[_at(task, seeds)].sum(0) for task in self.tasks
        }.values()))  # fmt: skip
        over_tunes = ends(sizes) if len(sizes) > 1 else over_seeds
        return min(over_seeds[0], over_tunes[0]), max(over_seeds[1], over_tunes[1])

    @cached_property
    def _held(self) -> dict[Seeds, npt.NDArray[np.float32]]:
        return {}

    def _resampled(self, seeds: Seeds) -> npt.NDArray[np.float32]:
        """Return the score of each entry, and of search beside each, in each resample: (2E, S).

        NaN where one has not all of the seeds.
        """
        if seeds not in self._held:
            places = self._places(seeds)
            both = np.concatenate([self._values, self._search])[:, places]
            rows = np.flatnonzero(~np.isnan(both).any((1, 2)))
            found = np.full((2 * self.entries, RESAMPLES), np.nan, np.float32)
            for first, block in self._blocks(seeds, rows):
                found[rows, first : first + block.shape[1]] = interquartile_mean(block[..., None])
            self._held[seeds] = found
        return self._held[seeds]

    def _blocks(self, seeds: Seeds, rows: Ints) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Yield the number of a resample, and the scores (N, s, K R) of it and the next ones."""
        parts = []
        for task in self.tasks:
            at = _at(task, seeds)
            rng = np.random.default_rng(zlib.crc32(task.name.encode()))
            drawn = rng.integers(len(seeds), size=(RESAMPLES, len(seeds)))
            tunes = weights(task.counts.shape[1], task.draws).astype(np.float32)  # (S, T)
            sums = np.concatenate([task.sums, task.search_sums])[rows][:, at].astype(np.float32)
            counts = task.counts[at].astype(np.float32)
            parts.append((drawn, tunes, np.ascontiguousarray(sums.transpose(1, 2, 0)), counts))
        for first in range(0, RESAMPLES, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            scores = []
            for drawn, tunes, sums, counts in parts:  # sums: (R, T, N), a copy of N is cheap
                played = (tunes[some] @ counts.T)[..., None]
                worth = (tunes[some] @ sums).transpose(1, 0, 2)  # (s, R, N)
                whole = sums.sum(1) / counts.sum(1)[:, None]  # where no tune of its is drawn
                worth = worth / played if played.all() else np.where(
                    played > 0, worth / np.maximum(played, 1), whole)  # fmt: skip
                scores.append(worth[np.arange(len(worth))[:, None], drawn[some]])
            yield first, np.concatenate(scores, axis=1).transpose(2, 0, 1)


def _at(task: TaskScores, seeds: Seeds) -> list[int]:
    return [task.seeds.index(seed) for seed in seeds]
