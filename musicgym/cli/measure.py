"""Commands that measure: `evaluate`, `audit`, `papers`, `generators`, `bench`, `tradeoff`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro import conf

if TYPE_CHECKING:
    pass


from .text import stages, typed, wrapped

__all__ = ["Audit", "Bench", "Evaluate", "Generators", "Papers", "Tradeoff"]


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
        graded = evaluation(task, self.count, stages(None), self.device)
        records = grade_all(graded, self.agents, self.seeds, self.best_of, self.baselines, self.out)
        systems = tables.rows(records)
        figures = tables.every(systems) if self.every else tables.FRONT
        shown = tables.shown(systems, self.agents)
        print(tables.columns(shown, figures))
        print("", *wrapped(tables.notes(systems)), sep="\n")
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
        print("", *wrapped(tables.notes(systems)), path, sep="\n")


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
        command = typed("musicgym papers", *self.parts, settings=self, given=given)
        for path in papers.write(settings, stages(None), command):
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

        command = typed("musicgym generators", *self.parts, settings=self, given=("out",))
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
        command = typed("musicgym bench", self.what, settings=self, given=given)
        found = bench.run(self.what, self.seconds, self.repeats, self.peers, self.device, command)
        print(bench.text(found))
        for path in bench.publish(found, self.out) if self.out else ():
            print(path)
