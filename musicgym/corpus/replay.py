"""Windows of a corpus as episodes, so that what people wrote is read by the environment's text."""

from __future__ import annotations

import numpy as np

from musicgym.dynamics import Constants, Readings, State, constants, initial
from musicgym.randomness import chance_at
from musicgym.select import count_bits
from musicgym.task import Task, chord_masks

from .dataset import Windows

__all__ = ["episodes_of"]


def episodes_of(cut: Windows, task: Task, readings: Readings) -> tuple[Constants, State]:
    """Return constants with one row of chords a window, and the initial states (N,).

    The windows must be cut for the task's bars, meter and range. Each draws its own median tones.
    """
    tonics, codes = np.where(cut.modes == 1, 9, 0), cut.codes.astype(np.int64)
    roots = np.where(codes > 0, (cut.roots - tonics[:, None]) % 12, 0)
    masks = chord_masks(roots, codes).ravel()
    c = constants(task, readings)._replace(
        spans=codes.shape[1],
        steps_per_chord=task.steps_per_beat,
        roots=roots.ravel(),
        codes=codes.ravel(),
        masks=masks,
        sizes=count_bits(masks),
    )
    rows = np.arange(len(codes))  # the key too
    return c, initial(c, rows, rows, tonics, cut.modes.astype(np.int64), chance_at(rows, 0))
