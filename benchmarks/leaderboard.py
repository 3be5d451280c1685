"""The leaderboard's runs: what there is to train and grade, and how one of them is carried out.

A run is a task of a suite, an entry and a seed; it ends with one record (best of N: one for each N)
in ``DIR/<task>/``. What has its record is never made again, so a folder is gone on with by asking
for the same again, and folders are merged by copying.
"""

from __future__ import annotations

import errno
import json
import os
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from musicgym.corpus.dataset import Corpus, prepare
from musicgym.theory import closest

from .entries import PLANNERS, Workshop
from .entry_files import EntrySpec
from .evaluate import Evaluation, search_sizes
from .records import HUMAN, Record, stem
from .suites import SUITES, Suite
from .tasks import BenchmarkTask
from .throughput.rows import machine

__all__ = [
    "AGENTS",
    "Run",
    "carry_out",
    "claimed",
    "fail",
    "failures",
    "missing",
    "plan_runs",
    "suite_of",
]

#: The folder of the trained agents, beside those of the tasks.
AGENTS = "agents"
#: The kinds of runs in the order in which they are made: what others wait for comes first.
KINDS = ("human", "simple", "search", "trained")
#: Frames of a traceback that the record of a failure tells.
FRAMES = 3
#: What a write that was killed leaves.
LEFT_OVER = re.compile(r"\..+\.(json|npz|safetensors)-\w{8}")


@dataclass(frozen=True)
class Run:
    """What is to be trained and graded; plain data, so that any process or machine can do it.

    Attributes:
        suite: the suite's name.
        task_name: the task's name in it.
        task: the fields of the `BenchmarkTask`.
        entry: what plays; its ``steps`` are those of this run.
        seed: of the training and of the episodes; 0 for the human row.
        count: melodies of its record.
        kind: human, simple, search (of the prior: a record for each N) or trained.
        largest: the largest N of a search.
    """

    suite: str
    task_name: str
    task: Mapping[str, Any]
    entry: EntrySpec
    seed: int
    count: int
    kind: str
    largest: int = 0

    @property
    def names(self) -> list[str]:
        """The entries of its records."""
        sizes = search_sizes(self.largest)
        return [f"best_of_{n}" for n in sizes] if self.kind == "search" else [self.entry.name]

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.task_name} {self.names[-1]} {self.seed}"


def suite_of(name: str) -> Suite:
    """Return the suite of a name, or raise a ValueError that says which there are."""
    if name not in SUITES:
        raise ValueError(
            f"suite: {name!r} is none{closest(name, SUITES)}; there are {', '.join(SUITES)}."
        )
    return SUITES[name]


def plan_runs(
    suite: Suite,
    specs: Sequence[EntrySpec],
    seeds: int,
    count: int = 300,
    tasks: Sequence[str] = (),
    steps: int | None = None,
    best_of: int = 0,
) -> list[Run]:
    """Return all runs, in the order in which they are best made.

    First what others share: the human rows, whose task's prior is made on the way. Then the simple
    entries, task by task; the searches; and the trained entries, seed by seed, so that whenever it
    is stopped all entries have about as many seeds. Tasks without an exact optimum have no rows of
    the planners.

    Args:
        suite: whose tasks.
        specs: the entries.
        seeds: 1 to this.
        count: melodies a record.
        tasks: names of tasks; all by default.
        steps: of every training, instead of the entry's own or the task's budget.
        best_of: the largest N of the rows of best of N, a power of two; 0 for none.

    Raises:
        ValueError: a number is out of its range, there is no such task, or a name is there twice.
    """
    if seeds < 1:
        raise ValueError(f"seeds: {seeds!r} is not 1 or more.")
    if steps is not None and steps < 1:
        raise ValueError(f"steps: {steps!r} is not 1 or more.")
    if not 2 <= count <= 10_000:
        raise ValueError(f"count: {count!r} is not from 2 to 10,000 melodies.")
    if best_of and (best_of < 2 or best_of & (best_of - 1)):
        raise ValueError(f"best_of: {best_of!r} is not 0 or a power of two from 2.")
    known = [task.name for task in suite.tasks]
    for name in tasks:
        if name not in known:
            raise ValueError(
                f"tasks: {name!r} is none of suite {suite.name}{closest(name, known)}; it has "
                f"{', '.join(known)}."
            )
    pooled = {f"best_of_{n}" for n in search_sizes(best_of)}  # these have rows of their own
    wanted = [spec for spec in specs if spec.name not in pooled]
    names = [HUMAN, *(spec.name for spec in wanted)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"entries: two are called {name!r}; rename one.")
    runs = []
    for task in suite.tasks:
        if tasks and task.name not in tasks:
            continue
        place = (suite.name, task.name, json.loads(task.task.json))
        runs.append(Run(*place, EntrySpec(HUMAN, HUMAN, 0), 0, count, "human"))
        for seed in range(1, seeds + 1):
            if best_of:
                search = EntrySpec(f"best_of_{best_of}", f"best_of_{best_of}", 0)
                runs.append(Run(*place, search, seed, count, "search", best_of))
            for spec in wanted:
                if spec.policy in PLANNERS and task.no_optimum:
                    continue
                kind, entry = "simple", spec
                if spec.learns:
                    kind, entry = "trained", replace(spec, steps=steps or spec.steps or task.budget)
                runs.append(Run(*place, entry, seed, count, kind))
    return sorted(runs, key=_turn)


def _turn(run: Run) -> tuple[int, int]:
    """Return what runs are ordered by; those that are alike keep their order."""
    return KINDS.index(run.kind), run.seed if run.kind == "trained" else 0


def missing(runs: Iterable[Run], folder: Path, retry: bool = False) -> list[Run]:
    """Return the runs that have no record yet, or whose record is of a failure where `retry` is.

    Corpora that are not prepared yet are prepared; nothing is trained.

    Raises:
        ValueError: an entry cannot be loaded; a record there was edited; or the folder has a record
            of that task, entry and seed that came about otherwise.
    """

    def done(record: Record | None) -> bool:
        return record is not None and not (retry and record.error)

    left = [run for run in runs if not all(map(done, held(run, folder).values()))]
    for run in left:
        if run.kind in ("simple", "trained") and run.seed == 1:  # the others are like it
            _graded(run).workshop.check(run.entry)
    return left


def held(run: Run, folder: Path) -> dict[str, Record | None]:
    """Return the records that a folder has of a run, by their entries' names.

    Raises:
        ValueError: one was edited, came about otherwise, or is there twice.
    """
    place, found = folder / run.task_name, dict[str, Record | None]()
    content = _content(run, _graded(run))
    for name in run.names:
        paths = sorted(place.glob(f"{escape(stem(name, run.seed))}-????????.json"))
        if len(paths) > 1:
            raise ValueError(
                f"out: {paths[0]} and {paths[1]} are both of {name}, seed {run.seed}; keep one."
            )
        found[name] = record = Record.read(paths[0]) if paths else None
        if record is None:
            continue
        same = (record.task, record.facts.get("content")) == (run.task, content)
        if not same or (record.count != run.count and run.kind != "human"):
            raise ValueError(
                f"out: {paths[0]} came about otherwise (another task, other settings, steps, "
                f"melodies or corpus); give another folder, or delete it."
            )
    return found


def failures(runs: Iterable[Run], folder: Path) -> list[tuple[Run, str]]:
    """Return the runs that have failed, and why."""
    return [
        (run, record.error)
        for run in runs
        for record in [r for r in held(run, folder).values() if r and r.error][:1]
    ]


def carry_out(run: Run, folder: Path, agents: Path | None = None) -> Path:
    """Train and grade, and write what was found; return the path of the (last) record.

    The melodies are written first and the record last, each whole. An entry that fails leaves a
    record of its failure.

    Args:
        run: what to do.
        folder: of the records.
        agents: where trained agents are kept; the folder's own by default.

    Raises:
        OSError: the disk is full.
    """
    graded, place = _graded(run, agents or folder / AGENTS), folder / run.task_name
    for record in held(run, folder).values():
        if record and record.error:
            (place / record.file).unlink()  # it is tried again
    try:
        if run.kind == "human":
            made = graded.human_record(place)
        elif run.kind == "search":
            made = graded.best_of(run.largest, run.seed, place)[-1]
        else:
            made = graded.grade(run.entry, run.seed, place)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        return fail(run, folder, told(error))
    return place / made.file


def fail(run: Run, folder: Path, why: str) -> Path:
    """Write that a run failed, and why; return the path of the (last) record."""
    graded, path = _graded(run), folder
    facts = {**run.entry.facts, "content": _content(run, graded)}
    made = {**machine(), "corpus": graded.workshop.corpus.fingerprint}
    for name, record in held(run, folder).items():
        if record is None:
            record = Record(
                run.task, name, run.seed, run.count, {}, facts, made, suite=run.suite,
                task_name=run.task_name, error=why,
            )  # fmt: skip
        path = record.write(folder / run.task_name)
    return path


def told(error: BaseException) -> str:
    """Return an exception's sentence and where it came from, without the paths of this machine."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    lines = [f"{_within(f.filename)}, line {f.lineno}, in {f.name}: {f.line}" for f in frames]
    return "\n  ".join([_pathless(f"{type(error).__name__}: {error}"), *lines])


def _within(file: str) -> str:
    """Return a source file from its package on."""
    parts = Path(file).parts
    for place, part in enumerate(parts):
        if part == "site-packages":
            return "/".join(parts[place + 1 :])
    package = Path(__file__).parents[1]
    return (
        Path(file).relative_to(package).as_posix() if package in Path(file).parents else parts[-1]
    )


def _pathless(text: str) -> str:
    """Return a text in which a path from the root is its last part."""
    return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^\s'\":;,\\/]+[\\/])+", "", text)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have a folder for this process alone, and remove what writes that were killed left there.

    Raises:
        ValueError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"out: another `musicgym leaderboard run` is at work in {folder}; wait for it, or give "
            f"another folder and copy the records together."
        ) from None
    try:
        for path in folder.glob("*/.*"):
            if LEFT_OVER.fullmatch(path.name):
                path.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _graded(run: Run, agents: Path | None = None) -> Evaluation:
    """Return what grades the runs of a task; this process keeps it with all that they share."""
    text = json.dumps(run.task, sort_keys=True)
    return _evaluation(run.suite, run.task_name, text, run.count, agents)


@lru_cache(maxsize=64)
def _evaluation(
    suite: str, task_name: str, text: str, count: int, agents: Path | None
) -> Evaluation:
    task = BenchmarkTask(**json.loads(text))
    corpus = _corpus(task.corpus, task.steps_per_beat)
    shop = Workshop(task, corpus, lambda name, total: lambda figures: None, agents=agents)
    return Evaluation(shop, count, suite=suite, task_name=task_name)


@lru_cache
def _corpus(name: str, steps_per_beat: int) -> Corpus:
    jobs = os.cpu_count() or 1
    return prepare(name, steps_per_beat=steps_per_beat, jobs=jobs, progress=False)


def _content(run: Run, graded: Evaluation) -> str:
    """Return what fixes the outcome of a run beside its task, entry, seed and count."""
    if run.kind == "human":
        return graded.human_content
    if run.kind == "search":
        return graded.pool_content
    return graded.workshop.content(run.entry, run.seed)
