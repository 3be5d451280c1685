"""The library: agents are found, gone on with, or made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small import corpus

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import (
    ActorCriticConfig,
    KLConfig,
    MelodyLSTMConfig,
    PPOConfig,
    PretrainConfig,
)
from musicgym.agents.library import obtain

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
    """Keep the agents of a test to itself, and compile nothing."""
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
