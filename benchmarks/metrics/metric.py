"""What a metric is, what measuring gives, and the arithmetic that leaves the undefined out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Measured", "Metric", "entropy", "histograms", "mean", "ratio"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """A named number of melodies.

    Attributes:
        name: its key in the registry and in records.
        family: the paper or library that it comes from, as its file is named.
        unit: ``"%"`` for a share (a value from 0 to 1, shown in percent), ``"st"`` semitones,
            ``"s"`` seconds, ``"bits"``, ``"nats"``, or ``""``.
        title: one line for tables.
        function: from `Pieces` to a float64 array (N,), NaN where undefined; or, for a metric of
            the whole set, to one float. It is given the reference `Pieces` as well if `against`.
        against: whether it compares with a reference set.
    """

    name: str
    family: str
    unit: str
    title: str
    function: Callable[..., Any]
    against: bool = False


@dataclass(frozen=True)
class Measured:
    """The mean of a metric over the melodies that it is defined on.

    A metric of the whole set is defined on all of its melodies or on none.

    Attributes:
        value: the mean, NaN if no melody has one.
        defined: the number of melodies it is defined on.
        total: the number of melodies.
    """

    value: float
    defined: int
    total: int


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """Return part / whole, NaN where the whole is 0.

    >>> ratio([1, 0], [2, 0])
    array([0.5, nan])
    """
    below = np.asarray(whole, dtype=np.float64)
    return np.where(below > 0, np.asarray(part) / np.where(below > 0, below, 1.0), np.nan)


def mean(values: npt.ArrayLike, there: npt.ArrayLike) -> Floats:
    """Return the mean of each row of values (N, M) over the places that are there; else NaN.

    >>> mean([[1.0, 3.0], [5.0, 7.0]], [[True, True], [False, False]])
    array([ 2., nan])
    """
    here = np.asarray(there)
    return ratio(np.where(here, values, 0.0).sum(-1), here.sum(-1))


def histograms(
    rows: npt.ArrayLike, values: npt.ArrayLike, size: int, bins: int
) -> npt.NDArray[np.int64]:
    """Count in each row how often each value, from 0 to bins - 1, stands there: (size, bins).

    >>> histograms([0, 0, 1], [2, 2, 0], size=2, bins=3)
    array([[0, 0, 2],
           [1, 0, 0]])
    """
    places = np.asarray(rows) * bins + np.asarray(values)
    return np.bincount(places, minlength=size * bins).reshape(size, bins)


def entropy(counts: npt.ArrayLike) -> Floats:
    """Return the Shannon entropy in bits of each histogram of counts (..., K); NaN if it is empty.

    >>> entropy([[1, 1, 2], [0, 4, 0], [0, 0, 0]])
    array([1.5, 0. , nan])
    """
    weights = np.asarray(counts, dtype=np.float64)
    shares = ratio(weights, weights.sum(-1, keepdims=True))
    logs = np.log2(np.where(shares > 0, shares, 1.0))
    return np.asarray(-(shares * logs).sum(-1) + 0.0)  # + 0.0: no negative zero
