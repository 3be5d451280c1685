"""What is audited: a preset's reward, or that of a user's own file."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from musicgym.reward import PolicyTerm, Reward, RewardSpec, Rule, SequenceTerm, load

__all__ = ["Target", "open_target"]


class Target(NamedTuple):
    """A reward to audit.

    Attributes:
        name: the preset, or the file's name.
        spec: what `musicgym.reward.load` was given.
        reward: its terms without policy terms, which pay in training only.
        left_out: the names of its policy terms.
        digest: the SHA-256 of the file, or None.
    """

    name: str
    spec: RewardSpec
    reward: Reward
    left_out: tuple[str, ...]
    digest: str | None


@contextmanager
def open_target(text: str, steps: int) -> Iterator[Target]:
    """Give the reward of a preset or of a file; the file's folder is on sys.path meanwhile.

    A file gives its ``REWARDS``, a spec of terms, if it defines that; otherwise each class of
    terms that it defines, with weight 1. Its own terms are called by their classes.

    Args:
        text: a preset's name, or a path that ends in .py.
        steps: the length of an episode.

    Raises:
        ValueError: there is no such preset or file, the file cannot be loaded or defines no term,
            or a term is not valid.
    """
    if not text.endswith(".py"):
        yield _target(text, text, steps)
        return
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"audit: there is no file {text}.")
    with _imported(path) as module:
        spec = getattr(module, "REWARDS", None) or {f"{path.stem}:{n}": 1.0 for n in _terms(module)}
        if not spec:
            raise ValueError(
                f"audit: {path.name} defines no term: write a class of musicgym.reward.Rule with "
                f"__call__, or REWARDS = {{...}}, a dict of terms and weights."
            )
        found = _target(path.name, spec, steps, path.stem)
        yield found._replace(digest=hashlib.sha256(path.read_bytes()).hexdigest())


def _target(name: str, spec: RewardSpec, steps: int, module: str = "") -> Target:
    reward = load(spec, steps)
    terms = tuple(t._replace(name=t.name.removeprefix(f"{module}:")) for t in reward.terms)
    paid = tuple(t for t in terms if not isinstance(t.pays, PolicyTerm))
    left_out = tuple(t.name for t in terms if isinstance(t.pays, PolicyTerm))
    if not paid:
        raise ValueError(f"audit: {name} has only terms that pay in training: {left_out}.")
    return Target(name, spec, Reward(paid, reward.readings), left_out, None)


def _terms(module: ModuleType) -> list[str]:
    """Return the names of the classes of terms that a module defines itself, in their order."""
    own = [c for c in vars(module).values() if getattr(c, "__module__", "") == module.__name__]
    classes: list[type[Any]] = [c for c in own if isinstance(c, type)]
    return [
        c.__name__
        for c in classes
        if (issubclass(c, Rule) and c.__call__ is not Rule.__call__)
        or (issubclass(c, SequenceTerm) and c.pay is not SequenceTerm.pay)
    ]


@contextmanager
def _imported(path: Path) -> Iterator[ModuleType]:
    """Import a file with its folder first on sys.path; forget it and its neighbours afterwards."""
    if "." in path.stem or path.stem in sys.modules:
        raise ValueError(f"audit: the name {path.name} is taken or has two dots; rename the file.")
    before = set(sys.modules)
    sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()
    try:
        try:
            module = importlib.import_module(path.stem)
        except SyntaxError as error:
            raise ValueError(
                f"audit: {error.filename or path}, line {error.lineno}: {error.msg}."
            ) from error
        except (Exception, SystemExit) as error:  # whatever the user's own code raises
            kind = type(error).__name__
            raise ValueError(f"audit: {path.name} cannot be loaded: {kind}: {error}.") from error
        yield module
    finally:
        sys.path.remove(str(path.parent))
        for name in set(sys.modules) - before:  # its neighbours too: another folder has its own
            if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == path.parent:
                del sys.modules[name]
