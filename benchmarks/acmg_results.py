"""The page of results of ACMG: ``python -m musicgym.benchmarks.acmg_results``.

It trains what is missing (the default agent, and three seeds of PPO and of A2C under the paper's
rules without a prior), measures all of it on held-out progressions, and writes one page.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tyro

from musicgym import __version__
from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import A2CConfig, KLConfig, LearningConfig, PPOConfig
from musicgym.agents.heuristics import HeldTonic, NearestChordTone, UniformRandom
from musicgym.agents.library import obtain
from musicgym.agents.markov import MarkovTable
from musicgym.agents.policy import Policy
from musicgym.agents.pretraining import lessons
from musicgym.agents.reporting import Bar
from musicgym.corpus.dataset import Corpus, prepare
from musicgym.files import write_whole

from .evaluate import evaluate, markdown, rows_of

__all__ = ["main"]

#: The runs under the paper's rules: 1 M steps from random weights, no prior.
RUNS: dict[str, tuple[int, LearningConfig]] = {
    "PPO": (32, PPOConfig(learning_rate=2e-3, epochs=4)),
    "A2C": (16, A2CConfig()),
}


@dataclass(frozen=True)
class Settings:
    """What the page is made with.

    Attributes:
        out: where to write it.
        seeds: training seeds a row.
        count: melodies an evaluation.
        total_steps: environment steps of a run under the paper's rules.
    """

    out: Path = Path("docs/results/acmg.md")
    seeds: int = 3
    count: int = 300
    total_steps: int = 1_000_000


def trained(config: ACMGConfig, corpus: Corpus, name: str) -> ACMG:
    """Return the agent of a configuration, trained with a progress bar."""
    counters = {"pretrain": "epoch", "learn": "steps"}
    agent, _ = obtain(config, corpus, lambda stage, n: Bar(f"{name}: {stage}", n, counters[stage]))
    return agent


def paper_rows(corpus: Corpus, settings: Settings) -> list[str]:
    """Return the rows of the table of returns under `acmg`: simple policies, PPO and A2C."""
    practice = (f"corpus:{corpus.name}/train",)
    base = ACMGConfig(rewards="acmg", progressions=practice, pretraining=None)
    envs = base.envs(f"corpus:{corpus.name}/test", settings.count)
    simple: dict[str, Policy] = {
        "uniform random": UniformRandom(envs.task),
        "held tonic": HeldTonic(envs.task),
        "nearest chord tone": NearestChordTone(envs.task, ties="lower"),
        "nearest chord tone, ties to the middle": NearestChordTone(envs.task),
    }
    returns = {name: [evaluate(envs, policy)[0]["return"]] for name, policy in simple.items()}
    for name, (size, learning) in RUNS.items():
        returns[name] = []
        for seed in range(1, settings.seeds + 1):
            own = replace(learning, total_steps=settings.total_steps, seed=seed, kl=KLConfig())
            agent = trained(replace(base, num_envs=size, learning=own), corpus, f"{name} {seed}")
            returns[name].append(evaluate(envs, agent.model.actor)[0]["return"])
    lower, middle = (returns[name][0] for name in list(simple)[2:])
    lines = []
    for name, values in returns.items():
        mean = float(np.mean(values))
        each = ", ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {name} | {mean:.2f} | {mean / lower:.2f} | {mean / middle:.2f} | {each} |")
    return lines


def page(settings: Settings) -> str:
    """Train what is missing, measure everything, and return the page as Markdown."""
    corpus = prepare()
    default = trained(ACMGConfig(), corpus, "default")
    task = default.config.task()
    data = {split: lessons(corpus, split, task) for split in ("train", "validation", "test")}
    table = MarkovTable(task).fit(data["train"])
    figures = default.facts["pretraining"]
    nll = [
        f"| {split} | {figures[f'{split}_nll']:.3f} | {table.nll(data[split]):.3f} "
        f"| {figures[f'{split}_nll'] / table.nll(data[split]):.2f} |"
        for split in ("validation", "test")
    ]
    packages = ("torch", "numpy", "numba", "gymnasium")
    versions = f"musicgym {__version__}, " + ", ".join(f"{p} {version(p)}" for p in packages)
    return "\n".join([
        "# ACMG on the Bach chorales",
        "",
        f"Command: `python -m musicgym.benchmarks.acmg_results`. "
        f"Corpus {corpus.fingerprint}; {versions}; Python {platform.python_version()}, "
        f"{platform.machine()}, CPU.",
        "",
        "## Melody_LSTM",
        "",
        "Negative log-likelihood in nats a step on 8-bar windows, split by hymn tune.",
        "",
        "| split | Melody_LSTM | Markov table | ratio |",
        "|---|---|---|---|",
        *nll,
        "",
        "## The default agent",
        "",
        f"Balanced rules, PPO, {default.config.learning.total_steps:,} steps, KL to Melody_LSTM at "
        f"{default.config.learning.kl.target} nats a step; {settings.count} melodies a row over "
        "held-out chorale progressions at temperature 1. Human values are targets, not bounds.",
        "",
        markdown(rows_of(default, corpus, "test", settings.count)),
        "",
        "## The paper's rules alone",
        "",
        f"`acmg` rules, no prior, {settings.total_steps:,} steps from random weights, mean return "
        f"of {settings.count} melodies over held-out progressions.",
        "",
        "| system | return | / nearest | / nearest, middle | each seed |",
        "|---|---|---|---|---|",
        *paper_rows(corpus, settings),
        "",
    ])  # fmt: skip


def main() -> None:
    """Write the page."""
    settings = tyro.cli(Settings)
    text = page(settings)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(settings.out, text.encode())
    print(text)


if __name__ == "__main__":
    main()
