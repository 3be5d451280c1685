"""MarkovTable: the next event from counts of what sounds and where in the bar it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.observation import layout
from musicgym.task import Task

from .lessons import Lessons, nll

__all__ = ["MarkovTable"]


class MarkovTable:
    r"""A first-order table with backing off, fitted by counting.

    .. math:: p(e \mid s, b) = \frac{n(s, b, e) + \kappa\, p(e \mid s)}{n(s, b) + \kappa}, \quad
        p(e \mid s) = \frac{n(s, e) + \kappa\, p(e)}{n(s) + \kappa}

    where s is the sounding pitch (or silence after a pitch) and b the position in the bar.
    """

    def __init__(self, task: Task, strength: float = 4.0) -> None:
        """Start with no counts; `strength` is kappa."""
        self.sizes = layout(task)
        self.columns = {part: j for j, part in enumerate(self.sizes)}
        self.n_events, self.strength = task.n_events, strength

    def _context(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        part = {name: observation[..., j].long() for name, j in self.columns.items()}
        return part["pitch"] * 2 + part["ringing"], part["position"]

    def fit(self, data: Lessons) -> MarkovTable:
        """Count the training windows and return the table."""
        sounding, position = self._context(data.observation)
        shape = (2 * self.sizes["pitch"], self.sizes["position"], self.n_events)
        counts = torch.zeros(shape)
        ones = torch.ones(data.events.numel())
        where = (sounding.flatten(), position.flatten(), data.events.flatten())
        counts.index_put_(where, ones, accumulate=True)
        k = self.strength
        p = (counts.sum((0, 1)) + 1) / (counts.sum() + self.n_events)  # (A,)
        p_s = (counts.sum(1) + k * p) / (counts.sum((1, 2))[:, None] + k)  # (S, A)
        p_sb = (counts + k * p_s[:, None]) / (counts.sum(-1, keepdim=True) + k)  # (S, P, A)
        self.logits = p_sb.log()
        return self

    def initial_state(self, episodes: Episodes) -> None:
        """Return nothing: the observation is its state."""

    def __call__(self, observation: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return log-probabilities (B, A)."""
        return self.logits[self._context(observation)], state

    def nll(self, data: Lessons) -> float:
        """Return the mean NLL in nats a step on windows."""
        logits, _ = self(data.observation)
        return float(nll(logits, data, self.columns["ringing"]).mean())
