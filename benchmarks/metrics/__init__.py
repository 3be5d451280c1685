"""Metrics of melodies, one family a file, in one registry. Each reads a `Pieces` batch."""

from .metric import Measured, Metric
from .pieces import Pieces
from .registry import METRICS, measure

__all__ = ["METRICS", "Measured", "Metric", "Pieces", "measure"]
