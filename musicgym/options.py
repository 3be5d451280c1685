"""What ``reset(options=...)`` may change, read the same way for one episode and for many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .task import DRAWN_KEYS, Task
from .theory import MODES, Key, closest

__all__ = ["Options", "read_options", "read_weights"]

NAMES = ("progression", "key", "weights", "events", "reset_mask")


class Options(NamedTuple):
    """The options of one reset.

    Attributes:
        tonic: pitch class of the tonic; below 0 = drawn (see `task.DRAWN_KEYS`).
        mode: 0 major, 1 minor, -1 = drawn.
        chords: mode -> chords (roots, codes, masks) of a given progression; empty = as the task.
        events: (k,) or (B, k) opening events, or None.
        weights: term -> weight or (B,) weights, or None.
    """

    tonic: int
    mode: int
    chords: dict[int, tuple[list[int], list[int], list[int]]]
    events: npt.NDArray[np.int64] | None
    weights: Mapping[str, Any] | None


def read_options(options: Mapping[str, Any] | None, task: Task, size: int = 0) -> Options:
    """Read and check reset options, for a batch of `size` environments or for a single one (0).

    Raises:
        ValueError: an unknown option, key or chord, a mode without chords, or an opening of a wrong
            shape or as long as the episode.
    """
    options = {} if options is None else options
    if not isinstance(options, Mapping):
        raise ValueError(f"options: {options!r} is not a dict of {', '.join(NAMES)}.")
    for name in options:
        if name not in NAMES:
            raise ValueError(
                f"options: {name!r} is not an option{closest(name, NAMES)}; "
                f"the options are {', '.join(NAMES)}."
            )
    text = options.get("key", task.key)
    key = None if text in DRAWN_KEYS else Key.parse(text)
    progression = options.get("progression")
    if progression is None and "key" in options and not task.drawn:
        progression = task.progression
    chords = {}
    if progression is not None:
        for mode in MODES if key is None else (key.mode,):
            reference = key or task.reference(mode)
            if key is None and task.key not in DRAWN_KEYS:
                reference = Key.parse("C major" if mode == "major" else "A minor")
            chords[MODES.index(mode)] = task.spans(progression, mode, reference)
    rows, majors = len(task.table.roots), task.table.major_rows
    # a corpus may have one mode only; a given progression is read in both
    drawn = -1 if chords or 0 < majors < rows else int(majors == 0)
    if key is not None and not chords and not (majors if key.mode == "major" else rows - majors):
        raise ValueError(f"options: {task.progression!r} has no progression for the key {text!r}.")
    return Options(
        tonic=DRAWN_KEYS[text] if key is None else key.tonic,
        mode=drawn if key is None else MODES.index(key.mode),
        chords=chords,
        events=_events(options.get("events"), task, size),
        weights=options.get("weights"),
    )


def _events(given: Any, task: Task, size: int) -> npt.NDArray[np.int64] | None:
    if given is None:
        return None
    events = np.asarray(given)
    shapes = f"(k,) or ({size}, k)" if size else "(k,)"
    fits = events.ndim == 1 or (events.ndim == 2 and len(events) == size > 0)
    if not fits or (events.size and events.dtype.kind not in "iu"):
        raise ValueError(
            f"options: events: {events.dtype} {events.shape} given, integers {shapes} expected."
        )
    if events.shape[-1] >= task.steps:
        raise ValueError(
            f"options: {events.shape[-1]} events fill an episode of {task.steps} steps; "
            f"an opening is shorter than the melody."
        )
    return events.astype(np.int64)


def read_weights(
    given: Mapping[str, Any], names: Sequence[str], before: npt.NDArray[np.float64], size: int = 0
) -> npt.NDArray[np.float64]:
    """Return the weights (K,) or (size, K) with the given ones changed; size 0 is no batch.

    Raises:
        ValueError: an unknown term, a weight that is not finite, or a wrong shape.
    """
    weights = before.copy()
    if not isinstance(given, Mapping):
        raise ValueError(f"options: weights: {given!r} is not a dict of term -> weight.")
    for name, value in given.items():
        if name not in names:
            raise ValueError(
                f"options: weights: {name!r} is not a term of this reward{closest(name, names)}; "
                f"its terms are {', '.join(names)}."
            )
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise ValueError(f"options: weights: {name!r} is {value!r}, not finite numbers.")
        if array.shape not in ((), (size,) if size else ()):
            raise ValueError(
                f"options: weights: {name!r} has shape {array.shape}; a number"
                + (f" or shape ({size},)" if size else "")
                + " is allowed."
            )
        if array.ndim and weights.ndim == 1:
            weights = np.tile(weights, (size, 1))
        weights[..., names.index(name)] = array
    return weights
