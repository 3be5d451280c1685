"""``musicgym generators``: measure what the generators show, and write it on one page.

A part is a module of this folder with ``measure() -> dict`` of plain JSON, and ``section(found,
folder) -> list[str]``, lines of Markdown; its pictures go into the folder.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicgym.benchmarks.throughput.rows import machine
from musicgym.files import write_whole

__all__ = ["PARTS", "write"]

#: The parts of the page in its order: name of the module -> heading.
PARTS = {
    "latent": "The latent vector",
    "transfer": "Folds, and from one corpus to another",
    "conditional": "CVAE, GAN, and both",
    "emotions": "Emotions",
    "attention": "What the models look at",
    "styles": "Styles",
    "finetuning": "Fine-tuning by rules, and learned rewards",
    "speed": "Speed of sampling",
}
PAGE = "generators.md"


def write(out: Path, parts: Sequence[str], command: str) -> list[Path]:
    """Measure parts anew, and write the page of all that are measured; return the paths.

    Args:
        out: folder of the page; figures and pictures go into its folder ``generators``.
        parts: which are measured; all that have no figures yet, if none is named.
        command: what was typed.

    Raises:
        ValueError: there is no such part.
    """
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"generators: {part!r} is not one of {', '.join(PARTS)}.")
    folder = out / "generators"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {part: folder / f"{part}.json" for part in PARTS}
    for part in parts or [part for part in PARTS if not paths[part].exists()]:
        started = time.perf_counter()
        found = _module(part).measure()
        made = {"command": command, **machine(), "seconds": round(time.perf_counter() - started)}
        write_whole(paths[part], (json.dumps({"made": made, "found": found}, indent=1)).encode())
    lines = [
        "# The generators",
        "",
        "Made by `musicgym generators`; do not edit. Chorales, 4/4, 8 bars, eighths, split by hymn "
        "tune; the test split has 14 tunes. Nats a step unless a line says otherwise. The figures "
        "are in [generators/](generators). Human values are targets, not bounds.",
    ]
    for part, title in PARTS.items():
        if paths[part].exists():
            kept = json.loads(paths[part].read_text())
            lines += ["", f"## {title}", "", *_module(part).section(kept["found"], folder), ""]
            lines += _origin(kept["made"])
    page = out / PAGE
    write_whole(page, ("\n".join(lines).rstrip() + "\n").encode())
    return [page, *(path for path in paths.values() if path.exists())]


def _module(part: str) -> Any:
    return importlib.import_module(f".{part}", __package__)


def _origin(made: dict[str, Any]) -> list[str]:
    """Return what a part was measured with, in a line."""
    versions = ", ".join(f"{k} {made[k]}" for k in ("musicgym", "torch", "numpy", "python"))
    seconds = f"{made['seconds'] / 60:.0f} min" if made["seconds"] > 99 else f"{made['seconds']} s"
    return [f"`{made['command']}`: {seconds}; {versions}; {made['processor']}."]
