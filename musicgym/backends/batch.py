"""What a batch of episodes is made of, the same for every backend."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Constants, State

__all__ = ["COLUMNS", "Batch", "Core", "Outcome", "Start", "new_batch", "width", "write_masks"]

#: Integer types of the state's columns: 19 bytes an episode.
COLUMNS = State(
    key=np.uint32, step=np.uint16, row=np.uint32, tonic=np.uint8, mode=np.uint8, event=np.uint8,
    pitch=np.uint8, ringing=np.bool_, run=np.uint8, extra=np.bool_, weak_extra=np.bool_,
    median=np.uint8,
)  # fmt: skip


class Batch(NamedTuple):
    """The arrays of B episodes that a core changes in place.

    Attributes:
        state: columns (B,).
        events: (T + 1, B) events played so far, T first so that a step writes neighbours; the
            last row means nothing.
    """

    state: State
    events: npt.NDArray[np.uint8]


class Outcome(NamedTuple):
    """The arrays that a step writes.

    Attributes:
        observation: after the step; float32 (B, sum of the parts' sizes) if flat, else uint8
            (B, W): the F parts, and columns up to a multiple of eight that mean nothing.
        reward: (B,) the weighted sum over the rules.
        raw: K rows (B,), the raw values of the rules; the rows after theirs become zero.
        done: (B,) whether the episode is over.
        mask: (B, A) the events that are valid after the step.
    """

    observation: npt.NDArray[Any]
    reward: npt.NDArray[np.float64]
    raw: list[npt.NDArray[np.float64]]
    done: npt.NDArray[np.bool_]
    mask: npt.NDArray[np.int8]


class Start(NamedTuple):
    """What episodes start from: (B,) each; a row, tonic or mode below 0 is drawn from the key."""

    key: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    tonic: npt.NDArray[np.int64]
    mode: npt.NDArray[np.int64]


class Core(Protocol):
    """Runs the text over a batch, in place."""

    def use(self, c: Constants) -> None:
        """Take constants with longer chord tables."""

    def step(
        self,
        batch: Batch,
        actions: npt.NDArray[np.int64],
        active: npt.NDArray[np.bool_] | None,
        weights: npt.NDArray[np.float64],
        out: Outcome,
    ) -> None:
        """Play one step of the active episodes, or of all.

        The others stay as they are and get zeros; their observations mean nothing. Weights are
        (K,) or (B, K).
        """

    def reset(
        self,
        batch: Batch,
        which: npt.NDArray[np.bool_],
        start: Start,
        observation: npt.NDArray[Any],
    ) -> None:
        """Start the episodes of the mask and write their observations."""


def new_batch(size: int, steps: int) -> Batch:
    """Return a batch of `size` episodes of `steps` steps, not yet started."""
    return Batch(
        State(*(np.zeros(size, dtype) for dtype in COLUMNS)),
        np.zeros((steps + 1, size), np.uint8),
    )


def write_masks(mask: npt.NDArray[np.int8], ringing: npt.NDArray[np.bool_]) -> None:
    """Write the masks of valid events (B, A): a hold where a note rings, and all others."""
    mask.fill(1)
    mask[:, 0] = ringing


def width(parts: int) -> int:
    """Return the columns W of a compact observation of so many parts: a multiple of eight."""
    return -(-parts // 8) * 8
