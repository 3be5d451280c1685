"""What several commands say and show alike."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicgym.agents.library import Stage


__all__ = ["silent", "stages", "typed", "wrapped"]


def typed(*words: str, settings: object, given: Sequence[str]) -> str:
    """Return a command as it was typed: its words, and the settings that are not as usual."""
    chosen = [n for n in given if getattr(settings, n) != getattr(type(settings), n)]
    options = [f"--{n.replace('_', '-')} {getattr(settings, n)}" for n in chosen]
    return " ".join([*words, *options])


def wrapped(lines: Sequence[str]) -> list[str]:
    """Return lines that fit a terminal of 80 columns."""
    return [part for line in lines for part in textwrap.wrap(line, 79, subsequent_indent="  ")]


def stages(log: Path | None) -> Stage:
    """Return what shows the stages of training: a progress bar each, and TensorBoard if asked."""
    from musicgym.agents.reporting import stages

    return stages(log)


def silent(name: str, total: int) -> Any:
    """Return what shows nothing of a stage."""
    return lambda figures: None
