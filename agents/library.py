"""The library: where trained agents are kept, found by name, and made where they are missing."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from musicgym.corpus.cache import corpus_path
from musicgym.corpus.dataset import Corpus, prepare
from musicgym.files import cache_folder

from .acmg import ACMG, ACMGConfig
from .checkpoints import CheckpointError
from .configs import ActorCriticConfig, LearningConfig
from .learning import Report
from .parallel import ALONE, Team

__all__ = ["agent_path", "obtain", "prior_path"]

Stage = Callable[[str, int], Report]  # a stage's name and length -> where to report its progress
#: Seconds after which a process that waits for another says so.
PATIENCE = 1.0


def prior_path(config: ACMGConfig, fingerprint: str) -> Path:
    """Return where the pretrained prior of a configuration is kept."""
    learning, model = LearningConfig(), ActorCriticConfig(config.model.actor)
    bare = replace(
        config, rewards="", progressions=(), num_envs=1, learning=learning, model=model,
        key="natural", chords_per_bar=None, reward_timing="dense",
    )  # fmt: skip
    return _path("prior", config, bare.to_json() + fingerprint + _other_styles(config))


def agent_path(config: ACMGConfig, fingerprint: str) -> Path:
    """Return where the agent of a configuration is kept."""
    content = config.to_json() + fingerprint + _other_styles(config)
    return _path(config.algorithm, config, content)


def _other_styles(config: ACMGConfig) -> str:
    """Return the fingerprints of the corpora that a model learns beside its own, one by one."""
    if config.pretraining is None:
        return ""
    styles: tuple[str, ...] = getattr(config.model.actor, "styles", ())
    others = [name for name in styles if name != config.corpus]
    return "".join(_fingerprint(name, config.steps_per_beat) for name in others)


def _fingerprint(name: str, steps_per_beat: int) -> str:
    """Return the fingerprint of a prepared corpus, which is prepared if it is not yet."""
    path = corpus_path(name, steps_per_beat)
    if not path.exists():
        prepare(name, steps_per_beat=steps_per_beat)
    return _read_fingerprint(name, steps_per_beat, path, path.stat().st_mtime_ns)


@lru_cache
def _read_fingerprint(name: str, steps_per_beat: int, path: Path, changed: int) -> str:
    """Return the fingerprint in a file; to read it takes most of a second."""
    return prepare(name, steps_per_beat=steps_per_beat).fingerprint


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

    Where another run makes the same agent or the same prior, this one waits and then finds it.

    Raises:
        ValueError: the path holds an agent of another configuration or corpus.
        CheckpointError: the given path holds a corrupt file. (One in the cache is set aside.)
    """
    place = path or agent_path(config, corpus.fingerprint)

    def begun() -> ACMG:
        if team.leads:  # one for all: the others of a team come later, and never write
            held.enter_context(_alone(place))
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

    with ExitStack() as held:
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
    with _alone(place):
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


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only process that makes a file, for a block; where another makes it, wait for that.

    The lock is the operating system's, so it goes with a process that is killed. It stands in the
    cache, not beside the file, which may be in a folder of the user's.
    """
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    lock = FileLock(cache_folder("locks") / f"{name}.lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        print(f"{path.name} is being made by another process; waiting for it.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
