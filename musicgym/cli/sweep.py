"""The command `sweep`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro import conf

from .text import silent, wrapped

__all__ = ["Sweep"]


@dataclass(frozen=True)
class Sweep:
    """Vary settings of an agent, train and grade every point, and show what each one does.

    A point that has its record is not made again: stopped at any moment, the same command goes on
    from there, and more values or trials add to what there is. Choices are made on the validation
    split. The best point is written to best.toml for `musicgym leaderboard run --entries`.

    Attributes:
        task: a name of the suite, a preset of rewards, JSON text, or a JSON file.
        vary: FIELD=VALUES, once for each field: kl.target=0.05,0.1 or, to be drawn,
            kl.target=0.01..0.3 or learning.learning_rate=log:0.0003..0.01. rewards.TERM=1,3,5 are
            weights that the agent learns on; it is graded by the task's own.
        out: folder of the records, the picture and the best entry.
        entry: the agent: a built-in name, or a file of your own (.toml or .py).
        seeds: of each point.
        steps: environment steps of a training, instead of those that entry or task say.
        count: melodies a record.
        search: all points of the grid, points at random, or those that Optuna looks at.
        trials: points of a random or Bayesian search; 20 by default.
        search_seed: of the search.
        batch: points that the Bayesian search asks for at once; more keep more jobs busy.
        objective: the figure that the best point is best in, such as return, share_of_optimum,
            mmd2, or validation_loss of a generator.
        better: whether higher or lower is better, where it is not as usual for the figure.
        split: what is graded on; test is used once, when the choice is made.
        suite: whose task it is.
        jobs: processes that work side by side.
        ray: address of a Ray cluster that does the work; "local" starts one here.
        retry: run again what has failed.
        picture: where to draw the effects; sweep.png in the folder by default.
        markdown: where to write the table as Markdown; it is printed in any case.
    """

    task: str = field(kw_only=True)
    out: Path = field(kw_only=True)
    vary: conf.UseAppendAction[tuple[str, ...]] = ()
    entry: str = "acmg_ppo"
    seeds: int = 3
    steps: int | None = None
    count: int = 300
    search: Literal["grid", "random", "bayes"] = "grid"
    trials: int | None = None
    search_seed: int = 1
    batch: int = 1
    objective: str = "return"
    better: Literal["usual", "higher", "lower"] = "usual"
    split: Literal["validation", "test"] = "validation"
    suite: str = "v1"
    jobs: int = 1
    ray: str | None = None
    retry: bool = False
    picture: Path | None = None
    markdown: Path | None = None

    def run(self) -> None:
        """Run the command."""
        from musicgym.benchmarks import sweep, sweep_picture, sweep_results, sweep_text
        from musicgym.benchmarks.entry_files import read_entries
        from musicgym.benchmarks.evaluate import evaluation
        from musicgym.benchmarks.sweep_axes import read_axes
        from musicgym.benchmarks.sweep_search import search
        from musicgym.export.extras import MissingExtra
        from musicgym.files import write_whole

        task = sweep.task_of(self.task, self.split, self.suite)
        entries = read_entries((self.entry,))
        if len(entries) != 1:
            raise ValueError(f"entry: {self.entry!r} is {len(entries)} entries; name one.")
        better = "" if self.better == "usual" else self.better
        objective = sweep_results.objective_of(self.objective, task, entries[0], better)
        shop = evaluation(task.task, self.count, silent).workshop
        axes = read_axes(self.vary, shop, entries[0], self.search)
        asked = sweep.Sweep(task, entries[0], tuple(axes), self.seeds, self.count, self.steps)
        found = search(
            asked, self.out, objective, self.search, self.trials, self.search_seed, self.batch,
            self.jobs, self.ray, self.retry,
        )  # fmt: skip
        human = sweep_results.human_of(asked, self.out)
        told = [*sweep_text.about(asked, found, objective), "",
                *sweep_text.notes(found, objective)]  # fmt: skip
        print(*wrapped(told[: told.index("")]), "", sep="\n")
        print(sweep_text.columns(asked, found, objective, human), "", sep="\n")
        print(*wrapped(told[told.index("") + 1 :]), sep="\n")
        if self.markdown:
            table = sweep_text.markdown(asked, found, objective, human)
            self.markdown.parent.mkdir(parents=True, exist_ok=True)
            cut = told.index("")
            text = "\n\n".join([*told[:cut], table, *told[cut + 1 :], ""])
            write_whole(self.markdown, text.encode())
        if not any(result.records for result in found):
            raise ValueError("sweep: every run has failed; with --retry they are tried again.")
        best = sweep_results.ranked(found, objective)[0]
        if not best.errors and not best.point.folder:
            write_whole(self.out / "best.toml", sweep_results.best_entry(best, asked).encode())
            print(self.out / "best.toml")
        path = self.picture or self.out / "sweep.png"
        try:
            drawn = sweep_picture.picture(asked, found, objective, human)
        except MissingExtra as error:
            print(f"no picture: {error}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, drawn)
            print(path)
