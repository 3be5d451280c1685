"""The searches of a sweep: all points of a grid, points at random, or those that Optuna asks for.

All go through the leaderboard's runner. No state is kept but the records: a search that was stopped
is told the finished points again, asks for the same next ones, and makes those.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from musicgym.export.extras import require

from . import leaderboard_ray, leaderboard_workers
from .entry_files import EntrySpec
from .leaderboard import claimed, missing
from .leaderboard_progress import Display
from .sweep import MOST, Sweep, grid, random_points
from .sweep_axes import Axis
from .sweep_results import Objective, Result, results

__all__ = ["SEARCHES", "Maker", "search"]

SEARCHES = ("grid", "random", "bayes")
#: Trials of a search that is not told how many.
USUAL_TRIALS = 20
#: Trials at random before the model of a Bayesian search says anything.
STARTUP = 5

#: Trains and grades points where they have no record; returns what they show, in their order.
Maker = Callable[[Sequence[EntrySpec]], list[Result]]


def search(
    sweep: Sweep,
    folder: Path,
    objective: Objective,
    kind: str = "grid",
    trials: int | None = None,
    seed: int = 1,
    batch: int = 1,
    jobs: int = 1,
    ray: str | None = None,
    retry: bool = False,
) -> list[Result]:
    """Carry out a sweep and return what each point shows, in the order of the points.

    Args:
        sweep: what is swept.
        folder: of the records.
        objective: what the Bayesian search looks for.
        kind: grid, random or bayes.
        trials: points of a search; 20 by default.
        seed: of the search.
        batch: points that the Bayesian search asks for before it hears of them.
        jobs: processes that work side by side.
        ray: address of a Ray cluster that does the work.
        retry: run again what has failed.

    Raises:
        ValueError: a number is out of its range, or a point's settings are; nothing was trained
            then.
        MissingExtra: Optuna or Ray is not installed.
    """
    if kind not in SEARCHES:
        raise ValueError(f"search: {kind!r} is not one of {', '.join(SEARCHES)}.")
    for name, value, least in (("jobs", jobs, 1), ("batch", batch, 1), ("search_seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name}: {value!r} is not {least} or more.")
    if trials is not None and kind == "grid":
        raise ValueError("trials: a grid has all its points; it is for --search random or bayes.")
    many = USUAL_TRIALS if trials is None else trials
    if kind == "grid":
        many = math.prod(len(axis.values) for axis in sweep.axes)
    if not 1 <= many <= MOST:
        name = "vary" if kind == "grid" else "trials"
        raise ValueError(f"{name}: {many:,} points are not from 1 to {MOST:,}.")

    def make(points: Sequence[EntrySpec]) -> list[Result]:
        runs = sweep.runs(points)
        left = missing(runs, folder, retry)
        with Display(left, len(runs) - len(left), jobs) as display:
            if ray and left:
                leaderboard_ray.work(left, folder, ray, display)
            elif left:
                leaderboard_workers.work(left, folder, jobs, display)
        return results(sweep, points, runs, folder)

    with claimed(folder):
        if kind == "bayes":
            optuna = require("optuna", "sweep", "sweep --search bayes")
            for end in (0, -1):  # what is out of its range is so before anything is trained
                corner = sweep.point({axis.name: axis.ends[end] for axis in sweep.axes})
                missing(sweep.runs([corner]), folder)
            return _bayes(optuna, sweep, objective, many, seed, batch, make)
        chosen = grid(sweep.axes)
        settings = chosen if kind == "grid" else random_points(sweep.axes, many, seed)
        return make([sweep.point(each) for each in settings])


def _bayes(
    optuna: Any,
    sweep: Sweep,
    objective: Objective,
    trials: int,
    seed: int,
    batch: int,
    make: Maker,
) -> list[Result]:
    """Return what the points show that Optuna's tree-structured Parzen estimator asks for.

    A point is told by its mean over seeds; one of whose runs failed, as failed.

    Reference: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization".
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that Optuna calls experimental
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP, multivariate=True, constant_liar=batch > 1, seed=seed
        )
    direction = "minimize" if objective.lower else "maximize"
    study = optuna.create_study(direction=direction, sampler=sampler)
    asked = {axis.name: _distribution(optuna, axis) for axis in sweep.axes}
    found: dict[str, Result] = {}
    for first in range(0, trials, batch):
        some = [study.ask(asked) for _ in range(min(batch, trials - first))]
        points = [sweep.point({axis.name: _said(axis, trial.params[axis.name])
                               for axis in sweep.axes}) for trial in some]  # fmt: skip
        distinct = {point.name: point for point in points}
        found |= {result.name: result for result in make(list(distinct.values()))}
        for trial, point in zip(some, points, strict=True):
            value = found[point.name].mean(objective.name)
            if found[point.name].errors or value != value:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, value)
    return list(found.values())


def _distribution(optuna: Any, axis: Axis) -> Any:
    """Return what Optuna draws of an axis: of a list the place, in order where it is of numbers."""
    kinds = optuna.distributions
    if not axis.values:
        low, high = axis.low, axis.high
        if axis.whole:
            return kinds.IntDistribution(int(low), int(high), log=axis.log)
        return kinds.FloatDistribution(low, high, log=axis.log)
    places = range(len(axis.values))
    if all(type(value) in (int, float) for value in axis.values):
        return kinds.IntDistribution(0, places[-1])
    return kinds.CategoricalDistribution(list(places))


def _said(axis: Axis, drawn: Any) -> Any:
    """Return the value of an axis that Optuna means."""
    return axis.values[drawn] if axis.values else axis.rounded(drawn)
