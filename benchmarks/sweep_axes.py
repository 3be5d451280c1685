"""The fields that a sweep varies, and their values, as they are read from text."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musicgym.agents.configs import GENERATORS
from musicgym.reward import term_names
from musicgym.theory import closest

from .entries import FINE_TUNED, LEARNED, OUTSIDE, Soft, Workshop
from .entry_files import EntrySpec
from .settings import known

__all__ = ["PRETRAINED", "Axis", "read_axes"]

#: Significant digits of what is drawn from a range.
DIGITS = 4
RANGE = re.compile(r"(log:)?(.*?)\.\.(.*)")
#: Where a change of these is, the agent is pretrained otherwise.
PRETRAINED = ("pretraining.", "model.actor.")


@dataclass(frozen=True)
class Axis:
    """A field that is varied, over a list of values or a range.

    Attributes:
        name: the whole dotted name of the field.
        values: the list; empty for a range.
        low: lower end of the range.
        high: upper end of the range.
        log: whether it is the logarithm that is drawn evenly.
        whole: whether whole numbers are drawn.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> tuple[Any, Any]:
        """Its first and last value."""
        if self.values:
            return self.values[0], self.values[-1]
        return self.rounded(self.low), self.rounded(self.high)

    def rounded(self, value: float) -> float | int:
        """Return a value of the range as it is set: whole, or with few digits."""
        return round(value) if self.whole else float(f"{value:.{DIGITS}g}")

    def draw(self, rng: np.random.Generator) -> Any:
        """Return a value at random."""
        if self.values:
            return self.values[rng.integers(len(self.values))]
        low, high = (math.log(x) if self.log else x for x in (self.low, self.high))
        if self.whole and not self.log:
            return int(rng.integers(int(self.low), int(self.high) + 1))
        drawn = low + (high - low) * rng.random()
        return self.rounded(math.exp(drawn) if self.log else drawn)


def read_axes(texts: Sequence[str], shop: Workshop, entry: EntrySpec, search: str) -> list[Axis]:
    """Return what is varied.

    Args:
        texts: ``FIELD=VALUES``; a field's short name will do where it is that of one field only.
            Values are a list ``1,3,5``, words, or, where a search draws them, a range
            ``0.01..0.3`` or ``log:0.001..0.1``. Parts of a value that is a list stand between +.
        shop: of the task.
        entry: whose settings they are.
        search: grid, random or bayes.

    Raises:
        ValueError: a field is not one of the entry's, or there twice, or its values are not in
            order.
    """
    if not texts:
        raise ValueError(
            "vary: nothing is varied; give --vary FIELD=VALUES, such as "
            "--vary rewards.final_tonic=1,3,5 or --vary kl.target=0.05,0.1."
        )
    config = configuration(shop, entry)
    axes = [_axis(text, config, entry, search) for text in texts]
    for axis in axes:
        if [other.name for other in axes].count(axis.name) > 1:
            raise ValueError(f"vary: {axis.name} is varied twice; give all its values at once.")
    return axes


def configuration(shop: Workshop, entry: EntrySpec) -> Any:
    """Return the configuration whose fields are an entry's settings; None if it takes any."""
    if entry.policy in OUTSIDE:
        return shop.outside(entry, 1)[0]
    if entry.policy in (*LEARNED, *FINE_TUNED, *GENERATORS):
        return shop.config(entry, 1)
    if entry.policy == "soft_optimum":
        return Soft()
    if ":" in entry.policy:
        return None
    raise ValueError(f"vary: the entry {entry.name} has no settings that could be varied.")


def fields_of(config: Any, entry: EntrySpec) -> list[str]:
    """Return the fields that can be varied: of what learns nothing by rules the pretraining's."""
    names = known(config)
    if entry.policy in GENERATORS:
        return [name for name in names if name.startswith(PRETRAINED)]
    return names


def _axis(text: str, config: Any, entry: EntrySpec, search: str) -> Axis:
    given, equals, said = text.partition("=")
    if not equals or not given:
        raise ValueError(f"vary: {text!r} is not FIELD=VALUES, such as kl.target=0.05,0.1.")
    name = given if config is None else whole_name(given, fields_of(config, entry))
    usual = _value(config, name)
    if found := RANGE.fullmatch(said):
        return _range(name, said, found, usual, config is None, search)
    words = [word.strip() for word in said.split(",")]
    if not all(words):
        raise ValueError(f"vary: {given} has an empty value in {said!r}.")
    values = [_read(word, usual) for word in words]
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"vary: {given} has {value!r} twice.")
    return Axis(name, tuple(values))


def whole_name(given: str, names: Sequence[str]) -> str:
    """Return the whole name of a field, which may be given by its last parts.

    Raises:
        ValueError: it is none, or that of several.

    >>> whole_name("kl.target", ["learning.kl.target", "learning.clip"])
    'learning.kl.target'
    >>> whole_name("epochs", ["learning.epochs", "pretraining.epochs"])
    Traceback (most recent call last):
    ValueError: vary: 'epochs' may be learning.epochs or pretraining.epochs; say which.
    """
    if given in names or given.startswith("rewards.") and "rewards" in names:
        return given
    found = [name for name in names if name.endswith(f".{given}")]
    if len(found) > 1:
        raise ValueError(f"vary: {given!r} may be {' or '.join(found)}; say which.")
    if found:
        return found[0]
    terms = [f"rewards.{name}" for name in term_names()] if "rewards" in names else []
    allowed = [*names, *terms]
    if f"rewards.{given}" in terms:
        near = f"; did you mean 'rewards.{given}'?"
    else:
        near = closest(given, [*allowed, *(name.partition(".")[2] for name in allowed)])
    raise ValueError(
        f"vary: there is no field {given!r}{near or '; there are ' + ', '.join(names) + '.'}"
    )


def _value(config: Any, name: str) -> Any:
    """Return the value that a field has; None where there is none yet."""
    for part in name.split(".") if config is not None and not name.startswith("rewards.") else ():
        config = getattr(config, part)
    return None if name.startswith("rewards.") else config


def _read(word: str, usual: Any) -> Any:
    """Return a word as a value: true and false, a number, a list for a list, or the word."""
    if isinstance(usual, tuple):
        return tuple(word.split("+"))
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            value = kind(word)
        except ValueError:
            continue
        if not math.isfinite(value):
            raise ValueError(f"vary: {word!r} is not a finite number.")
        return value
    return word


def _range(name: str, said: str, found: re.Match[str], usual: Any, own: bool, search: str) -> Axis:
    """Return a range of a field; of an `own` factory's keyword nobody knows the kind."""
    if search == "grid":
        raise ValueError(
            f"vary: {name}={said} is a range, which a grid has no points of; give a list such as "
            f"1,3,5, or --search random or bayes."
        )
    try:
        low, high = float(found[2]), float(found[3])
    except ValueError:
        raise ValueError(
            f"vary: {name}={said} is not a range LOW..HIGH or log:LOW..HIGH."
        ) from None
    log = bool(found[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
        raise ValueError(
            f"vary: {name}={said}: the first end must be below the second"
            f"{', and above 0 for log' if log else ''}."
        )
    if isinstance(usual, bool | str | tuple):
        raise ValueError(f"vary: {name} is {usual!r}, so it has no range; give a list of values.")
    digits = all(re.fullmatch(r"-?\d+", end) for end in (found[2], found[3]))
    free = own or (name.startswith("rewards.") and name.count(".") > 1)
    whole = isinstance(usual, int) or (free and digits)
    if whole and not digits:
        raise ValueError(f"vary: {name} is a whole number, so the ends of {said} must be, too.")
    return Axis(name, (), low, high, log, whole)
