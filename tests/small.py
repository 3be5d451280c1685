"""Small tasks, a small corpus and small agents, which learn something in a second or two."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from musicgym.agents.actor_critic import ActorCritic
from musicgym.agents.configs import ActorCriticConfig, MelodyLSTMConfig
from musicgym.corpus.dataset import LOW, Corpus, Piece, collect
from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.observation import layout
from musicgym.task import Task
from musicgym.theory import QUALITIES
from musicgym.vector_env import MelodyComposeVectorEnv

#: Two bars of four beats, one slot a beat.
TINY: dict[str, Any] = {"bars": 2, "steps_per_beat": 1, "progression": "I V"}

QUALITY = tuple(QUALITIES)


def task(**changes: Any) -> Task:
    """Return the tiny task with changes."""
    return Task(**{**TINY, **changes})


def vector_env(size: int = 32, **changes: Any) -> MelodyComposeVectorEnv:
    """Return environments of the tiny task as a rollout needs them; NumPy, so nothing compiles."""
    fixed = {"observation": "compact", "autoreset_mode": "Disabled", "backend": "arrays"}
    return MelodyComposeVectorEnv(num_envs=size, **{**fixed, **TINY, **changes})


def actor_critic(of: Task, seed: int = 0, shared: bool = False, **actor: Any) -> ActorCritic:
    """Return a small actor-critic in evaluation mode."""
    torch.manual_seed(seed)
    size = MelodyLSTMConfig(**{"hidden": 16, **actor})
    return ActorCritic(layout(of), of.n_events, ActorCriticConfig(size, 16, shared)).eval()


def walk(seed: int, bars: int, minor: bool = False) -> tuple[int, ...]:
    """Return events, one a beat: steps up and down the white keys, some held, some rests."""
    rng = np.random.default_rng(seed)
    white = [p for p in range(60, 80) if p % 12 in (0, 2, 4, 5, 7, 9, 11)]
    place, events = 5 - 2 * minor, []
    for beat in range(4 * bars):
        kind = rng.random()
        place = int(np.clip(place + rng.choice([-1, 1]), 0, len(white) - 1))
        if beat == 0 or kind < 0.7:
            events.append(white[place] - LOW + FIRST_NOTE)
        else:
            events.append(HOLD if kind < 0.95 and events[-1] != REST else REST)
    return tuple(events)


def corpus(pieces: int = 40, bars: int = 10) -> Corpus:
    """Return a corpus of walks in C major and A minor, a new chord every two beats."""
    made = []
    for i in range(pieces):
        minor, rng = i % 3 == 0, np.random.default_rng(1000 + i)
        roots, codes = (
            ((9, 2, 4), (QUALITY.index("m"), QUALITY.index("m"), QUALITY.index("")))
            if minor
            else ((0, 5, 7), (QUALITY.index(""), QUALITY.index(""), QUALITY.index("7")))
        )
        drawn = np.repeat(rng.integers(0, 3, 2 * bars), 2)
        made.append(
            Piece(
                name=f"walk{i:02}",
                tune="",
                mode="minor" if minor else "major",
                meter="4/4",
                steps_per_beat=1,
                events=walk(i, bars, minor),
                roots=tuple(roots[d] for d in drawn),
                codes=tuple(codes[d] for d in drawn),
                phrases=(4 * bars,),
                shift=0,
            )
        )
    return collect("walks", made, {"kept": pieces})
