"""Records as tables for people: a system a row or a column, the human row first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicgym.agents.search_curve import kl_bound, mixture
from musicgym.emotion import EMOTIONS

from .audit.statistics import Estimate
from .audit.statistics import mean as paired_mean
from .metrics import METRICS
from .metrics.metric import Floats
from .records import HUMAN, Record
from .style_examples import CLASSES
from .tasks import BenchmarkTask

__all__ = [
    "FRONT",
    "Row",
    "columns",
    "every",
    "heading",
    "markdown",
    "notes",
    "rows",
]

#: The figures of a table that is not asked for others.
FRONT = (
    "return", "share_of_optimum", "kl", "entropy",
    "mmd2", "frechet", "c2st", "vendi", "distinct_melodies", "shared_with_training", "copied",
    "excessive_repetition", "autocorrelation", "outside_key", "under_octave",
    "unique_highest", "unique_lowest", "chord_match", "ends_on_tonic", "pitch_range", "onset_share",
    "classical_style", "style_accuracy", "inception_score", "emotional_consistency",
)  # fmt: skip
#: Shares that are no metric of the registry.
SHARES = {
    "share_of_optimum", "c2st", "copied", "distinct_melodies", "distinct_2", "distinct_3",
    "distinct_4", "hamming", *(f"pitch_class_{k}" for k in range(12)),
    "classical_style", "style_accuracy", *(f"called_{name}" for name in CLASSES),
    "emotional_consistency", *(f"emotion_{name}" for name in EMOTIONS),
}  # fmt: skip
#: The best-of-N rows of a table; the others are in the records and in the picture.
SEARCHES = ("best_of_4", "best_of_16", "best_of_64", "best_of_1024")
#: The name of a row of the best-of-N curve.
SEARCH = re.compile(r"best_of_(\d+)")
#: Systems beside each other on a terminal of 80 columns, and the width of a figure's name.
ACROSS, NAME = 5, 34


@dataclass(frozen=True)
class Row:
    """One system over its seeds.

    Attributes:
        name: the entry.
        records: one a seed.
    """

    name: str
    records: tuple[Record, ...]

    def values(self, figure: str) -> Floats:
        """Return the figure of each seed that has it."""
        found: Floats = np.array([record.value(figure) for record in self.records])
        known: Floats = found[~np.isnan(found)]
        return known

    def mean(self, figure: str) -> float:
        """Return the mean over seeds, NaN where there is none."""
        values = self.values(figure)
        return float(values.mean()) if len(values) else math.nan

    def spread(self, figure: str) -> float:
        """Return the standard deviation over seeds, NaN below two."""
        values = self.values(figure)
        return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def rows(records: Sequence[Record]) -> list[Row]:
    """Return a row a system, the human row first, the others by their return."""
    names = dict.fromkeys(record.entry for record in records)
    made = [Row(n, tuple(r for r in records if r.entry == n)) for n in names]
    return sorted(made, key=lambda row: (row.name != HUMAN, row.mean("return")))


def heading(figure: str) -> str:
    """Return a figure's name for people, with its unit where it has one."""
    unit = METRICS[figure].unit if figure in METRICS else "%" if figure in SHARES else ""
    return figure.replace("_", " ") + (f" {unit}" if unit else "")


def scale(figure: str) -> int:
    """Return what a figure is multiplied by for people: shares are in percent."""
    return 100 if heading(figure).endswith("%") else 1


def shown(systems: Sequence[Row], asked: Sequence[str] = ()) -> list[Row]:
    """Return the rows without most of the best-of-N rows, which a picture shows better.

    Those of `SEARCHES`, the largest and those that were asked for stay.
    """
    sizes = [int(r.name.removeprefix("best_of_")) for r in systems if is_search(r)]
    wanted = (*SEARCHES, *asked, f"best_of_{max(sizes, default=0)}")
    return [row for row in systems if not is_search(row) or row.name in wanted]


def is_search(row: Row) -> bool:
    """Tell whether a row is one of the best-of-N curve."""
    return SEARCH.fullmatch(row.name) is not None


def cell(row: Row, figure: str, spread: bool = False) -> str:
    """Return a figure as text, shares in percent; a dash is undefined."""
    value = row.mean(figure)
    if value != value:
        return "-"
    times = scale(figure)
    digits = 1 if times == 100 else 3 if abs(value) < 1 else 2
    text = f"{times * value:.{digits}f}"
    if figure == "kl" and is_search(row):
        return f"≤{text}"  # the formula is an upper bound
    if spread and row.spread(figure) == row.spread(figure):
        text += f" ± {times * row.spread(figure):.{digits}f}"
    return text


def columns(systems: Sequence[Row], figures: Sequence[str] = FRONT) -> str:
    """Return a table for a terminal: a line a figure, a numbered column a system."""
    lines = [f"({number}) {row.name}" for number, row in enumerate(systems, 1)]
    shown = [f for f in figures if any(len(row.values(f)) for row in systems)]
    for first in range(0, len(systems), ACROSS):
        some = list(enumerate(systems, 1))[first : first + ACROSS]
        lines += ["", " " * NAME + "".join(f"{f'({n})':>9}" for n, _ in some)]
        lines += [heading(f)[:NAME].ljust(NAME) + "".join(f"{cell(r, f):>9}" for _, r in some)
                  for f in shown]  # fmt: skip
    return "\n".join(lines)


def markdown(systems: Sequence[Row], figures: Sequence[str] = FRONT) -> str:
    """Return a Markdown table, a row a system, ± one standard deviation over seeds."""
    shown = [f for f in figures if any(len(row.values(f)) for row in systems)]
    lines = [f"| system | {' | '.join(map(heading, shown))} |", "|---" * (len(shown) + 1) + "|"]
    lines += [
        f"| {row.name} | {' | '.join(cell(row, f, spread=True) for f in shown)} |"
        for row in systems
    ]
    return "\n".join(lines)


def every(systems: Sequence[Row]) -> list[str]:
    """Return the names of all figures, those of `FRONT` first."""
    names = dict.fromkeys(n for row in systems for record in row.records for n in record.figures)
    plain = (name for name in names if name not in FRONT and not name.endswith("_deviation"))
    return [*FRONT, *plain]


def notes(systems: Sequence[Row]) -> list[str]:
    """Return what a table does not say by itself: noise floors, and `against_search`."""
    lines = []
    for row in systems:
        if row.name == HUMAN:
            for figure in ("mmd2", "frechet", "c2st"):
                value, deviation = row.mean(figure), row.mean(f"{figure}_deviation")
                if value == value:
                    lines.append(
                        f"floor of {figure}: {value:.3f}, standard deviation {deviation:.3f} "
                        f"(human melodies against human melodies of other tunes)"
                    )
    return lines + against_search(systems)


def against_search(systems: Sequence[Row]) -> list[str]:
    """Return for each trained agent whether it earns more than best-of-N of its prior.

    Melody by melody over the same episodes, at the agent's own KL, or at the largest N where that
    does not reach; with a 95 % interval over tunes.
    """
    search = {int(row.records[0].facts["samples"]): row for row in systems
              if len(row.values("return_curve"))}  # fmt: skip
    if not search:
        return []
    prior = next((row for row in systems if row.name == "melody_lstm"), None)
    search = dict(sorted({**({1: prior} if prior else {}), **search}.items()))
    steps = BenchmarkTask(**systems[0].records[0].task).own
    last = kl_bound(max(search), steps)
    lines = []
    for row in systems:
        if not row.records[0].facts.get("training_steps"):
            continue
        kl = row.mean("kl")
        share = mixture(list(search), kl, steps)
        found = _paired(row, list(search.values()), share)
        if found is None:
            continue
        value, low, high = found
        side = "above" if low > 0 else "BELOW" if high < 0 else "level with"
        beyond = kl > last
        told = f"best of {max(search):,}" if beyond else "best-of-N at the same KL"
        lines.append(
            f"{row.name}: {side} {told}, {value:+.2f} [{low:+.2f}, {high:+.2f}]"
            + f" ({kl:.3f} nats a step"
            + (f", against {last:.3f} at most" if beyond else "")
            + ")"
            + ("; undecided: its KL asks for more draws" if beyond and side != "BELOW" else "")
            + _taught(row)
        )
    return lines


def _taught(row: Row) -> str:
    """Return what a trained agent learned, where it is not what it is graded by."""
    record = row.records[0]
    own = record.facts.get("trained_on", record.task["rewards"])
    return "" if own == record.task["rewards"] else f"; it learned {own}"


def _paired(row: Row, search: Sequence[Row], share: Floats) -> Estimate | None:
    """Return a row's return less a mixture of others', with an interval, or None without a pair."""
    differences, tunes = [], []
    used = [(other, part) for other, part in zip(search, share, strict=True) if part]
    for record in row.records:
        others = [next((r for r in other.records if r.seed == record.seed), None)
                  for other, _ in used]  # fmt: skip
        if not record.returns or not all(other and other.returns for other in others):
            continue
        mixed = sum(p * np.array(o.returns) for o, (_, p) in zip(others, used, strict=True) if o)
        differences.append(np.array(record.returns) - mixed)
        tunes.append(np.array(record.tunes))
    if not differences:
        return None
    _, tune = np.unique(np.concatenate(tunes), return_inverse=True)
    return paired_mean(np.concatenate(differences), tune, seed=0)
