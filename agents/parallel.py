"""Training one agent in several processes, each with a part of its melodies.

Every process holds the whole agent and does the same in the same order. Means over its own melodies
become means over all by sums that are weighted with its share, so the run is that of one process up
to the order of the sums.

The processes also end together. Before each sum they exchange a word: whether to go on. Where one
was asked to stop (Ctrl-C), all stop at that place; where one failed, it says so in the next word,
and the others fail there and need not wait for what will never come.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from musicgym.processes import place

__all__ = ["ALONE", "PeerError", "Team", "join"]

Made = TypeVar("Made")

#: Seconds that a process waits for the others; MUSICGYM_TIMEOUT sets another number.
TIMEOUT = 600
#: What is said in the exchange of words.
GO_ON, STOP, FAILED = 0, 1, 2


class PeerError(RuntimeError):
    """Another process of the run failed or does not answer; the message says which and why."""


class Team:
    """The processes that train one agent, seen from one of them; alone by default.

    Attributes:
        rank: this process's number; process 0 leads: it alone prepares, reports and writes.
        size: how many there are.
        device: where this process computes.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, device: str = "cpu", store: Store | None = None
    ) -> None:
        """Note the place; `store` is what the processes share small texts through."""
        self.rank, self.size, self.device = rank, size, device
        self._store = store
        self._turns = 0
        # One tensor for all words: Gloo's threads may hold it for a while, and where they hold the
        # last reference when Python ends, the process aborts.
        self._words = torch.zeros(size, dtype=torch.int64)
        self._asked = self._at_once = self._over = self._lost = False

    @property
    def leads(self) -> bool:
        """Whether this is the process that prepares, reports and writes."""
        return self.rank == 0

    def rows(self, whole: int) -> range:
        """Return this process's part of a whole batch: neighbouring rows, as even as can be.

        Raises:
            ValueError: there are fewer rows than processes.

        >>> [Team(rank, 3).rows(8) for rank in range(3)]
        [range(0, 2), range(2, 5), range(5, 8)]
        """
        if whole < self.size:
            raise ValueError(
                f"num_envs: {whole} cannot be shared by {self.size} processes; each plays 1 or "
                f"more, so give {self.size} or more, or start fewer processes."
            )
        return range(whole * self.rank // self.size, whole * (self.rank + 1) // self.size)

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of the processes' tensors, in place; on a GPU nothing waits for it.

        Raises:
            KeyboardInterrupt: the run was asked to stop.
            PeerError: another process failed or does not answer.
        """
        if self.size > 1:
            self._exchange(GO_ON)
            self._reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by the sum of the processes' gradients: one sum for all of them."""
        if self.size == 1:
            return
        gradients = {p: p.grad for p in parameters if p.grad is not None}
        bucket = self.sum(torch.cat([gradient.flatten() for gradient in gradients.values()]))
        parts = bucket.split([p.numel() for p in gradients])
        for parameter, part in zip(gradients, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def check_equal(self, what: str, content: Callable[[], Iterable[bytes]]) -> None:
        """Raise a ValueError in each process where some content is not the same in all."""
        if self.size == 1:
            return
        digest = hashlib.sha256()
        for part in content():
            digest.update(part)
        all_digests = torch.zeros(self.size, dtype=torch.int64)
        all_digests[self.rank] = int.from_bytes(digest.digest()[:7], "big")
        if len(self.sum(all_digests).unique()) > 1:
            raise ValueError(
                f"{what} is not the same in all processes; give them the same command, the same "
                f"musicgym and one cache folder (MUSICGYM_CACHE)."
            )

    def in_turn(self, work: Callable[[], Made]) -> Made:
        """Return what `work` makes, in the leading process first, then in the others.

        So what it leaves in files is made once, and found by the others. Ctrl-C interrupts it at
        once.
        """
        if self.size == 1:
            return work()
        assert self._store is not None
        turn, made = f"turn/{self._turns}", []
        self._turns += 1
        with self.together(), self._interruptible():
            if self.leads:
                try:
                    made.append(work())
                finally:
                    self._store.set(turn, "over")
            while not self._store.check([turn]):  # it may take long, so no collective waits
                time.sleep(0.05)
        with self.together(), self._interruptible():
            if not self.leads:
                made.append(work())
        return made[0]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Leave a block when all processes do; where it fails in one, it fails in all.

        Raises:
            KeyboardInterrupt: the run was asked to stop.
            PeerError: another process failed or does not answer.
        """
        if self.size == 1:
            yield
            return
        try:
            yield
        except BaseException as error:
            if not self._over:
                stopped = isinstance(error, KeyboardInterrupt)
                with suppress(KeyboardInterrupt, PeerError):
                    self._exchange(STOP if stopped else FAILED, str(error) or repr(error))
            raise
        self._exchange(GO_ON)

    def _exchange(self, word: int, why: str = "") -> None:
        """Tell the others whether to go on, and raise where one does not.

        After a word that was not to go on there is no other: each process is on its way out.
        """
        if self._over:
            raise PeerError("the processes of this run have parted.")
        if word == GO_ON and self._asked:
            word = STOP
        if word == FAILED and self._store is not None:
            with suppress(RuntimeError):  # the others then hear that it failed, but not why
                self._store.set(f"failed/{self.rank}", why)
        self._words.zero_()[self.rank] = word
        self._reduce(self._words)
        heard = self._words.tolist()
        if FAILED in heard:
            self._over = True
            first = heard.index(FAILED)
            raise PeerError(f"process {first} of {self.size} failed: {self._reason(first)}")
        if STOP in heard:
            self._over = True
            raise KeyboardInterrupt

    def _reduce(self, tensor: Tensor) -> None:
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            self._over = self._lost = True
            why = "another process of the run has ended without a word (killed, or out of memory?)."
            if "timed out" in str(error).lower():
                why = (
                    f"the other processes did not answer for {_timeout()} seconds; "
                    f"MUSICGYM_TIMEOUT sets how many to wait."
                )
            # Its frames would keep the group from being destroyed.
            raise PeerError(why) from error.with_traceback(None)

    def _reason(self, rank: int) -> str:
        """Return why a process failed, in its own words."""
        key = f"failed/{rank}"
        with suppress(RuntimeError):
            if self._store is not None and self._store.check([key]):
                return str(self._store.get(key).decode())
        return "it does not say why."

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let Ctrl-C interrupt a block at once, not at the next word."""
        if self._asked:
            raise KeyboardInterrupt
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _stop(self, *_: Any) -> None:
        """Take a signal to stop; a second one changes nothing."""
        self._asked = True
        if self._at_once:
            self._at_once = False
            raise KeyboardInterrupt


#: One process that trains without others.
ALONE = Team()


@contextmanager
def join(device: str = "cpu") -> Iterator[Team]:
    """Join the processes that torchrun started, for a block; without torchrun it is a team of one.

    They leave the block together (`Team.together`). SIGINT and SIGTERM ask the run to stop, which
    all do at the next sum, between two gradient steps at the latest.

    Args:
        device: ``"cpu"``, or ``"cuda"`` for one GPU a process.

    Raises:
        ValueError: there is no GPU for this process, or MUSICGYM_TIMEOUT is not a number.
        PeerError: another process failed or does not answer.
    """
    rank, size, local_rank, local_size = place()
    if size == 1:
        yield Team(device=device)
        return
    if device != "cpu":
        device = _own_gpu(device, local_rank, local_size)
        torch.cuda.set_device(device)
    patience = timedelta(seconds=_timeout())
    store, _, _ = next(rendezvous("env://", rank, size, timeout=patience))
    store = PrefixStore("musicgym", store)
    # Words are exchanged between hosts, so that a GPU does not wait for them.
    backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=patience, store=store, rank=rank, world_size=size)
    team = Team(rank, size, device, store)
    replaced = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            replaced[number] = signal.signal(number, team._stop)
    try:
        with team.together():
            yield team
    finally:
        if device == "cpu" or not team._lost:  # NCCL would wait for a sum that never comes
            dist.destroy_process_group()
    # Not after an error: torchrun ends all processes when the first has ended, and this one may
    # still have something to say.
    for number, handler in replaced.items():
        signal.signal(number, handler)


def _own_gpu(device: str, local_rank: int, local_size: int) -> str:
    """Return the GPU of this process."""
    if device != "cuda":
        raise ValueError(f"device: {device!r} is not one of cpu, cuda (one GPU a process).")
    count = torch.cuda.device_count()
    if local_size > count:
        raise ValueError(
            f"device: {local_size} processes on this machine, but torch sees {count} GPUs; start "
            f"one process a GPU, or use cpu."
        )
    return f"cuda:{local_rank}"


def _timeout() -> int:
    """Return how many seconds to wait for other processes."""
    given = os.environ.get("MUSICGYM_TIMEOUT", "") or str(TIMEOUT)
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"MUSICGYM_TIMEOUT: {given!r} is not a whole number of 1 or more.")
    return int(given)
