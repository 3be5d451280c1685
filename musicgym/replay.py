"""Given episodes and given melodies, read and paid by the environment's own text.

What a planner, a best-of-N search, an audit or an evaluation asks about melodies that no
environment has just played: `begin` starts any episodes, `pay` says what each term pays for any
events in them, `walk` for events that are chosen on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
import numpy.typing as npt

from .backends.arrays import judge
from .corpus.dataset import Windows
from .dynamics import Constants, Episodes, Readings, State, advance, constants, initial, moment
from .observation import observe
from .randomness import chance_at
from .reward import Reward, Rule, SequenceTerm
from .select import count_bits
from .task import Task, chord_masks

__all__ = ["after", "begin", "episodes_of", "observations", "pay", "start", "walk"]


def episodes_of(cut: Windows, task: Task) -> Episodes:
    """Return the windows of a corpus (N) as episodes; their keys are 0 to N - 1.

    The windows must be cut for the task's bars, meter and range.
    """
    tonics, codes = np.where(cut.modes == 1, 9, 0), cut.codes.astype(np.int64)
    roots = np.where(codes > 0, (cut.roots - tonics[:, None]) % 12, 0)
    spans = np.stack([roots, codes, chord_masks(roots, codes)])  # (3, N, beats)
    roots, codes, masks = np.repeat(spans, task.steps_per_beat, axis=2)
    modes = cut.modes.astype(np.int64)
    return Episodes(tonics, modes, roots, codes, masks, np.arange(len(modes)))


def begin(
    episodes: Episodes, task: Task, readings: Readings, steps_per_chord: int | None = None
) -> tuple[Constants, State]:
    """Return constants with one row of chords an episode, and the initial states (N,).

    Args:
        episodes: N episodes of the task's length, as an environment or `episodes_of` gives them.
        task: what else fixes them.
        readings: how moments are read, `Reward.readings`.
        steps_per_chord: grid slots a chord; the task's by default, a beat's for windows.
    """
    width = steps_per_chord or task.steps_per_chord
    return start(constants(task, readings)._replace(steps_per_chord=width), episodes)


def start(c: Constants, episodes: Episodes) -> tuple[Constants, State]:
    """Return the constants with the chords of N episodes in place of theirs, and `begin`'s states.

    Args:
        c: of the environment that the episodes are from.
        episodes: of its length.
    """
    width = c.steps_per_chord
    key, tonic, mode, roots, codes, masks = (
        np.asarray(part).astype(np.int64)
        for part in (
            episodes.key,
            episodes.tonic,
            episodes.mode,
            *(part[:, ::width] for part in (episodes.roots, episodes.codes, episodes.masks)),
        )
    )  # (N,) three times, (N, spans) three times
    c = c._replace(
        spans=roots.shape[1],
        roots=roots.ravel(),
        codes=codes.ravel(),
        masks=masks.ravel(),
        sizes=count_bits(masks.ravel()),
    )
    return c, initial(c, key, np.arange(len(key)), tonic, mode, chance_at(key, 0))


def after(c: Constants, state: State, events: npt.NDArray[np.integer]) -> State:
    """Return the states (N,) after the events (N, t) of an opening.

    Args:
        c: from `begin`.
        state: from `begin`: the episodes at their start.
        events: the first t events, fewer than the episodes have.

    Raises:
        ValueError: the events leave no step, or are not of N melodies.
    """
    if events.ndim != 2 or len(events) != len(state.key) or events.shape[1] >= c.steps:
        raise ValueError(
            f"opening: events of shape {events.shape} were given, for {len(state.key)} melodies of "
            f"{c.steps} steps."
        )
    for event in events.T:
        m = moment(c, state, event.astype(np.int64))
        state = advance(c, state, m, chance_at(state.key, state.step + 1))
    return state


def observations(
    c: Constants, state: State, events: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint8]:
    """Return what is observed before each of the events (N, T), compact: uint8 (N, T, F).

    Args:
        c: from `begin`.
        state: from `begin`: the episodes at their start.
        events: whole melodies, or their first T steps.
    """
    seen: list[npt.NDArray[np.uint8]] = []

    def look(t: int, now: State) -> npt.NDArray[np.integer]:
        seen.append(np.stack(observe(c, now), axis=-1).astype(np.uint8))
        return events[:, t]

    walk(c, state, look, events.shape[1], Reward((), Readings()))
    return np.stack(seen, axis=1)


def pay(
    c: Constants,
    state: State,
    events: npt.NDArray[np.integer],
    reward: Reward,
    episodes: Episodes | None = None,
    task: Task | None = None,
) -> npt.NDArray[np.float64]:
    """Return what each term pays at each step, before its weight: (N, T, K).

    Policy terms pay 0: they have no probabilities to judge.

    Args:
        c: from `begin`.
        state: from `begin`: the episodes at their start.
        events: (N, T) whole melodies, or their first T steps.
        reward: its terms; sequence terms start anew.
        episodes: needed for sequence terms.
        task: needed for those that meet it, the learned ones.
    """
    return walk(c, state, lambda t, _: events[:, t], events.shape[1], reward, episodes, task)[1]


def walk(
    c: Constants,
    state: State,
    choose: Callable[[int, State], npt.NDArray[np.integer]],
    steps: int,
    reward: Reward,
    episodes: Episodes | None = None,
    task: Task | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return events (N, T) chosen step by step, an invalid one as a rest, and their `pay`.

    Args:
        c: from `begin`.
        state: from `begin`: the episodes at their start.
        choose: gives the events (N,) of a step from its number and the states before it.
        steps: how many steps are walked (T).
        reward: its terms; sequence terms start anew.
        episodes: needed for sequence terms.
        task: needed for those that meet it, the learned ones.

    Raises:
        ValueError: what a term needs is missing, or it cannot judge the task.
    """
    n = len(state.key)
    played = np.empty((n, steps), np.int64)
    paid = np.zeros((n, steps, len(reward.terms)))
    sequence = [  # copies: an environment that pays this reward is not disturbed
        (k, copy(t.pays)) for k, t in enumerate(reward.terms) if isinstance(t.pays, SequenceTerm)
    ]
    for _, term in sequence:
        if episodes is None:
            raise ValueError("pay: sequence terms need the episodes.")
        if task is not None:
            term.meet(task, c)
        elif type(term).meet is not SequenceTerm.meet:
            raise ValueError(f"pay: {type(term).__name__} needs the task.")
        term.begin(episodes, np.ones(n, np.bool_))
    for t in range(steps):
        m = moment(c, state, choose(t, state).astype(np.int64))
        played[:, t] = m.event
        for k, (_, _, rule) in enumerate(reward.terms):
            if isinstance(rule, Rule):
                paid[:, t, k] = judge(rule, m)
        for k, term in sequence:
            paid[:, t, k] = term.pay(m.event)
        state = advance(c, state, m, chance_at(state.key, state.step + 1))
    return played, paid
