"""Throughput: how fast musicgym is beside named peers, as ratios from one interleaved run.

Ours and the peer take turns (A B A B ...), so that whatever else the machine does meets both. Time
is the CPU time of this process and everything runs on one thread: the cores may be shared.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium as gym
import numpy as np

__all__ = [
    "Comparison",
    "Measure",
    "as_json",
    "environments",
    "interleaved",
    "machine",
    "table",
    "training",
]

#: Runs for about so many seconds of CPU time and returns steps a CPU-second.
Measure = Callable[[float], float]
#: Steps from one look at the clock to the next.
BLOCK = 64


@dataclass(frozen=True)
class Comparison:
    """Ours beside a peer.

    Attributes:
        name: what is measured.
        peer: what it is measured against.
        ours: steps a CPU-second of each turn.
        theirs: the peer's, of the turn that follows each of ours.
        target: the least ratio that is good enough.
    """

    name: str
    peer: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    target: float

    @property
    def ratio(self) -> float:
        """The median over turns of ours / theirs.

        >>> Comparison("a", "b", (4.0, 6.0, 9.0), (2.0, 2.0, 9.0), 1.5).ratio
        2.0
        """
        return median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def reached(self) -> bool:
        """Whether the ratio is at least the target."""
        return self.ratio >= self.target


def interleaved(
    name: str,
    peer: str,
    ours: Measure,
    theirs: Measure,
    target: float,
    seconds: float = 1.0,
    repeats: int = 5,
) -> Comparison:
    """Warm both up, then measure them in turn.

    Args:
        name: what is measured.
        peer: what it is measured against.
        ours: runs ours.
        theirs: runs the peer.
        target: the least ratio that is good enough.
        seconds: CPU-seconds of a turn.
        repeats: turns of each.

    Raises:
        ValueError: `seconds` or `repeats` is not above 0.
    """
    if repeats < 1 or not seconds > 0:
        raise ValueError(f"bench: repeats {repeats!r} and seconds {seconds!r} must be above 0.")
    ours(seconds / 5)
    theirs(seconds / 5)
    turns = [(ours(seconds), theirs(seconds)) for _ in range(repeats)]
    return Comparison(name, peer, tuple(a for a, _ in turns), tuple(b for _, b in turns), target)


def environments(seconds: float = 0.5, repeats: int = 7) -> list[Comparison]:
    """Compare the environments, all terms of ``acmg``, with Gymnasium's CartPole.

    Args:
        seconds: CPU-seconds of a turn.
        repeats: turns of each.
    """
    rows = [
        interleaved(
            f"vector env x {size:,}, compact",
            "CartPoleVectorEnv",
            vector_steps(
                gym.make_vec("MelodyCompose-v0", num_envs=size, observation="compact"), size
            ),
            vector_steps(
                gym.make_vec("CartPole-v1", num_envs=size, vectorization_mode="vector_entry_point"),
                size,
            ),
            target,
            seconds,
            repeats,
        )
        for size, target in ((1024, 1.7), (4096, 1.2))
    ]
    rows += [
        interleaved(
            f"gym.make, {observation}",
            "CartPole-v1",
            single_steps(gym.make("MelodyCompose-v0", observation=observation)),
            single_steps(gym.make("CartPole-v1")),
            target,
            seconds,
            repeats,
        )
        for observation, target in (("compact", 1.0), ("flat", 0.8))
    ]
    return rows


def vector_steps(envs: Any, size: int) -> Measure:
    """Return a measure of a vector environment under random actions, autoreset included."""
    n = int(envs.single_action_space.n)
    actions = np.random.default_rng(0).integers(0, n, (BLOCK, size))
    envs.reset(seed=0)

    def block() -> int:
        for row in actions:
            envs.step(row)
        return actions.size

    return lambda seconds: rate(block, seconds)


def single_steps(env: Any) -> Measure:
    """Return a measure of one environment under random actions, resets included."""
    actions = np.random.default_rng(0).integers(0, int(env.action_space.n), BLOCK)
    env.reset(seed=0)

    def block() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return BLOCK

    return lambda seconds: rate(block, seconds)


def rate(block: Callable[[], int], seconds: float) -> float:
    """Run blocks for at least so many CPU-seconds; return what they count a CPU-second."""
    done, start = 0, time.process_time()
    while (spent := time.process_time() - start) < seconds or not done:
        done += block()
    return done / spent


def training(repeats: int = 5) -> list[Comparison]:
    """Compare our PPO with sb3-contrib's RecurrentPPO: one shared LSTM, same epochs and batch.

    A turn is one iteration: a rollout of 64 steps in 64 environments, then four epochs of four
    minibatches of 1,024 frames.

    Args:
        repeats: turns of each, after one to warm up.

    Raises:
        MissingExtra: sb3-contrib is not installed.
    """
    from musicgym.agents.threads import few_threads

    from .recurrent_peer import HIDDEN, ours, theirs

    with few_threads():
        return [
            interleaved(
                f"PPO, LSTM-{HIDDEN}, 64 envs",
                "RecurrentPPO",
                ours(),
                theirs(),
                target=2.5,
                seconds=1e-9,  # one iteration, whatever it takes
                repeats=repeats,
            )
        ]


def table(rows: Sequence[Comparison]) -> str:
    """Return the comparisons as text of at most 80 columns, in thousand steps a CPU-second.

    >>> print(table([Comparison("ours", "theirs", (2e6,), (1e6,), 1.7)]))
    what                             k steps/s  peer                k steps/s  ratio
    ours                               2,000.0  theirs                1,000.0   2.00
      target 1.70: reached
    """
    lines = [f"{'what':<31}{'k steps/s':>11}  {'peer':<19}{'k steps/s':>10}{'ratio':>7}"]
    for row in rows:
        ours, theirs = median(row.ours) / 1e3, median(row.theirs) / 1e3
        lines += [
            f"{row.name:<31}{ours:>11,.1f}  {row.peer:<19}{theirs:>10,.1f}{row.ratio:>7.2f}",
            f"  target {row.target:.2f}: {'reached' if row.reached else 'MISSED'}",
        ]
    return "\n".join(lines)


def as_json(rows: Sequence[Comparison]) -> str:
    """Return every turn, the ratios, the versions and the hardware as JSON text."""
    found = [{**asdict(row), "ratio": row.ratio, "reached": row.reached} for row in rows]
    return json.dumps({"machine": machine(), "comparisons": found}, indent=2)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, Python and package versions."""
    packages = ("gymnasium", "numba", "numpy", "torch", "stable-baselines3", "sb3-contrib")
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    from musicgym import __version__

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "musicgym": __version__,
        **versions,
        "unit": "steps a CPU-second on one thread",
    }


def _processor() -> str:
    """Return the processor's name; `platform` knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
