"""Scorers: frozen models as judges of melodies, what the learned reward terms load by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from musicgym.dynamics import Constants, Episodes, State, advance, moment
from musicgym.emotion import EmotionTargets
from musicgym.learned import Melodies, on_host
from musicgym.observation import Observation, observe
from musicgym.randomness import chance_at
from musicgym.replay import start
from musicgym.select import Array, where
from musicgym.task import DRAWN_KEYS, Task
from musicgym.theory import closest

from .acmg import ACMG
from .actor_critic import Actor
from .configs import MODELS, model_name
from .generators.generator import Generator
from .lessons import Lessons, nll
from .policy import masked
from .style import StyleModel

__all__ = [
    "BoundScorer",
    "CriticScorer",
    "EmotionScorer",
    "PolicyScorer",
    "StyleScorer",
    "check_fit",
    "load",
]

#: Melodies that are scored at once: more would only take more memory.
AT_ONCE = 2048
#: From so many melodies on, compiled loops are worth their second of loading.
MANY = 256
#: The column of an observation that says whether a note rings.
RINGING = Observation._fields.index("ringing")


def check_fit(learned: Task, task: Task) -> None:
    """Raise a ValueError where the melodies of a task are not those that a model has learned.

    The model's task is in C major and A minor. A task in another key fits where its range is moved
    with the key, so that all that the model reads is the same.
    """
    shift = _shift(task)
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


def _shift(task: Task) -> int:
    """Return the semitones that a task's key lies above C major or A minor."""
    return 0 if task.key in DRAWN_KEYS else ACMG.shift(task.key)


def _said(task: Task) -> str:
    grid, events = task.steps_per_beat, task.n_events
    return f"{task.meter}, {grid} steps a beat, pitches {task.low} to {task.high} ({events} events)"


class _Frozen:
    """A frozen model, and the task that it has learned."""

    def __init__(self, model: Actor, task: Task) -> None:
        self.model, self.task = model.eval().requires_grad_(False), task

    def meet(self, task: Task) -> None:
        """Raise a ValueError where the model has not learned the melodies of a task."""
        check_fit(self.task, task)


# --- Whole melodies ----------------------------------------------------------------------------


class _Whole(_Frozen):
    """A model that scores whole melodies."""

    def judge(self, lessons: Lessons) -> Tensor:
        """Return scores (N,) of melodies."""
        raise NotImplementedError

    @torch.no_grad()
    def score(self, melodies: Melodies) -> Array:
        """Return the scores (N,), in arrays or tensors as the events are."""
        device = _device(melodies.events)
        self.model.to(device)
        events = torch.as_tensor(melodies.events).to(device)
        seen = torch.from_numpy(melodies.observations()).to(device)
        parts = zip(seen.split(AT_ONCE), events.split(AT_ONCE), strict=True)
        return _as(torch.cat([self.judge(Lessons(*part)) for part in parts]), melodies.events)


class BoundScorer(_Whole):
    """The evidence lower bound of a generator, in nats a melody, at the posterior's mean."""

    model: Generator

    def judge(self, lessons: Lessons) -> Tensor:
        """Return the bounds (N,) of melodies."""
        model, posterior = self.model, self.model.encode(lessons)
        latent = torch.cat([posterior.mean, model.condition(lessons)], -1)
        told = nll(model.whole(lessons.observation, latent=latent), lessons, model.ringing)
        return -told.double().sum(-1) - posterior.kl().double().sum(-1)


class CriticScorer(_Whole):
    """The critic of a CVAE-GAN, standardised on its corpus."""

    model: Any

    def judge(self, lessons: Lessons) -> Tensor:
        """Return the scores (N,) of melodies."""
        scores: Tensor = self.model.score(lessons)
        return scores


class StyleScorer:
    """The log-odds of a style under a frozen classifier."""

    def __init__(self, model: StyleModel, style: str) -> None:
        """Take a model and one of its styles.

        Raises:
            ValueError: it has not learned the style.
        """
        self.model, self.style = model.eval().requires_grad_(False), style
        model.place(style)

    def meet(self, task: Task) -> None:
        """Raise a ValueError where the model has not learned the melodies of a task.

        Any key will do, also with the range moved with it.
        """
        problem = self.model.facts.problem
        if found := problem(task):
            shift = _shift(task)
            home = replace(task, pitch_range=(task.low - shift, task.high - shift), tessitura=None)
            if not shift or problem(home):
                raise ValueError(f"{found}.")

    @torch.no_grad()
    def score(self, melodies: Melodies) -> Array:
        """Return the log-odds (N,), in arrays or tensors as the events are."""
        device = _device(melodies.events)
        model = self.model.to(device)
        moved = melodies.c.low - model.facts.low  # the model takes pitches from its own lowest
        events, tonic = (
            torch.as_tensor(part).to(device)
            for part in (melodies.events, melodies.episodes.tonic - moved)
        )
        parts = zip(events.split(AT_ONCE), tonic.split(AT_ONCE), strict=True)
        odds = [model.log_odds(*part, self.style) for part in parts]
        return _as(torch.cat(odds), melodies.events)


class EmotionScorer:
    """The emotions of the corpus that a hierarchical VAE has learned."""

    def __init__(self, emotions: EmotionTargets, task: Task) -> None:
        """Take the targets and the task that they were measured on."""
        self.emotions, self.task = emotions, task

    def meet(self, task: Task) -> None:
        """Raise a ValueError where the targets are of another grid or meter."""
        own, asked = ((t.meter, t.steps_per_beat) for t in (self.task, task))
        if own != asked:
            raise ValueError(
                f"the checkpoint's targets are of {own[0]}, {own[1]} steps a beat; the task has "
                f"{asked[0]}, {asked[1]} steps a beat."
            )


# --- Step by step ------------------------------------------------------------------------------


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


class PolicyScorer(_Frozen):
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
        device, size = _device(which), len(which)
        player, mask = self.player(device, size), torch.as_tensor(which)
        c, state = start(c, Episodes(*map(on_host, episodes)))
        by_numpy = self.by_numpy(device)
        if not by_numpy:
            c, state = _moved(c, device), _moved(state, device)
        latent: tuple[Tensor, ...] = ()
        if isinstance(self.model, Generator):
            z = torch.zeros(size, self.model.config.latent, device=device)
            latent = (torch.cat([z, self.model.asked(size, None, **self.attributes)], -1),)
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
        device = _device(events)
        by_numpy = self.by_numpy(device)
        played = on_host(events) if by_numpy else events
        # A finished melody waits at its end; what is made of its last step is not kept.
        here = state._replace(step=where(state.step < c.steps, state.step, c.steps - 1))
        now, m = observe(c, here), moment(c, here, played)
        after = advance(c, here, m, chance_at(here.key, here.step + 1))
        seen = _stacked(now)  # uint8 (B, F)
        active = played >= 0
        told = torch.as_tensor(active)
        # A device is waited for only where the policy's state must know.
        every = bool(told.all()) if by_numpy or memory.seen is not None else False
        together, play = memory.together and every, memory.play
        if memory.seen is not None:
            step = torch.as_tensor(here.step)
            memory.seen[torch.arange(len(step), device=device)[told], step[told]] = seen[told]
        if memory.seen is None or together:
            logits, play = self.player(device, len(seen))(seen, play)
        else:
            most = int(step.max()) + 1
            whole = self.model.whole(memory.seen[:, :most], latent=memory.latent)
            logits = whole[torch.arange(len(step), device=device), step]
        log_p = masked(logits.float(), seen, RINGING).log_softmax(-1)
        value = log_p.gather(-1, torch.as_tensor(m.event)[:, None])[:, 0]
        if not every:
            after = _chosen(active, after, state)
            if memory.seen is None:
                play = _chosen(told, play, memory.play)
        return memory._replace(state=after, play=play, together=together), _as(value, events)


# --- States ------------------------------------------------------------------------------------


def _device(values: Array) -> torch.device:
    return values.device if isinstance(values, Tensor) else torch.device("cpu")


def _as(scores: Tensor, like: Array) -> Array:
    """Return scores as the kind of array that melodies came in."""
    return scores if isinstance(like, Tensor) else scores.numpy()


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


# --- Files -------------------------------------------------------------------------------------


def load(path: Path, name: str, **words: Any) -> Any:
    """Return the scorer of a learned reward term from a checkpoint.

    Args:
        path: of an agent's checkpoint; for `style` of a style model's.
        name: the term: ``"prior_log_likelihood"``, ``"elbo"``, ``"critic"``, ``"emotion"`` or
            ``"style"``.
        words: ``attributes`` of a policy, ``style`` of a style model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is corrupt, of another kind, or holds another model than is needed, or
            it has not learned what is asked for.
    """
    if name not in MAKE:
        raise ValueError(f"{name!r} is not one of {', '.join(MAKE)}{closest(name, MAKE)}.")
    return MAKE[name](Path(path).expanduser(), **words)


def _learned(path: Path) -> tuple[Actor, Task]:
    """Return what an agent learned from its corpus, or its actor if it never did; and its task."""
    agent = ACMG.load(path)
    return agent.prior or agent.model.actor, agent.config.task()


def _with(path: Path, part: str, needs: str) -> tuple[Any, Task]:
    """Return the model of a checkpoint that must have a part."""
    model, task = _learned(path)
    if not hasattr(model, part):
        held = model_name(model.config)
        raise ValueError(f"{path} holds a {held}, and this term needs {needs}.")
    return model, task


def _policy(path: Path, attributes: Mapping[str, str] | None = None) -> PolicyScorer:
    return PolicyScorer(*_learned(path), attributes)


def _bound(path: Path) -> BoundScorer:
    generators = [name for name in MODELS if name != "melody_lstm"]
    return BoundScorer(*_with(path, "encode", f"a latent vector: one of {', '.join(generators)}"))


def _critic(path: Path) -> CriticScorer:
    return CriticScorer(*_with(path, "score", "the critic of a cvae_gan"))


def _emotion(path: Path) -> EmotionScorer:
    model, task = _with(path, "emotions", "the targets of a hierarchical_vae")
    return EmotionScorer(model.emotions, task)


def _style(path: Path, style: str | None = None) -> StyleScorer:
    model = StyleModel.load(path)
    if style is None:
        raise ValueError(f"style: say which, of {', '.join(model.classes)}.")
    return StyleScorer(model, style)


MAKE: dict[str, Callable[..., Any]] = {
    "prior_log_likelihood": _policy,
    "elbo": _bound,
    "critic": _critic,
    "emotion": _emotion,
    "style": _style,
}
