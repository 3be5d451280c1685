"""Checkpoints: weights as safetensors, everything else as JSON in the metadata. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from musicgym.files import write_whole

__all__ = ["FORMAT", "Checkpoint", "CheckpointError", "load", "load_scorer", "save", "under"]

#: Raised whenever a checkpoint would be read differently.
FORMAT = 2


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message says which, why, and what to do."""


class Checkpoint(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        kind: what it is of, such as ``"acmg"``.
        tensors: name -> tensor.
        facts: plain JSON: configuration, progress, corpus fingerprint, figures.
        version: the musicgym that wrote it.
    """

    kind: str
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    version: str


def save(path: Path, kind: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write a checkpoint whole; an older one at the path is replaced only when it is complete.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    from musicgym import __version__

    metadata = {
        "format": str(FORMAT),
        "kind": kind,
        "version": __version__,
        "facts": json.dumps(facts),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # Contiguous copies: safetensors refuses tensors that share memory.
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_whole(path, to_bytes(whole, metadata))


def load(path: Path, kind: str, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint of a kind.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is corrupt, of another kind, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: there is no file {path}.")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found, written = metadata.get("kind", ""), metadata.get("format", "")
        facts = json.loads(metadata.get("facts", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint: {path} is corrupt or no checkpoint ({error}); delete it and train again."
        ) from error
    if found != kind:
        raise CheckpointError(f"checkpoint: {path} holds {found or 'nothing'!r}, not {kind!r}.")
    if written != str(FORMAT):
        raise CheckpointError(
            f"checkpoint: {path} has format {written}, this musicgym reads {FORMAT}; train again."
        )
    return Checkpoint(kind, tensors, facts, metadata.get("version", "?"))


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with ``prefix.``, by the rest of their names."""
    start = len(prefix) + 1
    return {name[start:]: t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def load_scorer(path: str | Path, name: str, **words: Any) -> Any:
    """Return the scorer of a learned reward term; see `musicgym.agents.scorers.load`."""
    from . import scorers  # it needs the agents, which need this module

    return scorers.load(Path(path), name, **words)
