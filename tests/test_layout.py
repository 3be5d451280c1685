"""The floors: musicgym < rewards < agents < benchmarks, read from the source."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest
from tree import FLOORS, ROOT, floor_of, modules, packages, settings

MODULES = modules()

# The commands may reach up: inside the functions that need it, in annotations, and for these
# settings, which are plain dataclasses that the command line shows as options.
COMMANDS = "musicgym.cli"
SETTINGS = "musicgym.agents.configs"


@cache
def imports(name: str) -> tuple[tuple[str, bool], ...]:
    """Return what a module imports: (import name, whether loading the module loads it)."""
    tree = ast.parse((ROOT / MODULES[name]).read_text())
    return tuple(read_imports(tree, name, MODULES[name].name == "__init__.py"))


def read_imports(
    node: ast.AST, name: str, package: bool, at_load: bool = True
) -> Iterator[tuple[str, bool]]:
    """Yield the imports under a node; those in functions and for annotations come later."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, at_load) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parts = name.split(".")
                parts = parts[: len(parts) - child.level + package]
                base = ".".join([*parts, base] if base else parts)
            for alias in child.names:
                whole = f"{base}.{alias.name}"
                yield (whole if whole in MODULES else base), at_load
        else:
            function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            annotations = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from read_imports(child, name, package, at_load and not (function or annotations))


def may_import(name: str, other: str, at_load: bool) -> bool:
    """Say whether a module may import another one of ours."""
    if name.startswith(COMMANDS):
        return not at_load or other == SETTINGS or floor_of(other) == "musicgym"
    return FLOORS.index(floor_of(other)) <= FLOORS.index(floor_of(name))


def test_every_way_to_import_is_seen() -> None:
    text = """
from __future__ import annotations
import torch, musicgym.task
from . import policy, ppo as algorithm
from .. import reward
from musicgym.rewards import presets
if TYPE_CHECKING:
    from .acmg import ACMG
def f():
    from musicgym.benchmarks.evaluate import grade_all
"""
    seen = set(read_imports(ast.parse(text), "musicgym.agents.rollout", package=False))
    assert seen == {
        ("__future__", True), ("torch", True), ("musicgym.task", True),
        ("musicgym.agents.policy", True), ("musicgym.agents.ppo", True),
        ("musicgym.reward", True), ("musicgym.rewards.presets", True),
        ("musicgym.agents.acmg", False), ("musicgym.benchmarks.evaluate", False),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "other", "at_load", "allowed"),
    [
        ("musicgym.env", "musicgym.task", True, True),
        ("musicgym.env", "musicgym.rewards.presets", False, False),
        ("musicgym.rewards.repetition", "musicgym.agents.policy", False, False),
        ("musicgym.agents.ppo", "musicgym.rewards.presets", True, True),
        ("musicgym.agents.ppo", "musicgym.benchmarks.evaluate", False, False),
        ("musicgym.benchmarks.evaluate", "musicgym.agents.ppo", True, True),
        ("musicgym.cli", "musicgym.agents.acmg", True, False),
        ("musicgym.cli", "musicgym.agents.acmg", False, True),
    ],
)
def test_the_floors_are_read_upwards(name: str, other: str, at_load: bool, allowed: bool) -> None:
    assert may_import(name, other, at_load) is allowed


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_its_own_floor_and_from_below(name: str) -> None:
    ours = [(other, at_load) for other, at_load in imports(name) if other.startswith("musicgym")]
    assert [other for other, at_load in ours if not may_import(name, other, at_load)] == []


@pytest.mark.parametrize("name", MODULES)
def test_no_module_makes_a_second_copy_of_a_folder_by_a_bare_import(name: str) -> None:
    assert [other for other, _ in imports(name) if other.split(".")[0] in FLOORS[1:]] == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_are_relative_inside_a_folder_and_absolute_across(name: str) -> None:
    tree = ast.parse((ROOT / MODULES[name]).read_text())
    depth = len(MODULES[name].parts) - 1
    leaving = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level > depth]
    assert [ast.unparse(node) for node in leaving] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        name: {other for other, at_load in imports(name) if at_load and other in MODULES}
        for name in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert [name for name in MODULES if empty & set(name.split(".")[-1].split("_"))] == []


def test_every_folder_with_modules_is_a_package() -> None:
    assert {name for name, path in MODULES.items() if path.name == "__init__.py"} == packages()


def test_the_packages_of_pyproject_are_those_of_the_tree() -> None:
    listed = settings()["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(packages())


def test_pyproject_maps_every_folder_and_measures_its_coverage() -> None:
    tool = settings()["tool"]
    names = {floor if floor == "musicgym" else f"musicgym.{floor}": floor for floor in FLOORS}
    assert tool["setuptools"]["package-dir"] == names
    assert sorted(tool["coverage"]["run"]["source"]) == sorted(FLOORS)


@pytest.mark.parametrize("folder", FLOORS[1:])
def test_a_link_in_musicgym_leads_to_the_folder(folder: str) -> None:
    link = ROOT / "musicgym" / folder
    if not link.is_symlink() and link.is_file():
        pytest.skip("this clone has no symlinks")
    assert os.readlink(link) == f"../{folder}"
    assert link.resolve() == ROOT / folder


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout"
)
def test_the_links_are_committed_as_links() -> None:
    listing = subprocess.run(
        ["git", "ls-files", "--stage", "musicgym"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    links = {line.split("\t")[1] for line in listing.splitlines() if line.startswith("120000")}
    assert links == {f"musicgym/{folder}" for folder in FLOORS[1:]}
