"""Melodies in their episodes: what they are paid, and every figure of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.agents.exact_planner import ExactPlanner, NotFiniteMemory, plan
from musicgym.agents.imagination import imagine
from musicgym.dynamics import Episodes
from musicgym.meters import METERS
from musicgym.replay import begin, pay

from .diversity import diversity, human_diversity
from .human import Human
from .likeness import likeness
from .metrics import measure
from .metrics.acmg import pitch_class_shares
from .metrics.metric import Floats, Measured
from .metrics.pieces import Pieces
from .tasks import BenchmarkTask

__all__ = [
    "Scene",
    "archive",
    "around_change",
    "figures",
    "over",
    "paid_in",
    "pay_in",
    "pieces_of",
    "scene_of",
    "whole",
]

Ints = npt.NDArray[np.int64]


class Scene(NamedTuple):
    """Episodes, and the best that can be done in them.

    Attributes:
        episodes: what is fixed in N episodes.
        steps_per_chord: grid slots a chord.
        optimum: (N,) the exact optimum, or None where the reward has none.
        opening: (N, t) events that are given in each episode, unpaid.
        at_change: (N, 2) what an optimal melody is paid a step before the key changes and after
            it, see `around_change`; None where it does not, or there is no optimum.
    """

    episodes: Episodes
    steps_per_chord: int
    optimum: Floats | None
    opening: Ints | None = None
    at_change: Floats | None = None


def scene_of(
    task: BenchmarkTask,
    episodes: Episodes,
    steps_per_chord: int,
    events: npt.NDArray[np.integer] | None = None,
) -> Scene:
    """Return episodes with their exact optimum, if the task's reward has one.

    Args:
        task: what is graded.
        episodes: N of them.
        steps_per_chord: grid slots a chord.
        events: (N, T) melodies that the openings are taken from; by default they are the task's.
    """
    own = None if events is None else events[:, : task.given].astype(np.int64)
    given = task.openings(episodes) if own is None else own
    scene = Scene(episodes, steps_per_chord, None, given)
    plain, reward = task.task, task.reward
    try:
        best = plan(plain, reward, episodes, steps_per_chord=steps_per_chord, opening=given).value
    except NotFiniteMemory:
        return scene
    scene = scene._replace(optimum=best)
    if plain.change is None:
        return scene
    planner = ExactPlanner(plain, reward)
    made = imagine(planner, episodes, plain, reward, steps_per_chord=steps_per_chord).events
    return scene._replace(at_change=around_change(scene, task, made))


def paid_in(scene: Scene, task: BenchmarkTask, events: Ints) -> Floats:
    """Return what each term pays for melodies (N, T) step by step, before its weight: (N, T, K)."""
    c, state = begin(scene.episodes, task.task, task.reward.readings, scene.steps_per_chord)
    return pay(c, state, events, task.reward, scene.episodes, task.task)


def pay_in(scene: Scene, task: BenchmarkTask, events: Ints) -> Floats:
    """Return what each term pays for melodies (N, T) after their opening, unweighted: (N, K)."""
    paid: Floats = paid_in(scene, task, events)[:, task.given :].sum(1)
    return paid


def around_change(scene: Scene, task: BenchmarkTask, events: Ints) -> Floats:
    """Return the reward a step of melodies (N, T) around the change of key: (N, 2).

    Over the first strong beat that begins a beat or more after the change (rules pay for chord
    tones on strong beats), and over the same beat of the bar before the change, which stands first.
    """
    plain = task.task
    assert plain.change is not None
    paid = paid_in(scene, task, events) @ task.reward.weights  # (N, T)
    beat, later = plain.steps_per_beat, METERS[plain.meter].strong_every * plain.steps_per_beat
    starts = [change + later for change in (plain.change - plain.steps_per_bar, plain.change)]
    return np.stack([paid[:, start : start + beat].mean(1) for start in starts], axis=1)


def figures(
    scene: Scene,
    task: BenchmarkTask,
    raw: Floats,
    pieces: Pieces,
    human: Human,
    seed: int,
    is_human: bool = False,
) -> dict[str, Measured]:
    """Return every figure of N melodies: returns, metrics, human-likeness, diversity.

    Args:
        scene: their episodes.
        task: what is graded.
        raw: (N, K) from `pay_in`.
        pieces: the melodies.
        human: what they are compared with.
        seed: of the draws of the comparison.
        is_human: whether they are the human melodies themselves.
    """
    returns = raw @ task.reward.weights
    found = {"return": over(returns)}
    if scene.optimum is not None:
        found["optimum"] = over(scene.optimum)
        most = scene.optimum.mean()  # a share of nothing, or of a loss, says nothing
        share = returns.mean() / most if most > 1e-9 else float("nan")
        found["share_of_optimum"] = whole(share, len(returns))
    if task.task.change is not None:
        heard = around_change(scene, task, pieces.events.astype(np.int64))
        for j, when in enumerate(("before", "after")):
            found[f"reward_{when}_change"] = over(heard[:, j])
            if scene.at_change is not None:
                found[f"optimum_{when}_change"] = over(scene.at_change[:, j])
    for k, term in enumerate(task.reward.terms):
        found[f"return_{term.name}"] = over(raw[:, k] * term.weight)
    for degree, share in enumerate(pitch_class_shares(pieces)):  # Eq. 11
        found[f"pitch_class_{degree}"] = whole(share, len(returns))
    if is_human:
        return found | measure(pieces) | human_diversity(human)
    distances = likeness(pieces, human, seed)
    found |= {name: whole(value, len(returns)) for name, value in distances.items()}
    return found | measure(pieces, human.pieces) | diversity(pieces, human, seed)


def pieces_of(scene: Scene, task: BenchmarkTask, events: Ints) -> Pieces:
    """Return melodies (N, T) in their episodes as what metrics read."""
    plain = task.task
    return Pieces.over(scene.episodes, events, plain.low, plain.meter, plain.steps_per_beat)


def archive(scene: Scene, events: Ints) -> bytes:
    """Return melodies and their chords, a chord a column, as a compressed NumPy archive."""
    tonic, mode, roots, codes, *_ = (np.asarray(part) for part in scene.episodes)
    every = slice(None, None, scene.steps_per_chord)
    held = {"events": events, "tonic": tonic, "mode": mode, "roots": roots[:, every],
            "codes": codes[:, every]}  # fmt: skip
    buffer = BytesIO()
    arrays: dict[str, Any] = {name: part.astype(np.uint8) for name, part in held.items()}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def over(values: Floats) -> Measured:
    """Return the mean of values (N,)."""
    return Measured(float(values.mean()), len(values), len(values))


def whole(value: float, count: int) -> Measured:
    """Return a figure of the whole set."""
    return Measured(float(value), count if value == value else 0, count)
