r"""Records of a suite as arrays: the normalised score of each run, melody by melody.

.. math:: \mathrm{score} = \frac{\text{return} - \text{prior's}}{\text{optimum} - \text{prior's}}

The prior is Melody_LSTM at temperature 1, and the optimum the exact one, both over the same
episodes (those of the seed): 0 is no training, 1 is the best that there is. A task without an exact
optimum has no score; there the values are returns.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from musicgym.agents.search_curve import kl_bound, mixture

from .metrics.metric import ratio
from .records import HUMAN, Record
from .statistics import Estimate, mean_estimates
from .tables import SEARCH

__all__ = ["PRIOR", "Run", "TaskScores", "score_task"]

Floats = npt.NDArray[np.float64]
#: The entry that scores 0.
PRIOR = "melody_lstm"
#: The entry that scores 1.
OPTIMUM = "optimum"
#: An optimum so little above the prior gives no scale.
LEAST = 1e-9
#: Two exact optima of the same episodes differ by less, as a share.
SAME = 1e-6
#: An entry and a seed.
Run = tuple[str, int]


@dataclass(frozen=True, eq=False)
class TaskScores:
    """What E entries showed on one task, with S seeds, over episodes of T tunes.

    Attributes:
        name: the task's.
        why: why it has no score, and its values are returns; empty where it has one.
        records: those that did not fail, by entry and seed.
        failed: those that did.
        odd: runs that cannot be compared, and why.
        seeds: in rising order.
        values: (E, S) scores, NaN where there is none.
        sums: (E, S, T) their parts by tune: the scores of the melodies over it, summed.
        counts: (S, T) melodies over each tune.
        kl: (E, S) nats a step to the frozen prior.
        draws: the same number for tasks over the same tunes: they are resampled together.
        search: (E, S) what best-of-N of the prior earns at the entry's own KL.
        search_sums: (E, S, T) its parts by tune.
        beyond: (E,) whether the entry's KL is more than that of the largest N.
        largest: the largest N, 0 where there is no best of N.
    """

    name: str
    why: str
    records: Mapping[Run, Record]
    failed: Mapping[Run, Record]
    odd: Mapping[Run, str]
    seeds: tuple[int, ...]
    values: Floats
    sums: Floats
    counts: Floats
    kl: Floats
    draws: int
    search: Floats
    search_sums: Floats
    beyond: npt.NDArray[np.bool_]
    largest: int

    def runs(self, entry: str) -> list[Record]:
        """Return the records of an entry that did not fail."""
        return self._runs.get(entry, [])

    @cached_property
    def _runs(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {}
        for (entry, _), record in self.records.items():
            found.setdefault(entry, []).append(record)
        return found

    @cached_property
    def returns(self) -> dict[str, Estimate]:
        """The mean return of each entry over its seeds, with an interval over them."""
        found: dict[str, Estimate] = {}
        for seeds in {len(some) for some in self._runs.values()}:
            names = [name for name, some in self._runs.items() if len(some) == seeds]
            values = [[r.value("return") for r in self._runs[name]] for name in names]
            found |= dict(zip(names, mean_estimates(values).tolist(), strict=True))
        return found


def score_task(
    name: str, records: Sequence[Record], entries: Sequence[str], no_optimum: str = ""
) -> TaskScores:
    """Return the scores of the records of one task.

    Args:
        name: the task's.
        records: all of it, of any entries and seeds.
        entries: E names, which fix the rows.
        no_optimum: why the task has no exact optimum, if it has none.
    """
    failed = {(r.entry, r.seed): r for r in records if r.error}
    held = {(r.entry, r.seed): r for r in records if not r.error}
    played = {run: r for run, r in held.items() if r.entry != HUMAN}
    seeds = tuple(sorted({seed for _, seed in played}))
    first = {seed: _first(played, seed) for seed in seeds}
    tunes = np.unique(np.concatenate([r.tunes for r in first.values()] or [[0]]))
    why = no_optimum or _unscored(played, seeds)
    shape = (len(entries), len(seeds), len(tunes))
    sums, counts, odd = np.full(shape, np.nan), np.zeros(shape[1:]), dict[Run, str]()
    for s, seed in enumerate(seeds):
        offset, unit, odd_seed = (0.0, 1.0, "") if why else _scale(played, seed)
        member = np.asarray(np.asarray(first[seed].tunes)[:, None] == tunes, np.float64)
        counts[s] = member.sum(0)
        rows, paid = [], []
        for e, entry in enumerate(entries):
            if (record := played.get((entry, seed))) is None:
                continue
            if reason := odd_seed or _unpaired(record, first[seed], first[seeds[0]]):
                odd[entry, seed] = reason
                continue
            rows.append(e)
            paid.append(record.returns)
        if rows:
            sums[rows, s] = ((np.array(paid) - offset) / unit) @ member
    values = sums.sum(-1) / np.maximum(counts.sum(-1), 1)
    spec = records[0].task if records else {}
    corpus = [spec.get(field) for field in ("corpus", "split")]
    draws = zlib.crc32(repr((corpus, tunes.tolist())).encode())
    kl = np.array([[played[e, s].value("kl") if (e, s) in played else np.nan for s in seeds]
                   for e in entries]).reshape(values.shape)  # fmt: skip
    beside = _search(entries, kl, values, sums)
    return TaskScores(name, why, held, failed, odd, seeds, values, sums, counts, kl, draws, *beside)


def _first(played: Mapping[Run, Record], seed: int) -> Record:
    """Return the record of a seed that says which episodes it has: the prior's, if it is there."""
    return played.get((PRIOR, seed)) or next(r for (_, s), r in played.items() if s == seed)


def _unpaired(record: Record, first: Record, of_all: Record) -> str:
    """Return why a record cannot be compared with others, empty where it can.

    Melody by melody with the first of its seed, by prior and corpus with the first of all.
    """
    if not record.returns:
        return "it has no returns by melody"
    other = [name for name in ("prior", "corpus") if record.made.get(name) != of_all.made.get(name)]
    if other:
        return f"seed {record.seed} was measured against another {other[0]}"
    known, said = first.value("optimum"), record.value("optimum")
    if record.tunes != first.tunes or abs(known - said) > SAME * max(1, abs(known)):
        return "it was played over other episodes"
    return ""


def _optimum(played: Mapping[Run, Record], seed: int) -> float:
    prior, best = played[PRIOR, seed], played.get((OPTIMUM, seed))
    said = prior.value("optimum")
    return best.value("return") if best and said != said else said


def _unscored(played: Mapping[Run, Record], seeds: Sequence[int]) -> str:
    """Return why no run can have a score, empty where one can."""
    known = [seed for seed in seeds if (PRIOR, seed) in played]
    if not known:
        return f"there is no run of {PRIOR}"
    best = [_optimum(played, seed) for seed in known]
    return "the records say no exact optimum" if np.isnan(best).all() else ""


def _scale(played: Mapping[Run, Record], seed: int) -> tuple[float, float, str]:
    """Return the return that scores 0, the return from 0 to 1, and why there is none."""
    if (PRIOR, seed) not in played:
        return 0.0, 1.0, f"seed {seed} has no run of {PRIOR}"
    least = played[PRIOR, seed].value("return")
    most = _optimum(played, seed)
    if not most - least > LEAST:
        return 0.0, 1.0, f"seed {seed} has no optimum above the prior"
    return least, most - least, ""


def _search(
    entries: Sequence[str], each: Floats, values: Floats, sums: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.bool_], int]:
    """Return what best-of-N of the prior earns at the entries' KLs (E, S).

    At an entry's mean KL over its seeds. Returns values, sums, beyond and the largest N.
    """
    known = ~np.isnan(each)
    kl = ratio(np.where(known, each, 0).sum(1), known.sum(1))
    place = {entry: e for e, entry in enumerate(entries)}
    sizes = {int(found[1]): place[entry] for entry in place
             if (found := SEARCH.fullmatch(entry)) and kl[place[entry]] > 0}  # fmt: skip
    if not sizes:
        none = np.zeros(len(entries), np.bool_)
        return np.full_like(values, np.nan), np.full_like(sums, np.nan), none, 0
    largest = max(sizes)
    steps = round(kl_bound(largest, 1) / kl[sizes[largest]])  # a record's KL is the bound
    if PRIOR in place:
        sizes[1] = place[PRIOR]
    numbers = sorted(sizes)
    share = np.stack([mixture(numbers, x, steps) if x == x else np.full(len(numbers), np.nan)
                      for x in kl])  # fmt: skip
    rows = [sizes[n] for n in numbers]
    lacking = np.isnan(values[rows])
    there = (share > 0) @ lacking == 0  # (E, S): no N that it takes is missing
    mixed = np.tensordot(share, np.nan_to_num(sums[rows]), 1)
    worth = share @ np.nan_to_num(values[rows])
    mixed[~there], worth[~there] = np.nan, np.nan
    return worth, mixed, kl > kl_bound(largest, steps) * (1 + 1e-9), largest
