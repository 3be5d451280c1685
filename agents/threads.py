"""How many threads torch uses in training: one, unless the user says otherwise.

The operations of a rollout and of a small minibatch are too short to share. Threads that wait for
each other spin, and where another program held the second core a run became 60 times slower; on two
idle cores a second thread gains a third. ``MUSICGYM_THREADS`` sets another number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from musicgym.threads import threads

__all__ = ["few_threads"]


@contextmanager
def few_threads() -> Iterator[None]:
    """Run torch on ``MUSICGYM_THREADS`` threads (1), and on as many as before afterwards.

    Raises:
        ValueError: the environment variable is not a whole number of 1 or more.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads(1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
