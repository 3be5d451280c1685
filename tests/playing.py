"""What several tests share: melodies written as note names, played in the environment."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import numpy as np

from musicgym.dynamics import Episodes
from musicgym.env import MelodyComposeEnv
from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.reward import Rule, SequenceTerm, term_names
from musicgym.theory import parse_pitch

LOW = 48


def spelt(text: str, low: int = LOW) -> list[int]:
    """Return the events of a melody: note names strike, ``.`` holds, ``-`` rests, ``|`` is air."""
    words = [word for word in text.split() if word != "|"]
    silent = {".": HOLD, "-": REST}
    return [silent[w] if w in silent else parse_pitch(w) - low + FIRST_NOTE for w in words]


def raw(term: str, text: str, /, **arguments: Any) -> list[float]:
    """Return the raw values of one term over a melody; parameters go in `parameters`."""
    rewards = {term: arguments.pop("parameters", {})}
    env = MelodyComposeEnv(rewards=rewards, **arguments)
    env.reset(seed=arguments.get("seed", 0))
    events = spelt(text, env.task.low)
    assert len(events) <= env.task.steps, "the melody is longer than the episode"
    return [round(env.step(event)[4]["reward_terms"][term], 12) for event in events]


def rule_names() -> list[str]:
    """Return the terms of the rewards folder that are rules: a new file is covered by itself."""
    return [name for name in term_names() if issubclass(_class_of(name), Rule)]


def sequence_names() -> list[str]:
    """Return the terms that see the melody so far and need no scorer, or anything, to be made."""
    return [
        name
        for name in term_names()
        if issubclass(_class_of(name), SequenceTerm)
        and all(
            p.default is not p.empty for p in inspect.signature(_class_of(name)).parameters.values()
        )
    ]


def _class_of(name: str) -> type:
    module = importlib.import_module(f"musicgym.rewards.{name}")
    found = getattr(module, "".join(word.capitalize() for word in name.split("_")), object)
    return found if isinstance(found, type) else object


def random_events(n_events: int, steps: int, seed: int, size: int | None = None) -> Any:
    """Return random events, half of them holds or rests, some of them no events at all."""
    rng = np.random.default_rng(seed)
    shape = (steps,) if size is None else (steps, size)
    some = rng.integers(-1, n_events + 1, shape)
    near = n_events // 2 + 4 * (rng.random(shape) < 0.2)  # so that notes repeat
    kind = rng.random(shape)
    return np.where(kind < 0.3, 0, np.where(kind < 0.4, 1, np.where(kind < 0.8, near, some)))


def equal(a: Any, b: Any, path: str = "") -> None:
    """Assert that two outputs are the same to the bit, dtypes, shapes and names included."""
    assert type(a) is type(b), (path, type(a), type(b))
    if isinstance(a, dict):
        assert set(a) == set(b), (path, list(a), list(b))
        for name in a:
            equal(a[name], b[name], f"{path}/{name}")
    elif isinstance(a, np.ndarray):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (path, a.shape, b.shape, a.dtype, b.dtype)
        if a.dtype == object:
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                equal(x, y, f"{path}[{i}]")
        else:
            np.testing.assert_array_equal(a, b, path)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            equal(x, y, f"{path}[{i}]")
    else:
        assert a == b, (path, a, b)


class Onsets(SequenceTerm):
    """Pays the onsets so far."""

    def begin(self, episodes: Episodes, which: Any) -> None:
        self.count = np.zeros(len(episodes.key))

    def pay(self, events: Any) -> Any:
        self.count += events > 1
        return self.count.copy()
