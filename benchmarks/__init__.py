"""Benchmarks: metrics, evaluation and speed."""
