"""Standings as the data of the page: at every budget, of the suite and of each task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from musicgym.benchmarks import statistics
from musicgym.benchmarks.records import Record
from musicgym.benchmarks.standings import BUDGETS, Board, Row

__all__ = ["key", "rankings"]

#: The budget that a page opens with, if anything is ranked there.
USUAL = 0.1
#: Entries of a picture of runs, and where its curves are taken.
MOST = 16
TAUS = np.round(np.arange(-0.5, 1.0001, 0.025), 3)


def rankings(records: Sequence[Record]) -> dict[str, Any]:
    """Return the standings of records of a suite.

    Returns:
        ``budgets`` and ``budget``: those that can be chosen, None for any KL, and the first one.
        ``standings``: budget -> task (``""`` the suite) -> rows, the best first.
        ``profiles``: ``taus``, and of each task and entry the shares and their intervals.
        ``better``: of each task names, and the probability that a row's run beats a column's.
    """
    board = Board.of(records)
    scopes = ["", *(name for name, task in board.tasks.items() if task.records)]
    budgets = (*BUDGETS, None)
    rows = {
        key(budget): {scope: _rows(board, budget, scope) for scope in scopes} for budget in budgets
    }
    profiles, better = {}, {}
    for scope in scopes:
        some = _pictured(board.standings(budget, scope) for budget in budgets)
        profiles[scope] = {row.entry: _plain(statistics.profile(row.scores, TAUS).T)
                           for row in some}  # fmt: skip
        won = [[float(statistics.improvement(one.scores, other.scores)) for other in some]
               for one in some]  # fmt: skip
        better[scope] = {"names": [row.entry for row in some], "p": _plain(np.array(won))}
    return {
        "budgets": budgets,
        "budget": USUAL if any(row["rank"] for row in rows[key(USUAL)][""]) else None,
        "standings": rows,
        "profiles": {"taus": TAUS.tolist(), "of": profiles},
        "better": better,
    }


def key(budget: float | None) -> str:
    """Return a budget as the page names it."""
    return "none" if budget is None else f"{budget:g}"


def _rows(board: Board, budget: float | None, scope: str) -> list[dict[str, Any]]:
    found = board.standings(budget, scope)
    return [
        {
            "entry": row.entry,
            "rank": row.rank,
            "last": row.last,
            "score": None if found.by_return else _plain(np.array(row.score)),
            "why": row.why,
            "search": row.search.side if row.search else "",
        }
        for row in found.rows
        if row.returns or row.why
    ]


def _pictured(standings: Iterable[Any]) -> list[Row]:
    """Return the rows whose runs are pictured: of each budget the first ones that have a score."""
    found: dict[str, Row] = {}
    for each in standings:
        if not each.by_return:
            for row in [r for r in each.rows if r.scores.size and r.score[0] == r.score[0]][:MOST]:
                found.setdefault(row.entry, row)
    return list(found.values())


def _plain(values: Any) -> Any:
    """Return an array as lists of numbers of four digits, None for what is none."""
    if isinstance(values, np.ndarray | list):
        return [_plain(value) for value in values]
    return float(f"{values:.4g}") if math.isfinite(values) else None
