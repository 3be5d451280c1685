"""Write a melody to a file: MIDI, MusicXML, JSON, an engraved page, a piano roll, sound."""

from __future__ import annotations

import math
import os
from pathlib import Path

from musicgym.melody import Melody

from .extras import MissingExtra, install_line

__all__ = ["SUFFIXES", "MissingExtra", "save", "save_all"]

#: The suffixes that `save` knows.
SUFFIXES = (".mid", ".midi", ".musicxml", ".xml", ".json", ".svg", ".png", ".ogg", ".wav")

# What `save_all` writes, after the name, and what to call it where its extra is missing.
_ALL = {
    ".mid": "MIDI",
    ".musicxml": "MusicXML",
    ".svg": "score",
    "-score.png": "score",
    "-roll.png": "piano roll",
    ".ogg": "audio",
}


def save(melody: Melody, path: str | Path, *, tempo: float = 100.0) -> Path:
    """Write a melody in the format of the path's suffix and return the path.

    A name that ends in ``-roll.png`` is a piano roll, any other ``.png`` the engraved page. Missing
    folders are made. The file is written whole or not at all.

    Args:
        melody: what to write.
        path: where to; its suffix is one of `SUFFIXES`, in small or capital letters.
        tempo: quarter notes a minute.

    Raises:
        ValueError: the suffix is none of these, or the tempo is not a number from 4 to 1000.
        MissingExtra: a package of an extra is not installed; the message says which.
        OSError: the file cannot be written; what stood there before is untouched.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"path: {str(path)!r} has the suffix {path.suffix!r}; it must be one of "
            f"{', '.join(SUFFIXES)}."
        )
    if not (math.isfinite(tempo) and 4 <= tempo <= 1000):
        raise ValueError(f"tempo: {tempo!r} must be from 4 to 1000 quarter notes a minute.")
    try:
        data = _contents(melody, path, tempo)
    except MissingExtra as missing:
        purpose = f"writing {path.name}"
        raise MissingExtra(missing.package, missing.extra, purpose) from missing
    _write(path, data)
    return path


def save_all(
    melody: Melody, folder: str | Path, name: str, *, tempo: float = 100.0
) -> tuple[list[Path], list[str]]:
    """Write a melody in every form and return the files and what is missing.

    The files are ``<name>.mid``, ``.musicxml``, ``.svg``, ``-score.png``, ``-roll.png``, ``.ogg``.
    What needs an extra that is not installed is left out, with one line an extra that says how to
    get it, such as ``"score, piano roll: pip install 'musicgym[score]'"``.

    Raises:
        ValueError: the name holds a folder, or the tempo is out of range.
        OSError: a file cannot be written.
    """
    if not name or Path(name).name != name:
        raise ValueError(f"name: {name!r} must be the plain stem of a file, without a folder.")
    written: list[Path] = []
    missing: dict[str, list[str]] = {}
    for ending, form in _ALL.items():
        try:
            written.append(save(melody, Path(folder) / f"{name}{ending}", tempo=tempo))
        except MissingExtra as error:
            forms = missing.setdefault(error.extra, [])
            if form not in forms:
                forms.append(form)
    return written, [
        f"{', '.join(forms)}: {install_line(extra)}" for extra, forms in missing.items()
    ]


def _contents(melody: Melody, path: Path, tempo: float) -> bytes:
    """Return the bytes of the file; only its own format's packages are imported."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return f"{melody.to_json()}\n".encode()
    if suffix in (".mid", ".midi"):
        from .midi import midi

        return midi(melody, tempo=tempo)
    if suffix in (".ogg", ".wav"):
        from .audio import audio

        return audio(melody, tempo=tempo, format=suffix[1:])
    if path.name.lower().endswith("-roll.png"):
        from . import piano_roll

        return piano_roll.png(melody)
    from .musicxml import musicxml

    text = musicxml(melody, tempo=tempo)
    if suffix in (".musicxml", ".xml"):
        return text.encode()
    from . import engraving

    page = engraving.svg(text)
    return page.encode() if suffix == ".svg" else engraving.png(page)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole: beside its place first, then into it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
