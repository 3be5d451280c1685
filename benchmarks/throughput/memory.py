"""``musicgym bench memory``: the bytes an environment takes, stated and measured.

``python -m musicgym.benchmarks.throughput.memory SIZE`` makes so many compact environments in a
process of its own, steps them, and prints how much the process grew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from textwrap import fill
from typing import Any

__all__ = ["LIMIT", "memory", "report", "stated"]

MILLION = 1_000_000
#: What a million environments may take.
LIMIT = 2 * 2**30


def memory(size: int = MILLION) -> dict[str, Any]:
    """Measure environments in a fresh process; return bytes, stated and measured.

    Raises:
        OSError: the process failed; the message is its last line.
    """
    command = [sys.executable, "-m", __name__, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise OSError(f"bench memory: {lines[-1] if lines else 'the process failed'}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def stated(envs: Any) -> dict[str, int]:
    """Return the bytes of one environment's arrays: those kept, and those of one step's results."""
    state = sum(column.itemsize for column in envs._batch.state)
    return {
        "state": state,
        "events so far": int(envs.task.steps),
        "observation": len(envs.parts),
        "reward and terms, float64": 8 * (1 + len(envs.reward.names)),
        "flags": 3,
        "action mask": int(envs.task.n_events),
    }


def report(found: dict[str, Any]) -> str:
    """Return what was measured as text.

    >>> print(report({"size": 1000, "stated": {"state": 19, "flags": 3}, "grown": 50_000,
    ...     "peak": 64_000, "limit": 10**9}))
    1,000 environments, compact: 22 bytes each stated, 50 measured
    stated: state 19, flags 3
    64.0 k bytes at the peak; target 1.00 G: reached
    """
    from .rows import amount

    size, limit = found["size"], found["limit"]
    each = ", ".join(f"{name} {count}" for name, count in found["stated"].items())
    verdict = "reached" if found["peak"] <= limit else "MISSED"
    lines = [
        f"{size:,} environments, compact: {sum(found['stated'].values())} bytes each stated, "
        f"{found['grown'] / size:.0f} measured",
        f"stated: {each}",
        f"{amount(found['peak'])} bytes at the peak; target {amount(limit)}: {verdict}",
    ]
    return "\n".join(fill(line, 80, subsequent_indent="    ") for line in lines)


def _measure(size: int) -> dict[str, Any]:
    """Make and step environments; return how much this process grew."""
    import gymnasium as gym
    import numpy as np

    import musicgym  # noqa: F401

    def make(count: int) -> Any:
        envs: Any = gym.make_vec("MelodyCompose-v0", num_envs=count, observation="compact")
        envs.reset(seed=0)
        for _ in range(envs.task.steps + 2):  # over the end of a melody: restarts count too
            envs.step(np.ones(count, np.int64))
        return envs

    make(16)  # compiled, imported
    before = _resident("VmRSS")
    envs = make(size)
    return {
        "size": size,
        "stated": stated(envs),
        "grown": _resident("VmRSS") - before,
        "peak": _resident("VmHWM") - before,
        "limit": round(LIMIT * size / MILLION),
    }


def _resident(field: str) -> int:
    """Return bytes of this process: ``VmRSS`` now, ``VmHWM`` at the peak."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"this system does not say {field}")


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
