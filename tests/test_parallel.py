"""Several processes train one agent: as one process would, and they end together."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small import actor_critic, corpus, vector_env
from torch import Tensor
from tree import ROOT

from musicgym.agents import a2c, checkpoints, ppo
from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import (
    A2CConfig,
    ActorCriticConfig,
    KLConfig,
    LearningConfig,
    MelodyLSTMConfig,
    PPOConfig,
    PretrainConfig,
)
from musicgym.agents.learning import Learner
from musicgym.agents.library import obtain
from musicgym.agents.parallel import ALONE, Team, join
from musicgym.threads import threads

WHOLE, STEPS, ITERATIONS = 5, 8, 4
HELD = KLConfig(beta=0.5, target=0.05)
CASES: dict[str, LearningConfig] = {
    "ppo": PPOConfig(learning_rate=3e-3),
    "ppo held to a prior": PPOConfig(learning_rate=3e-3, kl=HELD),
    "a2c": A2CConfig(learning_rate=3e-3),
    "a2c held to a prior": A2CConfig(learning_rate=3e-3, kl=HELD),
}

#: Only the order of float32 sums differs, about 1e-7 of a gradient; Adam's step, which forgets the
#: gradient's size, makes that up to 1e-7 of the learning rate a step, and more where a gradient is
#: near 0. The weights themselves move by 1e-2.
TOLERANCE = 5e-6

AGENT = ACMGConfig(
    bars=2,
    steps_per_beat=1,
    num_envs=WHOLE,
    progressions=("random",),
    model=ActorCriticConfig(MelodyLSTMConfig(hidden=8), critic_hidden=8),
    pretraining=PretrainConfig(epochs=1),
    learning=PPOConfig(total_steps=ITERATIONS * WHOLE * STEPS, kl=HELD),
)

Weights = dict[str, Tensor]


def learner(case: str, team: Team = ALONE, seed: int = 1) -> Learner:
    config = replace(CASES[case], total_steps=ITERATIONS * WHOLE * STEPS, seed=seed)
    envs = vector_env(len(team.rows(WHOLE)), progression="random")
    model = actor_critic(envs.task, 0)
    prior = copy.deepcopy(model.actor).requires_grad_(False) if config.kl.beta else None
    update = ppo.update if isinstance(config, PPOConfig) else a2c.update
    return Learner(model.to(team.device), [envs], config, update, prior, team)


def weights(of: Learner) -> Weights:
    return {name: value.detach().cpu().clone() for name, value in of.state()[0].items()}


def figures_of(held: Learner) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    held.learn(rows.append)
    timed = ("frames_per_second", "seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


def distance(a: Weights, b: Weights) -> float:
    """Return the largest difference, relative where the numbers are above 1."""
    assert a.keys() == b.keys()
    return max(
        float(((a[n] - b[n]).abs() / b[n].abs().clamp(min=1)).max()) for n in a if a[n].numel()
    )


# What the other processes run: this file, with the name of a function and a folder.


def learn_all(folder: Path, device: str = "cpu") -> None:
    """Learn each case; then go on from what one process has begun."""
    with join(device) as team:
        for case in CASES:
            held = learner(case, team)
            rows = figures_of(held)
            torch.save((weights(held), rows), folder / f"{case} {team.rank}.pt")
        begun = torch.load(folder / "begun.pt")
        held.restore(*begun)
        held.learn()
        torch.save(weights(held), folder / f"resumed {team.rank}.pt")


def learn_and_end_in_every_way(folder: Path) -> None:
    """Learn each case; then be spoiled in the second process, in one way after the other.

    Each process notes how it ends.
    """
    learn_all(folder)
    rank = int(os.environ["RANK"])
    update = ppo.update
    ends: dict[str, Any] = {}

    def fail() -> None:
        raise OSError("process 1 has lost its way")

    ways: dict[str, Callable[[], float | None]] = {
        "differ": lambda: None,
        "diverge": lambda: float("nan"),
        "fail": fail,
        "stop": lambda: os.kill(os.getpid(), signal.SIGINT),
        "die": lambda: os._exit(9),
    }
    os.environ["MASTER_PORT"], *ports = os.environ["PORTS"].split()
    obtain_and_stop(folder)
    for way, os.environ["MASTER_PORT"] in zip(ways, ports, strict=True):

        def spoiled(held: Learner, *given: Any, way: str = way) -> dict[str, Tensor]:
            added = ways[way]() if held.iteration == 2 and rank == 1 else None
            return {name: loss + (added or 0) for name, loss in update(held, *given).items()}

        before: list[Weights] = []
        try:
            with join() as team:
                held = learner("ppo", team, seed=rank if way == "differ" else 1)
                held.update = spoiled
                held.learn(lambda _, held=held, before=before: before.append(weights(held)))
        except BaseException as error:
            now = weights(held)
            kept = not before or all(torch.equal(now[name], before[-1][name]) for name in now)
            ends[way] = [type(error).__name__, str(error), held.iteration, kept]
        (folder / f"ends {rank}.json").write_text(json.dumps(ends))


def obtain_and_stop(folder: Path) -> None:
    """Obtain an agent; the second process is asked to stop after two iterations."""
    plain, stages, rows = ACMGConfig.envs, [], []
    ACMGConfig.envs = lambda *a, **k: plain(*a, **{**k, "backend": "arrays"})  # type: ignore

    def stage(name: str, total: int) -> Any:
        def report(figures: dict[str, Any]) -> None:
            rows.append(figures)
            if team.rank == 1 and name == "learn" and len(rows) == 2:
                raise KeyboardInterrupt

        stages.append(name)
        return report

    with pytest.raises(KeyboardInterrupt), join() as team:
        obtain(AGENT, corpus(12), stage, folder / "agent.safetensors", team=team)
    (folder / f"stages {team.rank}.json").write_text(json.dumps(stages))


# Starting them


def free_ports(count: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [str(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def launch(size: int, function: Callable[..., None], folder: Path, *more: str) -> list[int]:
    """Run a function of this file in several processes; return their exit codes."""
    first, *rest = free_ports(7)  # a port for each team that the processes join in turn
    shared = {
        **os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1",
        "MUSICGYM_CACHE": str(folder), "MUSICGYM_TIMEOUT": "60", "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": first, "PORTS": " ".join(rest),
    }  # fmt: skip
    command = [sys.executable, __file__, function.__name__, str(folder), *more]
    started = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(size)
    ]
    try:
        return [one.wait(timeout=100) for one in started]
    finally:
        for one in started:
            one.kill()


@pytest.fixture(scope="module")
def alone() -> dict[str, tuple[Weights, list[dict[str, Any]]]]:
    """Return what one process learns in each case: its weights and its figures."""
    made = {}
    for case in CASES:
        held = learner(case)
        rows = figures_of(held)
        made[case] = (weights(held), rows)
    return made


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where two processes left what they learned, and how they ended."""
    folder = tmp_path_factory.mktemp("two")
    begin(folder)
    assert launch(2, learn_and_end_in_every_way, folder) == [0, 9]
    return folder


def check_equal(folder: Path, size: int, alone: dict[str, Any]) -> None:
    """Compare what the processes left in a folder with what one process learned."""
    for case, (expected, rows) in alone.items():
        found = [torch.load(folder / f"{case} {rank}.pt") for rank in range(size)]
        for own, own_rows in found:
            assert distance(own, expected) < TOLERANCE, case
            for a, b in zip(own_rows, rows, strict=True):
                assert a == pytest.approx(b, rel=1e-4, abs=2e-5), case
            # The same sums everywhere: the processes cannot drift apart.
            assert all(torch.equal(own[name], found[0][0][name]) for name in own), case
        start = {name: value for name, value in weights(learner(case)).items() if "model" in name}
        moved = distance({name: expected[name] for name in start}, start)
        assert moved > 1000 * TOLERANCE, case
    for rank in range(size):
        resumed = torch.load(folder / f"resumed {rank}.pt")
        assert distance(resumed, expected) < TOLERANCE


def begin(folder: Path) -> None:
    """Leave what one process has begun of the last case."""
    held = learner([*CASES][-1])
    held.step()
    held.step()
    tensors, numbers = held.state()
    torch.save(({name: value.clone() for name, value in tensors.items()}, numbers),
               folder / "begun.pt")  # fmt: skip


# The same run


# 5 melodies in 4 minibatches: in most gradient steps some process has no melody of its own.


def test_two_processes_learn_what_one_process_learns(two: Path, alone: dict[str, Any]) -> None:
    check_equal(two, 2, alone)


def test_three_processes_learn_what_one_process_learns(
    tmp_path: Path, alone: dict[str, Any]
) -> None:
    begin(tmp_path)
    assert launch(3, learn_all, tmp_path) == [0, 0, 0]
    check_equal(tmp_path, 3, alone)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_gpus_learn_what_one_process_learns(alone: dict[str, Any], tmp_path: Path) -> None:
    begin(tmp_path)
    assert launch(2, learn_all, tmp_path, "cuda") == [0, 0]
    for case, (expected, _) in alone.items():
        one, two = (torch.load(tmp_path / f"{case} {rank}.pt")[0] for rank in range(2))
        assert distance(one, expected) < 1e-3
        assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_command_under_torchrun_trains_the_agent_of_one_process(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musicgym.cli import main

    tiny = ["train", "ppo", "--bars", "2", "--practice", "random", "--num-envs", "5",
            "--ppo.total-steps", "240", "--model.actor.hidden", "8", "--model.critic-hidden", "8",
            "--prior.epochs", "1", "--prior.hop", "8"]  # fmt: skip
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "--", "musicgym.cli", *tiny, "--out", two, "--log", tmp_path / "log"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(two)) == 1 and done.stdout.count("median_line") == 1
    assert "learn: 100%" in done.stderr
    assert len([*(tmp_path / "log" / "learn").iterdir()]) == 1
    main([*tiny, "--out", str(one)])
    a, b = (checkpoints.load(path, "acmg") for path in (one, two))
    assert b.facts["finished"] and a.facts["config"] == b.facts["config"]
    assert distance(b.tensors, a.tensors) < TOLERANCE


# The same end


def ends(folder: Path, way: str) -> list[list[Any]]:
    """Return each process's error, its message, the iteration, and whether nothing is spoiled."""
    held = [json.loads((folder / f"ends {rank}.json").read_text()) for rank in range(2)]
    return [end[way] for end in held if way in end]


def test_where_one_process_fails_all_go_back_to_the_iteration_before(two: Path) -> None:
    other, own = ends(two, "fail")
    assert own == ["OSError", "process 1 has lost its way", 2, True]
    assert other == ["PeerError", "process 1 of 2 failed: process 1 has lost its way", 2, True]


def test_a_loss_that_is_not_finite_in_one_process_ends_the_iteration_in_all(two: Path) -> None:
    for error, why, iteration, kept in ends(two, "diverge"):
        assert (error, iteration, kept) == ("ValueError", 2, True)
        assert "iteration 3 is not finite" in why


def test_where_one_process_is_asked_to_stop_all_stop_in_the_same_iteration(two: Path) -> None:
    assert ends(two, "stop") == [["KeyboardInterrupt", "", 2, True]] * 2


def test_where_one_process_dies_the_other_says_so_and_has_lost_nothing(two: Path) -> None:
    ((error, why, iteration, kept),) = ends(two, "die")
    assert (error, iteration, kept) == ("PeerError", 2, True)
    assert "ended without a word" in why


def test_what_was_stopped_goes_on_in_another_number_of_processes(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [json.loads((two / f"stages {rank}.json").read_text()) for rank in range(2)]
    assert stages == [["pretrain", "learn"], ["learn"]]  # the prior is made once
    monkeypatch.setenv("MUSICGYM_CACHE", str(two))
    plain = ACMGConfig.envs
    monkeypatch.setattr(ACMGConfig, "envs", lambda *a, **k: plain(*a, **{**k, "backend": "arrays"}))
    path = two / "agent.safetensors"
    assert checkpoints.load(path, "acmg").facts["learner"] == {"iteration": 2}

    def silent(name: str, total: int) -> Any:
        return lambda figures: None

    rest, _ = obtain(AGENT, corpus(12), silent, path)
    whole, _ = obtain(AGENT, corpus(12), silent, two / "whole.safetensors")
    assert rest.learner and whole.learner and rest.finished
    assert distance(weights(rest.learner), weights(whole.learner)) < TOLERANCE


def test_processes_that_would_train_different_agents_refuse(two: Path) -> None:
    for error, why, iteration, _ in ends(two, "differ"):
        assert (error, iteration) == ("ValueError", 0)
        assert "the agent is not the same in all processes" in why


# One process's part


@pytest.mark.parametrize(("whole", "size"), [(8, 3), (3, 3), (128, 5), (7, 1)])
def test_the_parts_of_a_batch_cover_it_once_and_evenly(whole: int, size: int) -> None:
    parts = [Team(rank, size).rows(whole) for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(whole))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fewer_melodies_than_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="num_envs: 2 cannot be shared by 3 processes"):
        Team(0, 3).rows(2)


def test_environments_that_are_not_the_processs_part_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    team, envs = Team(0, 2), vector_env(WHOLE)
    monkeypatch.setattr(team, "sum", lambda tensor: tensor + 9)
    monkeypatch.setattr(Team, "rows", lambda self, whole: range(whole // 2))
    with pytest.raises(ValueError, match=r"5 given, but process 0 of 2 plays 7 of 14"):
        Learner(actor_critic(envs.task), [envs], PPOConfig(), ppo.update, team=team)


def test_the_minibatches_of_the_processes_are_those_of_one() -> None:
    config = PPOConfig(epochs=2, minibatches=4)
    whole = [rows for rows, _ in ppo.minibatches(config, 3, 7, range(7))]
    assert [len(rows) for rows in whole] == [2, 2, 2, 1] * 2
    own = [Team(rank, 3).rows(7) for rank in range(3)]
    parts = [list(ppo.minibatches(config, 3, 7, rows)) for rows in own]
    for step, expected in enumerate(whole):
        met: list[int] = []
        for rows, part in zip(own, parts, strict=True):
            held, share = part[step]
            met += [rows.start + int(i) for i in held] if share else []
            assert share * len(expected) == pytest.approx(len(held) if share else 0)
        assert sorted(met) == sorted(expected.tolist())
    assert any(share == 0 for part in parts for _, share in part)


def test_one_process_joins_nobody_and_nothing_is_waited_for() -> None:
    with join() as team:
        assert team.leads and team.size == 1 and not torch.distributed.is_initialized()
        tensor = torch.ones(3)
        assert team.sum(tensor) is tensor
        assert team.in_turn(lambda: 7) == 7
        with pytest.raises(ValueError, match="mine"), team.together():
            raise ValueError("mine")


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSICGYM_THREADS", raising=False)
    cores = threads()
    two = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in two.items():
        monkeypatch.setenv(name, value)
    assert threads() == max(1, cores // 2)


@pytest.mark.parametrize(
    ("device", "complaint"),
    [("cuda:1", "not one of cpu, cuda"), ("cuda", "2 processes on this machine, .* sees 1 GPUs")],
)
def test_a_device_that_is_not_one_for_each_process_is_refused(
    device: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    two = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in two.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=complaint), join(device):
        pass


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["train", "ppo", "--nonsense"], "nonsense"), (["train", "a2c", "--rewards", "x"], "'x'"),
     (["train", "--num-envs", "1"], "num_envs: 1"), (["compose"], "torchrun")],
)  # fmt: skip
def test_a_mistake_is_said_by_the_leading_process_only(
    arguments: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from contextlib import contextmanager

    from musicgym.agents import parallel
    from musicgym.cli import commands as cli

    said = []
    for rank in ("0", "1"):

        @contextmanager
        def joined(device: str, rank: str = rank) -> Any:
            team = Team(int(rank), 2)
            monkeypatch.setattr(team, "in_turn", lambda work: work())
            yield team

        monkeypatch.setattr(parallel, "join", joined)
        monkeypatch.setattr(cli.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(cli.signal, "signal", lambda *given: None)
        two = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
        for name, value in two.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        assert end.value.code == 2
        out = capsys.readouterr()
        said.append(out.out + out.err)
    assert complaint in said[0] and not said[1]


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    os._exit(0)  # as the command line leaves, see musicgym.cli.commands
