"""MelodyComposeVectorEnv: many melodies at once, natively."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .backends.arrays import Arrays, rows, write_observation
from .backends.batch import Batch, Core, Outcome, Start, new_batch, width, write_masks
from .backends.source import InlineError
from .dynamics import Episodes, State, episodes, with_row
from .env import MelodyComposeEnv, as_melody, check_probabilities, check_word
from .melody import Melody
from .options import Options, read_options, read_weights
from .randomness import draw, episode_key, first_key, next_key
from .reward import PolicyTerm, SequenceTerm

__all__ = ["MelodyComposeVectorEnv"]

BACKENDS = ("auto", "compiled", "arrays", "tensor")


class MelodyComposeVectorEnv(VectorEnv[Any, Any, Any]):
    """Compose `num_envs` melodies at once; environment i is the single one with seed + i.

    Arguments, spaces, rewards and infos are those of `MelodyComposeEnv`, batched as Gymnasium's
    SyncVectorEnv would. Further:

    Args:
        num_envs: number of environments (B).
        backend: ``"compiled"`` (numba), ``"arrays"`` (NumPy), ``"tensor"`` (torch: see
            `musicgym.tensor_env`), or ``"auto"``: compiled where every rule can be.
        device: ``"cpu"``; the tensor backend also takes ``"cuda"`` and ``"cuda:N"``.
        autoreset_mode: ``"NextStep"``, ``"SameStep"``, ``"Disabled"`` or an AutoresetMode. When
            disabled, reset finished environments with ``options={"reset_mask": mask}``.
        arguments: those of `MelodyComposeEnv`.

    Weights in ``options["weights"]`` may be arrays (B,). ``infos["reward_terms"]`` are views of one
    fresh array (B, K). Compact observations are (B, F) views of rows that are padded to a multiple
    of eight bytes; ``.copy()`` makes one that is contiguous.

    >>> envs = gym.make_vec("MelodyCompose-v0", num_envs=3, bars=4, backend="arrays")
    >>> observations, infos = envs.reset(seed=1)
    >>> observations, rewards, *_ = envs.step(np.array([26, 1, 30]))
    >>> rewards.round(3)
    array([0.9, 0. , 0.7])
    """

    def __new__(cls, num_envs: int = 1, backend: str = "auto", *_: Any, **__: Any) -> Any:
        """Make the tensor environment where its backend is asked for."""
        if cls is MelodyComposeVectorEnv and backend == "tensor":
            from .tensor_env import MelodyComposeTensorEnv

            cls = MelodyComposeTensorEnv
        return super().__new__(cls)

    def __init__(
        self,
        num_envs: int = 1,
        backend: str = "auto",
        device: str = "cpu",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ) -> None:
        """Check the arguments and build the environments."""
        if not isinstance(num_envs, int) or num_envs < 1:
            raise ValueError(f"num_envs: {num_envs!r} is not a whole number of 1 or more.")
        check_word("backend", backend, BACKENDS)
        if backend == "tensor" and type(self)._new_core is MelodyComposeVectorEnv._new_core:
            raise ValueError("backend: 'tensor' is that of MelodyComposeTensorEnv; make a subclass "
                             "of that one.")  # fmt: skip
        self.backend = backend
        if "execution" in arguments:
            raise ValueError("execution: only the backend 'tensor' has it.")
        self._check_device(device)
        modes = [mode.value for mode in AutoresetMode]
        if not isinstance(autoreset_mode, AutoresetMode):
            check_word("autoreset_mode", autoreset_mode, modes)
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**MelodyComposeEnv.metadata, "autoreset_mode": self.autoreset_mode}
        one = MelodyComposeEnv(**arguments)
        self.num_envs, self.device = num_envs, device
        self.render_mode = one.render_mode
        self.task, self.reward, self.parts = one.task, one.reward, one.parts
        self.constants, self.weights = one.constants, one.weights
        self.observation, self.reward_timing = one.observation, one.reward_timing
        self.single_observation_space = one.observation_space
        self.single_action_space = one.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        flat = self.observation == "flat"
        self._shape = (num_envs, sum(self.parts.values()) if flat else width(len(self.parts)))
        self._dtype = np.float32 if flat else np.uint8
        self._rows: dict[Any, int] = {}
        self._allocate()
        self._build()

    def _check_device(self, device: str) -> None:
        if device != "cpu":
            raise ValueError(f"device: {device!r} given, but the backend {self.backend!r} runs on "
                             "'cpu' only; backend='tensor' runs on others.")  # fmt: skip

    def _allocate(self) -> None:
        """Make the arrays of the batch."""
        num_envs = self.num_envs
        self._batch: Batch = new_batch(num_envs, self.task.steps)
        self._keys: npt.NDArray[np.int64] | None = None
        self._owed = np.zeros(num_envs)
        self._all = np.ones(num_envs, np.bool_)
        self._probabilities: npt.NDArray[np.float64] | None = None
        #: Raw values (B, K) of the terms at the last step.
        self.raw: npt.NDArray[np.float64] = np.zeros((num_envs, len(self.reward.names)))

    def _build(self) -> None:
        self._names, self._others = self.reward.names, self.reward.others
        self._flags = tuple(f"_{name}" for name in self._names)
        self._sequence = any(isinstance(term, SequenceTerm) for _, term in self._others)
        self._core = self._new_core()

    def _new_core(self) -> Any:
        return _core(self)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the core; it is built again."""
        return {k: v for k, v in self.__dict__.items() if k != "_core"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the core again."""
        self.__dict__.update(state)
        self._build()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes: all, or those of ``options["reset_mask"]`` (B,).

        Raises:
            ValueError, TypeError: an option is unknown or out of its range.
        """
        given = read_options(options, self.task, self.num_envs)
        which = self._reset_mask((options or {}).get("reset_mask"))
        if self._keys is None and not which.all():
            raise gym.error.ResetNeeded("no melody is begun: call reset() without a mask first.")
        weights = read_weights(given.weights or {}, self._names, self.weights, self.num_envs)
        super().reset(seed=seed if isinstance(seed, int) else None)
        self._keys = self._new_keys(seed, which)
        self.weights, self._probabilities = weights, None
        observation = self._begin(which, given)
        infos = self._infos(None, which)
        return self._shaped(observation), infos

    def _begin(self, which: npt.NDArray[np.bool_], given: Options) -> Any:
        """Start the episodes of the mask; return the observations of all."""
        observation = self._blank()
        if not which.all():  # the others are seen as they stand
            others = np.flatnonzero(~which)
            state, flat = rows(self._batch.state, others), self.observation == "flat"
            write_observation(self.constants, state, self.parts, flat, observation, others)
        self._start(which, given, observation)
        return observation

    def _reset_mask(self, mask: Any) -> npt.NDArray[np.bool_]:
        if mask is None:
            return self._all
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
            raise TypeError("options: reset_mask is a NumPy array of bools.")
        if mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options: reset_mask has shape ({self.num_envs},) and at least one True."
            )
        return mask

    def _new_keys(self, seed: Any, which: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the keys of all episodes, new ones where the mask holds."""
        size = self.num_envs
        keys: npt.NDArray[np.int64]
        if self._keys is None:
            keys = first_key(self.np_random.integers(2**32, size=size))
        else:
            keys = np.where(which, next_key(self._keys), self._keys)
        if isinstance(seed, int | np.integer):  # the lower 64 bits of seed, seed + 1, ...
            low = np.uint64(int(seed) % 2**64) + np.arange(size, dtype=np.uint64)
            given: npt.NDArray[np.int64] = first_key(low.view(np.int64))
            return np.where(which, given, keys)
        if seed is None:
            return keys
        seeds = list(seed)
        if len(seeds) != size:
            raise ValueError(f"seed: {len(seeds)} seeds given for {size} environments.")
        for i, value in enumerate(seeds):
            if value is not None and which[i]:
                keys[i] = episode_key(int(value))
        return keys

    def _start(
        self, which: npt.NDArray[np.bool_], given: Options, observation: npt.NDArray[Any]
    ) -> None:
        """Start the episodes of the mask with their keys."""
        assert self._keys is not None
        size = self.num_envs
        mode = np.full(size, given.mode)
        row = np.full(size, -1)
        if given.chords:
            drawn = draw(self._keys, 2) % 2 if given.mode < 0 else mode
            for m, chords in given.chords.items():
                row[drawn == m] = self._row(chords)
        tonic = np.full(size, given.tonic)
        self._core.reset(self._batch, which, Start(self._keys, row, tonic, mode), observation)
        self._owed[which] = 0.0
        self._begin_sequences(which)
        if given.events is not None:
            events = np.broadcast_to(given.events, (size, given.events.shape[-1]))
            seen, raw = observation.copy(), [*np.empty((len(self._names), size))]
            nothing = Outcome(
                seen, np.empty(size), raw, np.empty(size, np.bool_), self._masks_now()
            )
            for column in np.ascontiguousarray(events.T):
                self._core.step(self._batch, column, which, self.weights, nothing)
                self._pay_others(raw, which)
            np.copyto(observation, seen, where=which[:, None])

    def _begin_sequences(self, which: npt.NDArray[np.bool_]) -> None:
        """Start the sequence terms on the episodes of the mask."""
        if self._sequence:
            told = self.episodes()
            for _, term in self._others:
                if isinstance(term, SequenceTerm):
                    term.begin(told, which)

    def _row(self, chords: tuple[list[int], list[int], list[int]]) -> int:
        place = tuple(map(tuple, chords))
        if place not in self._rows:
            self.constants = with_row(self.constants, chords)
            self._rows[place] = len(self.constants.roots) // self.constants.spans - 1
            self._core.use(self.constants)
        return self._rows[place]

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[Any, npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], Any]:
        """Play one event in each environment.

        In the mode ``NextStep`` an environment whose melody is finished starts the next one
        instead, with reward 0 and no reward terms.

        Raises:
            ValueError: the actions are not (B,) integers.
            gymnasium.error.ResetNeeded: an episode was never begun, or is finished and autoreset is
                disabled.
        """
        self._check_begun()
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise ValueError(f"actions: {actions.dtype} {actions.shape} given, integers "
                             f"({self.num_envs},) expected.")  # fmt: skip
        actions = actions.astype(np.int64, copy=False)
        finished = self._batch.state.step >= self.task.steps
        any_finished = bool(np.count_nonzero(finished))
        self._check_unfinished(any_finished)
        active = ~finished if any_finished else None
        observation = self._blank()
        size = self.num_envs
        reward, done = np.empty(size), np.empty(size, np.bool_)
        self.raw = np.empty((len(self._names), size)).T
        raw = [*self.raw.T]
        masks = np.empty((size, self.task.n_events), np.int8)
        out = Outcome(observation, reward, raw, done, masks)
        self._core.step(self._batch, actions, active, self.weights, out)
        playing = self._all if active is None else active
        if self._others and (self._sequence or self._probabilities is not None):
            reward += self._pay_others(raw, playing)
        if self.reward_timing != "dense":
            reward = self._pay_later(reward, done)
        if any_finished:  # the others played, these start again
            self._restart(finished, observation)
            write_masks(masks, self._batch.state.ringing)
        infos = self._infos(raw, playing, done, masks)
        if self.autoreset_mode == AutoresetMode.SAME_STEP and np.count_nonzero(done):
            infos = self._same_step(observation, done, infos, raw)
        return self._shaped(observation), reward, done, np.zeros(size, np.bool_), infos

    def _check_begun(self) -> None:
        if self._keys is None:
            raise gym.error.ResetNeeded("no melody is begun: call reset() first.")

    def _check_unfinished(self, any_finished: bool) -> None:
        if any_finished and self.autoreset_mode == AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                "a melody is finished: reset it with options={'reset_mask': mask}."
            )

    def _restart(self, which: npt.NDArray[np.bool_], observation: npt.NDArray[Any]) -> None:
        """Start the next episode where the mask holds."""
        self._keys = self._new_keys(None, which)
        self._start(which, read_options(None, self.task), observation)

    def _same_step(
        self, observation: npt.NDArray[Any], done: npt.NDArray[np.bool_], infos: Any, raw: Any
    ) -> dict[str, Any]:
        """Start the finished episodes within the step; keep their last observation and info."""
        final = np.full(self.num_envs, None, dtype=object)
        shaped = self._shaped(observation.copy())
        for i in np.flatnonzero(done):
            final[i] = (
                {name: part[i] for name, part in shaped.items()}
                if isinstance(shaped, dict)
                else shaped[i].copy()
            )
        last = self._infos([np.where(done, row, 0.0) for row in raw], done, done)
        last["action_mask"][~done], last["_action_mask"] = 0, done.copy()
        self._restart(done, observation)
        infos = self._infos([np.where(done, 0.0, row) for row in raw], ~done)
        flags = {"_final_obs": done.copy(), "_final_info": done.copy()}
        return {"final_obs": final, "final_info": last, **flags, **infos}

    def _pay_others(
        self, raw: list[npt.NDArray[np.float64]], active: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Write the raw values of the terms that are not rules; return what they pay (B,)."""
        paid = np.zeros(self.num_envs)
        played = np.where(active, self._batch.state.event.astype(np.int64), -1)
        for place, term in self._others:
            if isinstance(term, PolicyTerm) and self._probabilities is not None:
                raw[place][:] = np.where(active, term.judge(self._probabilities), 0.0)
            elif isinstance(term, SequenceTerm):
                raw[place][:] = np.where(active, term.pay(played), 0.0)
            paid += self.weights[..., place] * raw[place]
        self._probabilities = None
        return paid

    def _pay_later(
        self, reward: npt.NDArray[np.float64], done: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        self._owed += reward
        due = done.copy()
        if self.reward_timing == "bar":
            due |= self._batch.state.step % self.task.steps_per_bar == 0
        paid = np.where(due, self._owed, 0.0)
        self._owed[due] = 0.0
        return paid

    def _blank(self) -> npt.NDArray[Any]:
        return np.empty(self._shape, self._dtype)

    def _shaped(self, observation: npt.NDArray[Any]) -> Any:
        if self.observation == "flat":
            return observation
        if self.observation == "compact":
            return observation[:, : len(self.parts)]
        return {name: observation[:, j].astype(np.int64) for j, name in enumerate(self.parts)}

    def _masks_now(self) -> npt.NDArray[np.int8]:
        masks = np.empty((self.num_envs, self.task.n_events), np.int8)
        write_masks(masks, self._batch.state.ringing)
        return masks

    def _infos(
        self,
        raw: list[npt.NDArray[np.float64]] | None,
        which: npt.NDArray[np.bool_],
        done: npt.NDArray[np.bool_] | None = None,
        mask: npt.NDArray[np.int8] | None = None,
    ) -> dict[str, Any]:
        """Return the infos of the environments of the mask, as SyncVectorEnv gathers them."""
        mask, played = self._masks_now() if mask is None else mask, which.copy()
        if raw is None:
            mask[~which] = 0
        infos: dict[str, Any] = {"action_mask": mask, "_action_mask": played}
        if raw is not None:
            if which is not self._all:
                infos["_action_mask"] = self._all.copy()
            terms: dict[str, Any] = dict(zip(self._names, raw, strict=True))
            terms.update(dict.fromkeys(self._flags, played))
            if which is self._all or which.any():
                infos["reward_terms"], infos["_reward_terms"] = terms, played
        if done is not None and np.count_nonzero(done):
            melody = self._batch.events[:-1].copy().T
            melody[~done] = 0
            infos["melody"], infos["_melody"] = melody, done.copy()
        return infos

    def action_masks(self) -> npt.NDArray[np.int8]:
        """Return the masks of valid events (B, A), 1 = valid."""
        return self._masks_now()

    def observe_policy(self, probabilities: npt.ArrayLike) -> None:
        """Tell the policy's event probabilities (B, A) for the next step.

        Raises:
            ValueError: a wrong shape, NaN, negative values, or sums that are not 1 within 1e-4.
        """
        shape = (self.num_envs, self.task.n_events)
        self._probabilities = check_probabilities(probabilities, shape)

    def episodes(self) -> Episodes:
        """Return what is fixed in the running episodes: keys and chords."""
        columns = State(*(column.astype(np.int64) for column in self._batch.state))
        return episodes(self.constants, columns, np.arange(self.task.steps))

    @property
    def played(self) -> npt.NDArray[np.int64]:
        """The last events (B,), an invalid one as the rest that it counted as."""
        events: npt.NDArray[np.int64] = self._batch.state.event.astype(np.int64)
        return events

    @property
    def melodies(self) -> list[Melody]:
        """The melodies composed so far, rests where nothing is yet."""
        self._check_begun()
        (state, played), out = self._on_host(), []
        for i in range(self.num_envs):
            events = played[:-1, i].copy()
            events[state.step[i] :] = 1
            chords = (state.row[i], state.tonic[i], state.mode[i])
            out.append(as_melody(self.task, self.constants, events.tolist(), *chords))
        return out

    def _on_host(self) -> Batch:
        return self._batch

    def get_state(self) -> tuple[Any, ...]:
        """Return copies of all that the rest of the episodes depends on."""
        self._check_begun()
        arrays = [*self._batch.state, self._batch.events, self._keys, self._owed]
        return (*(a.copy() for a in (*arrays, self.weights)), self._probabilities)

    def set_state(self, state: tuple[Any, ...]) -> None:
        """Return to where `get_state` was called; only in the same environments or a copy of them.

        Sequence terms, which keep state of their own, hear the melodies again from their start.
        """
        n = len(self._batch.state)
        for column, value in zip(self._batch.state, state[:n], strict=True):
            column[:] = value
        self._batch.events[:] = state[n]
        self._keys, self._owed, self.weights = (a.copy() for a in state[n + 1 : -1])
        self._begin_sequences(self._all)
        for _, term in self._others:
            if isinstance(term, SequenceTerm):
                step = self._batch.state.step
                for t in range(int(step.max())):
                    term.pay(np.where(t < step, self._batch.events[t].astype(np.int64), -1))
        self._probabilities = state[-1]

    def render(self) -> Any:
        """Return the rendered melodies, one an environment."""
        if self.render_mode == "rgb_array":
            from .export.piano_roll import image

            return tuple(image(melody) for melody in self.melodies)
        return tuple(melody.bars() for melody in self.melodies)


def _core(env: MelodyComposeVectorEnv) -> Core:
    """Return the core of the backend; NumPy where a rule cannot be compiled, with a warning."""
    arguments = (env.constants, env.reward, env.parts, env.observation == "flat")
    if env.backend != "arrays":
        from .backends.compiled import Compiled

        try:
            return Compiled(*arguments)
        except InlineError as error:
            if env.backend == "compiled":
                raise ValueError(f"backend: 'compiled' cannot run this reward: {error}") from error
            warnings.warn(f"the batch runs on NumPy, not compiled: {error}", stacklevel=3)
    return Arrays(*arguments)
