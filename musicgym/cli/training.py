"""Commands that train: `pretrain` and `train`, and what fixes an agent."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from tyro import conf

from musicgym.agents.configs import (
    DEFAULT_LEARNING,
    MODELS,
    A2CConfig,
    ActorConfig,
    ActorCriticConfig,
    CVAEGANConfig,
    CVAEGANTraining,
    HierarchicalTraining,
    HierarchicalVAEConfig,
    KLConfig,
    LearningConfig,
    LSTMVAEConfig,
    MelodyLSTMConfig,
    PPOConfig,
    PretrainConfig,
    TransformerVAEConfig,
    TransformerVAETraining,
    VAETraining,
)

if TYPE_CHECKING:
    from musicgym.agents.acmg import ACMG, ACMGConfig
    from musicgym.corpus.dataset import Corpus


from .text import silent, stages

__all__ = ["Pretrain", "Train", "Training"]


@dataclass(frozen=True)
class Training:
    """What fixes an agent, apart from its learning.

    Attributes:
        corpus: corpus of the prior and of the progressions.
        meter: 2/4, 3/4, 4/4 or 6/8.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        bars: bars of a training melody.
        practice: progressions to learn on in turn; by default the corpus's and common ones.
        device: cpu, or cuda.
    """

    corpus: str = "chorales"
    meter: str = "4/4"
    steps_per_beat: int = 2
    bars: int = 8
    practice: tuple[str, ...] = ()
    device: str = "cpu"

    def config(self, **changes: Any) -> ACMGConfig:
        """Return the configuration of the agent."""
        from musicgym.agents.acmg import ACMGConfig

        practice = self.practice or (f"corpus:{self.corpus}/train", "random")
        return ACMGConfig(
            corpus=self.corpus,
            meter=self.meter,
            steps_per_beat=self.steps_per_beat,
            bars=self.bars,
            progressions=practice,
            **changes,
        )

    def load(self, path: Path) -> ACMG:
        """Return the agent of a checkpoint; its meter and grid must be those asked for."""
        from musicgym.agents.acmg import ACMG

        self.config().task()  # an unknown meter or grid shows here
        agent = ACMG.load(path, self.device)
        own = (agent.config.meter, agent.config.steps_per_beat)
        if own != (self.meter, self.steps_per_beat):
            raise ValueError(
                f"agent: {path} plays {own[0]} with {own[1]} steps a beat; "
                f"add --meter {own[0]} --steps-per-beat {own[1]}, or train another."
            )
        return agent

    def named(self, agent: str) -> ACMG:
        """Return the agent of a name or of a checkpoint; a named one is trained if need be.

        Raises:
            ValueError: it is neither, or the checkpoint is of another meter or grid.
        """
        from musicgym.agents.library import obtain, with_prior
        from musicgym.theory import closest

        if agent == "acmg":
            return obtain(self.config(), self.data(), stages(None), device=self.device)[0]
        if agent in MODELS:
            size, training = MODELS[agent]
            config = self.config(model=ActorCriticConfig(size()), pretraining=training())
            return with_prior(config, self.data(), stages(None), self.device)
        path, names = Path(agent), ("acmg", *MODELS)
        if not path.exists() and not path.suffix:
            raise ValueError(
                f"agent: {agent!r} is neither a file nor one of {', '.join(names)}"
                f"{closest(agent, names) or '.'}"
            )
        return self.load(path)

    def data(self) -> Corpus:
        """Return the corpus, prepared if it is not yet."""
        from musicgym.corpus.dataset import prepare

        return prepare(self.corpus, steps_per_beat=self.steps_per_beat, jobs=os.cpu_count() or 1)


Size = TypeVar("Size", bound=ActorConfig)


Way = TypeVar("Way", bound=PretrainConfig)


def _melody_lstm(
    actor: MelodyLSTMConfig = MelodyLSTMConfig(),  # noqa: B008 (frozen)
    critic_hidden: int = ActorCriticConfig.critic_hidden,
    shared: bool = ActorCriticConfig.shared,
) -> ActorCriticConfig:
    """Return the sizes of a Melody_LSTM and its critic.

    Args:
        actor: the size of the Melody_LSTM.
        critic_hidden: width of the separate critic's two layers.
        shared: let the value be a linear readout of the actor's LSTM instead.
    """
    return ActorCriticConfig(actor, critic_hidden, shared)


if TYPE_CHECKING:
    ModelName = str
else:
    ModelName = Literal[tuple(MODELS)]

#: On the command line the actor of a size is a Melody_LSTM.
Model = Annotated[ActorCriticConfig, conf.arg(constructor=_melody_lstm)]


@dataclass(frozen=True)
class Pretraining(Training, Generic[Size, Way]):
    """Pretrain a model on a corpus: a prior of learning by rules, and a player of its own.

    A pretraining that was stopped goes on where it stood.

    Attributes:
        out: where to write it; the library by default.
        log: folder for TensorBoard; none by default.
        start_from: an agent of the same size, grid and range whose weights it starts from,
            pretrained on another corpus; needs --out.
        folds: cross-validate instead: pretrain so many times, each on other tunes of training and
            validation, and print what each reaches on those that it has not heard. 0 does not.
        model: its size.
        prior: how it is pretrained.
    """

    model: Size = field(kw_only=True)
    prior: Way = field(kw_only=True)
    out: Path | None = None
    log: Path | None = None
    start_from: Path | None = None
    folds: int = 0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.acmg import ACMG
        from musicgym.agents.library import prior_path, with_prior

        config = self.config(model=ActorCriticConfig(self.model), pretraining=self.prior)
        if self.start_from and not self.out:
            raise ValueError("start-from: add --out FILE, where the new agent is written.")
        start = ACMG.load(self.start_from, self.device) if self.start_from else None
        if start:
            ACMG(config).weights_of(start)  # a mistake shows before a corpus is prepared
        corpus = self.data()
        if self.folds:
            self._cross_validate(config, corpus)
            return
        agent = with_prior(config, corpus, stages(self.log), self.device, start, self.out)
        for name, value in agent.facts["pretraining"].items():
            print(f"{name:26} {value:.4f}")
        print(f"{'epochs':26} {len(agent.facts['curve']['learning_rate'])}")
        print(self.out or prior_path(config, corpus.fingerprint))

    def _cross_validate(self, config: ACMGConfig, corpus: Corpus) -> None:
        from musicgym.agents.pretraining import cross_validate

        found = cross_validate(
            corpus, config.task(), self.model, self.prior, self.folds,
            lambda fold: stages(self.log and self.log / f"fold{fold}")(
                "pretrain", self.prior.epochs
            ),
            self.device,
        )  # fmt: skip
        name = next(iter(found[0]))
        reached = [figures[name] for figures in found]
        for fold, value in enumerate(reached, 1):
            print(f"fold {fold}: {name} {value:.4f}")
        print(f"{name} {mean(reached):.4f} +- {stdev(reached):.4f} over {len(reached)} folds")


@dataclass(frozen=True)
class PretrainStyle:
    """Fit the network of the `style` reward on the chorales and the folk tunes.

    Attributes:
        meter: 2/4, 3/4, 4/4 or 6/8.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        bars: bars of a melody.
        out: where to write it; the library by default.
    """

    meter: str = "4/4"
    steps_per_beat: int = 2
    bars: int = 8
    out: Path | None = None

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.style import scorer
        from musicgym.task import Task

        task = Task(
            key="natural", progression="random", meter=self.meter,
            steps_per_beat=self.steps_per_beat, bars=self.bars,
        )  # fmt: skip
        model, path = scorer(task)
        if self.out:
            model.save(self.out)
        print(f"styles: {', '.join(model.classes)}")
        print(self.out or path)


@dataclass(frozen=True)
class Pretrain:
    """Pretrain a model on a corpus: Melody_LSTM by default, or a generator."""

    model: (
        Annotated[
            Pretraining[MelodyLSTMConfig, PretrainConfig],
            conf.subcommand("melody_lstm", description="An LSTM over events; no latent vector."),
        ]
        | Annotated[
            Pretraining[LSTMVAEConfig, VAETraining],
            conf.subcommand("lstm_vae", description="LSTMs on either side of a latent vector."),
        ]
        | Annotated[
            Pretraining[TransformerVAEConfig, TransformerVAETraining],
            conf.subcommand("transformer_vae", description="The same with attention."),
        ]
        | Annotated[
            Pretraining[CVAEGANConfig, CVAEGANTraining],
            conf.subcommand("cvae_gan", description="Conditional, with a critic of whole pieces."),
        ]
        | Annotated[
            Pretraining[HierarchicalVAEConfig, HierarchicalTraining],
            conf.subcommand("hierarchical_vae", description="Two levels, attention, emotions."),
        ]
        | Annotated[
            PretrainStyle,
            conf.subcommand("style", description="The classifier of the style reward."),
        ]
    )

    def run(self) -> None:
        """Run the command."""
        self.model.run()


@dataclass(frozen=True)
class Train(Training):
    """Train ACMG by PPO or A2C; a run that was stopped goes on where it stood.

    Under torchrun its processes train one agent: each plays a part of the melodies.

    Attributes:
        algorithm: ppo or a2c.
        rewards: a preset: acmg, acmg_no_theory, acmg_no_chords, acmg_literal, balanced, rl_tuner,
            rl_tuner_literal.
        num_envs: melodies an iteration, over all processes.
        out: where to write the agent; the library by default.
        log: folder for TensorBoard; none by default.
        actor: what learns: melody_lstm, or a generator at its default size.
        pretrained: start from the pretrained actor and stay near it; otherwise random weights and
            no KL.
        model: the sizes of Melody_LSTM and of the critic.
        prior: how Melody_LSTM is pretrained.
        ppo: PPO's settings.
        a2c: A2C's settings.
    """

    algorithm: conf.Positional[Literal["ppo", "a2c"]] = "ppo"
    rewards: str = "balanced"
    num_envs: int | None = None
    out: Path | None = None
    log: Path | None = None
    actor: ModelName = "melody_lstm"
    pretrained: bool = True
    model: Model = field(default_factory=ActorCriticConfig)
    prior: PretrainConfig = field(default_factory=PretrainConfig)
    ppo: PPOConfig = DEFAULT_LEARNING
    a2c: A2CConfig = field(default_factory=lambda: A2CConfig(kl=KLConfig(0.5, 0.13)))

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.library import obtain
        from musicgym.agents.parallel import join

        given: dict[str, Any] = {"model": self.model, "pretraining": self.prior}
        if self.actor != "melody_lstm":
            actor, training = MODELS[self.actor]
            given = {"model": replace(self.model, actor=actor()), "pretraining": training()}
        if not self.pretrained:
            given["pretraining"] = None
        if self.num_envs is not None or self.algorithm == "a2c":
            given["num_envs"] = 16 if self.num_envs is None else self.num_envs
        learning: LearningConfig = self.ppo if self.algorithm == "ppo" else self.a2c
        if not self.pretrained:
            learning = replace(learning, kl=KLConfig())
        config = self.config(rewards=self.rewards, learning=learning, **given)
        with join(self.device) as team:
            size = len(team.rows(config.num_envs))
            corpus = team.in_turn(self.data)
            made = team.in_turn(  # mistakes show now
                lambda: [config.envs(p, size) for p in config.progressions]
            )
            shown = stages(self.log) if team.leads else silent
            if team.leads:
                print(made[0].reward.table())
            _, path = obtain(config, corpus, shown, self.out, team.device, team)
            if team.leads:
                print(path)
