"""The throughput benchmark: turns, ratios, peers, tables, pictures. Speed is never asserted."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from musicgym import cli
from musicgym.agents.configs import MelodyLSTMConfig
from musicgym.benchmarks.throughput import environments, foreign, gpu, limits, scaling, training
from musicgym.benchmarks.throughput.cleanrl_style import Agent, Settings, Trainer
from musicgym.benchmarks.throughput.foreign import Foreign, PeerAbsent, Worker
from musicgym.benchmarks.throughput.memory import memory, report
from musicgym.benchmarks.throughput.pictures import picture, spread
from musicgym.benchmarks.throughput.rows import Row, Run, amount, compare, machine, table
from musicgym.benchmarks.throughput.run import publish, text
from musicgym.benchmarks.throughput.sampling import CalledByStep, sampling
from musicgym.benchmarks.throughput.scaling import Curve, Figure, curves_table
from musicgym.benchmarks.throughput.turns import Turn, take_turns, timed
from musicgym.vector_env import MelodyComposeVectorEnv

TINY: dict[str, Any] = {"bars": 2, "steps_per_beat": 1, "progression": "I V", "backend": "arrays"}


def turns(*rates: float) -> tuple[Turn, ...]:
    """Return turns of so many steps a CPU-second, at half of that by the wall clock."""
    return tuple(Turn(round(rate * 2), 2.0, 4.0) for rate in rates)


ROW = Row("compiled, compact x 4,096", "CartPoleVectorEnv", turns(6e7, 8e7), turns(3e7, 2e7), 1.2)
MISSED = Row("PPO float32, 64 envs", "sb3 RecurrentPPO", turns(2e3), turns(1e3), 2.5)
ALONE = Row("tensor, captured x 65,536", ours=turns(3e9), target=1e9, clock="wall")
ABSENT = replace(MISSED, theirs=(), absent="not installed: No module named 'sb3_contrib'" * 3)


# --- turns ---------------------------------------------------------------------------------------


def test_the_sides_take_turns_after_they_are_warm() -> None:
    calls: list[tuple[str, float]] = []

    def side(name: str) -> Callable[[float], Turn]:
        def measure(seconds: float) -> Turn:
            calls.append((name, seconds))
            return Turn(len(calls), 1.0, 1.0)

        return measure

    found = take_turns({n: side(n) for n in "abc"}, seconds=2.0, repeats=3, warmups=2)
    assert [name for name, _ in calls] == ["a", "b", "c"] * 5
    assert [seconds for _, seconds in calls] == [0.4] * 6 + [2.0] * 9
    assert [turn.steps for turn in found["b"]] == [8, 11, 14]  # what warmed up is not among them


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"seconds": 0.0}])
def test_no_turns_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        take_turns({"a": lambda s: Turn(1, 1.0, 1.0)}, **{"seconds": 1.0, "repeats": 1, **wrong})


def test_a_turn_runs_one_block_at_least_and_ends_when_its_time_is_up() -> None:
    blocks: list[int] = []

    def block() -> int:
        blocks.append(1)
        start = time.process_time()
        while time.process_time() - start < 0.01:
            pass
        return 100

    turn = timed(block)(1e-9)
    assert turn.steps == 100 and len(blocks) == 1
    assert 100 / 0.02 < turn.rate("cpu") <= 100 / 0.01
    assert 400 <= timed(block)(0.05).steps <= 600


def test_sleeping_counts_on_the_wall_only() -> None:
    turn = timed(lambda: time.sleep(0.05) or 100, "wall")(0.08)
    assert turn.steps == 200 and turn.wall >= 0.1 and turn.cpu < 0.05
    assert turn.rate("cpu") > turn.rate("wall")


def test_a_measure_counts_the_cpu_time_of_other_processes_where_it_is_told_to() -> None:
    ticks = iter([5.0, 7.5])
    assert timed(lambda: 10, cpu=lambda: next(ticks))(1.0) == (10, 2.5, pytest.approx(0, abs=0.1))


def test_the_cpu_time_of_a_running_process_is_read() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    before = environments._cpu_of([os.getpid()])
    start = time.process_time()
    while time.process_time() - start < 0.05:
        pass
    assert 0.02 < environments._cpu_of([os.getpid(), 2**30]) - before < 1.0


def test_a_number_of_threads_is_asked_for_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environments.VARIABLE, raising=False)
    with environments.on_threads(2):
        assert os.environ[environments.VARIABLE] == "2"
    assert environments.VARIABLE not in os.environ
    monkeypatch.setenv(environments.VARIABLE, "5")
    with pytest.raises(KeyError), environments.on_threads(1):
        raise KeyError
    assert os.environ[environments.VARIABLE] == "5"


# --- rows, tables, JSON --------------------------------------------------------------------------


def test_the_ratio_is_the_median_of_the_turns_and_decides() -> None:
    assert ROW.ratios == (2.0, 4.0) and ROW.ratio == 3.0 and ROW.reached is True
    assert MISSED.ratio == 2.0 and MISSED.reached is False
    assert replace(MISSED, target=None).reached is None
    assert replace(MISSED, target=2.0).reached is True


def test_a_row_by_the_wall_clock_is_judged_by_it() -> None:
    ours, theirs = (Turn(10, 1.0, 2.0),), (Turn(10, 1.0, 6.0),)
    assert replace(ROW, ours=ours, theirs=theirs, clock="wall").ratio == 3.0
    assert replace(ROW, ours=ours, theirs=theirs).ratio == 1.0


def test_a_row_without_a_peer_is_judged_by_its_own_speed() -> None:
    assert ALONE.ratio is None and ALONE.reached is True  # 1.5 G by the wall clock
    assert replace(ALONE, target=2e9).reached is False


def test_a_row_whose_peer_is_absent_has_no_ratio_and_no_verdict() -> None:
    assert ABSENT.ratio is None and ABSENT.reached is None
    assert "not installed" in table([ABSENT]) and "MISSED" not in table([ABSENT])


def test_two_sides_of_one_run_make_a_row() -> None:
    found = {"a": turns(4.0), "b": turns(2.0), "c": turns(1.0)}
    row = compare("ours", "theirs", found, "a", "c", 3.0)
    assert row.ratio == 4.0 and row.peer == "theirs" and row.reached


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0.00"), (0.5, "0.50"), (99.0, "99.0"), (5432.0, "5.43 k"), (9.87e8, "987 M"),
     (1.5e9, "1.50 G"), (4e13, "40.0 T")],
)  # fmt: skip
def test_an_amount_is_short_and_has_its_unit(value: float, words: str) -> None:
    assert amount(value) == words and len(words) <= 7


def test_the_table_fits_80_columns_and_names_sides_targets_and_spreads() -> None:
    shown = table([ROW, MISSED, ALONE, ABSENT, replace(ROW, name="n" * 60, peer="p" * 60)])
    assert max(map(len, shown.splitlines())) <= 80
    assert "CartPoleVectorEnv" in shown and "3.00" in shown
    assert "2.00 to 4.00 in 2 turns; target 1.20: reached" in shown
    assert "target 2.50: MISSED" in shown
    assert "by the wall clock; target 1.00 G/s: reached" in shown


def test_a_run_survives_json_with_every_turn_and_all_that_it_depends_on() -> None:
    run = Run(
        "env", "musicgym bench env", (ROW, ALONE, ABSENT), {"seconds": 0.5, "repeats": 2},
        machine(device="cpu"), {"limits": {"peaks": {"copy B/s": 1.0}}},
    )  # fmt: skip
    data = json.loads(run.to_json())
    assert data["rows"][0]["ours"] == [[120_000_000, 2.0, 4.0], [160_000_000, 2.0, 4.0]]
    assert data["rows"][0]["ratio"] == 3.0 and data["rows"][0]["reached"] is True
    assert data["machine"]["cores"] >= 1 and data["machine"]["processor"]
    for package in ("python", "musicgym", "gymnasium", "numpy", "numba", "torch"):
        assert data["machine"][package][0].isdigit(), package
    assert Run.from_json(run.to_json()) == run


# --- foreign peers -------------------------------------------------------------------------------

ECHO = """
import sys
print('{"echo": "1.0"}', flush=True)
for line in sys.stdin:
    print(round(float(line) * 100), line.strip(), 2 * float(line), flush=True)
"""
FAKE_ENVPOOL = """
import numpy as np
print("a greeting that is no answer")
class Envs:
    def __init__(self, size): self.size = size
    def reset(self): pass
    def step(self, actions): assert actions.shape == (self.size,) and set(actions) <= {0, 1}
def make(name, env_type, num_envs, num_threads, seed):
    assert name == "CartPole-v1" and num_threads == 1
    return Envs(num_envs)
__version__ = "9.9"
"""


def test_a_worker_runs_when_it_is_told_to_and_says_what_it_did() -> None:
    with Worker([sys.executable, "-c", ECHO]) as worker:
        assert worker.versions == {"echo": "1.0"}
        assert worker(0.5) == Turn(50, 0.5, 1.0)
        assert worker(2.0) == Turn(200, 2.0, 4.0)
    assert worker.process.returncode == 0
    assert not Path(worker.folder.name).exists()


def test_a_worker_that_ends_says_its_last_words() -> None:
    with pytest.raises(PeerAbsent, match="^ImportError: it is not here$"):
        Worker([sys.executable, "-c", "raise ImportError('it is not here')"])
    with pytest.raises(PeerAbsent, match="ended without a word"):
        Worker([sys.executable, "-c", ""])
    with pytest.raises(PeerAbsent, match="/no/such/python cannot be run"):
        Worker(["/no/such/python"])
    dies = "print('{}', flush=True); input(); raise SystemExit('enough')"
    with (
        Worker([sys.executable, "-c", dies]) as worker,
        pytest.raises(PeerAbsent, match="in the middle of the run: enough"),
    ):
        worker(1.0)


def test_a_foreign_peer_is_run_by_the_first_python_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "envpool.py").write_text(FAKE_ENVPOOL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peers = Foreign(["/no/such/python", sys.executable])
    with peers.worker("envpool", 3) as worker:
        turn = worker(0.001)
    assert turn.steps % (64 * 3) == 0 and turn.steps > 0 and 0.001 <= turn.cpu < 5
    assert peers.versions["envpool"]["envpool"] == "9.9"
    assert peers.versions["envpool"]["numpy"] == np.__version__


def test_an_absent_peer_is_looked_for_once_and_named_with_its_reason() -> None:
    with pytest.raises(PeerAbsent, match="not installed: .*cannot be run") as first:
        NO_PEERS_FOREIGN.worker("gymnax-scan", 4)
    with pytest.raises(PeerAbsent) as second:
        NO_PEERS_FOREIGN.worker("gymnax-scan", 8)
    assert first.value is second.value


def no_peers() -> Foreign:
    """Return a search that finds no peer, not even in this Python."""
    found = Foreign(["/no/such/python"])
    found.pythons = ["/no/such/python"]
    return found


NO_PEERS_FOREIGN = no_peers()


def test_the_pythons_of_the_peers_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MUSICGYM_PEERS", os.pathsep.join(["/a/python", "/b/python"]))
    assert Foreign().pythons == ["/a/python", "/b/python", sys.executable]
    assert Foreign(["/c/python"]).pythons == ["/c/python", sys.executable]
    monkeypatch.delenv("MUSICGYM_PEERS")
    assert Foreign().pythons == [sys.executable]


def test_the_worker_imports_nothing_of_ours() -> None:
    assert "import musicgym" not in foreign.SCRIPT.read_text()
    assert "from ." not in foreign.SCRIPT.read_text()


# --- the benchmarks, with turns of a few milliseconds --------------------------------------------


def test_the_environments_are_compared_with_every_peer_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environments, "THREAD_TARGETS", {4: 0.98})
    monkeypatch.setattr(environments, "TARGETS", {4: 1.5})
    kept = environments.tensor_steps

    def eager(size: int, **arguments: Any) -> Any:
        return kept(size, **{**arguments, "execution": "eager"})  # a compiled step takes seconds

    monkeypatch.setattr(environments, "tensor_steps", eager)
    rows = environments.environments(0.003, 1, no_peers(), sizes=(4,))
    assert [(row.peer, row.target) for row in rows] == [
        ("CartPoleVectorEnv", 1.5), ("PufferLib's C CartPole", 0.8),
        ("gymnax CartPole, scan", 3.0), ("gymnax CartPole, by step", None),
        ("EnvPool CartPole", None), *[("CartPoleVectorEnv", None)] * 5,
        ("SyncVectorEnv of ours", None), ("AsyncVectorEnv of ours", None), ("one thread", 0.98),
        ("CartPole-v1", 1.4), ("CartPole-v1", 1.4),
    ]  # fmt: skip
    there = [row for row in rows if not row.absent]
    assert len(there) == len(rows) - 4
    assert all(min(t.rate("wall") for t in row.ours + row.theirs) > 0 for row in there)
    assert max(map(len, table(rows).splitlines())) <= 80


def test_a_form_that_this_machine_lacks_is_a_row_that_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    rows = gpu.gpu_environments("cuda", 0.003, 1, size=4)
    assert len(rows) == 4 and all(row.absent.startswith("not here: device") for row in rows)


def test_a_form_that_falls_back_is_not_measured_under_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("musicgym.backends.tensor._compiled", lambda core: core.step)
    with (
        pytest.warns(UserWarning, match="no CUDA graphs"),
        pytest.raises(RuntimeError, match="^a step runs compiled, not captured"),
    ):
        environments.tensor_steps(4, execution="captured")


def test_the_rows_of_a_gpu_can_be_tried_on_the_cpu() -> None:
    (row,) = gpu.gpu_training("cpu", 1, sizes=(4,), hidden=8)[:1]
    assert row.clock == "wall" and row.target == 3e6
    assert not row.absent and row.ours[0].steps == 4 * 64


def test_all_sides_of_the_training_benchmark_train(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sb3_contrib")
    monkeypatch.setattr(training, "WARMUPS", 1)
    rows = training.training(repeats=1, sizes=(4,), hidden=8)
    assert {row.peer for row in rows} == {"CleanRL-style LSTM PPO", "sb3 RecurrentPPO"}
    assert all(turn.steps == 4 * 64 for row in rows for turn in row.ours + row.theirs)


def test_composing_is_compared_with_the_other_ways() -> None:
    pytest.importorskip("sb3_contrib")
    rows = sampling(0.001, 1, batches=(2,), networks=(MelodyLSTMConfig(8, 2),))
    assert [row.peer for row in rows] == ["nn.LSTM by the step", "RecurrentPPO.predict"]
    assert all(turn.steps % (2 * 64) == 0 for row in rows for turn in row.ours + row.theirs)
    assert "melodies of 64 steps a second" in table(rows)


def test_the_lstm_that_is_called_by_the_step_is_the_same_policy() -> None:
    from musicgym.agents.melody_lstm import MelodyLSTM
    from musicgym.observation import layout

    envs = MelodyComposeVectorEnv(
        num_envs=5, observation="compact", autoreset_mode="Disabled", **TINY
    )
    config = MelodyLSTMConfig(8, 2)
    fast = MelodyLSTM(layout(envs.task), envs.task.n_events, config).eval()
    slow = CalledByStep(fast)
    seen, _ = envs.reset(seed=1)
    states = [policy.initial_state(envs.episodes()) for policy in (fast, slow)]
    with torch.no_grad():
        for _ in range(3):
            ours, states[0] = fast(torch.from_numpy(seen), states[0])
            theirs, states[1] = slow(torch.from_numpy(seen), states[1])
            torch.testing.assert_close(ours, theirs)
            seen, *_ = envs.step(np.arange(5))


def test_a_million_environments_are_measured_in_a_process_of_their_own() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system has no /proc")
    found = memory(20_000)
    assert found["size"] == 20_000 and found["limit"] == round(2 * 2**30 / 50)
    assert found["stated"]["events so far"] == 64
    assert 0 < found["grown"] <= found["peak"]
    assert max(map(len, report(found).splitlines())) <= 80
    with pytest.raises(OSError, match="bench memory"):
        memory(0)


# --- limits --------------------------------------------------------------------------------------


def test_the_peaks_of_the_device_are_measured() -> None:
    found = limits.peaks("cpu", seconds=0.01)
    assert set(found) == {"copy B/s", "float32 FLOP/s", "bfloat16 FLOP/s"}
    assert all(value > 1e6 for value in found.values())


def test_the_arithmetic_of_a_frame_follows_from_the_shapes() -> None:
    hidden, events = 32, 38
    recurrent, heads = 4 * hidden * hidden, hidden * events + hidden  # head and value
    found = limits.flop_a_frame(training.network(hidden), epochs=4)
    assert found == {"play": 2 * (recurrent + heads), "learn": 4 * 3 * 2 * (recurrent + heads)}


def test_the_share_of_a_limit_is_what_is_used_over_the_peak() -> None:
    facts = {
        "peaks": {"copy B/s": 2e10, "float32 FLOP/s": 1e11},
        "uses": [{"what": "env", "rate": 5e7, "each": 100.0, "of": "copy B/s"}],
    }
    shown = limits.limit_table(facts)
    assert "25 % of copy B/s" in shown and "20.0 G" in shown
    assert max(map(len, shown.splitlines())) <= 80


# --- curves --------------------------------------------------------------------------------------


def test_sixteen_rules_can_be_asked_for_and_each_pays() -> None:
    envs = MelodyComposeVectorEnv(num_envs=2, rewards=scaling.rules(16), **TINY)
    assert len(envs.reward.rules) == 16 and len(set(envs.reward.names)) == 16
    for count in (0, 100):
        with pytest.raises(ValueError, match="is not from 1 to"):
            scaling.rules(count)


@pytest.mark.parametrize("steps", scaling.HORIZONS)
def test_a_horizon_is_that_many_steps(steps: int) -> None:
    bars, steps_per_beat = scaling.HORIZONS[steps]
    task = MelodyComposeVectorEnv(bars=bars, steps_per_beat=steps_per_beat, backend="arrays").task
    assert task.steps == steps


def test_the_curves_are_measured_drawn_and_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "COMPILED_AT", ())
    places = {"batch": (1, 4), "horizon": (16,), "rules": (1, 2), "lstm": (4, 8)}
    figures = scaling.scaling(0.002, 1, no_peers(), places=places)
    assert [figure.name for figure in figures] == list(places)
    batch, lstm = figures[0], figures[3]
    ours = {curve.name for curve in batch.curves if curve.is_ours}
    assert {"numba, 1 thread", "numba, 2 threads", "NumPy"} <= ours
    assert set(batch.absent) >= {"pufferlib", "gymnax-scan", "gymnax-step", "envpool"}
    assert [sorted(curve.turns) for curve in lstm.curves] == [[4, 8]] * 2
    assert all(rate > 0 for figure in figures for c in figure.curves for rate in c.rates().values())
    facts = {"figures": [figure.to_dict() for figure in figures]}
    run = Run("scaling", "musicgym bench scaling", machine=machine(device="cpu"), facts=facts)
    assert max(map(len, text(run).splitlines())) <= 80
    read = Run.from_json(run.to_json()).facts["figures"]
    assert tuple(map(Figure.from_dict, read)) == tuple(figures)
    pytest.importorskip("matplotlib")
    written = publish(run, tmp_path / "results")
    assert all(path.stat().st_size > 100 for path in written)
    page = (tmp_path / "results" / "speed.md").read_text()
    for name in places:
        assert f"(speed-{name}.png)" in page
        assert (tmp_path / "results" / f"speed-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_side_that_fails_is_left_out_with_its_reason() -> None:
    def broken(place: int) -> Any:
        raise ValueError(f"no room for {place}\nand more")

    sides = [
        scaling.Side("good", lambda place: timed(lambda: place)),
        scaling.Side("broken", broken),
        scaling.Side("rare", lambda place: timed(lambda: 1), places=(2,)),
    ]
    figure = scaling._figure(("f", "t", "x", "y"), sides, (1, 2, 4), 1e-6, 1)
    assert figure.absent == {"broken": "no room for 1"}
    assert {c.name: sorted(c.turns) for c in figure.curves} == {"good": [1, 2, 4], "rare": [2]}


def test_the_table_of_many_curves_fits_80_columns() -> None:
    at = {x: turns(x * 1e6) for x in scaling.BATCHES}
    curves = tuple(Curve("a rather long name", True, "cpu", at) for _ in range(3))
    figure = Figure("batch", "Steps", "environments at once", "steps a second", curves, {})
    assert max(map(len, curves_table(figure).splitlines())) <= 80


def test_labels_are_moved_apart_in_their_order_and_no_further_than_needed() -> None:
    assert spread([0.1, 0.9, 0.5], 0.1) == [0.1, 0.9, 0.5]
    placed = spread([0.5, 0.52, 0.51, 0.9], 0.1)
    assert placed == pytest.approx([0.41, 0.61, 0.51, 0.9])


def test_a_picture_of_one_place_can_be_drawn() -> None:
    pytest.importorskip("matplotlib")
    curve = Curve("pufferlib", False, "wall", {64: turns(1e6)})
    assert picture(Figure("batch", "t", "x", "y", (curve,), {}))[:4] == b"\x89PNG"


# --- the CleanRL-style peer ----------------------------------------------------------------------


def cleanrl(size: int = 8, **settings: Any) -> Trainer:
    """Return a trainer of the tiny task: 8 steps an episode."""
    envs = MelodyComposeVectorEnv(
        num_envs=size, observation="flat", autoreset_mode="SameStep", **TINY
    )
    return Trainer(envs, Settings(**{"hidden": 16, "steps": 8, **settings}))


def test_the_cleanrl_style_loop_learns() -> None:
    trainer = cleanrl(32, learning_rate=5e-3, gamma=1.0)
    figures = [trainer.iterate() for _ in range(40)]
    rewards = [f["reward"] for f in figures]
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 2.0
    assert figures[-1]["loss/value"] < figures[0]["loss/value"]


def test_the_cleanrl_style_loop_counts_the_steps_that_it_plays() -> None:
    trainer = cleanrl(6)
    played: list[int] = []
    step = trainer.envs.step

    def counted(actions: Any) -> Any:
        played.append(len(actions))
        return step(actions)

    trainer.envs.step = counted
    trainer.iterate()
    assert sum(played) == trainer.frames == 6 * 8


def test_the_cleanrl_style_update_sees_the_log_probabilities_of_the_rollout() -> None:
    """Before any gradient step the ratio is 1: both loops treat state and resets alike."""
    trainer = cleanrl(4, steps=12, learning_rate=0.0)  # episodes of 8 end within the rollout
    seen: list[float] = []
    descend = trainer.descend

    def watched(new: Any, entropy: Any, value: Any, old: Any, *rest: Any) -> Any:
        seen.append(float((new - old).detach().abs().max()))
        return descend(new, entropy, value, old, *rest)

    trainer.descend = watched  # type: ignore[method-assign]
    trainer.iterate()
    trainer.iterate()
    assert len(seen) == 2 * 4 * 4 and max(seen) < 1e-5


def test_the_cleanrl_style_agent_forgets_where_an_episode_begins() -> None:
    torch.manual_seed(0)
    agent = Agent(3, 5, 4)
    seen = torch.randn(2, 1, 3)
    zeros = (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
    fresh, _ = agent.states(seen.flatten(0, 1), zeros, torch.tensor([1.0, 1.0]))
    alone, _ = agent.states(seen[1], zeros, torch.tensor([1.0]))
    on, _ = agent.states(seen.flatten(0, 1), zeros, torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(fresh[1:], alone)
    assert not torch.allclose(on[1:], alone)


def test_the_cleanrl_style_advantages_stop_at_the_end_of_an_episode() -> None:
    trainer = cleanrl(2, gamma=1.0, lam=1.0)
    rewards, values = torch.ones(4, 2), torch.zeros(4, 2)
    begun = torch.zeros(4, 2)
    begun[2] = 1.0  # an episode ended with the second step
    trainer.begun = torch.ones(2)
    found = trainer.advantages(rewards, values, begun)
    assert found[:, 0].tolist() == [2.0, 1.0, 2.0, 1.0]


# --- the command ---------------------------------------------------------------------------------


def test_the_command_prints_and_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from musicgym.benchmarks.throughput import sampling as composing

    monkeypatch.setattr(composing, "BATCHES", (1,))
    kept = composing.sampling

    def tiny(seconds: float, repeats: int) -> list[Row]:
        return kept(seconds, repeats, batches=(1,), networks=(MelodyLSTMConfig(8),))

    monkeypatch.setattr(composing, "sampling", tiny)
    out = tmp_path / "results"
    cli.main(["bench", "sample", "--seconds", "0.001", "--repeats", "1", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "nn.LSTM by the step" in printed and "speed-sample.json" in printed
    run = Run.from_json((out / "speed-sample.json").read_text())
    assert run.command == f"musicgym bench sample --repeats 1 --seconds 0.001 --out {out}"
    assert "## Composing" in (out / "speed.md").read_text()


def test_a_device_is_for_environments_and_training_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "sample", "--device", "cuda"])
    assert stopped.value.code == 2
    assert "bench sample runs on the CPU" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["cudax", "tpu", "cuda"])
def test_a_device_that_is_not_there_ends_with_a_sentence(
    device: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "env", "--device", device])
    assert ended.value.code == 2
    assert f"device: '{device}'" in capsys.readouterr().err
