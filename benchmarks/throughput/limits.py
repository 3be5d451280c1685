"""What a device allows: its bandwidth and arithmetic, measured in the run, and the share used."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from musicgym.backends.batch import COLUMNS

from .rows import amount

if TYPE_CHECKING:
    from torch import Tensor

    from musicgym.agents.actor_critic import ActorCritic

__all__ = ["bytes_a_step", "flop_a_frame", "limit_table", "peaks"]


def peaks(device: str = "cpu", seconds: float = 1.0) -> dict[str, float]:
    """Measure a device: bytes a second of a copy, and FLOP a second of matrix products.

    Args:
        device: cpu (as many threads as torch has now) or cuda.
        seconds: on the wall, for each of the three.
    """
    import torch

    on_gpu = device != "cpu"
    wait = torch.cuda.synchronize if on_gpu else lambda: None
    count = 2**30 if on_gpu else 2**26
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    found = {"copy B/s": _best(lambda: target.copy_(source), wait, seconds) * 2 * count}
    side = 8192 if on_gpu else 1024
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.randn(side, side, device=device).to(dtype)
        rate = _best(lambda a=a: a @ a, wait, seconds) * 2 * side**3  # type: ignore[misc]
        found[f"{str(dtype).removeprefix('torch.')} FLOP/s"] = rate
    return found


def _best(call: Callable[[], Any], wait: Callable[[], Any], seconds: float) -> float:
    """Return the most calls a second that were seen."""
    call()
    wait()
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(4):
            call()
        wait()
        best = max(best, 4 / (time.perf_counter() - start))
    return best


def bytes_a_step(real: int = 8, masks: bool = True) -> dict[str, int]:
    """Return the bytes that a step of one compact environment must move, from shapes and types.

    The state is read and written; the action is read; the rest is written.

    Args:
        real: bytes of a reward: 8 on the compiled backend, 4 on tensors.
        masks: whether the action masks are written.

    >>> sum(bytes_a_step().values()), sum(bytes_a_step(real=4, masks=False).values())
    (174, 100)
    """
    envs: Any = gym.make_vec(
        "MelodyCompose-v0", num_envs=1, observation="compact", backend="arrays"
    )
    return {
        "state": 2 * sum(np.dtype(dtype).itemsize for dtype in COLUMNS),
        "action": 8,
        "observation": len(envs.parts),
        "reward and terms": real * (1 + len(envs.reward.names)),
        "flags": 2,
        "event": 1,
        "action mask": envs.task.n_events if masks else 0,
    }


def flop_a_frame(model: ActorCritic, epochs: int) -> dict[str, float]:
    """Return the arithmetic that a frame of PPO needs: two for each weight that it meets.

    A frame is played once and learned from in each epoch; a backward pass costs twice its forward.
    What follows from the embedding (the first layer's input, the skip connection) can be looked up
    and is not counted, whether or not the trainer looks it up.
    """
    import torch

    from musicgym.agents.melody_lstm import MelodyLSTM

    actor = model.actor
    assert isinstance(actor, MelodyLSTM)
    needed: list[Tensor] = [
        p for name, p in actor.lstm.named_parameters() if name.startswith("weight")
    ]
    needed = [p for p in needed if p is not actor.lstm.weight_ih_l0]
    heads = [part for part in model.children() if isinstance(part, torch.nn.Linear)]
    needed += [part.weight for part in (actor.head, *heads)]
    forward = 2.0 * sum(p.numel() for p in needed)
    return {"play": forward, "learn": 3 * forward * epochs}


def limit_table(facts: dict[str, Any]) -> str:
    """Return the limits as text of at most 80 columns.

    >>> print(limit_table({"peaks": {"copy B/s": 1e10}, "uses": [
    ...     {"what": "env x 65,536", "rate": 5e7, "each": 100.0, "of": "copy B/s"}]}))
    the device, measured: copy B/s 10.0 G
    what                       steps/s   x each    = used  share of the limit
    env x 65,536                50.0 M      100    5.00 G  50 % of copy B/s
    """
    lines: list[str] = []
    for name, value in facts["peaks"].items():
        start = "the device, measured: " if not lines else " " * 22
        lines.append(f"{start}{name} {amount(value)}")
    lines.append(f"{'what':<26}{'steps/s':>8}{'x each':>9}{'= used':>10}  share of the limit")
    for use in facts["uses"]:
        used = use["rate"] * use["each"]
        share = used / facts["peaks"][use["of"]]
        lines.append(
            f"{use['what'][:26]:<26}{amount(use['rate']):>8}{amount(use['each']):>9}"
            f"{amount(used):>10}  {share:.0%} of {use['of']}".replace("%", " %")
        )
    return "\n".join(lines)
