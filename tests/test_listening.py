"""Listening pages: what is paired, what is hidden, what is read back, and who wins."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from playing import spelt
from scipy.stats import binomtest

from musicgym.benchmarks.listening.choices import (
    SCALES,
    Choice,
    Choices,
    Judgement,
    Rating,
    judgements,
    read_all,
)
from musicgym.benchmarks.listening.page import seal, unseal, write_page
from musicgym.benchmarks.listening.pairs import cut, pair_up
from musicgym.benchmarks.listening.ratings import rated, ratings_text
from musicgym.benchmarks.listening.report import fit_text
from musicgym.benchmarks.listening.reward_model import RewardModel, fit
from musicgym.benchmarks.listening.sources import read_system
from musicgym.benchmarks.listening.wins import (
    least_share,
    sign_flip,
    strengths,
    tunes,
    wilson,
    win_rate,
    wins,
)
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.records import Record
from musicgym.benchmarks.scenes import Scene, archive
from musicgym.cli import main
from musicgym.corpus.dataset import windows
from musicgym.melody import Melody
from musicgym.replay import episodes_of
from musicgym.theory import Chord, Key

C, F, G = Chord(0, ""), Chord(5, ""), Chord(7, "")


def melody(text: str = "C4 D4 E4 . | G4 . C5 .", chords: Any = (C, G), **changes: Any) -> Melody:
    given = {"low": 48, "key": Key.parse("C major"), "steps_per_beat": 1, **changes}
    return Melody(tuple(spelt(text)), chords=chords, **given)


def tune(number: int, chords: Any = (C, G)) -> Melody:
    """Return one of many melodies."""
    rng = np.random.default_rng(number)
    return replace(melody(chords=chords), events=tuple(rng.integers(10, 30, 8).tolist()))


def whole(number: int) -> Melody:
    """Return one of many melodies of four bars, as short as a file's may be."""
    return replace(tune(number), events=tune(number).events * 2, chords=(C, G, C, G))


def saved(**changes: Any) -> Choices:
    """Return what a listener said of three pairs."""
    fields: dict[str, Any] = {
        "page": "0123456789abcdef", "listener": "ear", "started": "2026-01-02T03:04:05.678Z",
        "saved": "2026-01-02T03:14:05Z", "systems": ("old", "new"),
        "pairs": tuple((tune(2 * i), tune(2 * i + 1)) for i in range(3)),
        "choices": (Choice(0, 1, 0, (1, 2), 12.5), Choice(1, None, 1, (1, 1), 3.0),
                    Choice(2, 0, 1, (2, 1), 4.0)),
        "ratings": (Rating(0, 0, 1, 2, 3, 4), Rating(0, 1, 5, 4, 3, 2)),
    }  # fmt: skip
    return Choices(**{**fields, **changes})


def judged(scores: list[float], listeners: list[str] | None = None) -> list[Judgement]:
    """Return choices between two systems, each over melodies of its own."""
    names = listeners or ["ear"] * len(scores)
    return [
        Judgement(("new", "old"), (tune(2 * i), tune(2 * i + 1)), score, name, score)
        for i, (score, name) in enumerate(zip(scores, names, strict=True))
    ]


# --- What a page saves ---------------------------------------------------------------------------


def test_choices_are_read_as_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "choices.json"
    path.write_text(saved().to_json())
    assert Choices.read(path) == saved()


def test_a_choice_is_told_for_the_first_system_and_for_the_side() -> None:
    told = judgements([saved()])
    assert [j.score for j in told] == [0.0, 0.5, 1.0]
    assert [j.first for j in told] == [0.0, 0.5, 0.0]  # in the third, melody 1 was called A
    assert told[2].melodies == saved().pairs[2] and told[2].systems == ("old", "new")


def at(data: Any, *path: Any) -> Any:
    for step in path:
        data = data[step]
    return data


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (["format"], 2, "format: 2 is not 1"),
        (["listner"], "x", "'listner' is no field; did you mean 'listener'"),
        (["choices", 0, "side"], 1, r"choices\[0\]: 'side' is no field"),
        (["pairs", 1, 0, "name"], "x", r"pairs\[1\]\[0\]: 'name' is no field"),
        (["pairs", 1, 0, "events", 3], 82, r"events\[3\]: 82 is not a whole number from 0 to 81"),
        (["pairs", 1, 0, "events", 3], -1, r"events\[3\]: -1"),
        (["pairs", 1, 0, "events", 3], 3.0, r"events\[3\]: 3.0"),
        (["pairs", 1, 0, "events", 3], True, r"events\[3\]: True"),
        (["pairs", 1, 0, "low"], 128, "low: 128"),
        (["pairs", 1, 0, "key"], "H major", r"pairs\[1\]\[0\]: key: 'H major' is not a key"),
        (["pairs", 1, 0, "meter"], "5/4", "meter: '5/4' is not one of 2/4"),
        (["pairs", 1, 0, "steps_per_beat"], 3, "steps_per_beat: 3 is not one of"),
        (["pairs", 1, 0, "chords", 0, "quality"], "minor", "quality: 'minor' is not one of"),
        (["pairs", 1, 0, "chords", 0, "root"], 12, "root: 12"),
        (["pairs", 1, 0, "chords"], [{"root": 0, "quality": ""}] * 3, "3 chords do not divide 8"),
        (["pairs", 1], [1], r"pairs\[1\]: 1 entries; 2 to 2 are allowed"),
        (["pairs"], [], "pairs: 0 entries"),
        (["choices", 0, "pair"], 3, r"choices\[0\].pair: 3 is not a whole number from 0 to 2"),
        (["choices", 0, "pair"], 2, "pair 2 stands there twice"),
        (["choices", 0, "preferred"], "left", "preferred: 'left'"),
        (["choices", 0, "preferred"], 2, "preferred: 2"),
        (["choices", 0, "left"], None, "left: None"),
        (["choices", 0, "plays"], [1, -1], "plays: -1"),
        (["choices", 0, "seconds"], -1, "seconds: -1 is not a number of seconds"),
        (["choices", 0, "seconds"], math.nan, "NaN is no number"),
        (["choices", 0, "seconds"], math.inf, "Infinity is no number"),
        (["ratings", 1, "harmony"], 6, r"ratings\[1\].harmony: 6 is not a whole number from 1 to"),
        (["ratings", 1, "fluency"], 0, "fluency: 0"),
        (["ratings", 1, "melody"], 0, r"pair and melody \(0, 0\) stands there twice"),
        (["systems"], ["new", "new"], "both are called 'new'"),
        (["systems"], ["new"], "systems: 1 entries"),
        (["listener"], "<b>", "listener: '<b>' has other signs"),
        (["listener"], "", "listener: '' is not a text of 1 to 64"),
        (["started"], "yesterday", "started: 'yesterday' is not a time"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(
    tmp_path: Path, place: list[Any], value: Any, words: str
) -> None:
    data = json.loads(saved().to_json())
    at(data, *place[:-1])[place[-1]] = value
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"choices: .*wrong.json: .*{words}"):
        Choices.read(path)


@pytest.mark.parametrize("name", Choices.__dataclass_fields__)
def test_a_missing_field_is_named(tmp_path: Path, name: str) -> None:
    data = json.loads(saved().to_json())
    del data[name]
    (tmp_path / "wrong.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"the field '{name}' is missing"):
        Choices.read(tmp_path / "wrong.json")


@pytest.mark.parametrize("text", ["", "[]", "no", "[" * 100_000, "\udcff"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match="wrong.json: "):
        Choices.read(tmp_path / "wrong.json")


def test_two_files_of_one_listener_on_one_page_are_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(saved().to_json()), other.write_text(saved(page="f" * 16).to_json())
    assert len(read_all([one, other])) == 2
    other.write_text(saved(choices=()).to_json())
    with pytest.raises(ValueError, match="one.json and .*other.json are both of .*'ear'"):
        read_all([one, other])
    with pytest.raises(ValueError, match="no choice"):
        judgements(read_all([other]))


# --- What is compared ----------------------------------------------------------------------------


def test_pairs_are_over_the_same_chords_where_there_are_such() -> None:
    first = [tune(i, (C, G) if i % 2 else (F, G)) for i in range(6)]
    second = [tune(10 + i, (F, G) if i < 2 else (C, F)) for i in range(6)]
    made = pair_up(first, second, 4, seed=3)
    same = [one.chords == other.chords for one, other in made.pairs]
    assert made.matched == sum(same) == 2 and len(made.pairs) == 4
    assert made == pair_up(first, second, 4, seed=3) != pair_up(first, second, 4, seed=4)
    for side, melodies in enumerate((first, second)):
        used = [pair[side] for pair in made.pairs]
        assert len(set(used)) == 4 and set(used) <= set(melodies)


def test_melodies_in_another_key_are_not_over_the_same_chords() -> None:
    first, second = [melody()], [melody("D4 C4 E4 . | G4 . A4 .", key=Key.parse("A minor"))]
    assert pair_up(first, second, 1, seed=0).matched == 0


def test_both_melodies_of_a_pair_are_equally_long() -> None:
    long = melody("C4 D4 E4 F4 | G4 A4 G4 F4 | E4 . . .", chords=(C, G, C))
    for bars, steps in ((8, 8), (1, 4)):
        ((one, other),) = pair_up([long], [tune(1)], 1, seed=0, bars=bars).pairs
        assert len(one.events) == len(other.events) == steps
        assert one.events == long.events[:steps] and one.chords == (C, G)[: steps // 4]


def test_a_cut_through_a_chord_keeps_its_first_part() -> None:
    short = cut(melody(chords=(C,)), 6)
    assert short.events == melody().events[:6] and short.spans() == [(0, 6, C)]


def test_equal_silent_and_unlike_melodies_are_not_paired() -> None:
    other_meter = replace(melody(), meter="2/4")
    for one in (melody(), melody("- . . . | . . . ."), other_meter):
        with pytest.raises(ValueError, match="there is no pair"):
            pair_up([melody()], [one], 5, seed=0)
    with pytest.raises(ValueError, match="is not 1 or more"):
        pair_up([melody()], [tune(1)], 0, seed=0)


def record(folder: Path, entry: str, seed: int = 1) -> tuple[Path, list[Melody]]:
    """Write a record of the tiny corpus's own melodies, and return them as they were cut."""
    task = small.task(key="natural", progression="random")
    cut = windows(small.corpus(), "test", bars=2, meter="4/4", low=task.low, high=task.high)
    scene = Scene(episodes_of(cut, task), task.steps_per_beat, None)
    spec = {"steps_per_beat": 1, "bars": 2, "meter": "4/4", "pitch_range": ["C3", "B5"]}
    figures = {"return": Measured(1.0, 1, 1)}
    made = Record(spec, entry, seed, len(cut.events), figures, melodies=f"{entry}-{seed}.npz")
    folder.mkdir(exist_ok=True)
    (folder / made.melodies).write_bytes(archive(scene, cut.events))
    chords = [
        tuple(Chord.of(r + t, c) for r, c in zip(roots, codes, strict=True))
        for roots, codes, t in zip(scene.episodes.roots, scene.episodes.codes,
                                   scene.episodes.tonic, strict=True)
    ]  # fmt: skip
    keys = [Key.parse("A minor" if t == 9 else "C major") for t in scene.episodes.tonic]
    melodies = [
        Melody(tuple(e), task.low, k, c, "4/4", 1)
        for e, k, c in zip(cut.events.tolist(), keys, chords, strict=True)
    ]
    return made.write(folder), melodies


def test_the_melodies_of_records_are_read_with_their_chords_and_keys(tmp_path: Path) -> None:
    path, expected = record(tmp_path / "a", "lstm")
    system = read_system(path)
    assert system.name == "lstm" and list(system.melodies) == expected
    assert {m.key.name for m in expected} == {"C major", "A minor"}
    record(tmp_path / "a", "lstm", seed=2)
    assert len(read_system(tmp_path / "a").melodies) == 2 * len(expected)
    record(tmp_path / "a", "markov")
    with pytest.raises(ValueError, match="several entries; give one file of lstm-1-"):
        read_system(tmp_path / "a")


def test_an_edited_or_failed_record_is_refused(tmp_path: Path) -> None:
    path, _ = record(tmp_path / "a", "lstm")
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))
    with pytest.raises(ValueError, match="it was edited"):
        read_system(path)
    failed = Record({}, "lstm", 1, 0, {}, error="out of memory").write(tmp_path / "b")
    with pytest.raises(ValueError, match="no melodies: it failed with 'out of memory'"):
        read_system(failed)


def test_a_folder_of_files_is_read_once_a_stem(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for number in range(3):
        for suffix in (".mid", ".musicxml", ".json"):
            whole(number).save(folder / f"tune{number}{suffix}")
    (folder / "broken.mid").write_bytes(b"no MIDI")
    (folder / "notes.txt").write_text("nothing")
    system = read_system(folder, steps_per_beat=1)
    assert system.name == "mine" and len(system.melodies) == 3
    assert [line.split(":")[0] for line in system.left_out] == ["broken.mid"]
    assert [m.notes() for m in system.melodies] == [whole(i).notes() for i in range(3)]


def test_what_holds_no_melody_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, words in ((tmp_path / "none", "does not exist"), (tmp_path / "empty", "no melody")):
        with pytest.raises(ValueError, match=words):
            read_system(path)


# --- What is hidden ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> str:
    pytest.importorskip("soundfile")
    return write_page(("Zauberer", "Anfang"), [(tune(2 * i), tune(2 * i + 1)) for i in range(2)])


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_a_page_says_nowhere_who_is_who(page: str) -> None:
    sounds = "".join(base64.b64decode(s).decode("latin1") for p in embedded(page)["sounds"]
                     for s in p)  # fmt: skip
    for text in (page, sounds):
        for word in ("Zauberer", "Anfang", "tune", '"events"', 'systems":', 'left":'):
            assert word not in text
            assert base64.b64encode(word.encode()).decode()[:-3] not in page
    assert set(embedded(page)) == {"page", "ratings", "sealed", "sounds"}


def test_a_page_holds_sealed_what_it_saves(page: str) -> None:
    data = embedded(page)
    secret = json.loads(unseal(data["sealed"], data["page"]))
    assert secret["systems"] == ["Zauberer", "Anfang"] and sorted(secret["left"]) == [0, 1]
    assert [p[0]["events"] for p in secret["pairs"]] == [list(tune(2 * i).events) for i in range(2)]


def test_the_sound_on_the_left_is_of_the_melody_that_the_seal_says(page: str) -> None:
    import soundfile

    from musicgym.export.audio import samples

    data = embedded(page)
    secret = json.loads(unseal(data["sealed"], data["page"]))
    for pair in (0, 1):
        side = secret["left"][pair]
        heard, _ = soundfile.read(io.BytesIO(base64.b64decode(data["sounds"][pair][0])))
        fits = []
        for number in (2 * pair, 2 * pair + 1):
            wanted = samples(tune(number))
            size = min(len(heard), len(wanted))
            fits.append(float(np.corrcoef(heard[:size, 0], wanted[:size, 0])[0, 1]))
        assert fits[side] > 0.9 > fits[1 - side]


def test_a_page_asks_nothing_of_the_network(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page) and not re.search(r"fetch\(|XMLHttp|import\(", page)


def test_the_sides_follow_from_the_seed_and_neither_system_is_called_a_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("musicgym.benchmarks.listening.page.audio", lambda *_, **__: b"sound")
    pairs = [(tune(2 * i), tune(2 * i + 1)) for i in range(6)]
    sides = set()
    for seed in range(4):
        data = embedded(write_page(("x", "y"), pairs, seed))
        left = json.loads(unseal(data["sealed"], data["page"]))["left"]
        assert sum(left) == 3
        assert write_page(("x", "y"), pairs, seed) == write_page(("x", "y"), pairs, seed)
        sides.add(tuple(left))
    assert len(sides) == 4


def test_a_seal_depends_on_the_page_and_is_undone() -> None:
    text = "Händel " * 9
    assert unseal(seal(text, "00000000ffff"), "00000000ffff") == text
    assert seal(text, "12345678ffff") != seal(text, "12345679ffff")


# --- Who wins ------------------------------------------------------------------------------------


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for won, count, low, high in (
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):  # fmt: skip
        assert wilson(won, count) == pytest.approx((low, high), abs=5e-5)


def test_the_sign_test_of_single_choices_is_the_binomial_one() -> None:
    for won, lost in ((7, 3), (5, 5), (12, 1), (0, 4)):
        sums = np.array([1] * won + [-1] * lost + [0, 0])
        assert sign_flip(sums) == pytest.approx(binomtest(won, won + lost).pvalue)


def test_the_sign_test_flips_a_cluster_as_one() -> None:
    # of the signs of 3 and 1, |sum| is 4, 2, 2, 4: of 4 it is half, of 2 all
    assert sign_flip(np.array([3, 1])) == pytest.approx(0.5)
    assert sign_flip(np.array([3, -1])) == pytest.approx(1.0)
    assert sign_flip(np.array([20])) == 1.0


def test_the_least_share_is_the_first_that_the_test_finds() -> None:
    assert least_share(20) == 0.75 and least_share(6) == 1.0
    assert binomtest(15, 20).pvalue < 0.05 < binomtest(14, 20).pvalue


def test_choices_that_share_a_melody_are_one_group() -> None:
    def over(first: int, second: int) -> Judgement:
        return Judgement(("a", "b"), (tune(first), tune(second)), 1.0, "x", 1.0)

    found = tunes([over(0, 1), over(2, 3), over(1, 4), over(5, 6), over(4, 7)])
    assert found[0] == found[2] == found[4] and len({*found}) == 3


def test_the_interval_of_some_choices_knows_which_of_them_belong_together() -> None:
    score, tune = np.repeat([1.0, 1, 1, 1, 1, 1, 0, 0], 5), np.repeat(np.arange(8), 5)
    one = np.zeros(40, np.int64)
    # Of choices that are left out, such as ties, the numbers of the others have gaps.
    assert win_rate(score, one + 3, 7 * tune) == win_rate(score, one, tune)
    assert win_rate(score, one, tune)[1] < wilson(30, 40)[0] - 0.1


def test_a_win_rate_counts_ties_as_halves() -> None:
    (found,) = wins(judged([1, 1, 1, 0, 0.5]))
    assert found[:4] == (("new", "old"), 3, 1, 1) and found.rate[0] == pytest.approx(0.7)
    assert (found.rate[1], found.rate[2]) == pytest.approx(wilson(3.5, 5))
    assert found.p_tunes == pytest.approx(binomtest(3, 4).pvalue)
    assert math.isnan(found.p_listeners) and found.p == found.p_tunes


def test_the_order_of_two_systems_does_not_matter() -> None:
    rows = judged([1, 1, 0, 1])
    turned = [rows[0], *(Judgement(("old", "new"), j.melodies, 1 - j.score, j.listener, 0.5)
                         for j in rows[1:])]  # fmt: skip
    assert wins(turned)[0][1:4] == wins(rows)[0][1:4] == (3, 1, 0)


def test_choices_of_few_listeners_are_less_sure_than_of_many() -> None:
    scores = [1.0] * 30 + [0.0] * 10
    by_one_each = wins(judged(scores, [f"l{i}" for i in range(40)]))[0]
    by_four = wins(judged(scores, [f"l{i // 10}" for i in range(40)]))[0]  # three for, one against
    assert by_one_each.p < 0.01 and by_four.p == pytest.approx(binomtest(3, 4).pvalue)
    assert by_four.rate[1] < by_one_each.rate[1] < by_one_each.rate[2] < by_four.rate[2]


def test_a_pair_that_many_judge_alike_counts_as_one() -> None:
    same = judged([1.0])[0]
    many = [same._replace(listener=f"l{i}") for i in range(30)]
    (found,) = wins(many)
    assert found.p_tunes == 1.0 == found.p and found.p_listeners < 1e-6


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for i in range(200):
        # 10 listeners of 6 choices each, who differ in how they like the first system
        liking = rng.beta(3, 2, 10)
        score = (rng.random((10, 6)) < liking[:, None]).astype(float).ravel()
        _, low, high = win_rate(score, np.repeat(np.arange(10), 6), np.arange(60), i)
        held += low <= 0.6 <= high
    assert held >= 182


def test_strengths_are_log_odds_and_sum_to_nothing() -> None:
    rows = judged(
        [1.0] * 74 + [0.0] * 24 + [0.5, 0.5]
    )  # with the tie that is added 76 to 26 halves
    found = strengths(rows)
    assert found["new"][0] - found["old"][0] == pytest.approx(math.log(75.5 / 25.5), abs=1e-3)
    assert found["new"][0] + found["old"][0] == pytest.approx(0, abs=1e-9)
    assert found["new"][1] < found["new"][0] < found["new"][2]


def test_strengths_go_by_way_of_a_third_system_and_stay_finite() -> None:
    rows = judged([1.0] * 9 + [0.0] * 3)
    chain = [*rows, *(Judgement(("old", "oldest"), (tune(100 + i), tune(200 + i)), 1.0, "e", 1.0)
                      for i in range(12))]  # fmt: skip
    found = strengths(chain)
    assert found["new"][0] > found["old"][0] > found["oldest"][0]
    assert all(abs(end) < 8 for row in found.values() for end in row)


def test_the_report_says_what_was_found_and_what_is_too_few() -> None:
    few = judged([1.0, 0.0, 1.0, 1.0, 0.5])
    text = " ".join(fit_text(few, *fit(few)).split())
    assert "5 choices, 1 of them without a difference, by 1 listener over 5 groups" in text
    assert "new against old" in text and "70 %" in text
    assert "Too few: with 4 decided choices no win rate could be told from chance" in text
    many = judged([1.0] * 30 + [0.0] * 6)
    said = " ".join(fit_text(many, *fit(many)).split())
    assert "Too few" not in said and "differ" in said and "chance is 50 %" in said


# --- Ratings -------------------------------------------------------------------------------------


def rating_file(listener: str, *marks: tuple[int, int, int]) -> Choices:
    """Return ratings (pair, melody, mark), the same on all scales."""
    rows = tuple(Rating(pair, side, mark, mark, mark, mark) for pair, side, mark in marks)
    return saved(listener=listener, ratings=rows, choices=())


def test_ratings_are_means_over_listeners_of_each_ones_mean() -> None:
    files = [rating_file("a", (0, 0, 5), (1, 0, 3), (0, 1, 1)), rating_file("b", (0, 0, 2))]
    new, old = rated(files)
    assert (new.system, new.listeners, new.melodies) == ("new", 1, 1)
    assert (old.system, old.listeners, old.melodies) == ("old", 2, 3)
    np.testing.assert_allclose(old.marks[:, 0], 3.0)  # of 4 and 2
    np.testing.assert_allclose(new.marks, 1.0)
    assert len(old.marks) == len(SCALES)


def test_few_listeners_who_differ_leave_a_wide_interval() -> None:
    alike = [rating_file(name, (0, 0, 3), (1, 0, 4)) for name in "abcdef"]
    unlike = [rating_file(n, (0, 0, m), (1, 0, m)) for n, m in zip("abcdef", (1, 5, 2, 5, 3, 5),
                                                                   strict=True)]  # fmt: skip
    (one,), (other,) = rated(alike), rated(unlike)
    assert one.marks[0, 0] == other.marks[0, 0] == 3.5
    width = [marks[0, 2] - marks[0, 1] for marks in (one.marks, other.marks)]
    assert 0.4 < width[0] < 1.2 < 2 < width[1]


def test_the_table_of_ratings_stands_beside_the_published_ones() -> None:
    found = rated([rating_file("a", (0, 0, 5), (1, 0, 3), (0, 1, 1))])
    text = ratings_text(found)
    assert re.search(r"^old +4\.00 \[3\.00, 5\.00\]", text, re.M)
    assert re.search(r"^Zhao et al\. \(published\) +4\.3 +4\.1 +4\.5 +4\.2$", text, re.M)
    assert re.search(r"^DeepBach \(published\) +3\.6 +3\.5 +3\.4 +3\.1$", text, re.M)
    said = " ".join(text.split())
    assert "A handful of listeners ranks nothing: one listener speaks" in said
    lines = ratings_text(found, markdown=True).splitlines()
    assert lines[1].startswith("| :--") and all(line.count("|") == 8 for line in lines[:9])
    with pytest.raises(ValueError, match="hold none"):
        rated([saved(ratings=())])


# --- The commands --------------------------------------------------------------------------------


def run(*arguments: Any) -> int:
    try:
        main(list(map(str, arguments)))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_commands_go_from_folders_to_a_reward(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("soundfile")
    for name, first in (("one", 0), ("two", 10)):
        for number in range(3):
            whole(first + number).save(tmp_path / name / f"t{number}.json")
    out = tmp_path / "made" / "page.html"
    folders = (tmp_path / "one", tmp_path / "two")
    options = ("--out", out, "--pairs", 1, "--steps-per-beat", 1, "--ratings")
    assert run("listen", *folders, *options) == 0
    assert "one and two; pairs: 1, of which over the same chords: 1" in capsys.readouterr().out
    assert embedded(out.read_text())["ratings"] is True
    for listener in "ab":
        (tmp_path / f"{listener}.json").write_text(saved(listener=listener).to_json())
    files = (tmp_path / "a.json", tmp_path / "b.json")
    assert run("preference", "fit", *files, "--out", tmp_path / "reward") == 0
    assert "Too few" in capsys.readouterr().out
    model = RewardModel.load(tmp_path / "reward")
    assert np.isfinite(model.rewards(Pieces.of([tune(3)]))).all()
    assert run("ratings", *files, "--markdown") == 0
    assert "| old" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("listen", "nowhere", "nowhere2"), "nowhere does not exist"),
        (("preference", "fit"), "name the files"),
        (("ratings", "none.json"), "none.json"),
        (("preference", "fit", "none.json"), "none.json"),
    ],
)
def test_a_mistake_ends_with_a_sentence_and_code_2(
    arguments: Any, words: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said
