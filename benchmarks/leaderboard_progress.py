"""The display of a leaderboard's runs: how many are done, which are at work, the time left."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tqdm import tqdm

from .leaderboard import Run

__all__ = ["Clock", "Display", "duration"]

#: Seconds that a run is taken for before one like it was seen: so many, and so many a step.
USUAL = {"human": 20.0, "simple": 5.0, "search": 120.0, "trained": 10.0}
A_STEP = 1 / 5000
#: The width of the display.
COLUMNS = 79


class Clock:
    """Guesses how long runs take, from those that are over.

    A run is guessed by those of the same entry, or else of the same kind, or else of all: their
    seconds, over what was taken for usual before.

    >>> clock = Clock()
    >>> clock.left([], jobs=2)
    0.0
    """

    def __init__(self) -> None:
        """Begin without any run."""
        self.took: dict[str, list[float]] = {}
        self.at_work: dict[str, tuple[Run, float]] = {}

    def begun(self, run: Run) -> None:
        """Start the time of a run."""
        self.at_work[str(run)] = (run, time.monotonic())

    def ended(self, run: Run) -> None:
        """Take the time of a run."""
        _, start = self.at_work.pop(str(run))
        ratio = (time.monotonic() - start) / usual(run)
        for name in _classes(run):
            self.took.setdefault(name, []).append(ratio)

    def guess(self, run: Run) -> float:
        """Return the seconds that a run will take."""
        known = next((self.took[name] for name in _classes(run) if name in self.took), [1.0])
        return usual(run) * sum(known) / len(known)

    def left(self, waiting: Iterable[Run], jobs: int) -> float:
        """Return the seconds until those that wait and those at work are over."""
        now = time.monotonic()
        each = [max(0.0, self.guess(run) - now + start) for run, start in self.at_work.values()]
        ahead = sum(map(self.guess, waiting))
        return max([(sum(each) + ahead) / jobs, *each])


class Display:
    """A line that shows how runs go; silent where there is no terminal."""

    def __init__(self, runs: Iterable[Run], done: int, jobs: int) -> None:
        """Open it over the runs that are left; `done` have their records already."""
        self.waiting = {str(run): run for run in runs}
        self.jobs, self.clock = jobs, Clock()
        self.bar = tqdm(
            total=done + len(self.waiting), initial=done, disable=None, ncols=COLUMNS,
            bar_format="{n_fmt}/{total_fmt} {bar:12} {desc}", leave=False,
        )  # fmt: skip

    def __enter__(self) -> Display:
        """Show it."""
        self.waits()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self.bar.close()

    def begun(self, run: Run) -> None:
        """Show that a run is at work."""
        self.waiting.pop(str(run), None)
        self.clock.begun(run)
        self.waits()

    def again(self, run: Run) -> None:
        """Show that a run is to be begun again."""
        self.clock.at_work.pop(str(run), None)
        self.waiting[str(run)] = run

    def ended(self, run: Run) -> None:
        """Show that a run is done."""
        self.clock.ended(run)
        self.bar.update()
        self.waits()

    def waits(self) -> None:
        """Bring the time left up to date."""
        if self.bar.disable:
            return
        left = self.clock.left(self.waiting.values(), self.jobs)
        self.bar.set_description_str(f"{duration(left)} left: {', '.join(self.clock.at_work)}")


def usual(run: Run) -> float:
    """Return the seconds that a run is taken for before one like it was seen."""
    steps = run.entry.steps or 0
    return USUAL[run.kind] + A_STEP * steps


def _classes(run: Run) -> tuple[str, ...]:
    """Return what a run is alike in, the nearest first."""
    return (f"{run.kind} {run.entry.name}", run.kind, "")


def duration(seconds: float) -> str:
    """Return a time for people.

    >>> duration(75), duration(3 * 3600 + 120), duration(4)
    ('1 min', '3 h 02 min', '4 s')
    """
    minutes = int(seconds // 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
