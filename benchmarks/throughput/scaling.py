"""``musicgym bench scaling``: speed against batch, horizon, number of rules and LSTM width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from musicgym.export.extras import MissingExtra
from musicgym.rewards.chord_tone import ChordTone
from musicgym.rewards.final_tonic import FinalTonic
from musicgym.rewards.non_chord_tone import NonChordTone
from musicgym.rewards.octave_leap import OctaveLeap
from musicgym.rewards.pitch_range import PitchRange
from musicgym.rewards.repetition import Repetition

from .environments import cartpole_vector, foreign_sides, on_threads, tensor_steps, vector_steps
from .foreign import Foreign
from .rows import amount
from .training import ONE_ITERATION, cleanrl_style, ours
from .turns import Clock, Measure, Turn, middle, take_turns

__all__ = ["FIGURES", "Curve", "Figure", "curves_table", "rules", "scaling"]

BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
#: Batches at which the tensor backend compiles its step, which takes a while.
COMPILED_AT = (1, 64, 1024, 4096, 65_536)
#: Steps an episode, as bars of 4/4 and steps a beat.
HORIZONS = {16: (4, 1), 32: (4, 2), 64: (8, 2), 128: (16, 2), 256: (32, 2), 512: (64, 2),
            1024: (64, 4)}  # fmt: skip
RULES = (1, 2, 4, 8, 12, 16)
WIDTHS = (64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Curve:
    """One side of a figure.

    Attributes:
        name: as the figure labels it.
        is_ours: whether it is a form of musicgym.
        clock: of its rate.
        turns: at each place of the figure's axis that the side reached.
    """

    name: str
    is_ours: bool
    clock: Clock
    turns: dict[int, tuple[Turn, ...]]

    def rates(self) -> dict[int, float]:
        """Return the median rate at each place."""
        return {x: middle(turns, self.clock) for x, turns in self.turns.items()}


@dataclass(frozen=True)
class Figure:
    """Curves over one axis.

    Attributes:
        name: batch, horizon, rules or lstm.
        title: what the picture shows, in words.
        axis: of the places, with their unit.
        unit: of the rates.
        curves: one a side.
        absent: the sides that could not run, and why.
    """

    name: str
    title: str
    axis: str
    unit: str
    curves: tuple[Curve, ...]
    absent: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Figure:
        """Return the figure that `to_dict` wrote."""
        curves = tuple(
            Curve(**{**c, "turns": {
                int(x): tuple(Turn(*t) for t in turns) for x, turns in c["turns"].items()
            }})
            for c in data["curves"]
        )  # fmt: skip
        return cls(**{**data, "curves": curves})


@dataclass(frozen=True)
class Side:
    """How a side of a figure is made at a place: it may say ValueError or MissingExtra."""

    name: str
    make: Callable[[int], Measure]
    is_ours: bool = True
    clock: Clock = "cpu"
    places: Sequence[int] | None = None


def scaling(
    seconds: float = 0.2,
    repeats: int = 5,
    foreign: Foreign | None = None,
    names: Sequence[str] = ("batch", "horizon", "rules", "lstm"),
    places: Mapping[str, Sequence[int]] | None = None,
) -> list[Figure]:
    """Measure the curves, at each place all sides in turn.

    Args:
        seconds: of a turn.
        repeats: turns of each side at each place.
        foreign: where to look for foreign peers.
        names: the figures.
        places: other places than the usual ones, by figure.
    """
    places = {**{name: at for name, (_, at) in FIGURES.items()}, **(places or {})}
    return [
        FIGURES[name][0](places[name], seconds, repeats, foreign or Foreign()) for name in names
    ]


def batch(places: Sequence[int], seconds: float, repeats: int, foreign: Foreign) -> Figure:
    """Measure environment steps against environments at once."""
    sides = [
        Side("numba, 1 thread", vector_steps),
        Side("numba, 2 threads", partial(vector_steps, threads=2, clock="wall"), clock="wall"),
        Side("NumPy", partial(vector_steps, backend="arrays")),
        Side("torch, eager", tensor_steps),
        Side("torch, compiled", partial(tensor_steps, execution="compiled"), places=COMPILED_AT),
        Side("CartPoleVectorEnv", cartpole_vector, is_ours=False),
    ]
    title = "Environment steps a second against batch size, all terms of acmg"
    about = ("batch", title, "environments", "steps a second")
    return _figure(about, sides, places, seconds, repeats, foreign)


def horizon(places: Sequence[int], seconds: float, repeats: int, foreign: Foreign) -> Figure:
    """Measure environment steps against the length of an episode."""

    def at(make: Callable[..., Measure], steps: int) -> Measure:
        bars, steps_per_beat = HORIZONS[steps]
        return make(4096, bars=bars, steps_per_beat=steps_per_beat)

    sides = _forms(at)
    title = "Environment steps a second against episode length, 4,096 environments"
    about = ("horizon", title, "steps an episode", "steps a second")
    return _figure(about, sides, places, seconds, repeats)


def number_of_rules(
    places: Sequence[int], seconds: float, repeats: int, foreign: Foreign
) -> Figure:
    """Measure environment steps against the number of rules."""
    sides = _forms(lambda make, count: make(4096, rewards=rules(count)))
    title = "Environment steps a second against number of rules, 4,096 environments"
    about = ("rules", title, "rules", "steps a second")
    return _figure(about, sides, places, seconds, repeats)


def lstm(places: Sequence[int], seconds: float, repeats: int, foreign: Foreign) -> Figure:
    """Measure training frames against the width of the LSTM."""
    from musicgym.agents.threads import few_threads

    sides = [
        Side("ours", ours),
        Side("CleanRL-style", cleanrl_style, is_ours=False),
    ]
    title = "PPO frames a second against LSTM width, 64 environments, 4 epochs"
    about = ("lstm", title, "LSTM units", "frames a second")
    with on_threads(1), few_threads():
        return _figure(about, sides, places, ONE_ITERATION, repeats)


#: Each figure's measurement and its places.
FIGURES: dict[str, tuple[Callable[..., Figure], Sequence[int]]] = {
    "batch": (batch, BATCHES),
    "horizon": (horizon, tuple(HORIZONS)),
    "rules": (number_of_rules, RULES),
    "lstm": (lstm, WIDTHS),
}


def _forms(at: Callable[[Callable[..., Measure], int], Measure]) -> list[Side]:
    """Return our environment's forms, each made at a place by `at`."""
    return [
        Side("numba", partial(at, vector_steps)),
        Side("NumPy", partial(at, partial(vector_steps, backend="arrays"))),
        Side("torch, eager", partial(at, tensor_steps)),
    ]


def _figure(
    about: tuple[str, str, str, str],
    sides: Sequence[Side],
    places: Sequence[int],
    seconds: float,
    repeats: int,
    foreign: Foreign | None = None,
) -> Figure:
    """Measure the sides at each place; a side that cannot run is left out, with its reason."""
    turns: dict[str, dict[int, tuple[Turn, ...]]] = {}
    known = {side.name: side for side in sides}
    absent: dict[str, str] = {}
    for place in places:
        measures: dict[str, Measure] = {}
        with ExitStack() as stack:
            for side in sides:
                if side.name in absent or (side.places is not None and place not in side.places):
                    continue
                try:
                    measures[side.name] = side.make(place)
                except (MissingExtra, ValueError, TypeError, RuntimeError) as error:
                    absent[side.name] = str(error).partition("\n")[0]
            if foreign is not None:
                found, missing = foreign_sides(stack, foreign, place)
                absent |= missing
                measures |= found
            title = f"{about[0]} {place:,}"
            for name, done in take_turns(measures, seconds, repeats, title=title).items():
                turns.setdefault(name, {})[place] = done
    curves = []
    for name, at in turns.items():
        side = known.get(name) or Side(name, ours, is_ours=False)
        curves.append(Curve(name, side.is_ours, side.clock, at))
    return Figure(*about, tuple(curves), absent)


def curves_table(figure: Figure) -> str:
    """Return a figure's rates as text: a line a place, at most 80 columns.

    >>> one = Curve("ours", True, "cpu", {64: (Turn(2000, 1.0, 1.0),)})
    >>> print(curves_table(Figure("lstm", "Frames", "units", "frames a second", (one,), {})))
    Frames
    units                   64
    ours                 2.00k
    """
    places = sorted({x for curve in figure.curves for x in curve.turns})
    width = min(9, 63 // max(1, len(places)))
    lines = [figure.title]
    lines.append(f"{figure.axis[:17]:<17}" + "".join(f"{x:>{width},}" for x in places))
    for curve in figure.curves:
        rates = curve.rates()
        cells = (amount(rates[x]).replace(" ", "") if x in rates else "-" for x in places)
        lines.append(f"{curve.name[:17]:<17}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines)


def rules(count: int) -> dict[str, Any]:
    """Return a reward of so many rules, those of the package again and again.

    A second and a third copy go by other names for the same class, with other parameters.

    >>> list(rules(2)), len(rules(16))
    (['chord_tone', 'non_chord_tone'], 16)

    Raises:
        ValueError: more rules are asked for than there are names.
    """
    classes = (ChordTone, NonChordTone, OctaveLeap, PitchRange, Repetition, FinalTonic)
    other: dict[str, Any] = {
        "ChordTone": {}, "NonChordTone": {}, "OctaveLeap": {"reach": 7}, "PitchRange": {},
        "Repetition": {"max_run": 4}, "FinalTonic": {},
    }  # fmt: skip
    named: dict[str, Any] = {c.__module__.rpartition(".")[2]: {} for c in classes}
    for c in classes:
        named[f"{c.__module__}:{c.__name__}"] = {"weight": 0.5, **other[c.__name__]}
    for c in classes:
        named[f"{__name__}:{c.__name__}"] = {"weight": 0.25}
    if not 1 <= count <= len(named):
        raise ValueError(f"rules: {count!r} is not from 1 to {len(named)}.")
    return dict(list(named.items())[:count])
