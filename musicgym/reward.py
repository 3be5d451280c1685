"""The reward: a weighted sum of terms, loaded by name.

Three kinds of term: `Rule` judges a moment, `SequenceTerm` the melody so far, `PolicyTerm` the
policy's probabilities. `Reward` is the only place where they are combined.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from .dynamics import Constants, Episodes, Moment, Readings
from .select import Array
from .task import Task
from .theory import closest

__all__ = [
    "PolicyTerm",
    "Reward",
    "RewardSpec",
    "Rule",
    "SequenceTerm",
    "by_name",
    "load",
    "term_names",
]

#: A preset's name, or a dict of term name -> weight or {"weight": w, parameter: value}, with
#: "preset" and "scoring" as further keys. Plain JSON.
RewardSpec = str | Mapping[str, Any]

SCORINGS = ("time", "onset", "literal")


@dataclass(frozen=True)
class Rule:
    """A term that judges one moment: pure, without memory, the same text on every backend.

    Flags are joined by ``&``, ``|`` and ``^``, and counted as ``where(flag, 1, 0)``. With
    ``backend="tensor"`` a whole number times a decimal is float32: compare whole numbers, as in
    ``m.interval > 3``.
    """

    #: Reading of the median tone that the rule needs, or None (see `Readings.median`).
    median_reading: ClassVar[str | None] = None

    def __call__(self, m: Moment) -> Array:
        """Return the raw value of a moment."""
        raise NotImplementedError


class SequenceTerm:
    """A term that sees each melody of a batch so far; it may keep state.

    It gets and returns NumPy arrays, or with ``backend="tensor"`` tensors on the device.
    `exact_optimum` says whether the term is finite-memory, so that a planner may keep it.
    """

    exact_optimum: ClassVar[bool] = False

    def meet(self, task: Task, c: Constants) -> None:
        """Hear what melodies will be paid, once, before the first `begin`; by default do nothing.

        Args:
            task: what fixes them.
            c: how the environment reads them, and the length of its chords.

        Raises:
            ValueError: the term cannot judge them; the message names both sides.
        """

    def begin(self, episodes: Episodes, which: Array) -> None:
        """Start the melodies where the mask `which` bool (B,) holds."""
        raise NotImplementedError

    def pay(self, events: Array) -> Array:
        """Return raw values (B,) of the events int64 (B,) of a step; -1 where none is played."""
        raise NotImplementedError


@dataclass(frozen=True)
class PolicyTerm:
    """A term that judges the policy's event probabilities at a step.

    It is written with operators and methods that NumPy arrays and tensors share.
    """

    def judge(self, probabilities: Array) -> Array:
        """Return raw values (B,) of probabilities float64 (B, A)."""
        raise NotImplementedError


class Term(NamedTuple):
    """One addend of the reward: its name, its weight and what it pays."""

    name: str
    weight: float
    pays: Any


@dataclass(frozen=True)
class Reward:
    """A weighted sum of terms: rules first, then policy terms, then sequence terms.

    >>> reward = load("balanced", steps=64)
    >>> reward.names[0], float(reward.weights[0])
    ('chord_tone', 1.0)
    """

    terms: tuple[Term, ...]
    readings: Readings

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the terms in the order of the sum."""
        return tuple(term.name for term in self.terms)

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """The weights (K,) in the order of the sum."""
        return np.array([term.weight for term in self.terms], dtype=np.float64)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, which come first in the sum."""
        return tuple(t.pays for t in self.terms if isinstance(t.pays, Rule))

    @property
    def others(self) -> tuple[tuple[int, PolicyTerm | SequenceTerm], ...]:
        """The terms that are not rules, each with its place in the sum."""
        return tuple((i, t.pays) for i, t in enumerate(self.terms) if not isinstance(t.pays, Rule))

    def meet(self, task: Task, c: Constants) -> None:
        """Tell the sequence terms what they will pay; see `SequenceTerm.meet`.

        Raises:
            ValueError: a term cannot judge it.
        """
        for _, term in self.others:
            if isinstance(term, SequenceTerm):
                term.meet(task, c)

    def table(self) -> str:
        """Return the terms and their weights as text."""
        width = max(map(len, self.names), default=0)
        return "\n".join(f"{t.name.ljust(width)}  {t.weight:+.4g}" for t in self.terms)


def term_names() -> list[str]:
    """Return the names of the built-in terms: the files of the rewards folder."""
    package = importlib.import_module("musicgym.rewards")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name != "presets")


def load(spec: RewardSpec, steps: int, scoring: str | None = None) -> Reward:
    """Build the reward that a spec names.

    Args:
        spec: a preset's name or a dict (see `RewardSpec`).
        steps: the length of an episode; presets weigh the last step by it.
        scoring: overrides the preset's scoring.

    Raises:
        ValueError: an unknown preset, term or parameter (with the nearest valid spelling), a
            weight that is no finite number, or terms that need different readings.
    """
    presets: dict[str, Callable[[int], dict[str, Any]]]
    presets = importlib.import_module("musicgym.rewards.presets").PRESETS
    if not isinstance(spec, str | Mapping):
        raise ValueError(f"rewards: {spec!r} is not a preset's name or a dict of terms.")
    given = {"preset": spec} if isinstance(spec, str) else dict(spec)
    entries: dict[str, Any] = {}
    preset = given.pop("preset", None)
    if preset is not None:
        if preset not in list(presets):
            raise ValueError(
                f"rewards: {preset!r} is not a preset{closest(preset, presets)}; "
                f"the presets are {', '.join(presets)}."
            )
        entries = presets[preset](steps)
    scoring = scoring or given.pop("scoring", None) or entries.get("scoring", "time")
    given.pop("scoring", None)
    entries.pop("scoring", None)
    if scoring not in SCORINGS:
        raise ValueError(
            f"scoring: {scoring!r} is not one of {', '.join(SCORINGS)}"
            f"{closest(scoring, SCORINGS) or '.'}"
        )
    for name, value in given.items():
        before = entries.get(name, {"weight": 1.0})
        entries[name] = {**before, **(value if isinstance(value, Mapping) else {"weight": value})}
    terms = [_term(name, dict(settings)) for name, settings in entries.items()]
    order = {Rule: 0, PolicyTerm: 1}
    terms.sort(key=lambda t: next((o for kind, o in order.items() if isinstance(t.pays, kind)), 2))
    medians = {t.pays.median_reading for t in terms if isinstance(t.pays, Rule)} - {None}
    if len(medians) > 1:
        raise ValueError(f"rewards: terms need different median tones: {sorted(map(str, medians))}")
    return Reward(tuple(terms), Readings(scoring, (medians or {"expected"}).pop() or "expected"))


def _term(name: str, settings: dict[str, Any]) -> Term:
    weight = settings.pop("weight", 1.0)
    number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight):
        raise ValueError(f"rewards: the weight of {name!r} is {weight!r}, not a finite number.")
    make = _class(name)
    allowed = inspect.signature(make).parameters
    for parameter, value in settings.items():
        if parameter not in allowed:
            raise ValueError(
                f"rewards: {name!r} has no parameter {parameter!r}{closest(parameter, allowed)}; "
                f"it has {', '.join(['weight', *allowed])}."
            )
        settings[parameter] = _fitting(f"{name}: {parameter}", value, allowed[parameter].default)
    needed = [p.name for p in allowed.values() if p.default is p.empty and p.name not in settings]
    if needed:
        raise ValueError(f"rewards: {name!r} needs a value for {', '.join(needed)}.")
    pays = make(**settings)
    if not isinstance(pays, Rule | PolicyTerm | SequenceTerm):
        raise ValueError(f"rewards: {name!r} is not a Rule, a PolicyTerm or a SequenceTerm.")
    return Term(name, float(weight), pays)


def _fitting(name: str, value: Any, default: Any) -> Any:
    """Return a parameter's value; where its default is a bool or a number it must be one too."""
    if not isinstance(default, bool | int | float):
        return value
    value = value.item() if isinstance(value, np.generic) else value
    kind = type(default)
    words = {bool: "true or false", int: "a whole number", float: "a finite number"}
    fits = isinstance(value, bool if kind is bool else int | kind)
    if not fits or (isinstance(value, bool) and kind is not bool) or not math.isfinite(value):
        raise ValueError(f"rewards: {name}={value!r} is not {words[kind]}.")
    return kind(value)


def _class(name: str) -> Callable[..., Any]:
    """Return the class of a term: a file of the rewards folder, or ``"package.module:Class"``."""
    if not isinstance(name, str) or name.startswith(":") or name.endswith(":"):
        raise ValueError(f"rewards: {name!r} is not a term's name or 'package.module:Class'.")
    if ":" in name:
        found = by_name(name)
    else:
        names = term_names()
        if name not in names:
            raise ValueError(
                f"rewards: {name!r} is not a term{closest(name, names)}; the terms are "
                f"{', '.join(names)}, or 'package.module:Class' for your own."
            )
        module = importlib.import_module(f"musicgym.rewards.{name}")
        found = getattr(module, "".join(word.capitalize() for word in name.split("_")))
    if not callable(found):
        raise ValueError(f"rewards: {name!r} is not a class of terms.")
    return found  # type: ignore[no-any-return]


def by_name(name: str) -> Any:
    """Return what ``"package.module:name"`` names.

    Raises:
        ValueError: it cannot be imported, or is not there.
    """
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"rewards: {name!r} cannot be loaded: {error}. Is its folder on PYTHONPATH?"
        ) from error


def check_choice(rule: object, name: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError where a field of a rule is not one of the allowed words."""
    value = getattr(rule, name)
    if value not in allowed:
        known = [f.name for f in fields(rule) if f.init]  # type: ignore[arg-type]
        raise ValueError(
            f"{type(rule).__name__}: {name}={value!r} is not one of {', '.join(allowed)}"
            f"{closest(value, allowed)} (parameters: {', '.join(known)})."
        )
