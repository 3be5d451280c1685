"""How many threads: one setting for everything that musicgym runs.

Large batches of environments are cut into one piece a thread. Training runs torch on one thread
(`musicgym.agents.threads`). ``MUSICGYM_THREADS`` sets another number for both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from .processes import place

__all__ = ["in_pieces", "threads"]

#: Batches of this size and above are cut into pieces.
PIECES_FROM = 8192


def threads(default: int | None = None) -> int:
    """Return ``MUSICGYM_THREADS``, or the default: as many as this process may use.

    Raises:
        ValueError: the environment variable is not a whole number of 1 or more.
    """
    given = os.environ.get("MUSICGYM_THREADS", "")
    if not given:
        return default or _cores()
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"MUSICGYM_THREADS: {given!r} is not a whole number of 1 or more.")
    return int(given)


def _cores() -> int:
    """Return the cores that this process may use, its part of them beside others of its run."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores // place().local_size)


def in_pieces(run: Callable[[int, int], None], size: int) -> None:
    """Call ``run(first, last)`` over 0 to `size`, a large size in pieces side by side.

    The pieces run in threads of this process: `run` must release the GIL where its work is.
    """
    count = threads() if size >= PIECES_FROM else 1
    if count == 1:
        run(0, size)
        return
    edges = [size * i // count for i in range(count + 1)]
    pool = _pool(count - 1, os.getpid())
    others = [pool.submit(run, *edges[i : i + 2]) for i in range(1, count)]
    run(0, edges[1])
    for other in others:
        other.result()


@cache
def _pool(workers: int, process: int) -> ThreadPoolExecutor:
    """Return the threads of a process; a fork has none of its parent's."""
    return ThreadPoolExecutor(workers, "musicgym")
