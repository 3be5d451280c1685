"""The page of the speed benchmarks, from the JSON of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .rows import Run

__all__ = ["page"]

HEAD = """# Speed beside named peers

Made by `musicgym bench`; do not edit. Ours and the peers take turns in one run (ours, peer, ours,
peer, ...); a ratio is the median over turns, its range stands below it. Unless a line says "by the
wall clock", speed is per CPU-second of all of a side's processes, on one thread. Every turn, the
versions and the hardware are in the JSON files beside this page.

Gymnasium's environments and sb3-contrib's run in the same process as ours. gymnax, EnvPool and
PufferLib want other versions of NumPy and Gymnasium, and their thread pools disturb ours, so each
runs in a process of its own that waits while the others have their turn; `--peers` or
`MUSICGYM_PEERS` names the Pythons that have them:

```sh
python -m venv peers/gymnax && peers/gymnax/bin/pip install gymnax 'jax[cpu]' six
python -m venv peers/envpool && peers/envpool/bin/pip install envpool
musicgym bench env --peers peers/*/bin/python --out docs/results
```

PufferLib 3.0.0 builds all its environments when it is installed, and fetches what they draw with.
Where that fails, its CartPole alone can be built in the unpacked source package, with the package's
own flags:

```sh
gcc -shared -fPIC -O2 -flto -fwrapv -DPLATFORM_DESKTOP -Wno-implicit-function-declaration \\
  $(python3-config --includes) -I"$(python -c 'import numpy; print(numpy.get_include())')" \\
  -Iraylib-5.5_linux_amd64/include pufferlib/ocean/cartpole/binding.c \\
  raylib-5.5_linux_amd64/lib/libraylib.a -o pufferlib/ocean/cartpole/binding.so
```

A peer that is not installed gives a row that says so.
"""

#: What stands at the end while no GPU was measured.
NO_GPU = """## On a GPU

Nothing here was measured on one: none could be had. What is ready for it:

```sh
pytest tests/test_tensor.py tests/test_rollout.py tests/test_parallel.py
musicgym bench env --device cuda --out docs/results      # aim: 1 G steps a second at 65,536
musicgym bench train --device cuda --out docs/results    # aim: 3 M frames a second, LSTM 256
musicgym train ppo --device cuda --rewards acmg --no-pretrained --num-envs 16384 \\
  --model.shared --model.actor.hidden 256 --ppo.total-steps 1000000000 --ppo.precision bfloat16 \\
  --log runs/gpu --out acmg-gpu.safetensors
```
"""

#: What stands before each run's table.
ABOUT = {
    "env": """## Environments

All eight terms of `acmg` are computed, and reported in the infos, at every step; the actions are
random and given from outside. "scan" is gymnax's strongest form, 64 steps in one compiled call,
which leaves no room for actions from outside; "by step" is one compiled call a step. PufferLib's
CartPole is written in C and writes to the same buffers at every step. Its, gymnax's and
Gymnasium's CartPole are a few multiplications and comparisons a step. "tensor" is the torch
backend: one step a call, eager or compiled, or whole episodes in one call.""",
    "train": """## Training

One shared LSTM with linear heads, rollouts of 64 steps, four epochs of four minibatches, after
three iterations to warm up. The peers' LSTM reads the one-hot observation; ours reads an embedding
as wide as itself, which costs more arithmetic, and adds a skip connection. The CleanRL-style loop
([its text](../../benchmarks/throughput/cleanrl_style.py)) plays our own vector environment, so
that only the training loop differs; RecurrentPPO plays as many single ones.

float32 and bfloat16 learn alike, and so do the compiled and the tensor environment
(`python -m musicgym.benchmarks.precision_curves`; three seeds of each, two widths):

![Return against steps for float32 and bfloat16](precision-curves.png)""",
    "sample": """## Composing

Steps a second of composing with a policy, environments included: `play` with Melody_LSTM, the same
network whose `nn.LSTM` is called once a step, and RecurrentPPO's `predict` (one-hot input).""",
    "memory": "## Memory",
    "scaling": "## Curves",
}


def page(runs: Sequence[tuple[Run, str]]) -> str:
    """Return the page of some runs, each with its table as text."""
    order = list(ABOUT)
    parts = [HEAD]
    for run, table in sorted(runs, key=lambda pair: order.index(pair[0].what)):
        on_gpu = run.machine["device"] != "cpu"
        about = ABOUT[run.what]
        parts.append(about.replace("\n", " on a GPU\n", 1) if on_gpu else about)
        parts.append(_conditions(run))
        for figure in run.facts.get("figures", ()):
            parts.append(f"![{figure['title']}](speed-{figure['name']}.png)")
            if figure["absent"]:
                names = ", ".join(f"{name} ({why})" for name, why in figure["absent"].items())
                parts.append(f"Not measured: {names}.")
        parts.append(f"```\n{table}\n```")
    if all(run.machine["device"] == "cpu" for run, _ in runs):
        parts.append(NO_GPU)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _conditions(run: Run) -> str:
    """Return the command, the hardware and the versions of a run, as a paragraph."""
    names = ("python", "musicgym", "gymnasium", "numpy", "numba", "torch", "sb3-contrib")
    versions = ", ".join(f"{name} {run.machine[name]}" for name in names if name in run.machine)
    peers = "; ".join(_peer(name, found) for name, found in run.machine.get("peers", {}).items())
    device = run.machine["device"]
    device = "" if device == "cpu" else f"{device}; "
    where = f"{device}{run.machine['processor']}, {run.machine['cores']} cores"
    text = f"`{run.command}`\n\n{where}; {versions}."
    return f"{text} Peers: {peers}." if peers else text


def _peer(name: str, found: dict[str, Any]) -> str:
    return f"{name}: " + ", ".join(f"{package} {known}" for package, known in found.items())
