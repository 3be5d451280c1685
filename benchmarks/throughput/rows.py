"""Rows: ours beside a peer, with a ratio and a target; a table for terminals, and JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from .turns import Clock, Turn, middle

__all__ = ["Row", "Run", "amount", "compare", "machine", "table"]

PACKAGES = (
    "gymnasium", "numba", "numpy", "torch", "stable-baselines3", "sb3-contrib",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Ours beside a peer, or ours alone.

    Attributes:
        name: what is measured.
        peer: what it is measured against; empty where it stands alone.
        ours: our turns; none where ours could not run.
        theirs: the peer's, each after one of ours; none where the peer is absent.
        target: the least ratio that is good enough (steps a second where ours stands alone), or
            None: the row is for information.
        clock: the CPU's, or the one on the wall.
        absent: why a side could not run; empty where both did.
        note: what else a reader should know.
    """

    name: str
    peer: str = ""
    ours: tuple[Turn, ...] = ()
    theirs: tuple[Turn, ...] = ()
    target: float | None = None
    clock: Clock = "cpu"
    absent: str = ""
    note: str = ""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours / theirs, turn by turn."""
        pairs = zip(self.ours, self.theirs, strict=True) if self.theirs and self.ours else ()
        return tuple(a.rate(self.clock) / b.rate(self.clock) for a, b in pairs)

    @property
    def ratio(self) -> float | None:
        """The median of the ratios.

        >>> turns = [(Turn(n, 1.0, 1.0), Turn(2, 1.0, 1.0)) for n in (4, 6, 18)]
        >>> Row("a", "b", *zip(*turns)).ratio
        3.0
        """
        return median(self.ratios) if self.ratios else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without a target, or where a side is absent."""
        measured = self.ratio if self.peer else middle(self.ours, self.clock) if self.ours else None
        return None if self.target is None or measured is None else measured >= self.target

    def verdict(self) -> str:
        """Return the spread of the ratio and whether the target is reached, in words."""
        if self.absent:
            return self.absent
        parts = []
        if self.ratios:
            low, high = min(self.ratios), max(self.ratios)
            parts.append(f"{low:.2f} to {high:.2f} in {len(self.ratios)} turns")
        if self.clock == "wall":
            parts.append("by the wall clock")
        if self.target is not None:
            least = f"{self.target:.2f}" if self.peer else f"{amount(self.target)}/s"
            parts.append(f"target {least}: {'reached' if self.reached else 'MISSED'}")
        return "; ".join([*parts, *([self.note] if self.note else [])])


def compare(
    name: str,
    peer: str,
    turns: Mapping[str, tuple[Turn, ...]],
    ours: str,
    theirs: str,
    target: float | None = None,
    clock: Clock = "cpu",
    note: str = "",
    absent: Mapping[str, str] | None = None,
) -> Row:
    """Return the row of two sides of one run; `absent` says why a peer took no turns."""
    why = (absent or {}).get(theirs, "")
    took = () if why else turns[theirs]
    return Row(name, peer, turns[ours], took, target, clock, note=note, absent=why)


def first_line(error: Exception) -> str:
    """Return why a side could not run, short enough for a row."""
    return str(error).partition("\n")[0][:150]


def amount(value: float) -> str:
    """Return a figure in at most 7 characters, with its unit.

    >>> amount(61_234_567.0), amount(2100.0), amount(12.3)
    ('61.2 M', '2.10 k', '12.3')
    """
    units = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, ""))
    size, unit = next((pair for pair in units if value >= pair[0]), (1.0, ""))
    scaled = value / size
    digits = 2 if scaled < 10 else 1 if scaled < 100 else 0
    return f"{scaled:.{digits}f}{unit}"


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text of at most 80 columns: two lines a row, steps a second.

    >>> fast, slow = Turn(2_000_000, 1.0, 1.0), Turn(1_000_000, 1.0, 1.0)
    >>> print(table([Row("ours", "theirs", (fast,), (slow,), 1.7), Row("ours", "rare", (fast,),
    ...     absent="not installed")]))
    what                           steps/s  beside                    steps/s  ratio
    ours                            2.00 M  theirs                     1.00 M   2.00
        2.00 to 2.00 in 1 turns; target 1.70: reached
    ours                            2.00 M  rare                            -      -
        not installed
    """
    lines = [f"{'what':<30}{'steps/s':>8}  {'beside':<24}{'steps/s':>9}{'ratio':>7}"]
    for row in rows:
        ours, theirs = (
            amount(middle(side, row.clock)) if side else "-" for side in (row.ours, row.theirs)
        )
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        peer = row.peer or "-"
        lines.append(f"{row.name[:30]:<30}{ours:>8}  {peer[:24]:<24}{theirs:>9}{ratio:>7}")
        words = row.verdict()
        while words:
            cut = len(words) if len(words) <= 76 else words.rfind(" ", 0, 77)
            cut = cut if cut > 0 else 76
            lines.append(f"    {words[:cut]}")
            words = words[cut:].lstrip()
    return "\n".join(lines)


@dataclass(frozen=True)
class Run:
    """One run of a benchmark: its rows and all they depend on.

    Attributes:
        what: env, train or sample.
        command: what repeats it.
        rows: the comparisons.
        settings: seconds and repeats of a turn, seeds.
        machine: hardware and versions; those of the peers' own Pythons too.
        facts: further figures, such as the limits of the device.
    """

    what: str
    command: str
    rows: tuple[Row, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the run as JSON text, with every turn (steps, CPU-seconds, seconds)."""
        rows = [{**asdict(r), "ratio": r.ratio, "reached": r.reached} for r in self.rows]
        return json.dumps({**asdict(self), "rows": rows}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Run:
        """Return the run of a text that `to_json` wrote."""
        data = json.loads(text)
        rows = []
        for row in data.pop("rows"):
            row = {k: v for k, v in row.items() if k not in ("ratio", "reached")}
            for side in ("ours", "theirs"):
                row[side] = tuple(Turn(*turn) for turn in row[side])
            rows.append(Row(**row))
        return cls(**data, rows=tuple(rows))


def machine(**more: Any) -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, Python and package versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    from musicgym import __version__

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "musicgym": __version__,
        "revision": _revision(),
        **versions,
        **more,
    }


@cache
def _revision() -> str:
    """Return the git revision of the checkout that this runs from, or that it is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "no checkout"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _processor() -> str:
    """Return the processor's name; `platform` knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
