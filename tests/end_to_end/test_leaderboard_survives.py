"""A leaderboard whose processes are killed ends with the records of one that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_suite import ENTRY, TINY_SUITE, arguments
from tree import ROOT

from musicgym.benchmarks.entry_files import read_entries
from musicgym.benchmarks.leaderboard import Run, plan_runs
from musicgym.benchmarks.leaderboard_ray import work
from musicgym.benchmarks.records import Record, read_suite
from musicgym.files import cache_folder

#: Seconds after which a command that should have ended has not.
PATIENCE = 500.0
KILLS = 5


class Command:
    """The tiny suite's command in a process group of its own."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        words = [sys.executable, str(ROOT / "tests" / "tiny_suite.py")]
        self.folder = folder
        self.process = subprocess.Popen(
            [*words, *arguments(folder, **changes)], start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def until(self, seen: Callable[[], bool]) -> bool:
        """Wait until something is seen, or the command has ended; return whether it was seen."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if seen():
                return True
            time.sleep(0.02)
        return seen()

    def end(self) -> str:
        """Wait for the end; return what was printed."""
        return self.process.communicate(timeout=PATIENCE)[0]

    def family(self) -> list[int]:
        """Return the processes of the group that are alive."""
        listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True)
        rows = [line.split() for line in listed.stdout.splitlines()]
        group = str(self.process.pid)
        return [int(pid) for pid, of, state in rows if of == group and state[0] != "Z"]

    def orphans_end(self) -> None:
        """Wait until no process of the group is left."""
        end = time.monotonic() + 120
        while self.family():
            assert time.monotonic() < end, "processes outlive the command"
            time.sleep(0.05)

    def workers(self) -> list[int]:
        """Return the processes that carry out runs."""
        return [
            pid for pid in self.family()
            if b"multiprocessing-fork" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]  # fmt: skip


def records(folder: Path) -> set[str]:
    """Return the names of the records that a folder has."""
    return {path.name for path in folder.glob("*/*.json")}


def leave_some(folder: Path, whole: int) -> None:
    """Remove the newest records, so that eight are left to be made: a machine may be fast."""
    made = sorted(folder.glob("*/*.json"), key=lambda path: path.stat().st_mtime)
    for path in made[max(0, whole - 8) :]:
        path.unlink()


def content(folder: Path) -> dict[str, str]:
    """Return the records of a folder without their timings, and their melodies."""
    found = {}
    for record in map(Record.without_timings, read_suite(folder)):
        made = {name: value for name, value in record.made.items() if name != "revision"}
        melodies = folder / record.task_name / record.melodies
        played = melodies.read_bytes().hex() if record.melodies else ""
        found[f"{record.task_name}/{record.file}"] = replace(record, made=made).json() + played
    return found


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of its own, with the kernels that are there."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("cache")
    kernels = cache_folder("kernels")
    (folder / "kernels").symlink_to(kernels)
    patch.setenv("MUSICGYM_CACHE", str(folder))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def undisturbed(cached: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The records of a run that nothing disturbed."""
    command = Command(tmp_path_factory.mktemp("calm") / "board")
    printed = command.end()
    assert command.process.returncode == 0 and "runs: 18, of which 18" in printed, printed
    assert not list(command.folder.glob("*/.*")), "temporary files"
    return content(command.folder)


def test_a_run_that_is_stopped_at_random_moments_ends_with_the_same_records(
    undisturbed: dict[str, str], tmp_path: Path
) -> None:
    """By Ctrl-C, by five kills of the command, and by one of a worker."""
    draw, folder = random.Random(6), tmp_path / "board"
    for number in range(1 + KILLS):
        leave_some(folder, len(undisturbed))
        more = len(records(folder)) + draw.randint(1, 2)
        command = Command(folder, jobs=2 if number == 0 else 1)
        assert command.until(lambda: len(records(folder)) >= more), command.end()  # noqa: B023
        time.sleep(0.3 * draw.random())  # in the middle of the next
        if number == 0:
            began = time.monotonic()
            os.killpg(command.process.pid, signal.SIGINT)
            printed = command.end()
            assert command.process.returncode == 130 and "what was finished is kept" in printed
            assert "Traceback" not in printed and time.monotonic() - began < 60
            command.orphans_end()
        else:
            os.kill(command.process.pid, signal.SIGKILL)
            command.end()
            assert command.process.returncode == -signal.SIGKILL
            command.orphans_end()
    leave_some(folder, len(undisturbed))
    before = len(records(folder))
    place = folder / "acmg"
    (place / ".held_tonic-1-00000000.json-abcd1234").write_text("half a record")
    last = Command(folder)
    assert last.until(lambda: len(records(folder)) > before), last.end()
    os.kill(last.workers()[0], signal.SIGKILL)
    printed = last.end()
    assert last.process.returncode == 0 and "runs: 18" in printed, printed
    assert content(folder) == undisturbed
    assert not list(folder.glob("*/.*")), "temporary files"


def test_a_run_whose_process_dies_each_time_is_given_up_and_the_rest_goes_on(
    undisturbed: dict[str, str], tmp_path: Path
) -> None:
    fatal = tmp_path / "fatal.py"
    fatal.write_text(
        "import os, signal\n"
        "ENTRY = {'name': 'fatal', 'policy': 'fatal:make', 'steps': 1}\n"
        "def make(task):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    options = {"tasks": "acmg", "seeds": 1, "best-of": 0}
    command = Command(tmp_path / "board", entries=("held_tonic", str(fatal)), **options)
    printed = command.end()
    assert command.process.returncode == 0 and "failed runs: 1" in printed, printed
    found = content(command.folder)
    (lost,) = (name for name in found if "fatal" in name)
    assert "Its process died twice" in found.pop(lost)
    assert len(found) == 2 and {name: undisturbed[name] for name in found} == found


def test_a_ray_node_that_is_killed_changes_no_record(
    undisturbed: dict[str, str], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)

    class Killer:
        """Kills the second of two nodes of one core while both are at work."""

        jobs, at_work, killed = 0, 0, False

        def begun(self, run: Run) -> None:
            self.at_work += 1

        def ended(self, run: Run) -> None:
            self.at_work -= 1

        def again(self, run: Run) -> None:
            raise AssertionError("Ray begins again by itself")

        def waits(self) -> None:
            if not self.killed and self.at_work == 2 and len(records(tmp_path / "board")) >= 3:
                cluster.remove_node(second, allow_graceful=False)
                self.killed = True

    killer, entry = Killer(), tmp_path / "learner.toml"
    entry.write_text(ENTRY)
    specs = read_entries(["held_tonic", "melody_lstm", str(entry)])
    runs = plan_runs(TINY_SUITE, specs, 2, 12, best_of=4)
    try:
        work(runs, tmp_path / "board", cluster.address, killer)
    finally:
        cluster.shutdown()
    assert killer.killed
    assert content(tmp_path / "board") == undisturbed
