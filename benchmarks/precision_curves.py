"""Learning curves laid over each other: ``python -m musicgym.benchmarks.precision_curves``.

PPO under the paper's rules without a prior, trained with products in float32 and in bfloat16, and
on the tensor environment: whether what is faster learns the same. It writes one JSON file and one
picture. Runs that the file holds already are kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from musicgym.agents import ppo
from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import ActorCriticConfig, MelodyLSTMConfig, PPOConfig
from musicgym.agents.learning import Learner
from musicgym.agents.rollout import play
from musicgym.corpus.dataset import prepare
from musicgym.export.extras import require
from musicgym.files import write_whole

from .evaluate import EVALUATION_SEED

__all__ = ["main", "run"]

#: Iterations that are averaged to one point of a curve.
POINT = 8


@dataclass(frozen=True)
class Settings:
    """What the curves are made with.

    Attributes:
        out: the JSON file; the picture stands beside it.
        hidden: sizes of the LSTM.
        precisions: of its products.
        seeds: training seeds of each.
        total_steps: environment steps of a run.
        tensors: how many seeds run on the tensor environment too, in float32.
        count: held-out melodies that a trained agent is measured on.
    """

    out: Path = Path("docs/results/precision-curves.json")
    hidden: tuple[int, ...] = (128, 256)
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    seeds: int = 3
    total_steps: int = 1_000_000
    tensors: int = 1
    count: int = 300


def run(
    config: ACMGConfig, corpus: str = "chorales", backend: str = "auto", count: int = 300
) -> dict[str, Any]:
    """Train an agent from random weights and return its curve and its held-out return.

    Returns:
        ``steps`` and ``returns`` of the points, and ``held_out``, the mean return of `count`
        melodies over progressions that it never practised.
    """
    agent = ACMG(config)
    envs = [config.envs(p, config.num_envs, backend=backend) for p in config.progressions]
    learner = Learner(agent.model, envs, config.learning, ppo.update)
    rows: list[dict[str, Any]] = []
    learner.learn(rows.append)
    points = [rows[i : i + POINT] for i in range(0, len(rows), POINT)]
    held_out = play(config.envs(f"corpus:{corpus}/test", count), agent.model.actor, EVALUATION_SEED)
    return {
        "steps": [part[-1]["steps"] for part in points],
        "returns": [round(float(np.mean([r["return"] for r in part])), 4) for part in points],
        "held_out": round(float(held_out.rewards.sum(1).mean()), 4),
    }


def configs(settings: Settings) -> dict[str, tuple[ACMGConfig, str]]:
    """Return the runs by name: a configuration and a backend."""
    base = ACMGConfig(
        rewards="acmg", progressions=("corpus:chorales/train",), pretraining=None, num_envs=32
    )
    runs = {}
    for hidden in settings.hidden:
        for seed in range(1, settings.seeds + 1):
            for precision in settings.precisions:
                learning = PPOConfig(
                    total_steps=settings.total_steps, learning_rate=2e-3, epochs=4, seed=seed,
                    precision=precision,
                )  # fmt: skip
                model = ActorCriticConfig(MelodyLSTMConfig(hidden))
                config = replace(base, model=model, learning=learning)
                runs[f"LSTM {hidden}, {precision}, seed {seed}"] = config, "auto"
                again = seed <= settings.tensors and hidden == settings.hidden[0]
                if again and precision == "float32":
                    runs[f"LSTM {hidden}, {precision} on tensors, seed {seed}"] = config, "tensor"
    return runs


def picture(runs: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the curves, one panel a size, one colour a kind of run.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "a picture of learning curves")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sizes = sorted({name.split(",")[0] for name in runs})
    figure = Figure(figsize=(5.2 * len(sizes), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Sequence[Any] = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    colours = {"float32": "#30507a", "bfloat16": "#c2582a", "float32 on tensors": "#6a9a3a"}
    for panel, size in zip(panels, sizes, strict=True):
        labelled: set[str] = set()
        for name, curve in runs.items():
            which, kind, _ = name.split(", ")
            if which != size:
                continue
            panel.plot(
                np.array(curve["steps"]) / 1e6, curve["returns"], lw=1, alpha=0.8,
                color=colours[kind], label=None if kind in labelled else kind,
                ls="--" if "tensors" in kind else "-",
            )  # fmt: skip
            labelled.add(kind)
        panel.set(title=f"PPO, acmg rules, {size}", xlabel="million steps")
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    panels[0].set_ylabel("return of training melodies")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run what is missing and write the file and the picture."""
    settings = tyro.cli(Settings)
    prepare()
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    held = json.loads(settings.out.read_text()) if settings.out.exists() else {"runs": {}}
    done = held["runs"] if held.get("total_steps") == settings.total_steps else {}
    for name, (config, backend) in configs(settings).items():
        if name not in done:
            done[name] = run(config, backend=backend, count=settings.count)
            text = json.dumps({"total_steps": settings.total_steps, "runs": done}, indent=1)
            write_whole(settings.out, text.encode())
        print(f"{name}: {done[name]['held_out']:.2f} on held-out progressions", flush=True)
    picture(done, settings.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
