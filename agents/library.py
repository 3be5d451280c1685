"""The library: where trained agents are kept, found by name, and made where they are missing."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from musicgym.corpus.dataset import Corpus
from musicgym.files import cache_folder

from .acmg import ACMG, ACMGConfig
from .checkpoints import CheckpointError
from .configs import ActorCriticConfig, LearningConfig
from .learning import Report
from .parallel import ALONE, Team

__all__ = ["agent_path", "obtain", "prior_path"]

Stage = Callable[[str, int], Report]  # a stage's name and length -> where to report its progress


def prior_path(config: ACMGConfig, fingerprint: str) -> Path:
    """Return where the pretrained prior of a configuration is kept."""
    learning, model = LearningConfig(), ActorCriticConfig(config.model.actor)
    bare = replace(config, rewards="", progressions=(), num_envs=1, learning=learning, model=model)
    return _path("prior", config, bare.to_json() + fingerprint)


def agent_path(config: ACMGConfig, fingerprint: str) -> Path:
    """Return where the agent of a configuration is kept."""
    return _path(config.algorithm, config, config.to_json() + fingerprint)


def _path(kind: str, config: ACMGConfig, content: str) -> Path:
    digest = hashlib.sha256(content.encode()).hexdigest()[:8]
    meter = config.meter.replace("/", "-")
    name = f"{kind}-{meter}-grid{config.steps_per_beat}-{digest}.safetensors"
    return cache_folder("agents") / name


def obtain(
    config: ACMGConfig,
    corpus: Corpus,
    stage: Stage,
    path: Path | None = None,
    device: str = "cpu",
    team: Team = ALONE,
) -> tuple[ACMG, Path]:
    """Return the agent of a configuration, trained: found, gone on with, or made.

    Args:
        config: the agent.
        corpus: what its prior learns from.
        stage: called at the start of ``"pretrain"`` and ``"learn"`` with their length.
        path: where the agent is kept; in the user's cache by default.
        device: where to train.
        team: the processes that train it together; the leading one prepares and writes.

    Raises:
        ValueError: the path holds an agent of another configuration or corpus.
        CheckpointError: the given path holds a corrupt file. (One in the cache is set aside.)
    """
    place = path or agent_path(config, corpus.fingerprint)

    def begun() -> ACMG:
        agent = _found(place, device, set_aside=path is None)
        if agent is None:
            return with_prior(config, corpus, stage, device)
        if agent.config != config or agent.facts.get("corpus", corpus.fingerprint) != (
            corpus.fingerprint
        ):
            raise ValueError(
                f"agent: {place} holds an agent of another configuration or corpus; give another "
                f"path, or delete it."
            )
        return agent

    agent = team.in_turn(begun)
    if not agent.finished:
        agent.learn(stage("learn", config.learning.total_steps), checkpoint=place, team=team)
    return agent, place


def with_prior(
    config: ACMGConfig,
    corpus: Corpus,
    stage: Stage,
    device: str = "cpu",
    start: ACMG | None = None,
    path: Path | None = None,
) -> ACMG:
    """Return an agent that has learned from the corpus but not yet from the rules.

    Args:
        config: the agent.
        corpus: what it learns from.
        stage: called at the start of ``"pretrain"`` with its length.
        device: where to train.
        start: an agent whose weights it starts from; it is then not looked for in the library.
        path: where the agent is written as well.

    Raises:
        ValueError: the corpus has no window for it, or `start` is of another size, grid or range.
    """
    if config.pretraining is None:
        return ACMG(config, device)
    agent, place = ACMG(config, device), prior_path(config, corpus.fingerprint)
    if start is not None:
        if path is None:
            raise ValueError("with_prior: an agent that starts from another needs a path.")
        place = path
    found = _found(place, device) if start is None else None
    if found:
        agent.start_from(found)
    else:
        begun = place.with_suffix(".begun.safetensors")
        agent.pretrain(corpus, stage("pretrain", config.pretraining.epochs), begun, start)
        agent.save(place)
        begun.unlink(missing_ok=True)
    if path and path != place:
        agent.save(path)
    return agent


def _found(path: Path, device: str, set_aside: bool = True) -> ACMG | None:
    """Return the agent at a path, if there is any; a corrupt file is set aside, or refused."""
    if not path.exists():
        return None
    try:
        return ACMG.load(path, device)
    except CheckpointError as error:
        if not set_aside:
            raise
        aside = path.replace(path.with_name(f"{path.name}.corrupt"))
        warnings.warn(f"{error} It is kept as {aside.name}.", stacklevel=3)
        return None
