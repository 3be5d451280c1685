"""The library: agents are found, gone on with, or made."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small import corpus
from tree import ROOT

from musicgym.agents import library
from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import (
    ActorCriticConfig,
    CVAEGANConfig,
    CVAEGANTraining,
    KLConfig,
    MelodyLSTMConfig,
    PPOConfig,
    PretrainConfig,
)
from musicgym.agents.library import agent_path, obtain, prior_path
from musicgym.corpus import dataset
from musicgym.files import cache_folder

CONFIG = ACMGConfig(
    bars=4,
    steps_per_beat=1,
    num_envs=4,
    progressions=("random",),
    model=ActorCriticConfig(MelodyLSTMConfig(hidden=8), critic_hidden=8),
    pretraining=PretrainConfig(epochs=1),
    learning=PPOConfig(total_steps=128, kl=KLConfig(0.1)),
)


class Stages:
    """Notes the stages that are begun."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str, total: int) -> Any:
        self.names.append(name)
        return lambda figures: None


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the agents of a test to itself, and compile nothing anew."""
    (tmp_path / "kernels").symlink_to(cache_folder("kernels"))
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path))
    plain = ACMGConfig.envs
    monkeypatch.setattr(
        ACMGConfig, "envs", lambda self, *a, **k: plain(self, *a, **{**k, "backend": "arrays"})
    )


def test_an_agent_is_made_once_and_then_found() -> None:
    stages = Stages()
    first, path = obtain(CONFIG, corpus(), stages)
    again, same = obtain(CONFIG, corpus(), stages)
    assert stages.names == ["pretrain", "learn"]
    assert path == same and first.finished and again.finished


def test_agents_of_one_prior_share_its_pretraining() -> None:
    stages = Stages()
    for weight in (1.0, 2.0):
        obtain(replace(CONFIG, rewards={"final_tonic": weight}), corpus(), stages)
    assert stages.names == ["pretrain", "learn", "learn"]


def test_a_path_with_another_agent_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    obtain(CONFIG, corpus(), Stages(), path)
    with pytest.raises(ValueError, match="another configuration or corpus"):
        obtain(replace(CONFIG, rewards="acmg"), corpus(), Stages(), path)
    with pytest.raises(ValueError, match="another configuration or corpus"):
        obtain(CONFIG, corpus(pieces=30), Stages(), path)


def test_learning_again_after_a_stop_goes_on_in_the_same_agent() -> None:
    from musicgym.agents.acmg import ACMG

    agent, seen = ACMG(replace(CONFIG, pretraining=None, learning=PPOConfig(total_steps=192))), []

    def stop(figures: dict[str, Any]) -> None:
        seen.append(figures["steps"])
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agent.learn(stop)
    agent.learn(lambda figures: seen.append(figures["steps"]))
    assert seen == [64, 128, 192]


def test_a_corrupt_agent_of_the_cache_is_set_aside_and_made_anew() -> None:
    stages = Stages()
    _, path = obtain(CONFIG, corpus(), stages)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.warns(UserWarning, match=r"kept as .*\.corrupt"):
        agent, same = obtain(CONFIG, corpus(), stages)
    assert agent.finished and same == path
    assert stages.names == ["pretrain", "learn", "learn"]  # the prior was whole
    assert path.with_name(f"{path.name}.corrupt").exists()


# Names


def of_styles(*styles: str) -> ACMGConfig:
    """Return the configuration of a CVAE-GAN for corpora, the first its own."""
    size = CVAEGANConfig(styles=styles, metres=("4/4",))
    return replace(
        CONFIG, corpus=styles[0], model=ActorCriticConfig(size), pretraining=CVAEGANTraining()
    )


@pytest.mark.parametrize("place", [prior_path, agent_path])
def test_a_changed_second_style_is_another_agent(place: Any) -> None:
    """The corpus's own fingerprint is given; that of another style is read where it is kept."""
    alone, both = of_styles("walks"), of_styles("walks", "runs")
    dataset.save(replace(corpus(8), name="runs"), 1)
    first, own = place(both, "mark"), place(alone, "mark")
    assert place(both, "mark") == first
    time.sleep(0.01)  # the file's time of change must be another
    dataset.save(replace(corpus(9), name="runs"), 1)
    assert place(both, "mark") != first
    assert place(alone, "mark") == own


def test_an_agent_of_one_corpus_keeps_its_name() -> None:
    """Files of before are found: the name says configuration and corpus, and nothing else."""
    assert prior_path(ACMGConfig(), "c23db331809fb825").stem == "prior-4-4-grid2-bfe6250c"


# Two processes

TWICE = replace(CONFIG, pretraining=PretrainConfig(epochs=2))


@pytest.fixture
def other(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[Path]]]:
    """Another process that makes the same agent in two caches, and never ends in the second."""
    caches = [tmp_path / "first", tmp_path / "second"]
    for cache in caches:
        cache.mkdir()
        (cache / "kernels").symlink_to((tmp_path / "kernels").resolve())
    shared = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *map(str, caches)]
    made = subprocess.Popen(command, env={**os.environ, **shared})
    yield made, caches
    made.kill()
    made.wait()


def begin_twice(*caches: str) -> None:
    """Be that process."""
    for pause, cache in zip((0.5, 600.0), caches, strict=True):
        os.environ["MUSICGYM_CACHE"] = cache

        def stage(name: str, total: int, pause: float = pause, cache: str = cache) -> Any:
            def report(figures: dict[str, Any]) -> None:
                if figures.get("epoch") == 1:
                    (Path(cache) / "begun").touch()
                    time.sleep(pause)

            return report

        plain = ACMGConfig.envs
        ACMGConfig.envs = (  # type: ignore[method-assign]
            lambda *a, plain=plain, **k: plain(*a, **{**k, "backend": "arrays"})
        )
        obtain(TWICE, corpus(), stage)


def test_what_another_process_makes_is_waited_for_and_found_and_taken_over_where_it_is_killed(
    other: tuple[subprocess.Popen[bytes], list[Path]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    made, caches = other
    monkeypatch.setattr(library, "PATIENCE", 0.1)
    for cache in caches:
        while not (cache / "begun").exists():
            assert made.poll() is None
            time.sleep(0.02)
        monkeypatch.setenv("MUSICGYM_CACHE", str(cache))
        rows: list[dict[str, Any]] = []
        if cache == caches[1]:
            made.kill()
            made.wait()
        agent, path = obtain(TWICE, corpus(), lambda name, total, rows=rows: rows.append)
        assert agent.finished and path.exists()
        if cache == caches[0]:
            assert rows == []
            assert f"{path.name} is being made by another process" in capfd.readouterr().err
        else:
            assert [row["epoch"] for row in rows if "epoch" in row] == [2]  # it goes on there


if __name__ == "__main__":
    begin_twice(*sys.argv[1:])
