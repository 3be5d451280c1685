"""Sweeps: which settings of an entry are varied, over which values, and the points that this makes.

A point is the entry with some settings more. ``rewards.TERM`` sets the weight of a term in the
reward that the agent learns on; it is graded by the task's own reward at every point.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from musicgym.rewards.presets import PRESETS
from musicgym.theory import closest

from .entry_files import NAME, EntrySpec
from .leaderboard import Run, plan_runs, suite_of
from .suites import Suite, SuiteTask
from .sweep_axes import PRETRAINED, Axis
from .tasks import BenchmarkTask, read_task

__all__ = ["MOST", "Sweep", "grid", "point_name", "random_points", "task_of"]

#: The name of the suite in a sweep's records; its tasks are those of no suite.
SUITE = "sweep"
#: Points of a grid, and trials of a search, at most.
MOST = 10_000


@dataclass(frozen=True)
class Sweep:
    """What is swept; its runs are those of the leaderboard's runner.

    Attributes:
        task: what every point is graded on.
        entry: what is varied.
        axes: the fields and their values.
        seeds: of each point.
        count: melodies a record.
        steps: environment steps of a training, instead of those that entry or task say.
    """

    task: SuiteTask
    entry: EntrySpec
    axes: tuple[Axis, ...]
    seeds: int = 3
    count: int = 300
    steps: int | None = None

    def point(self, settings: Mapping[str, Any]) -> EntrySpec:
        """Return the entry with these settings on top of its own."""
        name = point_name(self.entry.name, settings)
        return replace(self.entry, name=name, settings={**self.entry.settings, **settings})

    def runs(self, points: Sequence[EntrySpec]) -> list[Run]:
        """Return the runs of points and of the human row.

        Where a field of the pretraining or of the actor's size is varied each seed pretrains anew,
        so that the spread over seeds is that of all that is learned.
        """
        suite = Suite(SUITE, (self.task,))
        runs = plan_runs(suite, points, self.seeds, self.count, steps=self.steps)
        if not self.pretrains:
            return runs
        return [
            run if run.kind == "human" else replace(run, entry=_seeded(run.entry, run.seed))
            for run in runs
        ]

    @property
    def pretrains(self) -> bool:
        """Whether each seed is pretrained anew."""
        names = [axis.name for axis in self.axes]
        return "pretraining.seed" not in names and any(n.startswith(PRETRAINED) for n in names)

    def settings_of(self, point: EntrySpec) -> dict[str, Any]:
        """Return the values of the varied fields of a point."""
        return {axis.name: point.settings[axis.name] for axis in self.axes}


def _seeded(entry: EntrySpec, seed: int) -> EntrySpec:
    return replace(entry, settings={**entry.settings, "pretraining.seed": seed})


def task_of(text: str, split: str, suite: str = "v1") -> SuiteTask:
    """Return the task that a name of a suite, or what `read_task` takes, says, on a split.

    Raises:
        ValueError: there is none of that name, or it has nothing to play over on that split.

    >>> task_of("balanced", "validation").task.split
    'validation'
    >>> task_of("long", "validation").task.progression
    'corpus:chorales/validation/aaba'
    """
    tasks = {task.name: task for task in suite_of(suite).tasks}
    if text in tasks:
        found = tasks[text]
    elif text in PRESETS or text.lstrip().startswith("{") or text.endswith(".json"):
        task = read_task(text)
        found = SuiteTask(re.sub(r"[^\w.@-]+", "_", task.name)[:60], task, "")
    else:
        raise ValueError(
            f"task: {text!r} is none{closest(text, [*tasks, *PRESETS])}; give one of suite {suite} "
            f"({', '.join(tasks)}), a preset of rewards, JSON text, or a file ending in .json."
        )
    return replace(found, task=_on(found.task, split))


def _on(task: BenchmarkTask, split: str) -> BenchmarkTask:
    """Return a task on another split, and what it plays over on that as well."""
    if split not in ("validation", "test"):
        raise ValueError(f"split: {split!r} is not validation or test.")
    kind, _, rest = task.progression.partition(":")
    if kind == "set" and split == "validation" and rest.endswith("/test"):
        raise ValueError(
            f"split: {task.progression} has no part for validation; with --split test the choice "
            f"is made on what is held out, so the figures of the best point flatter it."
        )
    parts = rest.split("/")
    if kind == "corpus" and parts[1:2] in (["test"], ["validation"]):
        parts[1] = split
        return replace(task, split=split, progression=f"corpus:{'/'.join(parts)}")
    return replace(task, split=split)


def grid(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Yield the settings of every point of a grid.

    >>> [list(p.values()) for p in grid([Axis("a", (1, 2)), Axis("b", ("x", "y"))])]
    [[1, 'x'], [1, 'y'], [2, 'x'], [2, 'y']]
    """
    names = [axis.name for axis in axes]
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip(names, values, strict=True))


def random_points(axes: Sequence[Axis], trials: int, seed: int) -> list[dict[str, Any]]:
    """Return the settings of different points at random; more trials begin with those of fewer.

    Raises:
        ValueError: there are not so many different points.
    """
    rng, found = np.random.default_rng(seed), dict[str, dict[str, Any]]()
    for _ in range(100 * trials + 1000):
        point = {axis.name: axis.draw(rng) for axis in axes}
        found.setdefault(json.dumps(point), point)
        if len(found) == trials:
            return list(found.values())
    raise ValueError(
        f"trials: {trials} is more than the {len(found)} different points that the lists make; "
        f"give fewer, or leave out --search for all of them."
    )


def point_name(entry: str, settings: Mapping[str, Any]) -> str:
    """Return the name of a point, the same however its settings are ordered.

    >>> point_name("acmg_ppo", {"rewards.final_tonic": 3, "learning.kl.target": 0.05})
    'acmg_ppo-kl.target@0.05-rewards.final_tonic@3'
    """
    parts = [f"{'.'.join(n.split('.')[-2:])}@{v}" for n, v in sorted(settings.items())]
    name = "-".join([entry, *parts])
    if NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    return f"{entry[:60]}@{digest}"
