"""Standings as tables for people: in a terminal of 80 columns, and as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from .records import HUMAN
from .standings import OVER, SEEDS
from .standings_rows import Row, Standings
from .standings_scores import PRIOR
from .tables import SEARCH, heading, scale

__all__ = ["columns", "explained", "markdown", "number"]

#: The music metrics that stand beside the score.
MUSIC = ("mmd2", "vendi", "copied", "entropy")
#: Width of an entry's name and of its score on a terminal, and tasks beside each other.
NAME, SCORE, ACROSS = 22, 23, 5
#: What is undefined.
NONE = "-"


def columns(standings: Standings, entries: Sequence[str] = ()) -> str:
    """Return tables of at most 80 columns: who stands where, what it is like, and why not ranked.

    Args:
        standings: who stands where.
        entries: only these rows; ranks stay those among all.

    Raises:
        ValueError: there is no such entry.
    """
    rows = _chosen(standings, entries)
    score = "return" if standings.by_return else "score"
    lines = [
        *textwrap.wrap(_about(standings), 79, subsequent_indent="  "),
        "",
        f"{'rank':>5} {'entry':<{NAME}} {score + ' [95 %]':<{SCORE}} {'KL':>6} "
        f"{'best-of-N':>13} {'N':>5}",
        *(
            f"{_rank(row):>5} {_short(row.entry):<{NAME}} {_interval(row):<{SCORE}} "
            f"{_kl(row):>6} {_search(row):>13} {row.samples:>5,}"
            for row in rows
            if row.entry != HUMAN
        ),
        "",
        f"{'entry':<{NAME}}" + "".join(f"{heading(name):>10}" for name in MUSIC)
        + f"{'steps':>9}{'seconds':>9}",
        *(
            f"{_short(row.entry):<{NAME}}" + "".join(f"{_music(row, n):>10}" for n in MUSIC)
            + f"{_count(row.training_steps):>9}{_count(row.training_seconds):>9}"
            for row in rows
        ),
    ]  # fmt: skip
    beside = _beside(standings)
    for first in range(0, len(beside), ACROSS):
        some = beside[first : first + ACROSS]
        lines += [
            "",
            " " * NAME + "".join(f"{name[:10]:>11}" for name, _ in some),
            f"{'entry':<{NAME}}" + "".join(f"{figure[:10]:>11}" for _, figure in some),
        ]
        lines += [f"{_short(row.entry):<{NAME}}" + "".join(f"{_on(row, *one):>11}" for one in some)
                  for row in rows]  # fmt: skip
    return "\n".join(lines)


def markdown(standings: Standings, entries: Sequence[str] = ()) -> str:
    """Return one Markdown table of the same, a row an entry."""
    beside = _beside(standings)
    heads = ["rank", "entry", "return" if standings.by_return else "score", "KL", "best-of-N", "N",
             *map(heading, MUSIC), *(f"{heading(figure)} on {name}" for name, figure in beside),
             "steps", "seconds", "not ranked"]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in _chosen(standings, entries):
        cells = [_rank(row), row.entry, _interval(row), _kl(row),
                 _search(row), f"{row.samples:,}", *(_music(row, n) for n in MUSIC),
                 *(_on(row, *one) for one in beside), _count(row.training_steps),
                 _count(row.training_seconds), row.why]  # fmt: skip
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def explained(standings: Standings, entries: Sequence[str] = ()) -> list[str]:
    """Return what the tables do not say by themselves, a paragraph a line."""
    rows = _chosen(standings, entries)
    unit = (
        "Scores are returns."
        if standings.by_return
        else f"Score: the interquartile mean of (return - prior's) / (optimum - prior's), runs of "
        f"all tasks together; the prior is {PRIOR}. Its interval is over seeds."
    )
    lines = [
        unit,
        "Rank: 1 + the ranked entries clearly above, where the 95 % interval of the paired "
        "difference (seeds, then tunes resampled) leaves out 0; after the dash the last rank that "
        "it may have.",
        "best-of-N: the score less that of the best of N melodies of the prior at the same KL, "
        "without any training; BELOW where it is clearly less, ? where the KL is beyond the "
        "largest N. N: melodies drawn for each that is kept.",
    ]
    human = next((row for row in rows if row.entry == HUMAN), None)
    if human and (deviation := human.figures.get("mmd2_deviation", 0)) > 0:
        lines.append(
            f"mmd2 of {HUMAN} is the floor, human melodies against human melodies of other tunes; "
            f"its standard deviation is {deviation:.3f}."
        )
    lines += [
        f"{name} has no score: {why.rstrip('.')}." for name, why in standings.unscored.items()
    ]
    lines += [f"{name} is about {heading(figure)}." for name, figure in standings.focus.items()]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.why and row.entry != HUMAN:
            reasons.setdefault(row.why, []).append(row.entry)
    return lines + [f"Not ranked, {why}: {', '.join(names)}." for why, names in reasons.items()]


def _chosen(standings: Standings, entries: Sequence[str]) -> list[Row]:
    """Return the rows that are asked for, the human row first."""
    held = {row.entry: row for row in standings.rows}
    for name in entries:
        if name not in held:
            raise ValueError(f"entry: {name!r} is none of {', '.join(sorted(held))}.")
    human: Iterable[Row] = [held[HUMAN]] if HUMAN in held else []
    rest = [row for row in standings.rows if row.entry != HUMAN]
    return [*human, *(row for row in rest if not entries or row.entry in entries)]


def _about(standings: Standings) -> str:
    where = (
        f"task {standings.task} (indicative)"
        if standings.task
        else f"score over {len(standings.tasks)} task{'s' * (len(standings.tasks) != 1)}"
    )
    held = (
        "any KL" if standings.budget is None
        else f"KL at most {OVER} x {standings.budget:g} nats a step"
    )  # fmt: skip
    return f"{standings.suite}: {where}, {held}; ranked from {SEEDS} seeds on"


def _rank(row: Row) -> str:
    if row.rank is None:
        return NONE
    return f"{row.rank}" if row.last == row.rank else f"{row.rank}-{row.last}"


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def number(value: float, digits: int = 3) -> str:
    """Return a number for people; a dash is undefined."""
    return NONE if value != value else f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.000


def _kl(row: Row) -> str:
    bound = "≤" if SEARCH.fullmatch(row.entry) else ""
    return bound + number(row.figures.get("kl", float("nan")))


def _interval(row: Row) -> str:
    value, low, high = row.score
    if value != value:
        return NONE
    for digits in (3, 2, 1, 0):  # returns may be large
        middle, least, most = (number(x, digits) for x in (value, low, high))
        text = middle + (f" [{least}, {most}]" if low == low else "")
        if len(text) <= SCORE:
            break
    return text


def _search(row: Row) -> str:
    if row.search is None:
        return NONE
    side = {"below": " BELOW", "undecided": " ?"}.get(row.search.side, f" {row.search.side}")
    return f"{row.search.value:+.3f}{side}"


def _music(row: Row, name: str) -> str:
    value = row.figures.get(name, float("nan"))
    times = scale(name)
    return NONE if value != value else f"{times * value:.{1 if times > 1 or value >= 10 else 3}f}"


def _beside(standings: Standings) -> list[tuple[str, str]]:
    """Return tasks and figures beside the score: returns that enter none, and what tasks ask."""
    unscored = () if standings.by_return else standings.unscored
    return [*((name, "return") for name in unscored), *standings.focus.items()]


def _on(row: Row, task: str, figure: str) -> str:
    if figure == "return":
        return f"{row.returns[task][0]:.2f}" if task in row.returns else NONE
    return number(row.focus[task])


def _count(value: float) -> str:
    return NONE if not value else f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value:,.0f}"
