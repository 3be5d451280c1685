"""`where` and `count_bits`: what the one text of rules and dynamics needs beside operators."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

__all__ = ["Array", "count_bits", "where"]

#: A Python number, a NumPy array or a torch tensor: the text runs on each of them.
Array = Any


def where(condition: Array, x: Array, y: Array) -> Array:
    """Choose `x` where the condition holds and `y` elsewhere, elementwise.

    On Python bools it is a plain choice. A float scalar makes the result float64 on every backend
    (``torch.where(c, 0.3, -0.5)`` alone would be float32).

    >>> where(True, 0.3, -0.5)
    0.3
    >>> where(np.array([True, False]), 0.3, -0.5)
    array([ 0.3, -0.5])
    """
    if isinstance(condition, bool):
        return x if condition else y
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(condition, torch.Tensor):
        if isinstance(x, float) or isinstance(y, float):
            if isinstance(x, torch.Tensor):
                x = x.double()
            else:  # made on the device: nothing is copied from the host
                x = torch.full((), x, dtype=torch.float64, device=condition.device)
        return torch.where(condition, x, y)
    return np.where(condition, x, y)


def count_bits(x: Array) -> Array:
    """Count the set bits of a 12-bit integer.

    >>> count_bits(0b10010001)
    3
    """
    pairs = (x & 0x555) + (x >> 1 & 0x555)
    fours = (pairs & 0x333) + (pairs >> 2 & 0x333)
    return (fours & 0xF) + (fours >> 4 & 0xF) + (fours >> 8)
