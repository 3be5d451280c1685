"""The registry: every metric of melodies by its name, and `measure`, which takes them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicgym.theory import closest

from . import acmg, ganorkar, mgeval, musdr, muspy_metrics, rl_tuner, zhao
from .metric import Measured, Metric
from .pieces import Pieces

__all__ = ["METRICS", "measure"]

#: Every metric by its name, one family after the other.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for family in (acmg, rl_tuner, zhao, ganorkar, muspy_metrics, mgeval, musdr)
    for metric in family.FAMILY
}


def measure(
    pieces: Pieces, reference: Pieces | None = None, names: Sequence[str] | None = None
) -> dict[str, Measured]:
    """Measure melodies.

    Args:
        pieces: N melodies.
        reference: human melodies, for the metrics that compare with a set; without it those are
            left out.
        names: which metrics; all by default.

    Returns:
        For each name the mean over the melodies that the metric is defined on, and their number.

    Raises:
        ValueError: there is no such metric, or it needs a reference and none was given.
    """
    if names is None:
        names = [name for name, m in METRICS.items() if reference is not None or not m.against]
    measured = {}
    for name in names:
        if name not in METRICS:
            raise ValueError(f"metric: there is no {name!r}{closest(name, METRICS) or '.'}")
        metric = METRICS[name]
        if metric.against and reference is None:
            raise ValueError(f"metric: {name!r} compares with a reference set; none was given.")
        values = metric.function(pieces, reference) if metric.against else metric.function(pieces)
        measured[name] = _over(np.asarray(values, dtype=np.float64), len(pieces.events))
    return measured


def _over(values: np.ndarray, total: int) -> Measured:
    """Gather the values of the melodies, or the one value of their set."""
    known = values[~np.isnan(values)]
    if values.ndim == 0:
        return Measured(float(values), total * known.size, total)
    return Measured(float(known.mean()) if known.size else float("nan"), known.size, total)
