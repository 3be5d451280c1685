"""Chord spellings as files of many origins write them, read as chords."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from musicgym.theory import NO_CHORD, QUALITIES, Chord, Key, parse_chord

__all__ = ["from_tones", "read_chords"]

_SILENT = {"", "n", "nc", "n.c.", "n.c", "none", "no chord", "x", "-", "rest"}
_ROMAN = re.compile(r"[#b♯♭]*[IiVv]")
_HYPHEN = re.compile(r"^([A-G])(-{1,2})")


def read_chords(texts: Sequence[str], key: Key | None) -> list[Chord | None]:
    """Return the chord of each text, None where it cannot be read.

    Reads what `musicgym.theory.parse_chord` reads and beside it ``A:min7/b3`` (colon notation), a
    bass in small letters (``C/e``) and music21's flats (``B-7``). A hyphen after a root is such a
    flat if the texts together say so (see `_flats_are_hyphens`), otherwise a minor chord.

    Args:
        texts: all the chords of one piece.
        key: the key of roman numerals; None reads chord symbols only.

    >>> [chord.symbol() for chord in read_chords(["A:min7/b3", "C/e", "N"], None) if chord]
    ['Am7', 'C', 'N.C.']
    """
    texts = [text.strip() for text in texts]
    hyphens = _flats_are_hyphens(texts)
    return [_read(text, key, hyphens) for text in texts]


def _flats_are_hyphens(texts: Iterable[str]) -> bool:
    """Return whether the hyphen after a root is a flat, as music21 writes it.

    It is where minor chords are written with an m (``Am``) or as ``A-m`` and no flat with a b:
    jazz charts that write ``A-7`` for A minor write neither an m nor a flat as a hyphen.
    """
    texts = list(texts)
    return any(re.match(r"[A-G](#|--?)?m(?!aj|M)", t) for t in texts) and not any(
        re.match(r"[A-G][b♭]", t) for t in texts
    )


def _read(text: str, key: Key | None, hyphens: bool) -> Chord | None:
    if text.lower() in _SILENT:
        return NO_CHORD
    if hyphens:
        text = _HYPHEN.sub(lambda m: m[1] + "b" * len(m[2]), text)
    if ":" in text:
        text = re.sub(r"/[#b]*\d+$", "", text).replace(":", "")
    text = re.sub(r"/([a-g])(?=[#b♯♭-]?$)", lambda m: "/" + m[1].upper(), text)
    text = re.sub(r"(/[A-G])-$", r"\1b", text)
    if key is None and _ROMAN.match(text):
        return None
    try:
        return parse_chord(text, key or Key.parse("C major"))
    except ValueError:
        return None


def from_tones(root: int, pitch_classes: Iterable[int]) -> Chord | None:
    """Return the largest chord on a root whose tones all lie in a set of pitch classes.

    >>> from_tones(2, {2, 5, 9, 0, 4})
    Chord(root=2, quality='m7')
    """
    tones = {(p - root) % 12 for p in pitch_classes}
    inside = [name for name, chord in QUALITIES.items() if chord and tones.issuperset(chord)]
    if not inside:
        return None
    return Chord(root % 12, max(inside, key=lambda name: len(QUALITIES[name])))
