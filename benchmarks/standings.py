"""Standings: who stands where in a suite, or on one task of it, and how surely.

An entry's score is the interquartile mean of its runs' scores, see
`musicgym.benchmarks.standings_scores`. A stands clearly above B where the 95 % interval of the
difference of their scores leaves out 0. In each resample seeds are drawn anew in each task, and
then tunes, which all seeds and all tasks over the same tunes share; both entries take the same
draws. The interval is an expanded percentile interval, see `musicgym.benchmarks.statistics.ends`,
over seeds or over tunes, whichever lies farther out. In simulations with 5 seeds, 10 or 14 tunes
and 1 to 12 tasks two entries that are equal are told apart in at most 4 % of cases, in about 1 %
where the melodies of a seed differ much; plain percentiles tell them apart in up to 10 %.

An entry's rank is 1 + the number of ranked entries that are clearly above it: entries that no
interval tells apart share a rank. Its last possible rank is the number of ranked entries less those
clearly below it. The intervals are of one pair each: of 25 pairs of equals one may be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .records import HUMAN, Record
from .standings_contest import Contest
from .standings_rows import Row, Standings
from .standings_scores import PRIOR, TaskScores, score_task
from .statistics import upper_limits
from .tables import SEARCH

__all__ = ["BUDGETS", "Board", "Row", "Standings", "standings"]

#: KL budgets in nats a step to the frozen prior; an entry may be this much over one.
BUDGETS = (0.02, 0.05, 0.1, 0.3)
OVER = 1.05
#: Seeds that a rank takes.
SEEDS = 5
#: Policies that show what a reward pays for nothing, and the best that can be done.
TRIVIAL = ("uniform_random", "held_tonic", "nearest_chord_tone", "alternated_chord_tones")
OPTIMA = ("optimum", "soft_optimum")
#: What stands beside the score.
FIGURES = ("kl", "entropy", "mmd2", "mmd2_deviation", "vendi", "copied")


@dataclass(frozen=True, eq=False)
class Board:
    """The scores of all records of a suite, read once for all budgets and tasks.

    Attributes:
        suite: its name.
        entries: all of them, the human row excepted.
        tasks: by name, in the order of the suite.
        focus: the figures that tasks are about, where these are no returns.
    """

    suite: str
    entries: tuple[str, ...]
    tasks: Mapping[str, TaskScores]
    focus: Mapping[str, str]

    @staticmethod
    def of(records: Sequence[Record]) -> Board:
        """Return the scores of records of one suite; tasks that have none yet belong to it too."""
        from .suites import SUITES

        if not records:
            raise ValueError("standings: there are no records.")
        name = records[0].suite
        if any(record.suite != name for record in records):
            raise ValueError("standings: the records are of several suites.")
        suite = SUITES.get(name)
        told = {task.name: task.no_optimum for task in suite.tasks} if suite else {}
        parts: dict[str, list[Record]] = {task: [] for task in told}
        for record in records:
            parts.setdefault(record.task_name, []).append(record)
        entries = tuple(dict.fromkeys(r.entry for r in records if r.entry != HUMAN))
        tasks = {n: score_task(n, some, entries, told.get(n, "")) for n, some in parts.items()}
        focus = {t.name: t.focus for t in suite.tasks if t.focus != "return"} if suite else {}
        return Board(name, entries, tasks, focus)

    @cached_property
    def _contests(self) -> dict[tuple[str, ...], Contest]:
        return {}

    def standings(
        self, budget: float | None = None, task: str = "", figures: Sequence[str] = FIGURES
    ) -> Standings:
        """Return who stands where, see `standings`."""
        if budget is not None and not budget > 0:
            raise ValueError(f"budget: {budget!r} is not above 0 nats a step.")
        if task and task not in self.tasks:
            raise ValueError(f"task: {task!r} is none of {', '.join(self.tasks)}.")
        unscored = {n: t.why for n, t in self.tasks.items() if t.why and t.records}
        chosen = (task,) if task else tuple(n for n in self.tasks if n not in unscored)
        contest = self._contests.get(chosen)
        if contest is None:
            contest = Contest([self.tasks[name] for name in chosen], len(self.entries))
            self._contests[chosen] = contest
        shown = [self.tasks[task]] if task else list(self.tasks.values())
        limits = [_kl_limit(e, contest, shown) for e in range(len(self.entries))]
        whys = [self._why(e, contest, shown, budget, limits[e]) for e in range(len(self.entries))]
        ranked = [e for e, why in enumerate(whys) if not why]
        above, below = contest.decided(ranked)
        rows = []
        for e, entry in enumerate(self.entries):
            place = ranked.index(e) if e in ranked else None
            records = [record for some in shown for record in some.runs(entry)]
            rows.append(
                Row(
                    entry,
                    None if place is None else 1 + above[place],
                    None if place is None else len(ranked) - below[place],
                    whys[e],
                    contest.seeds[e],
                    contest.matrices[e],
                    contest.scores[e],
                    contest.search(e) if _compared(entry, records) else None,
                    limits[e],
                    {some.name: some.returns[entry] for some in shown if some.runs(entry)},
                    self._focus(entry, shown),
                    _means([some.runs(entry) for some in shown], figures),
                    *_cost(records),
                )
            )
        if any(some.runs(HUMAN) for some in shown):
            rows.append(self._human(shown, figures))
        rows.sort(key=_order)
        by_return = bool(task and task in unscored)
        told = {n: w for n, w in unscored.items() if not task or n == task}
        focus = {some.name: self.focus[some.name] for some in shown if some.name in self.focus}
        return Standings(self.suite, budget, task, chosen, told, focus, by_return, tuple(rows))

    def _focus(self, entry: str, shown: Sequence[TaskScores]) -> dict[str, float]:
        """Return the figures that tasks are about, an entry's mean on each."""
        return {some.name: _means([some.runs(entry)], [figure])[figure] for some in shown
                if (figure := self.focus.get(some.name))}  # fmt: skip

    def _human(self, shown: Sequence[TaskScores], figures: Sequence[str]) -> Row:
        """Return the human row; its episodes are its own, so it has no score."""
        parts = [some.runs(HUMAN) for some in shown]
        returns = {some.name: some.returns[HUMAN] for some in shown if some.runs(HUMAN)}
        return Row(
            HUMAN, None, None, "human melodies", (), np.empty((0, len(shown))), [np.nan] * 3, None,
            np.nan, returns, self._focus(HUMAN, shown), _means(parts, figures), 1, 0, 0,
        )  # fmt: skip

    def _why(
        self,
        e: int,
        contest: Contest,
        shown: Sequence[TaskScores],
        budget: float | None,
        limit: float,
    ) -> str:
        """Return why an entry is not ranked, empty where it is."""
        entry = self.entries[e]
        failed = [(some.name, seed, record) for some in shown
                  for (name, seed), record in some.failed.items() if name == entry]  # fmt: skip
        if failed:
            name, seed, record = failed[0]
            return f"failed on {name}, seed {seed}: {record.error.splitlines()[0]}"
        policy = _policy(entry, [record for some in shown for record in some.runs(entry)])
        if policy in TRIVIAL:
            return "a trivial policy"
        if policy in OPTIMA:
            return "a planner that knows the reward"
        if lacking := [some.name for some in shown if not some.runs(entry)]:
            return f"no run of {', '.join(lacking)}"
        if len(contest.seeds[e]) < SEEDS:
            odd = [why for some in contest.tasks
                   for (name, _), why in some.odd.items() if name == entry]  # fmt: skip
            return f"{len(contest.seeds[e])} of {SEEDS} seeds" + (f": {odd[0]}" if odd else "")
        if budget is not None and not limit <= OVER * budget * (1 + 1e-9):
            return f"KL {limit:.3f}" if limit == limit else "its KL is not known"
        return ""


def standings(records: Sequence[Record], budget: float | None = None, task: str = "") -> Standings:
    """Return who stands where by records of one suite.

    An entry is ranked if it has every task of the suite, with at least 5 seeds that are the same
    on all of them, and, at a budget b, if on every task that is shown the upper 95 % limit of its
    KL over seeds (see `upper_limits`) is at most 1.05 b. Trivial policies, optima and what failed
    on any seed stand unranked.

    Args:
        records: of one suite, see `musicgym.benchmarks.records.read_suite`.
        budget: nats a step to the frozen prior, usually one of `BUDGETS`; None ranks all.
        task: show this task alone; ranks on one task are indicative.

    Raises:
        ValueError: there are no records, they are of several suites, or there is no such task.
    """
    return Board.of(records).standings(budget, task)


def _kl_limit(e: int, contest: Contest, shown: Sequence[TaskScores]) -> float:
    """Return the largest upper limit of an entry's KL, also on tasks that enter no score."""
    beside = [some.kl[e] for some in shown if some not in contest.tasks]
    known = [kl[~np.isnan(kl)] for kl in beside]
    return float(np.max([contest.kl_limits[e], *(upper_limits(kl) for kl in known if len(kl))]))


def _policy(entry: str, records: Sequence[Record]) -> str:
    """Return the name of what plays, without its temperature."""
    said = records[0].facts.get("policy") if records else None
    return str(said or entry).partition("@")[0]


def _compared(entry: str, records: Sequence[Record]) -> bool:
    """Tell whether an entry is set beside search: the prior, search and trivial ones are not."""
    plain = entry == PRIOR or SEARCH.fullmatch(entry) or not records
    return not plain and _policy(entry, records) not in (*TRIVIAL, *OPTIMA)


def _means(tasks: Sequence[Sequence[Record]], figures: Sequence[str]) -> dict[str, float]:
    """Return means over the records of each task, then over tasks, of those that have a figure."""
    found = {}
    for figure in figures:
        each = [[x for record in records if (x := record.value(figure)) == x] for records in tasks]
        means = [sum(values) / len(values) for values in each if values]
        found[figure] = sum(means) / len(means) if means else np.nan
    return found


def _cost(records: Sequence[Record]) -> tuple[int, float, float]:
    """Return samples a melody, and training steps and seconds, the mean over runs."""
    facts: list[Any] = [record.facts for record in records]
    samples = max((fact.get("samples") or 1 for fact in facts), default=1)
    steps, seconds = ([fact.get(name) or 0 for fact in facts]
                      for name in ("training_steps", "training_seconds"))  # fmt: skip
    return samples, sum(steps) / max(len(steps), 1), sum(seconds) / max(len(seconds), 1)


def _order(row: Row) -> tuple[Any, ...]:
    """Return what rows are sorted by: ranked ones first, then by score, then by name."""
    known = row.score[0] == row.score[0]
    return row.rank is None, row.entry == HUMAN, not known, -row.score[0] if known else 0, row.entry
