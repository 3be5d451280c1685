"""The reward audit: corruptions, intervals, verdicts, and the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import corpus

from musicgym import cli
from musicgym.benchmarks.audit.corruptions import (
    CORRUPTIONS,
    random_pitches,
    random_rhythm,
    shuffle_pitches,
    strike_again,
    swap_chords,
    transpose_melody,
)
from musicgym.benchmarks.audit.report import page, publish, text
from musicgym.benchmarks.audit.run import TRIVIAL, Subject, audit, check, chord_a_beat
from musicgym.benchmarks.audit.statistics import areas, mean, pairs_won
from musicgym.benchmarks.audit.target import open_target
from musicgym.benchmarks.audit.verdicts import judge_term, judge_whole, kind_of
from musicgym.benchmarks.statistics import ends
from musicgym.corpus.dataset import LOW, Corpus, Windows, collect, windows
from musicgym.theory import Chord

TASK = chord_a_beat("4/4", 1, 2)

BAD = """
from musicgym.reward import Rule
from musicgym.select import where

class EveryOnset(Rule):
    def __call__(self, m):
        return where(m.struck, 1.0, 0.0)

class Parity(Rule):
    def __call__(self, m):
        return where(m.step % 2 == 0, 1.0, 0.0)
"""


def harmonic() -> Corpus:
    """Return melodies that strike a tone of the chord on each beat, or hold one that still fits."""
    pieces = []
    for piece in corpus().pieces:
        rng, events = np.random.default_rng(len(pieces)), []
        for root, code in zip(piece.roots, piece.codes, strict=True):
            mask = Chord.of(root, code).mask
            tones = [p - LOW + 2 for p in range(60, 76) if mask >> p % 12 & 1]
            before = next((e for e in reversed(events) if e), 0)
            held = before in tones and rng.random() < 0.4
            events.append(0 if held else int(rng.choice(tones)))
        pieces.append(replace(piece, events=tuple(events)))
    return collect("harmonic", pieces, {})


@pytest.fixture(scope="module")
def cut() -> Windows:
    return windows(corpus(), "test", bars=2)


def of(*melodies: list[int], modes: str = "", tunes: str = "") -> Windows:
    """Return windows of given events; window i has its own chord on all its beats."""
    n, beats = len(melodies), len(melodies[0])
    return Windows(
        np.array(melodies, dtype=np.uint8),
        np.repeat(np.arange(n, dtype=np.int8)[:, None], beats, axis=1),
        np.ones((n, beats), np.int8),
        np.array([mode == "m" for mode in modes or "M" * n], dtype=np.int8),
        tuple(tunes or map(str, range(n))),
        tuple(map(str, range(n))),
    )


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_repeats_from_its_seed_and_leaves_the_melodies_alone(
    name: str, cut: Windows
) -> None:
    before = [np.copy(part) for part in cut[:4]]
    one, again, other = (CORRUPTIONS[name](cut, TASK, seed) for seed in (3, 3, 4))
    for part, old in zip(cut[:4], before, strict=True):
        np.testing.assert_array_equal(part, old)
    same = [np.array_equal(a, b) for a, b in zip(one[:4], again[:4], strict=True)]
    differs = [not np.array_equal(a, b) for a, b in zip(one[:4], other[:4], strict=True)]
    assert all(same) and any(differs)
    assert one.events.dtype == np.uint8 and one.events.shape == cut.events.shape
    assert one.tunes == cut.tunes and np.array_equal(one.modes, cut.modes)
    assert np.array_equal(one.events, cut.events) == (name == "wrong chords")
    assert np.array_equal(one.roots, cut.roots) == (name != "wrong chords")


def test_wrong_chords_are_those_of_another_tune_in_the_same_mode() -> None:
    notes = [[2, 3, 4, 5]] * 6
    made = cut_roots = of(*notes, modes="MMMmmm", tunes="aabccd")
    allowed = {0: {2}, 1: {2}, 2: {0, 1}, 3: {5}, 4: {5}, 5: {3, 4}}
    for seed in range(20):
        made = swap_chords(cut_roots, TASK, seed)
        assert all(int(made.roots[i, 0]) in allowed[i] for i in range(6))
    alone = swap_chords(of(*notes[:3], modes="MMm", tunes="abc"), TASK, 0)
    assert alone.roots[2, 0] in (0, 1)  # no other tune in minor: one in major
    with pytest.raises(ValueError, match="one tune only"):
        swap_chords(of(*notes[:2], tunes="aa"), TASK, 0)


def test_shuffled_pitches_are_the_same_pitches_at_the_same_onsets() -> None:
    events = [1, 9, 0, 5, 1, 7, 7, 0]
    seen = {tuple(shuffle_pitches(of(events), TASK, seed).events[0]) for seed in range(200)}
    assert {sorted(row) == sorted(events) for row in map(list, seen)} == {True}
    assert {(row[0], row[2], row[4], row[7]) for row in seen} == {(1, 0, 1, 0)}
    assert len(seen) == 12  # the orders of 9, 5, 7, 7


def test_random_pitches_stay_at_the_onsets_and_within_the_melody() -> None:
    made = [random_pitches(of([1, 9, 0, 12, 1, 10]), TASK, seed).events[0] for seed in range(200)]
    rows = np.array(made)
    assert (rows[:, [0, 2, 4]] == [1, 0, 1]).all()
    for onset in (1, 3, 5):
        assert set(rows[:, onset]) == {9, 10, 11, 12}  # all keys, both ends


def test_a_random_rhythm_keeps_the_pitches_in_order_from_the_first_onset() -> None:
    rows = np.array(
        [random_rhythm(of([1, 9, 0, 5, 1, 7]), TASK, seed).events[0] for seed in range(200)]
    )
    assert (rows[:, :2] == [1, 9]).all()
    assert {tuple(row[2:][row[2:] > 0]) for row in rows} == {(5, 7)}  # no rests: holds
    assert len({tuple(row) for row in rows}) == 6  # two onsets in four places


def test_a_transposed_melody_moves_as_one_by_up_to_six_semitones_within_the_range() -> None:
    for events, allowed in (
        ([1, 12, 0, 16], {*range(-6, 0), *range(1, 7)}),
        ([1, 4, 0, TASK.n_events - 4], {-2, -1, 1, 2, 3}),
        ([1, 2, 0, TASK.n_events - 1], {0}),  # it fills the range
    ):
        moved = set()
        for seed in range(200):
            row = transpose_melody(of(events), TASK, seed).events[0].astype(int) - events
            assert row[0] == row[2] == 0 and row[1] == row[3]
            moved.add(int(row[1]))
        assert moved == allowed


def test_striking_again_turns_holds_of_a_note_into_strikes_of_its_pitch() -> None:
    events = [0, 1, 9, 0, 0, 1, 0, 5, 0]  # holds in silence are no held notes
    once = {tuple(strike_again(of(events), TASK, seed).events[0].tolist()) for seed in range(50)}
    assert once == {
        (0, 1, 9, 9, 0, 1, 0, 5, 0),
        (0, 1, 9, 0, 9, 1, 0, 5, 0),
        (0, 1, 9, 0, 0, 1, 0, 5, 5),
    }
    every = strike_again(of(events), TASK, 0, every=True).events[0].tolist()
    assert every == [0, 1, 9, 9, 9, 1, 0, 5, 5]
    assert strike_again(of([2, 3]), TASK, 0).events.tolist() == [[2, 3]]


def test_the_area_counts_all_pairs_and_draws_as_halves() -> None:
    real = np.array([[3.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    copies = np.array([[[2.0, 0.0], [0.0, 0.0], [5.0, 1.0]], [[1.0, 0.0]] * 3])
    tunes = np.array([0, 1, 1])
    won = [(x > y) + 0.5 * (x == y) for x in (3, 1, 2) for y in (2, 0, 5, 1, 1, 1)]
    area, flat = areas(real, copies, tunes, seed=0)
    assert area[0] == pytest.approx(np.mean(won))
    assert flat[0] == pytest.approx((3 * 5 * 0.5) / 18)
    own = pairs_won(real, copies, tunes, seed=0)
    assert own[0][0] == pytest.approx((1 + 1 + 0 + 1 + 0.5 + 1) / 6)
    nearly = areas(real, real[None] + 1e-12, tunes, seed=0)[1]
    assert nearly == [0.5, 0.5, 0.5]  # rounding is no difference


def test_intervals_come_from_the_tunes_not_from_the_melodies() -> None:
    values, tunes = np.array([0.0] * 50 + [1.0] * 50), np.repeat([0, 1], 50)
    assert mean(values, tunes, seed=0) == [0.5, 0.0, 1.0]  # a resample may hold one tune only
    middle, low, high = mean(values, np.arange(100), seed=0)
    assert middle == 0.5 and 0.35 < low < 0.45 < 0.55 < high < 0.65
    real, copies = values[:, None], np.full((1, 100, 1), 0.5)
    assert areas(real, copies, tunes, seed=0) == [[0.5, 0.0, 1.0]]
    assert mean(values, tunes, seed=0) == mean(values, tunes, seed=0)


def test_an_interval_of_few_tunes_is_wider_than_the_percentiles_say() -> None:
    low, high = ends(np.full(14, 5))  # t of 13 degrees of freedom is 2.160, times (14 / 13)**0.5
    assert low == pytest.approx(0.01248, abs=2e-5) and low + high == pytest.approx(1)
    assert ends(np.ones(100_000))[0] == pytest.approx(0.025, abs=1e-5)
    assert ends([30, 10, 10, 10])[0] == ends([3, 1, 1, 1])[0] < ends(np.ones(4))[0]
    assert ends([7]) == (0, 1)


def test_an_interval_over_the_tunes_of_a_split_holds_the_truth_as_often_as_it_says() -> None:
    sizes = [19, 62, 22, 17, 12, 1, 9, 3, 35, 1, 4, 6, 11, 2]  # the chorales' test split
    tunes, rng = np.repeat(np.arange(14), sizes), np.random.default_rng(0)
    each = [mean(rng.normal(size=14)[tunes], tunes, seed) for seed in range(200)]
    held = sum(low <= 0 <= high for _, low, high in each)
    assert 184 <= held <= 198  # plain percentiles: 168


def test_a_term_that_is_not_surely_told_apart_is_not_called_blind_nor_valid() -> None:
    still = {kind: {"change": [0.0] * 3, "rises": 0.0} for kind in ("one", "all")}

    def said(*auc: list[float]) -> list[str]:
        cells = dict(zip("abc", auc, strict=False))
        found = {"auc": {"all": {"x": cells}}, "strike again": {"x": still}}
        return judge_term({**found, "target": {"terms": ["x"], "weights": [1.0]}}, "x")[0]

    blind, unsure, real, bad = [0.51, 0.4, 0.6], [0.7, 0.49, 0.9], [0.9, 0.8, 1.0], [0.2, 0.1, 0.3]
    assert said(blind, blind) == ["blind", "no corruption is told apart: AUC 0.51 to 0.51"]
    assert said(blind, unsure) == ["unsure", "no corruption is surely told apart: b 0.70"]
    assert said(real, unsure, blind) == ["valid", "a 0.90; blind to c; unsure of b 0.70"]
    assert said(bad, real) == ["prefers corruption", "a 0.20; knows b 0.90"]


@pytest.mark.parametrize(
    ("over", "label"),
    [([3.0, 0.3, 4.6], "games itself"), ([3.0, -1.0, 5.3], "perhaps gamed"),
     ([-0.6, -4.3, 2.0], "perhaps gamed"), ([-9.0, -12.0, -7.0], "not gamed"),
     ([0.0, 0.0, 0.0], "not gamed")],
)  # fmt: skip
def test_a_reward_is_cleared_only_where_trivial_play_surely_earns_less(
    over: list[float], label: str
) -> None:
    still = {kind: {"change": [0.0] * 3, "rises": 0.0} for kind in ("one", "all")}
    rows = {"corpus": {"over corpus": [0.0] * 3}, "held": {"over corpus": over}}
    auc = {"all": {"whole": {"a": [0.9, 0.8, 1.0]}}}
    found = {"auc": auc, "strike again": {"whole": still}, "returns": rows}
    assert [label for label, _ in judge_whole(found)][1] == label


@pytest.mark.parametrize(
    ("estimate", "kind"),
    [
        ([0.7, 0.51, 0.9], "real"),
        ([0.7, 0.49, 0.9], "unsure"),
        ([0.54, 0.53, 0.55], "blind"),
        ([0.3, 0.1, 0.49], "corrupted"),
        ([0.3, 0.1, 0.51], "unsure"),
        ([0.46, 0.45, 0.47], "blind"),
        ([0.5, 0.5, 0.5], "blind"),
    ],
)
def test_an_area_says_something_where_it_is_sure_and_far_from_a_half(
    estimate: list[float], kind: str
) -> None:
    assert kind_of(estimate) == kind


def judged(found: dict[str, Any]) -> dict[str, list[str]]:
    """Return the labels of the verdicts."""
    return {name: [label for label, _ in said] for name, said in found["verdicts"].items()}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("planted") / "bad_rules.py"
    path.write_text(BAD)
    return audit(str(path), harmonic(), "4/4", 1, 2, copies=2, planned=3)


def test_a_planted_rule_that_pays_for_every_onset_is_flagged(planted: dict[str, Any]) -> None:
    said = judged(planted)
    assert "pays for striking" in said["EveryOnset"]
    assert "pays for striking" in said["whole"] and "games itself" in said["whole"]
    again = planted["strike again"]["EveryOnset"]
    assert again["one"]["change"] == pytest.approx([1, 1, 1], abs=0.3)
    assert again["one"]["rises"] > 0.8  # all but melodies without a held step
    sentence = dict(planted["verdicts"]["whole"])["games itself"]
    assert "uniform random" in sentence and "held tonic" not in sentence


def test_a_planted_blind_rule_is_flagged_as_blind_and_nothing_else(planted: dict[str, Any]) -> None:
    assert judged(planted)["Parity"] == ["blind"]
    assert planted["strike again"]["Parity"]["one"] == {"change": [0.0, 0.0, 0.0], "rises": 0.0}
    assert set(map(tuple, planted["auc"]["all"]["Parity"].values())) == {(0.5, 0.5, 0.5)}
    assert planted["means"]["Parity"] == 4 and planted["optimum"]["most"]["Parity"] == 4


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Return what writes a file of rules and returns its path."""

    def write(content: str, name: str = "own_rules.py") -> str:
        (tmp_path / name).write_text(content)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(("weight", "label"), [(2.0, "valid"), (-2.0, "prefers corruption")])
def test_a_rule_that_knows_the_chords_is_valid_and_its_negative_prefers_corruption(
    write: Callable[..., str], weight: float, label: str
) -> None:
    path = write(f"REWARDS = {{'chord_tone': {weight}}}")
    found = audit(path, harmonic(), "4/4", 1, 2, copies=2, planned=2)
    assert judged(found)["chord_tone"][0] == judged(found)["whole"][0] == label
    auc = found["auc"]["all"]["chord_tone"]["wrong chords"][0]
    assert auc > 0.8 if weight > 0 else auc < 0.2


def test_shares_of_the_optimum_and_of_the_reward_are_those_worked_out_by_hand(
    write: Callable[..., str],
) -> None:
    path = write("REWARDS = {'final_tonic': 2.0, 'repetition': 0.0}")
    found = audit(path, corpus(), "4/4", 1, 2, copies=1, planned=4)
    best = found["optimum"]
    assert best["value"] == pytest.approx(1.6) and best["episodes"] == 4
    assert best["least"]["final_tonic"] == pytest.approx(-0.6)
    assert best["most"] == pytest.approx({"final_tonic": 0.8, "repetition": 0.0})
    assert found["returns"]["held tonic"]["share"] == pytest.approx(1.0)
    assert found["returns"]["held tonic"]["mean"] == pytest.approx([1.6] * 3)
    assert found["shares"] == {"final_tonic": 1.0, "repetition": 0.0}
    corpus_return = found["returns"]["corpus"]["mean"][0]
    assert found["means"]["final_tonic"] == pytest.approx(corpus_return) and corpus_return < 1.6
    assert judged(found)["repetition"][-1] == "not paid"
    row = next(x for x in text(found).splitlines() if x.split()[:2] == ["final_tonic", "2"])
    assert row.split()[5:7] == ["-1.2", "+1.6"]  # as its mean: times the weight
    assert "Only 4 tunes" in text(found)


def test_what_is_planned_is_spread_over_the_tunes() -> None:
    task = chord_a_beat("4/4", 1, 2)
    cut = windows(corpus(), "test", bars=2)
    with open_target("acmg", task.steps) as what:
        subject = Subject(what, task, cut, seed=0, copies=1)
    assert len({cut.tunes[i] for i in subject.spread(4)}) == len(set(cut.tunes)) == 4
    assert sorted(subject.spread(1000)) == list(range(len(cut.tunes)))


def test_a_term_with_memory_of_the_whole_melody_has_no_optimum_and_the_audit_says_so(
    write: Callable[..., str],
) -> None:
    path = write(
        "import numpy as np\n"
        "from musicgym.reward import SequenceTerm\n"
        "class Count(SequenceTerm):\n"
        "    def begin(self, episodes, which): self.seen = np.zeros(len(which))\n"
        "    def pay(self, events):\n"
        "        self.seen += events > 1\n"
        "        return self.seen.copy()\n"
    )
    found = audit(path, corpus(), "4/4", 1, 2, copies=1, planned=2)
    assert found["optimum"]["value"] is None and "Count" in found["optimum"]["why none"]
    assert found["returns"]["corpus"]["share"] is None
    assert "no exact optimum" in text(found)
    assert publish(found, Path(path).parent)[1].stat().st_size > 10_000


def test_a_file_gives_its_classes_of_terms_with_weight_1(write: Callable[..., str]) -> None:
    path = write(BAD + "class _Base(Rule):\n    pass\n")
    before = list(sys.path)
    with open_target(path, 8) as target:
        assert [(t.name, t.weight) for t in target.reward.terms] == [
            ("EveryOnset", 1.0),
            ("Parity", 1.0),
        ]
        assert target.spec == {"own_rules:EveryOnset": 1.0, "own_rules:Parity": 1.0}
    assert sys.path == before and "own_rules" not in sys.modules
    again = write(
        "REWARDS = {'preset': 'acmg', 'own_rules:Mine': 3}\n" + BAD.replace("Parity", "Mine")
    )
    with open_target(again, 8) as target:
        assert ("Mine", 3.0) in [(t.name, t.weight) for t in target.reward.terms]
        assert target.left_out == ("state_variance",)
        assert "state_variance" not in target.reward.names


def test_a_file_imports_its_own_neighbours_not_those_of_the_file_before(tmp_path: Path) -> None:
    for folder, weight in (("one", 1.0), ("two", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shared_weights.py").write_text(f"W = {weight}")
        path = tmp_path / folder / "own_rules.py"
        path.write_text("from shared_weights import W\nREWARDS = {'chord_tone': W}")
        with open_target(str(path), 8) as target:
            assert target.reward.weights.tolist() == [weight]
    assert "shared_weights" not in sys.modules


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("x = 1", "empty.py", "empty.py defines no term"),
        ("x = (", "broken.py", "line 1"),
        ("import nothing_of_this_name", "needs.py", "needs.py cannot be loaded"),
        ("1 / 0", "raises.py", "ZeroDivisionError"),
        ("raise SystemExit(3)", "exits.py", "SystemExit"),
        (BAD, "json.py", "rename"),
        (BAD, "my.rules.py", "rename"),
        ("REWARDS = {'chord_tones': 1}", "typo.py", "chord_tone"),
        ("REWARDS = {'state_variance': 1}", "policy.py", "pay in training"),
    ],
)  # fmt: skip
def test_a_file_that_gives_no_reward_is_refused_in_a_sentence(
    write: Callable[..., str], content: str, name: str, message: str
) -> None:
    before = list(sys.path)
    with pytest.raises(ValueError, match=message):
        check(write(content, name), "4/4", 1, 2)
    assert sys.path == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return nothing", "NameError"),
        ("return m.step / 0.0 * 0", "Broken.* no finite number"),
        ("return 1.0 if m.struck else 0.0", "does not run on a batch"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rule_that_fails_is_named(write: Callable[..., str], body: str, message: str) -> None:
    content = "from musicgym.reward import Rule\nclass Broken(Rule):\n    def __call__(self, m):\n"
    content += f"        {body}\n"
    with pytest.raises(ValueError, match=message):
        audit(write(content), corpus(), "4/4", 1, 2)


@pytest.mark.parametrize(
    "arguments", [["acmgg"], ["/nowhere/rules.py"], ["acmg", "--meter", "5/4"]]
)
def test_the_command_ends_a_mistake_with_a_sentence_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["audit", *arguments])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert arguments[-1] in said and "Traceback" not in said


def test_the_text_of_a_preset_fits_80_columns_and_names_what_it_shows() -> None:
    found = audit("acmg", corpus(), "4/4", 1, 2, copies=1, planned=1)
    lines = text(found).splitlines()
    assert max(map(len, lines)) <= 80
    for name in [*found["target"]["terms"], "whole", "corpus", *TRIVIAL, "state_variance"]:
        assert any(name in line for line in lines), name
    row = next(line for line in lines if line.startswith("octave_leap") and "-" in line)
    assert row.split()[1] == f"{found['auc']['all']['octave_leap']['wrong chords'][0]:.2f}"[1:]


def test_the_command_prints_and_writes_json_picture_and_page(
    write: Callable[..., str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("musicgym.corpus.dataset.prepare", lambda *a, **k: corpus())
    small = ["--bars", "2", "--steps-per-beat", "1", "--copies", "2", "--seed", "5"]
    spec = {"chord_tone": 1, "non_chord_tone": {"reading": "formula"}}
    path = write(f"REWARDS = {spec}", "two_terms.py")
    cli.main(["audit", path, *small, "--out", str(tmp_path / "found")])
    *printed, first, second, third = capsys.readouterr().out.splitlines()
    stem = str(tmp_path / "found" / "audit")
    assert [first, second, third] == [
        f"{stem}-two_terms.json", f"{stem}-two_terms.png", f"{stem}.md"
    ]  # fmt: skip
    found = json.loads(Path(first).read_text())
    assert "\n".join(printed) == text(found)
    assert found["corpus"]["fingerprint"] == corpus().fingerprint
    assert found["settings"]["seed"] == 5 and found["target"]["spec"] == spec
    assert Path(second).read_bytes()[1:4] == b"PNG"
    assert Path(third).read_text() == page([found])
    assert "Largest difference from `findings`: 0." in page([found])
    assert "| findings | 0.89 | 0.84 | 0.95 | 0.87 | - |" in page([found])  # the formula's
