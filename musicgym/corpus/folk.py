"""Dance tunes and airs that come with music21, as melodies over inferred chords.

The tunes are those of three old collections, which music21 bundles as volunteers typed them in
ABC: Aird's *A Selection of Scotch, English, Irish and Foreign Airs* (six volumes, Glasgow,
1778-1801), *Ryan's Mammoth Collection* (Boston, 1883) and O'Neill's *Music of Ireland* (Chicago,
1903). The music itself is in the public domain by its age; the files name who typed them.

A melody is all that these books print, so the chords are inferred from it: they are one plausible
harmony, not the players'. (The strings in quotation marks in these files are fingerings.) Repeats
are played once, with the second ending. A tune in 2/4 that moves in sixteenths is written in 4/4
with all values doubled, as others of the same reels and hornpipes are; cut time counts as 4/4.
Tunes in other modes than major and minor, and those whose key is unclear, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from musicgym.theory import Key

from .chorales import MAX_LOST, find_key, gather
from .dataset import Corpus, Piece
from .readers import read_abc
from .readings import Dropped, Line, Reading, Sound, fit, problem

__all__ = ["COLLECTIONS", "build"]

#: The folders of music21's corpus, and what the names of their pieces begin with.
COLLECTIONS = {"airdsAirs": "airds", "oneills1850": "oneills", "ryansMammoth": "ryans"}

_QUOTED = re.compile(r'"[^"\n]*"')

#: A first ending, up to the sign of the second one.
_FIRST_ENDING = re.compile(
    r"[|\[]\s*1(?![\d/])(?:(?!:\|).)*:\|[:|\]]*[\s\\]*[|\[]?\s*2(?![\d/])", re.DOTALL
)

#: A line of music; in these files H is a fermata, and music21 would lose the note after it.
_MUSIC = re.compile(r"(?m)^(?![A-Za-z]:).*H.*$")


def build(*, steps_per_beat: int = 2, jobs: int = 1, progress: bool = True) -> Corpus:
    """Read all tunes and return them as a corpus, with the reasons for those left out.

    The name of a piece begins with that of its collection: ``"airds-0007"`` and ``"oneills-1500"``
    have the numbers of the books, ``"ryans-AcaciaReel"`` has the name of the file.

    Args:
        steps_per_beat: grid slots a beat.
        jobs: processes that read in parallel.
        progress: whether to show a progress bar.
    """
    from music21 import common

    root = common.getCorpusFilePath()
    paths = [path for folder in COLLECTIONS for path in sorted(Path(root, folder).glob("*.abc"))]
    # The largest files, of two hundred tunes, come first, so that all processes end together.
    paths.sort(key=lambda path: -path.stat().st_size)
    work = [(str(path), steps_per_beat) for path in paths]
    return gather("folk", _read, work, jobs=jobs, progress=progress)


def _read(work: tuple[str, int]) -> list[Piece | str]:
    path, steps_per_beat = Path(work[0]), work[1]
    found: list[Piece | str] = []
    for reading in read_abc(_cleaned(path.read_text("utf-8", errors="replace")).encode()):
        number = reading.title.zfill(4) if reading.title else path.stem
        name = f"{COLLECTIONS[path.parent.name]}-{number}"
        try:
            found.append(fit(_settled(reading), name, steps_per_beat)[0])
        except Exception as error:  # music21 raises all kinds
            found.append(problem(error).split(":")[0])
    return found


def _cleaned(text: str) -> str:
    """Return ABC without fingerings, first endings and the letter for a fermata."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _FIRST_ENDING.sub("|", _QUOTED.sub("", text))
    return _MUSIC.sub(lambda line: line[0].replace("H", ""), text)


def _settled(reading: Reading) -> Reading:
    """Return a tune with its key beyond doubt, in the meter that its notes move in.

    Raises:
        Dropped: it cannot be used; the message is the reason.
    """
    if reading.problem:
        raise Dropped(reading.problem)
    sounds = sorted(sound for line in reading.lines for sound in line.sounds)
    if not sounds:
        raise Dropped("no notes")
    key = _key(reading, sounds)
    quick = sum(abs(sound.onset * 4 % 2 - 1) < 0.01 for sound in sounds)
    if reading.meter != "2/4" or quick <= MAX_LOST[2] * len(sounds):
        return replace(reading, key=key)
    lines = [
        Line(line.name, [s._replace(onset=2 * s.onset, end=2 * s.end) for s in line.sounds])
        for line in reading.lines
    ]
    return replace(reading, lines=lines, key=key, meter="4/4", pickup=2 * reading.pickup)


def _key(reading: Reading, sounds: Sequence[Sound]) -> Key | None:
    """Return the stated key if the notes confirm it, None if they confirm its relative.

    Where the stated key and the one that the notes speak for differ, the last note decides
    between the stated key and its relative.
    """
    if reading.key is None:
        raise Dropped("neither major nor minor")
    stated = (reading.key.tonic, reading.key.mode)
    minor = stated[1] == "minor"
    relative = ((stated[0] + (3 if minor else 9)) % 12, "major" if minor else "minor")
    heard = find_key([sounds], reading.sharps or 0)
    final = sounds[-1].pitch % 12
    if heard == stated or final == stated[0]:
        return reading.key
    if heard == relative and final == relative[0]:
        return None  # it is found in the notes again
    raise Dropped("an unclear key")
