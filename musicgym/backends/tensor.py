"""The tensor backend: the text as it stands, on torch tensors of any device."""

from __future__ import annotations

import warnings
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from musicgym.dynamics import Constants, Episodes, State, advance, episodes, initial, moment
from musicgym.dynamics import terminal as is_over
from musicgym.observation import observe
from musicgym.randomness import chance_at
from musicgym.reward import PolicyTerm, Reward

from .arrays import judge
from .scalar import TABLES, starts

__all__ = ["COLUMNS", "EXECUTIONS", "Execution", "Played", "TensorCore"]

#: How a step may run, from the slowest to the fastest.
EXECUTIONS = ("eager", "compiled", "captured")
#: Kinds of device that can capture graphs.
CAPTURES = ("cuda",)

#: Types of the state's columns: 19 bytes an episode. The key's 32 bits are kept as they are.
COLUMNS = State(
    key=torch.int32, step=torch.int16, row=torch.int32, tonic=torch.uint8, mode=torch.uint8,
    event=torch.uint8, pitch=torch.uint8, ringing=torch.bool, run=torch.uint8, extra=torch.bool,
    weak_extra=torch.bool, median=torch.uint8,
)  # fmt: skip


class Played(NamedTuple):
    """What one step of B episodes gives; every field is a new tensor on the device.

    Attributes:
        state: the state after the step, columns (B,) of the types in `COLUMNS`.
        observation: (B, F) of the state after: uint8, or float32 where it is the flat one.
        reward: float32 (B,) the weighted sum over the rules, and over the policy terms where
            probabilities were given.
        raw: float32 (B, K) raw values; zero for the terms that are not judged here.
        done: bool (B,) whether the episode is over.
        event: uint8 (B,) the event, an invalid one as the rest that it counts as.
    """

    state: State
    observation: Tensor
    reward: Tensor
    raw: Tensor
    done: Tensor
    event: Tensor


class TensorCore:
    """Runs a batch on torch: pure functions of tensors on one device.

    Nothing is read back by the host and no branch depends on data, so any number of steps can be
    compiled or captured together. A finished episode may be stepped (its last step is played
    again); what that gives means nothing. A graph that others captured holds the chord tables of
    that time: capture again where `tables` has changed.
    """

    def __init__(
        self, c: Constants, reward: Reward, sizes: dict[str, int], flat: bool, device: str = "cpu"
    ) -> None:
        """Keep what fixes the run; `sizes` are the parts of the observation."""
        self.rules, self.others = reward.rules, reward.others
        self.parts, self.flat = tuple(sizes), flat
        self.device = torch.device(device)
        self.width = sum(sizes.values())
        self._starts = self._tensor(starts(sizes))
        self.c = c
        self.tables = 0  # rows of chords that the tables on the device have room for
        self.use(c)

    @torch.inference_mode(False)  # tables that grow in place, in or out of that mode
    def use(self, c: Constants) -> None:
        """Take constants with longer chord tables.

        They have room to grow, so that a new row seldom changes the graph of a step.
        """
        rows = len(c.roots) // c.spans
        columns = {name: self._tensor(getattr(c, name)) for name in TABLES}
        if rows <= self.tables:
            for name, column in columns.items():
                getattr(self.c, name)[: len(column)] = column
            return
        self.tables = 2 * rows + 14
        room = (0, self.tables * c.spans - len(c.roots))
        padded = {name: torch.nn.functional.pad(column, room) for name, column in columns.items()}
        self.c = Constants(**{**c._asdict(), **padded})

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=torch.int64).to(self.device)

    def reset(self, key: Tensor, row: Any, tonic: Any, mode: Any) -> tuple[State, Tensor]:
        """Start an episode for each key (B,) and return states and observations.

        A row, tonic or mode is int64 (B,) or one integer for all; below 0 it is drawn from the key.
        """
        state = narrow(initial(self.c, key, row, tonic, mode, chance_at(key, 0)))
        return state, self.observe(state)

    def observe(self, state: State) -> Tensor:
        """Return the observation (B, F) of states: uint8, or float32 where it is the flat one."""
        return self._observe(wide(state), len(state.key))

    def step(
        self, state: State, actions: Tensor, weights: Tensor, probabilities: Tensor | None = None
    ) -> Played:
        """Play one step in each episode.

        Args:
            state: columns (B,).
            actions: integers (B,).
            weights: float64 (K,) or (B, K).
            probabilities: (B, A) of the policy, for the policy terms to judge, or None.
        """
        c, size = self.c, len(actions)
        s = wide(state)
        s = s._replace(step=s.step.clamp(max=c.steps - 1))
        m = moment(c, s, actions.to(torch.int64))
        values: list[Any] = [judge(rule, m) for rule in self.rules]
        values += [0.0] * len(self.others)
        paid = list(range(len(self.rules)))
        if probabilities is not None:
            for place, term in self.others:
                if isinstance(term, PolicyTerm):
                    values[place] = term.judge(probabilities.detach().double())
                    paid.append(place)
        values = [self._column(value, size) for value in values]
        total = self._column(0.0, size)
        for n, k in enumerate(paid):
            part = weights[..., k] * values[k]
            total = part if n == 0 else total + part
        after = advance(c, s, m, chance_at(s.key, s.step + 1))
        return Played(
            state=narrow(after),
            observation=self._observe(after, size),
            reward=total.float(),
            raw=torch.stack([v.float() for v in values] or [total.float()]).T[:, : len(values)],
            done=is_over(c, after),
            event=m.event.to(torch.uint8),
        )

    def _column(self, value: Any, size: int) -> Tensor:
        if isinstance(value, Tensor):
            return value.double().expand(size)
        return torch.full((size,), float(value), dtype=torch.float64, device=self.device)

    def _observe(self, state: State, size: int) -> Tensor:
        seen = observe(self.c, state)
        parts = [getattr(seen, part) for part in self.parts]
        if not self.flat:
            return torch.stack([part.to(torch.uint8) for part in parts], 1)  # (B, F)
        ones = torch.stack(parts, 1) + self._starts  # (B, parts)
        blank = torch.zeros((size, self.width), dtype=torch.float32, device=self.device)
        return blank.scatter_(1, ones, 1.0)

    def masks(self, state: State) -> Tensor:
        """Return the masks of valid events: int8 (B, A), 1 = valid."""
        size = (len(state.ringing), self.c.n_events)
        masks = torch.ones(size, dtype=torch.int8, device=self.device)
        masks[:, 0] = state.ringing
        return masks

    def episodes(self, state: State) -> Episodes:
        """Return what is fixed in the episodes, int64 on the device."""
        return episodes(self.c, wide(state), torch.arange(self.c.steps, device=self.device))


class Execution:
    """Runs the steps of a core: eager, compiled, or captured in a CUDA graph.

    What cannot be had gives way to the slower one with a warning that says why. A step that is
    captured keeps the state it returns in the graph's own buffers: the next call changes it.
    """

    def __init__(self, core: TensorCore, how: str) -> None:
        """Take one of `EXECUTIONS`; nothing is compiled before the first step."""
        self.core, self.how = core, how
        self._compiled: Any = None
        self._made: dict[Any, Any] = {}
        if how == "captured" and core.device.type not in CAPTURES:
            self._give_way(f"{core.device} has no CUDA graphs")

    def _give_way(self, reason: object) -> None:
        slower = EXECUTIONS[EXECUTIONS.index(self.how) - 1]
        text = " ".join(str(reason).split())[:300]
        warnings.warn(f"a step runs {slower}, not {self.how}: {text}", stacklevel=3)
        self.how, self._made = slower, {}

    def step(
        self, state: State, actions: Tensor, weights: Tensor, probabilities: Tensor | None = None
    ) -> Played:
        """Play one step (see `TensorCore.step`)."""
        return self._run(False, state, actions, weights, probabilities)

    def steps(self, state: State, actions: Tensor, weights: Tensor) -> Played:
        """Play t steps; captured they are one CUDA graph.

        Args:
            state: columns (B,).
            actions: integers (t, B), t at least 1.
            weights: float64 (K,) or (B, K).

        Returns:
            The last state; the other fields are stacked over the steps: (t, B, ...).
        """
        return self._run(True, state, actions, weights)

    @torch.no_grad()
    def _run(self, many: bool, state: State, *given: Tensor | None) -> Played:
        """Run one step or many as they were made for such inputs; make that first."""
        # Other strides would be another graph.
        given = tuple(x if x is None else x.contiguous() for x in given)
        kind = (many, self.core.tables, *(x is not None and (x.shape, x.dtype) for x in given))
        while kind not in self._made:
            try:
                made = self._make(many, state, given)
                made(state, *given)
                self._made[kind] = made
            except Exception as error:  # whatever a compiler, a driver or a rule raises
                if self.how == "eager":
                    raise
                self._give_way(error)
        return self._made[kind](state, *given)  # type: ignore[no-any-return]

    def _make(self, many: bool, state: State, given: Any) -> Any:
        step: Any = self.core.step
        if self.how != "eager":
            if self._compiled is None or self._compiled[0] != self.core.tables:
                self._compiled = self.core.tables, _compiled(self.core)
            step = self._compiled[1]
        run = partial(_unrolled, step) if many else step
        if self.how != "captured":
            return run
        run(state, *given)  # what it compiles is compiled before the capture
        return _Graph(run, state, given)


def _compiled(core: TensorCore) -> Any:
    """Return the step as one graph, with code of its own: torch limits compilations of one code."""

    def step(*given: Any) -> Played:
        return core.step(*given)

    own = FunctionType(step.__code__.replace(), globals(), closure=step.__closure__)
    return torch.compile(own, fullgraph=True, dynamic=False)


def _unrolled(step: Any, state: State, actions: Tensor, weights: Tensor) -> Played:
    """Play the steps of actions (t, B) one after the other."""
    told = []
    for events in actions.unbind(0):
        played = step(state, events, weights)
        state = played.state
        told.append(played[1:])
    return Played(state, *(torch.stack(parts) for parts in zip(*told, strict=True)))


class _Graph:
    """What is captured in a CUDA graph, which holds the state from one replay to the next."""

    @torch.inference_mode(False)  # buffers that are written in or out of that mode
    def __init__(self, run: Any, state: State, given: tuple[Tensor | None, ...]) -> None:
        self.run, self.device = run, state.key.device
        self.state = State(*(column.clone() for column in state))
        self.given = [x if x is None else x.clone() for x in given]
        self.out = self._capture()

    def _capture(self) -> Played:
        with torch.cuda.device(self.device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(2):  # what runs first may allocate or load, which no graph may
                    self.run(self.state, *self.given)
            torch.cuda.current_stream().wait_stream(side)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                return self._play()

    def _play(self) -> Played:
        """Play from the graph's own buffers into them."""
        out: Played = self.run(self.state, *self.given)
        for held, new in zip(self.state, out.state, strict=True):
            held.copy_(new)
        return out

    def _replay(self) -> None:
        with torch.cuda.device(self.device):
            self.graph.replay()

    def __call__(self, state: State, *given: Tensor | None) -> Played:
        for held, new in zip((*self.state, *self.given), (*state, *given), strict=True):
            if held is not None and new is not None and held is not new:
                held.copy_(new)
        self._replay()
        return Played(self.state, *(part.clone() for part in self.out[1:]))


def wide(state: State) -> State:
    """Return a state's columns as int64, so that arithmetic is exact; bools stay."""
    columns = [c if c.dtype == torch.bool else c.to(torch.int64) for c in state]
    wide = State(*columns)
    return wide._replace(key=wide.key & 0xFFFFFFFF)


def narrow(state: State) -> State:
    """Return a state's columns in the types of `COLUMNS`; a number is made a column."""
    key, columns = state.key, []
    for column, dtype in zip(state, COLUMNS, strict=True):
        if isinstance(column, Tensor):
            columns.append(column.to(dtype).expand(key.shape).contiguous())
        else:
            columns.append(torch.full(key.shape, column, dtype=dtype, device=key.device))
    return State(*columns)
