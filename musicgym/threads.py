"""How many threads: one setting for everything that musicgym runs.

Large batches of environments are cut into one piece a thread. Training runs torch on one thread
(`musicgym.agents.threads`). ``MUSICGYM_THREADS`` sets another number for both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Lock, Thread

from .processes import place

__all__ = ["in_pieces", "threads"]

#: Batches of this size and above are cut into pieces.
PIECES_FROM = 32_768
#: At most one piece for so many: waking one more thread would take longer than it saves.
SHARE = 4096
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

    The pieces run in threads of this process: `run` must release the GIL where its work is. All of
    them have ended when this returns or raises, after an interrupt too.
    """
    count = min(threads(), size // SHARE) if size >= PIECES_FROM else 1
    if count <= 1:
        run(0, size)
        return
    head = min(HEAD_START, size // count)
    edges = [0, *(head + (size - head) * i // count for i in range(1, count + 1))]
    given: list[_Piece] = []
    try:
        for worker, first, last in zip(
            _workers(count - 1, os.getpid()), edges[1:], edges[2:], strict=False
        ):
            piece = _Piece(run, first, last)
            worker.pieces.put(piece)  # first: nobody would ever play what is not put
            given.append(piece)
        run(0, edges[1])
    finally:
        _wait(given)
    for piece in given:
        if piece.error is not None:
            raise piece.error


class _Piece:
    """A piece of one call, with a lock of its own: what interrupts one call disturbs no other."""

    def __init__(self, run: Callable[[int, int], None], first: int, last: int) -> None:
        self.run, self.first, self.last = run, first, last
        self.error: BaseException | None = None
        self.running = Lock()
        self.running.acquire()

    def play(self) -> None:
        try:
            self.run(self.first, self.last)
        except BaseException as error:
            self.error = error
        self.running.release()


def _wait(pieces: list[_Piece]) -> None:
    """Wait until all pieces have ended, and raise what interrupts only then."""
    try:
        for piece in pieces:
            with piece.running:
                pass
    except BaseException:
        _wait(pieces)
        raise


class _Worker(Thread):
    """A thread that plays pieces in turn: half the time of an executor's queue and future."""

    def __init__(self) -> None:
        super().__init__(name="musicgym", daemon=True)
        self.pieces: SimpleQueue[_Piece] = SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self.pieces.get().play()  # no name: nothing is kept alive until the next


@cache
def _workers(count: int, process: int) -> list[_Worker]:
    """Return the workers of a process; a fork has none of its parent's."""
    return [_Worker() for _ in range(count)]
