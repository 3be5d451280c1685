"""How fast the generators compose 32 bars of sixteenths, one melody or 256 at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import MODELS, ActorConfig, ActorCriticConfig, MelodyLSTMConfig
from musicgym.agents.rollout import play
from musicgym.agents.sampler import PATIENCE, Sampler
from musicgym.agents.threads import few_threads
from musicgym.env import MelodyComposeEnv

__all__ = ["measure", "section"]

#: A melody of 512 steps.
BARS, GRID = 32, 4
MANY = 256
#: What others printed for the same length on a GPU (A100), milliseconds: 50th, 99th percentile.
PUBLISHED = {
    "a published generator": ("120 to 135", "190 to 210"),
    "MusicVAE, printed beside it": ("140", "210"),
    "Ji et al., printed beside it": ("150", "230"),
}
#: Sizes that are no model's default.
MORE: dict[str, ActorConfig] = {"melody_lstm 2 x 256": MelodyLSTMConfig(256, 2)}


def measure(repeats: int = 100, large: int = 2) -> dict[str, Any]:
    """Return the times of every generator, in turn from repeat to repeat.

    The weights are untrained: a step takes as long with any.

    Args:
        repeats: melodies at batch 1, 100 or more for a 99th percentile.
        large: batches of 256.
    """
    sizes = {name: size() for name, (size, _) in MODELS.items()} | MORE
    agents = {name: _agent(size) for name, size in sizes.items()}
    counts = {
        name: sum(p.numel() for p in agent.model.actor.parameters())
        for name, agent in agents.items()
    }
    with few_threads():
        single = _turns({n: partial(_compose, agent, 1) for n, agent in agents.items()}, repeats)
        batches = _turns(
            {n: partial(_compose, agent, MANY) for n, agent in agents.items()}, large, warmups=0
        )
        lower = _turns(_below(agents["lstm_vae"]), max(1, repeats // 5))
    return {
        "steps": agents["lstm_vae"].config.task().steps_per_bar * BARS,
        "repeats": repeats,
        "many": MANY,
        "models": {
            name: {"weights": counts[name], "one": single[name], "many": batches[name]}
            for name in sizes
        },
        "lstm_vae": lower,
    }


def _agent(size: ActorConfig) -> ACMG:
    """Return an untrained agent, warm: its compiled function is loaded."""
    config = ACMGConfig(
        steps_per_beat=GRID, model=ActorCriticConfig(size), pretraining=None, progressions=()
    )
    agent = ACMG(config)
    while agent._sampler.spent < PATIENCE:
        _compose(agent, 1, 0)
    return agent


def _compose(agent: ACMG, count: int, seed: int) -> None:
    agent.compose(bars=BARS, count=count, seed=seed)


def _below(agent: ACMG) -> dict[str, Callable[[int], Any]]:
    """Return the ways to play a melody below `ACMG.compose`."""
    actor, task = agent.model.actor, {"bars": BARS, "steps_per_beat": GRID}
    env = MelodyComposeEnv(**task, rewards=agent.config.rewards, observation="compact")  # type: ignore[arg-type]
    envs = agent.config.envs("I V vi IV", 1, bars=BARS, key="C major", backend="arrays")
    swift, plain = Sampler(actor, compiled=True), Sampler(actor, compiled=False)
    return {
        "Sampler.play": lambda seed: swift.play(env, seed),
        "Sampler.play in torch": lambda seed: plain.play(env, seed),
        "play, a batch of one": lambda seed: play(envs, actor, seed),
    }


def _turns(
    sides: dict[str, Callable[[int], Any]], repeats: int, warmups: int = 1
) -> dict[str, dict[str, float]]:
    """Return percentiles in milliseconds, of CPU time and on the wall; all sides take turns."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(warmups + repeats):
        for name, side in sides.items():
            cpu, wall = time.process_time(), time.perf_counter()
            side(repeat)
            spent[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    found = {}
    for name, rows in spent.items():
        cpu_, wall_ = 1000 * np.array(rows[warmups:]).T
        found[name] = {
            "p50": float(np.quantile(cpu_, 0.5)),
            "p99": float(np.quantile(cpu_, 0.99)),
            "wall_p50": float(np.quantile(wall_, 0.5)),
            "wall_p99": float(np.quantile(wall_, 0.99)),
        }
    return found


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section of the page, from what `measure` found; it has no picture."""
    many = found["many"]
    lines = [
        f"A melody of {found['steps']} steps (32 bars of sixteenths in 4/4) by `ACMG.compose`, "
        "which plays it in the environment and reports what every rule paid. One core, one thread, "
        f"untrained weights (they change no time); {found['repeats']} melodies one at a time, the "
        f"models in turn. Milliseconds of CPU time, in brackets on the wall of a machine that was "
        f"shared. In a batch of {many}: CPU time of a melody.",
        "",
        f"| | weights | p50 | p99 | one of {many} |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["models"].items():
        one, each = row["one"], row["many"]["p50"] / many
        lines.append(
            f"| {name} | {row['weights'] / 1e6:.2f} M | {_pair(one, 'p50')} | {_pair(one, 'p99')} "
            f"| {each:.1f} |"
        )
    for name, (middle, late) in PUBLISHED.items():
        lines.append(f"| {name} (A100) | | {middle} | {late} | |")
    lines += [
        "",
        "The VAE-LSTM decodes with 2 layers of 256. A few melodies are played one after the other "
        "in the single environment; all but the hierarchical model step in a compiled function, "
        "with weights of 16 bits, since at batch 1 a step takes as long as its weights take to be "
        "read. Below `compose`:",
        "",
        "| lstm_vae | p50 |",
        "|---|---|",
    ]
    for name, row in found["lstm_vae"].items():
        lines.append(f"| `{name}` | {_pair(row, 'p50')} |")
    return lines


def _pair(row: dict[str, float], name: str) -> str:
    return f"{row[name]:.0f} ({row[f'wall_{name}']:.0f})"
