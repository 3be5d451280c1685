"""Keys, chords, roman numerals and chord symbols, as small integers.

A pitch is a MIDI number (60 = C4), a pitch class is a pitch modulo 12, and a chord is a root and
one of the `QUALITIES`. Text is read the way music21 reads it; nothing here imports music21.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = [
    "NO_CHORD",
    "QUALITIES",
    "Chord",
    "Key",
    "closest",
    "parse_chord",
    "parse_pitch",
    "parse_progression",
    "pitch_name",
    "spell",
]

LETTERS = "CDEFGAB"
NATURALS = (0, 2, 4, 5, 7, 9, 11)
FIFTHS = "FCGDAEB"  # the letters along the line of fifths
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
MODES = tuple(SCALES)

#: Chord qualities: suffix in chord symbols -> semitones above the root. The place of a quality in
#: this table is its code in observations and in saved data, so the order is part of the format.
QUALITIES: dict[str, tuple[int, ...]] = {
    "N.C.": (),
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "mM7": (0, 3, 7, 11),
    "aug7": (0, 4, 8, 10),
    "maj7#5": (0, 4, 8, 11),
    "7b5": (0, 4, 6, 10),
    "dimM7": (0, 3, 6, 11),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "7sus4": (0, 5, 7, 10),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
}
_SUFFIXES = tuple(QUALITIES)
_TONES = tuple(QUALITIES.values())

# Other spellings of a suffix, as lead sheets and corpora write them; added notes are read as their
# triad. Ninths, elevenths and thirteenths are read as their seventh chord: `_TALL` makes them a 7.
_ALIASES = {
    "M": "", "maj": "", "major": "", "add9": "", "add2": "", "add4": "",
    "min": "m", "mi": "m", "-": "m", "minor": "m", "madd9": "m",
    "o": "dim", "°": "dim", "d": "dim", "mb5": "dim",
    "+": "aug", "#5": "aug", "(#5)": "aug",
    "dom7": "7", "7b9": "7", "7#9": "7", "7#11": "7", "7b13": "7",
    "M7": "maj7", "Maj7": "maj7", "ma7": "maj7", "Δ": "maj7", "Δ7": "maj7", "j7": "maj7",
    "maj7#11": "maj7", "major7": "maj7",
    "min7": "m7", "mi7": "m7", "-7": "m7", "minor7": "m7",
    "ø": "m7b5", "ø7": "m7b5", "/o7": "m7b5", "h7": "m7b5", "min7b5": "m7b5", "-7b5": "m7b5",
    "m7(b5)": "m7b5", "hdim7": "m7b5",
    "o7": "dim7", "°7": "dim7", "d7": "dim7",
    "mmaj7": "mM7", "m(maj7)": "mM7", "minmaj7": "mM7", "-maj7": "mM7", "mMaj7": "mM7",
    "m#7": "mM7", "+7": "aug7", "7#5": "aug7", "7+": "aug7", "7(#5)": "aug7",
    "+M7": "maj7#5", "+maj7": "maj7#5", "augmaj7": "maj7#5", "M7#5": "maj7#5", "augM7": "maj7#5",
    "7(b5)": "7b5", "dom7b5": "7b5", "dom7dim5": "7b5", "oM7": "dimM7", "dimmaj7": "dimM7",
    "sus": "sus4", "4": "sus4", "2": "sus2", "7sus": "7sus4",
    "maj6": "6", "M6": "6", "69": "6", "6/9": "6", "min6": "m6", "-6": "m6", "m69": "m6",
}  # fmt: skip
_TALL = re.compile(r"(?<![\d#b])(?:9|11|13)(?!\d)")


def closest(given: object, allowed: Iterable[str]) -> str:
    """Return ``'; did you mean ...?'`` with the nearest allowed spelling, or an empty string.

    >>> closest("chord_tones", ["chord_tone", "repetition"])
    "; did you mean 'chord_tone'?"
    """
    found = difflib.get_close_matches(str(given), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def _accidental(text: str) -> int:
    """Return the alteration in semitones that a run of '#' or 'b' (or ♯, ♭) writes."""
    return text.count("#") + text.count("♯") - text.count("b") - text.count("♭")


@dataclass(frozen=True)
class Key:
    """A major or minor key: the pitch class of its tonic, its mode, and its spelling.

    >>> Key.parse("Bb major").tonic, Key.parse("f# minor").name
    (10, 'F# minor')
    """

    tonic: int
    mode: str
    name: str

    @staticmethod
    @lru_cache(maxsize=256)
    def parse(text: str) -> Key:
        """Read a key such as ``"C major"``, ``"f# minor"``, ``"Bb"`` or ``"Am"``.

        Raises:
            ValueError: the text names no key; the message says what is allowed.
        """
        plain = re.sub(r"^(\s*[A-Ga-g])-(?=\s|$)", r"\1b", str(text))  # music21's flat: "B- major"
        match = re.fullmatch(r"\s*([A-Ga-g])([#b♯♭]?)[\s_-]*([A-Za-z]*)\s*", plain)
        words = {"": "", "major": "major", "maj": "major", "minor": "minor", "min": "minor"}
        if match:
            letter, sign, word = match.groups()
            mode = {"m": "minor", "M": "major"}.get(word, words.get(word.lower()))
            if mode == "":  # no word: music21's habit, a small letter is a minor key
                mode = "minor" if letter.islower() else "major"
            if mode:
                tonic = (NATURALS[LETTERS.index(letter.upper())] + _accidental(sign)) % 12
                sign = sign.replace("♯", "#").replace("♭", "b")
                name = f"{letter.upper()}{sign} {mode}"
                if abs(_signature(name)) <= 7:
                    return Key(tonic, mode, name)
        names = [k.name for k in ALL_KEYS]
        raise ValueError(
            f"key: {text!r} is not a key{closest(text, names) or '.'} Write a tonic and a mode, "
            f"such as 'C major', 'F# minor', 'Bb major' or 'Am' (at most 7 sharps or flats)."
        )

    @property
    def minor(self) -> bool:
        """Whether the mode is minor."""
        return self.mode == "minor"

    @property
    def signature(self) -> int:
        """The number of sharps (positive) or flats (negative) of the key signature."""
        return _signature(self.name)

    def transposed(self, semitones: int) -> Key:
        """Return the key whose tonic lies `semitones` higher, in its usual spelling."""
        return usual_key((self.tonic + semitones) % 12, self.mode)


def _signature(name: str) -> int:
    tonic, mode = name.split()
    return FIFTHS.index(tonic[0]) - 1 + 7 * _accidental(tonic[1:]) - (3 if mode == "minor" else 0)


@lru_cache(maxsize=32)
def usual_key(tonic: int, mode: str) -> Key:
    """Return the key of a tonic pitch class and a mode in the spelling with fewest accidentals."""
    names = [
        f"{letter}{sign} {mode}"
        for letter in LETTERS
        for sign in ("", "b", "#")
        if (NATURALS[LETTERS.index(letter)] + _accidental(sign)) % 12 == tonic
    ]
    return Key(tonic, mode, min(names, key=lambda name: abs(_signature(name))))


ALL_KEYS = tuple(usual_key(tonic, mode) for mode in MODES for tonic in range(12))


def spell(pitch_class: int, key: Key) -> tuple[str, int]:
    """Return the letter and the alteration that write a pitch class in a key.

    The twelve names are neighbours on the line of fifths: the key's own seven, and the raised or
    lowered degrees that are usual beside them (in C major C#, Eb, F#, G#, Bb; in A minor G#, F#).

    >>> spell(6, Key.parse("G minor")), spell(6, Key.parse("Db major"))
    (('F', 1), ('G', -1))
    """
    start = key.signature - (2 if key.minor else 3)  # first name, in fifths above C
    fifths = start + (pitch_class * 7 - start) % 12
    return FIFTHS[(fifths + 1) % 7], (fifths + 1) // 7


def _sign(alteration: int) -> str:
    return "#" * alteration if alteration > 0 else "b" * -alteration


def pitch_name(pitch: int, key: Key | None = None) -> str:
    """Return a pitch as a note name with its octave, spelled for the key (C major if None).

    >>> pitch_name(61), pitch_name(70, Key.parse("F major")), pitch_name(59, Key.parse("Cb major"))
    ('C#4', 'Bb4', 'Cb4')
    """
    letter, alteration = spell(pitch % 12, key or ALL_KEYS[0])
    return f"{letter}{_sign(alteration)}{(pitch - alteration) // 12 - 1}"


def parse_pitch(text: str | int) -> int:
    """Return the MIDI number of ``"C4"``, ``"F#3"``, ``"Bb5"`` or of a number itself.

    >>> parse_pitch("C4"), parse_pitch("Bb5"), parse_pitch(72)
    (60, 82, 72)
    """
    pitch = text if isinstance(text, int) and not isinstance(text, bool) else None
    match = re.fullmatch(r"([A-Ga-g])([#b♯♭]*)(-?\d+)", str(text).strip())
    if match:
        letter, sign, octave = match.groups()
        natural = NATURALS[LETTERS.index(letter.upper())]
        pitch = natural + _accidental(sign) + 12 * (int(octave) + 1)
    if pitch is None or not 0 <= pitch <= 127:
        raise ValueError(f"pitch: {text!r} is not a note name from C-1 to G9 or a MIDI number.")
    return pitch


@dataclass(frozen=True)
class Chord:
    """A chord: the pitch class of its root and its quality, a name of `QUALITIES`.

    >>> Chord(9, "m7").symbol(), Chord(9, "m7").pitch_classes
    ('Am7', (9, 0, 4, 7))
    """

    root: int
    quality: str

    @staticmethod
    def of(root: int, code: int) -> Chord:
        """Return the chord of a root and a quality's `code`; code 0 is no chord, whatever the root.

        >>> Chord.of(9, 7).symbol(), Chord.of(9, 0).symbol()
        ('Am7', 'N.C.')
        """
        return Chord(int(root) % 12, _SUFFIXES[int(code)]) if code else NO_CHORD

    @property
    def code(self) -> int:
        """The place of the quality in `QUALITIES` (0 = no chord)."""
        return _SUFFIXES.index(self.quality)

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The pitch classes of the chord tones, root first."""
        return tuple((self.root + tone) % 12 for tone in QUALITIES[self.quality])

    @property
    def mask(self) -> int:
        """The chord tones as twelve bits, bit p set if pitch class p is a chord tone."""
        return sum(1 << p for p in self.pitch_classes)

    def symbol(self, key: Key | None = None) -> str:
        """Return the chord symbol, its root spelled for the key (C major if None)."""
        if not self.pitch_classes:
            return "N.C."
        letter, alteration = spell(self.root, key or ALL_KEYS[0])
        return f"{letter}{_sign(alteration)}{self.quality}"

    def transposed(self, semitones: int) -> Chord:
        """Return the same chord with its root `semitones` higher."""
        return Chord((self.root + semitones) % 12, self.quality) if self.quality != "N.C." else self


NO_CHORD = Chord(0, "N.C.")

_ROMANS = ("I", "II", "III", "IV", "V", "VI", "VII")
_ROMAN = re.compile(
    r"(?P<sign>[#b♯♭]*)(?P<numeral>VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)"
    r"(?P<quality>o|°|ø|/o|\+|dim|aug)?(?P<figure>\d*)(?:/(?P<of>[#b♯♭]*[IViv]+))?"
)
_SEVENTHS = {"7", "65", "43", "42", "2"}
_TRIADS = {"", "5", "53", "6", "63", "64"}
_SYMBOL = re.compile(
    r"(?P<letter>[A-G])(?P<sign>[#b♯♭]*)(?P<suffix>[^/]*?(?:/o7|/9)?)(?:/[A-G][#b♯♭]*)?"
)


@lru_cache(maxsize=4096)
def parse_chord(text: str, key: Key) -> Chord:
    """Read a roman numeral (in the key, as music21 does) or a chord symbol.

    Inversions and slash basses are read as their root chord: a melody is judged against the chord
    tones, not the bass. ``"N.C."`` is a span without a chord.

    >>> c = Key.parse("C major")
    >>> [parse_chord(t, c).symbol() for t in ("V65", "viio", "V7/V", "bVII", "F#m7b5", "G/B")]
    ['G7', 'Bdim', 'D7', 'Bb', 'F#m7b5', 'G']

    Raises:
        ValueError: the text is neither; the message names the place and gives examples.
    """
    token = str(text).strip()
    if token in ("N.C.", "NC", "N.C", "nc", "n.c."):
        return NO_CHORD
    match = _ROMAN.fullmatch(token)
    if match:
        chord = _roman(match, key)
        if chord:
            return chord
    match = _SYMBOL.fullmatch(token)
    if match:
        suffix = match["suffix"].replace("♭", "b").replace("♯", "#").strip()
        if suffix not in _ALIASES:
            suffix = _TALL.sub("7", suffix)
        suffix = _ALIASES.get(suffix, suffix)
        if suffix in QUALITIES and suffix != "N.C.":
            root = NATURALS[LETTERS.index(match["letter"])] + _accidental(match["sign"])
            return Chord(root % 12, suffix)
    raise ValueError(
        f"chord: {text!r} is neither a roman numeral (I, ii, V7, viio, bVII, V65, V7/V) nor a "
        f"chord symbol (C, Am, F#m7b5, Bb7, Gsus4, G/B) nor 'N.C.'."
    )


def _roman(match: re.Match[str], key: Key) -> Chord | None:
    if match["of"]:  # an applied chord: the numeral is read in the key of the chord after '/'
        target = parse_chord(match["of"], key)
        mode = "minor" if QUALITIES[target.quality][1] == 3 else "major"
        key = usual_key(target.root, mode)
    numeral, figure = match["numeral"], match["figure"]
    degree = _ROMANS.index(numeral.upper())
    quality = {"°": "o", "dim": "o", "aug": "+", "/o": "ø"}.get(
        match["quality"], match["quality"] or ""
    )
    if figure not in _SEVENTHS | _TRIADS or (quality == "ø" and figure not in _SEVENTHS):
        return None
    lower = numeral.islower()
    shift = _accidental(match["sign"])
    scale = SCALES[key.mode]
    # In minor, a small vi or vii stands on the raised degree, a capital one on the natural degree.
    shift += key.minor and degree >= 5 and (lower or quality in ("o", "ø"))
    root = key.tonic + scale[degree] + shift
    third, fifth = (3, 7) if lower else (4, 7)
    if quality in ("o", "ø"):
        third, fifth = 3, 6
    elif quality == "+":
        third, fifth = 4, 8
    tones: tuple[int, ...] = (0, third, fifth)
    if figure in _SEVENTHS:  # a tone of the scale; never major above a small numeral
        seventh = (key.tonic + scale[(degree + 6) % 7] - root) % 12
        small = 10 if lower and seventh == 11 else seventh
        tones += ({"o": 9, "ø": 10}.get(quality, small),)
    for suffix, intervals in QUALITIES.items():
        if intervals == tones:
            return Chord(root % 12, suffix)
    return None


_SEPARATOR = re.compile(r"[\s,|]+|(?<=\S)[-–](?=[A-GIViv#b♯♭])")


def parse_progression(progression: str | Sequence[str], key: Key) -> tuple[Chord, ...]:
    """Read a progression: chords separated by spaces, commas, bars or hyphens, or a list.

    >>> [c.symbol() for c in parse_progression("i VI III VII", Key.parse("D minor"))]
    ['Dm', 'Bb', 'F', 'C']
    """
    if isinstance(progression, str):
        tokens = [
            token for token in _SEPARATOR.split(progression.strip()) if token not in ("", "-")
        ]
    else:
        tokens = [str(token) for token in progression]
    if not tokens:
        raise ValueError("progression: it names no chord; write one such as 'I V vi IV'.")
    return tuple(parse_chord(token, key) for token in tokens)
