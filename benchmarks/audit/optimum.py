"""What the exact planner says of a reward: the optimum, each rule's ends, and their conflicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from musicgym.agents.exact_planner import (
    NotFiniteMemory,
    clairvoyant,
    conflicts,
    plan,
    single_rule_maxima,
)
from musicgym.dynamics import Episodes
from musicgym.reward import Reward, Rule
from musicgym.task import Task

__all__ = ["optimum"]


def optimum(
    reward: Reward, task: Task, episodes: Episodes, compared: int, report: Callable[[str], None]
) -> dict[str, Any]:
    """Return the exact optimum of episodes, or why there is none, and what the rules allow.

    Args:
        reward: its terms.
        task: of the episodes.
        episodes: what is planned.
        compared: how many of them, the first, the ends and the conflicts of the rules come from.
        report: told each stage.
    """
    report("exact optimum")
    found: dict[str, Any] = dict.fromkeys(("value", "clairvoyant", "log10 melodies", "why none"))
    found["episodes"] = len(episodes.key)
    try:
        best = plan(task, reward, episodes)
    except NotFiniteMemory as error:
        found["why none"] = str(error)
    else:
        found["value"] = float(best.value.mean())
        found["log10 melodies"] = finite(np.log10(best.count).mean())
        if np.isnan(best.count).any():
            found["clairvoyant"] = float(clairvoyant(task, reward, episodes).mean())
    few = Episodes(*(part[:compared] for part in episodes))
    names = [term.name for term in reward.terms if isinstance(term.pays, Rule)]
    report("conflicts")
    least, most = single_rule_maxima(task, reward, few) if names else (np.zeros((1, 0)),) * 2
    lost = conflicts(task, reward, few) if names else np.zeros((0, 0))
    return {
        **found,
        "compared": len(few.key),
        "least": dict(zip(names, least.mean(0).tolist(), strict=True)),
        "most": dict(zip(names, most.mean(0).tolist(), strict=True)),
        "conflicts": {
            name: dict(zip(names, map(finite, row), strict=True))
            for name, row in zip(names, lost, strict=True)
        },
    }


def finite(value: float) -> float | None:
    """Return a number, or None where it is none or endless."""
    return float(value) if np.isfinite(value) else None
