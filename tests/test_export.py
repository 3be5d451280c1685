"""What is written is what was composed: files read back, pages and sound looked into."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgym.events import FIRST_NOTE, HOLD, REST, Note
from musicgym.export import MissingExtra, save, save_all
from musicgym.export.midi import chord_notes, midi
from musicgym.export.musicxml import CHORD_KINDS, musicxml
from musicgym.export.notation import Written, systems, write_bars
from musicgym.melody import Melody
from musicgym.meters import GRIDS, METERS
from musicgym.theory import (
    ALL_KEYS,
    FIFTHS,
    LETTERS,
    NATURALS,
    NO_CHORD,
    QUALITIES,
    Chord,
    Key,
    parse_pitch,
    parse_progression,
)

LOW = 48


def compose(
    text: str,
    key: str = "C major",
    chords: str | tuple[Chord, ...] = "I",
    meter: str = "4/4",
    grid: int = 2,
    name: str = "Song",
) -> Melody:
    """Return the melody of note names, ``.`` for a hold and ``-`` for a rest."""
    special = {".": HOLD, "-": REST}
    events = tuple(
        special[token] if token in special else parse_pitch(token) - LOW + FIRST_NOTE
        for token in text.replace("|", " ").split()
    )
    spelled = Key.parse(key)
    given = parse_progression(chords, spelled) if isinstance(chords, str) else chords
    return Melody(events, LOW, spelled, given, meter, grid, name)


EVENING = compose(
    "D4 . E4 F4 A4 . . F4 | G4 . Bb4 . D5 . C5 Bb4 | A4 . . G4 E4 . C#4 . | D4 . . . - - F4 G4 |"
    "A4 Bb4 . A4 . F4 . D4 | G4 . A4 Bb4 . . D5 . | C#5 C5 C#5 . E5 . . . | D5 . . . . . - -",
    "D minor",
    "i iv V7 i VI iv V7 i",
    name="Evening & <morning>",
)


@st.composite
def melodies(draw: st.DrawFn, most_bars: int = 3) -> Melody:
    meter = draw(st.sampled_from(sorted(METERS)))
    grid = draw(st.sampled_from(GRIDS))
    bars = draw(st.integers(1, most_bars))
    beats = METERS[meter].beats * bars
    steps = beats * grid
    event = st.one_of(st.just(HOLD), st.just(HOLD), st.integers(REST, FIRST_NOTE + 35))
    events = draw(st.lists(event, min_size=steps, max_size=steps))
    count = draw(st.sampled_from([n for n in range(1, beats + 1) if beats % n == 0]))
    chord = st.builds(
        lambda root, quality: NO_CHORD if quality == "N.C." else Chord(root, quality),
        st.integers(0, 11),
        st.sampled_from(sorted(QUALITIES)),
    )
    chords = draw(st.lists(chord, min_size=count, max_size=count))
    key = draw(st.sampled_from(ALL_KEYS))
    return Melody(tuple(events), LOW, key, tuple(chords), meter, grid)


# --- the written values -------------------------------------------------------------------------


def sounding(bars: list[list[Written]], width: int) -> list[tuple[int, int, Any]]:
    """Return (onset, duration, spelled pitch) of the notes, ties joined."""
    notes: list[tuple[int, int, Any]] = []
    for number, bar in enumerate(bars):
        for value in bar:
            if value.pitch is None:
                continue
            if value.tied_back:
                onset, duration, pitch = notes[-1]
                assert onset + duration == number * width + value.onset, "a tie with a gap"
                assert pitch == value.pitch, "a tie between two pitches"
                notes[-1] = (onset, duration + value.length, pitch)
            else:
                notes.append((number * width + value.onset, value.length, value.pitch))
    return notes


@given(melodies())
def test_every_written_bar_is_full_and_its_ties_give_the_notes_back(melody: Melody) -> None:
    bars = write_bars(melody)
    for bar in bars:
        place = 0
        for value in bar:
            assert value.onset == place
            place += value.length
        assert place == melody.steps_per_bar
    read = [
        Note(onset, duration, NATURALS[LETTERS.index(p.letter)] + p.alteration + 12 * p.octave + 12)
        for onset, duration, p in sounding(bars, melody.steps_per_bar)
    ]
    assert read == melody.notes()


@given(melodies())
def test_every_written_value_is_plain_or_dotted_and_never_hides_the_beat(melody: Melody) -> None:
    width, grid = melody.steps_per_bar, melody.steps_per_beat
    group = METERS[melody.meter].strong_every * grid
    for value in (value for bar in write_bars(melody) for value in bar):
        assert value.length in (1, 2, 3, 4, 6, 8, 12, 16, 24)
        if value.length == width:
            continue
        start, end = value.onset, value.onset + value.length
        crosses_a_group = start // group != (end - 1) // group
        if melody.meter == "6/8" or value.pitch is None:
            assert not crosses_a_group
        elif crosses_a_group:  # in 4/4, only from a beat to a beat
            assert start % grid == 0 and end % grid == 0


@given(melodies())
def test_a_reader_of_signature_and_shown_accidentals_plays_the_right_pitches(
    melody: Melody,
) -> None:
    sharps = melody.key.signature
    signature = {letter: 0 for letter in FIFTHS}
    for letter in FIFTHS[:sharps] if sharps > 0 else FIFTHS[7 + sharps :] if sharps else "":
        signature[letter] = 1 if sharps > 0 else -1
    tied = 0
    for bar in write_bars(melody):
        in_force: dict[tuple[str, int], int] = {}
        for value in bar:
            if value.pitch is None:
                continue
            line = (value.pitch.letter, value.pitch.octave)
            if value.tied_back:
                assert not value.accidental
                heard = tied  # a tie carries the accidental over the bar line
            else:
                if value.accidental:
                    in_force[line] = value.pitch.alteration
                heard = in_force.get(line, signature[value.pitch.letter])
            assert heard == value.pitch.alteration
            tied = heard


@pytest.mark.parametrize(
    ("meter", "grid", "text", "lengths"),
    [
        ("4/4", 2, "C4 . . . . D4 . .", [4, 1, 3]),  # the middle of the bar is seen
        ("4/4", 2, "C4 . D4 . . . E4 .", [2, 4, 2]),  # a half note on beat two
        ("4/4", 2, "C4 D4 . E4 . F4 . G4", [1, 2, 1, 1, 2, 1]),  # tied over the middle
        ("4/4", 2, "C4 . . . . . . -", [4, 3, 1]),
        ("4/4", 1, "C4 - - C4", [1, 1, 1, 1]),  # no rest over the middle
        ("4/4", 4, "C4 D4 . E4 . . F4 . . . . . G4 . . .", [1, 2, 1, 2, 2, 4, 4]),
        ("3/4", 2, "C4 D4 . E4 . .", [1, 2, 3]),
        ("3/4", 1, "- - C4", [1, 1, 1]),  # no half rest in three
        ("2/4", 2, "C4 D4 . .", [1, 3]),
        ("6/8", 1, "C4 . . . D4 .", [3, 1, 2]),  # two beats of three
        ("6/8", 1, "C4 . . . . .", [6]),
        ("6/8", 1, "- - - - - C4", [3, 2, 1]),
        ("6/8", 2, "C4 . . D4 . . E4 . . . . .", [3, 3, 6]),
    ],
)
def test_values_are_cut_where_a_musician_would_cut_them(
    meter: str, grid: int, text: str, lengths: list[int]
) -> None:
    (bar,) = write_bars(compose(text, meter=meter, grid=grid))
    assert [value.length for value in bar] == lengths


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [
        ("D minor", "Bb4 C#5 C5 C5 C#5 . A4 .", "C#5 C5 C#5"),
        (
            "D minor",
            "A4 . . . . . . C#5 | C#5 . C5 . . . . .",
            "C#5 C#5 C5",
        ),  # a new bar says it anew
        ("F# major", "F#4 F4 A#4 C#5 D#5 B4 C5 G#4", "B#4"),  # E# stands in the signature
        ("Eb major", "Eb4 Ab4 Bb4 A4 A4 Ab4 F4 G4", "A4 Ab4"),
        ("F# minor", "F#4 F4 F4 E4 G#4 A4 B4 C#5", "E#4 E4"),
        ("C major", "F#4 . F5 . F4 . . .", "F#4 F4"),  # an accidental is for its octave alone
        ("A minor", "G4 . A4 . B4 . C5 .", ""),
    ],
)
def test_only_the_accidentals_that_a_reader_needs_are_shown(
    key: str, text: str, shown: str
) -> None:
    values = [value for bar in write_bars(compose(text, key)) for value in bar]
    sign = {-1: "b", 0: "", 1: "#", 2: "##"}
    found = [v.pitch for v in values if v.accidental and v.pitch]
    assert " ".join(f"{p.letter}{sign[p.alteration]}{p.octave}" for p in found) == shown


def test_a_note_after_a_tied_accidental_says_what_it_is() -> None:
    bars = write_bars(compose("- - - - - - F#4 . | . . F4 . F#4 . . ."))
    values = [value for value in bars[1] if value.pitch]
    assert [value.accidental for value in values] == [False, True, True]


def test_dense_bars_get_more_room_on_the_page() -> None:
    assert systems(write_bars(EVENING)) == 4
    assert systems(write_bars(compose("C4 D4 " * 32, grid=4))) == 2


# --- MIDI ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(melodies())
def test_midi_gives_the_notes_and_the_chords_back(melody: Melody) -> None:
    from symusic import Score

    read = Score.from_midi(midi(melody, tempo=90))
    ticks = melody.quarters_per_step * read.tpq
    tracks = {track.name: track for track in read.tracks}
    if melody.notes():
        notes = [(n.start / ticks, n.duration / ticks, n.pitch) for n in tracks["Melody"].notes]
        assert sorted(notes) == [tuple(note) for note in melody.notes()]
    chords = [(onset, duration, p) for onset, duration, ps in chord_notes(melody) for p in ps]
    if chords:
        notes = [(n.start / ticks, n.duration / ticks, n.pitch) for n in tracks["Chords"].notes]
        assert sorted(notes) == sorted(chords)


def test_midi_says_tempo_meter_and_key() -> None:
    from symusic import Score

    read = Score.from_midi(midi(EVENING, tempo=96))
    assert read.tempos[0].qpm == pytest.approx(96)
    assert (read.time_signatures[0].numerator, read.time_signatures[0].denominator) == (4, 4)
    assert (read.key_signatures[0].key, read.key_signatures[0].tonality) == (-1, 1)
    melody, chords = read.tracks
    assert max(n.velocity for n in chords.notes) < min(n.velocity for n in melody.notes)


@given(melodies())
def test_chords_sound_their_tones_in_close_position_below_the_melody(melody: Melody) -> None:
    spans = [span for span in melody.spans() if span[2].pitch_classes]
    for (onset, duration, chord), voicing in zip(spans, chord_notes(melody), strict=True):
        assert voicing[:2] == (onset, duration)
        pitches = voicing[2]
        assert tuple(pitch % 12 for pitch in pitches) == chord.pitch_classes
        assert 36 <= pitches[0] <= 59 and pitches[-1] - pitches[0] < 12
        above = [
            n.pitch
            for n in melody.notes()
            if n.onset < onset + duration and n.onset + n.duration > onset
        ]
        if pitches[0] >= 48 and above:
            assert pitches[-1] < min(above)


# --- MusicXML -----------------------------------------------------------------------------------


def read_part(text: str) -> Any:
    from music21 import converter

    return converter.parse(text, format="musicxml").parts[0]


def check_read_back(melody: Melody) -> None:
    from music21 import harmony, stream

    part = read_part(musicxml(melody))
    step = melody.quarters_per_step
    width = melody.steps_per_bar * step
    measures = list(part.getElementsByClass(stream.Measure))
    assert len(measures) * melody.steps_per_bar == len(melody.events)
    for measure in measures:
        full = sum(n.quarterLength for n in measure.notesAndRests if not is_symbol(n))
        assert full == measure.barDuration.quarterLength == width
    notes = [n for n in part.stripTies().flatten().notes if not is_symbol(n)]
    found = [Note(n.offset / step, n.quarterLength / step, n.pitch.midi) for n in notes]
    assert found == melody.notes()
    symbols = list(part.flatten().getElementsByClass(harmony.Harmony))
    assert [s.offset / step for s in symbols] == [onset for onset, _, _ in melody.spans()]
    for symbol, (_, _, chord) in zip(symbols, melody.spans(), strict=True):
        assert {p.pitchClass for p in symbol.pitches} == set(chord.pitch_classes)
        assert symbol.quarterLength == 0
        if chord.pitch_classes:
            root = symbol.root().name.replace("-", "b")
            assert chord.symbol(melody.key) == f"{root}{chord.quality}"


def is_symbol(element: Any) -> bool:
    from music21 import harmony

    return isinstance(element, harmony.Harmony)


@settings(max_examples=15, deadline=None)
@given(melodies(most_bars=2))
def test_musicxml_gives_notes_chords_and_full_bars_back(melody: Melody) -> None:
    check_read_back(melody)


@pytest.mark.parametrize("meter", METERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_bars_are_full_in_every_meter_and_grid(meter: str, grid: int) -> None:
    rng = np.random.default_rng(grid)
    beats = METERS[meter].beats
    events = rng.choice([HOLD, HOLD, REST, 14, 17, 20], size=2 * beats * grid)
    key = Key.parse("G minor")
    chords = parse_progression(["i"] * beats + ["V7"] * beats, key)
    check_read_back(Melody(tuple(events), LOW, key, chords, meter, grid))


def test_every_chord_quality_is_read_back() -> None:
    assert set(CHORD_KINDS) == set(QUALITIES) - {"N.C."}
    chords = tuple(Chord(10, quality) for quality in CHORD_KINDS)
    steps = 8 * len(chords)
    check_read_back(Melody((2 + 24, *[HOLD] * (steps - 1)), LOW, Key.parse("F major"), chords))


def test_musicxml_says_title_part_key_meter_and_tempo() -> None:
    root = ElementTree.fromstring(musicxml(EVENING, tempo=72).encode())
    assert root.findtext("movement-title") == EVENING.name
    assert root.findtext("part-list/score-part/part-name") == "Melody"
    assert root.findtext(".//key/fifths") == "-1"
    assert root.findtext(".//key/mode") == "minor"
    assert (root.findtext(".//time/beats"), root.findtext(".//time/beat-type")) == ("4", "4")
    assert root.findtext(".//clef/sign") == "G"
    assert root.findtext(".//per-minute") == "72"
    assert {harmony.get("placement") for harmony in root.iter("harmony")} == {"above"}
    assert root.find(".//creator") is None
    breaks = [
        m.get("number") for m in root.iter("measure") if m.find("print[@new-system]") is not None
    ]
    assert breaks == ["5"]


def test_no_note_of_the_key_shows_an_accidental_in_musicxml() -> None:
    root = ElementTree.fromstring(musicxml(EVENING).encode())
    shown = [
        (note.findtext("pitch/step"), note.findtext("accidental"))
        for note in root.iter("note")
        if note.find("accidental") is not None
    ]
    assert shown == [("C", "sharp"), ("C", "sharp"), ("C", "natural"), ("C", "sharp")]
    flats = [
        n.findtext("pitch/alter") for n in root.iter("note") if n.findtext("pitch/step") == "B"
    ]
    assert set(flats) == {"-1"}


def test_four_sixteenths_share_two_whole_beams() -> None:
    root = ElementTree.fromstring(musicxml(compose("C4 D4 E4 F4 " * 4, grid=4)).encode())
    beams = [[beam.text for beam in note.findall("beam")] for note in root.iter("note")]
    one_beat = [["begin"] * 2, ["continue"] * 2, ["continue"] * 2, ["end"] * 2]
    assert beams == one_beat * 4


def test_a_last_bar_that_is_not_full_is_filled_with_rests() -> None:
    (first, second) = write_bars(compose("C4 . . . . . . . D4 .", chords="I V"))
    assert [(v.length, v.pitch is None) for v in second] == [(2, False), (2, True), (4, True)]
    part = read_part(musicxml(compose("C4 . . . . . . . D4 .", chords="I V")))
    assert part.quarterLength == 8


def test_six_eight_counts_the_tempo_in_dotted_quarters() -> None:
    root = ElementTree.fromstring(
        musicxml(compose("C4 . . D4 . .", meter="6/8", grid=1), tempo=90).encode()
    )
    assert root.find(".//metronome/beat-unit-dot") is not None
    assert root.findtext(".//per-minute") == "60"


# --- the engraved page --------------------------------------------------------------------------


def pixels(png: bytes) -> np.ndarray:
    """Return the darkness of a PNG: (H, W) in 0 to 1."""
    image = pytest.importorskip("matplotlib.image").imread(BytesIO(png))
    return 1 - image[..., :3].mean(axis=2)


@pytest.fixture(scope="module")
def page() -> str:
    pytest.importorskip("verovio")
    from musicgym.export import engraving

    return engraving.svg(musicxml(EVENING))


def test_the_page_holds_title_tempo_chord_symbols_and_all_notes(page: str) -> None:
    root = ElementTree.fromstring(page)
    svg = "{http://www.w3.org/2000/svg}"
    texts = ["".join("".join(t.itertext()).split()) for t in root.iter(f"{svg}text")]
    for expected in (EVENING.name.replace(" ", ""), "♩=100", "Dm", "Gm", "A7", "B♭"):
        assert expected in texts
    classes = [g.get("class") for g in root.iter(f"{svg}g")]
    values = [value for bar in write_bars(EVENING) for value in bar]
    assert classes.count("note") == sum(value.pitch is not None for value in values)
    assert classes.count("rest") == sum(value.pitch is None for value in values)
    assert classes.count("system") == 2
    assert "Leipzig" not in page, "text in a font that viewers lack"


def test_altered_chord_symbols_are_printed_once_and_with_musical_signs() -> None:
    pytest.importorskip("verovio")
    from musicgym.export import engraving

    chords = (Chord(10, "maj7#5"), Chord(6, "m7b5"), Chord(7, "7sus4"), NO_CHORD)
    text = engraving.svg(musicxml(compose("C4 . . . . . . .", "F major", chords)))
    groups = re.findall(r'class="harm">(.*?)</g>', text, flags=re.DOTALL)
    shown = ["".join(re.sub(r"<[^>]*>", "", group).split()) for group in groups]
    assert shown == ["B♭maj7♯5", "F♯m7♭5", "G7sus4", "N.C."]


def test_the_picture_shows_title_chord_symbols_and_their_signs(page: str) -> None:
    pytest.importorskip("resvg_py")
    from musicgym.export import engraving

    dark = pixels(engraving.png(page))
    assert dark.shape[1] == 1600
    assert 0.01 < dark.mean() < 0.3 and dark[:, :40].max() < 0.01, "blank, or not on white"
    for text in (">Evening &amp; &lt;morning&gt;<", ">♩ = 100<", ">Gm<", ">♭<"):
        assert text in page
        without = pixels(engraving.png(page.replace(text, "><")))
        assert np.abs(without - dark).sum() > 20, f"{text} is not drawn"
    title = np.flatnonzero(dark[40:110, 300:].max(axis=0) > 0.5) + 300
    assert (title[0] + title[-1]) / 2 == pytest.approx(800, abs=15), "the title is centred"


def test_one_melody_gives_the_same_page_every_time(page: str) -> None:
    from musicgym.export import engraving

    assert musicxml(EVENING) == musicxml(EVENING)
    assert engraving.svg(musicxml(EVENING)) == page


# --- piano rolls --------------------------------------------------------------------------------


def test_the_roll_colours_notes_by_their_chord_step_by_step() -> None:
    from musicgym.export import piano_roll as roll

    melody = compose("C4 . . . . . . .", chords="C Dm")  # C leaves its chord in the second half
    picture = roll.image(melody, high=60, scale=8)
    assert picture.shape == (13 * 8, 8 * 8, 3) and picture.dtype == np.uint8
    assert tuple(picture[4, 12]) == roll.CHORD_TONE
    assert tuple(picture[4, 44]) == roll.OTHER_TONE
    silent = roll.image(compose("- - - - - - - -", chords=(NO_CHORD,)), high=60)
    assert tuple(silent[8 * 11 + 4, 4]) == roll.BLACK_KEY_ROW  # C#3
    assert tuple(silent[8 * 12 + 4, 4]) == roll.PAPER  # C3
    assert tuple(silent[4, 0]) == roll.BAR_LINE and tuple(silent[4, 16]) == roll.BEAT_LINE


def test_repeated_notes_are_seen_apart_and_held_notes_whole() -> None:
    from musicgym.export import piano_roll as roll

    def runs(text: str) -> int:
        row = roll.image(compose(text))[4] == roll.CHORD_TONE
        return int(np.diff(row.all(axis=1).astype(int), prepend=0).clip(min=0).sum())

    assert runs("C5 . C5 C5 . . - C5") == 4
    assert runs("C5 . . . . . . .") == 1


def test_pictures_of_one_task_have_one_size() -> None:
    from musicgym.export import piano_roll as roll

    sizes = {roll.image(compose(text), high=84).shape for text in ("C4 . . .", "- - C6 -")}
    assert sizes == {(37 * 8, 4 * 8, 3)}


def test_a_roll_that_cannot_hold_its_notes_is_refused() -> None:
    from musicgym.export import piano_roll as roll

    with pytest.raises(ValueError, match=r"high: 60 .* 72"):
        roll.image(compose("C5 . . ."), high=60)
    with pytest.raises(ValueError, match="scale"):
        roll.image(compose("C5 . . ."), scale=1)


def test_the_labelled_roll_shows_notes_and_survives_odd_melodies() -> None:
    pytest.importorskip("matplotlib")
    from musicgym.export import piano_roll as roll

    image = pytest.importorskip("matplotlib.image").imread(BytesIO(roll.png(EVENING)))
    for colour in (roll.CHORD_TONE, roll.OTHER_TONE, roll.TINT):
        near = np.abs(image[..., :3] * 255 - colour).max(axis=2) < 3
        assert near.sum() > 1000
    silence = compose("- - - - - - - -", chords=(NO_CHORD,), name="$a_{$")
    assert roll.png(silence)[:4] == b"\x89PNG"


# --- sound --------------------------------------------------------------------------------------


def sound_of(melody: Melody, **options: float) -> np.ndarray:
    pytest.importorskip("pretty_midi")
    from musicgym.export.audio import samples

    return samples(melody, **options)


def test_sound_lasts_the_melody_and_its_tail_is_not_silent_and_does_not_clip() -> None:
    sound = sound_of(EVENING, tempo=120)
    assert sound.shape == (round((32 / 2 + 1) * 44_100), 2)
    assert np.abs(sound).max() == pytest.approx(0.9, abs=1e-3)
    seconds = np.sqrt((sound[: 16 * 44_100] ** 2).reshape(16, -1).mean(axis=1))
    assert seconds.min() > 0.03, "a second of silence"
    assert np.abs(sound[16 * 44_100 :][17_640:22_050]).max() > 0.05, (
        "the last chord does not ring on"
    )
    assert np.abs(sound[-200:]).max() < 0.01, "the end is cut off"


def test_the_synthesizer_plays_the_written_pitch() -> None:
    sound = sound_of(compose("A4 . . . . . . .", chords=(NO_CHORD,)))[:88_200].mean(axis=1)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    band = slice(400, 2000)  # half-hertz bins: 200 to 1000 Hz
    assert (np.argmax(spectrum[band]) + 400) / 2 == pytest.approx(440, abs=5)


def test_the_chords_are_heard_below_the_melody() -> None:
    alone = sound_of(compose("C5 . . . . . . .", chords=(NO_CHORD,)))
    chord = sound_of(compose("- - - - - - - -", chords="I"))
    both = sound_of(compose("C5 . . . . . . .", chords="I"))
    assert np.abs(chord).max() > 0.5
    # The two are mixed, so the sound of both is a sum of the parts: find the shares.
    parts = np.stack([alone.ravel(), chord.ravel()], axis=1)
    shares, residue, *_ = np.linalg.lstsq(parts, both.ravel(), rcond=None)
    assert residue[0] < 1e-4 * (both**2).sum()
    levels = shares * np.sqrt((parts**2).mean(axis=0))
    assert 0.2 < levels[1] / levels[0] < 0.7


def test_a_silent_melody_is_silence() -> None:
    assert not sound_of(compose("- - - -", chords=(NO_CHORD,))).any()


@pytest.mark.parametrize("suffix", [".ogg", ".wav"])
def test_sound_files_read_back_at_their_length(suffix: str, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = sound_of(EVENING)
    read, rate = soundfile.read(save(EVENING, tmp_path / f"a{suffix}"), dtype="float32")
    assert rate == 44_100 and read.shape == sound.shape
    assert np.corrcoef(read[:, 0], sound[:, 0])[0, 1] > 0.98
    assert np.abs(read).max() < 1


# --- files --------------------------------------------------------------------------------------


def test_json_gives_the_melody_back(tmp_path: Path) -> None:
    path = EVENING.save(tmp_path / "new" / "folder" / "a.json")
    assert Melody.from_json(path.read_text()) == EVENING


def test_a_suffix_may_be_in_capitals_and_a_path_may_be_text(tmp_path: Path) -> None:
    path = save(EVENING, str(tmp_path / "a.XML"))
    assert path == tmp_path / "a.XML"
    assert path.read_text(encoding="utf-8") == musicxml(EVENING)


def test_an_unknown_suffix_is_refused_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.mp3'.*\.mid.*\.musicxml.*\.json.*\.ogg"):
        save(EVENING, tmp_path / "a.mp3")
    with pytest.raises(ValueError, match="suffix ''"):
        save(EVENING, tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tempo", [0, -5, float("nan"), float("inf"), 1e9])
def test_an_impossible_tempo_is_refused(tempo: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tempo"):
        save(EVENING, tmp_path / "a.mid", tempo=tempo)


@pytest.mark.parametrize("name", ["", "a/b", "../a"])
def test_a_name_with_a_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        save_all(EVENING, tmp_path, name)


@pytest.mark.parametrize("call", ["os.replace", "pathlib.Path.write_bytes"])
def test_a_full_disk_leaves_the_old_file_and_no_half_file(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(EVENING, tmp_path / "a.mid")
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        if call == "pathlib.Path.write_bytes":  # half of it is written
            with open(tmp_path / f".a.mid.{os.getpid()}.part", "wb") as file:
                file.write(b"MT")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(call, fail)
    with pytest.raises(OSError, match=r"No space left on device.*a\.mid") as caught:
        save(EVENING, path, tempo=50)
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in tmp_path.iterdir()] == ["a.mid"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("module", "name", "package", "extra"),
    [
        ("verovio", "x.svg", "verovio", "score"),
        ("resvg_py", "x.png", "resvg_py", "score"),
        ("matplotlib", "x-roll.png", "matplotlib", "score"),
        ("soundfile", "x.ogg", "soundfile", "audio"),
        ("pretty_midi", "x.wav", "pretty_midi", "audio"),
    ],
)
def test_a_missing_extra_is_named_with_its_remedy(
    module: str,
    name: str,
    package: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra) as caught:
        save(EVENING, tmp_path / name)
    assert str(caught.value) == f"writing {name} needs {package}: pip install 'musicgym[{extra}]'"
    assert isinstance(caught.value, ImportError)
    assert not list(tmp_path.iterdir())


def test_save_all_writes_what_it_can_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("verovio", "matplotlib", "soundfile"):
        monkeypatch.setitem(sys.modules, module, None)
    files, missing = save_all(EVENING, tmp_path / "new", "song.1")
    assert [path.name for path in files] == ["song.1.mid", "song.1.musicxml"]
    assert all(path.stat().st_size for path in files)
    assert missing == [
        "score, piano roll: pip install 'musicgym[score]'",
        "audio: pip install 'musicgym[audio]'",
    ]


def test_save_all_writes_six_files(tmp_path: Path) -> None:
    for module in ("verovio", "resvg_py", "matplotlib", "soundfile", "pretty_midi"):
        pytest.importorskip(module)
    files, missing = save_all(compose("C4 . E4 . G4 . . ."), tmp_path, "song")
    endings = (".mid", ".musicxml", ".svg", "-score.png", "-roll.png", ".ogg")
    assert [path.name for path in files] == [f"song{ending}" for ending in endings]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert missing == []


def test_a_file_imports_only_what_it_needs_and_never_pyplot(tmp_path: Path) -> None:
    for module in ("matplotlib", "soundfile", "pretty_midi"):
        pytest.importorskip(module)
    program = f"""
import sys
from musicgym.export import save, piano_roll
from musicgym.melody import Melody
from musicgym.theory import Chord, Key
heavy = {{"music21", "symusic", "verovio", "matplotlib", "soundfile", "torch", "pretty_midi"}}
melody = Melody((2, 0, 6, 0), 60, Key.parse("C major"), (Chord(0, ""),))
save(melody, {str(tmp_path / "a.json")!r}); piano_roll.image(melody)
assert not heavy & set(sys.modules), heavy & set(sys.modules)
save(melody, {str(tmp_path / "a-roll.png")!r}); save(melody, {str(tmp_path / "a.wav")!r})
assert not {{"matplotlib.pyplot", "pretty_midi", "music21", "verovio"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
