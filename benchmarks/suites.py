"""Suites: versioned sets of tasks that entries are ranked on, and their environments by name.

To import this module registers an environment for each task of the suite ``v1`` but the one whose
opening is given: ``gym.make("musicgym.benchmarks.suites:MelodyCompose/jazz-v1")`` plays over what
is held out, and ``SUITES["v1"].task("jazz").task.arguments("set:jazz/train")`` are the arguments
of the same over what may be learned on.
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym

from musicgym.rewards.presets import balanced
from musicgym.theory import closest

from .tasks import BenchmarkTask

__all__ = ["SUITES", "Suite", "SuiteTask"]


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite.

    Attributes:
        name: in one word.
        task: what is composed over and what pays.
        about: what it asks of an entry, in a sentence.
        budget: environment steps that an entry may learn for.
        focus: the figure that it is about.
        no_optimum: why it has no exact optimum; empty where it has one.
    """

    name: str
    task: BenchmarkTask
    about: str
    budget: int = 1_000_000
    focus: str = "return"
    no_optimum: str = ""


@dataclass(frozen=True)
class Suite:
    """A set of tasks under one version.

    Attributes:
        name: the version.
        tasks: by their names.
    """

    name: str
    tasks: tuple[SuiteTask, ...]

    def task(self, name: str) -> SuiteTask:
        """Return the task of a name.

        Raises:
            ValueError: there is none.
        """
        known = {task.name: task for task in self.tasks}
        if name not in known:
            raise ValueError(
                f"task: {name!r} is not one of suite {self.name}{closest(name, known)}; there are "
                f"{', '.join(known)}."
            )
        return known[name]

    @property
    def corpora(self) -> tuple[tuple[str, int], ...]:
        """The corpora that its tasks need, each with the slots a beat of its grid."""
        return tuple(dict.fromkeys((t.task.corpus, t.task.steps_per_beat) for t in self.tasks))


#: The five numbers of sad chorales and their deviations, see `musicgym.emotion.targets`: taken
#: over the training windows of eight bars, and rounded.
SAD = {
    "values": [
        [0.5625, 2.2351, 2.8091, 28.5159, 0.4531],
        [0.4063, 1.8125, 2.0472, 17.9137, -0.3125],
        [0.4063, 1.4231, 2.0472, 28.5159, 0.4531],
        [0.5625, 2.2351, 3.5512, 17.9137, -0.3125],
        [0.4688, 1.8125, 2.8091, 25.2007, 0.25],
    ],
    "deviations": [0.0638, 0.321, 0.5782, 4.096, 0.303],
}

V1 = (
    SuiteTask(
        "acmg",
        BenchmarkTask("acmg"),
        "The rules of the paper as they stand, over the held-out chords of the chorales.",
    ),
    SuiteTask(
        "balanced",
        BenchmarkTask("balanced"),
        "The same rules in musical proportion, over the same chords.",
    ),
    SuiteTask(
        "balanced_bar",
        BenchmarkTask("balanced", reward_timing="bar"),
        "The balanced rules, paid at the end of each bar: which of its notes was it for?",
    ),
    SuiteTask(
        "balanced_end",
        BenchmarkTask("balanced", reward_timing="end"),
        "The balanced rules, paid once after the last note: credit over 64 steps.",
    ),
    SuiteTask(
        "minor",
        BenchmarkTask("balanced", key="A minor"),
        "The balanced rules in A minor alone, beside human melodies in minor alone.",
    ),
    SuiteTask(
        "waltz",
        BenchmarkTask("balanced", corpus="folk", meter="3/4"),
        "Folk tunes in 3/4, over chords that were inferred from other tunes like them.",
    ),
    SuiteTask(
        "progressions",
        BenchmarkTask("balanced", practice=("random",)),
        "Practice on common four- and eight-chord loops only, then the chorales' chord a beat.",
    ),
    SuiteTask(
        "long",
        BenchmarkTask(
            "balanced", bars=32, progression="corpus:chorales/test/aaba", practice_bars=8
        ),
        "Practice on 8 bars, then 32 in the form AABA. No chorale of the test split is so long: "
        "the human melodies are joined to the same form from windows of 8 bars.",
    ),
    SuiteTask(
        "jazz",
        BenchmarkTask(
            "balanced",
            steps_per_beat=4,
            progression="set:jazz/test",
            practice=("set:jazz/train",),
            chords_per_bar=2,
        ),
        "Two-five-ones and their relatives in sevenths, two chords a bar, on a grid of sixteenths. "
        "The human melodies and the prior are the chorales', over their own chords.",
    ),
    SuiteTask(
        "continuation",
        BenchmarkTask("balanced", opening_bars=2),
        "Two bars of the human melody are given: go on for six. Only those six are paid and count "
        "in KL and entropy; practice is without an opening.",
    ),
    SuiteTask(
        "emotion",
        BenchmarkTask(
            {**balanced(64), "emotion": {"weight": 10.0, "target": "sad", "scorer": SAD}},
            key="A minor",
        ),
        "The balanced rules in minor, and as near as can be to a sad melody in note density, "
        "intervals, spread, register and mode.",
        focus="return_emotion",
        no_optimum="The emotion is a distance of means and deviations over the whole melody, which "
        "no small state can hold; the balanced rules alone have an optimum (task minor).",
    ),
    SuiteTask(
        "recovery",
        BenchmarkTask("balanced", progression="corpus:chorales/test/turn"),
        "In bars 5 and 6 the chords are another tune's, a whole tone higher, which practice never "
        "shows: what is paid on the next strong beat, half a bar after the change?",
        focus="reward_after_change",
    ),
)  # fmt: skip

SMALL = (
    SuiteTask("acmg", BenchmarkTask("acmg", bars=4), "The rules of the paper over 4 bars.", 50_000),
    SuiteTask(
        "balanced", BenchmarkTask("balanced", bars=4), "The balanced rules over 4 bars.", 50_000
    ),
    SuiteTask(
        "recovery",
        BenchmarkTask("balanced", bars=4, progression="corpus:chorales/test/turn"),
        "The balanced rules over 4 bars, of which the third is a whole tone higher.",
        50_000,
        "reward_after_change",
    ),
)

#: The suites by name; what one of them says never changes.
SUITES = {name: Suite(name, tasks) for name, tasks in (("v1", V1), ("small", SMALL))}

for _task in V1:
    if not _task.task.opening_bars:  # a reset takes an opening, the making of it none
        gym.register(
            id=f"MelodyCompose/{_task.name}-v1",
            entry_point="musicgym.env:MelodyComposeEnv",
            vector_entry_point="musicgym.vector_env:MelodyComposeVectorEnv",
            kwargs=_task.task.arguments(),
        )
