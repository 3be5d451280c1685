"""Records: written whole, read back as they were, and told apart by what fixes them."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.records import Record, read_records, read_suite
from musicgym.benchmarks.suites import SUITES
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


# Suites


def rewritten(path: Path, **changes: Any) -> None:
    """Change the fields of a record's file, None removes one, with a digest that is right."""
    body = json.loads(path.read_text())
    body |= changes
    lines = [
        f'"{name}": {json.dumps(value)}'
        for name, value in body.items()
        if value is not None and name != "sha256"
    ]
    text = ",\n".join(lines) + "\n}\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(f'{{"sha256": "{digest}",\n{text}')


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A folder with one record of the suite v1; its path is returned."""
    made = record(
        suite="v1", task_name="acmg", task=BenchmarkTask("acmg").spec, curve=[[64, 1.0, None]],
        returns=(1.0, 1.5, 1.0, 1.5), tunes=(0, 1, 0, 1),
    )  # fmt: skip
    return made.write(tmp_path / "acmg")


def test_a_suites_records_are_read_with_all_that_they_hold(board: Path) -> None:
    (read,) = read_suite(board.parents[1])
    assert (read.suite, read.task_name, read.error) == ("v1", "acmg", "")
    assert read.curve == [[64, 1.0, None]] and read.returns == [1.0, 1.5, 1.0, 1.5]
    rewritten(board)  # the text of the tests below is in order but for what they change
    assert str(read_suite(board.parents[1])[0].task) == str(read.task)


FIELDS = (
    "task", "entry", "seed", "count", "figures", "facts", "made", "returns", "tunes", "melodies",
    "suite", "task_name", "curve", "error", "format",
)  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_record_that_lacks_a_field_is_refused(board: Path, name: str) -> None:
    rewritten(board, **{name: None})
    with pytest.raises(ValueError, match=f"{board.name}.*(fields are not ours: {name}|{name})"):
        read_suite(board.parents[1])


def test_a_field_that_is_not_ours_is_refused(board: Path) -> None:
    rewritten(board, more=1)
    with pytest.raises(ValueError, match="fields are not ours: more"):
        read_suite(board.parents[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [({"figures": {"return": [math.nan, 4, 4]}}, "NaN is no number"),
     ({"figures": {"return": [math.inf, 4, 4]}}, "Infinity is no number"),
     ({"figures": {"return": [None, 4, 4]}}, "return is None, defined on 4"),
     ({"figures": {"return": [1.0, 0, 4]}}, "return is 1.0, defined on 0"),
     ({"figures": {"return": ["1", 4, 4]}}, "return"),
     ({"figures": {"return": [True, 4, 4]}}, "return"),
     ({"figures": {"return": [1.0, 5, 4]}}, "return"),
     ({"figures": {}}, "neither figures nor an error"),
     ({"error": "It broke."}, "neither figures nor an error, or both"),
     ({"returns": [1.0, math.nan]}, "NaN is no number"),
     ({"returns": [1.0, 1.5, 1.0, 1.6]}, r"its return is 1.25, .* is 1.275"),
     ({"figures": {"return": [1.3, 4, 4]}}, r"its return is 1.3, .* is 1.25"),
     ({"returns": [1.25, 1.25], "tunes": [0, 1]}, "of 2 melodies, its count is 4"),
     ({"figures": {"kl": [1.3, 4, 4]}}, "its return is nan"),
     ({"tunes": [0, 1, 0, 1.0]}, "a tune is no number"),
     ({"returns": [1.0, "2"]}, "a return is no number"),
     ({"tunes": [1]}, "not of the same melodies"),
     ({"seed": "1"}, "seed is '1'"), ({"seed": True}, "seed is True"),
     ({"count": 1.5}, "count is 1.5"), ({"entry": 5}, "entry is 5"),
     ({"curve": [[1, math.nan, 0]]}, "NaN is no number"),
     ({"curve": [[1, "2", 0]]}, "curve"), ({"curve": [[1, 2.0]]}, "curve"),
     ({"format": 1}, "format is not 2")],
    ids=str,
)  # fmt: skip
def test_a_figure_that_is_no_number_and_a_field_of_another_kind_are_refused(
    board: Path, change: dict[str, Any], said: str
) -> None:
    rewritten(board, **change)
    with pytest.raises(ValueError, match=said):
        read_suite(board.parents[1])


@pytest.mark.parametrize(
    ("old", "new"),
    [('"return": [1.25', '"return": [1.26'), ('"seed": 1', '"seed": 1 '),
     ('{"sha256": "', '{"sha256": "0'), ("}\n", "}\n\n")],
)  # fmt: skip
def test_an_edit_is_noticed_however_small(board: Path, old: str, new: str) -> None:
    text = board.read_text()
    board.write_text(text.replace(old, new, 1))
    assert board.read_text() != text
    with pytest.raises(ValueError, match="was edited"):
        read_suite(board.parents[1])


def test_a_record_cut_short_is_refused(board: Path) -> None:
    board.write_text(board.read_text()[:-40])
    with pytest.raises(ValueError, match=board.name):
        read_suite(board.parents[1])


@pytest.mark.parametrize(
    ("change", "said"),
    [({"task": {**BenchmarkTask("acmg").spec, "bars": 4}}, "another task than 'acmg'"),
     ({"task_name": "balanced"}, "another task than 'balanced'"),
     ({"task_name": "none"}, "another task than 'none'"),
     ({"suite": "v0"}, "of no suite that there is"), ({"suite": ""}, "of no suite"),
     ({"entry": "other"}, "should be called acmg/other-1-"), ({"seed": 2}, "held_tonic-2-"),
     ({"count": 5, "returns": [1.25] * 5, "tunes": [0] * 5}, "should be called"),
     ({"facts": {"content": "abc"}}, "should be called")],
    ids=str,
)  # fmt: skip
def test_a_record_of_a_changed_spec_is_refused_with_its_reason(
    board: Path, change: dict[str, Any], said: str
) -> None:
    rewritten(board, **change)
    with pytest.raises(ValueError, match=said):
        read_suite(board.parents[1])


def test_a_record_in_the_folder_of_another_task_is_refused(board: Path) -> None:
    other = board.parents[1] / "balanced"
    board.parent.rename(other)
    with pytest.raises(ValueError, match="balanced/held.* should be called acmg/held_tonic-1-"):
        read_suite(board.parents[1])


def test_a_folder_of_two_suites_or_of_two_records_of_one_run_is_refused(board: Path) -> None:
    first = Record.read(board)
    twin = replace(first, count=5, returns=(), tunes=())
    path = twin.write(board.parent)
    with pytest.raises(ValueError, match="both of held_tonic, seed 1"):
        read_suite(board.parents[1])
    path.unlink()
    small = SUITES["small"].tasks[0]
    other = replace(first, suite="small", task_name=small.name, task=small.task.spec)
    other.write(board.parents[1] / small.name)
    with pytest.raises(ValueError, match="several suites"):
        read_suite(board.parents[1])


def test_a_failure_is_read_without_figures(board: Path) -> None:
    failed = replace(Record.read(board), figures={}, error="ValueError: no.", seed=3)
    path = replace(failed, returns=(), tunes=()).write(board.parent)
    (read,) = (r for r in read_suite(board.parents[1]) if r.seed == 3)
    assert read.error == "ValueError: no." and read.figures == {} and path.exists()


def test_folders_are_merged_by_copying(board: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    replace(Record.read(board), seed=2).write(other / "acmg")
    shutil.copytree(other, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(other)
    assert [r.seed for r in read_suite(tmp_path)] == [1, 2]


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="musicgym leaderboard run --out"):
        read_suite(tmp_path)


def test_timings_are_all_that_two_runs_of_one_may_differ_in() -> None:
    one = record(made={"seconds": 1.0, "torch": "2"}, facts={"training_seconds": 3.0})
    two = record(made={"seconds": 2.0, "torch": "2"}, facts={"training_seconds": 4.0})
    assert one.without_timings().json() == two.without_timings().json()
    other = record(made={"seconds": 1.0, "torch": "3"})
    assert one.without_timings().json() != other.without_timings().json()


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
