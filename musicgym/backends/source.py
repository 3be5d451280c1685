"""Turns the one text into straight-line source: calls inlined, constants folded, repeats shared.

The bodies of `moment`, the rules, `advance` and `observe` are read with `ast` and evaluated
symbolically. A value is a piece of source (str), a number, a `Record` of values (State, Moment) or
an object whose attributes are constants (Constants, a rule). Each distinct expression becomes one
local variable; what no output needs is never written.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from musicgym.dynamics import Constants, Moment, State, advance, initial, moment, terminal
from musicgym.observation import Observation, observe
from musicgym.randomness import chance_at
from musicgym.reward import Reward
from musicgym.select import count_bits, where

__all__ = ["Inliner", "InlineError", "reset_outputs", "step_outputs"]

_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Mod: "%", ast.FloorDiv: "//", ast.Div: "/",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.RShift: ">>", ast.LShift: "<<",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_LAZY: dict[type, str] = {ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "!="}  # of two bools
_FLAGS = ("ringing", "extra", "weak_extra")  # the bools of State


class InlineError(Exception):
    """The text of a function cannot be inlined; the message says which and why."""


class Record(dict[str, Any]):
    """A named tuple at the time of inlining: field -> value."""


class Code(str):
    """Source of an expression that is known only at run time."""

    __slots__ = ()


class Flag(Code):
    """Source of an expression that is a bool."""

    __slots__ = ()


class Inliner:
    """Collects the assignments that compute some outputs.

    With `lazy`, for plain Python, flags are combined by ``and``, ``or`` and ``not``, and bits are
    counted by a method of int: the same values in less than half the time.
    """

    def __init__(self, lazy: bool = False) -> None:
        """Start with no assignments."""
        self.lazy = lazy
        self.lines: dict[str, str] = {}  # variable -> expression
        self.known: dict[str, str] = {}  # expression -> variable

    def call(self, function: Any, *arguments: Any) -> Any:
        """Inline a call of a function, or of an object's ``__call__``, and return its value."""
        body = function if inspect.isfunction(function) else type(function).__call__
        owner = [] if body is function else [function]
        name = getattr(function, "__name__", type(function).__name__)
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(body))).body[0]
        except (OSError, TypeError, SyntaxError) as error:
            raise InlineError(f"{name}: its source cannot be read ({error})") from error
        if not isinstance(tree, ast.FunctionDef):
            raise InlineError(f"{name}: it is not a plain function")
        if body.__closure__:
            raise InlineError(f"{name}: it uses variables of an enclosing function")
        names = [a.arg for a in tree.args.args]
        if len(names) != len(owner) + len(arguments):
            raise InlineError(f"{name}: each of its parameters {names} must be given")
        scope: dict[str, Any] = dict(zip(names, [*owner, *arguments], strict=True))
        for statement in tree.body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # the docstring
            if (
                isinstance(statement, ast.Assign)
                and len(statement.targets) == 1
                and isinstance(statement.targets[0], ast.Name)
            ):
                value = self.evaluate(statement.value, scope, body)
                scope[statement.targets[0].id] = value
            elif isinstance(statement, ast.Return) and statement.value is not None:
                return self.evaluate(statement.value, scope, body)
            else:
                raise InlineError(
                    f"{name}: a body is assignments and one return, not {ast.unparse(statement)!r}"
                )
        raise InlineError(f"{name}: it returns nothing")

    def evaluate(self, node: ast.expr, scope: dict[str, Any], body: Callable[..., Any]) -> Any:
        """Return the value of an expression."""

        def inner(n: ast.expr) -> Any:
            return self.evaluate(n, scope, body)

        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                if node.id in scope:
                    return scope[node.id]
                found = body.__globals__.get(node.id, getattr(builtins, node.id, None))
                if found is None:
                    raise InlineError(f"{body.__qualname__}: {node.id!r} is not known")
                return found
            case ast.Attribute():
                return self._attribute(inner(node.value), node.attr, body)
            case ast.BinOp():
                return self._operation(type(node.op), inner(node.left), inner(node.right), body)
            case ast.Compare(ops=[operator], comparators=[right]):
                return self._operation(type(operator), inner(node.left), inner(right), body)
            case ast.UnaryOp(op=ast.USub()):
                return self._operation(ast.Sub, 0, inner(node.operand), body)
            case ast.Subscript():
                table, place = inner(node.value), inner(node.slice)
                return self._name(f"{_source(table)}[{_source(place)}]")
            case ast.Call():
                return self._call(
                    inner(node.func),
                    [inner(a) for a in node.args],
                    {str(k.arg): inner(k.value) for k in node.keywords},
                    body,
                )
        raise InlineError(f"{body.__qualname__}: {ast.unparse(node)!r} is not allowed in a rule")

    def _attribute(self, owner: Any, name: str, body: Callable[..., Any]) -> Any:
        if isinstance(owner, Record):
            if name not in owner:
                raise InlineError(f"{body.__qualname__}: no field {name!r}")
            return owner[name]
        value = getattr(owner, name)
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool):
            return value  # a switch: always a literal, so that its branch is folded
        if isinstance(owner, Constants):
            if isinstance(value, int):
                return value
            return Code(name)
        if isinstance(value, int | float):
            return value
        if inspect.ismodule(owner) or inspect.isfunction(value):
            return value
        raise InlineError(f"{body.__qualname__}: {name!r} is {value!r}, not a number")

    def _operation(self, kind: type, left: Any, right: Any, body: Callable[..., Any]) -> Any:
        if kind not in _OPERATORS:
            raise InlineError(f"{body.__qualname__}: the operator {kind.__name__} is not allowed")
        text = f"{_source(left)} {_OPERATORS[kind]} {_source(right)}"
        if not isinstance(left, Code) and not isinstance(right, Code):
            return eval(text)  # two literals of our own source
        if issubclass(kind, ast.cmpop):
            return self._name(text, Flag)
        if kind in (ast.Add, ast.Sub) and isinstance(left, Flag) and isinstance(right, Flag):
            raise InlineError(
                f"{body.__qualname__}: the sum of two flags is a number in Python and a flag in "
                f"arrays; write where(flag, 1, 0)"
            )
        if kind in _LAZY and isinstance(left, Flag | bool) and isinstance(right, Flag | bool):
            if self.lazy:
                text = f"{_source(left)} {_LAZY[kind]} {_source(right)}"
                text = f"not {_source(left)}" if kind is ast.BitXor and right is True else text
            return self._name(text, Flag)
        return self._name(text)

    def _call(
        self, function: Any, args: list[Any], named: dict[str, Any], body: Callable[..., Any]
    ) -> Any:
        if function is where:
            condition, x, y = args
            if isinstance(condition, bool):
                return x if condition else y
            if _source(x) == _source(y):
                return x
            flags = isinstance(x, Flag | bool) and isinstance(y, Flag | bool)
            text = f"{_source(x)} if {_source(condition)} else {_source(y)}"
            return self._name(text, Flag if flags else Code)
        if function is count_bits and self.lazy:
            return self._name(f"({_source(args[0])} & 4095).bit_count()")
        if function is abs:
            return self._name(f"abs({_source(args[0])})")
        if function in (State, Moment, Observation):
            return Record(named)
        if inspect.isfunction(function) and not named:
            return self.call(function, *args)
        raise InlineError(f"{body.__qualname__}: a call of {function!r} is not allowed")

    def write(self, template: str, *values: Any) -> Code:
        """Return the variable that holds an expression, ``{}`` standing for each value."""
        return self._name(template.format(*map(_source, values)))

    def _name(self, expression: str, kind: type[Code] = Code) -> Code:
        """Return the variable that holds an expression; equal expressions share it."""
        if expression not in self.known:
            variable = f"v{len(self.lines)}_"
            self.known[expression] = variable
            self.lines[variable] = expression
        return kind(self.known[expression])

    def moving(self, inputs: Iterable[str]) -> set[str]:
        """Return these inputs and the variables that depend on them."""
        moving = set(inputs)
        for variable, expression in self.lines.items():
            if not moving.isdisjoint(_NAME.findall(expression)):
                moving.add(variable)
        return moving

    def settled(self, outputs: list[Any], moving: set[str]) -> list[Code]:
        """Return the variables outside `moving` that the outputs, or what they need, read."""
        found: dict[str, None] = {}
        seen: set[str] = set()
        stack = [_source(o) for o in outputs]
        while stack:
            for variable in _VARIABLE.findall(stack.pop()):
                if variable not in moving:
                    found[variable] = None
                elif variable not in seen:
                    seen.add(variable)
                    stack.append(self.lines[variable])
        return [Code(variable) for variable in found]

    def assignments(
        self, outputs: list[Any], given: Sequence[str] = ()
    ) -> tuple[list[str], list[str]]:
        """Return the lines that compute the outputs, and the outputs as source.

        A variable that is used once is written where it is used, so that a choice computes only
        the side that it takes. Variables that are `given` are inputs.
        """
        uses: dict[str, int] = dict.fromkeys(self.lines, 0)
        needed: set[str] = set()
        stack = [_source(o) for o in outputs]
        while stack:
            for variable in _VARIABLE.findall(stack.pop()):
                uses[variable] += 1
                if variable not in needed and variable not in given:
                    needed.add(variable)
                    stack.append(self.lines[variable])
        texts: dict[str, str] = {}
        lines: list[str] = []

        def fill(text: str) -> str:
            return _VARIABLE.sub(lambda m: texts.get(m[0], m[0]), text)

        for variable, expression in self.lines.items():
            if variable not in needed:
                continue
            text = fill(expression)
            if uses[variable] == 1:
                texts[variable] = f"({text})"
            else:
                lines.append(f"{variable} = {text}")
        return lines, [fill(_source(o)) for o in outputs]


_VARIABLE = re.compile(r"\bv\d+_")
_NAME = re.compile(r"\b[a-z]\w*")


def _source(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, bool | int | float):
        return repr(value) if value >= 0 else f"({value!r})"
    raise InlineError(f"{value!r} is not a value that source can hold")


def step_outputs(inliner: Inliner, c: Constants, reward: Reward) -> dict[str, Any]:
    """Inline one step: the new state, the rules' raw values, their weighted sum, and the rest.

    Inputs of the source: the State's fields by name, ``action``, and ``w0``, ``w1``, ... weights.
    """
    state = Record({n: Flag(n) if n in _FLAGS else Code(n) for n in State._fields})
    m = inliner.call(moment, c, state, Code("action"))
    chance = inliner.call(chance_at, state["key"], inliner._name("step + 1"))
    after = inliner.call(advance, c, state, m, chance)
    raw = [inliner.call(rule, m) for rule in reward.rules]
    total: Any = 0.0
    for k, value in enumerate(raw):
        product = inliner._name(f"w{k} * {_source(value)}")
        total = product if k == 0 else inliner._name(f"{total} + {product}")
    return {
        "state": after,
        "event": m["event"],
        "raw": raw,
        "total": total,
        "done": inliner.call(terminal, c, after),
        "observation": inliner.call(observe, c, after),
    }


def reset_outputs(inliner: Inliner, c: Constants) -> dict[str, Any]:
    """Inline the start of an episode. Inputs of the source: key, row, tonic, mode."""
    key = Code("key")
    chance = inliner.call(chance_at, key, 0)
    state = inliner.call(initial, c, key, Code("row"), Code("tonic"), Code("mode"), chance)
    return {"state": state, "observation": inliner.call(observe, c, state)}
