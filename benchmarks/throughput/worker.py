"""A foreign peer in a process of its own: ``python worker.py NAME SIZE``.

The peers want other versions of NumPy and Gymnasium than ours, and their thread pools fight with
ours in one process. So this script imports nothing of musicgym and runs under any Python that has
the peer. It prints one line of JSON, the versions; then, for each line with a number of seconds
that it reads, it runs for so much CPU time and prints "steps cpu-seconds seconds".
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

#: Does some steps and returns how many.
Block = Callable[[], int]

#: Steps from one look at the clock to the next.
STEPS = 64


def rows_of_actions(size: int, dtype: type) -> Any:
    """Return random actions (STEPS, size) of CartPole."""
    return np.random.default_rng(0).integers(0, 2, (STEPS, size)).astype(dtype)


def gymnax_scan(size: int) -> Block:
    """Step gymnax's CartPole inside one compiled scan: its strongest form."""
    jax, gymnax = import_module("jax"), import_module("gymnax")
    env, params = gymnax.make("CartPole-v1")
    step = jax.vmap(env.step, (0, 0, 0, None))

    def many(state: Any, key: Any, actions: Any) -> Any:
        def body(carry: Any, row: Any) -> Any:
            state, key = carry
            key, now = jax.random.split(key)
            out = step(jax.random.split(now, size), state, row, params)
            return (out[1], key), (out[0], out[2], out[3])

        return jax.lax.scan(body, (state, key), actions)

    run = jax.jit(many)
    actions = jax.device_put(rows_of_actions(size, np.int32))
    key = jax.random.PRNGKey(0)
    carry = [jax.vmap(env.reset, (0, None))(jax.random.split(key, size), params)[1], key]

    def block() -> int:
        (carry[0], carry[1]), seen = run(carry[0], carry[1], actions)
        jax.block_until_ready(seen)
        return STEPS * size

    return block


def gymnax_step(size: int) -> Block:
    """Step gymnax's CartPole once a call, as someone whose actions come from outside does."""
    jax, gymnax = import_module("jax"), import_module("gymnax")
    env, params = gymnax.make("CartPole-v1")

    def step(state: Any, key: Any, actions: Any) -> Any:
        key, now = jax.random.split(key)
        out = jax.vmap(env.step, (0, 0, 0, None))(
            jax.random.split(now, size), state, actions, params
        )
        return (out[1], key), (out[0], out[2], out[3])

    run = jax.jit(step)
    actions = rows_of_actions(size, np.int32)
    key = jax.random.PRNGKey(0)
    carry = [jax.vmap(env.reset, (0, None))(jax.random.split(key, size), params)[1], key]

    def block() -> int:
        for row in actions:
            (carry[0], carry[1]), seen = run(carry[0], carry[1], row)
            jax.block_until_ready(seen)
        return STEPS * size

    return block


def envpool(size: int) -> Block:
    """Step EnvPool's CartPole in its synchronous form, on one thread."""
    pool = import_module("envpool")
    envs = pool.make("CartPole-v1", env_type="gymnasium", num_envs=size, num_threads=1, seed=0)
    actions = rows_of_actions(size, np.int32)
    envs.reset()

    def block() -> int:
        for row in actions:
            envs.step(row)
        return STEPS * size

    return block


def pufferlib(size: int) -> Block:
    """Step PufferLib's CartPole in C; it writes to the same buffers at every step."""
    cartpole = import_module("pufferlib.ocean.cartpole.cartpole")
    envs = cartpole.Cartpole(num_envs=size, report_interval=128)
    actions = rows_of_actions(size, np.float32)
    envs.reset(0)

    def block() -> int:
        for row in actions:
            envs.step(row)
        return STEPS * size

    return block


#: What each peer is, and the packages whose versions count.
PEERS: dict[str, tuple[Callable[[int], Block], tuple[str, ...]]] = {
    "gymnax-scan": (gymnax_scan, ("gymnax", "jax")),
    "gymnax-step": (gymnax_step, ("gymnax", "jax")),
    "envpool": (envpool, ("envpool",)),
    "pufferlib": (pufferlib, ("pufferlib",)),
}


def known_version(package: str) -> str:
    """Return the version of a package, as far as it is known."""
    try:
        return version(package)
    except Exception:  # built from source and not installed as a package
        return str(getattr(import_module(package), "__version__", "unknown"))


def main(name: str, size: int) -> None:
    """Run the peer until the input ends."""
    # What a library prints would be read as an answer.
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    make, packages = PEERS[name]
    block = make(size)
    block()  # compiled, if it is to be
    found = {package: known_version(package) for package in (*packages, "numpy")}
    print(json.dumps({"python": sys.version.split()[0], **found}), file=answers, flush=True)
    for line in sys.stdin:
        seconds, done, cpu = float(line), 0, 0.0
        start_cpu, start = time.process_time(), time.perf_counter()
        while not done or cpu < seconds:
            done += block()
            cpu = time.process_time() - start_cpu
        print(done, cpu, time.perf_counter() - start, file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
