"""Records as the data of the page: a cell a task and entry, and who stands where at each budget."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from musicgym.agents.configs import GENERATORS
from musicgym.benchmarks import statistics
from musicgym.benchmarks.diversity import DIVERSITY
from musicgym.benchmarks.entries import PLANNERS, SIMPLE
from musicgym.benchmarks.entry_files import BUILT_IN
from musicgym.benchmarks.metrics import METRICS
from musicgym.benchmarks.records import HUMAN, Record
from musicgym.benchmarks.suites import Suite
from musicgym.benchmarks.tables import scale

__all__ = ["COLUMNS", "KINDS", "cells", "entries", "figures", "kind"]

#: The figures of the table, in its order.
COLUMNS = ("return", "share_of_optimum", "kl", "mmd2", "vendi", "copied")
#: What the picture asks for beside them.
PICTURED = ("frechet", "c2st", "entropy")
KINDS = {
    "human": "human melodies", "learned": "trained", "generator": "generator",
    "prior": "prior", "search": "search", "planner": "planner",
    "simple": "simple policy",
}  # fmt: skip
#: Whether more of a figure is better (1) or less (-1), where that is so.
BETTER = {"return": 1, "share_of_optimum": 1, "kl": -1, "mmd2": -1, "frechet": -1, "c2st": -1,
          "vendi": 1, "copied": -1}  # fmt: skip
TITLES = {
    "return": ("Return", "What the reward pays a melody"),
    "share_of_optimum": ("Share of optimum", "The return as a share of the exact optimum"),
    "kl": ("KL", "Nats a step from the frozen prior"),
    "mmd2": ("Human distance", "Unbiased squared kernel distance (MMD²) on 42 features of melodies;"
             " the human row is the floor, human melodies against human melodies of other tunes"),
    "frechet": ("Fréchet distance", "Symbolic Fréchet distance to human melodies"),
    "c2st": ("Told from human", "How often a classifier tells the melodies from human ones; 50 % is"
             " not at all"),
    "vendi": ("Diversity", "Vendi score: how many unlike melodies there are in effect"),
    "copied": ("Copied", "Melodies of 12 intervals or more that stand in a human piece"),
    "entropy": ("Entropy", "Nats a step"),
}  # fmt: skip
FAMILIES = {
    "acmg": "ACMG", "rl_tuner": "RL Tuner", "zhao": "Zhao et al.", "ganorkar": "Ganorkar et al.",
    "muspy_metrics": "MusPy", "mgeval": "MGEval", "musdr": "MusDr",
}  # fmt: skip
OF_OPTIMUM = "share_of_optimum"
CURVE = 3  # columns of a learning curve: environment steps, return, KL


def kind(entry: str, facts: Mapping[str, Any]) -> str:
    """Return what kind of system an entry is, one of `KINDS`."""
    name = str(facts.get("policy") or entry)
    if entry == HUMAN:
        return "human"
    if facts.get("training_steps"):
        return "learned"
    if name.startswith("best_of_"):
        return "search"
    if name.startswith(("melody_lstm", "markov")):
        return "prior"
    if name in PLANNERS:
        return "planner"
    if name in SIMPLE:
        return "simple"
    return "generator" if name in GENERATORS else "learned"


def figures(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return how people read figures: label, unit, what it is multiplied by, digits, family.

    ``apart``: tasks have their own scale of it, so that it has no mean over them.
    """
    found = {}
    for name in names:
        metric = METRICS.get(name)
        unit = metric.unit if metric and metric.unit != "%" else ""
        plain = name.replace("_", " ") + (f" ({unit})" if unit else "")
        text, hint = TITLES.get(name, (plain, ""))
        percent = scale(name) == 100
        found[name] = {
            "label": text,
            "hint": hint or (metric.title if metric else ""),
            "unit": "%" if percent else "",
            "scale": 100 if percent else 1,
            "digits": 1 if percent else 2 if name in ("return", "vendi") else 3,
            "good": BETTER.get(name, 0),
            "family": _family(name),
            "apart": name in ("return", "optimum") or name.startswith("return_"),
        }
    return found


def _family(name: str) -> str:
    if name in METRICS:
        return FAMILIES.get(METRICS[name].family, METRICS[name].family)
    if name in DIVERSITY:
        return "Diversity and copying"
    if name in ("mmd2", "frechet", "c2st") or name.startswith("js_"):
        return "Human-likeness"
    if name.startswith("return_") or name in ("return", "optimum", "share_of_optimum"):
        return "Reward"
    if name in ("kl", "entropy", "kl_to_base"):
        return "Policy"
    return "Judges" if not name.startswith("pitch_class_") else "Pitch classes"


def cells(records: Sequence[Record], suite: Suite) -> dict[str, dict[str, dict[str, Any]]]:
    """Return task -> entry -> its seeds, samples, figures [value, low, high], learning curve.

    The task "" is the whole suite: means over its tasks, of the entries that have run on all.
    """
    grouped: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if not record.error:
            grouped[record.task_name][record.entry].append(record)
    found = {task: {n: _cell(rows) for n, rows in by.items()} for task, by in grouped.items()}
    tasks = [task.name for task in suite.tasks if task.name in grouped]
    if len(tasks) > 1:
        names = {name for by in grouped.values() for name in by}
        whole = [n for n in sorted(names) if all(n in grouped[task] for task in tasks)]
        found[""] = {n: _over_tasks(n, [grouped[task][n] for task in tasks]) for n in whole}
    return found


def _cell(rows: Sequence[Record]) -> dict[str, Any]:
    first, is_human = rows[0], rows[0].entry == HUMAN
    names = [n for n in first.figures if not n.endswith("_deviation")]
    values = np.array([[row.value(name) for row in rows] for name in names], np.float64)  # (F, R)
    known = ~np.isnan(values)
    counts = known.sum(1)
    means = np.where(counts > 0, np.nansum(values, 1) / np.maximum(counts, 1), np.nan)
    found = {n: [_round(m)] for n, m, c in zip(names, means, counts, strict=True) if c}
    exact = [n for n in (*COLUMNS, *PICTURED) if n in found and known[names.index(n)].all()]
    if len(rows) > 1 and exact:
        at = [names.index(name) for name in exact]
        ends = statistics.mean_estimates(values[at])
        found |= {name: [_round(v) for v in each] for name, each in zip(exact, ends, strict=True)}
    if is_human:  # a floor has the spread of the partings that it is the mean of
        for name in [n for n in found if f"{n}_deviation" in first.figures]:
            value, spread = first.value(name), first.value(f"{name}_deviation")
            found[name] = [_round(v) for v in (value, value - spread, value + spread)]
    cell = {"seeds": len(rows), "melodies": first.count, "f": found}
    if not is_human:
        cell["samples"] = first.facts.get("samples", 1)
    if curve := _curve(rows):
        cell["curve"] = curve
    return cell


def _over_tasks(name: str, tasks: Sequence[Sequence[Record]]) -> dict[str, Any]:
    """Return the cell of an entry over several tasks: the means of what every task has.

    The share of the optimum is over the tasks that have one.
    """
    runs = min(map(len, tasks))
    common = set.intersection(*({*rows[0].figures} for rows in tasks))
    exact = [rows for rows in tasks if OF_OPTIMUM in rows[0].figures]
    found = {}
    for figure, about in figures(sorted(common | ({OF_OPTIMUM} if exact else set()))).items():
        if about["apart"] or figure.endswith("_deviation"):
            continue
        played = exact if figure == OF_OPTIMUM else tasks
        scores = np.array([[row.value(figure) for row in rows[:runs]] for rows in played]).T
        if np.isnan(scores).any():
            continue
        if figure in COLUMNS and runs > 1:
            found[figure] = [_round(v) for v in statistics.estimate(statistics.mean, scores)]
        else:
            found[figure] = [_round(float(scores.mean()))]
    first = tasks[0][0]
    return {
        "seeds": runs,
        "melodies": first.count,
        "f": {n: found[n] for n in first.figures if n in found},
        **({} if name == HUMAN else {"samples": first.facts.get("samples", 1)}),
    }


def _curve(rows: Sequence[Record]) -> list[list[float | None]]:
    """Return steps, and the mean, least and most over seeds of return and KL, at common steps."""
    curves = [np.array(row.curve, np.float64) for row in rows if row.curve]
    if not curves or any(c.shape[1] != CURVE for c in curves):
        return []
    last = min(curve[-1, 0] for curve in curves)
    steps = curves[0][curves[0][:, 0] <= last, 0]
    made = [steps]
    for column in (1, 2):
        each = np.stack([np.interp(steps, c[:, 0], c[:, column]) for c in curves])
        made += [each.mean(0), each.min(0), each.max(0)]
    return [[_round(value) for value in row] for row in np.stack(made, axis=1).tolist()]


def entries(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Return what each entry is: its kind, a sentence about it, and facts for people."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        facts = record.facts
        if record.entry in found:
            continue
        told = {
            "Policy": facts.get("policy"),
            "Training budget": _count(facts.get("budget"), " steps"),
            "Trained for": _count(facts.get("training_steps"), " steps"),
            "Training time": _count(facts.get("training_seconds"), " s"),
            "Parameters": _count(facts.get("parameters"), ""),
            "Temperature": facts.get("temperature"),
            "Settings": _settings(facts.get("settings")),
            "Trained on": record.made.get("processor"),
            "Checkpoint": facts.get("checkpoint"),
        }
        found[record.entry] = {
            "kind": kind(record.entry, facts),
            "about": str(facts.get("about") or _about(record.entry)),
            "facts": [[name, str(value)] for name, value in told.items() if value],
        }
    order = list(KINDS)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1]["kind"]), item[0])))


def _about(name: str) -> str:
    """Return what a built-in entry says of itself."""
    return BUILT_IN[name].about if name in BUILT_IN else ""


def _count(value: Any, unit: str) -> str:
    return f"{value:,.0f}{unit}" if isinstance(value, int | float) else ""


def _settings(given: Any) -> str:
    return ", ".join(f"{n} = {v}" for n, v in given.items()) if isinstance(given, Mapping) else ""


def _round(value: float) -> float | None:
    """Return a number as JSON holds it: five digits, null for what is none."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
