"""What planners share: the states that matter, and what each event pays and leads to.

Nothing musical is known here. `moment`, `advance` and the rules run on a grid that has an axis for
the events and one for each column of `State` that the reward depends on. What it depends on is read
from their text, and so is what an episode's chords change: places that look the same share a table.
The median tone moves by itself, so it is a Markov chain of its own: the draws to come enter as an
expectation over it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.backends.arrays import judge, rows
from musicgym.dynamics import Constants, Episodes, State, advance, moment
from musicgym.observation import observe
from musicgym.randomness import chance_at
from musicgym.replay import after, begin
from musicgym.reward import Reward, Rule, SequenceTerm
from musicgym.task import Task
from musicgym.theory import closest

from .dependence import axes, depend

__all__ = ["Model", "NotFiniteMemory", "Table", "model_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
#: Shapes are written with B episodes, E events, S states and X figures of a state.
Backup = Callable[["Table", Floats, int], Floats]

NEVER = -1e100  # what an event pays that is no event here
DRAWS = np.arange(12)  # every size of a chord divides 12, so these stand for all draws
KEPT_BYTES = 300_000_000
LARGE_GRID = 4096  # states of a grid above which it pays to find those that can be reached


class NotFiniteMemory(ValueError):
    """A term sees more of the melody than any finite state; the message names it."""


class Table(NamedTuple):
    """What follows from each event in each state of a place.

    Attributes:
        reward: (R, E, S) for each of R mixes of rules; NEVER where an event counts as another one.
        to: (E, S) the place of the state after, the median tone as it was.
    """

    reward: Floats
    to: Ints


class Model:
    """Episodes from given states to their end, under mixes of rules.

    Equal episodes are planned once; `which` (B,) says which of the U distinct ones each is.
    """

    def __init__(
        self,
        c: Constants,
        state: State,
        rules: Sequence[Rule],
        mixes: npt.ArrayLike,
        read: Sequence[str] = (),
        known: bool = False,
    ) -> None:
        """Find the states.

        Args:
            c: constants, with a row of chords an episode (see `musicgym.replay.begin`).
            state: columns (B,), all at one step: where the episodes stand.
            rules: K of them.
            mixes: weights (R, K); rules that no mix weighs are left out.
            read: further columns of State to tell apart.
            known: the draws to come are those of the episodes' keys, and known; else they are
                taken in expectation.
        """
        weights = np.asarray(mixes, np.float64)
        used = np.flatnonzero(weights.any(axis=0)).tolist()
        self.c, self.weights, self.rules = c, weights[:, used], [rules[k] for k in used]
        parts = [np.reshape(a, (len(state.row), -1)) for a in (*state[1:2], *state[3:])]
        chords = np.stack([c.roots, c.codes, c.masks]).reshape(3, -1, c.spans)[:, state.row]
        draws = [state.key[:, None]] if known else []
        same = np.concatenate([*parts, *chords, *draws], axis=1)
        _, first, self.which = np.unique(same, axis=0, return_index=True, return_inverse=True)
        self.which = self.which.reshape(-1)
        self.state = rows(state, first)
        self.size, self.start = len(first), int(self.state.step[0])
        needs = depend(c, self.rules, {"ringing", *read})
        self.place = needs.place
        self.axes = {n: values for n, values in axes(c).items() if n in needs.columns}
        self.shape = tuple(map(len, self.axes.values()))
        #: the places of the grid that are told apart, and the number of each place among them
        self.kept: Any = slice(None)
        self.number = np.arange(int(np.prod(self.shape)))
        if self.number.size > LARGE_GRID:
            self.kept = self._reachable()
            self.number[self.kept] = np.arange(len(self.kept))
        self.states = len(self.number[self.kept])
        self._find_medians("median" in needs.columns, known)
        self._tables: OrderedDict[Any, Table] = OrderedDict()

    def _find_medians(self, needed: bool, known: bool) -> None:
        """Find the median tones that can be reached at each step, and how they follow."""
        c, size = self.c, self.size
        #: a step, an episode -> the median tones that can be; (steps + 1, U)
        self.medians: list[list[tuple[int, ...]]] = []
        #: a step -> chances (U, M, M') of the next median tone, None where it is not needed
        self.drift: list[Floats | None] = []
        steps = range(self.start, c.steps)
        if not needed:
            self.medians = [[(0,)] * size] * (len(steps) + 1)
            self.drift = [None] * len(steps)
            return
        around = np.arange(size)[:, None, None]
        can = np.zeros((size, 128), np.bool_)
        can[np.arange(size), self.state.median] = True
        self.medians.append([tuple(np.flatnonzero(row).tolist()) for row in can])
        for t in steps:
            most = int(can.sum(1).max())
            # those that can first: (U, M)
            tones = np.argsort(~can, axis=1, kind="stable")[:, :most]
            some = np.take_along_axis(can, tones, axis=1)
            tones = np.where(some, tones, tones[:, :1])
            now = State(*(column[:, None, None] for column in self.state))
            now = now._replace(step=np.full((1, 1, 1), t), median=tones[:, :, None])
            chance = chance_at(now.key, now.step + 1) if known else DRAWS[None, None]
            after = advance(c, now, moment(c, now, np.ones((1, 1, 1), np.int64)), chance)
            tones = np.broadcast_to(after.median, (size, most, chance.shape[-1]))
            can = np.zeros((size, 128), np.bool_)
            can[around, tones] = True
            rank = can.cumsum(1) - 1  # (U, 128)
            drift = np.zeros((size, most, int(can.sum(1).max())))
            np.add.at(drift, (around, np.arange(most)[:, None], rank[around, tones]), 1)
            self.drift.append(drift / chance.shape[-1])
            self.medians.append([tuple(np.flatnonzero(row).tolist()) for row in can])

    def _reachable(self) -> Ints:
        """Return the places of the grid that events lead to from where the episodes stand."""
        one = {}  # a step and an episode of each distinct place
        for u in range(self.size):
            fixed = (int(getattr(self.state, name)[u]) for name in ("row", "tonic", "mode"))
            row, tonic, mode = fixed
            for t in range(self.start, self.c.steps):
                one[self.place(t, row, tonic, mode)] = t, u
        met = np.zeros(self.number.size, np.bool_)
        met[self._places(self.state)] = True
        new = np.flatnonzero(met)
        while len(new):
            places = np.unravel_index(new, self.shape)
            columns = {n: v[i] for (n, v), i in zip(self.axes.items(), places, strict=True)}
            after = np.zeros_like(met)
            for t, u in one.values():
                after[self.follow(t, np.array(u), columns, 1)[1]] = True
            new = np.flatnonzero(after & ~met)
            met |= after
        return np.flatnonzero(met)

    @property
    def drawn(self) -> npt.NDArray[np.bool_]:
        """Whether draws to come matter in each distinct episode (U,)."""
        never = np.zeros(self.size, np.bool_)
        for drift in self.drift:
            never = never if drift is None else never | ((drift > 0) & (drift < 1)).any((1, 2))
        return never

    def table(self, t: int, u: int) -> Table:
        """Return what follows from each event at a step of a distinct episode."""
        s, tones = self.state, self.medians[t - self.start][u]
        here = (*self.place(t, int(s.row[u]), int(s.tonic[u]), int(s.mode[u])), tones)
        if here in self._tables:
            self._tables.move_to_end(here)
            return self._tables[here]
        grid = (len(tones), *self.shape)
        columns = {"median": np.array(tones), **self.axes}
        apart = {
            name: np.expand_dims(values, tuple(j for j in range(len(grid) + 1) if j != i + 1))
            for i, (name, values) in enumerate(columns.items())
        }  # each on an axis of its own
        reward, to = self.follow(t, np.array(u), apart, len(grid))
        whole, flat = (self.c.n_events, *grid), (self.c.n_events, len(tones), -1)
        shape = len(reward), *flat
        reward = np.broadcast_to(reward, (len(reward), *whole)).reshape(shape)[..., self.kept]
        to = self.number[np.broadcast_to(to, whole).reshape(flat)[..., self.kept]]
        to += np.arange(len(tones))[:, None] * self.states
        table = Table(reward.reshape(*reward.shape[:2], -1), to.reshape(len(to), -1))
        self._tables[here] = table
        if len(self._tables) * (table.reward.nbytes + table.to.nbytes) > KEPT_BYTES:
            self._tables.popitem(last=False)
        return table

    def follow(
        self, t: int, u: Ints, columns: Mapping[str, Any], n_axes: int
    ) -> tuple[Floats, Ints]:
        """Run the text: return rewards (R, E, ...) and the grid's places (E, ...) after.

        Args:
            t: the step.
            u: distinct episodes.
            columns: of State, each with an axis of length 1 for the events in front.
            n_axes: how many axes the columns have beside that of the events.
        """
        c, zero = self.c, np.zeros_like(u)
        events = np.arange(c.n_events).reshape(-1, *[1] * n_axes)
        fixed = {name: getattr(self.state, name)[u] for name in ("key", "row", "tonic", "mode")}
        flags = {n: zero.astype(v.dtype) for n, v in axes(c).items()}
        given = {"median": zero, **flags, **fixed, "step": zero + t, **columns}
        state = State(**given)
        with np.errstate(all="ignore"):  # on states of the grid that never occur
            m = moment(c, state, events)
            raw = [np.asarray(judge(rule, m), np.float64) for rule in self.rules]
            after = advance(c, state, m, zero)
        valid = m.event == events  # an event that counts as another one is none of its own
        paid = []
        for mix in self.weights:
            total = np.zeros(())
            for weight, value in zip(mix, raw, strict=True):
                if weight:
                    total = total + weight * value
            paid.append(np.where(valid, total, NEVER))
        to: Any = np.zeros((1,) * (n_axes + 1), np.intp)
        for name, values in self.axes.items():
            place = np.zeros(int(values[-1]) + 1, np.intp)
            place[values.astype(np.intp)] = np.arange(len(values))
            to = to * len(values) + place[np.asarray(getattr(after, name)).astype(np.intp)]
        return np.stack(np.broadcast_arrays(*paid)), to

    def ahead(self, t: int, u: int, values: Floats) -> Floats:
        """Return the mean over the draw after a step: (X, S') of the states after it to (X, S)."""
        drift = self.drift[t - self.start]
        if drift is None:
            return values
        before, after = (len(self.medians[i - self.start][u]) for i in (t, t + 1))
        mean = drift[u, :before, :after] @ values.reshape(len(values), after, -1)
        return mean.reshape(len(values), -1)

    def sweep(
        self,
        end: npt.ArrayLike,
        backup: Backup,
        keep: Callable[[int, int, Floats], None] = lambda t, u, ahead: None,
        report: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> Floats:
        """Work back from the end; return the figures (B, X) of the states where episodes stand.

        Args:
            end: (X,) figures of every state at the end.
            backup: (table, figures (X, S) of what comes after, step) -> figures (X, S).
            keep: hears the step, the episode and the figures of what comes after.
            report: hears ``{"steps": done}`` after each step, from 1 to the steps that are left.

        Raises:
            ValueError: a rule pays no finite number, or does not run on arrays.
        """
        last = np.asarray(end, np.float64)[:, None]
        values = [np.repeat(last, len(m) * self.states, axis=1) for m in self.medians[-1]]
        for t in reversed(range(self.start, self.c.steps)):
            for u in range(self.size):
                ahead = self.ahead(t, u, values[u])
                keep(t, u, ahead)
                values[u] = backup(self.table(t, u), ahead, t)
            report({"steps": self.c.steps - t})
        at = self.number[self._places(self.state)]
        found = np.stack([v[:, i] for v, i in zip(values, at, strict=True)])
        if not np.isfinite(found).all():
            raise ValueError("rewards: a rule pays what is no finite number.")
        return found[self.which]

    def observed(self, t: int) -> npt.NDArray[np.uint8]:
        """Return the compact observations (S', F) of the states at a step, for any one median."""
        grid = np.meshgrid(*self.axes.values(), indexing="ij")
        columns = {n: values.ravel()[self.kept] for n, values in zip(self.axes, grid, strict=True)}
        blank = rows(self.state, np.zeros(self.states, np.intp))
        state = blank._replace(step=np.full(self.states, t), **columns)
        return np.stack(observe(self.c, state), axis=-1).astype(np.uint8)

    def _places(self, state: State) -> Ints:
        """Return the places of states (N,) on the grid, without the median."""
        place = np.zeros(len(state.row), np.intp)
        for name, values in self.axes.items():
            place = place * len(values) + np.searchsorted(values, getattr(state, name))
        return place

    def seen(self, parts: Mapping[str, Any], t: int, which: Ints) -> tuple[Floats, Ints]:
        """Return rewards (R, E, B) and places (E, B) of the states after, from observations.

        Args:
            parts: the parts of the compact observation, int64 (B,) each.
            t: the step.
            which: distinct episodes (B,).
        """
        c, blank = self.c, rows(self.state, np.zeros(1, np.intp))
        tones = np.array([0, *range(c.window, c.window + 12)])
        columns = {}
        for name, values in {"median": tones, **self.axes}.items():
            code = getattr(observe(c, blank._replace(**{name: values})), name)
            decode = np.zeros(int(code.max()) + 1, values.dtype)
            decode[code] = values
            columns[name] = decode[parts[name]]
        tone = [
            self.medians[t - self.start][u].index(median) if self.drift[0] is not None else 0
            for u, median in zip(which.tolist(), columns["median"].tolist(), strict=True)
        ]
        reward, to = self.follow(t, which, columns, 1)
        return reward, self.number[to] + np.array(tone, np.intp) * self.states


def weights_of(
    reward: Reward, weights: Mapping[str, float] | npt.ArrayLike | None
) -> npt.NDArray[np.float64]:
    """Return the weights (K,) of the terms, with those that are given.

    Raises:
        ValueError: a name is unknown, there are too many or few, or one is no finite number.
    """
    given = reward.weights.copy()
    if isinstance(weights, Mapping):
        for name, weight in weights.items():
            if name not in reward.names:
                raise ValueError(
                    f"weights: {name!r} is not a term of the reward{closest(name, reward.names)}; "
                    f"its terms are {', '.join(reward.names)}."
                )
            given[reward.names.index(name)] = weight
    elif weights is not None:
        given = np.asarray(weights, np.float64)
    if given.shape != (len(reward.names),) or not np.isfinite(given).all():
        raise ValueError(f"weights: {weights!r} are not {len(reward.names)} finite numbers.")
    return given


def model_of(
    task: Task,
    reward: Reward,
    episodes: Episodes,
    weights: Mapping[str, float] | npt.ArrayLike | None = None,
    steps_per_chord: int | None = None,
    opening: npt.NDArray[np.int64] | None = None,
    **more: Any,
) -> Model:
    """Return the model of episodes under a reward, from their start or an opening's (B, t) end.

    Raises:
        NotFiniteMemory: a sequence term has a weight.
        ValueError: the weights do not fit the reward.
    """
    given = weights_of(reward, weights)
    for term, weight in zip(reward.terms, given, strict=True):
        if weight and isinstance(term.pays, SequenceTerm):
            raise NotFiniteMemory(
                f"{term.name}: it judges the whole melody so far, so there is no exact optimum; "
                f"give it the weight 0 to plan for the other terms."
            )
    # A chord a step is the same episode, whatever its chords' length.
    c, state = begin(episodes, task, reward.readings, steps_per_chord or 1)
    if opening is not None:
        state = after(c, state, opening)
    return Model(c, state, reward.rules, [given[: len(reward.rules)]], **more)
