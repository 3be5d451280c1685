"""The page written: the data, the template, the style and the script in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from musicgym.benchmarks.records import HUMAN, Record, read_suite
from musicgym.benchmarks.suites import SUITES, Suite, SuiteTask
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.files import write_whole
from musicgym.theory import closest

from . import data, ranking
from .melodies import Archive, Studio, archive_of, optima, places, take

__all__ = ["LARGE", "embed", "page", "write_page"]

#: Bytes from which on a page is slow to open on a phone.
LARGE = 15_000_000
SCRIPTS = ("draw.js", "table.js", "charts.js", "melodies.js", "page.js")
#: Whose melodies stand beside those of every entry.
OPTIMUM = "optimum"
SECTIONS = (
    ("standings", "Standings"), ("entry", "Listen"), ("picture", "What a reward buys"),
    ("learning", "Learning"), ("runs", "Run by run"), ("tasks", "Tasks"),
    ("ranks", "How ranks are made"), ("add", "Add an entry"),
)  # fmt: skip
RANKING = (
    "An entry is graded by the return of the melodies that it samples over held-out progressions. "
    "The score of a run sets the frozen prior at temperature 1 to 0 and the exact optimum to 1; "
    "over several tasks and seeds it is their interquartile mean, with a 95 % interval from a "
    "stratified bootstrap.",
    "A reward is easily won by leaving music behind, so ranks are given within a budget of KL to "
    "the frozen prior, in nats a step. An entry qualifies where the upper 95 % limit of its KL is "
    "at most 1.05 times the budget.",
    "One entry stands above another only where the 95 % interval of their difference, melody by "
    "melody over the same progressions, leaves out 0; seeds are resampled, then tunes. Others "
    "share a rank. Entries with fewer than five seeds and trivial policies are shown without one. "
    "The ranks of a single task are indicative.",
    "Drawing N melodies of the prior and keeping the best paid one needs no training. An entry "
    "that earns less than that at its own KL is marked.",
    "Distance to human melodies, diversity and copying stand beside every score, and the human row "
    "is measured as every entry is. Its distance is a floor: human melodies against human melodies "
    "of other tunes. Human values are targets, not bounds.",
)
CHOSEN = (
    "The same progressions for every entry: the first ones that a human melody of the held-out "
    "tunes stands over, chosen by their chords alone. The melody over each is what the entry's "
    "first seed sampled; none was picked by ear. Chords sound softly below. Press the piano roll "
    "to move in time."
)
EXAMPLE = """\
name = "mine"
policy = "my_agent:make"   # a function beside this file, a checkpoint, or a built-in policy
steps = 200_000            # of the environment; the task's budget by default
about = "What it is, in a sentence."\
"""


def write_page(
    folder: Path, out: Path, melodies: int = 3, audible: Sequence[str] = (), bar: Any = None
) -> Path:
    """Write the page of a leaderboard's records; return its file, `out`/index.html.

    Args:
        folder: of the records, as `musicgym leaderboard run` leaves it.
        out: the folder of the page.
        melodies: how many of each entry on a task that sounds, 0 to 20; one on the others.
        audible: the tasks whose melodies sound; the first of the suite that has melodies by
            default. The others show a score and a piano roll.
        bar: wraps the work on melodies in a progress bar, such as `tqdm`.

    Raises:
        ValueError: records are missing or damaged, or a number or a name is not allowed.
        MissingExtra: a package that engraves or sounds is not installed.
    """
    if not 0 <= melodies <= 20:
        raise ValueError(f"melodies: {melodies!r} is not from 0 to 20.")
    records = read_suite(folder)
    suite = SUITES[records[0].suite]
    names = [task.name for task in suite.tasks]
    for name in audible:
        if name not in names:
            raise ValueError(
                f"tasks_with_audio: {name!r} is not a task of {suite.name}{closest(name, names)}"
            )
    studio = Studio()
    blocks = _blocks(folder, records, suite, studio, melodies, audible, bar)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "index.html"
    write_whole(path, page(records, suite, blocks, studio.glyphs.svg, str(folder)).encode())
    return path


def page(
    records: Sequence[Record],
    suite: Suite,
    blocks: Mapping[str, Mapping[str, Any]],
    glyphs: str = "",
    folder: str = "DIR",
) -> str:
    """Return the page as HTML.

    Args:
        records: of one suite.
        suite: the suite.
        blocks: task -> entry -> its melodies, as `Studio.melodies` gives them.
        glyphs: the signs of music that the scores use.
        folder: where the records lie, for the commands on the page.
    """
    from jinja2 import Environment, StrictUndefined

    own = files(__package__)
    made = [record for record in records if not record.error]
    there = [task for task in suite.tasks if any(r.task_name == task.name for r in records)]
    found = data.cells(made, suite)
    numbers = {f"melodies-{i}-{j}": each for i, by in enumerate(blocks.values())
               for j, each in enumerate(by.values())}  # fmt: skip
    shown = data.figures(
        dict.fromkeys(n for by in found.values() for cell in by.values() for n in cell["f"])
    )
    told = {
        "suite": suite.name,
        "human": HUMAN,
        "optimum": OPTIMUM,
        "tasks": [{"name": task.name} for task in there],
        "sounding": [
            task
            for task, by in blocks.items()
            if any(melody["sound"] for each in by.values() for melody in each)
        ],
        "figures": shown,
        "columns": [name for name in data.COLUMNS if name in shown],
        "kinds": data.KINDS,
        "entries": data.entries(records),
        "cells": found,
        **ranking.rankings(records),
        "melodies": {
            task: {entry: f"melodies-{i}-{j}" for j, entry in enumerate(by)}
            for i, (task, by) in enumerate(blocks.items())
        },
        "chosen": CHOSEN,
    }
    text = (own / "page.html.jinja").read_text()
    script = "\n".join((own / name).read_text() for name in SCRIPTS)
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    from markupsafe import Markup

    return template.render(
        title=f"Suite {suite.name}",
        lead=_lead(there),
        facts=_facts(made, there),
        sections=SECTIONS,
        tasks=[_task(task) for task in there],
        ranking=RANKING,
        example=EXAMPLE,
        commands=f"musicgym leaderboard run --suite {suite.name} --entries mine.toml --seeds 5 "
        f"--out {folder}\nmusicgym leaderboard page {folder} --out site/",
        records=f"{len(records):,}",
        failed=len(records) - len(made),
        versions=_versions(made),
        css=Markup((own / "page.css").read_text()),
        glyphs=Markup(glyphs),
        data=Markup(embed(told)),
        blocks=[{"id": name, "json": Markup(embed(each))} for name, each in numbers.items()],
        script=Markup(f'"use strict";\n{PARSED}\n{script}'),
    )  # fmt: skip


#: Objects without a prototype: an entry may be called like what every object has.
PARSED = (
    "const parsed = (text) => JSON.parse(text, (name, value) => value && typeof value === 'object'"
    " && !Array.isArray(value) ? Object.setPrototypeOf(value, null) : value);\n"
    'const DATA = parsed(document.getElementById("data").textContent);'
)


def embed(told: Any) -> str:
    r"""Return JSON that no text in it can break out of a script element with.

    >>> embed({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _blocks(
    folder: Path,
    records: Sequence[Record],
    suite: Suite,
    studio: Studio,
    count: int,
    audible: Sequence[str],
    bar: Any,
) -> dict[str, dict[str, Any]]:
    """Return task -> entry -> melodies; of each entry the record of its first seed."""
    held: dict[str, dict[str, tuple[Record, Archive]]] = {}
    for record in sorted(records, key=lambda r: (r.entry != HUMAN, r.entry, r.seed)):
        by = held.setdefault(record.task_name, {})
        if count and not record.error and record.entry not in by:
            archive = archive_of(folder, record)
            if archive is not None:
                by[record.entry] = (record, archive)
    order = [task.name for task in suite.tasks if held.get(task.name)]
    loud = set(audible or order[:1])
    work = [(task, entry) for task in order for entry in held[task]]
    shown: dict[str, dict[str, Any]] = {task: {} for task in order}
    chosen: dict[str, Any] = {}
    for task, entry in bar(work) if bar else work:
        ground = suite.task(task).task
        if task not in chosen:
            chosen[task] = _chosen(held[task], ground, count if task in loud else 1)
        numbers, at, best = chosen[task][entry == HUMAN]
        if numbers:
            record, archive = held[task][entry]
            shown[task][entry] = studio.melodies(
                ground, record, take(archive, at), numbers, best, task in loud
            )
    return shown


def _chosen(
    by: Mapping[str, tuple[Record, Archive]], task: BenchmarkTask, count: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return for entries and for the human row: numbers of progressions, places, optima."""
    human = by[HUMAN][1] if HUMAN in by else None
    played = next((archive for name, (_, archive) in by.items() if name != HUMAN), human)
    assert played is not None
    found = places(played, human, count)
    at = [place for place, _ in found]
    over = [(number, place) for number, (_, place) in enumerate(found) if place is not None]
    numbers, written = [n for n, _ in over], [p for _, p in over]
    best = dict(enumerate(optima(task, take(played, at))))
    own = best  # over the same chords, unless the human melody has another opening
    if human is not None and task.given and over:
        own = dict(zip(numbers, optima(task, take(human, written)), strict=False))
    return (list(range(len(at))), at, best), (numbers, written, own)


def _lead(tasks: Sequence[SuiteTask]) -> str:
    many = f"{len(tasks)} tasks" if len(tasks) > 1 else "one task"
    return (
        f"Melodies over given chords on {many}: who earns most, at what distance from human "
        f"music, and what it sounds like."
    )


def _facts(records: Sequence[Record], tasks: Sequence[SuiteTask]) -> list[str]:
    names = {record.entry for record in records if record.entry != HUMAN}
    seeds = {record.seed for record in records if record.entry != HUMAN}
    most = max((record.count for record in records), default=0)
    days = sorted({str(r.made["date"])[:10] for r in records if r.made.get("date")})
    facts = [f"{len(tasks)} tasks" if len(tasks) != 1 else "1 task", f"{len(names)} entries"]
    facts += [f"up to {len(seeds)} seeds", f"up to {most} melodies a seed"]
    if days:
        facts.append(f"records of {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else ""))
    return facts


def _task(task: SuiteTask) -> dict[str, str]:
    return {
        "name": task.name.replace("_", " "),
        "about": task.about,
        "steps": f"{task.budget:,} steps",
        "focus": task.focus.replace("_", " "),
        "no_optimum": task.no_optimum,
        "spec": json.dumps(task.task.spec, indent=1, sort_keys=True),
    }


def _versions(records: Sequence[Record]) -> str:
    """Return the versions that the records were made with, each of the values that there are."""
    said: dict[str, set[str]] = {}
    for record in records:
        for name in ("musicgym", "revision", "python", "numpy", "torch", "gymnasium"):
            if record.made.get(name):
                said.setdefault(name, set()).add(str(record.made[name]))
    return "; ".join(f"{name} {', '.join(sorted(each))}" for name, each in said.items())
