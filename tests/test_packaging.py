"""What a user installs: the wheel, the source archive, and an editable clone without symlinks."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tree import FLOORS, ROOT, modules, settings

FOLDERS = (*FLOORS, "tests", "examples", "docs")
LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
LINKS = [Path("musicgym") / folder for folder in FLOORS[1:]]

# Builds as pip does, but with the setuptools that is here, so without a package registry.
BUILD = "import sys, setuptools.build_meta as build; getattr(build, sys.argv[1])(sys.argv[2])"

# Runs without the site-packages folder's own links to this checkout (-S); `first` is what was
# installed, and addsitedir reads the .pth file of an editable install as Python does at its start.
IMPORT = """
import importlib, site, sys
first, names, rest = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split("|")
sys.path[:] = [first] + rest
site.addsitedir(first)
for name in names:
    print(importlib.import_module(name).__file__)
"""


def run(*arguments: str | Path, folder: Path) -> str:
    """Run Python and return what it prints."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(what: str, source: Path, target: Path) -> Path:
    """Build a wheel, an editable wheel or a source archive of a folder; return its file."""
    target.mkdir()
    run("-c", BUILD, f"build_{what}", target, folder=source)
    (made,) = target.iterdir()
    return made


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel, without those that describe it."""
    with zipfile.ZipFile(wheel) as file:
        return {name: file.read(name) for name in file.namelist() if ".dist-info/" not in name}


def origins(installed: Path, folder: Path) -> list[Path]:
    """Import every module with `installed` as the only place that has them; return their files."""
    rest = [path for path in sys.path if path and not Path(path).resolve().is_relative_to(ROOT)]
    rest += [path for path in sys.path if path.endswith("site-packages") and path not in rest]
    names = ",".join(modules())
    lines = run("-I", "-S", "-c", IMPORT, installed, names, "|".join(rest), folder=folder)
    return [Path(line).resolve() for line in lines.splitlines()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources; a build would leave folders in the checkout."""
    path = tmp_path_factory.mktemp("clone") / "musicgym"
    path.mkdir()
    for inside in ROOT.iterdir():
        if inside.name in FOLDERS:
            shutil.copytree(inside, path / inside.name, symlinks=True, ignore=LEFT_BEHIND)
        elif inside.is_file():
            shutil.copy(inside, path)
    return path


@pytest.fixture(scope="module")
def unlinked(clone: Path) -> Path:
    """Return a clone as git makes it where there are no symlinks: small files hold the targets."""
    path = clone.parent / "unlinked"
    shutil.copytree(clone, path, symlinks=True, ignore=LEFT_BEHIND)
    for link in LINKS:
        (path / link).unlink()
        (path / link).write_text(f"../{link.name}")
    return path


@pytest.fixture(scope="module")
def wheel(clone: Path) -> Path:
    """Return the wheel of the sources."""
    return build("wheel", clone, clone.parent / "wheel")


def test_the_wheel_holds_every_module_and_every_file_of_data(wheel: Path) -> None:
    installed = {
        str(path if path.parts[0] == "musicgym" else Path("musicgym") / path): ROOT / path
        for path in modules().values()
    }
    for package, patterns in settings()["tool"]["setuptools"]["package-data"].items():
        inside = Path(*package.split("."))
        source = ROOT / (inside if package == "musicgym" else inside.relative_to("musicgym"))
        files = [file for pattern in patterns for file in source.glob(pattern)]
        assert files, f"{package} has no data"
        installed |= {str(inside / file.name): file for file in files}
    found = contents(wheel)
    assert sorted(found) == sorted(installed)
    assert [name for name, path in installed.items() if found[name] != path.read_bytes()] == []


def test_the_wheel_carries_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        described = {Path(n).name: file.read(n).decode() for n in file.namelist() if ".dist" in n}
    assert described["LICENSE"] == (ROOT / "LICENSE").read_text()
    assert "musicgym = musicgym.cli:main" in described["entry_points.txt"]


def test_every_module_of_the_wheel_can_be_imported(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    found = origins(tmp_path / "installed", tmp_path)
    assert len(found) == len(modules())
    assert [path for path in found if not path.is_relative_to(tmp_path / "installed")] == []


def test_a_source_archive_makes_the_same_wheel(clone: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", clone, tmp_path / "sdist")) as file:
        file.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("musicgym-*")
    for name in ("Makefile", "constraints.txt", "tests/conftest.py", "tests/tree.py"):
        assert (source / name).is_file(), name
    assert contents(build("wheel", source, tmp_path / "wheel")) == contents(wheel)


def test_a_clone_without_symlinks_makes_the_same_wheel(
    unlinked: Path, wheel: Path, tmp_path: Path
) -> None:
    assert contents(build("wheel", unlinked, tmp_path / "wheel")) == contents(wheel)


@pytest.mark.parametrize("links", [True, False], ids=["with symlinks", "without symlinks"])
def test_an_editable_install_finds_every_module_in_the_clone(
    request: pytest.FixtureRequest, tmp_path: Path, links: bool
) -> None:
    source: Path = request.getfixturevalue("clone" if links else "unlinked")
    with zipfile.ZipFile(build("editable", source, tmp_path / "wheel")) as file:
        file.extractall(tmp_path / "installed")
    found = origins(tmp_path / "installed", tmp_path)
    assert found == [(source / path).resolve() for path in modules().values()]
