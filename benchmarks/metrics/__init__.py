"""Metrics of melodies, one family a file. Each is a function of a `Pieces` batch."""
