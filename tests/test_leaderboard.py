"""The leaderboard's runs: planned in order, made once, failures kept, folders gone on with."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from small import corpus
from tiny_suite import ENTRY, TINY_SUITE

from musicgym.agents.acmg import ACMGConfig
from musicgym.agents.configs import MODELS, MelodyLSTMConfig, PretrainConfig
from musicgym.benchmarks import entries, leaderboard, leaderboard_progress
from musicgym.benchmarks.entries import Workshop
from musicgym.benchmarks.entry_files import EntrySpec, read_file, spec_of
from musicgym.benchmarks.evaluate import Evaluation
from musicgym.benchmarks.leaderboard import (
    Run,
    carry_out,
    claimed,
    failures,
    held,
    missing,
    plan_runs,
)
from musicgym.benchmarks.leaderboard_progress import Clock, Display, duration
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.records import HUMAN, Record, read_suite
from musicgym.benchmarks.suites import Suite
from musicgym.cli import main
from musicgym.corpus import dataset

HELD, SAMPLED = spec_of("held_tonic"), spec_of("melody_lstm")
COUNT = 12


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    """A small prior, and nothing that compiles."""
    patch = pytest.MonkeyPatch()
    patch.setenv("MUSICGYM_CACHE", str(tmp_path_factory.mktemp("cache")))
    dataset.save(corpus(), 1)
    small = (lambda: MelodyLSTMConfig(8), lambda: PretrainConfig(epochs=1))
    patch.setattr(entries, "MODELS", {**MODELS, "melody_lstm": small})
    envs = ACMGConfig.envs
    patch.setattr(ACMGConfig, "envs", lambda *a, **k: envs(*a, **{**k, "backend": "arrays"}))
    clear()
    yield patch
    patch.undo()
    clear()


def clear() -> None:
    leaderboard._evaluation.cache_clear()
    leaderboard._corpus.cache_clear()


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> EntrySpec:
    path = tmp_path_factory.mktemp("entry") / "learner.toml"
    path.write_text(ENTRY)
    return replace(read_file(path)[0], steps=256)


def planned(*specs: EntrySpec, seeds: int = 1, **options: Any) -> list[Run]:
    return plan_runs(TINY_SUITE, specs, seeds, **{"count": COUNT, **options})


def one(spec: EntrySpec, seed: int = 1) -> Run:
    runs = planned(spec, seeds=seed, tasks=["acmg"])
    return next(run for run in runs if run.entry.name == spec.name and run.seed == seed)


# What there is to do


def test_what_others_share_is_planned_first_and_training_goes_seed_by_seed(
    learner: EntrySpec,
) -> None:
    runs = planned(learner, HELD, seeds=2, best_of=4)
    assert [(run.kind, run.task_name, run.seed) for run in runs] == [
        ("human", "acmg", 0), ("human", "balanced", 0),
        ("simple", "acmg", 1), ("simple", "acmg", 2),
        ("simple", "balanced", 1), ("simple", "balanced", 2),
        ("search", "acmg", 1), ("search", "acmg", 2),
        ("search", "balanced", 1), ("search", "balanced", 2),
        ("trained", "acmg", 1), ("trained", "balanced", 1),
        ("trained", "acmg", 2), ("trained", "balanced", 2),
    ]  # fmt: skip
    assert runs[6].names == ["best_of_2", "best_of_4"] and runs[0].names == [HUMAN]


def test_a_training_takes_the_steps_of_the_command_the_entry_or_the_task_in_this_order(
    learner: EntrySpec,
) -> None:
    def steps(spec: EntrySpec, **options: Any) -> int | None:
        return planned(spec, **options)[-1].entry.steps

    assert steps(learner, steps=99) == 99 and steps(learner) == 256
    assert steps(replace(learner, steps=None)) == 2048
    assert steps(HELD, steps=99) == 0  # nothing to learn


def test_a_search_stands_for_the_entries_of_its_names() -> None:
    runs = planned(spec_of("best_of_4"), spec_of("best_of_3"), best_of=4)
    assert {run.entry.name for run in runs} == {HUMAN, "best_of_3", "best_of_4"}
    assert {run.kind for run in runs if run.entry.name == "best_of_4"} == {"search"}


def test_a_task_without_an_optimum_has_no_row_of_the_planners() -> None:
    bare = replace(TINY_SUITE.tasks[0], no_optimum="Nobody knows.")
    runs = plan_runs(Suite("x", (bare,)), [spec_of("optimum"), spec_of("soft_optimum"), HELD], 1)
    assert [run.entry.name for run in runs] == [HUMAN, "held_tonic"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"seeds": 0}, "seeds: 0"), ({"steps": 0}, "steps: 0"), ({"count": 1}, "count: 1"),
     ({"best_of": 3}, "best_of: 3"), ({"best_of": 1}, "best_of: 1"),
     ({"tasks": ["acgm"]}, "did you mean 'acmg'")],
)  # fmt: skip
def test_what_is_out_of_its_range_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        planned(HELD, **options)


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two are called 'held_tonic'"):
        planned(HELD, replace(SAMPLED, name="held_tonic"))


def test_a_run_is_plain_data_that_another_process_rebuilds() -> None:
    import pickle

    run = one(HELD)
    assert pickle.loads(pickle.dumps(run)) == run
    assert json.loads(json.dumps(run.task)) == run.task


# What is done


@pytest.fixture(scope="module")
def finished(
    patched: Any, learner: EntrySpec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Run]]:
    """A folder with all runs of two entries on one task."""
    folder = tmp_path_factory.mktemp("board")
    patched.setitem(leaderboard.SUITES, "tiny", TINY_SUITE)
    runs = planned(HELD, learner, tasks=["acmg"], best_of=4)
    for run in runs:
        carry_out(run, folder)
    return folder, runs


def test_a_record_says_what_it_is_of_and_what_it_took(finished: Any, learner: EntrySpec) -> None:
    folder, _ = finished
    records = {record.entry: record for record in read_suite(folder)}
    assert set(records) == {HUMAN, "held_tonic", "best_of_2", "best_of_4", "learner"}
    made = records["learner"]
    assert (made.suite, made.task_name, made.error) == ("tiny", "acmg", "")
    assert made.facts["policy"] == "acmg_ppo" and made.facts["budget"] == 256
    assert made.facts["settings"] == dict(learner.settings)
    assert [row[0] for row in made.curve] == [64, 128, 192, 256]
    assert made.curve[-1][1] != made.curve[0][1] and all(len(row) == 3 for row in made.curve)
    assert len({record.made["prior"] for record in records.values()}) == 1
    assert re.fullmatch("[0-9a-f]{16}", made.made["prior"])
    held_tonic = records["held_tonic"]
    assert held_tonic.curve == [] and held_tonic.facts["budget"] == 0
    assert records["best_of_4"].facts["policy"] == "best_of_4"
    for record in records.values():
        assert (folder / "acmg" / record.melodies).is_file()
    assert list((folder / "agents").glob("ppo-*.safetensors"))


def test_what_has_its_record_is_not_missing_and_is_not_made_again(
    finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, runs = finished
    assert missing(runs, folder) == []
    assert missing(runs, folder / "elsewhere") == runs
    monkeypatch.setattr(Workshop, "make", None)
    before = {path: path.read_bytes() for path in folder.glob("*/*.json")}
    for run in runs:
        carry_out(run, folder)
    assert {path: path.read_bytes() for path in folder.glob("*/*.json")} == before


def test_a_search_that_was_stopped_makes_the_rows_that_are_missing(
    finished: Any, tmp_path: Path
) -> None:
    folder, runs = finished
    search = next(run for run in runs if run.kind == "search")
    carry_out(search, tmp_path)
    (small,) = (tmp_path / "acmg").glob("best_of_2-*.json")
    whole = Record.read(small).without_timings().json()
    small.unlink()
    assert missing([search], tmp_path) == [search]
    carry_out(search, tmp_path)
    assert Record.read(small).without_timings().json() == whole
    assert missing([search], tmp_path) == []


def test_two_runs_of_one_in_different_folders_and_caches_find_the_same(
    finished: Any, learner: EntrySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = finished
    monkeypatch.setenv("MUSICGYM_CACHE", str(tmp_path / "cache"))
    dataset.save(corpus(), 1)
    clear()
    path = carry_out(one(learner), tmp_path / "board")
    clear()
    mine, other = Record.read(path), Record.read(folder / "acmg" / path.name)
    assert str(dict(mine.figures)) == str(dict(other.figures))
    assert mine.without_timings().facts == other.without_timings().facts
    assert (mine.returns, mine.curve) == (other.returns, other.curve)
    assert mine.made["prior"] == other.made["prior"]
    melodies = [where.with_suffix(".npz") for where in (path, folder / "acmg" / path.name)]
    assert melodies[0].read_bytes() == melodies[1].read_bytes()


def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(
    finished: Any, learner: EntrySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musicgym.agents.learning import Learner

    folder, _ = finished
    step, seen = Learner.step, []

    def counted(self: Learner) -> dict[str, Any]:
        seen.append(self.iteration)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Learner, "step", counted)
    run = one(learner)
    with pytest.raises(KeyboardInterrupt):
        carry_out(run, tmp_path)
    assert missing([run], tmp_path) == [run]
    path = carry_out(run, tmp_path)
    assert seen == [0, 1, 2, 2, 3]
    whole = Record.read(folder / "acmg" / path.name).without_timings()
    assert Record.read(path).without_timings().json() == whole.json()


# What fails


@pytest.fixture
def broken(tmp_path: Path, patched: Any) -> EntrySpec:
    """An entry that fails while a file `bad` is beside it."""
    (tmp_path / "fragile.py").write_text(
        "from pathlib import Path\n"
        "from musicgym.agents.heuristics import HeldTonic\n"
        "def make(task):\n"
        "    if (Path(__file__).parent / 'bad').exists():\n"
        "        raise RuntimeError(f'no luck in {Path(__file__).parent}/bad today')\n"
        "    return HeldTonic(task)\n"
    )
    (tmp_path / "bad").touch()
    return EntrySpec("fragile", "fragile:make", folder=str(tmp_path))


def test_a_failure_is_a_record_and_is_tried_again_only_when_asked(
    broken: EntrySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(leaderboard.SUITES, "tiny", TINY_SUITE)
    run, folder = one(broken), tmp_path / "board"
    path = carry_out(run, folder)
    (record,) = read_suite(folder)
    assert record.figures == {} and record.facts["policy"] == "fragile:make"
    first, *rest = record.error.splitlines()
    assert first == "RuntimeError: no luck in bad today"
    assert "fragile.py, line 5, in make" in rest[-1] and str(tmp_path) not in record.error
    assert any("musicgym/benchmarks/" in line or "benchmarks/" in line for line in rest)
    assert failures([run], folder) == [(run, record.error)]
    assert missing([run], folder) == [] and missing([run], folder, retry=True) == [run]
    (tmp_path / "bad").unlink()
    assert carry_out(run, folder) == path
    again = Record.read(path)
    assert again.error == "" and again.value("return") != 0
    assert missing([run], folder, retry=True) == [] and failures([run], folder) == []
    sys.modules.pop("fragile", None)


def test_a_search_that_fails_has_a_record_of_it_for_each_row(
    patched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pool(*_: Any, **__: Any) -> None:
        raise ValueError("the well is dry")

    monkeypatch.setattr("musicgym.benchmarks.evaluate.pool", no_pool)
    run = planned(tasks=["acmg"], best_of=4)[-1]
    carry_out(run, tmp_path)
    assert [record and record.error[:27] for record in held(run, tmp_path).values()] == [
        "ValueError: the well is dry"
    ] * 2
    assert missing([run], tmp_path) == []
    small, large = held(run, tmp_path).values()  # a search that fails may have rows before it did
    assert small and large
    (tmp_path / "acmg" / small.file).unlink()
    made = Measured(1.0, COUNT, COUNT)
    replace(small, error="", figures={"return": made}).write(tmp_path / "acmg")
    assert failures([run], tmp_path) == [(run, large.error)]


def test_a_full_disk_is_no_failure_of_the_entry(
    patched: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Evaluation, "grade", full)
    with pytest.raises(OSError, match="No space"):
        carry_out(one(HELD), tmp_path)
    assert not list(tmp_path.glob("*/*.json"))


# Folders


@pytest.mark.parametrize("change", ["settings", "count", "steps"])
def test_a_record_that_came_about_otherwise_is_not_taken_for_this_one(
    finished: Any, learner: EntrySpec, change: str
) -> None:
    folder, _ = finished
    run = one(learner)
    entry = {
        "settings": replace(learner, settings={**learner.settings, "learning.gamma": 0.9}),
        "steps": replace(learner, steps=512),
    }
    other = replace(run, count=13) if change == "count" else replace(run, entry=entry[change])
    with pytest.raises(ValueError, match="learner-1-.*came about otherwise"):
        missing([other], folder)


def test_two_records_of_one_run_are_refused(finished: Any, tmp_path: Path) -> None:
    folder, runs = finished
    (tmp_path / "acmg").mkdir()
    (path,) = (folder / "acmg").glob("held_tonic-1-*.json")
    for name in (path.name, "held_tonic-1-00000000.json"):
        (tmp_path / "acmg" / name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match="both of held_tonic, seed 1"):
        missing(runs, tmp_path)


def test_an_edited_record_stops_the_run_before_anything_is_made(
    finished: Any, tmp_path: Path
) -> None:
    folder, runs = finished
    (tmp_path / "acmg").mkdir()
    (path,) = (folder / "acmg").glob("held_tonic-1-*.json")
    text = path.read_text()
    edited = text.replace('"seed": 1', '"seed": 2')
    assert edited != text
    (tmp_path / "acmg" / path.name).write_text(edited)
    with pytest.raises(ValueError, match="was edited"):
        missing(runs, tmp_path)


def test_a_folder_is_one_commands_and_what_killed_writes_left_is_removed(tmp_path: Path) -> None:
    place = tmp_path / "board" / "acmg"
    place.mkdir(parents=True)
    left = [".held_tonic-1-12345678.json-a1b2c3d4", ".x-1-12345678.npz-abcdefgh"]
    mine = ["held_tonic-1-12345678.json", ".hidden", ".x.json"]
    for name in (*left, *mine):
        (place / name).touch()
    with claimed(tmp_path / "board"):
        assert sorted(path.name for path in place.iterdir()) == sorted(mine)
        again = pytest.raises(ValueError, match="another `musicgym leaderboard run` is at work")
        with again, claimed(tmp_path / "board"):
            pass
    with FileLock(tmp_path / "board" / ".lock", timeout=0):
        pass  # it is free again


def test_what_a_killed_write_leaves_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from musicgym.files import write_whole

    (tmp_path / "acmg").mkdir()
    monkeypatch.setattr(os, "replace", lambda *_: os._exit)  # the move never comes
    for name in ("a-1-0.json", "a-1-0.npz", "ppo.safetensors"):
        write_whole(tmp_path / "acmg" / name, b"half")
    assert len(list((tmp_path / "acmg").iterdir())) == 3
    with claimed(tmp_path):
        assert not list((tmp_path / "acmg").iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [({"entries": "held_tonix"}, "did you mean 'held_tonic'"),
     ({"entries": "none.toml"}, "no file none.toml"), ({"suite": "v2"}, "there are v1, small"),
     ({"tasks": "acgm"}, "did you mean 'acmg'"), ({"jobs": "0"}, "jobs: 0"),
     ({"seeds": "0"}, "seeds: 0"), ({"entries": "no_module:make"}, "no_module")],
)  # fmt: skip
def test_a_users_mistake_ends_with_exit_code_2_before_anything_is_made(
    patched: Any, tmp_path: Path, given: dict[str, str], said: str, capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(leaderboard.SUITES, "tiny", TINY_SUITE)
    monkeypatch.setattr("musicgym.benchmarks.leaderboard_workers._worker", None)
    options = {"suite": "tiny", "entries": "held_tonic", "tasks": "acmg", "seeds": "1", **given}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    with pytest.raises(SystemExit) as end:
        main(["leaderboard", "run", "--out", str(tmp_path / "board"), *words])
    assert end.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("board/*/*.json"))


# The display


def test_the_time_left_is_that_of_runs_like_those_that_are_over(
    learner: EntrySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(leaderboard_progress.time, "monotonic", lambda: now)
    simple, trained = one(HELD), one(learner)
    usual = leaderboard_progress.usual
    clock = Clock()
    assert clock.left([simple, trained], 1) == pytest.approx(usual(simple) + usual(trained))
    clock.begun(simple)
    now += 3 * usual(simple)  # three times as slow as usual
    clock.ended(simple)
    assert clock.guess(one(HELD, 2)) == pytest.approx(3 * usual(simple))
    assert clock.guess(trained) == pytest.approx(3 * usual(trained))  # for want of better
    clock.begun(trained)
    now += usual(trained) / 2
    clock.ended(trained)
    assert clock.guess(trained) == pytest.approx(usual(trained) / 2)
    clock.begun(one(HELD, 2))
    now += usual(simple)
    waiting = [trained, trained]
    assert clock.left(waiting, 2) == pytest.approx(
        max((2 * usual(simple) + usual(trained)) / 2, 2 * usual(simple))
    )


def test_the_display_fits_80_columns_and_is_silent_without_a_terminal(
    learner: EntrySpec, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = planned(learner, replace(HELD, name="a_name_that_is_as_long_as_it_may_be" * 2), seeds=3)

    def show() -> str:
        with Display(runs, 5, 2) as display:
            for run in runs:
                display.begun(run)
                display.again(run)
                display.begun(run)
                display.ended(run)
        return str(capsys.readouterr().err)

    assert show() == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    lines = [re.sub("\x1b.*?[A-Za-z]", "", line) for line in re.split(r"[\r\n]", show())]
    assert any(" left: " in line for line in lines) and max(map(len, lines)) < 80
    assert any(line.startswith(f"{5 + len(runs)}/{5 + len(runs)}") for line in lines)


def test_times_are_said_shortly() -> None:
    assert [duration(s) for s in (0, 59.9, 60, 3599, 3600, 90_000)] == [
        "0 s", "59 s", "1 min", "59 min", "1 h 00 min", "25 h 00 min",
    ]  # fmt: skip
