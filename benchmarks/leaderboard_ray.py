"""The leaderboard's runs on the machines of a Ray cluster; Ray schedules, retries and carries back.

A machine needs this musicgym, what the entries import, and their checkpoints under the same paths;
no disk is shared. Records travel as bytes and are written here. What is trained there stays in that
machine's own library, so a run that is retried on it goes on from its checkpoint.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from musicgym.export.extras import require
from musicgym.files import cache_folder, write_whole

from .leaderboard import Run, carry_out, fail
from .leaderboard_workers import Watcher

__all__ = ["work"]

#: How often Ray begins a run again whose process or machine died.
RETRIES = 3


def work(runs: Sequence[Run], folder: Path, address: str, watcher: Watcher) -> None:
    """Carry out runs as Ray tasks of one core each, in order, and write their records.

    Args:
        runs: what to do.
        folder: of the records, on this machine.
        address: of a cluster, such as ``"10.0.0.1:6379"`` or ``"auto"``; ``"local"`` starts one
            here, of this machine's cores.
        watcher: who is told.

    Raises:
        MissingExtra: Ray is not installed.
        ValueError: there is no cluster at that address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing goes out that nobody asked for
    ray = require("ray", "ray", "leaderboard run --ray")
    try:
        ray.init(address, include_dashboard=False if address == "local" else None,
                 logging_level="error", log_to_driver=False)  # fmt: skip
    except ConnectionError as error:
        raise ValueError(f"ray: there is no cluster at {address!r} ({error}).") from error
    remote = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=True)(records_of)
    waiting, busy = deque(runs), dict[Any, Run]()
    try:
        while waiting or busy:
            watcher.jobs = max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(busy) < watcher.jobs:
                run = waiting.popleft()
                busy[remote.remote(run)] = run
                watcher.begun(run)
            for reference in ray.wait(list(busy), timeout=1)[0]:
                run = busy.pop(reference)
                try:
                    made = ray.get(reference)
                except ray.exceptions.RayError as error:
                    fail(run, folder, f"Ray gave it up: {type(error).__name__}.")
                else:
                    place = folder / run.task_name
                    place.mkdir(parents=True, exist_ok=True)
                    for name, data in made.items():
                        write_whole(place / name, data)
                watcher.ended(run)
            watcher.waits()
    finally:
        ray.shutdown()


def records_of(run: Run) -> dict[str, bytes]:
    """Carry out a run; return its files by their names, the melodies before the records."""
    with TemporaryDirectory() as folder:
        carry_out(run, Path(folder), cache_folder("agents"))
        paths = (path for path in Path(folder, run.task_name).iterdir())
        ordered = sorted(paths, key=lambda path: (path.suffix == ".json", path.name))
        return {path.name: path.read_bytes() for path in ordered}
