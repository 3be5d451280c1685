"""The NumPy backend: the text as it stands, on columns. The reference, and the fallback."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Constants, Moment, State, advance, initial, moment, terminal
from musicgym.observation import observe
from musicgym.randomness import chance_at
from musicgym.reward import Reward, Rule

from .batch import Batch, Outcome, Start, write_masks

__all__ = ["Arrays", "rows", "write_observation"]


class Arrays:
    """Runs a batch on NumPy (see `batch.Core`)."""

    def __init__(self, c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> None:
        """Keep what fixes the run; `sizes` are the parts of the observation."""
        self.c, self.rules, self.sizes, self.flat = c, reward.rules, sizes, flat

    def use(self, c: Constants) -> None:
        """Take constants with longer chord tables."""
        self.c = c

    def step(
        self,
        batch: Batch,
        actions: npt.NDArray[np.int64],
        active: npt.NDArray[np.bool_] | None,
        weights: npt.NDArray[np.float64],
        out: Outcome,
    ) -> None:
        """Play one step of the active episodes, or of all."""
        some = np.arange(len(actions)) if active is None else np.flatnonzero(active)
        for row in (out.reward, out.done, *out.raw):
            row.fill(0)
        state = rows(batch.state, some)
        m = moment(self.c, state, actions[some])
        weights = weights if weights.ndim == 1 else weights[some].T
        total: Any = np.zeros(len(some))
        for k, rule in enumerate(self.rules):
            value = np.broadcast_to(np.asarray(judge(rule, m), np.float64), total.shape)
            out.raw[k][some] = value
            total = weights[k] * value if k == 0 else total + weights[k] * value
        after = advance(self.c, state, m, chance_at(state.key, state.step + 1))
        out.reward[some] = total
        out.done[some] = terminal(self.c, after)
        batch.events[state.step, some] = m.event
        self._keep(batch, some, after, out.observation)
        write_masks(out.mask, batch.state.ringing)

    def reset(
        self,
        batch: Batch,
        which: npt.NDArray[np.bool_],
        start: Start,
        observation: npt.NDArray[Any],
    ) -> None:
        """Start the episodes of the mask."""
        some = np.flatnonzero(which)
        key, row, tonic, mode = (column[some] for column in start)
        state = initial(self.c, key, row, tonic, mode, chance_at(key, 0))
        self._keep(batch, some, state, observation)

    def _keep(
        self, batch: Batch, some: npt.NDArray[np.intp], state: State, observation: npt.NDArray[Any]
    ) -> None:
        for column, value in zip(batch.state, state, strict=True):
            column[some] = value
        write_observation(self.c, state, self.sizes, self.flat, observation, some)


def write_observation(
    c: Constants,
    state: State,
    sizes: dict[str, int],
    flat: bool,
    observation: npt.NDArray[Any],
    some: npt.NDArray[np.intp],
) -> None:
    """Write what is seen in states (N,), int64, into these N rows of an observation."""
    seen = observe(c, state)
    begin = 0
    if flat:
        observation[some] = 0
    for j, (part, size) in enumerate(sizes.items()):
        if flat:
            observation[some, begin + getattr(seen, part)] = 1
        else:
            observation[some, j] = getattr(seen, part)
        begin += size


def judge(rule: Rule, m: Moment) -> Any:
    """Return what a rule says of a moment of many episodes.

    Raises:
        ValueError: it does not run on arrays; the message says what a rule is made of.
    """
    try:
        return rule(m)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"rewards: {type(rule).__name__} does not run on a batch: {error}. A rule is made of "
            f"operators and where(condition, a, b); `if`, `and`, `or` and `not` do not work."
        ) from error


def rows(state: State, some: npt.NDArray[np.intp]) -> State:
    """Return the rows of the columns, the integers as int64 so that arithmetic is exact."""
    return State(*(c[some] if c.dtype == np.bool_ else c[some].astype(np.int64) for c in state))
