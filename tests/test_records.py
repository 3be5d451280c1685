"""Records: written whole, read back as they were, and told apart by what fixes them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.records import Record, read_records
from musicgym.benchmarks.tasks import BenchmarkTask, read_task


def record(entry: str = "held_tonic", seed: int = 1, **changes: Any) -> Record:
    figures = {"return": Measured(1.25, 4, 4), "leaps_resolved": Measured(math.nan, 0, 4)}
    made = Record(asdict(BenchmarkTask("acmg")), entry, seed, 4, figures, {"content": None})
    return replace(made, **changes)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = record().write(tmp_path / "new" / "folder")
    again = Record.read(path)
    assert again.value("return") == 1.25 and math.isnan(again.value("leaps_resolved"))
    assert again.figures["leaps_resolved"].defined == 0
    assert BenchmarkTask(**again.task) == BenchmarkTask("acmg")
    assert again.file == path.name


def test_the_file_is_plain_json_with_null_for_what_is_undefined(tmp_path: Path) -> None:
    data = json.loads(record().write(tmp_path).read_text())
    assert data["figures"]["leaps_resolved"] == [None, 0, 4]


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    path = record().write(tmp_path)
    record(figures={"return": Measured(2.0, 4, 4)}).write(tmp_path)
    assert Record.read(path).value("return") == 1.25


@pytest.mark.parametrize(
    "change",
    [{"entry": "markov"}, {"seed": 2}, {"count": 5}, {"facts": {"content": "abc"}},
     {"task": asdict(BenchmarkTask("balanced"))}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_whatever_fixes_the_outcome_changes_the_file_name(change: dict[str, Any]) -> None:
    assert record(**change).file != record().file
    assert record(made={"seconds": 3}).file == record().file


def test_a_folder_is_read_by_entry_and_seed_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for entry, seed in (("b", 2), ("b", 1), ("a", 1)):
        record(entry, seed).write(tmp_path)
    (tmp_path / "other.json").write_text('{"format": 1}')
    (tmp_path / "broken.json").write_text("{")
    assert [(r.entry, r.seed) for r in read_records(tmp_path)] == [("a", 1), ("b", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"count": 5}, "both of held_tonic, seed 1"),
     ({"seed": 2, "task": asdict(BenchmarkTask("balanced"))}, "several tasks")],
    ids=["count", "task"],
)  # fmt: skip
def test_records_that_no_mean_may_be_taken_of_are_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    record().write(tmp_path)
    record(**change).write(tmp_path)
    with pytest.raises(ValueError, match=said):
        read_records(tmp_path)


def test_a_folder_without_records_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="musicgym evaluate"):
        read_records(tmp_path)


FOREIGN = (
    '{"format": 1, "figures": {}, "facts": {}, "task": 5, "entry": "a", "seed": 1, "count": 1}'
)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 2, "figures": {}}', FOREIGN])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not one of ours"):
        Record.read(path)


# Tasks


def test_a_task_is_read_from_a_name_from_json_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "task.json"
    file.write_text('{"rewards": "acmg", "bars": 4}')
    assert read_task("acmg", bars=4) == read_task(str(file)) == BenchmarkTask("acmg", bars=4)
    assert read_task('{"bars": 2}', bars=4).bars == 2


def test_a_task_is_its_json() -> None:
    one = BenchmarkTask({"preset": "acmg", "final_tonic": 5.0}, pitch_range=["C3", "B5"])  # type: ignore[arg-type]
    two = BenchmarkTask(**json.loads(one.json))
    assert one == two and one.digest == two.digest != BenchmarkTask("acmg").digest


def test_the_name_of_a_task_says_what_is_not_as_usual() -> None:
    assert BenchmarkTask("acmg").name == "acmg"
    assert BenchmarkTask("acmg", meter="3/4", bars=4).name == "acmg-meter=3:4-bars=4"
    assert BenchmarkTask({"final_tonic": 1.0}).name.startswith("rewards-")


@pytest.mark.parametrize(
    ("text", "said"),
    [("acgm", "did you mean 'acmg'"), ('{"bar": 4}', "did you mean 'bars'"), ("{", "not JSON"),
     ('{"meter": "5/4"}', "meter"), ('{"split": "train"}', "split.*test, validation"),
     ('{"corpus": 5}', "corpus"), ('{"pitch_range": 3}', "pitch_range"), ('{"bars": 0}', "bars"),
     ("[1].json", "No such file")],
)  # fmt: skip
def test_a_mistyped_task_is_refused_with_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises((ValueError, OSError), match=said):
        read_task(text)
