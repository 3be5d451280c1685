"""Threads: one setting, and large batches in pieces."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from musicgym import threads


@pytest.mark.parametrize("size", [1, 2, 3, 33, 5000, 70_000])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pieces_cover_every_place_once(
    size: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "PIECES_FROM", 1)
    monkeypatch.setattr(threads, "SHARE", 1)
    monkeypatch.setenv("MUSICGYM_THREADS", str(count))
    seen = [0] * size

    def run(first: int, last: int) -> None:
        for i in range(first, last):
            seen[i] += 1

    threads.in_pieces(run, size)
    assert seen == [1] * size


def test_an_error_in_any_piece_is_raised_and_the_threads_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "PIECES_FROM", 1)
    monkeypatch.setattr(threads, "SHARE", 1)
    monkeypatch.setenv("MUSICGYM_THREADS", "3")

    def fail(first: int, last: int) -> None:
        if last == 30:
            raise ValueError("the last piece")

    for _ in range(2):
        with pytest.raises(ValueError, match="the last piece"):
            threads.in_pieces(fail, 30)
    threads.in_pieces(lambda first, last: None, 30)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of POSIX")
@pytest.mark.parametrize("seconds", [0.0, 0.2], ids=["waiting", "working"])
def test_an_interrupt_waits_for_all_pieces_and_the_threads_go_on(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICGYM_THREADS", "2")
    size, ended = threads.PIECES_FROM, []

    def run(first: int, last: int) -> None:
        time.sleep(0.4 if first else seconds)
        ended.append(last)

    # A run in the background of a shell ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    this = threading.get_ident()
    alarm = threading.Timer(0.1, signal.pthread_kill, [this, signal.SIGINT])
    alarm.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            threads.in_pieces(run, size)
        alarm.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended[-1] == size
    pieces: list[int] = []
    threads.in_pieces(lambda first, last: pieces.append(last), size)
    assert len(pieces) == 2


def test_more_threads_than_a_batch_is_worth_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICGYM_THREADS", "100000")
    pieces: list[int] = []
    threads.in_pieces(lambda first, last: pieces.append(last - first), threads.PIECES_FROM)
    assert sum(pieces) == threads.PIECES_FROM
    assert len(pieces) == threads.PIECES_FROM // threads.SHARE


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_threads_and_a_fork_may_run_large_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICGYM_THREADS", "2")
    size = threads.PIECES_FROM

    def count() -> int:
        seen: list[int] = []
        for _ in range(20):
            threads.in_pieces(lambda first, last: seen.append(last - first), size)
        return sum(seen)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(count) for _ in range(3)]
        if hasattr(os, "fork"):  # while the threads are at it
            child = os.fork()
            if not child:
                os._exit(0 if count() == 20 * size else 1)
            assert os.waitpid(child, 0)[1] == 0
        assert [future.result() for future in futures] == [20 * size] * 3


def test_small_batches_stay_on_the_calling_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICGYM_THREADS", "2")
    pieces: list[tuple[int, int]] = []
    threads.in_pieces(lambda first, last: pieces.append((first, last)), threads.PIECES_FROM - 1)
    assert pieces == [(0, threads.PIECES_FROM - 1)]


def test_the_number_of_threads_is_the_users_the_callers_or_all_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MUSICGYM_THREADS", raising=False)
    assert threads.threads(1) == 1 and threads.threads() >= 1
    monkeypatch.setenv("MUSICGYM_THREADS", "5")
    assert threads.threads(1) == threads.threads() == 5
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("MUSICGYM_THREADS", wrong)
        with pytest.raises(ValueError, match=f"MUSICGYM_THREADS: '{wrong}' is not a whole number"):
            threads.threads()
