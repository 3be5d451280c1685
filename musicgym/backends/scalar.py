"""The scalar backend: one episode on Python numbers, as straight-line functions."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

from musicgym.dynamics import Constants, State, advance, initial, moment, terminal
from musicgym.observation import Observation, observe
from musicgym.randomness import chance_at
from musicgym.reward import Reward

from .source import InlineError, Inliner, reset_outputs, step_outputs

__all__ = ["Scalar", "build"]

# step(state, action, weights) -> state, observation, reward of the rules, raw values, done, event
Step = Callable[[State, int, tuple[float, ...]], tuple[Any, tuple[int, ...], float, Any, bool, int]]
# reset(key, row, tonic, mode) -> state, observation
Reset = Callable[[int, int, int, int], tuple[Any, tuple[int, ...]]]


# use(constants) -> None
Use = Callable[[Constants], None]


class Scalar(NamedTuple):
    """The functions of a single environment; `use` takes constants with longer chord tables."""

    step: Step
    reset: Reset
    use: Use


def build(c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> Scalar:
    """Return the functions for a task's constants, a reward and the parts to observe.

    The observation is the values of the parts, or if `flat` the places of ones in their one-hot.
    Tables become tuples of Python numbers. Where a rule cannot be inlined, the text is called as it
    stands, with a warning that says which rule and why.
    """
    try:
        step_text, reset_text = sources(c, reward, sizes, flat)
    except InlineError as error:
        warnings.warn(f"called plainly, not inlined: {error}", stacklevel=2)
        return _plain(c, reward, sizes, flat)
    space: dict[str, Any] = _tables(c)
    for name, text in (("step", step_text), ("reset", reset_text)):
        file = f"<musicgym {name} {hash(text)}>"
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
        exec(compile(text, file, "exec"), space)
    return Scalar(space["step"], space["reset"], lambda longer: space.update(_tables(longer)))


TABLES = ("roots", "codes", "masks", "sizes")


def _tables(c: Constants) -> dict[str, tuple[int, ...]]:
    """Return the chord tables as Python numbers."""
    return {name: tuple(getattr(c, name).tolist()) for name in TABLES}


def starts(sizes: dict[str, int]) -> list[int]:
    """Return where each part begins in the one-hot."""
    return [0, *accumulate(sizes.values())][:-1]


def sources(c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> tuple[str, str]:
    """Return the source of step and of reset."""

    def seen(observation: dict[str, Any], inliner: Inliner) -> list[Any]:
        begin = starts(sizes) if flat else [0] * len(sizes)
        add = inliner.add
        return [add(s, observation[part]) for s, part in zip(begin, sizes, strict=True)]

    inliner = Inliner()
    out = step_outputs(inliner, c, reward)
    observed = seen(out["observation"], inliner)
    names = list(State._fields)
    lines, texts = inliner.assignments(
        [*out["state"].values(), *observed, *out["raw"], out["total"], out["done"], out["event"]]
    )
    n, k = len(names), len(names) + len(sizes)
    raw = texts[k:-3]
    weights = ", ".join(f"w{i}" for i in range(len(raw)))
    body = [
        f"{', '.join(names)} = state",
        *([f"{weights}, = weights"] if raw else []),
        *lines,
        f"return ({', '.join(texts[:n])},), ({', '.join(texts[n:k])},), {texts[-3]}, "
        f"({''.join(r + ', ' for r in raw)}), {texts[-2]}, {texts[-1]}",
    ]
    step = "def step(state, action, weights):\n    " + "\n    ".join(body) + "\n"
    inliner = Inliner()
    out = reset_outputs(inliner, c)
    observed = seen(out["observation"], inliner)
    lines, texts = inliner.assignments([*out["state"].values(), *observed])
    body = [*lines, f"return ({', '.join(texts[:n])},), ({', '.join(texts[n:])},)"]
    return step, "def reset(key, row, tonic, mode):\n    " + "\n    ".join(body) + "\n"


def _plain(c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> Scalar:
    begin = starts(sizes) if flat else [0] * len(sizes)

    def use(longer: Constants) -> None:
        nonlocal c
        c = Constants(**{**longer._asdict(), **_tables(longer)})

    def observed(state: State) -> tuple[int, ...]:
        seen: Observation = observe(c, state)
        return tuple(s + getattr(seen, part) for s, part in zip(begin, sizes, strict=True))

    def step(
        state: State, action: int, weights: tuple[float, ...]
    ) -> tuple[Any, tuple[int, ...], float, Any, bool, int]:
        before = State(*state)
        m = moment(c, before, action)
        raw = tuple(rule(m) for rule in reward.rules)
        total = 0.0
        for k, (weight, value) in enumerate(zip(weights, raw, strict=True)):
            total = weight * value if k == 0 else total + weight * value
        after = advance(c, before, m, chance_at(before.key, before.step + 1))
        return after, observed(after), total, raw, terminal(c, after), m.event

    def reset(key: int, row: int, tonic: int, mode: int) -> tuple[Any, tuple[int, ...]]:
        state = initial(c, key, row, tonic, mode, chance_at(key, 0))
        return state, observed(state)

    use(c)
    return Scalar(step, reset, use)
