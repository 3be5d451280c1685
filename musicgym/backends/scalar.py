"""The scalar backend: one episode on Python numbers, as straight-line functions.

What follows from the place alone (the step, the chords, the key) is computed once for a whole
episode and looked up; a step computes what the event changes, and ends in the observation and the
info that the environment returns.
"""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Callable, Sequence
from itertools import accumulate, groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Constants, State, advance, initial, moment, terminal
from musicgym.observation import observe
from musicgym.randomness import chance_at
from musicgym.reward import Reward

from .source import InlineError, Inliner, reset_outputs, step_outputs

__all__ = ["Scalar", "action_masks", "build"]

# step(state, action, weights) -> state, observation, reward of the rules, info, done, event
Step = Callable[[Any, int, tuple[float, ...]], tuple[Any, Any, float, dict[str, Any], bool, int]]
# reset(key, row, tonic, mode) -> state, observation, info
Reset = Callable[[int, int, int, int], tuple[Any, Any, dict[str, Any]]]
# use(constants) -> None
Use = Callable[[Constants], None]

TABLES = ("roots", "codes", "masks", "sizes")
#: What names a place: the step, and what is fixed in an episode.
PLACE = ("step", "row", "tonic", "mode")
RINGING = State._fields.index("ringing")
#: Places that are kept at once, each 0.2 to 0.7 kB.
KEPT = 4_096


class Scalar(NamedTuple):
    """The functions of a single environment; `use` takes constants with longer chord tables."""

    step: Step
    reset: Reset
    use: Use


class Places(dict[tuple[int, int, int], list[tuple[Any, ...]]]):
    """(row, tonic, mode) -> what follows from the place alone at each step, computed at need."""

    def __init__(self, place: Callable[[int, int, int, int], tuple[Any, ...]], steps: int) -> None:
        """Start with none; `place` computes the values at a step."""
        super().__init__()
        self.place, self.steps = place, steps

    def __missing__(self, episode: tuple[int, int, int]) -> list[tuple[Any, ...]]:
        """Compute the places of an episode; forget those of others where they are too many."""
        if (len(self) + 1) * self.steps > KEPT:
            self.clear()
        self[episode] = [self.place(step, *episode) for step in range(self.steps)]
        return self[episode]


def build(c: Constants, reward: Reward, sizes: dict[str, int], observation: str) -> Scalar:
    """Return the functions for a task's constants, a reward and the parts to observe.

    Tables become tuples of Python numbers. Where a rule cannot be inlined, the text is called as it
    stands, with a warning that says which rule and why.
    """
    try:
        texts = sources(c, reward, sizes, observation)
    except InlineError as error:
        warnings.warn(f"called plainly, not inlined: {error}", stacklevel=2)
        return _plain(c, reward, sizes, observation)
    space = {**_tables(c), **_space(c, sizes)}
    for text in texts:
        _define(text, space)
    space["places"] = Places(space["place"], c.steps)
    return Scalar(space["step"], space["reset"], lambda longer: space.update(_tables(longer)))


def action_masks(n_events: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Return the two masks of valid events: in silence, and while a note rings."""
    masks = np.ones((2, n_events), np.int8)
    masks[0, 0] = 0
    masks.setflags(write=False)
    return masks[0], masks[1]


def starts(sizes: dict[str, int]) -> list[int]:
    """Return where each part begins in the one-hot."""
    return [0, *accumulate(sizes.values())][:-1]


def _tables(c: Constants) -> dict[str, tuple[int, ...]]:
    """Return the chord tables as Python numbers."""
    return {name: tuple(getattr(c, name).tolist()) for name in TABLES}


def _space(c: Constants, sizes: dict[str, int]) -> dict[str, Any]:
    """Return what the sources of observations and infos read, one-hot rows as bytes included."""
    silent, sounding = action_masks(c.n_events)
    rows = {
        f"{part}_rows": tuple(row.tobytes() for row in np.eye(size, dtype=np.float32))
        for part, size in sizes.items()
    }
    types = {"uint8": np.dtype(np.uint8), "float32": np.dtype(np.float32), "int64": np.int64}
    return {"silent": silent, "sounding": sounding, "ndarray": np.ndarray, **types, **rows}


def _define(text: str, space: dict[str, Any]) -> None:
    """Define a function from its source, with lines that a traceback can show."""
    file = f"<musicgym {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    exec(compile(text, file, "exec"), space)


# Every observation and info is a fresh, writable object: users keep and change them. An array over
# a new bytearray takes half the time of np.array(tuple).


def _piece(observation: str, part: str) -> str:
    """Return the source of a part in an observation, ``{}`` standing for its value."""
    return {"flat": f"{part}_rows[{{}}]", "dict": "int64({})"}.get(observation, "{}")


def _pieces(
    observation: str, sizes: dict[str, int], parts: dict[str, Any], inliner: Inliner
) -> list[Any]:
    """Return the parts of an observation as values of the inliner."""
    if observation == "compact":
        return [parts[part] for part in sizes]
    return [inliner.write(_piece(observation, part), parts[part]) for part in sizes]


def _observed(observation: str, sizes: dict[str, int], pieces: list[str]) -> str:
    """Return the source of an observation of pieces."""
    joined = ", ".join(pieces)
    if observation == "dict":
        return f"{{{', '.join(f'{p!r}: {x}' for p, x in zip(sizes, pieces, strict=True))}}}"
    if observation == "flat":
        return f"ndarray({sum(sizes.values())}, float32, bytearray().join(({joined},)))"
    return f"ndarray({len(sizes)}, uint8, bytearray(({joined},)))"


def _informed(ringing: str, reward: Reward | None = None, raw: Sequence[str] = ()) -> str:
    """Return the source of an info; terms that are not rules are silent until they are asked."""
    mask = f'"action_mask": (sounding if {ringing} else silent).copy()'
    if reward is None:
        return f"{{{mask}}}"
    values = [*raw, *("0.0" for _ in reward.others)]
    terms = ", ".join(f"{n!r}: {v}" for n, v in zip(reward.names, values, strict=True))
    return f'{{{mask}, "reward_terms": {{{terms}}}}}'


def sources(
    c: Constants, reward: Reward, sizes: dict[str, int], observation: str
) -> tuple[str, str, str]:
    """Return the source of step, of reset, and of place, whose values step looks up."""
    inliner = Inliner(lazy=True)
    out = step_outputs(inliner, c, reward)
    pieces = _pieces(observation, sizes, out["observation"], inliner)
    weights = [f"w{i}" for i in range(len(out["raw"]))]
    moving = inliner.moving({"action", *weights, *State._fields} - set(PLACE))
    if observation == "flat":  # neighbours that follow from the place are joined there
        runs = [(k, list(run)) for k, run in groupby(pieces, lambda piece: piece in moving)]
        pieces = [p for k, run in runs for p in (run if k else [inliner.write(" + ".join(run))])]
    after = list(out["state"].values())
    outputs = [*after, *pieces, *out["raw"], out["total"], out["done"], out["event"]]
    place = inliner.settled(outputs, moving)
    lines, texts = inliner.assignments(outputs, given=place)
    n, k = len(after), len(after) + len(pieces)
    *raw, total, done, event = texts[k:]
    seen, info = _observed(observation, sizes, texts[n:k]), _informed(texts[RINGING], reward, raw)
    step = _function(
        "step(state, action, weights)",
        [
            f"{', '.join(State._fields)} = state",
            *([f"{', '.join(weights)}, = weights"] if weights else []),
            f"{', '.join(place)}, = places[row, tonic, mode][step]",
            *lines,
        ],
        f"({', '.join(texts[:n])}), {seen}, {total}, {info}, {done}, {event}",
    )
    lines, texts = inliner.assignments(place)
    at_place = _function(f"place({', '.join(PLACE)})", lines, f"({', '.join(texts)},)")
    return step, _reset_source(c, sizes, observation), at_place


def _reset_source(c: Constants, sizes: dict[str, int], observation: str) -> str:
    """Return the source of reset."""
    inliner = Inliner(lazy=True)
    out = reset_outputs(inliner, c)
    state = list(out["state"].values())
    pieces = _pieces(observation, sizes, out["observation"], inliner)
    lines, texts = inliner.assignments([*state, *pieces])
    seen = _observed(observation, sizes, texts[len(state) :])
    result = f"({', '.join(texts[: len(state)])}), {seen}, {_informed(texts[RINGING])}"
    return _function("reset(key, row, tonic, mode)", lines, result)


def _function(signature: str, lines: list[str], result: str) -> str:
    """Return the source of a function."""
    return f"def {signature}:\n" + "".join(f"    {x}\n" for x in [*lines, f"return {result}"])


def _plain(c: Constants, reward: Reward, sizes: dict[str, int], observation: str) -> Scalar:
    """Return functions that call the text as it stands."""
    space = _space(c, sizes)
    pieces = [_piece(observation, part).format(f"seen.{part}") for part in sizes]
    raw = [f"raw[{i}]" for i in range(len(reward.rules))]
    _define(_function("see(seen)", [], _observed(observation, sizes, pieces)), space)
    _define(_function("inform(ringing, raw)", [], _informed("ringing", reward, raw)), space)
    _define(_function("begin(ringing)", [], _informed("ringing")), space)

    def use(longer: Constants) -> None:
        nonlocal c
        c = Constants(**{**longer._asdict(), **_tables(longer)})

    def step(state: Any, action: int, weights: tuple[float, ...]) -> Any:
        before = State(*state)
        m = moment(c, before, action)
        raw = tuple(rule(m) for rule in reward.rules)
        total = 0.0
        for k, (weight, value) in enumerate(zip(weights, raw, strict=True)):
            total = weight * value if k == 0 else total + weight * value
        after = advance(c, before, m, chance_at(before.key, before.step + 1))
        info = space["inform"](after.ringing, raw)
        return after, space["see"](observe(c, after)), total, info, terminal(c, after), m.event

    def reset(key: int, row: int, tonic: int, mode: int) -> Any:
        state = initial(c, key, row, tonic, mode, chance_at(key, 0))
        return state, space["see"](observe(c, state)), space["begin"](state.ringing)

    use(c)
    return Scalar(step, reset, use)
