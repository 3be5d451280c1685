"""Two style classifiers: how well they tell unseen tunes, and what they call agents' melodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from musicgym.agents.style import StyleModel
from musicgym.benchmarks.metrics.ganorkar import inception_score
from musicgym.benchmarks.metrics.metric import Floats
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.benchmarks.published import ACMG_TABLE_1
from musicgym.benchmarks.records import HUMAN, read_records
from musicgym.benchmarks.style import StyleJudge, confusion, judge_of, scorer
from musicgym.benchmarks.style_examples import CLASSES, HALVES, Examples, corpora, examples
from musicgym.benchmarks.tasks import BenchmarkTask
from musicgym.export.extras import require
from musicgym.files import write_whole
from musicgym.task import Task

__all__ = ["measure", "section"]

Ints = npt.NDArray[np.int64]
PICTURE = "styles-confusion.png"
#: The records that the systems are read from, where they are.
RECORDS = Path("docs/results/papers/acmg")
#: The systems of the page: the record's name -> what the page calls it.
SYSTEMS = {
    HUMAN: "human, test tunes",
    "lstm": "LSTM",
    "no_theory": "no theory: PPO, no KL",
    "complete": "complete: PPO, no KL",
    "complete_kl": "complete: PPO, KL",
    "balanced_kl": "balanced: PPO, KL (the default agent)",
    "best_of_64": "best of 64",
    "best_of_1024": "best of 1,024",
    "ppo_alone": "PPO from random weights",
    "a2c_alone": "A2C from random weights",
    "markov": "Markov table",
    "alternated_chord_tones": "chord tones alternated",
    "nearest_chord_tone": "nearest chord tone",
    "held_tonic": "held tonic",
    "optimum": "exact optimum",
    "uniform_random": "uniform random",
}
#: Agents that nothing holds to human music; a two-sample test tells each from it at once.
FREE = ("no_theory", "complete", "ppo_alone", "a2c_alone")
#: The rows of ACMG's Table 1, and our records of them.
TABLE_1 = {"LSTM": "lstm", "no theory": "no_theory", "complete": "complete"}
#: Systems that nobody would call composed.
SIMPLE = ("alternated_chord_tones", "nearest_chord_tone", "held_tonic", "uniform_random")
NAMES = {"reward": "network over events, for the `style` reward",
         "metric": "boosted trees over features, for the metrics"}  # fmt: skip


class _Network:
    """The network of the reward with the face of the metrics' classifier."""

    def __init__(self, model: StyleModel) -> None:
        self.model = model

    @torch.no_grad()
    def probabilities(self, pieces: Pieces) -> Floats:
        """Return class probabilities (N, C)."""
        events, tonic = torch.from_numpy(pieces.events), torch.from_numpy(pieces.tonic)
        return np.asarray(self.model(events, tonic).exp().double().numpy())


Judge = StyleJudge | _Network


def measure(records: Path = RECORDS) -> dict[str, Any]:
    """Fit both classifiers, try them on unseen tunes, and ask them about recorded melodies.

    Args:
        records: a folder of `musicgym evaluate --out` or `musicgym papers`; without it no system is
            judged.

    Raises:
        CorpusMissing: the chorales or the folk tunes are not prepared.
    """
    task = BenchmarkTask().plain("random")
    known = corpora(task.steps_per_beat)
    judges: dict[str, Judge] = {
        "reward": _Network(scorer(task)[0]),
        "metric": judge_of(task),
    }
    tried = {split: examples(known, task, split) for split in ("validation", "test")}
    learned = {half: examples(known, task, "train", half) for half in HALVES}
    said = {half: judge.probabilities(tried["test"].pieces) for half, judge in judges.items()}
    return {
        "classes": list(CLASSES),
        "corpora": {corpus.name: corpus.fingerprint for corpus in known.values()},
        "classifiers": {
            half: {**_learned(learned[half]), **_tried(judge, tried)}
            for half, judge in judges.items()
        },
        "test": _learned(tried["test"]),
        "agreement": float((said["reward"].argmax(1) == said["metric"].argmax(1)).mean()),
        "systems": _systems(judges, records, task) if records.is_dir() else {},
    }


def _learned(given: Examples) -> dict[str, int]:
    """Return how many melodies of each class there are, and the human tunes behind them."""
    return {"melodies": len(given.style) // len(CLASSES), "tunes": len(set(given.tunes))}


def _tried(judge: Judge, tried: Mapping[str, Examples]) -> dict[str, Any]:
    """Return the accuracy on each split, and who is taken for whom on the test split."""
    found: dict[str, Any] = {}
    for split, given in tried.items():
        said = judge.probabilities(given.pieces).argmax(1)
        found[split] = float((said == given.style).mean())
        found["confusion"] = confusion(said, given.style).tolist()  # of the last: the test split
    return found


def _systems(judges: Mapping[str, Judge], folder: Path, task: Task) -> dict[str, Any]:
    """Return the share of each system's melodies that each classifier calls each class.

    A row a seed; with it the symbolic Inception Score by the metrics' classifier.
    """
    found: dict[str, Any] = {}
    for record in read_records(folder):
        path = folder / record.melodies
        if record.entry not in SYSTEMS or not record.melodies or not path.exists():
            continue
        pieces = _read(path, task)
        rows = found.setdefault(record.entry, {half: [] for half in (*HALVES, "inception_score")})
        for half, judge in judges.items():
            said = judge.probabilities(pieces)
            counts = np.bincount(said.argmax(1), minlength=len(CLASSES))
            rows[half].append((counts / len(said)).tolist())
        rows["inception_score"].append(inception_score(said))  # the metrics' classifier is last
        rows["melodies"] = record.count
    return found


def _read(path: Path, task: Task) -> Pieces:
    """Return the melodies of an archive without their chords."""
    with np.load(path, allow_pickle=False) as held:
        events, tonic, mode = (held[name].astype(np.int64) for name in ("events", "tonic", "mode"))
    low = np.full(len(events), task.low)
    return Pieces(
        events, low, tonic, mode == 1, np.zeros_like(events), task.meter, task.steps_per_beat
    )


def section(found: dict[str, Any], folder: Path) -> list[str]:
    """Return the section of the page, from what `measure` found; the picture goes to the folder."""
    write_whole(folder / PICTURE, _picture(found))
    classifiers, classes = found["classifiers"], found["classes"]
    lines = [
        "Two classifiers tell chorales, folk tunes, corrupted melodies (pitches shuffled, pitches "
        "random in the melody's own range, rhythm random: a third each, of both corpora) and "
        "random play apart, by the melody alone, without its chords. They learned from disjoint "
        "halves of the training tunes. The test tunes are unseen by both: "
        f"{found['test']['melodies']} melodies of each class, {found['test']['tunes']} tunes; "
        "chance is 25 %.",
        "",
        "| classifier | melodies a class | tunes | validation | test | "
        + " | ".join(f"{name} told" for name in classes)
        + " |",
        "|---" * (5 + len(classes)) + "|",
    ]
    for half, row in classifiers.items():
        told = " | ".join(f"{row['confusion'][k][k]:.1%}" for k in range(len(classes)))
        lines.append(
            f"| {NAMES[half]} | {row['melodies']} | {row['tunes']} | {row['validation']:.1%} "
            f"| {row['test']:.1%} | {told} |"
        )
    lines += [
        "",
        f"They agree on {found['agreement']:.1%} of the test melodies.",
        "",
        f"![Who is taken for whom](generators/{PICTURE})",
    ]
    return [*lines, *_judged(found)] if found["systems"] else lines


def _judged(found: dict[str, Any]) -> list[str]:
    """Return what the classifiers call the melodies of systems."""
    systems, classes = found["systems"], found["classes"]
    lines = [
        "",
        "What they call recorded melodies, over held-out chorale progressions, in percent: by the "
        "metrics' classifier, and in brackets by the reward's. Neither has learned from anything "
        "that an agent played, and neither has a word for music that is none of the four: a "
        "verdict is the nearest class, not a proof. ± is one standard deviation over seeds.",
        "",
        "| system | " + " | ".join(classes) + " | Inception Score |",
        "|---" * (2 + len(classes)) + "|",
    ]
    for name, title in SYSTEMS.items():
        if name in systems:
            rows = systems[name]
            cells = [
                f"{_spread(rows['metric'], k)} ({_spread(rows['reward'], k, plain=True)})"
                for k in range(len(classes))
            ]
            score = np.mean(rows["inception_score"])
            lines.append(f"| {title} | {' | '.join(cells)} | {score:.2f} |")
    printed = ACMG_TABLE_1["classical_style"]
    known = {paper: systems[ours] for paper, ours in TABLE_1.items() if ours in systems}
    place = classes.index("chorale")
    free = [name for name in FREE if name in systems]
    if free and HUMAN in systems:
        lines += [
            "",
            "On RL samples: " + "; ".join(_kept_out(systems, free, h) for h in NAMES) + ".",
        ]
    fooled = [
        f"{SYSTEMS[name]} ({_spread(systems[name]['reward'], place, plain=True)} %)"
        for name in SIMPLE
        if name in systems and np.mean([row[place] for row in systems[name]["reward"]]) > 0.5
    ]
    if fooled:
        lines += [
            "",
            "The reward's classifier takes for chorales what needs no learning: "
            + ", ".join(fooled)
            + ". Its log-odds are a reward beside rules or a KL to a prior, not alone.",
        ]
    return [
        *lines,
        "",
        "The style row of ACMG's Table 1, share taken for classical: "
        + ", ".join(
            f"{paper} {printed[paper]:g} % printed, {_spread(rows['metric'], place)} % found"
            for paper, rows in known.items()
        )
        + (
            f"; human {_spread(systems[HUMAN]['metric'], place)} %."
            if HUMAN in systems
            else "."
        ),
    ]  # fmt: skip


def _kept_out(systems: Mapping[str, Any], free: Sequence[str], half: str) -> str:
    """Return how well a classifier parts human chorales and melodies of agents held to nothing."""
    place = CLASSES.index("chorale")
    human = np.mean([row[place] for row in systems[HUMAN][half]])
    out = 1 - np.mean([row[place] for name in free for row in systems[name][half]])
    return (
        f"the {half}'s classifier keeps {out:.1%} of the melodies of agents without KL out of the "
        f"chorales, and {human:.1%} of the human ones in, an accuracy of {(human + out) / 2:.1%}"
    )


def _spread(rows: Sequence[Sequence[float]], place: int, plain: bool = False) -> str:
    """Return the mean over seeds in percent, and the standard deviation where there are several."""
    values = 100 * np.array([row[place] for row in rows])
    text = f"{values.mean():.1f}"
    return text if plain or len(values) < 2 else f"{text} ± {values.std(ddof=1):.1f}"


def _picture(found: dict[str, Any]) -> bytes:
    """Return both confusion matrices as one PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "the picture of the styles")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    classes = found["classes"]
    figure = Figure(figsize=(10, 4.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (half, row) in zip(figure.subplots(1, 2), found["classifiers"].items(), strict=True):
        table = 100 * np.array(row["confusion"])
        axes.imshow(table, cmap="Blues", vmin=0, vmax=100)
        for i, j in np.ndindex(table.shape):
            colour = "white" if table[i, j] > 50 else "#111827"
            axes.text(j, i, f"{table[i, j]:.1f}", ha="center", va="center", color=colour)
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="taken for", ylabel="is", title=f"the {half}'s: {row['test']:.1%} right")
    figure.suptitle("Held-out tunes, % of each class")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
