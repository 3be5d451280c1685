"""Entries: whatever can be evaluated, named in one word.

Simple policies, tables, Melody_LSTM, best-of-N of it, the exact and the soft optimum, agents that
are trained where they are missing, checkpoints, and a user's own policies go in by one door.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

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
from musicgym.agents.soft_planner import SoftPlanner, beta_at
from musicgym.corpus.dataset import Corpus
from musicgym.dynamics import Episodes
from musicgym.theory import closest

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
}
#: How PPO goes on with the generators as they come from the corpus.
FINE_TUNING = replace(DEFAULT_LEARNING, total_steps=1_000_000)
FINE_TUNED = {f"{name}_ppo": name for name in GENERATORS}
#: Episodes of an iteration, where they are not those of the default agent.
SIZES = {"acmg_a2c": 16, "acmg_ppo_free": 32}
ENTRIES = (
    *SIMPLE, "markov", "melody_lstm", "best_of_64", *GENERATORS, *LEARNED, *FINE_TUNED,
    "soft_optimum", "optimum",
)  # fmt: skip
#: Best of N of Melody_LSTM, or of a generator.
SEARCH = re.compile(rf"best_of_(\d{{1,6}})(?:_({'|'.join(GENERATORS)}))?")
#: Baselines that not every reward has.
PLANNERS = ("soft_optimum", "optimum")
#: The rows that any agent stands beside.
BASELINES = (*SIMPLE, "markov", "melody_lstm", *PLANNERS)
#: The KL to its own prior, in nats a step, at which the soft optimum is taken, and the episodes
#: over which its price is found.
SOFT_KL, SOFT_EPISODES = 0.12, 32


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


class Own:
    """A user's own policy, with a plain word where it is none or gives no logits."""

    def __init__(self, name: str, policy: Any, n_events: int) -> None:
        """Keep the policy."""
        if not callable(policy) or not hasattr(policy, "initial_state"):
            raise ValueError(
                f"entry: {name} returned {policy!r}, which is no policy: it has not both "
                f"initial_state(episodes) and __call__(observation, state)."
            )
        self.name, self.policy, self.n_events = name, policy, n_events

    def initial_state(self, episodes: Episodes) -> Any:
        """Return the policy's state at the start."""
        return self.policy.initial_state(episodes)

    def __call__(self, observation: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the policy's logits (B, A) and its next state."""
        said = self.policy(observation, state)
        if not isinstance(said, tuple) or len(said) != 2:
            raise ValueError(f"entry: {self.name} gave {type(said).__name__}, not logits, state.")
        logits, wanted = said[0], (len(observation), self.n_events)
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            raise ValueError(f"entry: the logits of {self.name} are no tensor of floats.")
        if logits.shape != wanted:
            raise ValueError(
                f"entry: {self.name} gave logits {tuple(logits.shape)}, not {wanted}, a row a "
                f"melody and a column an event."
            )
        return said


@dataclass(frozen=True)
class Workshop:
    """Makes the entries of a task, and keeps what they share.

    Attributes:
        task: what they are graded on.
        corpus: what they learn from; only its training split.
        stage: shows the stages of training.
        device: where agents learn.
        agents: folder of what learns by rules; the user's cache by default.
    """

    task: BenchmarkTask
    corpus: Corpus
    stage: Stage
    device: str = "cpu"
    agents: Path | None = None

    @cached_property
    def prior(self) -> MelodyLSTM:
        """Melody_LSTM, pretrained on the training split: the one prior of the task."""
        made = with_prior(self._config("acmg_ppo", 1), self.corpus, self.stage, self.device).prior
        assert isinstance(made, MelodyLSTM)
        return made

    @cached_property
    def table(self) -> MarkovTable:
        """The Markov table of the training split."""
        plain = self.task.lesson
        return MarkovTable(plain).fit(lessons(self.corpus, "train", plain))

    def check(self, name: str) -> None:
        """Raise a ValueError where there is no such entry, before anything is trained."""
        base, _, heat = name.partition("@")
        search = SEARCH.fullmatch(base)
        if search and not int(search[1]):
            raise ValueError(f"entry: the N of {name!r} is not 1 or more.")
        if search and heat:
            raise ValueError(f"entry: {name!r}: best of N draws at temperature 1 only.")
        known = base in ENTRIES or search
        if not (known or ":" in base or base.endswith(".safetensors")):
            raise ValueError(
                f"entry: {name!r} is none{closest(base, ENTRIES)}; there are {', '.join(ENTRIES)}, "
                f"best_of_N, best_of_N_lstm_vae, a checkpoint (.safetensors), or "
                f"package.module:factory for your own."
            )
        if base.endswith(".safetensors") and not Path(base).exists():
            raise ValueError(f"entry: there is no file {base}.")
        _sampling(heat)

    def make(self, name: str, episodes: Episodes, seed: int = 1) -> Entry:
        """Return the entry of a name; what must be trained and is not there is trained.

        Args:
            name: one of `ENTRIES`, ``best_of_N`` of any N, a checkpoint, or
                ``package.module:factory``, a function of a `Task` that returns a policy. With
                ``@T`` it plays at temperature T.
            episodes: those of the evaluation; the soft optimum takes its price of KL from them.
            seed: of the training.

        Raises:
            ValueError: there is no such entry, or the checkpoint is of another task.
        """
        self.check(name)
        base, _, heat = name.partition("@")
        made = self._make(base, episodes, seed)
        return made._replace(name=self.title(name), sampling=_sampling(heat))

    @staticmethod
    def title(name: str) -> str:
        """Return the name of an entry's row: a checkpoint's without its folder."""
        base, at, heat = name.partition("@")
        return (Path(base).stem if base.endswith(".safetensors") else base) + at + heat

    def trained(self, config: ACMGConfig) -> Entry:
        """Return the agent of a configuration as an entry, trained if it is not there."""
        kept = self.agents and self.agents / agent_path(config, self.corpus.fingerprint).name
        agent, path = obtain(config, self.corpus, self.stage, kept, self.device)
        return self._of(agent, path)

    def generator(self, name: str) -> Entry:
        """Return a generator as it comes from the corpus, pretrained if it is not there."""
        config = self._config(f"{name}_ppo", 1)
        agent = with_prior(config, self.corpus, self.stage, self.device)
        assert agent.prior is not None
        facts = {"parameters": sum(p.numel() for p in agent.prior.parameters())}
        return Entry(name, agent.prior, facts={**agent.facts.get("pretraining", {}), **facts})

    def content(self, name: str, seed: int) -> str:
        """Return what fixes an entry beside its name and seed, without making it.

        Of a user's own policy that is the file of its factory, not what this imports.
        """
        base = name.partition("@")[0]
        if base in LEARNED or base in FINE_TUNED:
            return self.content_of(self._config(base, seed))
        search = SEARCH.fullmatch(base)
        if generator := base if base in GENERATORS else search and search[2]:
            config = self._config(f"{generator}_ppo", 1)
            return prior_path(config, self.corpus.fingerprint).stem
        parts, source = [self.corpus.fingerprint], None
        if base.endswith(".safetensors"):
            source = base
        elif ":" in base:
            source = getattr(inspect.getmodule(_own(base)), "__file__", None)
        if source:
            parts.append(hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16])
        return "-".join(parts)

    def content_of(self, config: ACMGConfig) -> str:
        """Return what fixes the agent of a configuration: its name in the library."""
        return agent_path(config, self.corpus.fingerprint).stem

    def _make(self, name: str, episodes: Episodes, seed: int) -> Entry:
        task, reward = self.task.task, self.task.reward
        if name in SIMPLE:
            return Entry(name, SIMPLE[name](task))
        if name == "markov":
            return Entry(name, self.table)
        if name == "melody_lstm":
            return Entry(name, self.prior)
        if name in GENERATORS:
            return self.generator(name)
        if found := SEARCH.fullmatch(name):
            n = int(found[1])
            drawn = self.generator(found[2]).policy if found[2] else self.prior
            return Entry(
                name, BestOfN(drawn, task, reward, n, seed, device=self.device),
                facts={"samples": n}, kl_bound=kl_bound(n, task.steps),
            )  # fmt: skip
        if name == "optimum":
            return Entry(name, ExactPlanner(task, reward))
        if name == "soft_optimum":
            few = Episodes(*(part[:SOFT_EPISODES] for part in episodes))
            beta = beta_at(task, reward, few, self.table, SOFT_KL)
            facts = {"beta": beta, "kl_to_markov": SOFT_KL}
            return Entry(name, SoftPlanner(task, reward, self.table, beta), facts=facts)
        if name in LEARNED or name in FINE_TUNED:
            return self.trained(self._config(name, seed))
        if name.endswith(".safetensors"):
            return self._of(ACMG.load(Path(name), self.device), Path(name))
        return Entry(name, Own(name, _own(name)(task), task.n_events))

    def _config(self, name: str, seed: int) -> ACMGConfig:
        task, usual = self.task, ACMGConfig()
        size, training = MODELS[FINE_TUNED.get(name, "melody_lstm")]
        return ACMGConfig(
            model=ActorCriticConfig(size()),
            pretraining=training(),
            corpus=task.corpus,
            meter=task.meter,
            steps_per_beat=task.steps_per_beat,
            bars=task.lesson.bars,
            pitch_range=task.pitch_range,
            rewards=task.rewards,
            progressions=task.learned_on,
            key=task.key,
            chords_per_bar=task.chords_per_bar,
            reward_timing=task.reward_timing,
            num_envs=SIZES.get(name, usual.num_envs),
            learning=replace(LEARNED.get(name, FINE_TUNING), seed=seed),
        )

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
        facts = {
            "checkpoint": path.name,
            "algorithm": config.algorithm,
            "trained_on": config.rewards,
            "training_steps": config.learning.total_steps,
            "training_seconds": sum(row[1] for row in agent.facts.get("history", [])),
            "kl_target": config.learning.kl.target,
            "steps_to_90_percent": steps,
            "seconds_to_90_percent": seconds,
            "parameters": sum(p.numel() for p in agent.model.parameters()),
        }
        began = agent.prior if isinstance(agent.prior, Generator) else None
        return Entry(path.stem, agent.model.actor, facts=facts, base=began)


def _sampling(heat: str) -> Sampling:
    """Return how events are drawn at a temperature in text; none is 1."""
    try:
        return Sampling(float(heat)) if heat else Sampling()
    except ValueError as error:
        raise ValueError(f"entry: {heat!r} is not a temperature from 0 to 100.") from error


def _own(name: str) -> Callable[..., Policy]:
    """Return a user's own factory of policies."""
    module, _, attribute = name.partition(":")
    try:
        made: Callable[..., Policy] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"entry: {name!r} cannot be loaded: {error}. Is its folder on PYTHONPATH?"
        ) from error
    if not callable(made):
        raise ValueError(f"entry: {name!r} is {made!r}, no function of a task.")
    return made
