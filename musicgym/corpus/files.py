"""A user's folder of melodies, brought into the form of the chorales and kept beside them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from musicgym.melody import Melody
from musicgym.meters import GRIDS

from . import cache, dataset
from .dataset import Corpus, Piece
from .midi_tracks import read_midi
from .readers import read_abc, read_musicxml
from .readings import Dropped, Reading, fit, problem
from .tables import read_csv, read_json, read_npz

__all__ = ["MAX_BYTES", "SUFFIXES", "ImportReport", "import_folder", "read_melody"]

#: Larger files are left out unread.
MAX_BYTES = 16 * 2**20

MIDI = (".mid", ".midi")
SUFFIXES = (*MIDI, ".musicxml", ".xml", ".mxl", ".abc", ".csv", ".json", ".npz")

#: Folders of melodies, and those beside them that hold the chords under the same file names.
_MELODIES, _CHORDS = {"melody", "melodies"}, ("chords", "chord")


@dataclass(frozen=True)
class ImportReport:
    """What an import kept and what it left out.

    Attributes:
        corpus: the pieces, as `musicgym.corpus.dataset.load` returns them.
        skipped: (file, reason) of every file, or piece of a file, that was left out.
        inferred: how many pieces have chords inferred from their melody.
        unreadable_chords: how many chords could not be read and became N.C.
    """

    corpus: Corpus
    skipped: tuple[tuple[str, str], ...]
    inferred: int
    unreadable_chords: int

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces that were kept."""
        return self.corpus.pieces

    def __str__(self) -> str:
        """Return a few lines for the user."""
        lines = [f"imported {len(self.pieces)} pieces as {self.corpus.name!r}"]
        if self.inferred:
            lines.append(f"  {self.inferred} without chords: inferred from the melody")
        if self.unreadable_chords:
            lines.append(f"  {self.unreadable_chords} chords could not be read: taken as N.C.")
        lines += _reasons(self.skipped)
        return "\n".join(lines)


def import_folder(
    path: str | Path, *, name: str | None = None, steps_per_beat: int = 2, progress: bool = True
) -> ImportReport:
    """Read all melodies below a folder (or one file) and keep them as a corpus in the cache.

    Reads MIDI, MusicXML, ABC, CSV, JSON and NumPy rolls. A folder ``melody`` with a folder
    ``chords`` beside it holds pairs: the same file name in each. A file that cannot be used is
    left out with its reason. Afterwards ``musicgym.corpus.dataset.load(name)`` returns the corpus.

    Args:
        path: a folder, read with all folders in it, or a file.
        name: of the corpus; the folder's or file's name if None. An import of that name is
            replaced.
        steps_per_beat: grid slots a beat.
        progress: whether to show a progress bar.

    Raises:
        ValueError: the path, the name or the grid is wrong, or nothing there can be used.
    """
    from tqdm import tqdm

    root = Path(path)
    if steps_per_beat not in GRIDS:
        raise ValueError(f"steps_per_beat: {steps_per_beat!r} is not one of {GRIDS}.")
    name = _corpus_name(root) if name is None else name
    if name in dataset.SOURCES:
        raise ValueError(f"name: {name!r} is a corpus of musicgym; choose another name.")
    cache.corpus_path(name, steps_per_beat)  # an unusable name fails before the work
    pieces: dict[str, Piece] = {}
    skipped: list[tuple[str, str]] = []
    seen: set[tuple[object, ...]] = set()
    inferred = unreadable = 0
    for file, chords in tqdm(_listed(root), desc=name, disable=not progress):
        label = file.relative_to(root).as_posix() if root.is_dir() else file.name
        try:
            readings = _read(file, chords)
        except Exception as error:  # readers raise all kinds; one file must not stop the rest
            skipped.append((label, problem(error)))
            continue
        for reading in readings:
            title = f"{label}#{reading.title}" if reading.title else label
            try:
                piece, guessed = fit(
                    reading, _piece_name(label, reading.title, pieces), steps_per_beat
                )
            except Exception as error:
                skipped.append((title, problem(error)))
                continue
            content = (piece.meter, piece.events, piece.roots, piece.codes)
            if content in seen:
                skipped.append((title, "the same as another"))
                continue
            seen.add(content)
            pieces[piece.name] = piece
            inferred += guessed
            unreadable += reading.unreadable
    if not pieces:
        rows = "\n".join(_reasons(skipped))
        raise ValueError(f"path: none of the files in {str(root)!r} can be used:\n{rows}")
    kinds = Counter(reason.split(":")[0] for _, reason in skipped)
    report = {"kept": len(pieces), **dict(kinds.most_common())}
    corpus = dataset.collect(name, list(pieces.values()), report)
    dataset.save(corpus, steps_per_beat)
    return ImportReport(corpus, tuple(skipped), inferred, unreadable)


def read_melody(path: str | Path, *, steps_per_beat: int = 2) -> tuple[Melody, bool]:
    """Read the melody of a file, in its own key, with a chord a beat.

    A file of several pieces gives the first that can be used.

    Args:
        path: a file that `import_folder` could read.
        steps_per_beat: grid slots a beat.

    Returns:
        The melody, and whether its chords were inferred because the file has none.

    Raises:
        ValueError: the path or the grid is wrong, or the file cannot be used; the message says why.
    """
    file = Path(path)
    if steps_per_beat not in GRIDS:
        raise ValueError(f"steps_per_beat: {steps_per_beat!r} is not one of {GRIDS}.")
    if file.is_dir():
        raise ValueError(f"path: {str(file)!r} is a folder; give one file.")
    [(file, _)] = _listed(file)
    reasons: list[str] = []
    readings: list[Reading] = []
    try:
        readings = _read(file, None)
    except Exception as error:  # readers raise all kinds
        reasons.append(problem(error))
    for reading in readings:
        try:
            piece, inferred = fit(reading, file.stem, steps_per_beat)
        except Exception as error:
            reasons.append(problem(error))
        else:
            return piece.melody().transposed(-piece.shift), inferred
    raise ValueError(f"path: {str(file)!r} cannot be used: {'; '.join(dict.fromkeys(reasons))}.")


def _reasons(skipped: Sequence[tuple[str, str]], most: int = 10) -> list[str]:
    """Return the count and the first of the reasons for leaving files out."""
    if not skipped:
        return []
    lines = [f"  left out {len(skipped)}:"]
    lines += [f"    {file}: {reason}" for file, reason in skipped[:most]]
    if len(skipped) > most:
        lines.append(f"    and {len(skipped) - most} more")
    return lines


def _corpus_name(root: Path) -> str:
    """Return the name of a folder or the stem of a file, as a name that the cache takes."""
    whole = root.resolve()
    stem = whole.name if whole.is_dir() else whole.stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:60] or "import"


def _piece_name(label: str, title: str, taken: dict[str, Piece]) -> str:
    """Return a new name that can be part of a file name."""
    stem, suffix = os.path.splitext(label)
    name = re.sub(r"[^\w.+ -]+", "-", f"{stem}-{title}" if title else stem)[:80]
    if name in taken:
        name += suffix.replace(".", "-")
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}-{number}"
    return free


def _listed(root: Path) -> list[tuple[Path, Path | None]]:
    """Return the files to read, in order, each with the file of its chords if it has one.

    Raises:
        ValueError: the path does not exist, or there is no file to read.
    """
    allowed = f"files to read end in {', '.join(SUFFIXES)}"
    if not root.exists():
        raise ValueError(
            f"path: {str(root)!r} does not exist; give a folder or a file ({allowed})."
        )
    if not root.is_dir():
        if root.suffix.lower() not in SUFFIXES or not root.is_file():
            raise ValueError(f"path: {str(root)!r} cannot be read; {allowed}.")
        return [(root, None)]
    files = sorted(_walk(root))
    if not files:
        raise ValueError(f"path: the folder {str(root)!r} holds nothing to read; {allowed}.")
    partners = {file: _partner(file) for file in files}
    used = {partner for partner in partners.values() if partner}
    return [(file, partners[file]) for file in files if file not in used]


def _walk(root: Path) -> Iterator[Path]:
    """Yield the files of the known suffixes; hidden files and linked folders are passed over."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES:
                yield file


def _partner(file: Path) -> Path | None:
    """Return the MIDI file that holds the chords of a MIDI file in a folder of melodies."""
    if file.parent.name.lower() not in _MELODIES or file.suffix.lower() not in MIDI:
        return None
    for folder in file.parent.parent.iterdir():
        if folder.name.lower() in _CHORDS:
            for suffix in MIDI:
                partner = folder / (file.stem + suffix)
                if partner.is_file():
                    return partner
    return None


def _read(file: Path, chords: Path | None) -> list[Reading]:
    """Return what the reader of a file's suffix finds in it."""
    data = _bytes(file)
    match file.suffix.lower():
        case ".mid" | ".midi":
            return read_midi(data, _bytes(chords) if chords else None)
        case ".abc":
            return read_abc(data)
        case ".csv":
            return read_csv(data)
        case ".json":
            return read_json(data, file.stem)
        case ".npz":
            return read_npz(data, file.stem)
        case _:
            return read_musicxml(data)


def _bytes(file: Path) -> bytes:
    """Return the content of a file of a bounded size."""
    if not file.is_file():
        raise Dropped("no plain file")
    if file.stat().st_size > MAX_BYTES:
        raise Dropped(f"larger than {MAX_BYTES} bytes")
    data = file.read_bytes()
    if not data:
        raise Dropped("empty")
    return data
