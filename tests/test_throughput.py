"""The throughput benchmark: turns, ratios and what is printed. Speeds are never asserted."""

from __future__ import annotations

import json
import time

import pytest

from musicgym.benchmarks import throughput
from musicgym.benchmarks.throughput import Comparison, as_json, interleaved, rate, table

ROW = Comparison("vector env x 4,096, compact", "CartPoleVectorEnv", (6e7, 8e7), (3e7, 2e7), 1.2)
MISSED = Comparison("PPO, LSTM-256, 64 envs", "RecurrentPPO", (2e3,), (1e3,), 2.5)


def test_ours_and_the_peer_take_turns_after_a_warm_up() -> None:
    calls: list[tuple[str, float]] = []
    found = interleaved(
        "ours",
        "theirs",
        lambda s: calls.append(("ours", s)) or 10.0 * len(calls),
        lambda s: calls.append(("theirs", s)) or 5.0,
        target=1.0,
        seconds=2.0,
        repeats=3,
    )
    assert [name for name, _ in calls] == ["ours", "theirs"] * 4
    assert [seconds for _, seconds in calls] == [0.4] * 2 + [2.0] * 6
    assert found.ours == (30.0, 50.0, 70.0)  # the warm-up is not among them
    assert found.theirs == (5.0, 5.0, 5.0)


def test_the_ratio_is_the_median_of_the_turns() -> None:
    assert ROW.ratio == 3.0 and ROW.reached
    assert MISSED.ratio == 2.0 and not MISSED.reached


def test_a_rate_counts_at_least_one_block_by_the_cpu_time_of_this_process() -> None:
    blocks: list[int] = []

    def block() -> int:
        blocks.append(1)
        start = time.process_time()
        while time.process_time() - start < 0.01:
            pass
        return 100

    assert 100 / 0.02 < rate(block, 1e-9) <= 100 / 0.01
    assert len(blocks) == 1
    rate(block, 0.05)
    assert 4 <= len(blocks) <= 6
    time_asleep = rate(lambda: time.sleep(0.05) or sum(range(20_000)) and 100, 1e-9)
    assert time_asleep > 100 / 0.05  # sleeping costs no CPU time


def test_the_table_fits_80_columns_and_names_both_sides_and_the_target() -> None:
    text = table([ROW, MISSED])
    assert max(map(len, text.splitlines())) <= 80
    assert "CartPoleVectorEnv" in text and "3.00" in text
    assert "target 1.20: reached" in text and "target 2.50: MISSED" in text


def test_the_json_holds_every_turn_the_versions_and_the_hardware() -> None:
    data = json.loads(as_json([ROW]))
    (row,) = data["comparisons"]
    assert row["ours"] == [6e7, 8e7] and row["ratio"] == 3.0 and row["reached"]
    machine = data["machine"]
    assert machine["cores"] >= 1 and machine["processor"]
    for package in ("python", "musicgym", "gymnasium", "numpy", "numba", "torch"):
        assert machine[package][0].isdigit(), package


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"seconds": 0.0}])
def test_no_turns_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        interleaved("a", "b", lambda s: 1.0, lambda s: 1.0, 1.0, **wrong)


def test_the_environments_are_compared_with_cartpole() -> None:
    rows = throughput.environments(seconds=0.005, repeats=1)
    assert [(row.peer, row.target) for row in rows] == [
        ("CartPoleVectorEnv", 1.7), ("CartPoleVectorEnv", 1.2), ("CartPole-v1", 1.0),
        ("CartPole-v1", 0.8),
    ]  # fmt: skip
    assert all(min(row.ours + row.theirs) > 0 for row in rows)
    assert max(map(len, table(rows).splitlines())) <= 80


def test_both_sides_of_the_training_benchmark_train() -> None:
    pytest.importorskip("sb3_contrib")
    from musicgym.agents.threads import few_threads
    from musicgym.benchmarks import recurrent_peer

    with few_threads():
        for side in (recurrent_peer.ours, recurrent_peer.theirs):
            measure = side(hidden=8, num_envs=4)
            assert measure(1e-9) > 0
