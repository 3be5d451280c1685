"""What a fit to choices says, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from musicgym.benchmarks.features import FEATURES

from .choices import Judgement
from .ratings import table
from .reward_model import RewardModel, told
from .wins import least_share, strengths, tunes, win_rate, wins

__all__ = ["fit_text"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Decided choices under which nothing is said of systems, or of a reward.
FEW = 30


def fit_text(judged: Sequence[Judgement], model: RewardModel, odds: Floats) -> str:
    """Return win rates, tests, strengths, and how well the model tells choices left out.

    Args:
        judged: the choices.
        model: fitted to them.
        odds: (N,) from `fit`, what models without the choice's tunes say.
    """
    score = np.array([j.score for j in judged])
    decided = score != 0.5
    names = [j.listener for j in judged]
    listener = np.unique(names, return_inverse=True)[1].astype(np.int64)
    groups = tunes(judged)
    lines = [
        *_prose(
            f"{len(judged)} choices, {len(judged) - int(decided.sum())} of them without a "
            f"difference, by {_counted(len(set(names)), 'listener')} over "
            f"{_counted(int(groups.max()) + 1, 'group')} of melodies."
        ),
        "",
        *_systems(judged),
        "",
    ]
    side = win_rate(np.array([j.first for j in judged]), listener, groups)
    lines += _prose(f"What was called A was chosen in {_share(side)}; without a habit it is 50 %.")
    lines += ["", *_prose(_about_model(model, odds, score, listener, groups))]
    return "\n".join([*lines, *_too_few(int(decided.sum()))])


def _about_model(
    model: RewardModel, odds: Floats, score: Floats, listener: Ints, groups: Ints
) -> str:
    """Return how well the model tells choices left out, and what it looks at."""
    decided, said = score != 0.5, [f"The reward model (ridge {model.figures['ridge']:.3g})"]
    if decided.any() and odds.any():
        right = win_rate(told(odds, score)[decided], listener[decided], groups[decided])
        said.append(
            f"tells {_share(right)} of the decided choices that it has not seen; chance is 50 %. "
            f"Its loss on them is {model.figures['loss']:.3f} nats a choice; chance is 0.693."
        )
        if right[1] <= 0.5:
            said.append("That may be chance: do not train with it yet, ask for more choices.")
    else:
        said.append("has too few melodies to be tried on choices that it has not seen.")
    best = np.argsort(-np.abs(model.weights))[:6]
    liked = ", ".join(f"{FEATURES[k]} {model.weights[k]:+.2f}" for k in best)
    return " ".join([*said, f"What weighs most, in log-odds a deviation: {liked}."])


def _systems(judged: Sequence[Judgement]) -> list[str]:
    """Return a line a system with its strength, and a line a pair of systems with its test."""
    rows = []
    for found in wins(judged):
        p = f"p = {found.p_tunes:.3g}"
        if found.p_listeners == found.p_listeners:
            p += f" by melodies, {found.p_listeners:.3g} by listeners"
        counts = (found.won, found.tied, found.lost)
        verdict = "differ" if found.p < 0.05 else "no difference shown"
        rows.append([
            f"{found.systems[0]} against {found.systems[1]}", *map(str, counts),
            _share(found.rate), p, verdict,
        ])  # fmt: skip
    head = ["", "won", "tied", "lost", "win rate", "sign test", ""]
    ranked = sorted(strengths(judged).items(), key=lambda item: -item[1][0])
    strong = [[name, f"{s:+.2f} [{low:+.2f}, {high:+.2f}]"] for name, (s, low, high) in ranked]
    return [*table(head, rows, False), "", *table(["system", "strength"], strong, False)]


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, 79)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _share(estimate: Sequence[float]) -> str:
    share, low, high = (100 * part for part in estimate)
    return f"{share:.0f} % [{low:.0f}, {high:.0f}]"


def _too_few(decided: int) -> list[str]:
    """Return what so few choices cannot show, or nothing."""
    if decided >= FEW:
        return []
    least = least_share(decided)
    able = (
        f"only a win rate of {100 * least:.0f} % or more could be told from chance"
        if least == least
        else "no win rate could be told from chance"
    )
    said = f"Too few: with {_counted(decided, 'decided choice')} {able}. Ask for {FEW} or more."
    return ["", *_prose(said)]
