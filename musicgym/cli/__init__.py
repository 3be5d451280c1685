"""The command line; `musicgym.cli.main` runs it."""

from .commands import main

__all__ = ["main"]
