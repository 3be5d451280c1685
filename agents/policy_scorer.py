"""PolicyScorer: a frozen policy judges each event, what the prior's log-likelihood loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicgym.dynamics import Constants, Episodes, State, advance, moment
from musicgym.learned import on_host
from musicgym.observation import Observation, observe
from musicgym.randomness import chance_at
from musicgym.replay import start
from musicgym.select import Array, where
from musicgym.task import Task

from .actor_critic import Actor
from .frozen import Frozen, as_given, device_of
from .generators.generator import Generator
from .policy import masked

__all__ = ["Hearing", "PolicyScorer"]

#: From so many melodies on, compiled loops are worth their second of loading.
MANY = 256
#: The column of an observation that says whether a note rings.
RINGING = Observation._fields.index("ringing")


class Hearing(NamedTuple):
    """What a `PolicyScorer` remembers of B melodies.

    Attributes:
        c: the constants, with the melodies' own chords.
        state: where each melody stands, NumPy for melodies on a CPU, or torch.
        play: the policy's state.
        latent: (B, L) what a generator plays under, or None.
        seen: uint8 (B, T, F) the observations so far, or None where they are not needed.
        together: all melodies began together and were played at each step since.
    """

    c: Constants
    state: State
    play: Any
    latent: Tensor | None
    seen: Tensor | None
    together: bool


class PolicyScorer(Frozen):
    """The log-probabilities that a policy gives to events, in nats; it is a `StepScorer`.

    A policy whose state has a row for each melody (an LSTM's) starts and waits melody by melody.
    Another's (a cache with one length for all) serves as long as all melodies move together; once
    they do not, each step reads them from their start again, until all begin anew.
    """

    def __init__(
        self, model: Actor, task: Task, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Take a policy, its task, and what is asked of it.

        Raises:
            ValueError: it has no such attribute.
        """
        super().__init__(model, task)
        self.attributes = dict(attributes or {})
        if isinstance(model, Generator):
            model.asked(1, None, **self.attributes)
        elif self.attributes:
            raise ValueError(
                f"attributes: {self.attributes} asked of a {type(model).__name__}, which has none."
            )
        self._player: Any = None
        self._device = torch.device("cpu")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made of the model."""
        return {**self.__dict__, "_player": None}

    def by_numpy(self, device: torch.device) -> bool:
        """Tell whether melodies are moved by NumPy, which is faster on a CPU."""
        return device.type == "cpu"

    def player(self, device: torch.device, size: int) -> Any:
        """Return the policy made ready on a device."""
        if self._player is None or self._device != device:
            self._player, self._device = self.model.to(device).prepared(), device
        if hasattr(self._player, "compiled"):
            self._player.compiled = device.type == "cpu" and size >= MANY
        return self._player

    @torch.inference_mode(False)
    @torch.no_grad()
    def begin(
        self, c: Constants, episodes: Episodes, which: Array, memory: Hearing | None
    ) -> Hearing:
        """Return the memory with the melodies of the mask (B,) started."""
        device, size = device_of(which), len(which)
        player, mask = self.player(device, size), torch.as_tensor(which)
        c, state = start(c, Episodes(*map(on_host, episodes)))
        by_numpy = self.by_numpy(device)
        if not by_numpy:
            c, state = _moved(c, device), _moved(state, device)
        latent: tuple[Tensor, ...] = ()
        if isinstance(self.model, Generator):
            latent = (self.model.middle(size, **self.attributes),)
        play = player.initial_state(episodes, *latent)
        seen, by_row = None, _by_row(play)
        if not by_row:
            shape = (*episodes.roots.shape, len(Observation._fields))
            seen = torch.zeros(shape, dtype=torch.uint8, device=device)
        fresh = Hearing(c, state, play, latent[0] if latent else None, seen, True)
        if memory is None or type(memory.state.step) is not type(state.step):
            return fresh
        if memory.state.step.shape != state.step.shape or (not by_row and bool(mask.all())):
            return fresh
        state = _chosen(mask.numpy() if by_numpy else mask, state, memory.state)
        if by_row:
            return fresh._replace(state=state, play=_chosen(mask, play, memory.play))
        return memory._replace(c=c, state=state, together=False)

    @torch.inference_mode(False)
    @torch.no_grad()
    def hear(self, memory: Hearing, events: Array) -> tuple[Hearing, Array]:
        """Return the memory after events int64 (B,), -1 where none is played, and their scores."""
        c, state = memory.c, memory.state
        device = device_of(events)
        by_numpy = self.by_numpy(device)
        played = on_host(events) if by_numpy else events
        active = played >= 0
        if (by_numpy or memory.seen is not None) and not active.any():
            return memory, events * 0.0
        # A finished melody waits at its end; what is made of its last step is not kept.
        here = state._replace(step=where(state.step < c.steps, state.step, c.steps - 1))
        now, m = observe(c, here), moment(c, here, played)
        after = advance(c, here, m, chance_at(here.key, here.step + 1))
        seen = _stacked(now)  # uint8 (B, F)
        told = torch.as_tensor(active)
        # A device is waited for only where the policy's state must know.
        every = bool(told.all()) if by_numpy or memory.seen is not None else False
        together, play = memory.together and every, memory.play
        if memory.seen is not None:
            rows = told.nonzero()[:, 0]
            step = torch.as_tensor(here.step)[rows]
            memory.seen[rows, step] = seen[rows]
        if memory.seen is None or together:
            logits, play = self.player(device, len(seen))(seen, play)
        else:
            latent = None if memory.latent is None else memory.latent[rows]
            whole = self.model.whole(memory.seen[rows, : int(step.max()) + 1], latent=latent)
            logits = whole.new_zeros(len(seen), c.n_events)
            logits[rows] = whole[torch.arange(len(rows), device=device), step]
        log_p = masked(logits.float(), seen, RINGING).log_softmax(-1)
        value = log_p.gather(-1, torch.as_tensor(m.event)[:, None])[:, 0]
        if not every:
            after = _chosen(active, after, state)
            if memory.seen is None:
                play = _chosen(told, play, memory.play)
        return memory._replace(state=after, play=play, together=together), as_given(value, events)


def _stacked(parts: tuple[Array, ...]) -> Tensor:
    """Return the parts of an observation (B,) as uint8 (B, F)."""
    if isinstance(parts[0], Tensor):
        return torch.stack(parts, -1).to(torch.uint8)
    return torch.from_numpy(np.stack(parts, -1).astype(np.uint8))


def _moved(parts: Any, device: torch.device) -> Any:
    """Return a named tuple with its arrays as tensors on a device."""
    return type(parts)(
        *(torch.as_tensor(p).to(device) if isinstance(p, np.ndarray) else p for p in parts)
    )


def _by_row(state: Any) -> bool:
    """Tell whether a state has a row for each melody, so that a mask can choose rows."""
    if isinstance(state, tuple | list):
        return all(map(_by_row, state))
    if isinstance(state, Tensor):
        return state.dim() > 0 and state.numel() > 0
    return not isinstance(state, int | float | dict)  # None is zeros; other objects are shared


def _chosen(mask: Array, new: Any, old: Any) -> Any:
    """Return the rows of the new state where the mask (B,) holds, of the old elsewhere."""
    if new is old:
        return new
    if isinstance(new, tuple | list):
        parts = [_chosen(mask, a, b) for a, b in zip(new, old, strict=True)]
        return type(new)(*parts) if hasattr(new, "_fields") else type(new)(parts)
    if new is None or old is None:
        return where(_over(mask, new if old is None else old), *_zeros(new, old))
    if isinstance(new, Tensor | np.ndarray) and len(new) == len(mask):
        return where(_over(mask, new), new, old)
    return new  # weights, and what else belongs to no melody


def _over(mask: Array, rows: Array) -> Array:
    """Return a mask (B,) as (B, 1, ...) over rows (B, ...)."""
    return mask.reshape(-1, *[1] * (rows.ndim - 1))


def _zeros(new: Tensor | None, old: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return two states of which one is None, that one as zeros."""
    some = new if old is None else old
    assert some is not None
    blank = torch.zeros_like(some)
    return (blank if new is None else new), (blank if old is None else old)
