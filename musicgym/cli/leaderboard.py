"""The leaderboard's commands: `leaderboard run | show | report | page`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro import conf

from .text import wrapped

__all__ = [
    "Leaderboard", "LeaderboardPage", "LeaderboardReport", "LeaderboardRun", "LeaderboardShow",
]  # fmt: skip


@dataclass(frozen=True)
class LeaderboardRun:
    """Train and grade entries on the tasks of a suite; what has a record is not made again.

    Stopped at any moment, the same command goes on from there.

    Attributes:
        out: folder of the records, a folder a task; trained agents go to its folder agents.
        suite: v1, or small.
        entries: names, such as acmg_ppo, or all, simple, learned, sb3, generators for several;
            checkpoints; and files of your own entries (.toml or .py).
        tasks: of the suite; all by default.
        seeds: how many, of the training and of the episodes.
        count: melodies a record.
        steps: environment steps of a training, instead of those that entry or task say.
        best_of: largest N of the best-of-N rows of the prior, a power of two; 0 leaves them out.
        jobs: processes that work side by side.
        ray: address of a Ray cluster that does the work; "local" starts one here.
        retry: run again what has failed.
    """

    out: Path = field(kw_only=True)
    suite: str = "v1"
    entries: tuple[str, ...] = ("all",)
    tasks: tuple[str, ...] = ()
    seeds: int = 5
    count: int = 300
    steps: int | None = None
    best_of: int = 1024
    jobs: int = 1
    ray: str | None = None
    retry: bool = False

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks import leaderboard, leaderboard_ray, leaderboard_workers
        from musicgym.benchmarks.entry_files import read_entries
        from musicgym.benchmarks.leaderboard_progress import Display

        if self.jobs < 1:
            raise ValueError(f"jobs: {self.jobs!r} is not 1 or more.")
        runs = leaderboard.plan_runs(
            leaderboard.suite_of(self.suite), read_entries(self.entries), self.seeds, self.count,
            self.tasks, self.steps, self.best_of,
        )  # fmt: skip
        with leaderboard.claimed(self.out):
            left = leaderboard.missing(runs, self.out, self.retry)
            with Display(left, len(runs) - len(left), self.jobs) as display:
                if self.ray:
                    leaderboard_ray.work(left, self.out, self.ray, display)
                else:
                    leaderboard_workers.work(left, self.out, self.jobs, display)
            failed = leaderboard.failures(runs, self.out)
        print(f"runs: {len(runs)}, of which {len(left)} were made now; records in {self.out}")
        for run, why in failed:
            print(f"failed: {run}: {why.splitlines()[0]}")
        if failed:
            print(f"failed runs: {len(failed)}; with --retry they are tried again.")


@dataclass(frozen=True)
class LeaderboardShow:
    """Show who stands where, and how surely.

    Attributes:
        folder: of the records that `musicgym leaderboard run` wrote.
        task: one task of the suite; all together by default.
        budget: rank only entries that keep to so much KL to the frozen prior, in nats a step:
            usually 0.02, 0.05, 0.1 or 0.3. Without it all are ranked.
        entry: show only these; ranks stay those among all.
        markdown: where to write the table as Markdown; it is printed in any case.
    """

    folder: conf.Positional[Path]
    task: str = ""
    budget: float | None = None
    entry: tuple[str, ...] = ()
    markdown: Path | None = None

    def run(self) -> None:
        """Run the command."""
        import gc

        from musicgym.benchmarks import standings_text
        from musicgym.benchmarks.records import read_suite
        from musicgym.benchmarks.standings import standings
        from musicgym.files import write_whole

        gc.disable()  # thousands of records and no garbage: looking for it doubles the time
        found = standings(read_suite(self.folder), self.budget, self.task)
        print(standings_text.columns(found, self.entry))
        print("", *wrapped(standings_text.explained(found, self.entry)), sep="\n")
        if self.markdown:
            table = standings_text.markdown(found, self.entry)
            lines = [table, "", *standings_text.explained(found, self.entry), ""]
            self.markdown.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.markdown, "\n".join(lines).encode())


@dataclass(frozen=True)
class LeaderboardReport:
    """Write a leaderboard as tables in Markdown: its tasks, all budgets, every task.

    Attributes:
        folder: of the records that `musicgym leaderboard run` wrote.
        out: where to write it; leaderboard.md in the folder by default.
    """

    folder: conf.Positional[Path]
    out: Path | None = None

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks.records import read_suite
        from musicgym.benchmarks.standings_report import report
        from musicgym.files import write_whole

        text, path = report(read_suite(self.folder)), self.out or self.folder / "leaderboard.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
        print(path)


@dataclass(frozen=True)
class LeaderboardPage:
    """Write a leaderboard as one page that needs no network: a table, pictures, melodies to hear.

    Attributes:
        records: folder of the records, as `leaderboard run` leaves it.
        out: folder of the page; its file is index.html.
        melodies: of each entry on a task that sounds, one on the others; 0 leaves all out.
        tasks_with_audio: tasks whose melodies sound; the first that has melodies by default. Those
            of the other tasks are shown as scores and piano rolls. A melody of 8 bars takes about
            80 kB with sound and 8 kB without.
    """

    records: conf.Positional[Path]
    out: Path = field(kw_only=True)
    melodies: int = 3
    tasks_with_audio: tuple[str, ...] = ()

    def run(self) -> None:
        """Run the command."""
        from functools import partial

        from tqdm import tqdm

        from musicgym.benchmarks.page import LARGE, write_page

        bar = partial(tqdm, desc="melodies", unit="entry", dynamic_ncols=True, leave=False)
        path = write_page(self.records, self.out, self.melodies, self.tasks_with_audio, bar)
        size = path.stat().st_size
        print(f"{path}: {size / 1e6:.1f} MB; open it in a browser, it needs no network.")
        if size > LARGE:
            print(
                "It is large for a phone: fewer --melodies or --tasks-with-audio make it smaller."
            )


@dataclass(frozen=True)
class Leaderboard:
    """Run entries over a suite of tasks, show who stands where, and write the page of it."""

    what: (
        Annotated[LeaderboardRun, conf.subcommand("run")]
        | Annotated[LeaderboardShow, conf.subcommand("show")]
        | Annotated[LeaderboardReport, conf.subcommand("report")]
        | Annotated[LeaderboardPage, conf.subcommand("page")]
    )

    def run(self) -> None:
        """Run the command."""
        self.what.run()
