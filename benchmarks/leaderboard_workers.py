"""Worker processes of the leaderboard: one that dies is replaced, none outlives the command."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Protocol

from musicgym.threads import threads

from .leaderboard import Run, carry_out, fail

__all__ = ["Watcher", "work"]

#: How often a run is begun before it is given up, if its process dies.
TRIES = 2
DIED = "Its process died twice: it was killed, or there was not enough memory."
#: What sets the threads of the libraries that compute; it must be there before they are loaded.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Watcher(Protocol):
    """Who is told how the runs go.

    Attributes:
        jobs: how many runs are at work at once.
    """

    jobs: int

    def begun(self, run: Run) -> None:
        """Hear that a run has begun."""

    def ended(self, run: Run) -> None:
        """Hear that a run has its record."""

    def again(self, run: Run) -> None:
        """Hear that a run is to be begun again: its process died."""

    def waits(self) -> None:
        """Hear that time passes, about once a second."""


def work(runs: Sequence[Run], folder: Path, jobs: int, watcher: Watcher) -> None:
    """Carry out runs in `jobs` processes of their own, in order.

    A process that dies is replaced; its run is begun once more, and then recorded as failed. Each
    has its share of the cores. However this ends, the processes have ended too; those whose parent
    was killed end by themselves.

    Raises:
        OSError: the disk is full.
    """
    waiting, tries = deque(runs), Counter[int]()
    busy: dict[Future[Path], tuple[Run, ProcessPoolExecutor]] = {}
    before = set(multiprocessing.active_children())
    free: list[ProcessPoolExecutor] = [_worker() for _ in range(min(jobs, len(runs)))]
    try:
        with _share_of_the_cores(max(1, len(free))):
            while waiting or busy:
                while waiting and free:
                    run, worker = waiting.popleft(), free.pop()
                    tries[id(run)] += 1
                    with _no_interrupt():
                        busy[worker.submit(carry_out, run, folder)] = (run, worker)
                    watcher.begun(run)
                for future in wait(busy, 1, FIRST_COMPLETED).done:
                    run, worker = busy.pop(future)
                    died = isinstance(future.exception(), BrokenProcessPool)
                    free.append(_worker() if died else worker)
                    if died and tries[id(run)] < TRIES:
                        waiting.appendleft(run)
                        watcher.again(run)
                        continue
                    if died:
                        fail(run, folder, DIED)
                    else:
                        future.result()
                    watcher.ended(run)
                watcher.waits()
    finally:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()


def _worker() -> ProcessPoolExecutor:
    """Return a pool of one: if its process dies it is known which run it was at."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let a process that starts meanwhile ignore Ctrl-C from its first moment on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _share_of_the_cores(jobs: int) -> Iterator[None]:
    """Give processes that start meanwhile their share of the cores, where the user says nothing."""
    given = [name for name in THREADS if name not in os.environ]
    share = str(max(1, threads() // jobs))
    os.environ.update(dict.fromkeys(given, share))
    try:
        yield
    finally:
        for name in given:
            os.environ.pop(name, None)
