"""Which of the processes of one run this is, as torchrun tells each by its environment."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Place", "place"]


class Place(NamedTuple):
    """The place of a process among those of its run.

    Attributes:
        rank: 0 to ``size - 1``; process 0 leads.
        size: processes of the run, over all machines.
        local_rank: its number on this machine.
        local_size: processes of the run on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place() -> Place:
    """Return this process's place; it is alone where no launcher says how to find the others."""
    given = os.environ
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= given.keys():
        return Place()
    rank, size = int(given["RANK"]), int(given["WORLD_SIZE"])
    return Place(
        rank, size, int(given.get("LOCAL_RANK", rank)), int(given.get("LOCAL_WORLD_SIZE", size))
    )
