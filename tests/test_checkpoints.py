"""Checkpoints: what is written is read, and nothing else is."""

from __future__ import annotations

import ast
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tree import ROOT

from musicgym import __version__
from musicgym.agents import checkpoints
from musicgym.agents.checkpoints import FORMAT, CheckpointError

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "step": torch.tensor(7)}
FACTS = {"name": "façade", "list": [1, 2.5, None], "nested": {"a": True}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "agent.safetensors"
    checkpoints.save(path, "acmg", TENSORS, FACTS)
    return path


def test_what_is_saved_is_loaded(path: Path) -> None:
    held = checkpoints.load(path, "acmg")
    assert held.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(held.tensors[name], tensor)
        assert held.tensors[name].dtype == tensor.dtype
    assert (held.kind, held.facts, held.version) == ("acmg", FACTS, __version__)


def test_tensors_that_share_memory_are_saved(tmp_path: Path) -> None:
    whole = torch.arange(4.0)
    checkpoints.save(tmp_path / "a", "x", {"whole": whole, "part": whole[1:3]}, {})
    assert checkpoints.load(tmp_path / "a", "x").tensors["part"].tolist() == [1, 2]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoints.load(tmp_path / "nowhere", "acmg")


@pytest.mark.parametrize("keep", [0, 1, 7, 20, 200, -1], ids=lambda n: f"{n} bytes")
def test_a_truncated_file_is_refused_by_name(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is corrupt.*train again"):
        checkpoints.load(path, "acmg")


@pytest.mark.parametrize(
    "content",
    [b"not a checkpoint at all", b"\xff" * 500, b"\0" * 64, json.dumps({"a": 1}).encode()],
    ids=["text", "ones", "zeros", "json"],
)
def test_another_file_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors"):
        checkpoints.load(path, "acmg")


def test_facts_that_are_no_json_are_refused(path: Path) -> None:
    save_file(TENSORS, path, {"kind": "acmg", "format": "1", "facts": "{never closed"})
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is corrupt"):
        checkpoints.load(path, "acmg")


def test_another_kind_is_refused_with_both_names(path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"agent\.safetensors holds 'acmg', not 'vae'"):
        checkpoints.load(path, "vae")


def test_weights_of_another_program_are_refused(path: Path) -> None:
    save_file(TENSORS, path)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors holds 'nothing', not 'acmg'"):
        checkpoints.load(path, "acmg")


def test_another_format_is_refused_with_both_numbers(path: Path) -> None:
    save_file(TENSORS, path, {"kind": "acmg", "format": "99", "facts": "{}"})
    with pytest.raises(
        CheckpointError, match=rf"agent\.safetensors has format 99, .* reads {FORMAT}"
    ):
        checkpoints.load(path, "acmg")


class Trap:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Path(os.environ["TRAP"])),)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_pickle_is_refused_and_never_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    trace = tmp_path / "sprung"
    monkeypatch.setenv("TRAP", str(trace))
    if form == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        torch.save({"weight": Trap()}, path)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors"):
        checkpoints.load(path, "acmg")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Trap()))  # the trap works
    assert trace.exists()


def test_no_agent_imports_pickle_or_loads_more_than_weights_with_torch() -> None:
    for file in (ROOT / "agents").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"pickle", "joblib", "dill", "shelve"} & set(names), file
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in map(ast.unparse, node.keywords), file


def test_a_full_disk_leaves_the_old_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(path, "acmg", {"weight": torch.zeros(9)}, {})
    assert checkpoints.load(path, "acmg").facts == FACTS
    assert [file.name for file in path.parent.iterdir()] == ["agent.safetensors"]
