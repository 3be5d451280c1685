"""Style: two classifiers of one set of classes, on disjoint tunes and different features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from pytest import MonkeyPatch

from musicgym.agents import checkpoints, style
from musicgym.agents.checkpoints import CheckpointError
from musicgym.agents.style import StyleConfig, StyleFacts, StyleModel, fit, heard
from musicgym.benchmarks import judges, style_examples
from musicgym.benchmarks import style as styles
from musicgym.benchmarks.generators import styles as page
from musicgym.benchmarks.judges import Judges
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.metrics.zhao import emotion_figures, emotions
from musicgym.benchmarks.records import HUMAN, Record
from musicgym.benchmarks.style import confusion, fit_judge, scorer, tensors
from musicgym.benchmarks.style_examples import CLASSES, HALVES, examples, half
from musicgym.benchmarks.tasks import BenchmarkTask, corpus_windows
from musicgym.corpus.dataset import LOW, Corpus, CorpusMissing, collect
from musicgym.emotion import EMOTIONS, distances, targets
from musicgym.events import FIRST_NOTE, HOLD, REST
from musicgym.task import Task

FACTS = StyleFacts.of(small.task(bars=8), CLASSES, (("walks", "0123"),))


def leaps(pieces: int = 40) -> Corpus:
    """Return the small corpus with other melodies: arpeggios, a note a beat, hardly a rest."""
    made = []
    for i, piece in enumerate(small.corpus(pieces).pieces):
        rng = np.random.default_rng(500 + i)
        chord = (57, 60, 64, 69, 72, 76) if piece.mode == "minor" else (60, 64, 67, 72, 76, 79)
        place, events = 2, []
        for _ in piece.events:
            place = int(np.clip(place + rng.choice([-2, -1, 1, 2]), 0, 5))
            events.append(chord[place] - LOW + FIRST_NOTE if rng.random() < 0.97 else REST)
        made.append(replace(piece, name=f"leaps{i:02}", events=tuple(events)))
    return collect("leaps", made, {"kept": pieces})


@pytest.fixture(scope="module")
def known() -> dict[str, Corpus]:
    return {"chorale": small.corpus(), "folk": leaps()}


@pytest.fixture(scope="module")
def task() -> Task:
    return small.task(bars=8, progression="random")


@pytest.fixture(scope="module")
def model(known: Mapping[str, Corpus], task: Task) -> StyleModel:
    parts = [tensors(examples(known, task, split, only))
             for split, only in (("train", "reward"), ("validation", None))]  # fmt: skip
    return fit(*parts, FACTS, StyleConfig(width=16, epochs=10, learning_rate=1e-2))


# The examples


def test_the_halves_share_no_tune_and_both_have_many() -> None:
    tunes = [f"tune {i}" for i in range(1000)]
    assert 400 < sum(half(tune) == "reward" for tune in tunes) < 600


def test_every_class_has_as_many_melodies_and_only_tunes_of_its_half(
    known: Mapping[str, Corpus], task: Task
) -> None:
    parts = {only: examples(known, task, "train", only) for only in HALVES}
    for only, part in parts.items():
        counts = np.bincount(part.style)
        assert len(counts) == 4
        assert len(set(counts.tolist())) == 1
        assert {half(tune) for tune in part.tunes} == {only}
    assert not set(parts["reward"].tunes) & set(parts["metric"].tunes)


def test_corrupted_melodies_are_a_third_of_each_kind_and_of_both_corpora(
    known: Mapping[str, Corpus], task: Task
) -> None:
    given = examples(known, task, "train")
    human = given.pieces.events[given.style < 2]
    own = {name: {tuple(np.sort(row[row >= 2])) for row in human[given.style[given.style < 2] == k]}
           for k, name in enumerate(known)}  # fmt: skip
    rows = given.pieces.events[given.style == CLASSES.index("corrupted")]
    kept = [tuple(np.sort(row[row >= 2])) for row in rows]
    for name in known:  # shuffled and in another rhythm: the pitches are those of a human melody
        assert 0.25 < np.mean([pitches in own[name] for pitches in kept]) < 0.45
    rhythms = {tuple(row >= 2) for row in human}
    assert 0.6 < np.mean([tuple(row >= 2) in rhythms for row in rows]) < 0.8


def test_random_melodies_are_valid_and_even(known: Mapping[str, Corpus], task: Task) -> None:
    given = examples(known, task, "train")
    rows = given.pieces.events[given.style == CLASSES.index("random")]
    silent = np.ones(len(rows), np.bool_)
    for step in rows.T:
        assert not (silent & (step == HOLD)).any()
        silent = (step == REST) | (silent & (step == HOLD))
    counts = np.bincount(rows.ravel(), minlength=task.n_events)
    assert len(counts) == task.n_events
    assert counts[2:].std() < 3 * np.sqrt(counts[2:].mean())


def test_examples_repeat_with_their_seed_and_change_with_another(
    known: Mapping[str, Corpus], task: Task
) -> None:
    one, same, other = (examples(known, task, "test", seed=s).pieces.events for s in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_corpus_without_such_melodies_is_refused(known: Mapping[str, Corpus]) -> None:
    with pytest.raises(ValueError, match="no window of 8 bars in 3/4"):
        examples(known, small.task(bars=8, meter="3/4"), "train")


# The network of the reward


def test_the_network_hears_what_was_written_by_hand() -> None:
    # C4, held, E4, a rest, a hold in silence (a rest), B5 (19 above E4), C4 (23 below), held; in C.
    events = torch.tensor([[14, 0, 18, 1, 0, 37, 14, 0]])
    parts = heard(events, torch.tensor([0]), FACTS)
    assert parts.kind.tolist() == [[2, 0, 2, 1, 1, 2, 2, 0]]
    none, far = 27, 26
    assert parts.interval.tolist() == [[none, none, 17, none, none, far, 0, none]]
    assert parts.degree.tolist() == [[0, 0, 4, 12, 12, 11, 0, 0]]
    assert parts.position.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3]]


def test_a_hold_before_the_first_note_is_silence() -> None:
    parts = heard(torch.tensor([[0, 14]]), torch.tensor([0]), FACTS)
    assert parts.kind.tolist() == [[1, 2]]
    assert parts.degree.tolist() == [[12, 0]]
    assert parts.interval.tolist() == [[27, 27]]


def test_moving_melody_and_key_together_changes_no_verdict(model: StyleModel) -> None:
    events = torch.randint(14, 26, (5, 32), generator=torch.manual_seed(0))
    tonic = torch.arange(5)
    assert torch.allclose(model(events + 3, tonic + 3), model(events, tonic), atol=1e-6)
    assert not torch.allclose(model(events + 3, tonic), model(events, tonic), atol=1e-3)


def test_log_odds_are_those_of_the_probabilities(model: StyleModel) -> None:
    events = torch.randint(0, 38, (6, 32), generator=torch.manual_seed(1))
    tonic = torch.zeros(6, dtype=torch.int64)
    p = model(events, tonic).exp()
    assert torch.allclose(p.sum(-1), torch.ones(6), atol=1e-5)
    for place, name in enumerate(CLASSES):
        wanted = (p[:, place] / (1 - p[:, place])).log()
        assert torch.allclose(model.log_odds(events, tonic, name), wanted, atol=1e-3)


def test_a_verdict_does_not_depend_on_the_melodies_beside_it(model: StyleModel) -> None:
    events = torch.randint(0, 38, (6, 32), generator=torch.manual_seed(2))
    tonic = torch.arange(6)
    together = model(events, tonic)
    alone = torch.cat([model(events[i : i + 1], tonic[i : i + 1]) for i in range(6)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_network_tells_unseen_tunes_apart(
    model: StyleModel, known: Mapping[str, Corpus], task: Task
) -> None:
    test = tensors(examples(known, task, "test"))
    right = (model(test.events, test.tonic).argmax(-1) == test.style).float().mean()
    assert right > 0.7  # chance is 0.25


def test_a_checkpoint_gives_the_same_verdicts_and_its_facts(
    model: StyleModel, tmp_path: Path
) -> None:
    path = tmp_path / "style.safetensors"
    model.save(path, {"accuracy": 0.5})
    found = StyleModel.load(path)
    events, tonic = torch.randint(0, 38, (4, 32)), torch.zeros(4, dtype=torch.int64)
    assert torch.equal(found(events, tonic), model(events, tonic))
    assert found.facts == FACTS
    assert found.config == model.config
    assert not any(weight.requires_grad for weight in found.parameters())
    checkpoints.save(path, "style", {}, {"model": {}})
    with pytest.raises(CheckpointError, match="does not fit together"):
        StyleModel.load(path)


def test_the_network_of_the_reward_is_fitted_once_and_anew_for_other_tunes(
    monkeypatch: MonkeyPatch, tmp_path: Path, known: Mapping[str, Corpus], task: Task
) -> None:
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path))
    small_one, epochs = StyleConfig(width=4, epochs=1), []
    for corpora in (known, known, {**known, "folk": leaps(24)}):
        monkeypatch.setattr(styles, "corpora", lambda steps, c=corpora: c)
        made, path = scorer(task, small_one, epochs.append)
        assert made.facts.corpora[0] == ("walks", known["chorale"].fingerprint)
        assert StyleModel.load(path).facts == made.facts
    assert len(epochs) == 2
    assert len(list(tmp_path.rglob("style-4-4-grid1-*.safetensors"))) == 2


def test_a_task_of_another_grid_meter_or_range_is_named_with_both_sides() -> None:
    assert FACTS.problem(small.task(bars=4)) == ""
    for change in ({"steps_per_beat": 2}, {"meter": "3/4"}, {"pitch_range": ("C4", "C6")}):
        said = FACTS.problem(small.task(**change))
        assert "4/4, 1 steps a beat, pitches 48 to 83; the task has" in said


def test_an_unknown_style_is_refused_by_name(model: StyleModel) -> None:
    with pytest.raises(ValueError, match=r"'folks' is not one of .*folk"):
        model.place("folks")


def test_a_class_without_examples_and_settings_out_of_range_are_refused() -> None:
    some = style.Examples(torch.ones(2, 8).long(), torch.zeros(2).long(), torch.zeros(2).long())
    with pytest.raises(ValueError, match="no training melody of the class 'folk'"):
        fit(some, some, FACTS)
    for wrong in ({"epochs": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            StyleConfig(**wrong)


# The classifier of the metrics


def test_the_classifier_of_the_metrics_tells_unseen_tunes_apart_and_hears_no_chords(
    known: Mapping[str, Corpus], task: Task
) -> None:
    judge = fit_judge(examples(known, task, "train", "metric"))
    test = examples(known, task, "test")
    said = judge.probabilities(test.pieces)
    assert np.allclose(said.sum(1), 1)
    table = confusion(said.argmax(1), test.style)
    assert np.diag(table).mean() > 0.8
    over_chords = replace(test.pieces, masks=np.full(test.pieces.masks.shape, 0b10010001))
    assert np.array_equal(judge.probabilities(over_chords), said)


class Told:
    """A classifier that says what it was told to."""

    classes = CLASSES

    def __init__(self, said: list[list[float]]) -> None:
        self.said = np.array(said)

    def probabilities(self, pieces: Pieces) -> np.ndarray:
        return self.said


def four(events: int = 8) -> Pieces:
    """Return four melodies of one held C4."""
    rows = np.zeros((4, events), np.int64)
    rows[:, 0] = 14
    low, tonic = np.full(4, 48), np.zeros(4, np.int64)
    return Pieces(rows, low, tonic, tonic == 1, rows * 0, "4/4", 1)


def test_the_figures_of_style_are_worked_out_by_hand() -> None:
    said = [[0.7, 0.1, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1]]
    judge = Told(said)
    found = styles.style_figures(judge, four(), "folk")  # type: ignore[arg-type]
    values = {name: measured.value for name, measured in found.items()}
    assert values["classical_style"] == 0.5
    assert values["called_folk"] == values["called_corrupted"] == 0.25
    assert values["called_random"] == 0.0
    assert values["style_accuracy"] == 0.25
    p = np.array(said)
    mean = np.array([0.375, 0.275, 0.25, 0.1])
    assert np.isclose(values["inception_score"], np.exp((p * np.log(p / mean)).sum(1).mean()))
    each = ["chorale", "chorale", "folk", "folk"]
    told = styles.style_figures(judge, four(), each)  # type: ignore[arg-type]
    assert told["style_accuracy"].value == 0.75
    unasked = styles.style_figures(judge, four(), None)  # type: ignore[arg-type]
    assert "style_accuracy" not in unasked


# Judges of a record


def test_without_the_folk_tunes_there_is_a_note_and_no_row(
    monkeypatch: MonkeyPatch, tmp_path: Path, task: Task
) -> None:
    def gone(name: str, *, steps_per_beat: int) -> Corpus:
        if name == "folk":
            raise CorpusMissing("run `musicgym data prepare --corpus folk`")
        return small.corpus()

    monkeypatch.setattr(style_examples, "load", gone)
    monkeypatch.setattr(judges, "load", gone)
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path))
    styles._judge.cache_clear()
    assert "musicgym data prepare --corpus folk" in judges.missing(1)
    found = Judges.of(small.corpus(), task)
    assert found.style is None
    assert "classical_style" not in found.figures(four(), {})


def test_a_record_is_judged_by_the_corpus_s_own_style_if_it_was_asked_for_none(
    monkeypatch: MonkeyPatch, task: Task, known: Mapping[str, Corpus]
) -> None:
    fits = []
    monkeypatch.setattr(styles, "corpora", lambda steps: fits.append(steps) or known)
    styles._judge.cache_clear()
    for name, wanted in (("folk", "called_folk"), ("chorales", "classical_style")):
        found = Judges.of(replace(known["folk"], name=name), task)
        pieces = examples(known, task, "test").pieces
        values = {n: m.value for n, m in found.figures(pieces, {}).items()}
        assert values["style_accuracy"] == values[wanted]
        assert "emotional_consistency" not in values
    imported = Judges.of(known["chorale"], task)  # of a user's own corpus no style is known
    assert "style_accuracy" not in imported.figures(pieces, {})
    assert fits == [1]  # fitted once a process
    styles._judge.cache_clear()


def test_emotional_consistency_is_the_share_nearest_to_what_was_asked(
    known: Mapping[str, Corpus], task: Task
) -> None:
    wanted = targets(corpus_windows(known["chorale"], "train", task), task.low)
    pieces = examples(known, task, "test").pieces
    away = distances(emotions(pieces), wanted)
    plain = {n: m.value for n, m in emotion_figures(pieces, wanted).items()}
    assert np.isclose(sum(plain[f"emotion_{name}"] for name in EMOTIONS), 1)
    assert np.isclose(plain["emotion_distance"], away.min(1).mean())
    assert "emotional_consistency" not in plain
    asked = {n: m.value for n, m in emotion_figures(pieces, wanted, "sad").items()}
    assert asked["emotional_consistency"] == plain["emotion_sad"]
    assert np.isclose(asked["asked_emotion_distance"], away[:, 1].mean())
    each = [EMOTIONS[k] for k in away.argmin(1)]
    assert emotion_figures(pieces, wanted, each)["emotional_consistency"].value == 1.0


# The page


def test_the_page_says_how_well_each_classifier_does_and_what_it_calls_records(
    monkeypatch: MonkeyPatch, tmp_path: Path, known: Mapping[str, Corpus], task: Task
) -> None:
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path / "cache"))
    usual = BenchmarkTask(steps_per_beat=1)
    monkeypatch.setattr(page, "BenchmarkTask", lambda: usual)
    for module in (styles, page):
        monkeypatch.setattr(module, "corpora", lambda steps: known)
    quick = StyleConfig(width=8, epochs=4, learning_rate=1e-2)
    monkeypatch.setattr(page, "scorer", lambda task: scorer(task, quick))
    styles._judge.cache_clear()
    rows = examples(known, task, "test").pieces
    records = tmp_path / "records"
    for name, events in (
        (HUMAN, rows.events),
        ("uniform_random", rows.events),
        ("complete", rows.events[:9]),
    ):
        paid = {"return": Measured(0.0, len(events), len(events))}
        record = Record(asdict(usual), name, 1, len(events), paid, melodies=f"{name}.npz")
        record.write(records)
        kept = {
            "events": events,
            "tonic": rows.tonic[: len(events)],
            "mode": rows.minor[: len(events)],
        }
        np.savez(records / record.melodies, **kept)
    found = json.loads(json.dumps(page.measure(records)))
    styles._judge.cache_clear()
    for row in found["classifiers"].values():
        table = np.array(row["confusion"])
        assert np.isclose(np.diag(table).mean(), row["test"])  # the classes are equally large
        assert np.allclose(table.sum(1), 1)
    assert np.allclose(np.sum(found["systems"][HUMAN]["metric"]), 1)
    text = "\n".join(page.section(found, tmp_path))
    assert f"{found['classifiers']['metric']['test']:.1%}" in text
    assert "| uniform random |" in text
    human, agent = (found["systems"][name]["metric"][0][0] for name in (HUMAN, "complete"))
    assert f"keeps {1 - agent:.1%} of the melodies of agents without KL" in text
    assert f"an accuracy of {(human + 1 - agent) / 2:.1%}" in text
    assert f"complete 74.3 % printed, {100 * agent:.1f} % found" in text
    assert (tmp_path / page.PICTURE).read_bytes().startswith(b"\x89PNG")


def test_the_page_is_written_without_records(tmp_path: Path) -> None:
    table = np.eye(4).tolist()
    row = {"melodies": 5, "tunes": 3, "validation": 1.0, "test": 0.875, "confusion": table}
    found = {
        "classes": list(CLASSES), "classifiers": {"reward": row, "metric": row}, "systems": {},
        "test": {"melodies": 2, "tunes": 2}, "agreement": 0.5,
    }  # fmt: skip
    text = "\n".join(page.section(found, tmp_path))
    assert "87.5%" in text
    assert "Table 1" not in text
