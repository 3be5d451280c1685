"""Ratings from 1 to 5 by system, with intervals, beside those that a paper printed."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.benchmarks.published import ZHAO_RATINGS
from musicgym.benchmarks.statistics import ends

from .choices import SCALES, Choices

__all__ = ["Rated", "rated", "ratings_text"]

Floats = npt.NDArray[np.float64]

#: Resamples, and listeners from which on a ranking is worth a thought.
RESAMPLES, MANY = 4000, 20


class Rated(NamedTuple):
    """What listeners think of a system.

    Attributes:
        system: its name.
        listeners: how many rated it.
        melodies: ratings in all.
        marks: the mean on each of the `SCALES` and the ends of its 95 % interval (4, 3).
    """

    system: str
    listeners: int
    melodies: int
    marks: Floats


def rated(files: Sequence[Choices], seed: int = 0) -> list[Rated]:
    """Return the mean ratings of each system.

    The mean is over listeners, of each one's mean, so that one who rated more does not weigh more.
    The interval is a bootstrap over listeners, and over the melodies of each, widened for few
    listeners as in `musicgym.benchmarks.statistics.ends`; of one listener it is over melodies only,
    and speaks of that listener alone.

    Raises:
        ValueError: there is no rating.
    """
    given: dict[str, dict[str, list[list[int]]]] = defaultdict(lambda: defaultdict(list))
    for held in files:
        for rating in held.ratings:
            marks = [getattr(rating, scale) for scale in SCALES]
            given[held.systems[rating.melody]][held.listener].append(marks)
    if not given:
        raise ValueError("ratings: the files hold none; ask with `musicgym listen ... --ratings`.")
    found = []
    for system, said in sorted(given.items()):
        marks = [np.array(rows, dtype=np.float64) for rows in said.values()]  # each (M, 4)
        means = np.mean([rows.mean(0) for rows in marks], axis=0)
        sizes = np.ones(len(marks) if len(marks) > 1 else len(marks[0]))
        low, high = np.quantile(_resampled(marks, seed), ends(sizes), axis=0)
        count = sum(map(len, marks))
        found.append(Rated(system, len(marks), count, np.stack([means, low, high], axis=1)))
    return found


def _resampled(marks: Sequence[Floats], seed: int) -> Floats:
    """Return the means (RESAMPLES, 4) of resampled listeners with resampled melodies each."""
    rng = np.random.default_rng(seed)
    total = np.zeros((RESAMPLES, len(SCALES)))
    drawn = rng.multinomial(len(marks), np.full(len(marks), 1 / len(marks)), RESAMPLES)  # (R, L)
    for rows, times in zip(marks, drawn.T, strict=True):
        # A listener who is drawn twice has melodies drawn anew each time.
        who = np.repeat(np.arange(RESAMPLES), times)
        which = rng.integers(0, len(rows), (len(who), len(rows)))
        np.add.at(total, who, rows[which].mean(1))
    return total / len(marks)


def ratings_text(found: Sequence[Rated], markdown: bool = False) -> str:
    """Return the ratings as a table, the published ones below, and what they cannot say."""
    head = ["system", *SCALES, "listeners", "ratings"]
    rows = [
        [r.system, *(f"{m:.2f} [{low:.2f}, {high:.2f}]" for m, low, high in r.marks),
         str(r.listeners), str(r.melodies)]
        for r in found
    ]  # fmt: skip
    for system in ZHAO_RATINGS["fluency"]:
        marks = [f"{ZHAO_RATINGS[scale][system]:.1f}" for scale in SCALES]
        rows.append([f"{system} (published)", *marks, "", ""])
    listeners = max(r.listeners for r in found)
    lines = table(head, rows, markdown)
    notes = ["Means from 1 to 5 with 95 % intervals, resampled over listeners, then melodies."]
    if listeners < MANY:
        many = "one listener speaks" if listeners == 1 else f"{listeners} listeners speak"
        notes.append(
            f"A handful of listeners ranks nothing: {many} for themselves. Ask {MANY} or more "
            "before a difference is called one."
        )
    notes.append(
        "The published ratings are of other melodies by other listeners, printed without "
        "intervals: they show the scale, and are no rivals in this table."
    )
    return "\n".join([*lines, "", *textwrap.wrap(" ".join(notes), 79)])


def table(head: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool) -> list[str]:
    """Return the lines of a table, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    sides = [str.ljust, *[str.rjust] * (len(head) - 1)]

    def line(cells: Sequence[str]) -> str:
        fitted = [side(c, w) for side, c, w in zip(sides, cells, widths, strict=True)]
        return f"| {' | '.join(fitted)} |" if markdown else "  ".join(fitted).rstrip()

    ruled = [":" + "-" * (widths[0] - 1), *("-" * (w - 1) + ":" for w in widths[1:])]
    return [line(head), *([line(ruled)] if markdown else []), *map(line, rows)]
