"""The command line with one more suite: two tasks of two bars over walks, to be killed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small import corpus

from musicgym.benchmarks.suites import SUITES, Suite, SuiteTask
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.corpus import dataset

TINY_SUITE = Suite(
    "tiny",
    tuple(
        SuiteTask(name, BenchmarkTask(name, "walks", steps_per_beat=1, bars=2), "Tiny.", 2048)
        for name in ("acmg", "balanced")
    ),
)
SUITES["tiny"] = TINY_SUITE

#: An agent that learns in a moment, and is killed in the middle of it now and then.
ENTRY = """
name = "learner"
policy = "acmg_ppo"
settings = {"model.actor.hidden" = 8, "model.critic_hidden" = 8, "pretraining.epochs" = 1, \
"num_envs" = 8, "learning.epochs" = 1, "learning.minibatches" = 1}
"""


def arguments(folder: Path, entries: Sequence[str] = (), **changes: Any) -> list[str]:
    """Return the command that runs the suite into a folder."""
    entry = folder.parent / "learner.toml"
    entry.write_text(ENTRY)
    options = {"suite": "tiny", "out": folder, "seeds": 2, "count": 12, "best-of": 4, **changes}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    usual = ("held_tonic", "melody_lstm", str(entry))
    return ["leaderboard", "run", *words, "--entries", *(entries or usual)]


if __name__ == "__main__":
    from musicgym.cli import main

    if not (Path(os.environ["MUSICGYM_CACHE"]) / "corpus-walks-1.json.gz").exists():
        dataset.save(corpus(), 1)
    main()
