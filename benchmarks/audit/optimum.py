"""What the exact planner says of a reward: the optimum, each rule's ends, and their conflicts."""

from __future__ import annotations

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


def optimum(reward: Reward, task: Task, episodes: Episodes) -> dict[str, Any]:
    """Return the exact optimum of episodes and what follows from it; or why there is none."""
    none = dict.fromkeys(("value", "clairvoyant", "log10 melodies", "least", "most", "conflicts"))
    try:
        best = plan(task, reward, episodes)
    except NotFiniteMemory as error:
        return {"episodes": 0, "why none": str(error), **none}
    drawn = bool(np.isnan(best.count).any())
    known = clairvoyant(task, reward, episodes).mean() if drawn else np.nan
    least, most = single_rule_maxima(task, reward, episodes)
    names = [term.name for term in reward.terms if isinstance(term.pays, Rule)]
    lost = conflicts(task, reward, episodes)
    return {
        "episodes": len(episodes.key),
        "why none": None,
        "value": float(best.value.mean()),
        "clairvoyant": finite(known),
        "log10 melodies": finite(np.log10(best.count).mean()),
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
