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
    """Return this process's place; it is alone where no launcher says how to find the others.

    Raises:
        ValueError: a launcher's variable is not a whole number in its range.
    """
    given = os.environ
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= given.keys():
        return Place()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, size, local_rank, local_size = (
        given.get(name, given[names[i % 2]]) for i, name in enumerate(names)
    )
    try:
        found = Place(int(rank), int(size), int(local_rank), int(local_size))
    except ValueError:
        found = Place(-1)
    if not (0 <= found.rank < found.size and 0 <= found.local_rank < found.local_size):
        told = ", ".join(f"{name}={given.get(name)!r}" for name in names)
        raise ValueError(f"torchrun's variables do not name a place: {told}.")
    return found
