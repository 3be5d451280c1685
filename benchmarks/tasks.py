"""Tasks of the benchmark: what is composed over, and by which reward it is graded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from musicgym.corpus.dataset import Corpus, Windows
from musicgym.corpus.dataset import load as load_corpus
from musicgym.corpus.forms import formed
from musicgym.dynamics import Episodes, constants
from musicgym.env import TIMINGS, check_word
from musicgym.melody import Melody
from musicgym.replay import episodes_of
from musicgym.reward import Reward, RewardSpec, load
from musicgym.task import Task
from musicgym.theory import MODES, Chord, closest, usual_key
from musicgym.vector_env import MelodyComposeVectorEnv

__all__ = ["BenchmarkTask", "as_melodies", "corpus_windows", "read_task"]

#: What is never learned from.
HELD_OUT = ("test", "validation")
#: Fields from this one on came after the first records; their usual values are not written.
LATER = 7


@dataclass(frozen=True)
class BenchmarkTask:
    """A task of the benchmark; its JSON is its identity.

    Melodies are in C major and A minor, to which the corpora are transposed, over progressions
    that are not learned on: by default the held-out ones of a corpus, a chord a beat.

    Attributes:
        rewards: a preset's name or a dict of terms.
        corpus: where the progressions and the human melodies come from.
        split: the part of the corpus that is held out: test or validation.
        meter: ``"2/4"``, ``"3/4"``, ``"4/4"`` or ``"6/8"``.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        bars: bars of a melody.
        pitch_range: lowest and highest pitch.
        key: ``"natural"`` is C major and A minor; or one of the two.
        progression: what is played over; the held-out split of the corpus by default.
        practice: what may be learned on; the corpus's training split and common ones by default.
        chords_per_bar: chords a bar; one, or one a beat with a corpus, by default.
        reward_timing: when the reward is paid: ``"dense"``, ``"bar"`` or ``"end"``.
        opening_bars: bars of the human melody that are given and gone on from.
        practice_bars: bars of what is learned on; those of the task by default.

    >>> BenchmarkTask("acmg").digest
    '5918d765'
    """

    rewards: RewardSpec = "balanced"
    corpus: str = "chorales"
    split: str = "test"
    meter: str = "4/4"
    steps_per_beat: int = 2
    bars: int = 8
    pitch_range: tuple[str | int, str | int] = ("C3", "B5")
    key: str = "natural"
    progression: str = ""
    practice: tuple[str, ...] = ()
    chords_per_bar: int | None = None
    reward_timing: str = "dense"
    opening_bars: int = 0
    practice_bars: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without the corpus."""
        if self.split not in HELD_OUT:
            raise ValueError(f"split: {self.split!r} is not one of {', '.join(HELD_OUT)}.")
        if not isinstance(self.corpus, str):
            raise ValueError(f"corpus: {self.corpus!r} is not a corpus's name.")
        object.__setattr__(self, "pitch_range", self.plain("random").pitch_range)
        object.__setattr__(self, "practice", tuple(self.practice))
        check_word("reward_timing", self.reward_timing, TIMINGS)
        for name, most in (("opening_bars", self.bars - 1), ("practice_bars", self.bars)):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= most:
                raise ValueError(f"{name}: {value!r} is not a whole number from 0 to {most}.")
        task = self.plain("random")
        self.reward.meet(task, constants(task, self.reward.readings))

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The task as a plain dict; what came later is left out where it is as usual."""
        later = {f.name: f.default for f in fields(self)[LATER:]}
        return {n: v for n, v in asdict(self).items() if n not in later or v != later[n]}

    @property
    def json(self) -> str:
        """The task as JSON text, with sorted names."""
        return json.dumps(self.spec, sort_keys=True)

    @property
    def learned_on(self) -> tuple[str, ...]:
        """The progressions that may be learned on."""
        return self.practice or (f"corpus:{self.corpus}/train", "random")

    @property
    def digest(self) -> str:
        """Eight hex digits of the JSON."""
        return hashlib.sha256(self.json.encode()).hexdigest()[:8]

    @property
    def name(self) -> str:
        """A short name for people: the preset, and what is not as usual."""
        words = [self.rewards if isinstance(self.rewards, str) else "rewards"]
        usual = BenchmarkTask()
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != getattr(usual, field.name):
                words.append(f"{field.name}={value}".replace("/", ":"))
        return "-".join(words) + ("" if isinstance(self.rewards, str) else f"-{self.digest}")

    def plain(self, progression: str | None = None) -> Task:
        """Return the task of the environment, over the corpus's progressions or others."""
        return Task(**self._arguments(progression))

    def _arguments(self, progression: str | None) -> dict[str, Any]:
        return {
            "key": self.key,
            "progression": progression or self.progression or f"corpus:{self.corpus}/{self.split}",
            "meter": self.meter,
            "steps_per_beat": self.steps_per_beat,
            "bars": self.bars,
            "chords_per_bar": self.chords_per_bar,
            "pitch_range": self.pitch_range,
        }

    def arguments(self, progression: str | None = None) -> dict[str, Any]:
        """Return the arguments of the environment, plain JSON; of practice over what is learned on.

        Args:
            progression: one of `learned_on`, or another to practise on; none for the held-out ones.
        """
        given = {**self._arguments(progression), "pitch_range": list(self.pitch_range)}
        if progression is not None:
            given["bars"] = self.practice_bars or self.bars
        if given["chords_per_bar"] is None:
            del given["chords_per_bar"]
        return {**given, "rewards": self.rewards, "reward_timing": self.reward_timing}

    @cached_property
    def task(self) -> Task:
        """The task of the environment over the held-out progressions."""
        return self.plain()

    @cached_property
    def lesson(self) -> Task:
        """What is learned on, but for its progressions: it may be shorter."""
        return replace(self.plain("random"), bars=self.practice_bars or self.bars)

    @property
    def given(self) -> int:
        """Steps of the opening, which are not the entry's own."""
        return self.opening_bars * self.task.steps_per_bar

    @property
    def own(self) -> int:
        """Steps that are the entry's own."""
        return self.task.steps - self.given

    def openings(self, episodes: Episodes) -> npt.NDArray[np.int64]:
        """Return the opening (B, given) of each episode.

        It is that of the first human melody of the split over the same chords.

        Raises:
            ValueError: the chords of an episode are those of no human melody.
        """
        every = slice(None, None, self.task.steps_per_chord)
        roots, codes = (np.asarray(part)[:, every] for part in (episodes.roots, episodes.codes))
        if not self.given:
            return np.zeros((len(roots), 0), np.int64)
        modes = np.asarray(episodes.mode).tolist()
        try:
            found = [self._opening[key] for key in _chords(modes, roots, codes)]
        except KeyError:
            raise ValueError(
                "opening: there is no human melody over the chords of an episode."
            ) from None
        return np.array(found, np.int64)

    @cached_property
    def _opening(self) -> dict[Any, npt.NDArray[np.uint8]]:
        corpus = load_corpus(self.corpus, steps_per_beat=self.steps_per_beat)
        cut = corpus_windows(corpus, self.split, self.task)
        told = episodes_of(cut, self.task)
        every = slice(None, None, self.steps_per_beat)
        keys = _chords(cut.modes.tolist(), told.roots[:, every], told.codes[:, every])
        pairs = zip(keys, cut.events[:, : self.given], strict=True)
        return dict(reversed(list(pairs)))  # the first of those over the same chords

    @cached_property
    def reward(self) -> Reward:
        """The reward, for episodes of this length."""
        return load(self.rewards, steps=self.plain("random").steps)

    def envs(self, size: int) -> MelodyComposeVectorEnv:
        """Return environments of this task, as `musicgym.agents.rollout.play` needs them."""
        made = gym.make_vec(
            "MelodyCompose-v0",
            num_envs=size,
            **self.arguments(),
            observation="compact",
            autoreset_mode="Disabled",
            backend="arrays",  # a few hundred episodes are over before a kernel is compiled
        )
        assert isinstance(made, MelodyComposeVectorEnv)
        return made


def corpus_windows(corpus: Corpus, split: str, task: Task) -> Windows:
    """Return the human melodies of a split for a task, in its modes and its form.

    Raises:
        ValueError: the corpus has none of this meter, length, range and mode.
    """
    cut = formed(
        corpus, split, task.form, bars=task.bars, meter=task.meter, low=task.low, high=task.high
    )
    fits = np.flatnonzero(np.isin(cut.modes, [MODES.index(mode) for mode in task.modes]))
    if not len(fits):
        raise ValueError(
            f"corpus {corpus.name!r}, split {split!r}: no window in {' or '.join(task.modes)}."
        )
    if len(fits) == len(cut.modes):
        return cut
    return cut.at(fits)


def _chords(modes: list[int], roots: Any, codes: Any) -> list[Any]:
    """Return the mode and the chords above the tonic of each episode, to look up."""
    rows = np.concatenate([roots, codes], axis=1).astype(np.uint8)
    return [(mode, row.tobytes()) for mode, row in zip(modes, rows, strict=True)]


def as_melodies(cut: Windows, task: Task) -> list[Melody]:
    """Return windows as melodies in C major and A minor."""
    keys = (usual_key(0, "major"), usual_key(9, "minor"))
    return [
        Melody(
            tuple(events.tolist()),
            task.low,
            keys[mode],
            tuple(map(Chord.of, cut.roots[i], cut.codes[i])),
            task.meter,
            task.steps_per_beat,
            cut.names[i],
        )
        for i, (events, mode) in enumerate(zip(cut.events, cut.modes, strict=True))
    ]


def read_task(text: str, **usual: Any) -> BenchmarkTask:
    """Return the task that a preset's name, JSON text or a JSON file says.

    Args:
        text: such as ``acmg``, ``{"rewards": "acmg", "bars": 4}``, or a path ending in .json.
        usual: fields that the text does not say.

    Raises:
        ValueError: an unknown preset or field, or no JSON.
    """
    said: Any = {"rewards": text}
    if text.lstrip().startswith("{") or text.endswith(".json"):
        source = text
        if text.endswith(".json"):
            source = Path(text).read_text()
        try:
            said = json.loads(source)
        except json.JSONDecodeError as error:
            raise ValueError(f"task: {text!r} is not JSON: {error}.") from error
        if not isinstance(said, dict):
            raise ValueError(f"task: {text!r} is not a JSON object of fields.")
    known = [field.name for field in fields(BenchmarkTask)]
    for name in said:
        if name not in known:
            raise ValueError(
                f"task: {name!r} is not a field{closest(name, known)}; "
                f"the fields are {', '.join(known)}."
            )
    return BenchmarkTask(**{**usual, **said})
