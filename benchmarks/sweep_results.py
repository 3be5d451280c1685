"""What the points of a sweep show: objectives, means and intervals over seeds, the best one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from musicgym.agents.configs import GENERATORS
from musicgym.theory import closest

from .diversity import DIVERSITY
from .entry_files import FINE_TUNED, EntrySpec
from .leaderboard import Run, held
from .likeness import DISTANCES
from .metrics import METRICS
from .metrics.metric import Floats
from .records import HUMAN, Record
from .statistics import Estimate
from .suites import SuiteTask
from .sweep import Sweep
from .tables import SHARES

__all__ = ["Objective", "Result", "best_entry", "human_of", "level", "objective_of", "ranked",
           "results", "student"]  # fmt: skip

#: What a training took, in the facts of a record.
TOOK = ("training_seconds", "steps_to_90_percent", "seconds_to_90_percent", "parameters")
#: What a generator's pretraining tells of each split, in the facts of its record.
TOLD = ("loss", "reconstruction", "kl", "active_units", "bound", "emotion", "strangeness")
#: Figures of which less is better, and how the names of others begin.
LOWER = {
    *DISTANCES, *TOOK, "kl", "kl_to_base", "copied", "excessive_repetition", "in_long_runs",
    "outside_key", "not_in_key", "repeated", "repeated_as_published", "empty_beats", "empty_bars",
    "shared_with_training", "shared_with_training_max", "shared_with_reference",
    "shared_with_reference_max",
}  # fmt: skip
LOWER_BEGINNINGS = ("kld_", "validation_", "test_")


@dataclass(frozen=True)
class Objective:
    """The figure that the best point is best in.

    Attributes:
        name: of the figure, or of a number in a record's facts.
        lower: whether less is better.
    """

    name: str
    lower: bool


def objective_of(name: str, task: SuiteTask, entry: EntrySpec, better: str = "") -> Objective:
    """Return the objective of a name.

    Args:
        name: of a figure or a fact of the records.
        task: what is graded on.
        entry: what is varied.
        better: ``"higher"`` or ``"lower"``; empty for what is usual for the figure.

    Raises:
        ValueError: records of this task and entry have no such number, or it is one of the test
            split while the choice is made on another.
    """
    known = _known(task, entry)
    if name == "share_of_optimum" and task.no_optimum:
        raise ValueError(f"objective: task {task.name} has no optimum: {task.no_optimum}")
    if name.startswith("test_") and task.task.split != "test":
        raise ValueError(f"objective: {name!r} is of the test split, and choices are made on "
                         f"validation; say validation_{name.removeprefix('test_')}.")  # fmt: skip
    if name not in known:
        raise ValueError(
            f"objective: {name!r} is no figure of {entry.name} on {task.name}"
            f"{closest(name, known)}; there are {', '.join(known)}."
        )
    usual = name in LOWER or (
        name.startswith(LOWER_BEGINNINGS) and not name.endswith("active_units")
    )
    return Objective(name, better == "lower" if better else usual)


def _known(task: SuiteTask, entry: EntrySpec) -> list[str]:
    """Return the numbers that records of a task and an entry may have."""
    found = ["return", "share_of_optimum", "kl", "entropy", task.focus]
    found += [f"return_{term.name}" for term in task.task.reward.terms]
    found += [*DISTANCES, *DIVERSITY, *METRICS, *sorted(SHARES)]
    if entry.policy in FINE_TUNED:
        found.append("kl_to_base")
    if entry.policy in GENERATORS:
        splits = ("validation", "test") if task.task.split == "test" else ("validation",)
        found += [f"{split}_{name}" for split in splits for name in TOLD]
    return list(dict.fromkeys([*found, *TOOK]))


@dataclass(frozen=True)
class Result:
    """What a point shows.

    Attributes:
        point: the entry.
        settings: the values of the varied fields.
        records: of its seeds, those that have failed left out.
        errors: seeds that have failed, and why in a line.
    """

    point: EntrySpec
    settings: dict[str, Any]
    records: tuple[Record, ...]
    errors: tuple[tuple[int, str], ...] = ()

    @property
    def name(self) -> str:
        """The name of the point."""
        return self.point.name

    @cached_property
    def _values(self) -> dict[str, Floats]:
        return {}

    def values(self, figure: str) -> Floats:
        """Return a figure, or a number of the facts, of each record; NaN where there is none."""
        if figure not in self._values:
            self._values[figure] = np.array([number(record, figure) for record in self.records])
        return self._values[figure]

    def mean(self, figure: str) -> float:
        """Return the mean over seeds; NaN where a record has none, or there is no record."""
        values = self.values(figure)
        return float(values.mean()) if len(values) else math.nan

    def estimate(self, figure: str) -> Estimate:
        """Return the mean over seeds and the ends of its 95 % interval, see `student`."""
        return student(self.values(figure))


def number(record: Record, name: str) -> float:
    """Return a figure of a record, or else a number in its facts, or NaN."""
    value = record.value(name)
    fact = record.facts.get(name)
    usable = isinstance(fact, int | float) and not isinstance(fact, bool)
    return float(fact) if math.isnan(value) and usable and fact is not None else value


def student(values: Floats) -> Estimate:
    r"""Return the mean of R values (R,) and the ends of its 95 % interval after Student.

    .. math:: \bar x \pm t_{R-1;\,0.975}\; s / \sqrt{R}

    A percentile of a few seeds would be too narrow. The ends are NaN below two values.

    >>> [round(x, 3) for x in student(np.array([1.0, 2.0, 3.0]))]  # 2 ± 4.303 / √3
    [2.0, -0.484, 4.484]
    """
    from scipy.special import stdtrit

    runs = len(values)
    if not runs:
        return [math.nan] * 3
    middle = float(values.mean())
    if runs < 2:
        return [middle, math.nan, math.nan]
    away = float(stdtrit(runs - 1, 0.975) * values.std(ddof=1) / runs**0.5)
    return [middle, middle - away, middle + away]


def results(
    sweep: Sweep, points: Sequence[EntrySpec], runs: Sequence[Run], folder: Path
) -> list[Result]:
    """Return what points show, from the records of their runs."""
    found: dict[str, list[tuple[Run, Record]]] = {point.name: [] for point in points}
    for run in runs:
        record = held(run, folder).get(run.entry.name)
        if record is not None and run.kind != "human":
            found[run.entry.name].append((run, record))
    return [
        Result(
            point,
            sweep.settings_of(point),
            tuple(record for _, record in found[point.name] if not record.error),
            tuple((run.seed, record.error.splitlines()[0])
                  for run, record in found[point.name] if record.error),
        )
        for point in points
    ]  # fmt: skip


def human_of(sweep: Sweep, folder: Path) -> Record | None:
    """Return the human row of a folder; None where it has failed."""
    run = sweep.runs([])[0]
    record = held(run, folder)[HUMAN]
    return None if record is None or record.error else record


def ranked(found: Sequence[Result], objective: Objective) -> list[Result]:
    """Return points best first; those with a failed seed or without the figure come last."""

    def place(result: Result) -> tuple[bool, float]:
        value = result.mean(objective.name)
        whole = not result.errors and value == value
        return not whole, (value if objective.lower else -value) if whole else 0.0

    return sorted(found, key=place)


def level(found: Sequence[Result], objective: Objective) -> Callable[[Result], bool]:
    """Return what tells whether a point cannot be told from the best one.

    It cannot where the interval of the paired difference, seed by seed, holds 0; a seed fixes the
    episodes of all points.
    """
    best = ranked(found, objective)[0]

    def told(result: Result) -> bool:
        one, other = (dict(zip([r.seed for r in each.records], each.values(objective.name),
                               strict=True)) for each in (best, result))  # fmt: skip
        both = sorted(one.keys() & other.keys())
        if result is best or result.errors or len(both) < 2:
            return False
        _, low, high = student(np.array([one[seed] - other[seed] for seed in both]))
        return low <= 0 <= high

    return told


def best_entry(result: Result, sweep: Sweep) -> str:
    """Return the entry file of a point, TOML, for ``musicgym leaderboard run --entries``."""
    point = result.point
    lines = [f"name = {json.dumps(point.name)}", f"policy = {json.dumps(point.policy)}"]
    if steps := sweep.steps or point.steps:
        lines.append(f"steps = {steps}")
    if point.temperature != 1:
        lines.append(f"temperature = {point.temperature}")
    lines += ["", "[settings]"]
    lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in point.settings.items()]
    return "\n".join([*lines, ""])
