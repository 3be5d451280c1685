"""How many threads: one setting for everything that musicgym runs.

Large batches of environments are cut into one piece a thread. Training runs torch on one thread
(`musicgym.agents.threads`). ``MUSICGYM_THREADS`` sets another number for both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from threading import Lock, Thread

from .processes import place

__all__ = ["in_pieces", "threads"]

#: Batches of this size and above are cut into pieces.
PIECES_FROM = 32_768
#: The first piece is longer by this: the other threads wake meanwhile.
HEAD_START = 4096


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
    head = min(HEAD_START, size // count)
    edges = [0, *(head + (size - head) * i // count for i in range(1, count + 1))]
    with _TURN:
        others = _workers(count - 1, os.getpid())
        for worker, first, last in zip(others, edges[1:], edges[2:], strict=False):
            worker.start_on(run, first, last)
        try:
            run(0, edges[1])
        finally:
            failed = [error for worker in others if (error := worker.finish())]
        for error in failed:
            raise error


class _Worker(Thread):
    """A thread that waits on a lock: half the time of an executor's queue and future."""

    def __init__(self) -> None:
        super().__init__(name="musicgym", daemon=True)
        self._go, self._done = Lock(), Lock()
        self._go.acquire()
        self._done.acquire()
        self.start()

    def start_on(self, run: Callable[[int, int], None], first: int, last: int) -> None:
        self._job = run, first, last
        self._go.release()

    def finish(self) -> BaseException | None:
        self._done.acquire()
        return self._error

    def run(self) -> None:
        while self._go.acquire():
            run, first, last = self._job
            self._error: BaseException | None = None
            try:
                run(first, last)
            except BaseException as error:
                self._error = error
            del run, self._job  # nothing is kept alive until the next time
            self._done.release()


#: The workers serve one batch at a time.
_TURN = Lock()


@cache
def _workers(count: int, process: int) -> list[_Worker]:
    """Return the workers of a process; a fork has none of its parent's."""
    return [_Worker() for _ in range(count)]
