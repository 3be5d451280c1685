"""musicgym: Gymnasium environments that compose a melody over a chord progression."""

from __future__ import annotations

from gymnasium.envs.registration import register

from .env import MelodyComposeEnv
from .melody import Melody
from .task import Task

__all__ = ["Melody", "MelodyComposeEnv", "Task", "__version__"]

__version__ = "0.1.0"

for _id, _rewards in (("MelodyCompose-v0", "acmg"), ("MelodyComposeBalanced-v0", "balanced")):
    register(
        id=_id,
        entry_point="musicgym.env:MelodyComposeEnv",
        vector_entry_point="musicgym.vector_env:MelodyComposeVectorEnv",
        kwargs={"rewards": _rewards},
    )
