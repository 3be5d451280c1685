"""Frozen models as judges: what they have learned, and the kind of array they answer in."""

from __future__ import annotations

import torch
from torch import Tensor

from musicgym.select import Array
from musicgym.task import DRAWN_KEYS, Task

from .acmg import ACMG
from .actor_critic import Actor

__all__ = ["Frozen", "as_given", "check_fit", "device_of", "shift_of"]


class Frozen:
    """A frozen model, and the task that it has learned."""

    def __init__(self, model: Actor, task: Task) -> None:
        """Freeze a model in evaluation mode and keep its task."""
        self.model, self.task = model.eval().requires_grad_(False), task

    def meet(self, task: Task) -> None:
        """Raise a ValueError where the model has not learned the melodies of a task."""
        check_fit(self.task, task)


def check_fit(learned: Task, task: Task) -> None:
    """Raise a ValueError where the melodies of a task are not those that a model has learned.

    The model's task is in C major and A minor. A task in another key fits where its range is moved
    with the key, so that all that the model reads is the same.
    """
    shift = shift_of(task)
    own = (learned.meter, learned.steps_per_beat, learned.low, learned.high)
    asked = (task.meter, task.steps_per_beat, task.low - shift, task.high - shift)
    if own == asked and task.key != "random":
        return
    moved = f" (pitches {asked[2]} to {asked[3]} when moved there)" if shift else ""
    raise ValueError(
        f"the checkpoint has learned {_said(learned)} in C major and A minor; the task has "
        f"{_said(task)} in {'any key' if task.key == 'random' else task.key}{moved}. Change the "
        "task's meter, steps_per_beat, pitch_range or key, or train on such melodies."
    )


def shift_of(task: Task) -> int:
    """Return the semitones that a task's key lies above C major or A minor."""
    return 0 if task.key in DRAWN_KEYS else ACMG.shift(task.key)


def _said(task: Task) -> str:
    grid, events = task.steps_per_beat, task.n_events
    return f"{task.meter}, {grid} steps a beat, pitches {task.low} to {task.high} ({events} events)"


def device_of(values: Array) -> torch.device:
    """Return where an array or a tensor is."""
    return values.device if isinstance(values, Tensor) else torch.device("cpu")


def as_given(scores: Tensor, like: Array) -> Array:
    """Return scores as the kind of array that melodies came in."""
    return scores if isinstance(like, Tensor) else scores.numpy()
