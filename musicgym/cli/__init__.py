"""The command line; `musicgym.cli.main` runs it."""

from .main import main

__all__ = ["main"]
