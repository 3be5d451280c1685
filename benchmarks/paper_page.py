"""The page of the papers' tables, as Markdown: every sentence about a number is made from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .metrics import METRICS
from .published import ACMG_TABLE_1, RL_TUNER_TABLE, Printed
from .records import HUMAN
from .tables import SEARCHES, Row, against_search, cell, heading, markdown, scale, shown

__all__ = ["page"]

#: The systems of Table 1: the record's name -> what the page calls it.
TABLE_1 = {
    HUMAN: "human",
    "lstm": "LSTM",
    "best_of_1024": "best of 1,024",
    "no_theory": "no theory",
    "complete": "complete",
    "no_theory_kl": "no theory, KL",
    "complete_kl": "complete, KL",
    "balanced_kl": "balanced, KL",
}
#: What Table 1 does not print and a reader should see beside it.
BESIDE = (
    "chord_match", "triad_match", "ends_on_tonic", "pitch_range", "onset_share",
    "distinct_melodies", "mmd2", "frechet", "kl", "share_of_optimum",
)  # fmt: skip
RL_TUNER = {
    HUMAN: "human", "melody_lstm": "Melody_LSTM", "best_of_1024": "best of 1,024",
    "tuned": "PPO", "tuned_kl": "PPO, KL", "tuned_near": "PPO, near",
    "uniform_random": "uniform random", "held_tonic": "held tonic",
}  # fmt: skip
Pair = tuple[float, float]
#: Differences of fewer standard errors than this are none.
CLEAR = 2.0


def page(
    systems: Mapping[str, Sequence[Row]], command: str, losses: Mapping[str, Pair] | None = None
) -> str:
    """Return the page from the rows of its parts; a part that was not made is left out.

    Args:
        systems: the rows of each part.
        command: what made them.
        losses: a split -> nats a step of Melody_LSTM and of the Markov table.
    """
    parts = {"acmg": _acmg, "formula": _formula, "balanced": _balanced, "rl_tuner": _rl_tuner}
    lines = ["# The papers' tables", ""]
    made = next(iter(systems.values()))[0].records[0].made
    versions = ", ".join(f"{k} {made[k]}" for k in ("musicgym", "torch", "numpy", "python"))
    lines += [
        f"Command: `{command}`. {versions}, {made['processor']}. The records are in "
        "[papers/](papers). Seeds are of the training and of the held-out episodes; ± is one "
        "standard deviation over seeds. Human values are targets, not bounds; the distances of the "
        "human row (mmd2, frechet) are the noise floors.",
        "",
    ]
    if losses:
        lines += [
            "## Melody_LSTM",
            "",
            "Negative log-likelihood, nats a step, on 8-bar windows of the chorales split by tune.",
            "",
            "| split | Melody_LSTM | Markov table | ratio |",
            "|---|---|---|---|",
        ]
        for split, (own, table) in losses.items():
            lines.append(f"| {split} | {own:.3f} | {table:.3f} | {own / table:.2f} |")
        lines.append("")
    for name, write in parts.items():
        if name in systems:
            lines += [*write({row.name: row for row in systems[name]}), ""]
    return "\n".join(lines)


def _acmg(rows: Mapping[str, Row]) -> list[str]:
    named = {name: title for name, title in TABLE_1.items() if name in rows}
    alone = [n for n in ("uniform_random", "held_tonic", "nearest_chord_tone",
             "alternated_chord_tones", HUMAN, "melody_lstm", *SEARCHES, "soft_optimum", "a2c_alone",
             "ppo_alone", "optimum") if n in rows]  # fmt: skip
    return [
        "## ACMG, Table 1",
        "",
        f"{_seeds(rows, 'complete')} seeds, {rows['complete'].records[0].count} melodies each over "
        "held-out chorale progressions. *LSTM* is pretrained only; *no theory* (without Eq. 5-8) "
        "and *complete* learn from it by PPO for "
        f"{_millions(rows['complete'])} M steps; with *KL* they are held to it at "
        f"{rows['complete_kl'].records[0].facts['kl_target']} nats a step, "
        f"{_millions(rows['complete_kl'])} M steps; *balanced* is our own mix of the rules.",
        "",
        *_compared(ACMG_TABLE_1, rows, named),
        "",
        *_style(rows),
        "Beside it:",
        "",
        *_compared({figure: {} for figure in BESIDE}, rows, named),
        "",
        *_reproduced(ACMG_TABLE_1, rows, ("LSTM", "complete"), ("lstm", "complete")),
        "",
        *_ablation(rows),
        "",
        _won("complete", rows),
        "",
        "![Figures 8 and 9](papers-figures.png)",
        "",
        "## The paper's rules alone",
        "",
        "`acmg`, no prior: from random weights by PPO and by A2C, as shares of the exact optimum. "
        f"{_seeds(rows, 'ppo_alone')} seeds, {_millions(rows['ppo_alone'])} M steps.",
        "",
        markdown(
            [rows[name] for name in alone],
            ("return", "share_of_optimum", "kl", "pitch_range", "distinct_melodies", "mmd2"),
        ),
        "",
        *_search(rows),
    ]


def _style(rows: Mapping[str, Row]) -> list[str]:
    """Return where the row of style is, for records that were made without it."""
    if all(len(row.values("classical_style")) for row in rows.values()):
        return []
    return [
        "Records that were made without the folk tunes (`musicgym data prepare --corpus folk`) "
        "have no row of style; [generators.md](generators.md) judges all of them.",
        "",
    ]


def _formula(rows: Mapping[str, Row]) -> list[str]:
    return [
        "## The formula reading of Eq. 3",
        "",
        markdown(
            shown(list(rows.values())),
            ("return", "share_of_optimum", "onset_share", "pitch_range", "mmd2"),
        ),
        "",
        *_search(rows),
    ]


def _balanced(rows: Mapping[str, Row]) -> list[str]:
    soft, ours = rows.get("soft_optimum"), rows["balanced_kl"]
    lines = [
        "## Balanced rules, held to the prior",
        "",
        markdown(
            [row for row in shown(list(rows.values())) if not row.name.startswith("planted")],
            (
                "return",
                "share_of_optimum",
                "kl",
                "mmd2",
                "frechet",
                "chord_match",
                "ends_on_tonic",
                "pitch_range",
                "distinct_melodies",
            ),
        ),  # fmt: skip
        "",
    ]
    if soft is not None:
        share = 100 * ours.mean("return") / soft.mean("return")
        lines += [
            f"The soft optimum is exact for the Markov table as its prior, at "
            f"{soft.records[0].facts['kl_to_markov']} nats a step to it. The agent's return is "
            f"{share:.1f} % of the soft optimum's at {ours.mean('kl'):.3f} nats a step to "
            "Melody_LSTM, a better prior.",
            "",
        ]
    return [*lines, *_search(rows), "",
            "![Share of the optimum, KL and human distance](papers-tradeoff.png)", "",
            *_yardstick(rows), "", *_every(rows)]  # fmt: skip


def _yardstick(rows: Mapping[str, Row]) -> list[str]:
    """Return whether human-likeness ranks what is known as it should."""
    floor, deviation = (rows[HUMAN].mean(f) for f in ("mmd2", "mmd2_deviation"))
    names = [n for n in ("planted_copy", "best_of_64", "melody_lstm", "balanced_kl", "markov",
             "planted_rhythm", "planted_shuffle", "optimum", "nearest_chord_tone",
             "uniform_random", "held_tonic") if n in rows]  # fmt: skip
    lines = [
        "## Is the yardstick of human-likeness any good?",
        "",
        f"The floor, human melodies against human melodies of other tunes over 30 partings, is "
        f"{floor:.4f} with a standard deviation of {deviation:.4f}. *planted* rows are the test "
        "melodies themselves, with another rhythm, and with their pitches shuffled.",
        "",
        "| system | mmd2 | times the floor | frechet | c2st % | copied % | vendi |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(names, key=lambda n: rows[n].mean("mmd2")):
        cells = [_cell(rows[name], f) for f in ("mmd2", "frechet", "c2st", "copied", "vendi")]
        cells.insert(1, f"{rows[name].mean('mmd2') / floor:.1f}")
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return lines


def _every(rows: Mapping[str, Row]) -> list[str]:
    """Return the table of every metric, a line a metric."""
    names = [n for n in (HUMAN, "melody_lstm", "best_of_64", "balanced_kl", "nearest_chord_tone",
             "uniform_random") if n in rows]  # fmt: skip
    lines = [
        "## Every metric",
        "",
        "Of the balanced part. A share is in percent; the docstrings in "
        "[benchmarks/metrics](../../benchmarks/metrics) have the formulas.",
        "",
        f"| | {' | '.join(n.replace('_', ' ') for n in names)} | what it is |",
        "|---" * (len(names) + 2) + "|",
    ]
    for figure, metric in METRICS.items():
        cells = " | ".join(_cell(rows[name], figure) for name in names)
        lines.append(f"| {heading(figure)} | {cells} | {metric.title} |")
    return lines


def _rl_tuner(rows: Mapping[str, Row]) -> list[str]:
    named = {name: title for name, title in RL_TUNER.items() if name in rows}
    return [
        "## RL Tuner",
        "",
        "The `rl_tuner` preset, two bars of sixteenths as in the paper, on chorales in place of "
        f"pop melodies. {_seeds(rows, 'tuned')} seeds, {_millions(rows['tuned'])} M steps. *KL* "
        "charges a nat what the paper does (its c, 0.5); *near* is held at "
        f"{rows['tuned_near'].records[0].facts['kl_target']} nats a step, our default.",
        "",
        *_compared(RL_TUNER_TABLE, rows, named),
        "",
        *_compared({figure: {} for figure in ("return", *BESIDE[:-1])}, rows, named),
        "",
        *_reproduced(RL_TUNER_TABLE, rows, ("Note RNN", "Psi"), ("melody_lstm", "tuned_kl")),
        "",
        _won("tuned_kl", rows),
        "",
        *_search(rows),
    ]


def _compared(printed: Printed, rows: Mapping[str, Row], named: Mapping[str, str]) -> list[str]:
    """Return a table, a figure a line: what was printed, then ours."""
    papers = list(next(iter(printed.values())))
    titles = [*(f"{name} (paper)" for name in papers), *named.values()]
    lines = [f"| | {' | '.join(titles)} |", "|---" * (len(titles) + 1) + "|"]
    for figure, values in printed.items():
        cells = [f"{values[name]:g}" for name in papers] + [_cell(rows[n], figure) for n in named]
        lines.append(f"| {heading(figure)} | {' | '.join(cells)} |")
    return lines


def _cell(row: Row, figure: str) -> str:
    """Return a figure with its spread over seeds."""
    return cell(row, figure, spread=True)


def _step(low: Row, high: Row, figure: str) -> tuple[float, float]:
    """Return a difference of two systems, as printed, and its size in standard errors."""
    difference = scale(figure) * (high.mean(figure) - low.mean(figure))
    known = [row for row in (low, high) if not math.isnan(row.spread(figure))]
    error = scale(figure) * math.sqrt(
        sum(row.spread(figure) ** 2 / len(row.values(figure)) for row in known)
    )
    return difference, abs(difference) / error if error > 0 else math.inf


def _reproduced(
    printed: Printed, rows: Mapping[str, Row], papers: tuple[str, str], ours: tuple[str, str]
) -> list[str]:
    """Return what moved as it did in the paper, and what did not."""
    kept: list[str] = []
    lost: list[str] = []
    low, high = (rows[name] for name in ours)
    for figure, values in printed.items():
        if figure not in METRICS:
            continue
        there = values[papers[1]] - values[papers[0]]
        here, errors = _step(low, high, figure)
        if math.isnan(here):
            continue
        told = f"{heading(figure)} ({there:+.3g} printed, {here:+.3g} found)"
        clear = not errors < CLEAR  # one seed has no error
        (kept if clear and there * here > 0 else lost).append(told)
    lines = [f"From {papers[0]} to {papers[1]}, in the same direction as printed, by two standard "
             f"errors or more: {'; '.join(kept) or 'nothing'}."]  # fmt: skip
    return [*lines, "", f"Not so: {'; '.join(lost) or 'nothing'}."]


def _search(rows: Mapping[str, Row]) -> list[str]:
    """Return where the trained agents stand beside best-of-N, which trains nothing."""
    return [f"- {line}" for line in against_search(list(rows.values()))]


def _won(name: str, rows: Mapping[str, Row]) -> str:
    """Return what the higher return did to the music."""
    told = [
        f"{heading(figure)} {_cell(rows[name], figure)} (human {_cell(rows[HUMAN], figure)})"
        for figure in ("return", "distinct_melodies", "pitch_range", "mmd2")
    ]
    return f"What *{(TABLE_1 | RL_TUNER)[name]}* won, and at what price: {', '.join(told)}."


def _ablation(rows: Mapping[str, Row]) -> list[str]:
    """Return whether the music-theory rules make a difference."""
    found = []
    for low, high, title in (
        ("no_theory", "complete", "without a prior's price"),
        ("no_theory_kl", "complete_kl", "with KL"),
    ):
        told = []
        for figure in ACMG_TABLE_1:
            if figure in METRICS:
                step, errors = _step(rows[low], rows[high], figure)
                if errors >= CLEAR and not math.isnan(step):
                    told.append(f"{heading(figure)} {step:+.3g}")
        found.append(f"{title}: {', '.join(told) or 'no clear difference'}")
    return [f"The ablation, from no theory to complete, {'; '.join(found)}."]


def _seeds(rows: Mapping[str, Row], name: str) -> int:
    return len(rows[name].records)


def _millions(row: Row) -> str:
    return f"{row.records[0].facts['training_steps'] / 1e6:g}"
