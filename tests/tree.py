"""What several tests share: the source tree as Python sees it, read without importing it."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# From the lowest floor to the highest: a folder imports from itself and from below.
FLOORS = ("musicgym", "rewards", "agents", "benchmarks")


def settings() -> dict:
    """Return what pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def name_of(path: Path) -> str:
    """Return the import name of a source file or folder, given relative to the root."""
    parts = path.with_suffix("").parts
    parts = parts if parts[0] == "musicgym" else ("musicgym", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    """Return the modules of all four folders: import name -> file relative to the root."""
    found = {}
    for floor in FLOORS:
        # Not Path.glob: whether it follows the links in musicgym/ depends on the Python version.
        folders = [ROOT / floor]
        while folders:
            folder = folders.pop()
            inside = [path for path in folder.iterdir() if not path.is_symlink()]
            folders += [path for path in inside if path.is_dir() and path.name != "__pycache__"]
            for path in inside:
                if path.suffix == ".py":
                    found[name_of(path.relative_to(ROOT))] = path.relative_to(ROOT)
    return dict(sorted(found.items()))


def packages() -> set[str]:
    """Return the packages of the tree: the folders that hold modules."""
    return {name_of(path.parent) for path in modules().values()}


def floor_of(name: str) -> str:
    """Return the folder that a module lives in, by its import name."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS[1:] else parts[0]
