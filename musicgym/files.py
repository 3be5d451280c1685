"""Where files are kept, and writing them whole: a reader sees the old content or the new."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "write_whole"]


def cache_folder(*parts: str) -> Path:
    """Return the user's private cache folder, or a folder in it, and make it if it is missing.

    The environment variable ``MUSICGYM_CACHE`` moves it.

    Raises:
        OSError: the folder cannot be made, or the place is a file.
    """
    moved = os.environ.get("MUSICGYM_CACHE")
    root = Path(moved).expanduser() if moved else platformdirs.user_cache_path("musicgym")
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = root
    if root.exists() and not root.is_dir():
        raise NotADirectoryError(f"cache: {root} is not a folder; set MUSICGYM_CACHE to one.")
    for part in ("", *parts):  # one by one: `parents=True` would leave the root open to others
        folder = folder / part
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one move; its folder must exist.

    The bytes go to a temporary file in the same folder, which then replaces `path`. If anything
    fails on the way, the old file stays and the temporary one is removed.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    """Return the permissions the written file gets: the old file's, or the user's default."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
