"""A leaderboard's folder as one Markdown page: its tasks, who stands where, and every task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .records import HUMAN, Record
from .standings import BUDGETS, Board
from .standings_rows import Standings
from .standings_text import explained, markdown, number
from .suites import SUITES

__all__ = ["report"]


def report(records: Sequence[Record]) -> str:
    """Return the page of records of one suite: all budgets, then every task beside the others."""
    board, suite = Board.of(records), SUITES[records[0].suite]
    everyone = board.standings()
    lines = [f"# Suite {suite.name}: all tables", "", *_made(records), "", "## Tasks", ""]
    lines += ["| task | what it asks | budget, steps | optimum | human | prior |", "|---" * 6 + "|"]
    there = {record.task_name for record in records}
    for task in suite.tasks:
        if task.name in there:
            rows = {record.entry: record for record in records if record.task_name == task.name}
            found = [_value(rows.get(HUMAN), "optimum"), _value(rows.get(HUMAN), "return"),
                     _value(rows.get("melody_lstm"), "return")]  # fmt: skip
            cells = [task.name, task.about, f"{task.budget:,}", *found]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Optimum and human: over the human melodies' own chords; prior: over a seed's."]
    for budget in (*BUDGETS, None):
        at = "any KL" if budget is None else f"KL of at most {budget:g} nats a step"
        lines += ["", f"## Standings, {at}", "", markdown(board.standings(budget))]
    lines += ["", *(f"- {line}" for line in explained(everyone))]
    lines += ["", "## Score by task", "", *_by_task(board, everyone)]
    return "\n".join([*lines, ""])


def _made(records: Sequence[Record]) -> list[str]:
    """Return what the records were made with."""
    first = records[0].made
    names = ("musicgym", "python", "torch", "gymnasium", "numpy", "numba", "stable-baselines3")
    versions = ", ".join(f"{name} {first[name]}" for name in names if name in first)
    code = Counter(str(record.made.get("revision", "unknown")) for record in records)
    told = ", ".join(f"{name} ({count:,})" for name, count in code.most_common())
    failed = sum(bool(record.error) for record in records)
    return [
        f"{len(records):,} records, {failed} of them of failed runs; {first.get('processor')}, "
        f"{first.get('cores')} cores; {versions}.",
        f"Records by revision of the code: {told}.",
    ]


def _by_task(board: Board, everyone: Standings) -> list[str]:
    """Return the mean score of each entry on each task that it has."""
    tasks = everyone.tasks
    scores = {
        task: {row.entry: row.scores for row in board.standings(task=task).rows} for task in tasks
    }
    lines = [f"| entry | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for row in everyone.rows:
        found = (scores[task].get(row.entry, np.empty(0)) for task in tasks)
        cells = (number(some.mean() if some.size else np.nan) for some in found)
        lines.append(f"| {row.entry} | {' | '.join(cells)} |")
    return [
        *lines,
        "",
        "Means over seeds: 0 is the prior, 1 the exact optimum.",
    ]


def _value(record: Record | None, name: str) -> str:
    return number(record.value(name) if record else float("nan"), 2)
