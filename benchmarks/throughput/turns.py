"""Turns: the sides of a comparison run one after the other, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any, Literal, NamedTuple

from tqdm import tqdm

__all__ = ["Clock", "Measure", "Turn", "middle", "take_turns", "timed"]

Clock = Literal["cpu", "wall"]


class Turn(NamedTuple):
    """What one side did in one turn.

    Attributes:
        steps: environment steps (or frames, or melodies).
        cpu: CPU-seconds of its processes.
        wall: seconds on the wall.

    >>> Turn(300, cpu=2.0, wall=3.0).rate("wall")
    100.0
    """

    steps: int
    cpu: float
    wall: float

    def rate(self, clock: Clock) -> float:
        """Return steps a second of a clock."""
        return self.steps / (self.cpu if clock == "cpu" else self.wall)


#: Runs for about so many seconds and says what it did.
Measure = Callable[[float], Turn]


def middle(turns: tuple[Turn, ...], clock: Clock) -> float:
    """Return the median rate of some turns."""
    return median(turn.rate(clock) for turn in turns)


def timed(
    block: Callable[[], int],
    clock: Clock = "cpu",
    cpu: Callable[[], float] = time.process_time,
    within: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Measure:
    """Return a measure that runs a block, which counts its steps, until the time is up.

    Args:
        block: does some steps and returns how many; it runs once at least.
        clock: the one that says when a turn is over.
        cpu: reads the CPU time of all processes that the block keeps busy.
        within: a context that each turn runs in, such as a number of threads.
    """

    def measure(seconds: float) -> Turn:
        with within():
            done, spent = 0, Turn(0, 0.0, 0.0)
            start_cpu, start = cpu(), time.perf_counter()
            while not done or (spent.cpu if clock == "cpu" else spent.wall) < seconds:
                done += block()
                spent = Turn(done, cpu() - start_cpu, time.perf_counter() - start)
            return spent

    return measure


def take_turns(
    sides: Mapping[str, Measure], seconds: float, repeats: int, warmups: int = 1, title: str = ""
) -> dict[str, tuple[Turn, ...]]:
    """Warm every side up, then let them take turns; return the turns of each.

    Args:
        sides: a measure for each name, in the order of their turns.
        seconds: of a turn; those to warm up take a fifth.
        repeats: turns of each.
        warmups: turns of each that are not counted.
        title: stands before the progress bar.

    Raises:
        ValueError: `seconds` or `repeats` is not above 0.
    """
    if repeats < 1 or not seconds > 0:
        raise ValueError(f"bench: repeats {repeats!r} and seconds {seconds!r} must be above 0.")
    found: dict[str, list[Turn]] = {name: [] for name in sides}
    total = (warmups + repeats) * len(sides)
    # A bar that is done within two seconds is never drawn.
    with tqdm(total=total, desc=title, unit="turn", leave=False, delay=2) as bar:
        for count in range(warmups + repeats):
            for name, measure in sides.items():
                turn = measure(seconds if count >= warmups else seconds / 5)
                if count >= warmups:
                    found[name].append(turn)
                bar.update()
    return {name: tuple(turns) for name, turns in found.items()}
