"""The command line: ``musicgym data | pretrain | train | compose | reconstruct | ...``."""

from __future__ import annotations

import errno
import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

import tyro
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
from musicgym.processes import place

if TYPE_CHECKING:
    from musicgym.agents.acmg import ACMG, ACMGConfig, Composed
    from musicgym.agents.library import Stage
    from musicgym.corpus.dataset import Corpus
    from musicgym.melody import Melody

__all__ = ["main"]

Size = TypeVar("Size", bound=ActorConfig)
Way = TypeVar("Way", bound=PretrainConfig)


@dataclass(frozen=True)
class Prepare:
    """Prepare a corpus: read, label, transpose, split by tune, and keep it in the cache.

    Attributes:
        corpus: chorales (Bach), or folk (fiddle tunes over inferred chords; some minutes).
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        jobs: processes that read in parallel.
    """

    corpus: str = "chorales"
    steps_per_beat: int = 2
    jobs: int = os.cpu_count() or 1

    def run(self) -> None:
        """Run the command."""
        from musicgym.corpus import dataset

        if self.jobs < 1:
            raise ValueError(f"jobs: {self.jobs!r} is not 1 or more.")
        made = dataset.prepare(self.corpus, steps_per_beat=self.steps_per_beat, jobs=self.jobs)
        print(dataset.summary(made))


@dataclass(frozen=True)
class Import:
    """Import a folder of MIDI, MusicXML, ABC, CSV or JSON files as a corpus.

    Attributes:
        path: the folder, or one file.
        name: name of the corpus; the folder's by default.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
    """

    path: conf.Positional[Path]
    name: str | None = None
    steps_per_beat: int = 2

    def run(self) -> None:
        """Run the command."""
        from musicgym.corpus.files import import_folder

        print(import_folder(self.path, name=self.name, steps_per_beat=self.steps_per_beat))


@dataclass(frozen=True)
class Data:
    """Prepare or import corpora."""

    action: (
        Annotated[Prepare, conf.subcommand("prepare")]
        | Annotated[Import, conf.subcommand("import")]
    )

    def run(self) -> None:
        """Run the command."""
        self.action.run()


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
            return obtain(self.config(), self.data(), _stages(None), device=self.device)[0]
        if agent in MODELS:
            size, training = MODELS[agent]
            config = self.config(model=ActorCriticConfig(size()), pretraining=training())
            return with_prior(config, self.data(), _stages(None), self.device)
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
        agent = with_prior(config, corpus, _stages(self.log), self.device, start, self.out)
        for name, value in agent.facts["pretraining"].items():
            print(f"{name:26} {value:.4f}")
        print(f"{'epochs':26} {len(agent.facts['curve']['learning_rate'])}")
        print(self.out or prior_path(config, corpus.fingerprint))

    def _cross_validate(self, config: ACMGConfig, corpus: Corpus) -> None:
        from musicgym.agents.pretraining import cross_validate

        found = cross_validate(
            corpus, config.task(), self.model, self.prior, self.folds,
            lambda fold: _stages(self.log and self.log / f"fold{fold}")(
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
        actor: what learns: melody_lstm, or a generator, lstm_vae, transformer_vae, cvae_gan or
            hierarchical_vae, at its default size.
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
    actor: Literal["melody_lstm", "lstm_vae", "transformer_vae", "cvae_gan", "hierarchical_vae"] = (
        "melody_lstm"
    )
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
            stages = _stages(self.log) if team.leads else _silent
            if team.leads:
                print(made[0].reward.table())
            _, path = obtain(config, corpus, stages, self.out, team.device, team)
            if team.leads:
                print(path)


@dataclass(frozen=True)
class Compose(Training):
    """Compose melodies over a progression; the agent is trained first where there is none.

    Attributes:
        key: such as "C major", "D minor", "Bb major".
        progression: roman numerals or chord symbols; they repeat and must divide the bars evenly.
        chords_per_bar: chords a bar.
        bars: bars of a melody.
        count: how many melodies.
        seed: fixes the melodies.
        out: folder for the files.
        agent: acmg, the default agent of the meter and grid; melody_lstm, lstm_vae,
            transformer_vae, cvae_gan or hierarchical_vae, as pretrained; or a checkpoint.
        emotion: cheerful, sad, calm, tense or neutral, of a hierarchical_vae.
        style: chorales or folk, of a cvae_gan.
        temperature: below 1 is safer, above 1 bolder.
        top_k: keep the k most likely events; 0 keeps all.
        top_p: keep the fewest events with this probability.
        opening: events to go on from, such as "C5 . E5 . G5 . . -" (. holds, - rests).
        tempo: quarter notes a minute.
    """

    key: str = "C major"
    progression: str = "I V vi IV"
    chords_per_bar: int = 1
    count: int = 1
    seed: int = 1
    out: Path = Path("out")
    agent: str = "acmg"
    emotion: str | None = None
    style: str | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    opening: str = ""
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.configs import Sampling
        from musicgym.export import save_all
        from musicgym.melody import parse_events
        from musicgym.theory import Key, parse_pitch

        key = Key.parse(self.key).name.replace(" ", "-").replace("#", "s").lower()
        wanted = {"emotion": self.emotion, "style": self.style}
        attributes = {name: value for name, value in wanted.items() if value is not None}
        words = (self.agent if self.agent in MODELS else "acmg", *attributes.values(), key)
        sampling = Sampling(self.temperature, self.top_k, self.top_p)
        agent = self._agent()
        low, high = (parse_pitch(p) + agent.shift(self.key) for p in agent.config.pitch_range)
        made = agent.compose(
            self.key,
            self.progression,
            bars=self.bars,
            count=self.count,
            seed=self.seed,
            sampling=sampling,
            opening=parse_events(self.opening, low, high),
            chords_per_bar=self.chords_per_bar,
            **attributes,
        )
        missing: list[str] = []
        for number, piece in enumerate(made, 1):
            stem = f"{'-'.join(words)}-{self.seed}-{number}"
            melody = replace(piece.melody, name=stem)
            paths, missing = save_all(melody, self.out, stem, tempo=self.tempo)
            print(_summary(replace(piece, melody=melody), paths))
        for line in missing:
            print(f"not written: {line}")

    def _agent(self) -> ACMG:
        """Return the agent; those with a name have learned melodies of 8 bars."""
        usual = replace(self, bars=8)
        if self.agent == "acmg" or self.agent in MODELS:
            asked = {"key": self.key, "bars": self.bars, "chords_per_bar": self.chords_per_bar}
            usual.config().envs(self.progression, 1, **asked)  # a mistake shows before the training
        return usual.named(self.agent)


def _summary(piece: Composed, paths: Sequence[Path]) -> str:
    """Return a melody in note names, what each term paid, and the paths of its files."""
    lines = [f"\n{piece.melody.name}  ({piece.melody.key.name})", piece.melody.bars(), ""]
    lines += [f"  {name:18} {value:+8.2f}" for name, value in piece.paid.items()]
    lines += [f"  {'reward':18} {piece.total:+8.2f}", ""]
    return "\n".join([*lines, *(f"  {path}" for path in paths)])


@dataclass(frozen=True)
class Reconstruct(Training):
    """Read a melody into latent vectors, a window at a time, and play it again from them.

    Attributes:
        file: MIDI, MusicXML, ABC, CSV or JSON. Its chords are kept; without any they are inferred.
        agent: lstm_vae, transformer_vae, cvae_gan, hierarchical_vae, or a checkpoint.
        temperature: 0 plays the most likely events, 1 draws them.
        seed: fixes what is drawn.
        out: folder for the files.
        tempo: quarter notes a minute.
    """

    file: conf.Positional[Path] = field(kw_only=True)
    agent: str = "lstm_vae"
    temperature: float = 0.0
    seed: int = 1
    out: Path = Path("out")
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.configs import Sampling
        from musicgym.agents.exploration import joined, reconstruct
        from musicgym.export import save_all

        melody = _heard(self.file, self)
        sampling = Sampling(self.temperature)
        found = reconstruct(self.named(self.agent), melody, sampling, self.seed)
        steps = len(found[0].original.events)
        for number, window in enumerate(found, 1):
            print(f"\nwindow {number}: {100 * window.same:.0f} % of {steps} steps are equal")
            print(f"  as it was\n{window.original.bars()}")
            print(f"  from its latent\n{window.melody.bars()}")
            print(f"  {window.nats:.1f} nats under its latent, {window.nats_without:.1f} under 0")
            print(f"  {window.kl:.1f} nats of KL to the prior")
        mean_same = mean(window.same for window in found)
        print(f"\nequal steps: {100 * mean_same:.1f} %")
        left = (len(melody.events) - steps * len(found)) // melody.steps_per_bar
        if left:
            print(f"bars that fill no window, and a pickup bar, are left out: {left}")
        missing: list[str] = []
        for name in ("original", "reconstruction"):
            stem = f"{self.file.stem}-{name}"
            parts = [w.original if name == "original" else w.melody for w in found]
            paths, missing = save_all(joined(parts, stem), self.out, stem, tempo=self.tempo)
            print(*(f"  {path}" for path in paths), sep="\n")
        for line in missing:
            print(f"not written: {line}")


@dataclass(frozen=True)
class Interpolate(Training):
    """Play melodies on the way from one melody to another, between their latent vectors.

    Attributes:
        one: where it begins: a MIDI, MusicXML, ABC, CSV or JSON file; its first window is read.
        other: where it ends.
        agent: lstm_vae, transformer_vae, cvae_gan, hierarchical_vae, or a checkpoint.
        count: melodies, the first and the last included.
        progression: chords to play over, in the key of the first; its own chords by default.
        chords_per_bar: of that progression.
        temperature: 0 plays the most likely events, 1 draws them, with the same chances in each.
        seed: fixes what is drawn.
        out: folder for the files.
        tempo: quarter notes a minute.
    """

    one: conf.Positional[Path] = field(kw_only=True)
    other: conf.Positional[Path] = field(kw_only=True)
    agent: str = "lstm_vae"
    count: int = 7
    progression: str | None = None
    chords_per_bar: int = 1
    temperature: float = 0.0
    seed: int = 1
    out: Path = Path("out")
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.configs import Sampling
        from musicgym.agents.exploration import interpolate
        from musicgym.export import MissingExtra
        from musicgym.export.roll_stack import stacked
        from musicgym.files import write_whole

        ends = [_heard(file, self) for file in (self.one, self.other)]
        found = interpolate(
            self.named(self.agent), ends[0], ends[1], self.count, self.progression,
            self.chords_per_bar, Sampling(self.temperature), self.seed,
        )  # fmt: skip
        stem = f"{self.one.stem}-to-{self.other.stem}"
        paths, titles = [], []
        for number, step in enumerate(found, 1):
            start, end = (
                mean(a == b for a, b in zip(step.melody.events, other, strict=True))
                for other in (found[0].melody.events, found[-1].melody.events)
            )
            titles.append(f"{100 * step.share:.0f} % of the way")
            print(f"\n{titles[-1]}: {100 * start:.0f} % of its steps are as in the first,", end="")
            print(f" {100 * end:.0f} % as in the last")
            print(step.melody.bars())
            for ending in (".mid", ".musicxml"):
                path = self.out / f"{stem}-{number}{ending}"
                paths.append(step.melody.save(path, tempo=self.tempo))
        try:
            picture = stacked([step.melody for step in found], titles)
        except MissingExtra as missing:
            print(f"not written: {missing}")
        else:
            write_whole(self.out / f"{stem}.png", picture)
            paths.append(self.out / f"{stem}.png")
        print("", *(f"  {path}" for path in paths), sep="\n")


def _heard(file: Path, of: Training) -> Melody:
    """Return the melody of a file; say so where its chords are inferred."""
    from musicgym.corpus.files import read_melody

    melody, inferred = read_melody(file, steps_per_beat=of.steps_per_beat)
    if melody.meter != of.meter:  # before an agent is trained that cannot read it
        raise ValueError(
            f"{file.name}: it is in {melody.meter}, and the agent would play {of.meter}; add "
            f"--meter {melody.meter}."
        )
    bars = len(melody.events) // melody.steps_per_bar
    chords = "chords inferred from the melody" if inferred else "with its own chords"
    print(f"{file.name}: {bars} bars of {melody.meter} in {melody.key.name}, {chords}")
    return melody


@dataclass(frozen=True)
class Evaluate:
    """Grade agents on held-out progressions, beside human melodies and simple policies.

    Attributes:
        agents: names, such as acmg_ppo, acmg_a2c, acmg_ppo_free, melody_lstm, markov, best_of_16,
            soft_optimum, optimum; checkpoints (.safetensors); or package.module:factory. With @0.8
            one plays at that temperature. What is not trained yet is trained.
        task: what pays: a preset, JSON such as '{"rewards": "acmg", "bars": 4}', or a .json file.
        corpus: corpus of the progressions and of the human melodies.
        split: the part of it that is played: test or validation.
        meter: 2/4, 3/4, 4/4 or 6/8.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        bars: bars of a melody.
        seeds: how many seeds: of the training where an agent is trained, of the episodes always.
        count: melodies a seed.
        best_of: draws of the best-of-N curve, up to this N (a power of two); 0 leaves it out.
        baselines: the simple policies, the prior and the exact optimum stand in the table too.
        every: print every metric.
        out: folder for a record of each row; what is there is not made again.
        markdown: where to write the table as Markdown; it is printed in any case.
        device: cpu, or cuda.
    """

    agents: conf.Positional[tuple[str, ...]] = ("acmg_ppo",)
    task: str = "balanced"
    corpus: str = "chorales"
    split: Literal["test", "validation"] = "test"
    meter: str = "4/4"
    steps_per_beat: int = 2
    bars: int = 8
    seeds: int = 1
    count: int = 300
    best_of: int = 1024
    baselines: bool = True
    every: bool = False
    out: Path | None = None
    markdown: Path | None = None
    device: str = "cpu"

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks import tables
        from musicgym.benchmarks.evaluate import evaluation, grade_all
        from musicgym.benchmarks.tasks import read_task
        from musicgym.files import write_whole

        given = ("corpus", "split", "meter", "steps_per_beat", "bars")
        task = read_task(self.task, **{name: getattr(self, name) for name in given})
        graded = evaluation(task, self.count, _stages(None), self.device)
        records = grade_all(graded, self.agents, self.seeds, self.best_of, self.baselines, self.out)
        systems = tables.rows(records)
        figures = tables.every(systems) if self.every else tables.FRONT
        shown = tables.shown(systems, self.agents)
        print(tables.columns(shown, figures))
        print("", *_wrapped(tables.notes(systems)), sep="\n")
        if self.out:
            print(f"\n{len(records)} records in {self.out}; see them:")
            print(f"musicgym tradeoff {self.out}")
        if self.markdown:
            text = "\n".join([tables.markdown(shown, figures), "", *tables.notes(systems), ""])
            self.markdown.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.markdown, text.encode())


@dataclass(frozen=True)
class Tradeoff:
    """Draw share of the optimum against KL and against distance to human melodies.

    Attributes:
        folder: with the records that `musicgym evaluate --out` wrote.
        out: the picture; tradeoff.png in the folder by default.
    """

    folder: conf.Positional[Path]
    out: Path | None = None

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks import tables, tradeoff
        from musicgym.benchmarks.records import read_records
        from musicgym.files import write_whole

        systems = tables.rows(read_records(self.folder))
        path = self.out or self.folder / "tradeoff.png"
        drawn = tradeoff.picture(systems)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, drawn)
        print(tables.columns(tables.shown(systems), ("share_of_optimum", "kl", "mmd2")))
        print("", *_wrapped(tables.notes(systems)), path, sep="\n")


@dataclass(frozen=True)
class Audit:
    """Audit a reward: does it know human melodies from corrupted ones, and can it be gamed?

    Attributes:
        target: a preset, or a file of your own: its REWARDS = {...}, or else its classes of terms.
        corpus: corpus of the melodies.
        meter: 2/4, 3/4, 4/4 or 6/8.
        steps_per_beat: grid slots a beat: 1, 2 or 4.
        bars: bars of a melody.
        split: the melodies: train, validation or test.
        seed: fixes corruptions, draws and intervals.
        copies: corrupted copies of a melody.
        out: folder for the JSON, the picture and the page of audits; none by default.
    """

    target: conf.Positional[str]
    corpus: str = "chorales"
    meter: str = "4/4"
    steps_per_beat: int = 2
    bars: int = 8
    split: str = "test"
    seed: int = 0
    copies: int = 8
    out: Path | None = None

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.audit.report import publish, text
        from musicgym.benchmarks.audit.run import audit, check, progress
        from musicgym.corpus.dataset import prepare

        shape = (self.meter, self.steps_per_beat, self.bars)
        check(self.target, *shape)  # a mistake shows before a corpus is prepared
        corpus = prepare(self.corpus, steps_per_beat=self.steps_per_beat, jobs=os.cpu_count() or 1)
        with progress() as report:
            found = audit(
                self.target, corpus, *shape, self.split, self.seed, self.copies, report=report
            )
        print(text(found))
        for path in publish(found, self.out) if self.out else ():
            print(path)


@dataclass(frozen=True)
class Papers:
    """Make the papers' tables again: train what is missing, grade it, write one page.

    Attributes:
        parts: acmg, formula, balanced, rl_tuner; all by default.
        out: folder of the page, its pictures and its records.
        seeds: training seeds of ACMG's Table 1; the other tables take three at most.
        count: melodies a seed.
        best_of: draws of the best-of-N curve, a power of two.
        steps: environment steps of a run that is held to its prior; the others take a third.
    """

    parts: conf.Positional[tuple[str, ...]] = ()
    out: Path = Path("docs/results")
    seeds: int = 5
    count: int = 300
    best_of: int = 1024
    steps: int = 3_000_000

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks import papers

        settings = papers.Settings(
            self.out, self.parts or tuple(papers.PARTS), self.seeds, self.count, self.best_of,
            self.steps,
        )  # fmt: skip
        given = ("seeds", "count", "best_of", "steps")
        command = _typed("musicgym papers", *self.parts, settings=self, given=given)
        for path in papers.write(settings, _stages(None), command):
            print(path)


@dataclass(frozen=True)
class Generators:
    """Measure what the generators show, and write it on one page with its pictures.

    Attributes:
        parts: latent, transfer, conditional, emotions, attention, styles, finetuning, speed; all
            that are not measured yet by default. One that is named is measured anew.
        out: folder of the page, its pictures and its figures.
    """

    parts: conf.Positional[tuple[str, ...]] = ()
    out: Path = Path("docs/results")

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.generators import run

        command = _typed("musicgym generators", *self.parts, settings=self, given=("out",))
        for path in run.write(self.out, self.parts, command):
            print(path)


@dataclass(frozen=True)
class Bench:
    """Measure speed against named peers, in one interleaved run.

    Attributes:
        what: env (environments), train (PPO), sample (composing), memory (bytes an environment) or
            scaling (curves against batch, horizon, rules and LSTM width).
        repeats: interleaved rounds; medians are printed.
        seconds: of a turn; training takes an iteration instead.
        peers: Pythons that have gymnax, EnvPool or PufferLib; MUSICGYM_PEERS by default.
        device: cpu; or cuda, the rows of a GPU in env and train.
        out: folder for the figures as JSON, the page and the pictures; none by default.
    """

    what: conf.Positional[Literal["env", "train", "sample", "memory", "scaling"]] = "env"
    repeats: int | None = None
    seconds: float | None = None
    peers: tuple[str, ...] = ()
    device: str = "cpu"
    out: Path | None = None

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.throughput import run as bench

        given = ("repeats", "seconds", "device", "out")
        command = _typed("musicgym bench", self.what, settings=self, given=given)
        found = bench.run(self.what, self.seconds, self.repeats, self.peers, self.device, command)
        print(bench.text(found))
        for path in bench.publish(found, self.out) if self.out else ():
            print(path)


Command = (
    Annotated[Data, conf.subcommand("data")]
    | Annotated[Pretrain, conf.subcommand("pretrain")]
    | Annotated[Train, conf.subcommand("train")]
    | Annotated[Compose, conf.subcommand("compose")]
    | Annotated[Reconstruct, conf.subcommand("reconstruct")]
    | Annotated[Interpolate, conf.subcommand("interpolate")]
    | Annotated[Evaluate, conf.subcommand("evaluate")]
    | Annotated[Audit, conf.subcommand("audit")]
    | Annotated[Tradeoff, conf.subcommand("tradeoff")]
    | Annotated[Papers, conf.subcommand("papers")]
    | Annotated[Generators, conf.subcommand("generators")]
    | Annotated[Bench, conf.subcommand("bench")]
)


def _typed(*words: str, settings: object, given: Sequence[str]) -> str:
    """Return a command as it was typed: its words, and the settings that are not as usual."""
    chosen = [n for n in given if getattr(settings, n) != getattr(type(settings), n)]
    options = [f"--{n.replace('_', '-')} {getattr(settings, n)}" for n in chosen]
    return " ".join([*words, *options])


def _wrapped(lines: Sequence[str]) -> list[str]:
    """Return lines that fit a terminal of 80 columns."""
    return [part for line in lines for part in textwrap.wrap(line, 79, subsequent_indent="  ")]


def _stages(log: Path | None) -> Stage:
    """Return what shows the stages of training: a progress bar each, and TensorBoard if asked."""
    from musicgym.agents.reporting import stages

    return stages(log)


def _silent(name: str, total: int) -> Any:
    """Return what shows nothing of a stage."""
    return lambda figures: None


@contextmanager
def _errors() -> Iterator[None]:
    """Turn a user's mistake into a sentence and exit code 2, other ends into theirs."""
    from musicgym.corpus.dataset import CorpusMissing
    from musicgym.export.extras import MissingExtra

    try:
        yield
    except RuntimeError as error:
        from musicgym.agents.parallel import PeerError  # it loads torch: not before it is needed

        if not isinstance(error, PeerError):
            raise
        _quit(f"{error} What was finished is kept: the same command goes on from there.", 1)
    except KeyboardInterrupt:
        _quit("stopped; what was finished is kept: the same command goes on from there.", 130)
    except (ValueError, CorpusMissing, MissingExtra) as error:
        _quit(str(error), 2)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _quit(f"the disk is full: {error}; what was finished before is kept.", 1)
        if error.errno is None:  # our own message
            _quit(str(error), 2)
        _quit(f"{error.filename or 'a file'} cannot be read or written: {error.strerror}.", 2)


def _quit(message: str, code: int) -> None:
    """End with a message; of many processes that end alike the leading one says it."""
    if place().rank == 0:
        print(f"\nmusicgym: {message}", file=sys.stderr)
    elif code != 130:
        _let_the_first_end()
    raise SystemExit(code)


def _let_the_first_end() -> None:
    """Wait for the leading process: torchrun ends all others as soon as one has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(10)


def _read(arguments: Sequence[str] | None) -> Command:
    """Return the command that the arguments say; `pretrain` alone is of Melody_LSTM."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["pretrain"] and not {*arguments[1:2], "-h"} & {*MODELS, "style", "--help"}:
        arguments.insert(1, "melody_lstm")
    command: Command = tyro.cli(
        Command,
        prog="musicgym",
        description="Compose melodies over chord progressions, and train and measure agents.",
        args=arguments,
        config=(conf.OmitSubcommandPrefixes,),
    )
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends it with exit code 2."""
    if place().rank == 0:
        command = _read(arguments)
    else:
        try:
            with open(os.devnull, "w") as none, redirect_stdout(none), redirect_stderr(none):
                command = _read(arguments)
        except SystemExit as end:
            if end.code:
                _let_the_first_end()
            raise
    with _errors():
        if place().size > 1 and not isinstance(command, Train):
            raise ValueError("torchrun: it is for the command train only.")
        command.run()


if __name__ == "__main__":
    main()
