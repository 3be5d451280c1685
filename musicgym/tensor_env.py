"""MelodyComposeTensorEnv: many melodies at once on one device, as torch tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from .backends.batch import COLUMNS, Batch
from .backends.tensor import EXECUTIONS, Execution, Played, TensorCore
from .dynamics import Episodes, State
from .env import check_probabilities, check_word
from .options import Options, read_options
from .randomness import draw, first_key, next_key
from .reward import PolicyTerm, SequenceTerm
from .vector_env import MelodyComposeVectorEnv

__all__ = ["Begun", "MelodyComposeTensorEnv"]


class Begun(NamedTuple):
    """What `TensorCore.step` takes at the start of episodes (see `MelodyComposeTensorEnv.begin`).

    Attributes:
        state: columns (B,) of the types in `backends.tensor.COLUMNS`.
        observation: as the environment observes: uint8 (B, F), or float32 where it is flat.
        weights: float64 (K,) or (B, K).
    """

    state: State
    observation: Tensor
    weights: Tensor


class Some(NamedTuple):
    """Some of the environments: a mask (B,) on the device, and what the host knows of it."""

    mask: Tensor
    any: bool
    all: bool


class MelodyComposeTensorEnv(MelodyComposeVectorEnv):
    """The vector environment on torch: ``gym.make_vec(..., backend="tensor", device="cuda")``.

    Arguments, spaces, infos and their order in time are those of `MelodyComposeVectorEnv`, and so
    are the melodies: environment i is the single one with seed + i. All that `step` takes and
    gives is a tensor on the device, made anew each step: actions integers (B,); observations as
    the space says; rewards float32 (B,); terminated and truncated bool (B,); ``action_mask`` int8
    (B, A); ``reward_terms`` views (B,) of one float32 (B, K), which is also `raw`; ``melody`` uint8
    (B, T). With ``"SameStep"`` ``final_obs`` is a tensor (B, ...) (for ``"dict"`` one a part), not
    an array of objects: its rows count where ``_final_obs`` holds.

    **The host is never waited for** inside `step`: episodes have a fixed length, so the host knows
    by itself which are finished. Actions from the host (NumPy, lists) are taken and cost one copy,
    as does a ``reset_mask`` that is a tensor. Terms get tensors: `PolicyTerm.judge` float64
    (B, A), `SequenceTerm.begin` and `pay` bool and int64 (B,). The values of probabilities given as
    tensors are not checked. The spaces describe arrays: ``contains`` of a tensor is False, and
    Gymnasium's wrappers that compute with NumPy do not work on tensors.

    **Memory**: an environment keeps 19 bytes of state, 8 of its key, T of events, 4 K of raw values
    and its last observation (15 bytes where it is compact): 138 at T = 64 steps and K = 8 terms.
    What a step gives, and while it runs what it works with, comes on top.

    **Whole rollouts without the environment**: `core` is a `TensorCore`, whose `step` is a pure
    function that can be compiled or captured together with a policy::

        state, observation, weights = envs.begin(seed=1)
        for t in range(envs.task.steps):
            actions, probabilities = ...                        # (B,), (B, A) or None
            played = envs.core.step(state, actions, weights, probabilities)
            ...                                                 # keep played.event, .reward, .raw
            state, observation = played.state, played.observation
        rewards, raw = envs.put(state, observation, events, rewards, raw)  # (t, B), (t, B, K)

    `put` takes the environments to where that rollout ended, so that `melodies`, `episodes`,
    `played` and `get_state` tell of it, and adds what sequence terms pay and `reward_timing`.

    Args:
        num_envs: number of environments (B).
        backend: ``"tensor"``.
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        execution: how a step runs: ``"eager"`` (operation by operation), ``"compiled"`` (one
            graph by torch.compile; the first step takes some seconds), ``"captured"`` (that graph
            in a CUDA graph). What cannot be had falls back to the one before, with a warning.
            Default: compiled on CUDA, eager on the CPU, where ``backend="compiled"`` is faster.
        arguments: those of `MelodyComposeVectorEnv`.

    >>> import gymnasium as gym
    >>> envs = gym.make_vec("MelodyCompose-v0", num_envs=3, bars=4, backend="tensor")
    >>> observations, infos = envs.reset(seed=1)
    >>> observations, rewards, *_ = envs.step(torch.tensor([26, 1, 30]))
    >>> rewards
    tensor([0.9000, 0.0000, 0.7000])
    """

    weights: npt.NDArray[np.float64]  # on the host, (K,) or (B, K)
    _keys: Any  # int64 (B,), or None before the first reset
    _owed: Any  # float64 (B,), empty where rewards are paid at once
    _last: Any  # the last observation
    _probabilities: Any
    #: Raw values float32 (B, K) of the terms at the last step.
    raw: Any

    def __init__(
        self,
        num_envs: int = 1,
        backend: str = "tensor",
        device: str = "cpu",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        execution: str | None = None,
        **arguments: Any,
    ) -> None:
        """Check the arguments and build the environments."""
        check_word("backend", backend, ("tensor",))
        check_word("execution", execution, (None, *EXECUTIONS))
        self._asked = execution
        super().__init__(num_envs, backend, device, autoreset_mode, **arguments)

    def _check_device(self, device: str) -> None:
        if not re.fullmatch(r"cpu|cuda(:\d+)?", str(device)):
            raise ValueError(f"device: {device!r} is not one of cpu, cuda, cuda:N.")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if device != "cpu" and int(device.partition(":")[2] or 0) >= count:
            raise ValueError(
                f"device: {device!r} given, but torch sees {count} CUDA devices here; 'cpu' is "
                f"allowed{''.join(f', cuda:{n}' for n in range(count))}."
            )

    @torch.inference_mode(False)  # what is changed in place must be writable outside it too
    def _allocate(self) -> None:
        size = self.num_envs
        self._keys = None
        self._state: State | None = None
        self._events = torch.zeros((self.task.steps, size), dtype=torch.uint8, device=self.device)
        owing = size if self.reward_timing != "dense" else 0
        self._owed = torch.zeros(owing, dtype=torch.float64, device=self.device)
        self._all = np.ones(size, np.bool_)
        self._probabilities = None
        # Steps composed: one number while all environments move together, else one each.
        self._clock: int | npt.NDArray[np.int64] = 0
        self.raw = self._zeros(size, len(self.reward.names))
        self._plain = read_options(None, self.task)

    def _new_core(self) -> TensorCore:
        arguments = (self.constants, self.reward, self.parts, self.observation == "flat")
        core = TensorCore(*arguments, self.device)
        default = "compiled" if core.device.type == "cuda" else "eager"
        self._execute = Execution(core, self._asked or default)
        self._device_weights = self._weights_on_device()
        self._judged = any(isinstance(term, PolicyTerm) for _, term in self._others)
        return core

    @property
    def core(self) -> TensorCore:
        """The pure functions of these environments."""
        return self._core  # type: ignore[no-any-return]

    @property
    def execution(self) -> str:
        """How steps run: what was asked for, or what it fell back to."""
        return self._execute.how

    @property
    def stepper(self) -> Callable[..., Played]:
        """`core.step` as it runs here: eager, compiled or captured."""
        return self._execute.step

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is built again."""
        return {k: v for k, v in super().__getstate__().items() if k != "_execute"}

    def _weights_on_device(self) -> Tensor:
        return torch.as_tensor(self.weights, dtype=torch.float64).to(self.device)

    # --- Starting ------------------------------------------------------------------------------

    def reset(
        self, *, seed: Any = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes: all, or those of ``options["reset_mask"]`` (B,), bools of any kind.

        Raises:
            ValueError, TypeError: an option is unknown or out of its range.
        """
        return super().reset(seed=seed, options=on_host(options))

    def begin(self, seed: Any = None, options: Mapping[str, Any] | None = None) -> Begun:
        """Reset all environments and return what `core.step` takes; `put` brings it back."""
        self.reset(seed=seed, options=options)
        assert self._state is not None
        return Begun(copied(self._state), self._last, self._device_weights)

    def _new_keys(self, seed: Any, which: npt.NDArray[np.bool_]) -> Any:
        if isinstance(seed, int | np.integer):  # on the device: thousands of seeds cost nothing
            first = (int(seed) + 2**63) % 2**64 - 2**63
            keys = first_key(torch.arange(self.num_envs, device=self.device) + first)
        elif seed is None and self._keys is not None:
            keys = next_key(self._keys)
        else:
            before, self._keys = self._keys, None if self._keys is None else host(self._keys)
            try:
                keys = torch.from_numpy(super()._new_keys(seed, which)).to(self.device)
            finally:
                self._keys = before
        if self._keys is None or which.all():
            return keys
        return torch.where(torch.from_numpy(which).to(self.device), keys, self._keys)

    def _begin(self, which: npt.NDArray[np.bool_], given: Options) -> Any:
        self._device_weights = self._weights_on_device()
        every = bool(which.all())
        some = Some(torch.from_numpy(which).to(self.device), True, every)
        self._set_clock(which, 0)
        if not every:  # the others are seen as they stand: the last observation is the user's
            assert self._state is not None
            self._last = self.core.observe(self._state)
        self._start_on_device(some, given)
        if given.events is not None:
            opening = torch.from_numpy(given.events).to(self.device)
            for heard, column in enumerate(opening.expand(self.num_envs, -1).unbind(1)):
                assert self._state is not None
                state, place = copied(self._state), self._place()
                played = self._execute.step(self._state, column, self._device_weights, None)
                self._keep(played.event, place, some.mask)
                self._state = chosen(some.mask, played.state, state)
                self._last = chosen(some.mask, played.observation, self._last)
                self._hear(played.event, some.mask)
                self._set_clock(which, heard + 1)
        return self._last

    def _set_clock(self, which: npt.NDArray[np.bool_], steps: int) -> None:
        """Note that the environments of the mask have composed so many steps."""
        self._clock = together(np.where(which, steps, self._clock))

    def _start_on_device(self, some: Some, given: Options) -> None:
        """Start the episodes of the mask with their keys."""
        keys = self._keys
        assert keys is not None
        row: Any = -1
        if given.chords:
            rows = {mode: self._row(chords) for mode, chords in given.chords.items()}
            row = rows.get(given.mode)
            if given.mode < 0:
                row = torch.where(draw(keys, 2) % 2 == 1, rows[1], rows[0])
        state, observation = self.core.reset(keys, row, given.tonic, given.mode)
        if not some.all:
            assert self._state is not None
            state = chosen(some.mask, state, self._state)
            observation = chosen(some.mask, observation, self._last)
        self._state, self._last = state, observation
        if self.reward_timing != "dense":
            self._owed = self._owed.masked_fill(some.mask, 0.0)
        if self._sequence:
            told = self.episodes()
            for _, term in self._others:
                if isinstance(term, SequenceTerm):
                    term.begin(told, some.mask)

    def _restart(self, some: Some) -> None:  # type: ignore[override]
        """Start the next episode where the mask holds."""
        assert self._keys is not None
        self._keys = torch.where(some.mask, next_key(self._keys), self._keys)
        self._start_on_device(some, self._plain)

    # --- Playing -------------------------------------------------------------------------------

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Play one event in each environment.

        In the mode ``NextStep`` an environment whose melody is finished starts the next one
        instead, with reward 0 and no reward terms.

        Raises:
            ValueError: the actions are not (B,) integers.
            gymnasium.error.ResetNeeded: an episode was never begun, or is finished and autoreset is
                disabled.
        """
        self._check_begun()
        assert self._state is not None
        actions = self._on_device(actions, self.num_envs)
        clock, end = self._clock, self.task.steps
        over = np.asarray(clock) == end
        self._check_unfinished(bool(over.any()))
        size = self.num_envs
        if over.all():  # all start again
            finished, active = self._every(), self._none()
            reward, self.raw = self._zeros(size), self._zeros(size, len(self._names))
            done = finished.mask ^ True
            self._probabilities = None
            self._restart(finished)
            self._clock = 0
        else:
            playing = self._state.step < end if over.any() else None
            reward, done = self._play(actions, playing)
            active = self._every()
            if playing is not None:  # the others played, these start again
                active = Some(playing, True, False)
                self._restart(Some(playing ^ True, True, False))
            self._clock = clock + 1 if playing is None else together(np.where(over, 0, clock + 1))
        now = np.asarray(self._clock) == end
        ended = Some(done, bool(now.any()), bool(now.all()))
        infos = self._gather(self.raw, active, ended)
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any:
            infos = self._same_step_on_device(ended)
            self._clock = together(np.where(now, 0, self._clock))
        truncated = torch.zeros(size, dtype=torch.bool, device=self.device)
        return self._shaped(self._last), reward, done, truncated, infos

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float32, device=self.device)

    def _on_device(self, actions: Any, *shape: int) -> Tensor:
        given = actions if isinstance(actions, Tensor) else np.asarray(actions)
        whole = (
            not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
            if isinstance(given, Tensor)
            else given.dtype.kind in "iu"
        )
        if not whole or tuple(given.shape) != shape:
            raise ValueError(f"actions: {given.dtype} {tuple(given.shape)} given, integers "
                             f"{shape} expected.")  # fmt: skip
        if not isinstance(given, Tensor):
            given = torch.from_numpy(given.astype(np.int64))
        return given.to(self.device)

    def _play(self, actions: Tensor, playing: Tensor | None) -> tuple[Tensor, Tensor]:
        """Play one step where the mask holds, or everywhere; return reward and done (B,)."""
        assert self._state is not None
        probabilities = self._probabilities if self._judged else None
        self._probabilities = None
        place = self._place()  # before the step: a captured one changes the state in its place
        played = self._execute.step(self._state, actions, self._device_weights, probabilities)
        self._keep(played.event, place, playing)
        self._state, self._last = played.state, played.observation
        reward, raw, done = played.reward, played.raw, played.done
        if playing is not None:
            reward = torch.where(playing, reward, 0.0)
            raw = torch.where(playing[:, None], raw, 0.0)
            done = done & playing
        if self._sequence:
            active = playing if playing is not None else torch.ones_like(done)
            values, paid = self._hear(played.event, active)
            reward, raw = reward + paid, raw + values
        self.raw = raw
        if self.reward_timing != "dense":
            reward = self._pay_when_due(reward, self._due(played.state.step))
        return reward, done

    def _place(self) -> Any:
        """Return the row of `_events` that the next step writes, or rows (1, B)."""
        if isinstance(self._clock, int):
            return self._clock
        assert self._state is not None
        return self._state.step.to(torch.int64).clamp(max=self.task.steps - 1)[None]

    def _keep(self, event: Tensor, place: Any, playing: Tensor | None) -> None:
        """Write down the events of a step."""
        if isinstance(place, int):
            self._events[place] = event
            return
        if playing is not None:
            event = torch.where(playing, event, self._events.gather(0, place)[0])
        self._events.scatter_(0, place, event[None])

    @torch.no_grad()  # a learned term would keep the graphs of all steps
    def _hear(self, event: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """Let sequence terms hear a step; return raw values (B, K) and what they pay (B,)."""
        values = torch.zeros_like(self.raw, dtype=torch.float64)
        played = torch.where(active, event.to(torch.int64), -1)
        for place, term in self._others:
            if isinstance(term, SequenceTerm):
                values[:, place] = torch.where(active, term.pay(played), 0.0)
        return values.float(), (values * self._device_weights).sum(1).float()

    def _pay_when_due(self, reward: Tensor, due: Tensor) -> Tensor:
        owed = self._owed + reward
        self._owed = owed.masked_fill(due, 0.0)
        return torch.where(due, owed, 0.0).float()

    def observe_policy(self, probabilities: Any) -> None:
        """Tell the policy's event probabilities (B, A) for the next step.

        Raises:
            ValueError: a wrong shape; for those from the host also NaN, negative values, or sums
                that are not 1 within 1e-4.
        """
        shape = (self.num_envs, self.task.n_events)
        if not isinstance(probabilities, Tensor):
            probabilities = torch.from_numpy(check_probabilities(probabilities, shape))
        elif probabilities.shape != shape or not probabilities.is_floating_point():
            raise ValueError(f"probabilities: {probabilities.dtype} {tuple(probabilities.shape)} "
                             f"given, floats {shape} expected.")  # fmt: skip
        self._probabilities = probabilities.detach().to(self.device)

    # --- Telling -------------------------------------------------------------------------------

    def _every(self) -> Some:
        return Some(torch.ones(self.num_envs, dtype=torch.bool, device=self.device), True, True)

    def _none(self) -> Some:
        return Some(torch.zeros(self.num_envs, dtype=torch.bool, device=self.device), False, False)

    def _masks_now(self) -> Any:
        assert self._state is not None
        return self.core.masks(self._state)

    def _infos(self, raw: Any, which: Any, done: Any = None, mask: Any = None) -> dict[str, Any]:
        """Return the infos of a reset of the environments of the mask."""
        mask, some = self._masks_now(), torch.from_numpy(which).to(self.device)
        if not which.all():
            mask = mask * some[:, None]
        return {"action_mask": mask, "_action_mask": some}

    def _gather(self, raw: Tensor, which: Some, done: Some | None = None) -> dict[str, Any]:
        """Return the infos of a step, as SyncVectorEnv gathers them."""
        infos: dict[str, Any] = {
            "action_mask": self._masks_now(),
            "_action_mask": torch.ones_like(which.mask),
        }
        if which.any:
            terms: dict[str, Any] = {}
            for name, flag, column in zip(self._names, self._flags, raw.unbind(1), strict=True):
                terms[name], terms[flag] = column, which.mask
            infos["reward_terms"], infos["_reward_terms"] = terms, which.mask
        if done is not None and done.any:
            melody = self._events.T
            infos["melody"] = melody.clone() if done.all else melody * done.mask[:, None]
            infos["_melody"] = done.mask.clone()
        return infos

    def _same_step_on_device(self, done: Some) -> dict[str, Any]:
        """Start the finished episodes within the step; keep their last observation and info."""
        mask, column = done.mask, done.mask[:, None]
        final = self._shaped(self._last if done.all else self._last * column)
        last = self._gather(self.raw * column, done, done)
        last["action_mask"], last["_action_mask"] = last["action_mask"] * column, mask.clone()
        self._restart(done)
        rest = Some(mask ^ True, not done.all, False)
        infos = self._gather(self.raw * rest.mask[:, None], rest)
        flags = {"_final_obs": mask.clone(), "_final_info": mask.clone()}
        return {"final_obs": final, "final_info": last, **flags, **infos}

    def _shaped(self, observation: Any) -> Any:
        if self.observation != "dict":
            return observation
        columns = observation.to(torch.int64).unbind(1)
        return dict(zip(self.parts, columns, strict=True))

    def episodes(self) -> Episodes:
        """Return what is fixed in the running episodes, int64 on the device."""
        self._check_begun()
        assert self._state is not None
        return self.core.episodes(self._state)

    @property
    def played(self) -> Any:
        """The last events int64 (B,), an invalid one as the rest that it counted as."""
        self._check_begun()
        assert self._state is not None
        return self._state.event.to(torch.int64)

    def _on_host(self) -> Batch:
        """Copy the batch to the host, in the types of the other backends."""
        assert self._state is not None
        columns = [host(column) for column in self._state]
        state = State(*(c.astype(t) for c, t in zip(columns, COLUMNS, strict=True)))
        return Batch(state, host(torch.cat([self._events, self._events[:1]])))

    # --- State ---------------------------------------------------------------------------------

    def put(
        self, state: State, observation: Tensor, events: Tensor, rewards: Tensor, raw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take over t steps that were played over `core.step` from where all environments stand.

        Args:
            state: the last state.
            observation: the last observation.
            events: (t, B) the events of `Played`.
            rewards: float32 (t, B).
            raw: float32 (t, B, K).

        Returns:
            Rewards and raw values as `step` would have given them: what sequence terms pay is
            added, and the rewards are paid when `reward_timing` says.

        Where the melodies are finished, reset or the next `step` starts the next ones.

        Raises:
            ValueError: the environments stand at different steps, or steps are none or too many.
        """
        steps = len(events)
        self._check_together(steps)
        clock = self._clock
        assert isinstance(clock, int)
        self._state, self._last, self._probabilities = State(*state), observation, None
        self._events[clock : clock + steps] = events.to(torch.uint8)
        self._clock = clock + steps
        every = self._every().mask
        if self._sequence:
            heard = [self._hear(event, every) for event in events.unbind(0)]
            raw = raw + torch.stack([values for values, _ in heard])
            rewards = rewards + torch.stack([paid for _, paid in heard])
        if self.reward_timing != "dense":
            due = [self._due(clock + t + 1) for t in range(steps)]
            paid = [
                self._pay_when_due(r, every if now else every ^ True)
                for r, now in zip(rewards.unbind(0), due, strict=True)
            ]
            rewards = torch.stack(paid)
        self.raw = raw[-1]
        return rewards, raw

    def step_many(self, actions: Tensor) -> Played:
        """Play t events in each environment, as one CUDA graph where the execution is captured.

        Args:
            actions: integers (t, B).

        Returns:
            The last state and what each step gave, stacked: (t, B, ...); the rewards as `step`
            would have given them. Where the melodies are finished, reset or the next `step` starts
            the next ones.

        Raises:
            ValueError: the actions are not integers (t, B), or see `put`.
        """
        self._check_together(len(actions))
        assert self._state is not None
        actions = self._on_device(actions, len(actions), self.num_envs)
        played = self._execute.steps(self._state, actions, self._device_weights)
        reward, raw = self.put(
            played.state, played.observation[-1], played.event, played.reward, played.raw
        )
        return played._replace(state=copied(played.state), reward=reward, raw=raw)

    def _check_together(self, steps: int) -> None:
        clock = self._clock
        self._check_begun()
        if not isinstance(clock, int) or not 1 <= steps <= self.task.steps - clock:
            raise ValueError(
                f"{steps} steps given, but the environments must stand together at one step, and "
                f"from 1 step to the end of the melody's {self.task.steps} fit: reset all first."
            )

    def _due(self, step: Any) -> Any:
        """Tell whether rewards are paid after so many steps."""
        bar = self.task.steps_per_bar if self.reward_timing == "bar" else self.task.steps
        return step % bar == 0

    def get_state(self) -> tuple[Any, ...]:
        """Return copies of all that the rest of the episodes depends on, on the device."""
        self._check_begun()
        assert self._state is not None
        tensors = (*self._state, self._events, self._keys, self._owed)
        clock = self._clock if isinstance(self._clock, int) else self._clock.copy()
        copies = tuple(t.clone() for t in tensors)
        return (*copies, self.weights.copy(), clock, self._probabilities)

    @torch.inference_mode(False)
    def set_state(self, state: tuple[Any, ...]) -> None:
        """Return to where `get_state` was called; only in the same environments or a copy of them.

        Sequence terms, which keep state of their own, hear the melodies again from their start.
        """
        n = len(State._fields)
        self._state = State(*(column.clone() for column in state[:n]))
        self._events, self._keys, self._owed = (t.clone() for t in state[n : n + 3])
        weights, clock, self._probabilities = state[n + 3 :]
        self.weights = weights.copy()
        self._clock = int(clock) if isinstance(clock, int) else clock.copy()
        self._device_weights = self._weights_on_device()
        if self._sequence:
            told, every = self.episodes(), self._every().mask
            for _, term in self._others:
                if isinstance(term, SequenceTerm):
                    term.begin(told, every)
            for t in range(int(np.max(self._clock))):
                self._hear(self._events[t], t < self._state.step)


def together(clock: npt.NDArray[np.int64]) -> int | npt.NDArray[np.int64]:
    """Return steps (B,) as one number where they are all the same."""
    first = clock.flat[0]
    return int(first) if (clock == first).all() else clock


def on_host(options: Any) -> Any:
    """Return reset options with NumPy arrays in the place of tensors."""
    if isinstance(options, Tensor):
        return host(options)
    if isinstance(options, Mapping):
        return {name: on_host(value) for name, value in options.items()}
    return options


def host(tensor: Tensor) -> npt.NDArray[Any]:
    """Copy a tensor to the host."""
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def copied(state: State) -> State:
    """Return a state in tensors of its own."""
    return State(*(column.clone() for column in state))


def chosen(mask: Tensor, new: Any, old: Any) -> Any:
    """Return the new rows where the mask (B,) holds: of a tensor, or of each column of a state."""
    if isinstance(new, State):
        return State(*(chosen(mask, n, o) for n, o in zip(new, old, strict=True)))
    return torch.where(mask if new.ndim == 1 else mask[:, None], new, old)
