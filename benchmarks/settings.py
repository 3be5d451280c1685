"""Settings: dotted names into a frozen configuration, checked against the fields that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

from musicgym.reward import RewardSpec
from musicgym.theory import closest

__all__ = ["known", "with_settings"]

#: How a file without a word for nothing says it.
NOTHING = "none"


def known(config: Any) -> list[str]:
    """Return the dotted names of all that can be set in a configuration.

    >>> from musicgym.agents.configs import PPOConfig
    >>> [name for name in known(PPOConfig()) if name.startswith("kl.")]
    ['kl.beta', 'kl.target']
    """
    return list(_names(config, ""))


def _names(config: Any, before: str) -> Iterator[str]:
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from _names(value, f"{before}{field.name}.")
        else:
            yield before + field.name


def with_settings(config: Any, settings: Mapping[str, Any]) -> Any:
    """Return a configuration, a frozen dataclass of dataclasses, with some fields set.

    Args:
        config: where the fields are.
        settings: dotted names -> values. A whole number may stand for a float, a list for a tuple,
            and ``"none"`` for None where there may be none. ``rewards.TERM`` sets a weight in the
            reward that is there, ``rewards.TERM.PARAMETER`` a parameter.

    Raises:
        ValueError: there is no such field (the nearest is named), or a value is of another kind or
            out of its range.

    >>> from musicgym.agents.configs import PPOConfig
    >>> with_settings(PPOConfig(), {"learning_rate": 1, "kl.beta": 0.5}).kl
    KLConfig(beta=0.5, target=None)
    >>> with_settings(PPOConfig(), {"kl.targets": 0.5})
    Traceback (most recent call last):
    ValueError: settings: there is no 'kl.targets'; did you mean 'kl.target'?
    """
    for name, value in settings.items():
        _check_name(config, name, whole=value == NOTHING)
    return _changed(config, settings, "")


def _check_name(config: Any, name: str, whole: bool) -> None:
    """Raise a ValueError where there is no such field; `whole`: a part may be named as one."""
    names = known(config)
    if name in names or (name.startswith("rewards.") and "rewards" in names):
        return
    near = closest(name, names) or f"; there are {', '.join(names)}"
    inner = [other for other in names if other.startswith(f"{name}.")]
    if inner and whole:
        return
    if inner:
        near = f"; set one of {', '.join(inner)}"
    raise ValueError(f"settings: there is no {name!r}{near}{'' if near.endswith('?') else '.'}")


def _changed(config: Any, settings: Mapping[str, Any], before: str) -> Any:
    hints, changes = get_type_hints(type(config)), dict[str, Any]()
    inner: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        first, dot, rest = name.partition(".")
        if dot:
            inner.setdefault(first, {})[rest] = value
        else:
            changes[first] = _as(hints[first], value, before + first)
    for first, some in inner.items():
        held = changes.get(first, getattr(config, first))
        if is_dataclass(held):
            changes[first] = _changed(held, some, f"{before}{first}.")
        else:  # the reward: a preset's name or a dict of terms
            changes[first] = _reweighted(held, some)
    try:
        return replace(config, **changes)
    except TypeError as error:
        raise ValueError(f"settings: {error}.") from error


def _reweighted(reward: RewardSpec, some: Mapping[str, Any]) -> RewardSpec:
    """Return a reward with weights, TERM, and parameters, TERM.PARAMETER, that are set in it."""
    made: dict[str, Any] = {"preset": reward} if isinstance(reward, str) else dict(reward)
    for name, value in some.items():
        term, dot, parameter = name.partition(".")
        before = made.get(term)
        if dot and before is not None and not isinstance(before, Mapping):
            before = {"weight": before}
        if dot or isinstance(before, Mapping):
            made[term] = {**(before or {}), parameter or "weight": value}
        else:
            made[term] = value
    return made


def _as(hint: Any, value: Any, name: str) -> Any:
    """Return a value as a field's kind has it, or raise a ValueError with what is allowed."""
    if hint == RewardSpec:
        return value
    optional = type(None) in getattr(hint, "__args__", ())
    if value == NOTHING and optional:
        return None
    kinds = [k for k in getattr(hint, "__args__", (hint,)) if isinstance(k, type)]
    if getattr(hint, "__origin__", None) is tuple:
        if isinstance(value, list | tuple):
            return tuple(value)
        kinds = [tuple]
    if isinstance(value, int) and not isinstance(value, bool) and float in kinds:
        return float(value)
    if any(type(value) is kind for kind in kinds):
        return value
    allowed = [kind.__name__ for kind in kinds if kind is not type(None)]
    raise ValueError(
        f"settings: {name} is {value!r}; it must be {' or '.join(allowed) or 'set by its parts'}"
        f"{f', or {NOTHING!r}' if optional else ''}."
    )
