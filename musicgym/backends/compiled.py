"""The compiled backend: the inlined text in a loop over episodes, under numba."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Constants, State
from musicgym.files import cache_folder, write_whole
from musicgym.reward import Reward

from .batch import COLUMNS, Batch, Outcome, Start
from .scalar import TABLES, starts
from .source import Inliner, reset_outputs, step_outputs

__all__ = ["PARALLEL_FROM", "Compiled"]

#: Batches of this size and above run on all of numba's threads.
PARALLEL_FROM = 16_384


class Compiled:
    """Runs a batch under numba (see `batch.Core`)."""

    def __init__(self, c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> None:
        """Write the source; it is compiled, or loaded from the cache, when it first runs."""
        self.use(c)
        step, reset = sources(c, reward, sizes, flat)
        self.texts = {name: _module(step + reset, name == "prange") for name in ("range", "prange")}

    def use(self, c: Constants) -> None:
        """Take constants with longer chord tables."""
        self.tables = tuple(np.ascontiguousarray(getattr(c, name), np.int64) for name in TABLES)

    def _run(self, kernel: int, size: int, *arguments: Any) -> None:
        """Call the kernel of step (0) or reset (1) for batches of this size."""
        text = self.texts["prange" if size >= PARALLEL_FROM else "range"]
        try:
            _load(text)[kernel](*arguments)
        except (pickle.UnpicklingError, EOFError):  # numba's index in the cache is damaged
            _forget(text)
            _load(text)[kernel](*arguments)

    def step(
        self,
        batch: Batch,
        actions: npt.NDArray[np.int64],
        active: npt.NDArray[np.bool_],
        weights: npt.NDArray[np.float64],
        out: Outcome,
    ) -> None:
        """Play one step of the active episodes."""
        weights = weights if weights.ndim == 2 else weights[None]
        given = (*batch.state, actions, active, weights, *out, batch.events, *self.tables)
        self._run(0, len(actions), *given)

    def reset(
        self,
        batch: Batch,
        which: npt.NDArray[np.bool_],
        start: Start,
        observation: npt.NDArray[Any],
    ) -> None:
        """Start the episodes of the mask."""
        given = (*batch.state, which, *start, observation, *self.tables)
        self._run(1, len(which), *given)


def sources(c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> tuple[str, str]:
    """Return the source of the two kernels."""
    columns = [f"{name}_" for name in State._fields]
    load = [
        f"{name} = {'' if dtype is np.bool_ else 'int64'}({name}_[i])"
        for name, dtype in COLUMNS._asdict().items()
    ]

    def store(texts: list[str]) -> list[str]:
        new = zip(State._fields, texts, strict=False)
        return [f"{name}_[i] = {text}" for name, text in new if name != text]

    def see(texts: list[str]) -> list[str]:
        if flat:
            places = zip(starts(sizes), texts, strict=True)
            ones = [f"observation[i, {start} + {t}] = 1" for start, t in places]
            return ["observation[i, :] = 0", *ones]
        return [f"observation[i, {j}] = {t}" for j, t in enumerate(texts)]

    n, k = len(columns), len(columns) + len(sizes)
    inliner = Inliner()
    out = step_outputs(inliner, c, reward)
    seen = [out["observation"][part] for part in sizes]
    lines, texts = inliner.assignments(
        [*out["state"].values(), *seen, *out["raw"], out["total"], out["done"], out["event"]]
    )
    rules = range(len(reward.rules))
    body = [
        *load,
        "action = int64(actions[i])",
        "j = int64(i) if per_episode else 0",
        *(f"w{r} = weights[j, {r}]" for r in rules),
        *lines,
        *see(texts[n:k]),
        *(f"raw[i, {r}] = {texts[k + r]}" for r in rules),
        f"reward[i] = {texts[-3]}",
        f"done[i] = {texts[-2]}",
        f"events[step, i] = {texts[-1]}",
        *store(texts[:n]),
    ]
    arguments = [*columns, "actions", "active", "weights", "observation", "reward", "raw", "done"]
    head = ["per_episode = weights.shape[0] > 1"]
    idle = ["reward[i] = 0.0", "done[i] = False"]
    idle += [f"raw[i, {r}] = 0.0" for r in range(len(reward.terms))]
    body += [f"raw[i, {r}] = 0.0" for r in range(len(reward.rules), len(reward.terms))]
    step = _kernel("step", [*arguments, "events", *TABLES], head, "active", body, idle)
    inliner = Inliner()
    out = reset_outputs(inliner, c)
    seen = [out["observation"][part] for part in sizes]
    lines, texts = inliner.assignments([*out["state"].values(), *seen])
    given = ("key", "row", "tonic", "mode")
    body = [*(f"{g} = int64({g}s[i])" for g in given), *lines, *see(texts[n:])]
    body += [f"{name}_[i] = {text}" for name, text in zip(State._fields, texts, strict=False)]
    arguments = [*columns, "which", *(f"{g}s" for g in given), "observation", *TABLES]
    return step, _kernel("reset", arguments, [], "which", body, ["pass"])


def _kernel(
    name: str, arguments: list[str], head: list[str], mask: str, body: list[str], idle: list[str]
) -> str:
    """Return the source of a loop that runs `body` where the mask holds and `idle` elsewhere."""
    loop = [f"for i in LOOP({mask}.shape[0]):", f"    if {mask}[i]:"]
    loop += [f"        {line}" for line in body] + ["    else:"]
    lines = [*head, *loop, *(f"        {line}" for line in idle)]
    return (
        f"@njit(cache=CACHE, parallel=PARALLEL, nogil=True)\ndef {name}({', '.join(arguments)}):\n"
        + ("".join(f"    {line}\n" for line in lines))
    )


def _module(kernels: str, parallel: bool) -> str:
    kernels = kernels.replace("LOOP", "prange" if parallel else "range")
    return f"from numba import int64, njit, prange\n\n{kernels.replace('PARALLEL', str(parallel))}"


def _name(text: str) -> str:
    """Return a kernel module's name: the hash of its source and of the versions."""
    import numba

    versions = f"{numba.__version__} {sys.version} {np.__version__}"
    return "kernel_" + hashlib.sha256(f"{versions}\n{text}".encode()).hexdigest()[:24]


def _forget(text: str) -> None:
    """Remove what numba keeps of the kernels, so that they are compiled anew."""
    for file in (cache_folder("kernels") / "__pycache__").glob(f"{_name(text)}*"):
        file.unlink(missing_ok=True)
    _load.cache_clear()


@cache
def _load(text: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Load the kernels from a file in the cache folder."""
    name = _name(text)
    try:
        path = cache_folder("kernels") / f"{name}.py"
        source = text.replace("CACHE", "True")
        if not path.exists() or path.read_text() != source:
            write_whole(path, source.encode())
    except OSError:  # no folder to write to: compile in memory
        space: dict[str, Any] = {}
        exec(text.replace("CACHE", "False"), space)
        return space["step"], space["reset"]
    return _import(name, path)


def _import(name: str, path: Path) -> tuple[Callable[..., None], Callable[..., None]]:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module.step, module.reset
