"""The rows of a GPU: the environment alone, and PPO from end to end, by the wall clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .environments import tensor_steps
from .rows import Row, first_line
from .training import HIDDEN, ONE_ITERATION, PRECISIONS, WARMUPS, ours
from .turns import Measure, take_turns

__all__ = ["gpu_environments", "gpu_training"]

#: Steps and frames a second that one large GPU should reach.
STEPS, FRAMES = 1e9, 3e6
SIZE = 65_536


def gpu_environments(device: str, seconds: float, repeats: int, size: int = SIZE) -> list[Row]:
    """Measure the environment alone, all terms, in each way to run a step.

    Args:
        device: cuda, or cpu to try the rows out.
        seconds: of a turn.
        repeats: turns of each.
        size: environments.
    """
    makers: dict[str, Callable[[], Measure]] = {
        f"tensor, {how} x {size:,}": lambda how=how: tensor_steps(  # type: ignore[misc]
            size, device, how.replace("episodes", "captured"), "wall", how == "episodes"
        )
        for how in ("eager", "compiled", "captured", "episodes")
    }
    return _alone(makers, STEPS, seconds, repeats, 1)


def gpu_training(
    device: str,
    repeats: int,
    sizes: tuple[int, ...] = (4096, 16_384, SIZE),
    hidden: int = HIDDEN,
) -> list[Row]:
    """Measure PPO from end to end, in frames, environments and learner on the device.

    Args:
        device: cuda, or cpu to try the rows out.
        repeats: iterations, after three to warm up.
        sizes: environments.
        hidden: width of the LSTM.
    """
    makers: dict[str, Callable[[], Measure]] = {}
    for size in sizes:
        for precision in PRECISIONS:
            makers[f"PPO {precision}, {size:,} envs"] = lambda n=size, p=precision: ours(  # type: ignore[misc]
                hidden, n, p, device, "wall", "tensor"
            )
    return _alone(makers, FRAMES, ONE_ITERATION, repeats, WARMUPS)


def _alone(
    makers: dict[str, Callable[[], Measure]],
    target: float,
    seconds: float,
    repeats: int,
    warmups: int,
) -> list[Row]:
    """Measure each by itself: two large ones may not fit into the memory together."""
    rows = []
    for name, make in makers.items():
        row: dict[str, Any] = {}
        try:
            turns = take_turns({name: make()}, seconds, repeats, warmups, name)
            row["ours"] = turns[name]
        except (ValueError, TypeError, RuntimeError) as error:  # out of memory is the last of them
            row["absent"] = f"not here: {first_line(error)}"
        rows.append(Row(name, target=target, clock="wall", **row))
    return rows
