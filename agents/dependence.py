"""What a reward depends on, read from the text of the rules and of the dynamics themselves.

A planner tells apart only the states that differ in a column that the rewards depend on, and only
the places that differ in what they read of the chords, the key and the time.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.backends.scalar import PLACE, TABLES
from musicgym.backends.source import Code, Flag, InlineError, Inliner, Record
from musicgym.dynamics import RUN_CAP, Constants, Moment, State, advance, moment
from musicgym.events import FIRST_NOTE
from musicgym.reward import Rule

__all__ = ["Dependence", "axes", "depend", "fields_read"]


class Dependence(NamedTuple):
    """What rewards depend on.

    Attributes:
        columns: names of State.
        place: (step, row, tonic, mode) -> all else that they depend on.
    """

    columns: set[str]
    place: Callable[[int, int, int, int], tuple[Any, ...]]


def axes(c: Constants) -> dict[str, npt.NDArray[Any]]:
    """Return the values of the columns of State that events move; long ones last."""
    flag = np.array([False, True])
    pitches = c.low + np.arange(c.n_events - FIRST_NOTE)
    return {
        "weak_extra": flag,
        "extra": flag,
        "ringing": flag,
        "run": np.arange(RUN_CAP + 1),
        "event": np.arange(c.n_events),
        "pitch": np.concatenate([[0], pitches]),
    }


def depend(c: Constants, rules: Sequence[Rule], read: set[str]) -> Dependence:
    """Find what rewards, and the columns that are read, depend on: from the text itself."""
    inliner, moved = Inliner(), axes(c)
    atoms: dict[str, Any] = {
        n: Flag(n) if v.dtype == np.bool_ else Code(n) for n, v in moved.items()
    }
    atoms |= {name: inliner.write("{}", Code(name)) for name in PLACE}
    state = Record({name: atoms.get(name, Code(name)) for name in State._fields})
    m = inliner.call(moment, c, state, Code("action"))
    after = inliner.call(advance, c, state, m, Code("chance"))
    paid: list[Any] = []
    for rule in rules:
        try:
            paid.append(inliner.call(rule, m))
        except InlineError:
            paid += [m[name] for name in fields_read(rule)]
    behind = {name: inliner.moving({name}) for name in (*moved, "median")}
    columns: set[str] = set()
    more = set(read)
    while more > columns:
        columns = more
        outputs = [*paid, *(after[name] for name in columns)]
        more = columns | {n for n, on in behind.items() if any(str(o) in on for o in outputs)}
    outputs = [*paid, *(after[name] for name in columns if name != "median")]
    moving = inliner.moving({"action", "chance", "median", *moved})
    lines, values = inliner.assignments(list(inliner.settled(outputs, moving)))
    body = "\n    ".join([*lines, f"return ({', '.join(values)},)" if values else "return ()"])
    space: dict[str, Any] = {name: getattr(c, name).tolist() for name in TABLES}
    exec(f"def place({', '.join(PLACE)}):\n    {body}", space)
    return Dependence(columns, space["place"])


def fields_read(rule: Rule) -> set[str]:
    """Return the fields of Moment that stand in a rule's text.

    These are all of them where the text cannot be read, or hands the moment on. Every branch
    counts, also one that is seldom taken.
    """
    every = set(Moment._fields)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(type(rule).__call__))).body[0]
    except (OSError, TypeError, SyntaxError):
        return every
    if not isinstance(tree, ast.FunctionDef) or tree.decorator_list or len(tree.args.args) != 2:
        return every
    moment = tree.args.args[1].arg
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == moment]
    read = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.value in uses]
    return set(read) if len(read) == len(uses) and set(read) <= every else every
