"""An audit for people: a text for a terminal, files, and a page of several audits."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from musicgym.files import write_whole

from .picture import picture
from .verdicts import kind_of

__all__ = ["FINDINGS", "page", "publish", "text"]

Found = dict[str, Any]

WIDTH = 80
#: Of fewer tunes an audit says that it is not sure: 7 agree by chance in 1 of 64 cases.
FEW = 8
#: Columns for a name in the tables.
NAME = 14
SHORT = {
    "wrong chords": "wrong chords",
    "shuffled pitches": "shuffled",
    "random pitches": "random pitch",
    "random rhythm": "rhythm",
    "transposed": "transposed",
}
#: AUC measured with a prototype before the project: another split, other corruptions.
FINDINGS: dict[str, tuple[float, float, float, float]] = {
    "chord_tone": (0.95, 0.95, 1.0, 0.92),
    "non_chord_tone": (0.24, 0.26, 0.23, 0.56),
    "non_chord_tone, formula": (0.89, 0.84, 0.95, 0.87),
    "median_line": (0.50, 0.50, 0.63, 0.49),
    "repetition": (0.50, 0.46, 0.39, 0.50),
    "octave_leap": (0.50, 0.56, 0.64, 0.41),
    "pitch_range": (0.50, 0.50, 0.50, 0.42),
    "final_tonic": (0.55, 0.57, 0.61, 0.49),
}


def text(found: Found) -> str:
    """Return an audit as text for a terminal of 80 columns."""
    corpus = found["corpus"]
    head = (
        f"Reward audit of {found['target']['name']}: {corpus['windows']} melodies of "
        f"{found['task']['bars']} bars in {found['task']['meter']}, {corpus['tunes']} tunes, "
        f"{corpus['name']}/{corpus['split']}, {found['settings']['copies']} corrupted copies each, "
        f"seed {found['settings']['seed']}. Intervals are 95 % over tunes."
    )
    if corpus["tunes"] < FEW:
        head += f" Only {corpus['tunes']} tunes: no interval of so few is sure, nor is a verdict."
    if found["target"]["left out"]:
        head += f" Left out, since paid in training only: {', '.join(found['target']['left out'])}."
    parts = [textwrap.fill(head, WIDTH), _verdicts(found)]
    for kind, title in (
        ("all", "AUC: how often a melody out-scores a corrupted one (0.5 is blind)"),
        ("own", "How often a melody out-scores a corrupted copy of its own"),
    ):
        rows = {
            name: list(map(_cell, cells.values())) for name, cells in found["auc"][kind].items()
        }
        columns = [SHORT.get(c, c) for c in found["auc"][kind]["whole"]]
        parts.append(f"{title}\n{_table(columns, rows, 13)}")
    parts.append(
        "What a melody is paid; what it gains when one held note, or all, is struck\n"
        "again, and how often it rises by one\n" + _terms(found)
    )
    parts.append("Returns\n" + _returns(found))
    conflicts = found["optimum"]["conflicts"]
    if conflicts:
        rows = {
            name: ["-" if value is None else f"{100 * value:.0f}" for value in row.values()]
            for name, row in conflicts.items()
        }
        windows = found["optimum"]["compared"]
        title = f"Conflicts, {windows} windows: % of a term's span lost when the row is best first"
        parts.append(f"{title}\n{_table(list(rows), rows, 7)}")
    return "\n\n".join(parts)


def _verdicts(found: Found) -> str:
    lines = []
    for name in ["whole", *found["target"]["terms"]]:
        for label, sentence in found["verdicts"][name]:
            lines.append(
                textwrap.fill(
                    f"{_fit(name):{NAME}} {label.upper()}: {sentence}.",
                    WIDTH,
                    subsequent_indent=" " * (NAME + 1),
                )
            )
    return "\n".join(lines)


def _terms(found: Found) -> str:
    best, rows = found["optimum"], {}
    for name, weight in zip(found["target"]["terms"], found["target"]["weights"], strict=True):
        ends = sorted(weight * best[end].get(name, np.nan) for end in ("least", "most"))
        rows[name] = [
            f"{weight:g}",
            f"{found['means'][name]:+.2f}",
            f"{100 * found['shares'][name]:.0f} %",
            *map(_number, ends),
        ]
    rows["whole"] = ["", f"{sum(found['means'].values()):+.2f}", "", "", _number(best["value"])]
    for name, row in rows.items():
        again = found["strike again"][name]
        row += [f"{again['one']['change'][0]:+.3f}", f"{100 * again['one']['rises']:.0f} %"]
        row += [f"{again['all']['change'][0]:+.2f}"]
    columns = ["weight", "mean", "share", "least", "most", "struck", "rises", "all"]
    return _table(columns, rows, 8)


def _returns(found: Found) -> str:
    lines = [f"{'':24}{'return':>22}{'over the corpus':>22}{'% optimum':>11}"]
    for name, row in found["returns"].items():
        share = "-" if row["share"] is None else f"{100 * row['share']:.0f}"
        over = "" if name == "corpus" else _span(row["over corpus"])
        lines.append(f"{name:24}{_span(row['mean']):>22}{over:>22}{share:>11}")
    best = found["optimum"]
    if best["why none"]:
        lines.append(f"no exact optimum: {best['why none']}")
    else:
        said = f"The exact optimum is {best['value']:.2f}, the mean of {best['episodes']} windows"
        if best["log10 melodies"] is not None:
            said += f"; 10^{best['log10 melodies']:.1f} melodies reach it"
        if best["clairvoyant"] is not None:
            said += f"; who knew the draws to come would reach {best['clairvoyant']:.2f}"
        lines.append(f"{said}.")
    return "\n".join(textwrap.fill(line, WIDTH) if len(line) > WIDTH else line for line in lines)


def _table(columns: Sequence[str], rows: Mapping[str, Sequence[str]], width: int) -> str:
    lines = [" " * NAME + "".join(f"{c[: width - 1]:>{width}}" for c in columns)]
    lines += [
        f"{_fit(name):{NAME}}" + "".join(f"{cell:>{width}}" for cell in row)
        for name, row in rows.items()
    ]
    return "\n".join(line.rstrip() for line in lines)


def _fit(name: str) -> str:
    """Return a name that fits its column."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}~"


def _cell(estimate: Sequence[float]) -> str:
    """Return a share and its interval without leading zeros: ``.98 .96-.99``."""
    value, low, high = (f"{number:.2f}".removeprefix("0") for number in estimate)
    return f"{value} {low}-{high}".replace("1.00", "1.0")


def _span(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _number(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value + 0.0:+.1f}"


def publish(found: Found, folder: Path) -> list[Path]:
    """Write an audit's JSON and picture into a folder, and the page of all audits there."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "audit-" + re.sub(r"[^\w-]+", "-", found["target"]["name"].removesuffix(".py"))
    content = json.dumps(found, indent=1, allow_nan=False, default=str)
    paths = [folder / f"{stem}.json", folder / f"{stem}.png", folder / "audit.md"]
    write_whole(paths[0], content.encode())
    write_whole(paths[1], picture(found))
    audits = [json.loads(path.read_text()) for path in sorted(folder.glob("audit-*.json"))]
    write_whole(paths[2], page(audits).encode())
    return paths


def page(audits: Sequence[Found]) -> str:
    """Return the page of some audits as Markdown: verdicts, AUC beside the prototype's, returns."""
    lines = [
        "# Reward audits",
        "",
        "Does a reward prefer human melodies to corrupted copies of them, and what does it pay "
        "trivial play? Made by `musicgym audit NAME --out DIR`; all figures are in the JSON files.",
        "",
        "Corruptions: the chords of another tune in the same mode; the pitches shuffled among the "
        "onsets; pitches drawn evenly from the lowest to the highest of the melody; the onsets at "
        "random steps after the first, without rests; the melody moved by 1 to 6 semitones.",
        "",
        "AUC is the probability that a melody out-scores a corrupted one, of this melody or "
        "another (a draw counts a half): "
        "1 knows music, 0.5 is blind, below 0.5 prefers the corruption. In brackets: 95 % interval "
        "of a bootstrap over tunes, widened for their small number. `findings`: what a prototype "
        "measured before the project, with another split and other corruptions. **Bold**: surely "
        "told apart; *italic*: surely preferred when corrupted.",
    ]
    for found in audits:
        lines += ["", *_section(found)]
    return "\n".join([*lines, ""])


def _section(found: Found) -> list[str]:
    target, corpus = found["target"], found["corpus"]
    name, stem = target["name"], "audit-" + target["name"].removesuffix(".py")
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    corruptions = list(found["auc"]["all"]["whole"])
    spec = f" Spec: `{json.dumps(target['spec'])}`." if target["spec"] != name else ""
    lines = [
        f"## {name}",
        "",
        f"`musicgym audit {name}`: {corpus['windows']} windows of {found['task']['bars']} bars, "
        f"{corpus['tunes']} tunes of {corpus['name']}/{corpus['split']} ({corpus['fingerprint']}), "
        f"{found['settings']['copies']} copies each, seed {found['settings']['seed']}, "
        f"{found['seconds']:.1f} s of CPU; {versions}.{spec}",
        "",
        f"![The audit of {name}]({stem}.png)",
        "",
        f"| term | {' | '.join(corruptions)} |",
        "|---" * (len(corruptions) + 1) + "|",
    ]
    for term, cells in found["auc"]["all"].items():
        row = [_markdown(cells[c]) for c in corruptions]
        lines.append(f"| {term} | {' | '.join(row)} |")
        known = _findings(target, term)
        if known:
            row = [f"{value:.2f}" for value in known] + ["-"] * (len(corruptions) - len(known))
            lines.append(f"| findings | {' | '.join(row)} |")
    lines += _difference(found)
    lines += ["", "| | return | over the corpus | % of the optimum |", "|---|---|---|---|"]
    for row, figures in found["returns"].items():
        share = "-" if figures["share"] is None else f"{100 * figures['share']:.0f}"
        lines.append(
            f"| {row} | {_span(figures['mean'])} | {_span(figures['over corpus'])} | {share} |"
        )
    lines.append("")
    for term, verdicts in found["verdicts"].items():
        lines += [f"- {term}: **{label}**: {sentence}." for label, sentence in verdicts]
    return lines


def _difference(found: Found) -> list[str]:
    """Return a sentence on the largest difference from what the prototype measured."""
    apart = [
        (abs(found["auc"]["all"][term][corruption][0] - value), term, corruption)
        for term in found["target"]["terms"]
        for corruption, value in zip(
            found["auc"]["all"][term], _findings(found["target"], term) or (), strict=False
        )
    ]
    if not apart:
        return []
    most, term, corruption = max(apart)
    return ["", f"Largest difference from `findings`: {most:.2f} ({term}, {corruption})."]


def _findings(target: Mapping[str, Any], term: str) -> tuple[float, ...] | None:
    """Return what the prototype measured of a term as the paper's presets read it, or None."""
    if target["scoring"] != "time":
        return None
    settings = target["spec"].get(term) if isinstance(target["spec"], Mapping) else None
    reading = settings.get("reading") if isinstance(settings, Mapping) else None
    return FINDINGS.get(f"{term}, {reading}" if reading else term)


def _markdown(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    mark = {"real": "**", "corrupted": "*"}.get(kind_of(list(estimate)), "")
    return f"{mark}{value:.2f}{mark} [{low:.2f}, {high:.2f}]"
