"""``musicgym bench env``: our environments beside CartPole's, all terms of ``acmg`` computed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from .foreign import Foreign, PeerAbsent
from .rows import Row, compare, first_line
from .turns import Clock, Measure, take_turns, timed

__all__ = [
    "THREADS",
    "cartpole_vector",
    "environments",
    "foreign_sides",
    "on_threads",
    "tensor_steps",
    "vector_steps",
]

ID = "MelodyCompose-v0"
#: Says how many threads ours may use.
VARIABLE = "MUSICGYM_THREADS"
#: Steps from one look at the clock to the next.
BLOCK = 64
#: The threads that are compared with one.
THREADS = 2
#: The batches that are compared with CartPoleVectorEnv, and the ratios asked for.
TARGETS = {1024: 2.2, 4096: 1.6, 65_536: 1.2}
#: Two threads beside one: nowhere slower, but for the noise of the clock.
THREAD_TARGETS = {1: 0.98, 1024: 0.98, 4096: 0.98, 16_384: 0.98, 65_536: 1.6}
#: Foreign peers: as a row calls them, and the ratio asked for at 4,096.
FOREIGN: dict[str, tuple[str, float | None]] = {
    "pufferlib": ("PufferLib's C CartPole", 0.8),
    "gymnax-scan": ("gymnax CartPole, scan", 3.0),
    "gymnax-step": ("gymnax CartPole, by step", None),
    "envpool": ("EnvPool CartPole", None),
}


def environments(
    seconds: float = 0.5,
    repeats: int = 7,
    foreign: Foreign | None = None,
    sizes: Sequence[int] = tuple(TARGETS),
) -> list[Row]:
    """Compare the environments with named peers.

    Args:
        seconds: of a turn.
        repeats: turns of each side.
        foreign: where to look for foreign peers.
        sizes: batches to compare with CartPoleVectorEnv; the middle one stands for the others.
    """
    foreign = foreign or Foreign()
    middle = sorted(sizes)[len(sizes) // 2]
    rows: list[Row] = []
    for size in sizes:
        rows += _beside_cartpole(size, seconds, repeats, foreign if size == middle else None)
    rows += _forms(middle, seconds, repeats)
    rows += _beside_wrappers(seconds, repeats)
    rows += _threads([n for n in THREAD_TARGETS if n <= max(sizes)], seconds, repeats)
    return rows + _singles(seconds, repeats)


def _beside_cartpole(size: int, seconds: float, repeats: int, foreign: Foreign | None) -> list[Row]:
    """Compare ours with CartPoleVectorEnv and, where asked, with the foreign peers."""
    name, peer = f"compiled, compact x {size:,}", "CartPoleVectorEnv"
    with ExitStack() as stack:
        sides = {"ours": vector_steps(size), peer: cartpole_vector(size)}
        absent: dict[str, str] = {}
        if foreign is not None:
            found, absent = foreign_sides(stack, foreign, size)
            sides |= found
        turns = take_turns(sides, seconds, repeats, title=name)
    rows = [compare(name, peer, turns, "ours", peer, TARGETS.get(size))]
    for key, (words, target) in FOREIGN.items() if foreign is not None else ():
        rows.append(compare(name, words, turns, "ours", key, target, absent=absent))
    return rows


def foreign_sides(
    stack: ExitStack, foreign: Foreign, size: int
) -> tuple[dict[str, Measure], dict[str, str]]:
    """Start the foreign peers that are there; return them, and why the others are not."""
    found: dict[str, Measure] = {}
    absent: dict[str, str] = {}
    for key in FOREIGN:
        try:
            found[key] = stack.enter_context(foreign.worker(key, size))
        except PeerAbsent as reason:
            absent[key] = str(reason)
    return found, absent


def _forms(size: int, seconds: float, repeats: int) -> list[Row]:
    """Compare the other forms of ours with CartPoleVectorEnv, for information."""
    peer = "CartPoleVectorEnv"
    sides: dict[str, Measure] = {}
    rows: list[Row] = []
    makers: dict[str, Callable[[], Measure]] = {
        "compiled, flat": lambda: vector_steps(size, observation="flat"),
        "NumPy, compact": lambda: vector_steps(size, backend="arrays"),
        "tensor, eager": lambda: tensor_steps(size),
        "tensor, compiled": lambda: tensor_steps(size, execution="compiled"),
        "tensor, episodes": lambda: tensor_steps(size, execution="compiled", whole=True),
    }
    for name, make in makers.items():
        try:
            sides[name] = make()
        except (ValueError, TypeError, RuntimeError) as error:  # this build or machine lacks it
            rows.append(Row(f"{name} x {size:,}", peer, absent=f"not here: {first_line(error)}"))
    turns = take_turns({**sides, peer: cartpole_vector(size)}, seconds, repeats, title="forms")
    return [compare(f"{name} x {size:,}", peer, turns, name, peer) for name in sides] + rows


def _beside_wrappers(seconds: float, repeats: int, size: int = 16) -> list[Row]:
    """Compare ours with Gymnasium's wrappers around our own environment."""
    peers = ("SyncVectorEnv", "AsyncVectorEnv")
    name = f"compiled, compact x {size}"
    with ExitStack() as stack:
        sides = {
            "ours": vector_steps(size),
            peers[0]: vector_steps(size, vectorization_mode="sync"),
        }
        envs = gym.make_vec(ID, num_envs=size, vectorization_mode="async", observation="compact")
        stack.callback(envs.close)
        pids = [p.pid for p in envs.processes]  # type: ignore[attr-defined]
        sides[peers[1]] = _steps(envs, size, cpu=lambda: time.process_time() + _cpu_of(pids))
        turns = take_turns(sides, seconds, repeats, title="wrappers")
    return [compare(name, f"{peer} of ours", turns, "ours", peer) for peer in peers]


def _cpu_of(pids: Sequence[int]) -> float:
    """Return the CPU-seconds of running processes so far; 0 where the system does not say."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _threads(sizes: Sequence[int], seconds: float, repeats: int) -> list[Row]:
    """Compare two threads with one, by the wall clock: idle cores are needed."""
    rows = []
    for size in sizes:
        two, one = f"{THREADS} threads", "one thread"
        sides = {
            two: vector_steps(size, threads=THREADS, clock="wall"),
            one: vector_steps(size, threads=1, clock="wall"),
        }
        turns = take_turns(sides, seconds, repeats, title=f"threads x {size:,}")
        name = f"{two}, compact x {size:,}"
        rows.append(compare(name, one, turns, two, one, THREAD_TARGETS.get(size), "wall"))
    return rows


def _singles(seconds: float, repeats: int) -> list[Row]:
    """Compare one environment with CartPole's, each made by `gym.make`."""
    peer, names = "CartPole-v1", {f"gym.make, {word}": word for word in ("compact", "flat")}
    sides = {name: single_steps(gym.make(ID, observation=word)) for name, word in names.items()}
    sides[peer] = single_steps(gym.make(peer))
    turns = take_turns(sides, seconds, repeats, title="gym.make")
    return [compare(name, peer, turns, name, peer, 1.4) for name in names]


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Run ours on so many threads, by ``MUSICGYM_THREADS``, which is put back afterwards."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def vector_steps(size: int, threads: int = 1, clock: Clock = "cpu", **arguments: Any) -> Measure:
    """Return a measure of our environments under random actions, autoreset included."""
    envs = gym.make_vec(ID, num_envs=size, **{"observation": "compact", **arguments})
    return _steps(envs, size, clock, within=lambda: on_threads(threads))


def cartpole_vector(size: int) -> Measure:
    """Return the same measure of Gymnasium's CartPoleVectorEnv."""
    made = gym.make_vec("CartPole-v1", num_envs=size, vectorization_mode="vector_entry_point")
    return _steps(made, size)


def _steps(envs: Any, size: int, clock: Clock = "cpu", **timing: Any) -> Measure:
    n = int(envs.single_action_space.n)
    actions = np.random.default_rng(0).integers(0, n, (BLOCK, size))
    envs.reset(seed=0)

    def block() -> int:
        for row in actions:
            envs.step(row)
        return actions.size

    return timed(block, clock, **timing)


def tensor_steps(
    size: int,
    device: str = "cpu",
    execution: str = "eager",
    clock: Clock = "cpu",
    whole: bool = False,
    **arguments: Any,
) -> Measure:
    """Return the same measure of the tensor backend; the actions lie on its device.

    Args:
        size: environments.
        device: cpu or cuda.
        execution: how a step runs: eager, compiled or captured.
        clock: the one that says when a turn is over.
        whole: play an episode in one call.
        arguments: of the environments.

    Raises:
        ValueError: the backend or the device is not there.
        RuntimeError: a step cannot run so here, and fell back to a slower way.
    """
    import torch

    from musicgym.agents.threads import few_threads

    given = {"observation": "compact", "execution": execution, "device": device, **arguments}
    envs: Any = gym.make_vec(ID, num_envs=size, backend="tensor", **given)
    n = int(envs.single_action_space.n)
    drawn = np.random.default_rng(0).integers(0, n, (BLOCK, size))
    actions = torch.from_numpy(drawn).to(device)
    envs.reset(seed=0)

    @contextmanager
    def one_thread() -> Iterator[None]:
        with on_threads(1), few_threads():
            yield

    def block() -> int:
        if whole:
            envs.reset()
            envs.step_many(actions)
        else:
            for row in actions:
                envs.step(row)
        if device != "cpu":
            torch.cuda.synchronize()
        return BLOCK * size

    measure = timed(block, clock, within=one_thread)
    measure(0.0)  # what is compiled is compiled now
    if envs.execution != execution:
        raise RuntimeError(f"a step runs {envs.execution}, not {execution}.")
    return measure


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

    return timed(block)
