"""Entries: whatever can be evaluated, named in one word.

Simple policies, tables, Melody_LSTM, best-of-N of it, the exact and the soft optimum, agents that
are trained where they are missing, checkpoints, and a user's own policies go in by one door.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from musicgym.agents import heuristics
from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.actor_critic import Actor
from musicgym.agents.best_of_n import BestOfN, kl_bound
from musicgym.agents.configs import (
    DEFAULT_LEARNING,
    GENERATORS,
    MODELS,
    A2CConfig,
    ActorCriticConfig,
    KLConfig,
    PPOConfig,
    Sampling,
)
from musicgym.agents.exact_planner import ExactPlanner
from musicgym.agents.generators.generator import Generator
from musicgym.agents.lessons import lessons
from musicgym.agents.library import Stage, agent_path, obtain, prior_path, with_prior
from musicgym.agents.markov import MarkovTable
from musicgym.agents.melody_lstm import MelodyLSTM
from musicgym.agents.policy import Policy
from musicgym.agents.sb3 import SB3Config, read_zip
from musicgym.agents.sb3_training import sb3_path, train
from musicgym.agents.soft_planner import SoftPlanner, beta_at
from musicgym.corpus.dataset import Corpus
from musicgym.dynamics import Episodes
from musicgym.files import cache_folder
from musicgym.reward import load
from musicgym.theory import closest

from .entry_files import BUILT_IN, POLICIES, SEARCH, WEIGHTS, EntrySpec, importable, spec_of
from .own_entries import Own, factory_of, taken_by
from .settings import with_settings
from .tasks import BenchmarkTask

__all__ = ["BASELINES", "ENTRIES", "Entry", "Workshop"]

SIMPLE: dict[str, type] = {
    "uniform_random": heuristics.UniformRandom,
    "held_tonic": heuristics.HeldTonic,
    "nearest_chord_tone": heuristics.NearestChordTone,
    "alternated_chord_tones": heuristics.AlternatedChordTones,
}
#: How the built-in agents learn; each is trained on the task's own reward.
LEARNED = {
    "acmg_ppo": DEFAULT_LEARNING,
    "acmg_a2c": A2CConfig(total_steps=3_000_000, kl=KLConfig(0.5, 0.14)),
    "acmg_ppo_free": PPOConfig(total_steps=1_000_000),
    "acmg_a2c_free": A2CConfig(total_steps=1_000_000),
}
#: How PPO goes on with the generators as they come from the corpus.
FINE_TUNING = replace(DEFAULT_LEARNING, total_steps=1_000_000)
FINE_TUNED = {f"{name}_ppo": name for name in GENERATORS}
#: How Stable-Baselines3's models learn.
OUTSIDE = {
    "sb3_ppo": SB3Config("ppo"),
    "sb3_a2c": SB3Config("a2c", n_envs=16, n_steps=16),
    "sb3_recurrent_ppo": SB3Config("recurrent_ppo", batch_size=2048),
}
#: Episodes of an iteration, where they are not those of the default agent.
SIZES = {"acmg_a2c": 16, "acmg_a2c_free": 16, "acmg_ppo_free": 32}
#: Steps of a melody for which these are meant; of longer ones an iteration has fewer.
USUAL_STEPS = 64
#: An iteration has fewer melodies, down to the least, where a budget would be spent in fewer
#: iterations than this: the price of KL is adapted, and the weights are, once an iteration.
ITERATIONS, LEAST = 64, 8
ENTRIES = tuple(BUILT_IN)
#: Baselines that not every reward has.
PLANNERS = ("soft_optimum", "optimum")
#: The rows that any agent stands beside.
BASELINES = (*SIMPLE, "markov", "melody_lstm", *PLANNERS)
#: The KL to its own prior, in nats a step, at which the soft optimum is taken, and the episodes
#: over which its price is found.
SOFT_KL, SOFT_EPISODES = 0.12, 32
#: Rows of a learning curve that are told, at most.
ROWS = 60
#: The budget of a user's own agent where neither it nor the run says one.
USUAL_BUDGET = 1_000_000
#: What the run says, so that no setting may say otherwise.
GIVEN = ("total_steps", "seed", "learning.total_steps", "learning.seed")
#: What a factory is told where it asks for it, beside the task and its settings.
TOLD = ("seed", "steps", "benchmark_task", "folder")


class Entry(NamedTuple):
    """One row of an evaluation.

    Attributes:
        name: in one word.
        policy: what plays.
        sampling: how its events are drawn.
        facts: what it took: training steps and seconds, samples a melody, a checkpoint.
        kl_bound: nats a step, where the policy's logits do not say how far it is from the prior.
        base: the generator that it began as, if it did; how far it went from it is another figure.
    """

    name: str
    policy: Policy
    sampling: Sampling = Sampling()
    facts: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    kl_bound: float | None = None
    base: Actor | None = None


@dataclass(frozen=True)
class Workshop:
    """Makes the entries of a task, and keeps what they share.

    Attributes:
        task: what they are graded on.
        corpus: what they learn from; only its training split.
        stage: shows the stages of training.
        device: where agents learn.
        agents: where trained agents are kept; the user's cache by default.
    """

    task: BenchmarkTask
    corpus: Corpus
    stage: Stage
    device: str = "cpu"
    agents: Path | None = None

    @cached_property
    def prior(self) -> MelodyLSTM:
        """Melody_LSTM, pretrained on the training split: the one prior of the task."""
        config = self.config(BUILT_IN["acmg_ppo"], 1)
        made = with_prior(config, self.corpus, self.stage, self.device).prior
        assert isinstance(made, MelodyLSTM)
        return made

    @cached_property
    def table(self) -> MarkovTable:
        """The Markov table of the training split."""
        plain = self.task.lesson
        return MarkovTable(plain).fit(lessons(self.corpus, "train", plain))

    def check(self, entry: str | EntrySpec) -> None:
        """Raise a ValueError where there is no such entry, before anything is trained.

        Its settings are looked at as well: those that its policy does not have are refused.
        """
        spec = spec_of(entry) if isinstance(entry, str) else entry
        try:
            self._check(spec)
        except ValueError as error:
            text = str(error).removeprefix("entry: ")
            raise ValueError(f"entry {spec.name}: {text}") from error

    def _check(self, spec: EntrySpec) -> None:
        policy, settings = spec.policy, spec.settings
        for name in GIVEN:
            if name in settings:
                field = name.rpartition(".")[2]
                raise ValueError(
                    f"settings: {name} is given by the run; "
                    f"{'say steps instead' if field == 'total_steps' else 'leave it out'}."
                )
        if policy in OUTSIDE:
            self.outside(spec, 1)
        elif policy in LEARNED or policy in FINE_TUNED or policy in GENERATORS:
            config = self.config(spec, 1)
            load(config.rewards, config.task().steps)
        elif ":" in policy:
            self._own(spec)
        elif policy.endswith(".zip"):
            if set(settings) != {"algorithm"}:
                raise ValueError("settings: a .zip of SB3 needs its algorithm, and nothing else.")
            SB3Config(settings["algorithm"])
        elif policy == "soft_optimum":
            with_settings(Soft(), settings)
        elif settings:
            raise ValueError(f"settings: {policy} has none, but {', '.join(settings)} is given.")

    def make(self, entry: str | EntrySpec, episodes: Episodes, seed: int = 1) -> Entry:
        """Return an entry ready to play; what must be trained and is not there is trained.

        Args:
            entry: what it is; or a word for it, see `spec_of`.
            episodes: those of the evaluation; the soft optimum takes its price of KL from them.
            seed: of the training.

        Raises:
            ValueError: there is no such entry, it cannot play this task, or a checkpoint is of
                another task.
        """
        spec = spec_of(entry) if isinstance(entry, str) else entry
        self.check(spec)
        made = self._make(spec, episodes, seed)
        facts = spec.facts
        told = made.facts.get("training_steps", 0)
        return made._replace(
            name=spec.name,
            sampling=Sampling(spec.temperature),
            facts={**made.facts, **facts, **({} if spec.steps is not None else {"budget": told})},
        )

    @staticmethod
    def title(entry: str | EntrySpec) -> str:
        """Return the name of an entry's row: a checkpoint's without its folder."""
        return (spec_of(entry) if isinstance(entry, str) else entry).name

    def trained(self, config: ACMGConfig) -> Entry:
        """Return the agent of a configuration as an entry, trained if it is not there."""
        place = agent_path(config, self.corpus.fingerprint)
        path = self.agents / place.name if self.agents else None
        agent, path = obtain(config, self.corpus, self.stage, path, device=self.device)
        return self._of(agent, path)

    def generator(self, name: str, spec: EntrySpec | None = None) -> Entry:
        """Return a generator as it comes from the corpus, pretrained if it is not there."""
        config = self.config(spec or BUILT_IN[name], 1)
        agent = with_prior(config, self.corpus, self.stage, self.device)
        if agent.prior is None:
            raise ValueError(f"pretraining: {name} plays what it learned, so it needs one.")
        facts = {"parameters": sum(p.numel() for p in agent.prior.parameters())}
        return Entry(name, agent.prior, facts={**agent.facts.get("pretraining", {}), **facts})

    def content(self, entry: str | EntrySpec, seed: int) -> str:
        """Return what fixes an entry beside its name and seed, without making it.

        Of a user's own policy that is the file of its factory, not what this imports.
        """
        spec = spec_of(entry) if isinstance(entry, str) else entry
        policy, fingerprint = spec.policy, self.corpus.fingerprint
        heat = [] if spec.temperature == 1 else [f"at {spec.temperature:g}"]
        if policy in OUTSIDE:
            return "-".join([sb3_path(*self.outside(spec, seed), fingerprint).stem, *heat])
        if policy in LEARNED or policy in FINE_TUNED:
            return "-".join([self.content_of(self.config(spec, seed)), *heat])
        search = SEARCH.fullmatch(policy)
        if policy in GENERATORS:
            return "-".join([prior_path(self.config(spec, 1), fingerprint).stem, *heat])
        if search and search[2]:
            config = self.config(BUILT_IN[search[2]], 1)
            parts = [prior_path(config, fingerprint).stem]
        else:
            parts = [fingerprint]
        source = policy if policy.endswith(WEIGHTS) else None
        if ":" in policy:
            source = getattr(inspect.getmodule(self._own(spec)), "__file__", None)
            parts += [str(spec.steps)] * (spec.steps is not None)
        if source:
            parts.append(hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16])
        if spec.settings:
            parts.append(json.dumps(spec.settings, sort_keys=True))
        if policy not in POLICIES and not search or policy != spec.name.partition("@")[0]:
            parts.append(Path(policy).name if policy.endswith(WEIGHTS) else policy)
        return "-".join(parts + heat)

    def content_of(self, config: ACMGConfig) -> str:
        """Return what fixes the agent of a configuration: its name in the library."""
        return agent_path(config, self.corpus.fingerprint).stem

    def _make(self, spec: EntrySpec, episodes: Episodes, seed: int) -> Entry:
        task, reward, name = self.task.task, self.task.reward, spec.policy
        if name in SIMPLE:
            return Entry(name, SIMPLE[name](task))
        if name == "markov":
            return Entry(name, self.table)
        if name == "melody_lstm":
            return Entry(name, self.prior)
        if name in GENERATORS:
            return self.generator(name, spec)
        if found := SEARCH.fullmatch(name):
            n = int(found[1])
            drawn = self.generator(found[2]).policy if found[2] else self.prior
            return Entry(
                name,
                BestOfN(drawn, task, reward, n, seed, self.task.openings, device=self.device),
                facts={"samples": n}, kl_bound=kl_bound(n, self.task.own),
            )  # fmt: skip
        if name == "optimum":
            return Entry(name, ExactPlanner(task, reward))
        if name == "soft_optimum":
            few = Episodes(*(part[:SOFT_EPISODES] for part in episodes))
            kl = with_settings(Soft(), spec.settings).kl
            beta = beta_at(task, reward, few, self.table, kl)
            facts = {"beta": beta, "kl_to_markov": kl}
            return Entry(name, SoftPlanner(task, reward, self.table, beta), facts=facts)
        if name in LEARNED or name in FINE_TUNED:
            return self.trained(self.config(spec, seed))
        if name in OUTSIDE:
            return self._outside(spec, seed)
        if name.endswith(".zip"):
            model = read_zip(Path(name), spec.settings["algorithm"], task)
            return Entry(name, model, facts={"checkpoint": Path(name).name})
        if name.endswith(".safetensors"):
            return self._of(ACMG.load(Path(name), self.device), Path(name))
        return self._call(spec, seed)

    def config(self, spec: EntrySpec, seed: int) -> ACMGConfig:
        """Return the configuration of an entry that is an actor-critic or a generator.

        Raises:
            ValueError: a setting is not one of its own, or out of its range.
        """
        name = spec.policy
        model = name if name in GENERATORS else FINE_TUNED.get(name, "melody_lstm")
        size, training = MODELS[model]
        usual = ACMGConfig()
        learning = replace(LEARNED.get(name, FINE_TUNING), seed=seed)
        if spec.steps:
            learning = replace(learning, total_steps=spec.steps)
        steps, envs = self.task.lesson.steps, SIZES.get(name, usual.num_envs)
        most = min(envs * USUAL_STEPS // steps, learning.total_steps // (ITERATIONS * steps))
        made = ACMGConfig(
            model=ActorCriticConfig(size()),
            pretraining=training(),
            num_envs=min(envs, max(LEAST, most)),
            learning=learning,
            **self._practice(),
        )
        changed: ACMGConfig = with_settings(made, spec.settings)
        return changed

    def outside(self, spec: EntrySpec, seed: int) -> tuple[SB3Config, ACMGConfig]:
        """Return how a model of Stable-Baselines3 learns, and what it practises on.

        Raises:
            ValueError: a setting is not one of its own, or out of its range.
        """
        config = replace(OUTSIDE[spec.policy], seed=seed)
        if spec.steps:
            config = replace(config, total_steps=spec.steps)
        practice = ACMGConfig(pretraining=None, **self._practice())
        return with_settings(config, spec.settings), practice

    def _practice(self) -> dict[str, Any]:
        """Return the fields of an `ACMGConfig` that say what the task practises on."""
        task = self.task
        return {
            "corpus": task.corpus,
            "meter": task.meter,
            "steps_per_beat": task.steps_per_beat,
            "bars": task.lesson.bars,
            "pitch_range": task.pitch_range,
            "rewards": task.rewards,
            "progressions": task.learned_on,
            "key": task.key,
            "chords_per_bar": task.chords_per_bar,
            "reward_timing": task.reward_timing,
        }

    def _outside(self, spec: EntrySpec, seed: int) -> Entry:
        config, practice = self.outside(spec, seed)
        path = sb3_path(config, practice, self.corpus.fingerprint, self.agents)
        made = train(config, practice, path, self.stage("learn", config.total_steps))
        facts = {
            "checkpoint": path.name,
            "trained_on": practice.rewards,
            **made.facts,
            "curve": curve([[steps, paid, None] for steps, _, paid in made.curve]),
        }
        return Entry(spec.name, made, facts=facts)

    def _own(self, spec: EntrySpec) -> Callable[..., Any]:
        """Return a user's own factory, which takes the settings that are given."""
        made = factory_of(spec)
        taken = taken_by(made)
        for name in spec.settings:
            if name in TOLD or (taken is not None and name not in taken):
                allowed = [word for word in taken or () if word not in TOLD]
                raise ValueError(
                    f"settings: {spec.policy} takes no {name!r}{closest(name, allowed)}; it takes "
                    f"{', '.join(allowed) or 'none'}."
                )
        return made

    def _call(self, spec: EntrySpec, seed: int) -> Entry:
        """Return what a user's own factory makes; it may train within its budget."""
        factory, task, steps = self._own(spec), self.task.task, spec.steps or USUAL_BUDGET
        content = hashlib.sha256(self.content(spec, seed).encode()).hexdigest()[:8]
        place = f"{spec.name}-{seed}-{self.task.digest}-{content}"
        folder = (self.agents or cache_folder("agents")) / "own" / place
        told: dict[str, Any] = dict(zip(TOLD, (seed, steps, self.task, folder), strict=True))
        taken = taken_by(factory)
        words = {name: value for name, value in told.items() if taken is None or name in taken}
        if "folder" in words:
            folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        with importable(spec.folder):
            made = factory(task, **words, **spec.settings)
        facts: dict[str, Any] = dict(getattr(made, "facts", {}))
        if "steps" in words:
            facts.setdefault("training_steps", steps)
            facts.setdefault("training_seconds", round(time.perf_counter() - started, 3))
        if rows := getattr(made, "curve", []):
            facts["curve"] = curve([[*row, None][:3] for row in rows])
        return Entry(spec.name, Own(spec.policy, made, task.n_events), facts=facts)

    def _of(self, agent: ACMG, path: Path) -> Entry:
        config, plain = agent.config, self.task.plain("random")
        own, asked = config.task(), (plain.meter, plain.steps_per_beat, plain.low, plain.high)
        if (own.meter, own.steps_per_beat, own.low, own.high) != asked:
            raise ValueError(
                f"entry: {path} plays {own.meter}, {own.steps_per_beat} steps a beat, pitches "
                f"{own.low} to {own.high}; the task has {asked[0]}, {asked[1]}, {asked[2]} to "
                f"{asked[3]}."
            )
        steps, seconds = agent.to_90_percent()
        history = agent.facts.get("history", [])
        facts = {
            "checkpoint": path.name,
            "algorithm": config.algorithm,
            "trained_on": config.rewards,
            "training_steps": int(history[-1][0]) if history else 0,
            "training_seconds": round(sum(row[1] for row in history), 3),
            "kl_target": config.learning.kl.target,
            "steps_to_90_percent": steps,
            "seconds_to_90_percent": seconds,
            "parameters": sum(p.numel() for p in agent.model.parameters()),
            "curve": curve([[row[0], row[2], row[3]] for row in history]),
        }
        began = agent.prior if isinstance(agent.prior, Generator) else None
        return Entry(path.stem, agent.model.actor, facts=facts, base=began)


@dataclass(frozen=True)
class Soft:
    """The settings of the soft optimum.

    Attributes:
        kl: nats a step from the Markov table.
    """

    kl: float = SOFT_KL

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 < self.kl < 100:
            raise ValueError(f"kl: {self.kl!r} is not above 0.")


def curve(rows: Sequence[Sequence[float | None]]) -> list[list[float | None]]:
    """Return a learning curve [steps, return, KL] in 60 rows at most, each a mean over its part.

    >>> curve([[1, 2.0, None], [2, 4.0, None]])
    [[1, 2.0, None], [2, 4.0, None]]
    >>> curve([[i, float(i), 0.5] for i in range(1, 121)])[:2]
    [[2, 1.5, 0.5], [4, 3.5, 0.5]]
    """
    made: list[list[float | None]] = []
    for part in np.array_split(np.arange(len(rows)), min(ROWS, len(rows))) if rows else ():
        some = [rows[i] for i in part]
        columns = [[row[j] for row in some] for j in (1, 2)]
        means = [None if None in column else float(np.mean(column)) for column in columns]
        made.append([some[-1][0], *means])
    return made
