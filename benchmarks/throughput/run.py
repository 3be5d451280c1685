"""Run a benchmark, and publish what it found: JSON, one page, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from musicgym.files import write_whole

from .foreign import Foreign
from .limits import bytes_a_step, flop_a_frame, limit_table, peaks
from .memory import memory, report
from .page import page
from .pictures import picture
from .rows import Row, Run, machine, table
from .scaling import Figure, curves_table, scaling
from .turns import middle

__all__ = ["KINDS", "publish", "run", "text"]

KINDS = ("env", "train", "sample", "memory", "scaling")
#: Seconds of a turn and turns of a side, unless others are asked for.
DEFAULTS = {"env": (0.5, 7), "train": (0.0, 5), "sample": (0.5, 5), "memory": (0.0, 1),
            "scaling": (0.2, 3)}  # fmt: skip


def run(
    what: str,
    seconds: float | None = None,
    repeats: int | None = None,
    peers: tuple[str, ...] = (),
    device: str = "cpu",
    command: str = "",
) -> Run:
    """Run one benchmark.

    Args:
        what: one of `KINDS`.
        seconds: of a turn; None is the benchmark's own. An iteration of training takes its time.
        repeats: turns of each side; None is the benchmark's own.
        peers: Pythons that have foreign peers.
        device: cpu, or cuda: the rows of a GPU, in env and train.
        command: what the user typed.

    Raises:
        ValueError: an argument is out of its range, or the device is not there.
    """
    if device != "cpu":
        from musicgym.agents.acmg import check_device

        if what not in ("env", "train"):
            raise ValueError(
                f"device: bench {what} runs on the CPU; env and train take {device!r}."
            )
        check_device(device)
    seconds = DEFAULTS[what][0] if seconds is None else seconds
    repeats = DEFAULTS[what][1] if repeats is None else repeats
    foreign = Foreign(peers)
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    if what == "scaling":
        figures = scaling(seconds, repeats, foreign)
        facts["figures"] = [figure.to_dict() for figure in figures]
    elif what == "memory":
        facts["memory"] = memory()
    else:
        rows = _rows(what, seconds, repeats, foreign, device)
        if what != "sample":
            facts["limits"] = _limits(what, rows, device)
    more = {"device": _device_name(device), "peers": foreign.versions}
    settings = {"seconds": seconds, "repeats": repeats, "seed": 0}
    return Run(what, command, tuple(rows), settings, machine(**more), facts)


def _rows(what: str, seconds: float, repeats: int, foreign: Foreign, device: str) -> list[Row]:
    if what == "sample":
        from .sampling import sampling

        return sampling(seconds, repeats)
    if device != "cpu":
        from .gpu import gpu_environments, gpu_training

        if what == "env":
            return gpu_environments(device, seconds, repeats)
        return gpu_training(device, repeats)
    if what == "env":
        from .environments import environments

        return environments(seconds, repeats, foreign)
    from .training import training

    return training(repeats)


def _limits(what: str, rows: list[Row], device: str) -> dict[str, Any]:
    """Measure the device's limits; return them, and what share our fastest rows use."""
    from musicgym.agents.threads import few_threads

    from .environments import on_threads
    from .training import EPOCHS, network

    with on_threads(1), few_threads():
        found = peaks(device)
    flops: dict[str, float] = {}
    if what == "env":
        kinds = {"compiled, compact": "copy B/s", "tensor": "copy B/s"}
    else:
        flops = flop_a_frame(network(), EPOCHS)
        kinds = {f"PPO {p}": f"{p} FLOP/s" for p in ("float32", "bfloat16")}
    uses, seen = [], set()
    for row in rows:
        of = next((of for start, of in kinds.items() if row.name.startswith(start)), None)
        if of and row.ours and row.name not in seen and "of ours" not in row.peer:
            rate = middle(row.ours, row.clock)
            tensor, episodes = row.name.startswith("tensor"), "episodes" in row.name
            parts = flops or bytes_a_step(4 if tensor else 8, masks=not episodes)
            each = sum(parts.values())
            uses.append({"what": row.name, "rate": rate, "each": each, "parts": parts, "of": of})
            seen.add(row.name)
    return {"peaks": found, "uses": uses}


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return str(torch.cuda.get_device_name(device))


def text(run: Run) -> str:
    """Return a run as text for a terminal of 80 columns."""
    parts = [table(run.rows)] if run.rows else []
    if "limits" in run.facts:
        parts.append(limit_table(run.facts["limits"]))
    if "memory" in run.facts:
        parts.append(report(run.facts["memory"]))
    for figure in map(Figure.from_dict, run.facts.get("figures", ())):
        parts.append(curves_table(figure))
    return "\n\n".join(parts)


def publish(run: Run, folder: Path) -> list[Path]:
    """Write a run's JSON and pictures into a folder, and the page of all runs there."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = run.what if run.machine["device"] == "cpu" else f"{run.what}-gpu"
    written = {folder / f"speed-{kind}.json": run.to_json().encode()}
    for figure in map(Figure.from_dict, run.facts.get("figures", ())):
        written[folder / f"speed-{figure.name}.png"] = picture(figure)
    for path, data in written.items():
        write_whole(path, data)
    kinds = (f"speed-{what}{suffix}.json" for what in KINDS for suffix in ("", "-gpu"))
    places = [folder / kind for kind in kinds if (folder / kind).exists()]
    runs = [Run.from_json(path.read_text()) for path in places]
    write_whole(folder / "speed.md", page([(run, text(run)) for run in runs]).encode())
    return [*written, folder / "speed.md"]
