"""The papers' tables, made again: what they printed, what we find, and the human row beside both.

``musicgym papers`` trains what is missing and writes docs/results/papers.md with its records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import (
    DEFAULT_LEARNING,
    A2CConfig,
    KLConfig,
    PPOConfig,
    PretrainConfig,
)
from musicgym.agents.lessons import lessons
from musicgym.agents.library import Stage, with_prior
from musicgym.files import write_whole

from .entries import BASELINES, PLANNERS, Entry
from .evaluate import Evaluation, evaluation, progress
from .paper_page import page
from .paper_pictures import figures_8_and_9
from .records import Record
from .tables import Row, rows
from .tasks import BenchmarkTask
from .tradeoff import picture

__all__ = ["FORMULA", "PARTS", "Settings", "write"]

#: The paper's rules with the other reading of Eq. 3.
FORMULA: dict[str, Any] = {"preset": "acmg", "non_chord_tone": {"reading": "formula"}}
#: RL Tuner's c: it adds its rules / c to the log-likelihood, so c is the price of a nat.
TUNER_C = 0.5
#: The parts of the page, each a task and the folder of its records.
PARTS = {
    "acmg": BenchmarkTask("acmg"),
    "formula": BenchmarkTask(FORMULA),
    "balanced": BenchmarkTask("balanced"),
    "rl_tuner": BenchmarkTask("rl_tuner", steps_per_beat=4, bars=2),
}


@dataclass(frozen=True)
class Settings:
    """What the page is made with.

    Attributes:
        out: folder of the page, its pictures and its records.
        parts: which of `PARTS` are made; the others are taken from records that are there.
        seeds: training seeds of Table 1; the other tables take three of them at most.
        count: melodies a record.
        best_of: draws of the best-of-N curve, a power of two.
        steps: environment steps of a run held to its prior; a third of it without a prior's price.
    """

    out: Path = Path("docs/results")
    parts: tuple[str, ...] = tuple(PARTS)
    seeds: int = 5
    count: int = 300
    best_of: int = 1024
    steps: int = 3_000_000

    def __post_init__(self) -> None:
        """Check the parts and the numbers."""
        for part in self.parts:
            if part not in PARTS:
                raise ValueError(f"parts: {part!r} is not one of {', '.join(PARTS)}.")
        if self.seeds < 1 or self.steps < 3:
            raise ValueError("papers: seeds must be 1 or more and steps 3 or more.")


def runs(part: str, settings: Settings) -> dict[str, tuple[ACMGConfig, int]]:
    """Return the agents of a part: name -> their configuration and the number of seeds."""
    held = replace(DEFAULT_LEARNING, total_steps=settings.steps)
    short = settings.steps // 3
    free = PPOConfig(total_steps=short)
    alone = ACMGConfig(
        rewards=PARTS[part].rewards, progressions=("corpus:chorales/train",), pretraining=None
    )
    few = min(3, settings.seeds)
    ppo = replace(
        alone, num_envs=32, learning=PPOConfig(total_steps=short, learning_rate=2e-3, epochs=4)
    )
    if part == "acmg":
        made = {}
        for rewards, name in (("acmg_no_theory", "no_theory"), ("acmg", "complete")):
            plain = ACMGConfig(rewards=rewards)
            made[name] = replace(plain, num_envs=32, learning=free), settings.seeds
            made[f"{name}_kl"] = replace(plain, learning=held), settings.seeds
        made["balanced_kl"] = ACMGConfig(learning=held), settings.seeds
        a2c = replace(alone, num_envs=16, learning=A2CConfig(total_steps=short))
        return {**made, "ppo_alone": (ppo, few), "a2c_alone": (a2c, few)}
    if part == "formula":
        return {"ppo_alone": (ppo, few)}
    if part == "balanced":
        return {"balanced_kl": (ACMGConfig(learning=held), settings.seeds)}
    tuned = ACMGConfig(rewards="rl_tuner", steps_per_beat=4, bars=2, num_envs=64, learning=free)
    priced = replace(free, kl=KLConfig(beta=TUNER_C))
    near = replace(free, kl=DEFAULT_LEARNING.kl)
    return {
        "tuned": (tuned, few),
        "tuned_kl": (replace(tuned, learning=priced), few),
        "tuned_near": (replace(tuned, learning=near), few),
    }


def records(part: str, settings: Settings, stage: Stage) -> list[Record]:
    """Train and grade what a part asks for, except what its folder holds already."""
    folder = settings.out / "papers" / part
    graded = evaluation(PARTS[part], settings.count, stage)
    found = [graded.human_record(folder)]
    todo = list(_entries(part, settings))
    with tqdm(todo, f"papers: {part}", unit="row", dynamic_ncols=True) as bar:
        for name, config, seed in bar:
            bar.set_postfix_str(f"{name}, seed {seed}")
            if config is None:
                found.append(graded.grade(name, seed, folder))
                continue
            content = graded.workshop.content_of(config)
            if name == "lstm":
                content = f"pretraining seed {seed}"
            made = partial(_made, graded, name, config)
            found.append(graded.grade_entry(name, made, content, seed, folder))
    for seed in range(1, min(3, settings.seeds) + 1 if part == "balanced" else 2):
        with progress(settings.best_of * settings.count, f"papers: {part}, best of N") as bar:
            found += graded.best_of(settings.best_of, seed, folder, bar.update)
    if part == "balanced":
        found += graded.planted(folder)
    return found


def _entries(part: str, settings: Settings) -> Iterator[tuple[str, ACMGConfig | None, int]]:
    """Yield what a part grades: a name, a configuration where it is trained, a seed."""
    for name in BASELINES:
        if part == "rl_tuner" and name in PLANNERS:
            continue  # it has none: most of its terms look at the whole melody so far
        seeds = settings.seeds if name == "melody_lstm" else 1
        yield from ((name, None, seed) for seed in range(1, seeds + 1))
    for name, (config, seeds) in runs(part, settings).items():
        for seed in range(1, seeds + 1):
            yield name, replace(config, learning=replace(config.learning, seed=seed)), seed
    if part == "acmg":  # the LSTM row of Table 1: pretrained anew with each seed
        for seed in range(1, settings.seeds + 1):
            yield "lstm", ACMGConfig(pretraining=PretrainConfig(seed=seed)), seed


def _made(graded: Evaluation, name: str, config: ACMGConfig) -> Entry:
    """Return the trained agent of a configuration as an entry."""
    workshop = graded.workshop
    if name != "lstm":
        return workshop.trained(config)
    prior = with_prior(config, workshop.corpus, workshop.stage).prior
    assert prior is not None
    return Entry(name, prior)


def write(settings: Settings, stage: Stage, command: str) -> list[Path]:
    """Make the records of the parts, and the page with its pictures; return their paths."""
    settings.out.mkdir(parents=True, exist_ok=True)
    systems: dict[str, list[Row]] = {}
    for part in PARTS:
        folder = settings.out / "papers" / part
        if part in settings.parts or folder.exists():
            systems[part] = rows(records(part, settings, stage))
    pictures = {
        "papers-figures.png": ("acmg", figures_8_and_9),
        "papers-tradeoff.png": ("balanced", picture),
    }
    paths = []
    for name, (part, draw) in pictures.items():
        if part in systems:
            paths.append(settings.out / name)
            write_whole(paths[-1], draw(systems[part]))
    # The default prior: not trained for a page that does not speak of it.
    losses = _losses(stage) if {"acmg", "balanced"} & systems.keys() else None
    paths.append(settings.out / "papers.md")
    write_whole(paths[-1], page(systems, command, losses).encode())
    return paths


def _losses(stage: Stage) -> dict[str, tuple[float, float]]:
    """Return how well Melody_LSTM and the Markov table predict melodies they have not seen."""
    graded = evaluation(PARTS["balanced"], 2, stage)
    corpus, plain = graded.workshop.corpus, PARTS["balanced"].plain("random")
    own = with_prior(ACMGConfig(), corpus, stage).facts["pretraining"]
    table = graded.workshop.table
    return {split: (own[f"{split}_nll"], table.nll(lessons(corpus, split, plain)))
            for split in ("validation", "test")}  # fmt: skip
