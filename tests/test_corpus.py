"""The corpus: pieces, splits, labels, the cache, and a few real chorales."""

from __future__ import annotations

import gzip
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musicgym.corpus import cache, chorales, dataset, splits
from musicgym.corpus.dataset import Corpus, CorpusMissing, Piece, collect, phrases, windows
from musicgym.corpus.labelling import infer_chords, label_beats
from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.files import cache_folder, write_whole
from musicgym.task import Task
from musicgym.theory import QUALITIES, Chord

SUFFIXES = tuple(QUALITIES)


def piece(name: str, notes: list[int], **fields: object) -> Piece:
    """Return a piece in 4/4 on a grid of eighths, over C major."""
    beats = len(notes) // 2
    given = {
        "mode": "major", "meter": "4/4", "steps_per_beat": 2, "events": tuple(notes),
        "roots": (0,) * beats, "codes": (1,) * beats, "phrases": (len(notes),), "shift": 0,
    }  # fmt: skip
    return Piece(name, "", **{**given, **fields})  # type: ignore[arg-type]


def tune(seed: int, bars: int = 10) -> list[int]:
    """Return a melody of quarters and eighths that no other seed shares."""
    rng = np.random.default_rng(seed)
    events = rng.integers(FIRST_NOTE + 5, FIRST_NOTE + 30, bars * 8)
    events[1::2] = np.where(rng.random(bars * 4) < 0.8, HOLD, events[1::2])
    return [int(event) for event in events]


def small(count: int = 30) -> Corpus:
    pieces = [piece(f"piece{i}", tune(i)) for i in range(count)]
    return collect("small", pieces, {"kept": count, "in 3/2": 2})


# Pieces


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"mode": "dorian"}, "mode: 'dorian'"),
        ({"meter": "5/4"}, "meter: '5/4'"),
        ({"steps_per_beat": 3}, "steps_per_beat: 3"),
        ({"events": (2,) * 7}, "7 steps are not whole bars"),
        ({"events": (2,) * 7 + (90,)}, "an event lies outside"),
        ({"roots": (0,)}, "1 roots and 4 codes for 4 beats"),
        ({"roots": (0, 0, 0, 12)}, "a root lies outside"),
        ({"codes": (1, 1, 1, 99)}, "a chord code lies outside"),
        ({"phrases": (4,)}, "phrase ends"),
        ({"phrases": (6, 4, 8)}, "phrase ends"),
    ],
)
def test_a_piece_whose_parts_do_not_fit_is_refused(fields: dict[str, object], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        piece("odd", [2, 0, 0, 0, 2, 0, 0, 0], **fields)


def test_a_piece_becomes_a_melody_with_one_chord_a_beat():
    melody = piece(
        "p", [14, 0, 18, 0, 21, 0, 1, 1], roots=(0, 0, 7, 0), codes=(1, 1, 5, 0)
    ).melody()
    assert [chord.symbol() for chord in melody.chords] == ["C", "C", "G7", "N.C."]
    assert [note.pitch for note in melody.notes()] == [60, 64, 67]


# Windows


def test_windows_start_on_every_bar_line_and_keep_events_and_chords_together():
    events = tune(1, bars=10)
    roots = tuple(range(10)) * 4
    corpus = Corpus("c", (piece("p", events, roots=roots),), "", {"p": "train"}, {})
    cut = windows(corpus, "train", bars=4)
    assert cut.events.shape == (7, 32) and cut.events.dtype == np.uint8
    assert cut.roots.shape == cut.codes.shape == (7, 16) and cut.roots.dtype == np.int8
    for bar, (row, chords) in enumerate(zip(cut.events, cut.roots, strict=True)):
        assert row.tolist() == events[8 * bar : 8 * bar + 32]
        assert chords.tolist() == list(roots[4 * bar : 4 * bar + 16])
    assert len(windows(corpus, "train", bars=4, hop=3).events) == 3


def test_a_note_held_into_a_window_is_struck_at_its_start():
    events = [20] + [HOLD] * 11 + [REST] * 4 + [HOLD] * 8
    corpus = Corpus("c", (piece("p", events),), "", {"p": "train"}, {})
    cut = windows(corpus, "train", bars=1)
    assert cut.events[1].tolist() == [20, 0, 0, 0, 1, 1, 1, 1]
    assert len(cut.events) == 2  # the third bar has no note


def test_a_pickup_bar_starts_no_window():
    events = [REST] * 6 + [20, 22] + tune(1, bars=3)
    corpus = Corpus("c", (piece("p", events),), "", {"p": "train"}, {})
    assert windows(corpus, "train", bars=1).events[0].tolist() == events[8:16]


def test_windows_outside_the_range_are_left_out_and_the_others_counted_from_low():
    events = [14, 0, 0, 0, 0, 0, 0, 0] + [26, 0, 0, 0, 0, 0, 0, 0]  # C4, then C5
    corpus = Corpus("c", (piece("p", events),), "", {"p": "train"}, {})
    cut = windows(corpus, "train", bars=1, low=60, high=71)
    assert cut.events.tolist() == [[2, 0, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"bars": 0}, "bars and hop"),
        ({"hop": 0}, "bars and hop"),
        ({"low": 80, "high": 60}, "low and high"),
        ({"meter": "3/4"}, "no window of 8 bars in 3/4 .*it holds 4/4"),
        ({"bars": 99}, "no window of 99 bars"),
    ],
)
def test_windows_that_cannot_be_cut_say_why(given: dict[str, int], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        windows(small(), "train", **given)  # type: ignore[arg-type]


def test_an_unknown_split_is_named_with_the_nearest_spelling():
    with pytest.raises(ValueError, match="did you mean 'validation'"):
        small().of("valdation")


def test_phrases_keep_their_place_in_the_bar_and_cover_every_note():
    events = [REST] * 6 + [14, 16] + [18, 0, 0, 0, 14, 0, 16, 0] + [18, 0, 0, 0, 14, 0, 0, 0]
    whole = piece("p", events, phrases=(12, 24))
    corpus = Corpus("c", (whole,), "", {"p": "test"}, {})
    first, second = phrases(corpus, "test")
    assert first.events == (*[REST] * 6, 14, 16, 18, 0, 0, 0, *[REST] * 4)
    assert second.events == (*[REST] * 4, *events[12:])
    assert [chord.quality for chord in second.chords] == ["N.C."] * 2 + [""] * 6
    assert len(first.notes()) + len(second.notes()) == len(whole.melody().notes())


# Splits by tune


def test_a_tune_is_known_again_transposed_in_other_rhythm_and_with_a_note_changed():
    plain = [event for event in tune(7) if event >= FIRST_NOTE][:30]
    transposed = [event + 3 for event in plain]
    slow = [event for note in plain for event in (note, HOLD, note, HOLD)]
    changed = [*plain[:4], plain[4] + 1, *plain[5:]]
    other = [event for event in tune(8) if event >= FIRST_NOTE][:30]
    found = splits.group_tunes(
        [plain, transposed, slow, changed[:12], other], ["a", "b", "c", "d", "e"], [8] * 5
    )
    assert found == ["a", "a", "a", "a", "e"]


def test_eight_bars_that_sound_alike_make_one_tune_whatever_comes_before():
    body = tune(9, bars=8)
    ornamented = list(body)
    for bar in range(8):  # a passing note a bar breaks every long run of equal intervals
        ornamented[8 * bar + 5] = 2 + (ornamented[8 * bar + 4] + 3) % 30
    melodies = [tune(10, bars=2) + body, tune(11, bars=2) + ornamented, tune(12)]
    assert splits.group_tunes(melodies, ["a", "b", "c"], [8] * 3) == ["a", "a", "c"]


def test_rests_do_not_make_two_tunes_alike():
    melodies = [[REST] * 60 + [20, 22, 25, 20], [REST] * 60 + [30, 22, 21, 29]]
    assert splits.group_tunes(melodies, ["a", "b"], [8, 8]) == ["a", "b"]


def test_the_split_is_balanced_keeps_tunes_whole_and_ignores_the_order():
    rng = np.random.default_rng(0)
    tunes = [f"tune{i}" for i in rng.integers(0, 120, 400)]
    side = splits.assign(tunes)
    assert side == splits.assign(tunes[::-1])
    counts = {s: sum(side[t] == s for t in tunes) for s in splits.SPLITS}
    assert counts == {"train": 320, "validation": 40, "test": 40}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 12])
def test_every_corpus_has_something_to_train_on_and_from_three_tunes_all_three(count: int):
    side = splits.assign([f"tune{i}" for i in range(count)] + ["tune0"] * 20)
    assert set(side.values()) == (set(splits.SPLITS) if count >= 3 else {"train"})


def test_likeness_finds_a_copy_and_does_not_see_ornaments_as_differences():
    train = np.array([tune(i, 8) for i in range(20)])
    assert splits.likeness(train[3:4], train)[0] == 1.0
    assert splits.likeness(np.array([tune(99, 8)]), train)[0] < 0.3


def test_collecting_groups_the_tunes_and_refuses_a_name_twice():
    pieces = [piece("a", tune(1)), piece("b", tune(1)), piece("c", tune(2)), piece("d", tune(3))]
    corpus = collect("c", pieces, {})
    assert corpus.pieces[0].tune == corpus.pieces[1].tune != corpus.pieces[2].tune
    assert corpus.split["a"] == corpus.split["b"]
    with pytest.raises(ValueError, match="two pieces are named 'a'"):
        collect("c", [*pieces, pieces[0]], {})


def test_the_fingerprint_changes_with_the_content_and_only_with_it():
    corpus = small()
    assert small().fingerprint == corpus.fingerprint and len(corpus.fingerprint) == 16
    pieces = [replace(corpus.pieces[0], shift=1), *corpus.pieces[1:]]
    assert collect("small", pieces, {}).fingerprint != corpus.fingerprint


# Labels


@pytest.mark.parametrize("quality", ["", "m", "dim", "7", "m7", "m7b5", "dim7"])
def test_a_chord_sounded_in_full_on_the_scale_is_labelled_as_itself(quality: str):
    roots = {"": 0, "m": 9, "dim": 11, "7": 7, "m7": 2, "m7b5": 11, "dim7": 8}
    weights = np.zeros((1, 12))
    weights[0, list(Chord(roots[quality], quality).pitch_classes)] = 1.0
    bass = np.eye(12)[[roots[quality]]]
    (root,), (code,) = label_beats(weights, bass)
    assert (root, SUFFIXES[code]) == (roots[quality], quality)


def test_a_passing_note_makes_no_seventh_and_silence_no_chord():
    weights = np.zeros((2, 12))
    weights[0, [0, 4, 7]] = 1.0, 1.0, 0.7
    weights[0, 11] = 0.2  # a passing b in the weak half of the beat
    roots, codes = label_beats(weights, weights * 0)
    assert (roots.tolist(), [SUFFIXES[c] for c in codes]) == ([0, 0], ["", "N.C."])


def test_chords_inferred_from_a_melody_fit_it_and_end_on_the_tonic():
    # C E G E | F A C A | G B D B | C . . .
    events = [14, 18, 21, 18, 19, 23, 26, 23, 21, 25, 28, 25, 26, 0, 0, 0]
    roots, codes = infer_chords(events, 48, "major", "4/4", 1)
    assert roots == (0,) * 4 + (5,) * 4 + (7,) * 4 + (0,) * 4
    assert set(codes) == {1}


def test_inferred_chords_are_one_a_beat_in_every_meter_and_over_rests():
    for meter, beats in (("2/4", 2), ("3/4", 3), ("4/4", 4), ("6/8", 6)):
        events = [REST] * beats * 2 + [23] + [HOLD] * (beats * 2 - 1)
        roots, codes = infer_chords(events, 48, "minor", meter, 2)
        assert len(roots) == len(codes) == 2 * beats
        assert (roots[-1], SUFFIXES[codes[-1]]) == (9, "m")
    with pytest.raises(ValueError, match="dorian"):
        infer_chords([2], 48, "dorian", "4/4", 1)


# Files and the cache


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "file"
    write_whole(path, b"old")
    path.chmod(0o640)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new" and stat.S_IMODE(path.stat().st_mode) == 0o640

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"newer")
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_cache_folder_is_the_users_alone(home: Path):
    assert cache_folder() == home and stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_saved_corpus_loads_as_it_was(home: Path):
    corpus = small()
    dataset.save(corpus, 2)
    assert dataset.load("small") == corpus
    assert dataset.prepare("small", progress=False) == corpus


def test_a_corpus_that_is_not_there_names_the_command(home: Path):
    with pytest.raises(CorpusMissing) as error:
        dataset.load("chorales")
    expected = "the corpus 'chorales' is not prepared: run `musicgym data prepare`"
    assert str(error.value) == expected
    with pytest.raises(CorpusMissing, match="--steps-per-beat 4"):
        dataset.load("chorales", steps_per_beat=4)


@pytest.mark.parametrize("damage", ["cut short", "not gzip", "another format", "changed", "a list"])
def test_a_damaged_cache_is_named_by_load_and_replaced_by_prepare(
    home: Path, monkeypatch: pytest.MonkeyPatch, damage: str
):
    corpus = replace(small(), name="chorales")
    dataset.save(corpus, 2)
    path = cache.corpus_path("chorales", 2)
    content = cache.read(path)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "not gzip":
        path.write_bytes(b"hello")
    elif damage == "another format":
        cache.write(path, {**content, "format": -1})
    elif damage == "changed":
        content["pieces"][0]["shift"] += 1
        cache.write(path, content)
    else:
        path.write_bytes(gzip.compress(b"[1, 2]"))
    with pytest.raises(CorpusMissing, match=path.name):
        dataset.load()
    monkeypatch.setattr(chorales, "build", lambda **_: corpus)
    with pytest.warns(UserWarning, match=r"\.corrupt"):
        assert dataset.prepare() == corpus
    assert dataset.load() == corpus and path.with_name(path.name + ".corrupt").exists()


def test_names_and_grids_that_are_not_allowed_are_refused(home: Path):
    with pytest.raises(ValueError, match="not a name"):
        dataset.load("../chorales")
    with pytest.raises(ValueError, match="did you mean 'chorales'"):
        dataset.prepare("chorale")
    with pytest.raises(ValueError, match="steps_per_beat: 3"):
        dataset.prepare(steps_per_beat=3)


def test_a_task_draws_its_chords_from_a_split_relative_to_the_tonic(home: Path):
    minor = piece("m", tune(50), mode="minor", roots=(9, 4) * 20, codes=(2, 1) * 20)
    corpus = collect("mixed", [minor, piece("a", tune(51))], {})
    dataset.save(corpus, 2)
    table = Task(key="random", progression="corpus:mixed/train").table
    assert table.major_rows == 1 and table.roots.shape == (2, 32)
    assert table.roots[-1].tolist() == [0, 7] * 16  # i V
    assert set(table.masks[-1]) == {Chord(0, "m").mask, Chord(7, "").mask}


def test_the_summary_tells_what_was_kept_and_dropped_in_eighty_columns():
    text = dataset.summary(small())
    assert "30 pieces" in text and "dropped    2  in 3/2" in text and "onsets" in text
    assert max(map(len, text.splitlines())) <= 80


# Real chorales


@pytest.fixture(scope="module")
def paths() -> dict[str, Path]:
    from music21 import corpus

    found = (path for path in corpus.getComposer("bach") if path.suffix in (".mxl", ".xml"))
    return {path.stem: Path(path) for path in found}


@pytest.fixture(scope="module")
def pieces(paths: dict[str, Path]) -> dict[str, Piece]:
    names = ("bwv269", "bwv66.6", "bwv153.1", "bwv1.6", "bwv154.8")
    return {name: chorales.read_chorale(paths[name]) for name in names}


def test_a_chorale_is_written_as_the_score_has_it(pieces: dict[str, Piece]):
    lines = pieces["bwv269"].melody().bars().splitlines()
    assert [line.split("|")[1].split() for line in lines[1:8:2]] == [
        ["-", "-", "-", "-", "C5", "."],  # the pickup keeps its place before the bar line
        ["C5", ".", ".", ".", "G5", "."],
        ["E5", ".", ".", "D5", "C5", "."],
        ["C5", ".", ".", "D5", "E5", "."],
    ]
    assert pieces["bwv269"].meter == "3/4" and len(pieces["bwv269"].phrases) == 6


@pytest.mark.parametrize(
    ("name", "mode", "shift", "last"),
    [
        ("bwv269", "major", 5, 0),  # in G
        ("bwv66.6", "minor", 3, 9),  # in F# minor
        ("bwv153.1", "minor", 0, 4),  # phrygian on E: it ends on the dominant of A minor
        ("bwv1.6", "major", -5, 0),  # in F, with a horn above the four voices
    ],
)
def test_the_key_of_a_chorale_is_found_in_its_music(
    pieces: dict[str, Piece], name: str, mode: str, shift: int, last: int
):
    found = pieces[name]
    assert (found.mode, found.shift, found.roots[-1]) == (mode, shift, last)


def test_a_chorale_sounds_the_sopranos_pitches_on_every_beat(
    paths: dict[str, Path], pieces: dict[str, Piece]
):
    from music21 import converter

    # bwv154.8 has a bar cut in two by a repeat sign, bwv66.6 a pickup.
    for name in ("bwv154.8", "bwv66.6"):
        part = converter.parse(paths[name], forceSource=True, storePickle=False).parts[0]
        found = pieces[name]
        pad = 4 - part.getElementsByClass("Measure")[0].duration.quarterLength
        heard = {
            int(n.onset + i): n.pitch for n in found.melody().notes() for i in range(n.duration)
        }
        for note in part.flatten().notes:
            step = (note.offset + pad) * 2
            if step == int(step):
                assert heard[int(step)] == note.pitch.midi + found.shift


def test_the_melody_does_not_enter_its_own_chord(
    paths: dict[str, Path], pieces: dict[str, Piece], monkeypatch: pytest.MonkeyPatch
):
    seen = []
    monkeypatch.setattr(
        chorales,
        "label_beats",
        lambda weights, bass: seen.append(weights) or label_beats(weights, bass),
    )
    chorales.read_chorale(paths["bwv269"])
    assert seen[0].sum(axis=1).max() <= 3 * 0.7 + 1e-9  # three voices, the half beats weighted


def test_chorales_that_do_not_fit_are_dropped_with_the_reason(
    paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    from music21 import corpus

    chosen = [paths[name] for name in ("bwv846", "bwv41.6", "bwv324", "bwv79.3", "bwv253")]
    monkeypatch.setattr(corpus, "getComposer", lambda _: chosen)
    built = chorales.build(progress=False)
    assert (
        built.report["kept"]
        == len(built.pieces)
        == sum(built.split[p.name] != "" for p in built.pieces)
    )
    assert built.report["not in four voices"] == 1
    assert built.report["changes its meter"] == 1
    assert built.report["uneven bars"] == 1
    assert built.report["instrumental interludes"] == 1
    assert sum(built.report.values()) == len(chosen)


def test_a_finer_grid_keeps_ornaments_that_a_coarser_one_leaves_out(paths: dict[str, Path]):
    notes = [
        len(chorales.read_chorale(paths["bwv66.6"], grid).melody().notes()) for grid in (1, 2, 4)
    ]
    assert notes[0] < notes[1] <= notes[2]
