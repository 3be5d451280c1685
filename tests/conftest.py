"""What the tests share: a cache of their own, and the prepared chorales."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from tree import ROOT

from musicgym.corpus import cache, dataset
from musicgym.corpus.dataset import Corpus
from musicgym.files import cache_folder


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests out of the user's cache, and each worker on one core.

    Kernels and corpora take time to make, so what was made stays for the next run, in the checkout;
    MUSICGYM_CACHE moves it.
    """
    os.environ.setdefault("MUSICGYM_CACHE", str(config.rootpath / ".pytest_cache" / "musicgym"))
    # Before anything imports torch: its threads wait for cores that other workers hold.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def prepared(steps_per_beat: int) -> Corpus:
    """Return the chorales; the first worker that asks prepares them, in 10 to 25 seconds.

    That is once for a state of the source.
    """
    path = cache.corpus_path("chorales", steps_per_beat)
    stamp = path.with_suffix(".source")
    with FileLock(f"{path}.lock"):
        if not stamp.exists() or stamp.read_text() != source():
            path.unlink(missing_ok=True)
        corpus = dataset.prepare("chorales", steps_per_beat=steps_per_beat, progress=False)
        stamp.write_text(source())
    return corpus


def source() -> str:
    """Return a digest of all that decides what the corpus is."""
    folder = ROOT / "musicgym"
    music = [folder / f"{name}.py" for name in ("theory", "events", "melody", "meters")]
    digest = hashlib.sha256()
    for file in [*music, *sorted((folder / "corpus").glob("*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def chorales() -> Corpus:
    """Return the chorales on the 8th grid; they are also in the cache, where names find them."""
    return prepared(2)


@pytest.fixture
def own_cache(chorales: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move the cache to a new folder with the chorales and the kernels in it, and no agents.

    For tests that train: what they leave in the cache no other test finds.
    """
    shared, own = cache_folder(), tmp_path / "cache"
    own.mkdir()
    shutil.copy(cache.corpus_path("chorales", 2), own)
    kernels = shared / "kernels"
    kernels.mkdir(exist_ok=True)
    (own / "kernels").symlink_to(kernels)
    monkeypatch.setenv("MUSICGYM_CACHE", str(own))
    return own
