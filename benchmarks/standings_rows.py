"""What standings say: a row an entry, and what can be asked of the ranked ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .standings_contest import Search
from .statistics import Estimate, estimate, improvement_estimate, profile

__all__ = ["Row", "Standings"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Row:
    """Where an entry stands.

    Attributes:
        entry: its name.
        rank: 1 + the ranked entries that are clearly above it; None if it is not ranked.
        last: the ranked entries, less those that are clearly below it.
        why: why it is not ranked.
        seeds: those that it has on every task that is shown.
        scores: (R, K) of these seeds and tasks; returns on a task without an exact optimum.
        score: their interquartile mean, with a stratified-bootstrap interval over seeds.
        search: how it compares with best-of-N of the prior, None where there is no such search.
        kl_limit: the largest upper 95 % limit of its KL over seeds, of all tasks shown; NaN below
            two seeds.
        returns: for each task shown the mean return over seeds, with an interval over seeds.
        focus: for each task shown that is about another figure than the return, its mean.
        figures: means over seeds, then over the tasks shown; NaN where there is none.
        samples: melodies drawn for each that is kept.
        training_steps: environment steps learned, the mean over runs.
        training_seconds: of the training, the mean over runs.
    """

    entry: str
    rank: int | None
    last: int | None
    why: str
    seeds: tuple[int, ...]
    scores: Floats
    score: Estimate
    search: Search | None
    kl_limit: float
    returns: Mapping[str, Estimate]
    focus: Mapping[str, float]
    figures: Mapping[str, float]
    samples: int
    training_steps: float
    training_seconds: float

    def aggregate(self, statistic: Callable[[Floats], Floats]) -> Estimate:
        """Return another statistic of its scores, such as `median`, with its interval."""
        return estimate(statistic, self.scores) if self.scores.size else [np.nan] * 3


@dataclass(frozen=True, eq=False)
class Standings:
    """Who stands where.

    Attributes:
        suite: its name.
        budget: the KL that ranked entries keep to, in nats a step; None for any.
        task: the one task that is shown; empty where all are.
        tasks: those that the score is over.
        unscored: tasks without an exact optimum, and why; they are shown by return.
        focus: of the tasks shown the figures that they are about, where these are no returns.
        by_return: whether the scores are returns: one task is shown, and it is such a task.
        rows: the ranked entries, best first; then the others by score; then the human row.
    """

    suite: str
    budget: float | None
    task: str
    tasks: tuple[str, ...]
    unscored: Mapping[str, str]
    focus: Mapping[str, str]
    by_return: bool
    rows: tuple[Row, ...]

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The ranked entries."""
        return tuple(row for row in self.rows if row.rank is not None)

    def profiles(self, taus: Sequence[float] | Floats) -> dict[str, Floats]:
        """Return the performance profile of each ranked entry, see `statistics.profile`."""
        return {row.entry: profile(row.scores, taus) for row in self.ranked}

    def improvements(self) -> dict[tuple[str, str], Estimate]:
        """Return for each pair of ranked entries how probably the first one is better.

        See `musicgym.benchmarks.statistics.improvement_estimate`.
        """
        found = {}
        for i, one in enumerate(self.ranked):
            for other in self.ranked[i + 1 :]:
                value, low, high = improvement_estimate(one.scores, other.scores)
                found[one.entry, other.entry] = [value, low, high]
                found[other.entry, one.entry] = [1 - value, 1 - high, 1 - low]
        return found
