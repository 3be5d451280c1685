"""Threads: one setting, and large batches in pieces."""

from __future__ import annotations

import pytest

from musicgym import threads


@pytest.mark.parametrize("size", [1, 2, 3, 33, 5000, 70_000])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_pieces_cover_every_place_once(
    size: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "PIECES_FROM", 1)
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
    monkeypatch.setenv("MUSICGYM_THREADS", "3")

    def fail(first: int, last: int) -> None:
        if last == 30:
            raise ValueError("the last piece")

    for _ in range(2):
        with pytest.raises(ValueError, match="the last piece"):
            threads.in_pieces(fail, 30)
    threads.in_pieces(lambda first, last: None, 30)


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
