"""A user's own agents as entries: a factory is found, told what it asks for, and looked after."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import Any

from torch import Tensor

from musicgym.agents.policy import Policy
from musicgym.dynamics import Episodes

from .entry_files import EntrySpec, importable

__all__ = ["Own", "factory_of", "taken_by"]


class Own:
    """A user's own policy, with a plain word where it is none or gives no logits."""

    def __init__(self, name: str, policy: Any, n_events: int) -> None:
        """Keep the policy."""
        if not callable(policy) or not hasattr(policy, "initial_state"):
            raise ValueError(
                f"entry: {name} returned {policy!r}, which is no policy: it has not both "
                f"initial_state(episodes) and __call__(observation, state)."
            )
        self.name, self.policy, self.n_events = name, policy, n_events

    def initial_state(self, episodes: Episodes) -> Any:
        """Return the policy's state at the start."""
        return self.policy.initial_state(episodes)

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the policy's logits (B, A) and its next state."""
        said = self.policy(observation, state)
        if not isinstance(said, tuple) or len(said) != 2:
            raise ValueError(f"entry: {self.name} gave {type(said).__name__}, not logits, state.")
        logits, wanted = said[0], (len(observation), self.n_events)
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise ValueError(f"entry: the logits of {self.name} are no tensor of floats.")
        if logits.shape != wanted:
            raise ValueError(
                f"entry: {self.name} gave logits {tuple(logits.shape)}, not {wanted}, a row a "
                f"melody and a column an event."
            )
        return said


def taken_by(factory: Callable[..., Any]) -> list[str] | None:
    """Return the keywords that a factory takes beside the task; None if it takes any."""
    try:
        taken = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        return []
    if any(each.kind is each.VAR_KEYWORD for each in taken):
        return None
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    first = next((t.name for t in taken if t.kind is not inspect.Parameter.KEYWORD_ONLY), None)
    return [each.name for each in taken if each.kind in by_name and each.name != first]


def factory_of(spec: EntrySpec) -> Callable[..., Any]:
    """Return a user's own factory of policies; modules of its folder come before all others."""
    module, _, attribute = spec.policy.partition(":")
    try:
        with importable(spec.folder):
            if spec.folder:
                _forget_others(module.partition(".")[0], spec.folder)
            made: Callable[..., Policy] = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        where = f"beside its file in {spec.folder} or " if spec.folder else ""
        raise ValueError(
            f"entry: {spec.policy!r} cannot be loaded: {type(error).__name__}: {error}. "
            f"Is its module {where}in a folder on PYTHONPATH?"
        ) from error
    if not callable(made):
        raise ValueError(f"entry: {spec.policy!r} is {made!r}, no function of a task.")
    return made


def _forget_others(name: str, folder: str) -> None:
    """Drop a module that was imported from elsewhere, where the folder has one of its name."""
    found, held = PathFinder.find_spec(name, [folder]), sys.modules.get(name)
    if found and held and getattr(held, "__file__", None) != found.origin:
        for other in [n for n in sys.modules if n == name or n.startswith(f"{name}.")]:
            del sys.modules[other]
