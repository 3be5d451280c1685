"""Scorers: frozen models as judges of melodies, what the learned reward terms load by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musicgym.emotion import EmotionTargets
from musicgym.learned import Melodies
from musicgym.select import Array
from musicgym.task import Task
from musicgym.theory import closest

from .acmg import ACMG
from .actor_critic import Actor
from .configs import GENERATORS, model_name
from .frozen import Frozen, as_given, device_of, shift_of
from .generators.generator import Generator
from .lessons import Lessons, nll
from .policy_scorer import PolicyScorer
from .style import StyleModel

__all__ = ["BoundScorer", "CriticScorer", "EmotionScorer", "StyleScorer", "load"]

#: Melodies that are scored at once: more would only take more memory.
AT_ONCE = 2048


class _Whole(Frozen):
    """A model that scores whole melodies."""

    def judge(self, lessons: Lessons) -> Tensor:
        """Return scores (N,) of melodies."""
        raise NotImplementedError

    @torch.no_grad()
    def score(self, melodies: Melodies) -> Array:
        """Return the scores (N,), in arrays or tensors as the events are."""
        device = device_of(melodies.events)
        self.model.to(device)
        events = torch.as_tensor(melodies.events).to(device)
        seen = torch.from_numpy(melodies.observations()).to(device)
        parts = zip(seen.split(AT_ONCE), events.split(AT_ONCE), strict=True)
        return as_given(torch.cat([self.judge(Lessons(*part)) for part in parts]), melodies.events)


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
    """The critic of a CVAE-GAN, standardised on the melodies of its training."""

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
            shift = shift_of(task)
            home = replace(task, pitch_range=(task.low - shift, task.high - shift), tessitura=None)
            if not shift or problem(home):
                raise ValueError(f"{found}.")

    @torch.no_grad()
    def score(self, melodies: Melodies) -> Array:
        """Return the log-odds (N,), in arrays or tensors as the events are."""
        device = device_of(melodies.events)
        model = self.model.to(device)
        moved = melodies.c.low - model.facts.low  # the model takes pitches from its own lowest
        events, tonic = (
            torch.as_tensor(part).to(device)
            for part in (melodies.events, melodies.episodes.tonic - moved)
        )
        parts = zip(events.split(AT_ONCE), tonic.split(AT_ONCE), strict=True)
        odds = [model.log_odds(*part, self.style) for part in parts]
        return as_given(torch.cat(odds), melodies.events)


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
    return BoundScorer(*_with(path, "encode", f"a latent vector: one of {', '.join(GENERATORS)}"))


def _critic(path: Path) -> CriticScorer:
    return CriticScorer(*_with(path, "score", "the critic of a cvae_gan"))


def _emotion(path: Path) -> EmotionScorer:
    model, task = _with(path, "emotions", "the targets of a hierarchical_vae")
    if not model.emotions.table.any():
        raise ValueError(f"{path} has learned from no corpus yet, so it has no targets.")
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
