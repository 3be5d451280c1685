"""A sweep as tables for people: in a terminal of 80 columns, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from .metrics.metric import Measured
from .records import Record
from .statistics import Estimate
from .sweep import Sweep
from .sweep_results import Objective, Result, level, number, ranked
from .tables import heading, scale

__all__ = ["about", "columns", "markdown", "notes", "short_names"]

#: Figures beside the objective, then the return by term, then these.
BESIDE = ("return", "share_of_optimum", "kl", "mmd2", "vendi", "copied")
MUSIC = ("entropy", "chord_match", "ends_on_tonic", "outside_key", "excessive_repetition",
         "onset_share", "pitch_range")  # fmt: skip
#: Names of figures that are too long for a column of a terminal.
HEADS = {"share_of_optimum": "of optimum %", "return_non_chord_tone": "non-chord",
         "return": "return", "excessive_repetition": "long repeats",
         "pitch_range": "range st", "validation_reconstruction": "val. recon.",
         "validation_active_units": "val. active"}  # fmt: skip
#: Points that a terminal shows; Markdown has all.
SHOWN = 20
#: Figures side by side on a terminal, and their width.
ACROSS, WIDTH = 5, 14
WIDEST = 79


def about(sweep: Sweep, found: Sequence[Result], objective: Objective) -> list[str]:
    """Return what was swept, in sentences."""
    runs = sweep.runs([sweep.point(found[0].settings)])
    steps = runs[-1].entry.steps
    lines = [
        f"{sweep.task.name}, {sweep.task.task.split} split: {sweep.entry.name}, {len(found)} "
        f"points, {sweep.seeds} seeds, {sweep.count} melodies a seed"
        + (f", {steps:,} steps a training" if steps else "")
        + f". Best is the {'lowest' if objective.lower else 'highest'} {objective.name}."
    ]
    if any(axis.name.startswith("rewards") for axis in sweep.axes):
        lines.append(
            "The weights under rewards are those that the agent learns on. Every point is graded "
            "by the task's own reward, whose terms are weighted as the task says."
        )
    if sweep.pretrains:
        lines.append("Each seed was pretrained anew.")
    return lines


def columns(
    sweep: Sweep, found: Sequence[Result], objective: Objective, human: Record | None
) -> str:
    """Return tables of at most 80 columns: the points best first, what each shows, and humans."""
    rows = list(enumerate(ranked(found, objective), 1))
    numbers = {result.name: place for place, result in rows}
    some = rows[:SHOWN]
    marks = _marks(found, objective)
    names = short_names(sweep)
    wide = max(4, (WIDEST - 8 - 30) // len(names) - 1)
    width = [max(5, min(wide, max(len(n), *(len(str(r.settings[a.name])) for r in found))))
             for n, a in zip(names, sweep.axes, strict=True)]  # fmt: skip
    title = heading(objective.name)
    lines = [
        "    #  "
        + " ".join(f"{_cut(n, w):>{w}}" for n, w in zip(names, width, strict=True))
        + f"  {title + ' [95 %]':<28}".rstrip()
    ]
    for place, result in some:
        cells = " ".join(f"{_value(result.settings[a.name])[:w]:>{w}}"
                         for a, w in zip(sweep.axes, width, strict=True))  # fmt: skip
        lines.append(f"{marks[result.name]:>2}{place:>3}  {cells}  "
                     f"{_interval(result, objective.name)}")  # fmt: skip
    if human is not None and (value := number(human, objective.name)) == value:
        blank = " ".join(" " * w for w in width)
        lines.append(f"human{'':2}{blank}  {_plain(value, objective.name)}"[:WIDEST])
    if len(rows) > SHOWN:
        lines.append(f"... and {len(rows) - SHOWN} more; --markdown has all.")
    shown = [f for f in figures(sweep, found) if f != objective.name]
    for first in range(0, len(shown), ACROSS):
        part = shown[first : first + ACROSS]
        lines += ["", "    #" + "".join(f"{_head(f):>{WIDTH}}" for f in part)]
        lines += [f"{marks[r.name]:>2}{numbers[r.name]:>3}"
                  + "".join(f"{_cell(r.estimate(f), f):>{WIDTH}}" for f in part)
                  for _, r in some]  # fmt: skip
        if human is not None:
            lines.append("human" + "".join(f"{_of(human, f):>{WIDTH}}" for f in part))
    return "\n".join(line.rstrip() for line in lines)


def markdown(
    sweep: Sweep, found: Sequence[Result], objective: Objective, human: Record | None
) -> str:
    """Return one Markdown table of the same: a row a point, best first, and the human row."""
    shown = [objective.name, *(f for f in figures(sweep, found) if f != objective.name)]
    marks, names = _marks(found, objective), [f"`{axis.name}`" for axis in sweep.axes]
    heads = ["", *names, *(heading(f) for f in shown)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for result in ranked(found, objective):
        cells = [marks[result.name], *(_value(result.settings[a.name]) for a in sweep.axes),
                 _interval(result, objective.name),
                 *(_cell(result.estimate(f), f) for f in shown[1:])]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    if human is not None:
        cells = ["human", *("" for _ in names), *(_of(human, f) for f in shown)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def notes(found: Sequence[Result], objective: Objective) -> list[str]:
    """Return what the marks mean, and what has failed."""
    lines = ["* the best point. ± and [ ] are 95 % intervals over seeds (Student)."]
    if "~" in _marks(found, objective).values():
        lines.append("~ cannot be told from the best: the interval of the paired difference over "
                     "seeds holds 0.")  # fmt: skip
    if objective.name in ("return", "share_of_optimum") and len(found) > 1:
        lines.append("A return is most easily raised by leaving the prior: read it beside KL and "
                     "the distance to human melodies.")  # fmt: skip
    lines += [f"failed: {r.name}, seed {seed}: {why}" for r in found for seed, why in r.errors]
    return lines


def figures(sweep: Sweep, found: Sequence[Result]) -> list[str]:
    """Return the figures of a table that the points have."""
    terms = [f"return_{term.name}" for term in sweep.task.task.reward.terms]
    told = dict.fromkeys(
        name
        for result in found[:1]
        for record in result.records[:1]
        for name in record.facts
        if name.startswith("validation_")
    )
    asked = dict.fromkeys([sweep.task.focus, *BESIDE, *told, *terms, *MUSIC])

    def told_of(name: str) -> bool:
        return any(r.mean(name) == r.mean(name) for r in found)

    def pays(name: str) -> bool:
        return name not in terms or any((r.values(name) != 0).any() for r in found)

    return [name for name in asked if told_of(name) and pays(name)]


def short_names(sweep: Sweep) -> list[str]:
    """Return the last parts of the varied fields' names: two, or as many as tell them apart."""
    whole = [axis.name.split(".") for axis in sweep.axes]

    def shortest(parts: list[str]) -> str:
        for size in range(2, len(parts) + 1):
            if [other[-size:] for other in whole].count(parts[-size:]) == 1:
                break
        return ".".join(parts[-size:])

    return [shortest(parts) for parts in whole]


def _marks(found: Sequence[Result], objective: Objective) -> dict[str, str]:
    """Return the mark of each point."""
    best, same = ranked(found, objective)[0], level(found, objective)
    good = best.mean(objective.name) == best.mean(objective.name) and not best.errors
    return {
        result.name: "!" if result.errors
        else "*" if good and result is best
        else "~" if good and same(result) else ""
        for result in found
    }  # fmt: skip


def _head(figure: str) -> str:
    short = HEADS.get(figure) or heading(figure).removeprefix("return ")
    return short.replace("validation ", "val. ")[: WIDTH - 1]


def _cut(name: str, width: int) -> str:
    """Return a field's name if it fits, else what fits of its last part."""
    return name if len(name) <= width else name.rpartition(".")[2][-width:]


def _value(value: object) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _digits(value: float, figure: str) -> int:
    """Return the decimals of a figure: three for what is below 1, none for thousands."""
    if scale(figure) == 100:
        return 1
    if figure.startswith("return"):
        return 2
    return 3 if abs(value) < 1 else 2 if abs(value) < 1000 else 0


def _plain(value: float, figure: str) -> str:
    return f"{scale(figure) * value:,.{_digits(value, figure)}f}"


def _of(human: Record, figure: str) -> str:
    """Return a figure of the human row."""
    value = human.figures.get(figure, Measured(float("nan"), 0, 0)).value
    return _plain(value, figure) if value == value else "-"


def _cell(told: Estimate, figure: str) -> str:
    """Return a mean and half its interval."""
    value, low, high = told
    if value != value:
        return "-"
    away = (high - low) / 2
    digits = _digits(value, figure)
    more = f" ±{scale(figure) * away:,.{digits}f}" if away == away else ""
    return _plain(value, figure) + more


def _interval(result: Result, figure: str) -> str:
    """Return a mean and the ends of its interval; of fewer seeds than asked, how many failed."""
    value, low, high = result.estimate(figure)
    if value != value:
        return "failed" if result.errors else "-"
    digits, times = _digits(value, figure), scale(figure)
    text = _plain(value, figure)
    if low == low:
        text += f" [{times * low:,.{digits}f}, {times * high:,.{digits}f}]"
    return text + (f"  {len(result.errors)} failed" if result.errors else "")
