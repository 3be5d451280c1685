"""ACMG: the assembled method. An actor learns from a corpus, then from rules, then composes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.corpus.dataset import Corpus
from musicgym.env import MelodyComposeEnv
from musicgym.melody import Melody
from musicgym.observation import layout
from musicgym.randomness import first_key
from musicgym.reward import RewardSpec
from musicgym.task import Task
from musicgym.theory import Key, parse_pitch

from . import a2c, checkpoints, ppo
from .actor_critic import Actor, ActorCritic, make_actor
from .checkpoints import CheckpointError
from .configs import (
    DEFAULT_LEARNING,
    MODELS,
    A2CConfig,
    ActorCriticConfig,
    KLConfig,
    LearningConfig,
    PPOConfig,
    PretrainConfig,
    Sampling,
    model_name,
)
from .generators.generator import Generator
from .learning import Learner, Report
from .parallel import ALONE, Team
from .policy import chances
from .pretraining import pretrain
from .rollout import Rollout, play
from .sampler import Sampler

__all__ = ["HISTORY", "MOST_AT_ONCE", "ACMG", "ACMGConfig", "Composed"]

#: What is kept of each iteration, in `ACMG.facts` and in its file: the learning curve.
HISTORY = ("steps", "seconds", "return", "kl", "entropy")
#: Melodies that are composed in one batch, at most.
MOST_AT_ONCE = 10_000
#: Single environments that an agent keeps: one for each key.
ENVIRONMENTS = 24
#: Fields that came after the first agents, and their usual values, which are not written.
LATER = {"key": "natural", "chords_per_bar": None, "reward_timing": "dense"}
ALGORITHMS = {"ppo": (PPOConfig, ppo.update), "a2c": (A2CConfig, a2c.update)}


@dataclass(frozen=True)
class ACMGConfig:
    """What an ACMG agent is and how it is trained.

    Attributes:
        corpus: the corpus of the prior and of the progressions.
        meter: the meter of its melodies.
        steps_per_beat: grid slots a beat.
        bars: bars of a training melody; longer and shorter ones can be composed.
        pitch_range: lowest and highest pitch in C major and A minor.
        rewards: the reward that it learns.
        progressions: what it practises on, in turn from iteration to iteration.
        num_envs: melodies an iteration.
        model: the sizes of actor and critic.
        pretraining: how the actor learns from the corpus; None starts from random weights.
        learning: a `PPOConfig` or an `A2CConfig`.
        key: the keys of training: ``"natural"`` (C major and A minor) or one of the two.
        chords_per_bar: chords a bar of what it practises on; None = 1, or one a beat of a corpus.
        reward_timing: when it is paid: ``"dense"``, ``"bar"`` or ``"end"``.
    """

    corpus: str = "chorales"
    meter: str = "4/4"
    steps_per_beat: int = 2
    bars: int = 8
    pitch_range: tuple[str | int, str | int] = ("C3", "B5")
    rewards: RewardSpec = "balanced"
    progressions: tuple[str, ...] = ("corpus:chorales/train", "random")
    num_envs: int = 128
    model: ActorCriticConfig = field(default_factory=ActorCriticConfig)
    pretraining: PretrainConfig | None = field(default_factory=PretrainConfig)
    learning: LearningConfig = DEFAULT_LEARNING
    key: str = "natural"
    chords_per_bar: int | None = None
    reward_timing: str = "dense"

    def __post_init__(self) -> None:
        """Check the number of environments and the pretraining; the rest where it is used."""
        if self.num_envs < 1:
            raise ValueError(f"num_envs: {self.num_envs!r} is not 1 or more.")
        name = model_name(self.model.actor)
        _, training = MODELS[name]
        if self.pretraining is not None and type(self.pretraining) is not training:
            raise ValueError(
                f"pretraining: a {name} is pretrained by {training.__name__}, not by "
                f"{type(self.pretraining).__name__}."
            )

    @property
    def algorithm(self) -> str:
        """``"ppo"`` or ``"a2c"``."""
        return "ppo" if isinstance(self.learning, PPOConfig) else "a2c"

    def task(self, progression: str = "random") -> Task:
        """Return the task of training."""
        return Task(**self._task(progression))

    def _task(self, progression: str | Sequence[str]) -> dict[str, Any]:
        return {
            "key": self.key,
            "progression": progression,
            "meter": self.meter,
            "bars": self.bars,
            "steps_per_beat": self.steps_per_beat,
            "chords_per_bar": self.chords_per_bar,
            "pitch_range": self.pitch_range,
        }

    def envs(self, progression: str | Sequence[str], size: int, **changes: Any) -> Any:
        """Return a vector environment of this agent's task, with changes."""
        return gym.make_vec(
            "MelodyCompose-v0",
            num_envs=size,
            **{
                **self._task(progression),
                "rewards": self.rewards,
                "reward_timing": self.reward_timing,
                "observation": "compact",
                "autoreset_mode": "Disabled",
                **changes,
            },
        )

    @staticmethod
    def of(model: str) -> ACMGConfig:
        """Return the agent of a model's name, at its default size and pretraining."""
        size, training = MODELS[model]
        return ACMGConfig(model=ActorCriticConfig(size()), pretraining=training())

    def to_json(self) -> str:
        """Return the configuration as JSON text, read back by `from_json`."""
        data = {**asdict(self), "algorithm": self.algorithm}
        for name, usual in LATER.items():  # the names of agents in the library stay as they were
            if data[name] == usual:
                del data[name]
        name = model_name(self.model.actor)
        if name != "melody_lstm":
            data["model"]["actor"]["model"] = name
        return json.dumps(data, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> ACMGConfig:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        make, _ = ALGORITHMS[data.pop("algorithm")]
        learning = data["learning"]
        learning["kl"] = KLConfig(**learning["kl"])
        model = data["model"]
        size, training = MODELS[model["actor"].pop("model", "melody_lstm")]
        model["actor"] = size(**_with_tuples(model["actor"]))
        if data["pretraining"]:
            data["pretraining"] = training(**data["pretraining"])
        data["pitch_range"] = tuple(data["pitch_range"])
        data["progressions"] = tuple(data["progressions"])
        data |= {"learning": make(**learning), "model": ActorCriticConfig(**model)}
        return ACMGConfig(**data)


@dataclass(frozen=True)
class Composed:
    """A melody and what the reward's terms paid for it.

    Attributes:
        melody: the melody.
        paid: term -> weight x raw value, summed over the melody.
        latent: what a generator played it under (L,); empty for others.
    """

    melody: Melody
    paid: dict[str, float]
    latent: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """The return."""
        return sum(self.paid.values())


class ACMG:
    """An actor-critic that learns from a corpus and from rules, and composes.

    The actor is a Melody_LSTM, or any of the generators.

    >>> agent = ACMG(ACMGConfig(pretraining=None))
    >>> made = agent.compose("D minor", "i VI III VII", count=2, seed=1)
    >>> made[0].melody.key.name, len(made)
    ('D minor', 2)
    """

    def __init__(self, config: ACMGConfig = ACMGConfig(), device: str = "cpu") -> None:  # noqa: B008
        """Make an untrained agent; its weights are fixed by the seed of `learning`."""
        self.config, self.device = config, check_device(device)
        task = config.task()
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(config.learning.seed)
            model = ActorCritic(layout(task), task.n_events, config.model)
        self.model = model.to(device).eval()
        self.prior: Actor | None = None
        self.facts: dict[str, Any] = {}
        self.learner: Learner | None = None
        self._resume: checkpoints.Checkpoint | None = None
        self._sampler = Sampler(self.model.actor)
        self._envs: list[tuple[dict[str, Any], MelodyComposeEnv]] = []

    def pretrain(
        self,
        corpus: Corpus,
        report: Report = lambda _: None,
        checkpoint: Path | None = None,
        start: ACMG | None = None,
    ) -> dict[str, float]:
        """Learn the next event of the corpus; return validation and test figures.

        Args:
            corpus: what it learns.
            report: called after each epoch with its figures.
            checkpoint: written after each epoch; a pretraining that was stopped goes on from it.
            start: an agent of the same size, pretrained on another corpus, to start from.
        """
        config = self.config.pretraining
        if config is None:
            raise ValueError("pretraining: this agent's configuration has none.")
        task = self.config.task()
        self.prior, figures, curve = pretrain(
            corpus, task, self.config.model.actor, config, report, self.device, checkpoint,
            self.weights_of(start) if start else None,
        )  # fmt: skip
        self.model.actor.load_state_dict(self.prior.state_dict())
        self.facts |= {"corpus": corpus.fingerprint, "pretraining": figures, "curve": curve}
        self.learner = self._resume = None
        return figures

    def weights_of(self, other: ACMG) -> dict[str, Tensor]:
        """Return the pretrained weights of another agent, which must read and play the same.

        Raises:
            ValueError: it has none, or its model, grid, meter, length or range are others.
        """
        if other.prior is None:
            raise ValueError("start_from: the other agent has no prior.")
        asked, found = (
            {
                "model": c.model.actor,
                "meter": c.meter,
                "steps_per_beat": c.steps_per_beat,
                "bars": c.bars,
                "pitch_range": tuple(map(parse_pitch, c.pitch_range)),
            }
            for c in (self.config, other.config)
        )
        for name in asked:
            if asked[name] != found[name]:
                raise ValueError(
                    f"start_from: that agent has {name} {found[name]}, and this one {asked[name]}."
                )
        return other.prior.state_dict()

    def start_from(self, other: ACMG) -> None:
        """Take the prior of another agent of the same size, and start from it."""
        if other.prior is None:
            raise ValueError("start_from: the other agent has no prior.")
        self.prior = other.prior
        self.facts = {k: v for k, v in other.facts.items() if k != "history"}
        self.model.actor.load_state_dict(other.prior.state_dict())
        self.learner = self._resume = None

    def learn(
        self,
        report: Report = lambda _: None,
        checkpoint: Path | None = None,
        every: int = 20,
        team: Team = ALONE,
    ) -> None:
        """Learn from the rules to the end of the configured steps, from wherever it stands.

        Args:
            report: called after each iteration with its figures.
            checkpoint: written every so many iterations, at the end, and on Ctrl-C; an agent loaded
                from it goes on to the bit.
            every: iterations from one checkpoint to the next.
            team: the processes that train this agent together; the leading one writes.
        """
        if not team.leads:
            checkpoint = None
        if self.learner is None:
            config = self.config
            _, update = ALGORITHMS[config.algorithm]
            size = len(team.rows(config.num_envs))
            cuda = self.device.startswith("cuda")
            where = {"backend": "tensor", "device": self.device} if cuda else {}
            envs = [config.envs(p, size, **where) for p in config.progressions]
            self.learner = Learner(self.model, envs, config.learning, update, self.prior, team)
            if self._resume:
                self.learner.restore(self._resume.tensors, self._resume.facts["learner"])
                self._resume = None
        learner = self.learner

        history = self.facts.setdefault("history", [])

        def reported(figures: dict[str, Any]) -> None:
            history.append([figures[name] for name in HISTORY])
            report(figures)
            if checkpoint and learner.iteration % every == 0:
                self.save(checkpoint)

        if checkpoint and not self.finished:
            self.save(checkpoint)  # a folder that cannot be written shows before the work
        try:
            learner.learn(reported)
        finally:
            if checkpoint:
                self.save(checkpoint)

    @property
    def finished(self) -> bool:
        """Whether it has learned all its configured steps."""
        return bool(self.learner and self.learner.iteration >= self.learner.iterations) or bool(
            self._resume and self._resume.facts.get("finished")
        )

    def to_90_percent(self) -> tuple[float, float]:
        """Return the steps and the seconds until 90 % of the rise of the return was done.

        The rise goes from the first iteration to the mean of the last tenth. NaN without a history.
        """
        curve = np.array(self.facts.get("history", []), np.float64)
        if not len(curve):
            return float("nan"), float("nan")
        steps, seconds, paid = curve[:, 0], curve[:, 1].cumsum(), curve[:, 2]
        last = paid[-max(1, len(paid) // 10) :].mean()
        there = int(np.argmax(paid >= paid[0] + 0.9 * (last - paid[0]))) if last > paid[0] else 0
        return float(steps[there]), float(seconds[there])

    def compose(
        self,
        key: str = "C major",
        progression: str | Sequence[str] = "I V vi IV",
        *,
        bars: int = 8,
        count: int = 1,
        seed: int = 1,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        opening: Sequence[int] = (),
        chords_per_bar: int | None = None,
        rewards: RewardSpec | None = None,
        latent: npt.ArrayLike | None = None,
        **attributes: str,
    ) -> list[Composed]:
        """Compose melodies over a progression: a few one after the other, many in one batch.

        The key is moved to C major or A minor for the agent and the melody back, so that every key
        is played as well as those two. A melody depends on the seed and its place only, not on how
        many are composed beside it. (Rounding changes a few events in 100,000.)

        Args:
            key: any of the 24 keys.
            progression: chords; they repeat and must divide the bars evenly.
            bars: bars of a melody.
            count: how many melodies.
            seed: fixes them.
            sampling: how events are drawn.
            opening: events to continue, in this agent's range moved by `shift(key)`.
            chords_per_bar: chords a bar, 1 by default.
            rewards: what to report; the agent's own by default.
            latent: of a generator: (L,) for all, or (count, L); drawn from the seed by default. A
                latent without the attributes, (Z,) or (count, Z), is completed by them.
            attributes: what a generator can be asked for, such as ``emotion="sad"``.

        Raises:
            ValueError: an argument is out of its range, or this agent has no latent vector or no
                such attribute.
        """
        if not 1 <= count <= MOST_AT_ONCE:
            raise ValueError(f"count: {count!r} is not from 1 to {MOST_AT_ONCE}.")
        if not 0 <= seed <= 2**63 - count:
            raise ValueError(f"seed: {seed!r} is not from 0 to 2**63 - {count}.")
        shift = self.shift(key)
        low, high = (parse_pitch(p) + shift for p in self.config.pitch_range)
        task: dict[str, Any] = {
            "key": key,
            "progression": progression,
            "bars": bars,
            "chords_per_bar": chords_per_bar,
            "pitch_range": (low, high),
            "rewards": rewards or self.config.rewards,
        }
        latents = self._latents(count, seed, latent, attributes)
        options = {"events": np.asarray(opening, np.int64)} if len(opening) else None
        if self.device == "cpu" and self._sampler.pays(count):
            env = self._alone(task)
            made = []
            for i in range(count):
                z = None if latents is None else latents[i : i + 1]
                rollout = self._sampler.play(env, seed, sampling, options, z, i)
                made += composed([env.melody], env.reward.names, env.weights, rollout)
            return made
        # a kernel for each key and length would take longer to compile than arrays to play
        envs = self.config.envs(**task, size=count, backend="arrays")
        rollout = play(envs, self.model.actor, seed, sampling, options, self.device, latent=latents)
        return composed(envs.melodies, envs.reward.names, envs.weights, rollout)

    def _alone(self, task: dict[str, Any]) -> MelodyComposeEnv:
        """Return a single environment of this agent's task, with changes; the last ones are kept.

        To make one takes half as long as to play 512 steps in it.
        """
        for kept, env in self._envs:
            if kept == task:
                return env
        whole = {**self.config._task(task["progression"]), **task, "observation": "compact"}
        env = MelodyComposeEnv(**whole)
        self._envs = [(deepcopy(task), env), *self._envs[: ENVIRONMENTS - 1]]
        return env

    @torch.no_grad()
    def _latents(
        self, count: int, seed: int, given: npt.ArrayLike | None, attributes: dict[str, str]
    ) -> Tensor | None:
        """Return what melodies are played under (count, L), as `play` draws it if none is given.

        Raises:
            ValueError: the agent has no latent vector or no such attribute, or the latent has a
                wrong size.
        """
        actor, name = self.model.actor, model_name(self.config.model.actor)
        if not isinstance(actor, Generator):
            for word in ("latent",) if given is not None else attributes:
                raise ValueError(f"{word}: a {name} has no {word}; a generator may have.")
            return None
        keys = first_key(torch.arange(count, device=self.device) + seed)
        chance = chances(keys, seed, 1)[0]
        if given is None:
            return actor.draw(chance, **attributes)
        rows = torch.as_tensor(np.asarray(given, np.float32), device=self.device)
        condition = actor.asked(count, chance, **attributes)
        z, whole = actor.config.latent, actor.config.latent + condition.shape[1]
        if rows.ndim not in (1, 2) or (rows.ndim == 2 and len(rows) != count):
            raise ValueError(
                f"latent: shape {tuple(rows.shape)} was given; ({whole},) or ({count}, {whole}) "
                "is allowed."
            )
        if rows.shape[-1] not in (z, whole):
            more = f", or {z} and its attributes" if z < whole else ""
            raise ValueError(
                f"latent: {rows.shape[-1]} numbers were given; this {name} plays under "
                f"{whole}{more}."
            )
        if attributes and z < whole == rows.shape[-1]:
            raise ValueError(
                f"latent: its last {whole - z} numbers are the attributes; give {z} numbers to ask "
                f"for {', '.join(attributes)}."
            )
        if not torch.isfinite(rows).all():
            raise ValueError("latent: its numbers must be finite.")
        rows = rows.expand(count, -1)
        return torch.cat([rows, condition], -1) if rows.shape[-1] < whole else rows

    @staticmethod
    def shift(key: str) -> int:
        """Return the semitones from C major or A minor to a key, -6 to 5."""
        parsed = Key.parse(key)
        return (parsed.tonic - (9 if parsed.minor else 0) + 6) % 12 - 6

    def save(self, path: Path) -> None:
        """Write weights, prior, configuration and progress to one file, whole."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        facts = {**self.facts, "config": self.config.to_json(), "finished": self.finished}
        if self.learner:
            tensors, facts["learner"] = self.learner.state()
        elif self._resume:
            tensors = {**self._resume.tensors}
            facts |= {k: v for k, v in self._resume.facts.items() if k == "learner"}
        if self.prior is not None:
            tensors |= {f"prior.{name}": value for name, value in self.prior.state_dict().items()}
        checkpoints.save(Path(path), "acmg", tensors, facts)

    @staticmethod
    def load(path: Path, device: str = "cpu") -> ACMG:
        """Read an agent; `learn` goes on where it stood.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: the file is corrupt or of another kind or format.
        """
        held = checkpoints.load(Path(path), "acmg", check_device(device))
        try:
            agent = ACMG(ACMGConfig.from_json(held.facts["config"]), device)
            agent.model.load_state_dict(checkpoints.under(held.tensors, "model"))
            if prior := checkpoints.under(held.tensors, "prior"):
                task = agent.config.task()
                size = agent.config.model.actor
                agent.prior = make_actor(layout(task), task.n_events, size).to(device)
                agent.prior.load_state_dict(prior)
                agent.prior.eval().requires_grad_(False)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint: {path} does not fit this musicgym ({error}); train again."
            ) from error
        known = ("corpus", "pretraining", "curve", "history")
        agent.facts = {name: held.facts[name] for name in known if name in held.facts}
        agent._resume = held if "learner" in held.facts else None
        return agent


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the lists of JSON as tuples again."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def check_device(device: str) -> str:
    """Return the device, or raise a ValueError where torch does not have it."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise ValueError(f"device: {device!r} is not one of cpu, cuda, cuda:0, ...")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device: {device!r} was asked for, but torch sees no GPU here; use cpu.")
    return device


def composed(
    melodies: Sequence[Melody],
    names: Sequence[str],
    weights: npt.NDArray[np.float64],
    rollout: Rollout,
) -> list[Composed]:
    """Return the melodies of a rollout (B), with what each of the terms (K) paid.

    Args:
        melodies: B of them.
        names: of the terms.
        weights: (K,).
        rollout: where they were played.
    """
    terms = np.ascontiguousarray(rollout.terms.double().cpu().numpy())
    paid = (terms.sum(1) * weights).tolist()  # (B, K); contiguous: summed alike in any batch
    latents: list[Any] = [()] * len(melodies)
    if rollout.latent is not None:
        latents = rollout.latent.cpu().tolist()
    return [
        Composed(melody, dict(zip(names, row, strict=True)), tuple(latent))
        for melody, row, latent in zip(melodies, paid, latents, strict=True)
    ]
