"""Keys, chords and spellings against music21, which reads the same text in its own way."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgym.theory import (
    ALL_KEYS,
    NO_CHORD,
    QUALITIES,
    Chord,
    Key,
    closest,
    parse_chord,
    parse_pitch,
    parse_progression,
    pitch_name,
    spell,
    usual_key,
)

C_MAJOR = Key.parse("C major")
A_MINOR = Key.parse("A minor")
NUMERALS = ["I", "II", "III", "IV", "V", "VI", "VII", "i", "ii", "iii", "iv", "v", "vi", "vii"]
FIGURES = ["", "6", "64", "7", "65", "43", "42", "2"]
ROMANS = (
    [numeral + figure for numeral in NUMERALS for figure in FIGURES]
    + [f"{n}o{f}" for n in NUMERALS[7:] for f in ("", "6", "7", "65", "43", "42")]
    + [f"{n}ø{f}" for n in NUMERALS[7:] for f in ("7", "65", "43", "42")]
    + [f"{n}+{f}" for n in ("I", "III", "IV", "V") for f in ("", "6", "7")]
    + [sign + n for sign in ("b", "#") for n in NUMERALS]
    + ["#ivo", "#ivø7", "#viio7", "bII6", "bVII7", "bIII+", "bVI64"]
)
APPLIED = [
    f"{chord}/{target}"
    for chord in ("V", "V7", "V65", "viio", "viio7", "viiø7", "IV", "ii7", "iiø7", "bII", "V+")
    for target in ("V", "v", "ii", "iii", "III", "IV", "iv", "vi", "VI", "VII", "bVII", "bII")
]
KEYS = ["C major", "G major", "Eb major", "B major", "A minor", "D minor", "F# minor", "Eb minor"]


def music21_key(key: Key):
    from music21 import key as keys

    tonic, mode = key.name.split()
    return keys.Key(tonic.replace("b", "-"), mode)


def shape(root: int, pitch_classes) -> tuple[int, tuple[int, ...]]:
    return root, tuple(sorted({(p - root) % 12 for p in pitch_classes}))


@pytest.mark.parametrize("name", KEYS)
def test_roman_numerals_have_the_root_and_tones_that_music21_gives_them(name):
    from music21.roman import RomanNumeral

    key = Key.parse(name)
    theirs = music21_key(key)
    unreadable, wrong = [], []
    for text in ROMANS + APPLIED:
        expected = RomanNumeral(text, theirs)
        want = shape(expected.root().pitchClass, expected.pitchClasses)
        try:
            chord = parse_chord(text, key)
        except ValueError:
            if want[1] in {tuple(sorted(tones)) for tones in QUALITIES.values()}:
                unreadable.append(text)
            continue
        if shape(chord.root, chord.pitch_classes) != want:
            wrong.append((text, chord, want))
    assert not wrong
    assert not unreadable


@pytest.mark.parametrize("root", ["C", "F#", "Bb", "Eb", "G#", "Cb"])
def test_chord_symbols_have_the_root_and_tones_that_music21_gives_them(root):
    from music21.harmony import CHORD_TYPES, ChordSymbol

    tall = ("11th", "13th", "ninth")
    plain = [kind for kind in CHORD_TYPES if not kind.endswith(tall)]
    unknown = {"Neapolitan", "Italian", "French", "German", "pedal", "power", "Tristan"}
    suffixes = [s for kind in plain if kind not in unknown for s in CHORD_TYPES[kind][1]]
    assert len(suffixes) > 30
    wrong = []
    for suffix in suffixes:
        expected = ChordSymbol(root.replace("b", "-") + suffix)
        chord = parse_chord(root + suffix, C_MAJOR)
        want = shape(expected.root().pitchClass, expected.pitchClasses)
        if shape(chord.root, chord.pitch_classes) != want:
            wrong.append((root + suffix, chord, want))
    assert not wrong


@pytest.mark.parametrize("root", ["C", "Ab", "F#"])
def test_ninths_elevenths_and_thirteenths_are_read_as_the_seventh_chord_inside_them(root):
    from music21.harmony import CHORD_TYPES, ChordSymbol

    tall = [s for k, (_, names) in CHORD_TYPES.items() if k.endswith("th") for s in names]
    suffixes = [s for s in tall if re.search("9|11|13", s) and "b9" not in s]
    assert len(suffixes) > 40
    for suffix in suffixes:
        whole = ChordSymbol(root.replace("b", "-") + suffix)
        chord = parse_chord(root + suffix, C_MAJOR)
        assert chord.root == whole.root().pitchClass
        assert set(chord.pitch_classes) <= set(whole.pitchClasses), root + suffix
        assert len(chord.pitch_classes) == 4


@pytest.mark.parametrize(
    ("text", "quality"),
    [("C9", "7"), ("C7b9", "7"), ("Cmaj9", "maj7"), ("C9sus4", "7sus4"), ("Cm9b5", "m7b5")],
)  # fmt: skip
def test_a_tall_chord_keeps_its_seventh(text, quality):
    assert parse_chord(text, C_MAJOR).quality == quality


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("C", "C"), ("Am", "Am"), ("A-", "Am"), ("F#m7b5", "F#m7b5"), ("Bb7", "Bb7"),
        ("B♭7", "Bb7"), ("G/B", "G"), ("Dm7/C", "Dm7"), ("Bb/D", "Bb"), ("Csus", "Csus4"),
        ("Gsus4", "Gsus4"), ("A7sus4", "A7sus4"), ("C6", "C6"), ("C6/9", "C6"), ("Fmaj7", "Fmaj7"),
        ("FM7", "Fmaj7"), ("FΔ7", "Fmaj7"), ("Caug", "Caug"), ("C+", "Caug"), ("G7#5", "Gaug7"),
        ("Cm(maj7)", "CmM7"), ("CmM7", "CmM7"), ("Bo7", "Bdim7"), ("B°", "Bdim"), ("Bø7", "Bm7b5"),
        ("B/o7", "Bm7b5"), ("Cd", "Cdim"), ("Cdim", "Cdim"), ("Bbb", "A"), ("F##", "G"),
        ("N.C.", "N.C."), ("NC", "N.C."),
    ],
)  # fmt: skip
def test_lead_sheet_spellings_mean_what_a_player_reads(text, symbol):
    assert parse_chord(text, C_MAJOR).symbol() == symbol


def test_every_root_and_quality_is_read_back_from_its_own_symbol_in_every_key():
    for key, root, quality in itertools.product(ALL_KEYS, range(12), list(QUALITIES)[1:]):
        chord = Chord(root, quality)
        assert parse_chord(chord.symbol(key), key) == chord


def test_no_two_qualities_have_the_same_tones():
    assert len(set(QUALITIES.values())) == len(QUALITIES)


def test_the_mask_holds_exactly_the_chord_tones():
    chord = parse_chord("Bb7", C_MAJOR)
    assert [p for p in range(12) if chord.mask >> p & 1] == sorted(chord.pitch_classes)
    assert sorted(chord.pitch_classes) == [2, 5, 8, 10]
    assert NO_CHORD.mask == 0 and NO_CHORD.code == 0 and NO_CHORD.transposed(5) is NO_CHORD


@pytest.mark.parametrize("mode", ["major", "minor"])
def test_keys_have_the_tonic_and_signature_that_music21_gives_them(mode):
    count = 0
    for letter, sign in itertools.product("CDEFGAB", ["", "#", "b"]):
        from music21 import key as keys

        theirs = keys.Key(letter + sign.replace("b", "-"), mode)
        if abs(theirs.sharps) <= 7:
            ours = Key.parse(f"{letter}{sign} {mode}")
            assert (ours.tonic, ours.signature) == (theirs.tonic.pitchClass, theirs.sharps)
            count += 1
        else:
            with pytest.raises(ValueError, match="at most 7 sharps or flats"):
                Key.parse(f"{letter}{sign} {mode}")
    assert count == 15


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (["Bb", "Bb major", "bb major", "B♭", "BbM", "Bb Maj", "Bb_major", "Bb-major"], "Bb major"),
        (["f# minor", "F#m", "f#", "F# min", "F#-minor", "F♯ MINOR"], "F# minor"),
        (["C", "C major", "c major", "CM"], "C major"),
        (["a", "Am", "A minor", "am", "a min"], "A minor"),
        (["B-", "B- major", " B- "], "Bb major"),  # music21 writes a flat as '-'
        (["e-", "E- minor"], "Eb minor"),
    ],
)  # fmt: skip
def test_the_usual_spellings_of_a_key_are_one_key(spellings, name):
    assert {Key.parse(text).name for text in spellings} == {name}


@pytest.mark.parametrize("text", ["", "H major", "C dorian", "C##", "G# major", "Fb", "C 7"])
def test_an_unknown_key_is_named_with_what_is_allowed(text):
    with pytest.raises(ValueError, match="tonic and a mode") as caught:
        Key.parse(text)
    assert repr(text) in str(caught.value)


def test_a_misspelt_key_is_answered_with_the_nearest_one():
    with pytest.raises(ValueError, match="did you mean 'C minor'"):
        Key.parse("C minr")
    assert closest("zzzz", ["C major"]) == ""


def test_transposing_a_key_gives_its_plainest_spelling():
    assert Key.parse("C major").transposed(3).name == "Eb major"
    assert Key.parse("A minor").transposed(-3).name == "F# minor"
    assert all(abs(key.signature) <= 6 for key in ALL_KEYS) and len(set(ALL_KEYS)) == 24
    assert {usual_key(k.tonic, k.mode) for k in ALL_KEYS} == set(ALL_KEYS)


def test_the_degrees_of_a_scale_are_spelled_as_music21_spells_them():
    for letter, sign, mode in itertools.product("CDEFGAB", ["", "#", "b"], ["major", "minor"]):
        try:
            key = Key.parse(f"{letter}{sign} {mode}")
        except ValueError:
            continue
        for pitch in music21_key(key).pitches[:7]:
            assert spell(pitch.pitchClass, key) == (pitch.step, int(pitch.alter)), (key, pitch)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("C major", "C C# D Eb E F F# G G# A Bb B"),
        ("A minor", "C C# D D# E F F# G G# A Bb B"),
        ("D major", "C C# D D# E F F# G G# A A# B"),
        ("F major", "C C# D Eb E F F# G Ab A Bb B"),
        ("E minor", "C C# D D# E F F# G G# A A# B"),
    ],
)
def test_chromatic_notes_take_the_raised_or_lowered_name_usual_in_the_key(key, names):
    parsed = Key.parse(key)
    assert [pitch_name(60 + pc, parsed)[:-1] for pc in range(12)] == names.split()


@pytest.mark.parametrize("tonic", range(12))
def test_the_leading_note_of_a_minor_key_is_the_raised_seventh_degree(tonic):
    key = usual_key(tonic, "minor")
    letter, _ = spell((tonic - 1) % 12, key)
    assert "CDEFGAB".index(letter) == ("CDEFGAB".index(key.name[0]) - 1) % 7


@given(st.integers(0, 127), st.sampled_from(ALL_KEYS))
def test_a_pitch_is_read_back_from_its_name_in_every_key(pitch, key):
    name = pitch_name(pitch, key)
    if name[-2:] == "-2" or (pitch >= 126 and "b" in name):  # a B# below C-1, or a name above G9
        return
    assert parse_pitch(name) == pitch


@pytest.mark.parametrize("name", ["C4", "F#3", "Bb5", "B#3", "Cb4", "A0", "G9", "C-1", "e##2"])
def test_note_names_have_the_pitch_that_music21_gives_them(name):
    from music21.pitch import Pitch

    head, octave = (name[:-2], name[-2:]) if "-" in name else (name[:-1], name[-1])
    pitch = Pitch(head[0] + head[1:].replace("b", "-"), octave=int(octave))
    assert parse_pitch(name) == int(pitch.ps)


@pytest.mark.parametrize("given", ["H4", "C", "", "128", -1, 128, True, None, 60.5, "G#9", "Cb-1"])
def test_what_is_no_pitch_is_named(given):
    with pytest.raises(ValueError, match="from C-1 to G9") as caught:
        parse_pitch(given)
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["I V vi IV", "I-V-vi-IV", "I | V | vi | IV", "| I V | vi IV |", "I, V, vi, IV", "I–V–vi–IV",
     " I  V\tvi\nIV ", ["I", "V", "vi", "IV"], ("C", "G", "Am", "F"), "C-G-Am-F", "C G A- F"],
)  # fmt: skip
def test_a_progression_is_the_same_with_every_separator(text):
    assert [c.symbol() for c in parse_progression(text, C_MAJOR)] == ["C", "G", "Am", "F"]


def test_a_hyphen_inside_a_chord_stays_minor_and_between_chords_separates():
    assert [c.symbol() for c in parse_progression("D-7-G7-C", C_MAJOR)] == ["Dm7", "G7", "C"]
    assert [c.symbol() for c in parse_progression("ii7-bVII-I", C_MAJOR)] == ["Dm7", "Bb", "C"]


def test_the_same_numerals_follow_the_mode_of_the_key():
    major = parse_progression("I vi ii V viio", C_MAJOR)
    minor = parse_progression("i VI iio V viio", A_MINOR)
    assert [c.symbol() for c in major] == ["C", "Am", "Dm", "G", "Bdim"]
    assert [c.symbol(A_MINOR) for c in minor] == ["Am", "F", "Bdim", "E", "G#dim"]


@pytest.mark.parametrize(
    "bad", ["X", "Iv", "VIII", "Cfoo", "H7", "c", "V/", "/V", "V/X", "I9", "ø"]
)
def test_an_unreadable_chord_is_named_with_examples(bad):
    with pytest.raises(ValueError, match="roman numeral .* nor a chord symbol"):
        parse_chord(bad, C_MAJOR)
    with pytest.raises(ValueError) as caught:
        parse_progression(["I", bad], C_MAJOR)
    assert repr(bad) in str(caught.value) or bad == "V/X"


@pytest.mark.parametrize("empty", ["", "  ", " | ", "-", [], ()])
def test_a_progression_without_a_chord_is_refused(empty):
    with pytest.raises(ValueError, match="names no chord"):
        parse_progression(empty, C_MAJOR)


@given(st.text(max_size=20))
def test_any_text_is_a_chord_or_a_value_error(text):
    try:
        chord = parse_chord(text, C_MAJOR)
    except ValueError:
        return
    assert 0 <= chord.root < 12 and chord.quality in QUALITIES
