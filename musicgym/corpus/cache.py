"""The files of prepared corpora in the user's cache."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

from musicgym.files import cache_folder, write_whole

__all__ = ["CorruptFile", "corpus_path", "read", "set_aside", "write"]

#: A name that is safe as the stem of a file.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

#: Larger files are refused unread: the chorales take a fiftieth of this.
MAX_BYTES = 64_000_000


class CorruptFile(ValueError):
    """A cache file cannot be read back: it is cut short, changed, or of another format."""


def corpus_path(name: str, steps_per_beat: int) -> Path:
    """Return the file that holds a corpus on a grid.

    Raises:
        ValueError: the name cannot be part of a file name.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"corpus: {name!r} is not a name of letters, digits, '.', '_' and '-' "
            "(at most 100, the first a letter or a digit)."
        )
    return cache_folder() / f"corpus-{name}-{steps_per_beat}.json.gz"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` as compressed JSON, whole."""
    text = json.dumps(content, separators=(",", ":"))
    write_whole(path, gzip.compress(text.encode(), compresslevel=6, mtime=0))


def read(path: Path) -> dict[str, Any]:
    """Return what `write` wrote; gzip's checksum proves that it is whole.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptFile: the file is not what `write` wrote.
    """
    if path.stat().st_size > MAX_BYTES:
        raise CorruptFile(f"{path} is larger than {MAX_BYTES} bytes")
    try:
        with gzip.open(path) as file:
            data = file.read(8 * MAX_BYTES)
        content = json.loads(data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise CorruptFile(f"{path} cannot be read ({error})") from error
    if not isinstance(content, dict):
        raise CorruptFile(f"{path} holds no corpus")
    return content


def set_aside(path: Path) -> Path:
    """Rename a corrupt file so that a new one can take its place; return its new path."""
    aside = path.with_name(path.name + ".corrupt")
    path.replace(aside)
    return aside
