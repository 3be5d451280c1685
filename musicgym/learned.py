"""Learned terms, whose value comes from a scorer, and terms that judge whole melodies.

A scorer is an object, or a file that a loader reads. It keeps nothing between calls, so that
environments may share one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from .dynamics import Constants, Episodes
from .replay import observations, start
from .reward import SequenceTerm, by_name
from .select import Array, where
from .task import Task

__all__ = ["LOADER", "Learned", "Melodies", "MelodyScorer", "StepScorer", "WholeMelody"]

#: Reads the checkpoints of musicgym's own agents; called with a path and a term's name.
LOADER = "musicgym.agents.checkpoints:load_scorer"


class Melodies(NamedTuple):
    """N melodies to be scored, of t steps: whole, or as far as they are composed.

    Attributes:
        events: int64 (N, t), NumPy or torch; invalid ones are already rests.
        episodes: what is fixed in them, N rows of T steps.
        c: how they are read; its chord tables are not theirs.
    """

    events: Array
    episodes: Episodes
    c: Constants

    def observations(self) -> Array:
        """Return what a policy observes before each event: uint8 (N, t, F), on the host."""
        c, state = start(self.c, Episodes(*map(on_host, self.episodes)))
        return observations(c, state, on_host(self.events))


class MelodyScorer(Protocol):
    """Scores melodies. It may also have ``meet(task)``, which raises a ValueError if it cannot."""

    def score(self, melodies: Melodies) -> Array:
        """Return a score for each melody (N,), in arrays or tensors as the events are."""


class StepScorer(Protocol):
    """Scores each event. It may also have ``meet(task)``, which raises a ValueError if it cannot.

    Its memory is a value: what it returns takes the place of what it was given.
    """

    def begin(self, c: Constants, episodes: Episodes, which: Array, memory: Any) -> Any:
        """Return the memory (None at first) with the melodies of the mask (B,) started."""

    def hear(self, memory: Any, events: Array) -> tuple[Any, Array]:
        """Return the memory after events int64 (B,), and their scores (B,).

        An event of -1 is none: it changes nothing and its score is not read.
        """


@dataclass
class Learned(SequenceTerm):
    """A sequence term with a scorer; the words that its loader takes are fields of the subclass.

    Attributes:
        scorer: a path, given to the loader, or an object that scores.
        loader: ``"package.module:function"``, called as ``loader(path, name, **words)``. Pickled, a
            term with a path keeps that and loads it again.
    """

    scorer: Any
    loader: str = LOADER

    #: The term's name.
    name: ClassVar[str]
    #: Fields that are words for the loader; None where they are not said.
    words: ClassVar[tuple[str, ...]] = ()
    _judge: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Load the scorer.

        Raises:
            ValueError: the loader or the file cannot be loaded, or is of another kind.
        """
        said = {word: getattr(self, word) for word in self.words if getattr(self, word) is not None}
        if isinstance(self.scorer, str | os.PathLike):
            self.scorer = os.fspath(self.scorer)
            try:
                self._judge = by_name(self.loader)(self.scorer, self.name, **said)
            except (OSError, TypeError, ValueError) as error:
                raise ValueError(f"rewards: {self.name}: {error}") from error
        elif said:
            raise ValueError(
                f"rewards: {self.name}: {', '.join(said)} goes with the path of a file; a scorer "
                f"object, here a {type(self.scorer).__name__}, is made with its own."
            )
        else:
            self._judge = self.scorer

    @property
    def judge(self) -> Any:
        """The scorer itself."""
        if self._judge is None:
            Learned.__post_init__(self)
        return self._judge

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what was loaded from a path."""
        state = self.__dict__.copy()
        if isinstance(self.scorer, str):
            state["_judge"] = None
        return state

    def meet(self, task: Task, c: Constants) -> None:
        """Raise a ValueError where the scorer cannot judge the melodies of a task."""
        if hasattr(self.judge, "meet"):
            try:
                self.judge.meet(task)
            except ValueError as error:
                raise ValueError(f"rewards: {self.name}: {error}") from error
        super().meet(task, c)


class WholeMelody(SequenceTerm):
    """A sequence term that keeps the events and scores a melody when it ends.

    Melodies may end at different steps; those that end together are scored in one batch. On a GPU
    the host waits for the device where a melody may have ended, and at each start. A subclass
    writes `score`.
    """

    #: ``"end"`` pays the score at the last step; ``"bar"`` at each bar's last step the gain of the
    #: score of the melody so far over the last such step, which sums to the score of the whole.
    spread: str = "end"
    _c: Constants | None = None
    _heard: Array = None  # uint8 (B, T)
    _count: Array  # int64 (B,) events heard
    _paid: Array  # float64 (B,) the sum so far
    _episodes: Episodes
    _pays = 0  # no melody has heard more events than this

    def score(self, melodies: Melodies) -> Array:
        """Return the scores (N,) of melodies."""
        raise NotImplementedError

    def meet(self, task: Task, c: Constants) -> None:
        """Keep how the melodies are read."""
        self._c = c

    def begin(self, episodes: Episodes, which: Array) -> None:
        """Start the melodies where the mask `which` bool (B,) holds."""
        if self._c is None:
            raise ValueError(f"rewards: {type(self).__name__} has not met a task: call meet first.")
        zero, blank, heard = episodes.key * 0, _bytes(episodes.roots * 0), self._heard
        if heard is None or heard.shape != blank.shape or heard.device != blank.device:
            self._count, self._paid, self._heard = zero, _like(zero, zero), blank
        else:
            self._count, self._paid = where(which, 0, self._count), where(which, 0.0, self._paid)
            self._heard = heard + 0  # a copy of the term writes into its own
        self._episodes = episodes
        if which.all():
            self._pays = 0

    def pay(self, events: Array) -> Array:
        """Return raw values (B,) of the events int64 (B,) of a step; -1 where none is played."""
        c, active = self._c, events >= 0
        assert c is not None
        self._keep(events, active)
        self._count, self._pays = self._count + where(active, 1, 0), self._pays + 1
        value = self._paid * 0
        step = c.steps_per_bar if self.spread == "bar" else self._heard.shape[1]
        if self._pays < step:  # a device is not waited for until a melody may have come so far
            return value
        due = active & (self._count % step == 0)
        for length in _distinct(self._count[due]):
            rows = _places(due & (self._count == length))
            told = Episodes(*(part[rows] for part in self._episodes))
            heard = self._heard[rows, :length] + self._count[:1] * 0  # as int64
            score = self.score(Melodies(heard, told, c))
            gain = _like(score, value) - self._paid[rows]
            value, self._paid = (_added(sums, rows, gain) for sums in (value, self._paid))
        return value

    def _keep(self, events: Array, active: Array) -> None:
        """Write down the events of a step."""
        if isinstance(events, np.ndarray):
            rows = np.flatnonzero(active)
            self._heard[rows, self._count[rows]] = events[rows]
            return
        place = self._count.clamp(max=self._heard.shape[1] - 1)[:, None]
        before = self._heard.gather(1, place)[:, 0]
        event = where(active, events.to(before.dtype), before)
        self._heard = self._heard.scatter(1, place, event[:, None])


# What differs between NumPy and torch


def on_host(values: Array) -> Array:
    """Return an array or a tensor of any device as an array."""
    return values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()


def _bytes(values: Array) -> Array:
    return values.astype(np.uint8) if isinstance(values, np.ndarray) else values.byte()


def _places(mask: Array) -> Array:
    return np.flatnonzero(mask) if isinstance(mask, np.ndarray) else mask.nonzero()[:, 0]


def _distinct(values: Array) -> list[int]:
    return sorted(set(values.tolist()))


def _like(values: Array, like: Array) -> Array:
    """Return scores as float64 of the kind and place of another array or tensor."""
    if isinstance(like, np.ndarray):
        return on_host(values).astype(np.float64)
    import torch

    return torch.as_tensor(values, device=like.device).double()


def _added(sums: Array, rows: Array, gain: Array) -> Array:
    """Return sums (B,) with gains (N,) added to some rows."""
    if isinstance(sums, np.ndarray):
        sums = sums.copy()
        sums[rows] += gain
        return sums
    return sums.index_add(0, rows, gain)
