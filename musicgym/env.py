"""MelodyComposeEnv: one melody an episode, note by note over a chord progression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from .backends import scalar
from .dynamics import Episodes, State, constants, episodes, with_row
from .events import REST
from .melody import Melody
from .observation import layout
from .options import read_options, read_weights
from .randomness import episode_key, next_key
from .reward import PolicyTerm, RewardSpec, SequenceTerm, load
from .task import DRAWN_KEYS, Task
from .theory import MODES, Chord, Key, closest, usual_key

__all__ = ["MelodyComposeEnv"]

OBSERVATIONS = ("flat", "compact", "dict")
TIMINGS = ("dense", "bar", "end")


class MelodyComposeEnv(gym.Env[Any, Any]):
    """Compose a melody over a chord progression; one step is one slot of the grid.

    **Actions**: ``Discrete(2 + number of pitches)``: 0 holds what sounds, 1 rests, 2 and above
    strike a pitch, 2 being the lowest. A hold with nothing sounding is masked
    (``info["action_mask"]``); an invalid event counts as a rest.

    **Observations** (see `musicgym.observation`): ``"flat"`` a one-hot ``Box`` of float32,
    ``"compact"`` small integers, ``"dict"`` the same by name.

    **Rewards**: the weighted sum of the terms of `rewards`; raw values in
    ``info["reward_terms"]`` at every step.

    **Episode**: a melody of ``bars`` bars. It ends with ``terminated=True``; the last info holds
    the finished events as ``info["melody"]``, an array (T,).

    Args:
        bars: bars an episode.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        meter: ``"2/4"``, ``"3/4"``, ``"4/4"`` or ``"6/8"``.
        key: a key, ``"random"``, or ``"natural"`` (C major or A minor, drawn).
        progression: chords as text or a list, ``"random"``, ``"set:jazz/train"``, or
            ``"corpus:NAME/SPLIT"`` (see `Task`).
        chords_per_bar: chords a bar (default 1; one a beat with a corpus).
        pitch_range: the lowest and the highest pitch.
        tessitura: the comfortable part of the range; default low + 9 to high - 2.
        rewards: a preset's name or a dict of terms (see `musicgym.reward`).
        scoring: ``"time"``, ``"onset"`` or ``"literal"``; None takes the preset's.
        reward_timing: pay each step (``"dense"``), at each bar's end (``"bar"``) or at the
            ``"end"``; the return is the same.
        observation: ``"flat"``, ``"compact"`` or ``"dict"``.
        notes_only: observe the last event only, the paper's hard variant.
        render_mode: ``"ansi"`` (note names under their chords), ``"rgb_array"`` (piano roll) or
            ``"human"`` (prints each bar).

    Raises:
        ValueError: an argument is out of its range; the message says what is allowed.

    >>> env = gym.make("MelodyCompose-v0", bars=4)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(26)
    >>> round(reward, 3), info["reward_terms"]["chord_tone"]
    (0.9, 0.6)
    """

    metadata = {"render_modes": ["ansi", "rgb_array", "human"], "render_fps": 2}

    def __init__(
        self,
        bars: int = 8,
        steps_per_beat: int = 2,
        meter: str = "4/4",
        key: str = "C major",
        progression: str | Sequence[str] = "I V vi IV",
        chords_per_bar: int | None = None,
        pitch_range: Sequence[str | int] = ("C3", "B5"),
        tessitura: Sequence[str | int] | None = None,
        rewards: RewardSpec = "acmg",
        scoring: str | None = None,
        reward_timing: str = "dense",
        observation: str = "flat",
        notes_only: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """Check the arguments and build the environment."""
        self.task = Task(
            key=key, progression=progression, meter=meter, bars=bars, steps_per_beat=steps_per_beat,
            chords_per_bar=chords_per_bar, pitch_range=pitch_range, tessitura=tessitura,
        )  # fmt: skip
        for name, value, allowed in (
            ("observation", observation, OBSERVATIONS),
            ("reward_timing", reward_timing, TIMINGS),
            ("render_mode", render_mode, (None, *self.metadata["render_modes"])),
        ):
            check_word(name, value, allowed)
        self.reward = load(rewards, self.task.steps, scoring)
        self.observation, self.reward_timing = observation, reward_timing
        self.render_mode = render_mode
        self.constants = constants(self.task, self.reward.readings)
        self.reward.meet(self.task, self.constants)
        self.parts = layout(self.task, notes_only)
        self.action_space = spaces.Discrete(self.task.n_events)
        self.observation_space = observation_space(self.parts, observation)
        self._masks = scalar.action_masks(self.task.n_events)
        self._rows: dict[Any, int] = {}
        self._names = self.reward.names
        self._others = self.reward.others
        self._sequence = any(isinstance(term, SequenceTerm) for _, term in self._others)
        self._more = self._sequence or reward_timing != "dense" or render_mode == "human"
        self._set_weights(self.reward.weights)
        self._state: Any = None
        self._events = bytearray()
        self._over = True
        self._owed = 0.0
        self._probabilities: npt.NDArray[np.float64] | None = None

    @cached_property
    def _scalar(self) -> scalar.Scalar:
        """The functions of this task and reward, built when they are first needed."""
        return scalar.build(self.constants, self.reward, self.parts, self.observation)

    @cached_property
    def _play(self) -> scalar.Step:
        return self._scalar.step

    def _set_weights(self, weights: npt.NDArray[np.float64]) -> None:
        self.weights = weights
        self._rule_weights = tuple(weights[: len(self.reward.rules)].tolist())

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the built functions; a copy builds its own."""
        built = ("_scalar", "_play")
        return {name: value for name, value in self.__dict__.items() if name not in built}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: fixes this episode and those that follow it.
            options: ``progression``, ``key`` and ``events`` (an opening to continue, unpaid) for
                this episode; ``weights`` (term -> weight) until changed.

        Raises:
            ValueError: an option is unknown or out of its range.
        """
        given = read_options(options, self.task)
        weights = read_weights(given.weights or {}, self._names, self.weights)
        super().reset(seed=seed)
        if given.weights:
            self._set_weights(weights)
        if seed is not None:
            key = episode_key(seed)
        elif self._state is None:
            key = episode_key(int(self.np_random.integers(2**32)))
        else:
            key = int(next_key(self._state[0]))
        row = -1
        if given.chords:
            rows = {mode: self._row(chords) for mode, chords in given.chords.items()}
            mode = given.mode if given.mode >= 0 else self._scalar.reset(key, 0, -1, -1)[0][4]
            row = rows[mode]
        self._state, seen, info = self._scalar.reset(key, row, given.tonic, given.mode)
        self._events, self._over, self._owed = bytearray(), False, 0.0
        self._probabilities = None
        self._begin_sequences()
        if given.events is not None:
            for event in given.events.tolist():
                self._state, seen, _, told, _, event = self._play(
                    self._state, event, self._rule_weights
                )
                self._events.append(event)
                self._pay_others({}, event)
                info["action_mask"] = told["action_mask"]
        return seen, info

    def _begin_sequences(self) -> None:
        """Start the sequence terms on the episode."""
        if self._sequence:
            told = self.episodes()
            for _, term in self._others:
                if isinstance(term, SequenceTerm):
                    term.begin(told, np.array([True]))

    def episodes(self) -> Episodes:
        """Return what is fixed in the running episode, key and chords, as a batch of one."""
        if self._state is None:
            raise gym.error.ResetNeeded("no melody is begun: call reset() first.")
        batch = State(*(np.array([value]) for value in self._state))
        return episodes(self.constants, batch, np.arange(self.task.steps))

    def _row(self, chords: tuple[list[int], list[int], list[int]]) -> int:
        """Return the row of the chord tables that holds these chords; add it if it is new."""
        place = tuple(map(tuple, chords))
        if place not in self._rows:
            self.constants = with_row(self.constants, chords)
            self._rows[place] = len(self.constants.roots) // self.constants.spans - 1
            self._scalar.use(self.constants)
        return self._rows[place]

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Play one event.

        Raises:
            gymnasium.error.ResetNeeded: the melody is finished, or was never begun.
        """
        if self._over:
            raise gym.error.ResetNeeded("the melody is finished or not begun: call reset() first.")
        self._state, seen, reward, info, done, event = self._play(
            self._state, int(action), self._rule_weights
        )
        self._events.append(event)
        if done:
            self._over = True
            info["melody"] = np.array(self._events)
        if self._more or self._probabilities is not None:
            if self._sequence or self._probabilities is not None:
                reward += self._pay_others(info["reward_terms"], event)
            if self.reward_timing != "dense":
                reward = self._pay_later(reward, done)
            if self.render_mode == "human":
                self._print_bar()
        return seen, reward, done, False, info

    def _pay_others(self, terms: dict[str, float], event: int) -> float:
        """Add the raw values of the terms that are not rules; return what they pay."""
        paid = 0.0
        for place, term in self._others:
            value = 0.0
            if isinstance(term, PolicyTerm) and self._probabilities is not None:
                value = float(term.judge(self._probabilities)[0])
            elif isinstance(term, SequenceTerm):
                value = float(term.pay(np.array([event]))[0])
            terms[self._names[place]] = value
            paid += float(self.weights[place]) * value
        self._probabilities = None
        return paid

    def _pay_later(self, reward: float, done: bool) -> float:
        self._owed += reward
        bar_ends = len(self._events) % self.task.steps_per_bar == 0
        if not (done or (bar_ends and self.reward_timing == "bar")):
            return 0.0
        paid, self._owed = self._owed, 0.0
        return paid

    def action_masks(self) -> npt.NDArray[np.int8]:
        """Return the mask of valid events (A,), 1 = valid, as MaskablePPO asks for it."""
        ringing = self._state is not None and self._state[scalar.RINGING]
        return self._masks[ringing].copy()

    def observe_policy(self, probabilities: npt.ArrayLike) -> None:
        """Tell the policy's event probabilities (A,) for the next step; policy terms judge them.

        Raises:
            ValueError: a wrong shape, NaN, negative values, or a sum that is not 1 within 1e-4.
        """
        self._probabilities = check_probabilities(probabilities, (self.task.n_events,))[None]

    def get_state(self) -> tuple[Any, ...]:
        """Return all that the rest of the episode depends on; `set_state` restores it exactly."""
        weights = self.weights.copy()
        return (self._state, bytes(self._events), self._owed, weights, self._probabilities)

    def set_state(self, state: tuple[Any, ...]) -> None:
        """Return to where `get_state` was called; only in the same environment or a copy of it.

        Sequence terms, which keep state of their own, hear the melody again from its start.
        """
        self._state, events, self._owed, weights, probabilities = state
        self._events = bytearray(events)
        self._over = self._state is None or len(events) == self.task.steps
        self._set_weights(weights.copy())
        if self._sequence and self._state is not None:
            self._begin_sequences()
            for event in self._events:
                self._pay_others({}, event)
        self._probabilities = probabilities

    @property
    def melody(self) -> Melody:
        """The melody composed so far, rests where nothing is yet."""
        if self._state is None:
            raise gym.error.ResetNeeded("no melody is begun: call reset() first.")
        events = [*self._events, *[REST] * (self.task.steps - len(self._events))]
        state = State(*self._state)
        return as_melody(self.task, self.constants, events, state.row, state.tonic, state.mode)

    def render(self) -> Any:
        """Return the melody so far as text or as a piano roll (H, W, 3), or print it."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: 'ansi', 'rgb_array' or 'human'.")
            return None
        if self.render_mode == "rgb_array":
            from .export.piano_roll import image

            return image(self.melody)
        if self.render_mode == "ansi":
            return self.melody.bars()
        return None

    def _print_bar(self) -> None:
        """Print the bar that has just been completed."""
        bars, left = divmod(len(self._events), self.task.steps_per_bar)
        if not left:
            print("\n".join(self.melody.bars().splitlines()[2 * bars - 2 : 2 * bars]))


def check_word(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raise a ValueError that names the allowed words, unless the value is one of them."""
    if value not in allowed:
        words = [word for word in allowed if word is not None]
        raise ValueError(
            f"{name}: {value!r} is not one of {', '.join(words)}{closest(value, words) or '.'}"
        )


def check_probabilities(
    probabilities: npt.ArrayLike, shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Return probabilities as float64 of the shape, or raise a ValueError."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape != shape:
        raise ValueError(f"probabilities: shape {p.shape} given, {shape} expected.")
    if not (np.isfinite(p).all() and (p >= 0).all()):
        raise ValueError("probabilities: they must be finite and not negative.")
    if (np.abs(p.sum(axis=-1) - 1) > 1e-4).any():
        raise ValueError("probabilities: they must sum to 1 within 1e-4.")
    return p


def observation_space(parts: dict[str, int], observation: str) -> spaces.Space[Any]:
    """Return the space of the parts in one of the three forms."""
    if observation == "compact":
        return spaces.MultiDiscrete(list(parts.values()), dtype=np.uint8)
    if observation == "dict":
        return spaces.Dict({name: spaces.Discrete(size) for name, size in parts.items()})
    return spaces.Box(0.0, 1.0, (sum(parts.values()),), np.float32)


def as_melody(
    task: Task, constants: Any, events: Sequence[int], row: int, tonic: int, mode: int
) -> Melody:
    """Return events over the chords of a row as a Melody in the key of the episode."""
    tonic, mode = int(tonic), int(mode)
    key = usual_key(tonic, MODES[mode])
    if task.key not in DRAWN_KEYS:
        own = Key.parse(task.key)
        key = own if (own.tonic, own.mode) == (key.tonic, key.mode) else key
    place = slice(int(row) * constants.spans, (int(row) + 1) * constants.spans)
    chords = tuple(
        Chord.of(root + tonic, code)
        for root, code in zip(constants.roots[place], constants.codes[place], strict=True)
    )
    return Melody(
        tuple(int(e) for e in events), task.low, key, chords, task.meter, task.steps_per_beat
    )
