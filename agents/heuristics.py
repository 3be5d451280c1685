"""Policies without learning: the rows that any agent has to beat."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from musicgym.dynamics import Episodes
from musicgym.events import FIRST_NOTE
from musicgym.observation import layout
from musicgym.task import Task

__all__ = ["SURE", "AlternatedChordTones", "HeldTonic", "NearestChordTone", "UniformRandom"]

#: A logit this far above the others is a certainty.
SURE = 1e4


class _Heuristic:
    """Knows the task and looks only at the episode's chords and at the observation."""

    ties = "middle"

    def __init__(self, task: Task) -> None:
        """Keep the task and the places of the observation's parts."""
        self.task = task
        self.middle = sum(task.comfortable) // 2
        self.columns = {part: j for j, part in enumerate(layout(task))}

    def initial_state(self, episodes: Episodes) -> tuple[Episodes, int]:
        """Return the episodes and the step."""
        return episodes, 0

    def _one_hot(self, events: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(events, self.task.n_events).float() * SURE

    def _nearest(self, allowed: Tensor, to: Tensor) -> Tensor:
        """Return the events (B,) that strike the allowed pitch (B, P) nearest to a pitch (B,).

        Of two as near, the lower, or the one nearer the middle of the tessitura (`ties`).
        """
        pitches = torch.arange(self.task.low, self.task.high + 1, device=to.device)
        middle = (pitches - self.middle).abs() if self.ties == "middle" else 0
        distance = 128 * (pitches - to[:, None]).abs() + middle + torch.where(allowed, 0, 1 << 20)
        return distance.argmin(-1) + FIRST_NOTE

    def _classes(self, episodes: Episodes, device: torch.device) -> Tensor:
        """Return the pitch classes above the tonic (B, P) of the range's pitches."""
        pitches = torch.arange(self.task.low, self.task.high + 1, device=device)
        return (pitches - torch.as_tensor(episodes.tonic).to(device)[:, None]) % 12


class UniformRandom(_Heuristic):
    """Draws every valid event with equal probability."""

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return equal logits (B, A)."""
        return observation.new_zeros(len(observation), self.task.n_events).float(), state


class HeldTonic(_Heuristic):
    """Strikes the tonic nearest the middle of the tessitura once and holds it to the end."""

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the tonic at the first step, then holds."""
        episodes, step = state
        if step:
            events = torch.zeros(len(observation), dtype=torch.int64, device=observation.device)
        else:
            middle = torch.full((len(observation),), self.middle, device=observation.device)
            events = self._nearest(self._classes(episodes, observation.device) == 0, middle)
        return self._one_hot(events), (episodes, step + 1)


class NearestChordTone(_Heuristic):
    """Plays the chord tone nearest to the last pitch; holds while it stays the same.

    It starts from the middle of the tessitura. Of two tones as near it takes the one nearer that
    middle (``ties="middle"``), or the lower (``"lower"``), which drifts down out of the tessitura.
    """

    def __init__(self, task: Task, ties: str = "middle") -> None:
        """Keep the task and how ties are broken."""
        super().__init__(task)
        self.ties = ties

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the nearest chord tone of the span at each step."""
        episodes, step = state
        last = observation[:, self.columns["pitch"]].long() - 1 + self.task.low
        ringing = observation[:, self.columns["ringing"]] > 0
        here = torch.where(ringing, last, self.middle)
        mask = torch.as_tensor(episodes.masks[:, step]).to(last.device)[:, None]
        tones = (mask >> self._classes(episodes, last.device)) & 1 > 0
        events = self._nearest(tones, here)
        stay = ringing & ((events - FIRST_NOTE + self.task.low == last) | (mask[:, 0] == 0))
        return self._one_hot(torch.where(stay, 0, events)), (episodes, step + 1)


class AlternatedChordTones(_Heuristic):
    """Strikes a chord tone on every step, by turns the two nearest the middle of the tessitura.

    Each step strikes the chord tone nearest that middle other than the pitch before, so no pitch is
    struck twice in a row. It ends on the tonic where the last chord has it. It holds where there is
    no such tone, as over a span without a chord.
    """

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the other chord tone of the span at each step."""
        episodes, step = state
        last = observation[:, self.columns["pitch"]].long() - 1 + self.task.low
        ringing = observation[:, self.columns["ringing"]] > 0
        mask, final = (
            torch.as_tensor(episodes.masks[:, t]).to(last.device)[:, None] for t in (step, -1)
        )  # (B, 1)
        classes = self._classes(episodes, last.device)  # (B, P)
        tones, left = (mask >> classes) & 1 > 0, episodes.masks.shape[1] - step
        tonic, home = classes == 0, final & 1 > 0
        if left == 2:  # leave the tonic to the last step
            tones = tones & ~(tonic & home)
        elif left == 1:
            tones = torch.where(home, tonic, tones)
        pitches = torch.arange(self.task.low, self.task.high + 1, device=last.device)
        tones = tones & (pitches != last[:, None])
        events = self._nearest(tones, torch.full_like(last, self.middle))
        stay = ringing & ~tones.any(-1)
        return self._one_hot(torch.where(stay, 0, events)), (episodes, step + 1)
