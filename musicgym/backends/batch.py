"""What a batch of episodes is made of, the same for every backend."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Constants, State

__all__ = ["COLUMNS", "Batch", "Core", "Outcome", "Start", "new_batch"]

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
        events: (T, B) events played so far, T first so that a step writes neighbours.
    """

    state: State
    events: npt.NDArray[np.uint8]


class Outcome(NamedTuple):
    """The arrays that a step writes.

    Attributes:
        observation: (B, F) after the step.
        reward: (B,) the weighted sum over the rules.
        raw: (B, K) raw values of the rules; the columns after theirs become zero.
        done: (B,) whether the episode is over.
    """

    observation: npt.NDArray[Any]
    reward: npt.NDArray[np.float64]
    raw: npt.NDArray[np.float64]
    done: npt.NDArray[np.bool_]


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
        active: npt.NDArray[np.bool_],
        weights: npt.NDArray[np.float64],
        out: Outcome,
    ) -> None:
        """Play one step of the active episodes; the others get zeros and no observation.

        Weights are (K,) or (B, K).
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
        np.zeros((steps, size), np.uint8),
    )
