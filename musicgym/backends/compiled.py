"""The compiled backend: the inlined text in a loop over episodes, under numba.

The loop has no branch, every array in it is its own, and an observation is written as whole words,
so LLVM turns it into SIMD instructions. Large batches are cut into one piece a thread.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from musicgym.dynamics import Constants, State
from musicgym.files import cache_folder, write_whole
from musicgym.reward import Reward
from musicgym.threads import in_pieces

from .batch import COLUMNS, Batch, Outcome, Start, width
from .scalar import TABLES, starts
from .source import Inliner, reset_outputs, step_outputs

__all__ = ["Compiled"]


class Kernels(NamedTuple):
    """The compiled functions; each takes the first and the last place of its piece first."""

    step: Callable[..., None]
    reset: Callable[..., None]
    one_hot: Callable[..., None]


class Compiled:
    """Runs a batch under numba (see `batch.Core`)."""

    def __init__(self, c: Constants, reward: Reward, sizes: dict[str, int], flat: bool) -> None:
        """Write the source; it is compiled, or loaded from the cache, when it first runs."""
        self.use(c)
        self.rules, self.parts = len(reward.rules), len(sizes)
        self.starts = np.array(starts(sizes)) if flat else None
        self._given = c, reward, sizes
        self.texts = {False: source(*self._given, own_weights=False)}

    def use(self, c: Constants) -> None:
        """Take constants with longer chord tables."""
        # One entry more: a finished episode that is not restarted yet reads there.
        self.tables = tuple(np.append(getattr(c, name), 0).astype(np.int64) for name in TABLES)

    def _run(
        self, kernel: str, text: str, arguments: tuple[Any, ...], first: int, last: int
    ) -> None:
        """Call a kernel of a text over a piece of the batch."""
        try:
            getattr(_load(text), kernel)(first, last, *arguments)
        except (pickle.UnpicklingError, EOFError):  # numba's index in the cache is damaged
            _forget(text)
            getattr(_load(text), kernel)(first, last, *arguments)

    def step(
        self,
        batch: Batch,
        actions: npt.NDArray[np.int64],
        active: npt.NDArray[np.bool_] | None,
        weights: npt.NDArray[np.float64],
        out: Outcome,
    ) -> None:
        """Play one step of the active episodes, or of all."""
        idle = () if active is None else np.flatnonzero(~active)
        if len(idle) == len(actions):
            for row in (out.reward, out.done, *out.raw):
                row.fill(0)
            return
        kept = [column[idle] for column in batch.state] if len(idle) else []
        actions = _own(actions)
        own_weights = weights.ndim == 2
        if own_weights not in self.texts:
            self.texts[own_weights] = source(*self._given, own_weights=own_weights)
        text, raw = self.texts[own_weights], out.raw
        codes = self._codes(out.observation)
        shares = [*np.ascontiguousarray(weights.T[: self.rules])] if own_weights else [weights]
        words = codes.view(np.int64).ravel()
        written = (words, out.reward, *raw, out.done, batch.events, out.mask.ravel())
        arguments = (*batch.state, actions, *shares, *written, *self.tables)

        def play(first: int, last: int) -> None:
            self._run("step", text, arguments, first, last)
            if self.starts is not None:
                self._unfold(codes, out.observation, first, last)

        in_pieces(play, len(actions))
        if len(idle):
            for column, value in zip(batch.state, kept, strict=True):
                column[idle] = value
            out.done[idle] = False
            for row in (out.reward, *raw):
                row[idle] = 0.0
            out.mask[idle, 0] = batch.state.ringing[idle]

    def reset(
        self,
        batch: Batch,
        which: npt.NDArray[np.bool_],
        start: Start,
        observation: npt.NDArray[Any],
    ) -> None:
        """Start the episodes of the mask and write their observations."""
        codes = self._codes(observation)
        words = codes.view(np.int64).ravel()
        arguments = (*batch.state, _own(which), *start, words, *self.tables)
        self._run("reset", self.texts[False], arguments, 0, len(which))
        if self.starts is not None:
            seen = np.empty_like(observation)
            self._unfold(codes, seen, 0, len(which))
            np.copyto(observation, seen, where=which[:, None])

    def _codes(self, observation: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return where the parts are written: the observation, or if it is flat a place beside."""
        if self.starts is None:
            return observation
        return np.zeros((len(observation), width(self.parts)), np.uint8)

    def _unfold(
        self, codes: npt.NDArray[np.uint8], observation: npt.NDArray[Any], first: int, last: int
    ) -> None:
        """Write the one-hot of the parts of a piece of the batch."""
        self._run("one_hot", self.texts[False], (codes, self.starts, observation), first, last)


def _own(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a user's column as the kernels know it: numba compiles for each other kind anew."""
    return column if column.flags.carray else column.copy()


#: What stands before the kernels: arrays that never overlap let LLVM reorder reads and writes.
HEAD = """from numba import int64, njit, uint64
from numba.core.compiler import CompilerBase, DefaultPassBuilder


class NoAlias(CompilerBase):
    def define_pipelines(self):
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


@njit(cache=CACHE, nogil=True)
def one_hot(first, last, codes, starts, observation):
    for i in range(uint64(first), uint64(last)):
        observation[i, :] = 0
        for j in range(starts.shape[0]):
            observation[i, starts[j] + codes[i, j]] = 1


"""


def source(c: Constants, reward: Reward, sizes: dict[str, int], own_weights: bool) -> str:
    """Return the source of the kernels; `own_weights`: each episode has weights of its own."""
    columns = [f"{name}_" for name in State._fields]
    load = [
        f"{name} = {'' if dtype is np.bool_ else 'int64'}({name}_[i])"
        for name, dtype in COLUMNS._asdict().items()
    ]
    n, k, words = len(columns), len(columns) + len(sizes), width(len(sizes)) // 8

    def see(texts: list[str]) -> list[str]:
        byte = [8 * (j % 8) if sys.byteorder == "little" else 56 - 8 * (j % 8) for j in range(k)]
        shifted = [f"(int64({text}) << {byte[j]})" for j, text in enumerate(texts)]
        return [
            f"observation[uint64({words}) * i + uint64({w})] = "
            + " | ".join(shifted[8 * w : 8 * w + 8])
            for w in range(words)
        ]

    inliner = Inliner()
    out = step_outputs(inliner, c, reward)
    seen = [out["observation"][part] for part in sizes]
    lines, texts = inliner.assignments(
        [*out["state"].values(), *seen, *out["raw"], out["total"], out["done"], out["event"]]
    )
    rules, terms = range(len(reward.rules)), range(len(reward.terms))
    new = zip(State._fields, texts, strict=False)
    body = [
        *load,
        "action = int64(actions[i])",
        *(f"w{r} = weight{r}[i]" for r in rules if own_weights),
        *lines,
        *see(texts[n:k]),
        *(f"raw{r}[i] = {texts[k + r] if r in rules else 0.0}" for r in terms),
        f"reward[i] = {texts[-3]}",
        f"done[i] = {texts[-2]}",
        f"events[step, i] = {texts[-1]}",
        *(f"{name}_[i] = {text}" for name, text in new if name != text),
    ]
    given = [f"weight{r}" for r in rules] if own_weights else ["weights"]
    written = ["observation", "reward", *(f"raw{r}" for r in terms), "done", "events", "mask"]
    before = [f"w{r} = weights[{r}]" for r in rules if not own_weights]
    masks = [
        f"row = i * uint64({c.n_events})",
        "mask[row] = ringing_[i]",
        f"for j in range(uint64(1), uint64({c.n_events})):",
        "    mask[row + j] = 1",
    ]
    step = _kernel("step", [*columns, "actions", *given, *written, *TABLES], before, body, masks)
    inliner = Inliner()
    out = reset_outputs(inliner, c)
    seen = [out["observation"][part] for part in sizes]
    lines, texts = inliner.assignments([*out["state"].values(), *seen])
    given = ["key", "row", "tonic", "mode"]
    body = [*(f"{g} = int64({g}s[i])" for g in given), *lines, *see(texts[n:])]
    body += [f"{name}_[i] = {text}" for name, text in zip(State._fields, texts, strict=False)]
    body = ["if which[i]:", *(f"    {line}" for line in body)]
    arguments = [*columns, "which", *(f"{g}s" for g in given), "observation", *TABLES]
    return f"{HEAD}{step}\n\n{_kernel('reset', arguments, [], body)}"


def _kernel(name: str, arguments: list[str], before: list[str], *loops: list[str]) -> str:
    """Return the source of loops over episodes with the lines before them."""
    lines = list(before)
    for body in filter(None, loops):
        # An unsigned index is never read from the end of an array.
        lines += ["for i in range(uint64(first), uint64(last)):", *(f"    {x}" for x in body)]
    return (
        "@njit(cache=CACHE, nogil=True, error_model='numpy', pipeline_class=NoAlias)\n"
        f"def {name}(first, last, {', '.join(arguments)}):\n"
        + "".join(f"    {line}\n" for line in lines)
    )


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
def _load(text: str) -> Kernels:
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
        return Kernels(*(space[kernel] for kernel in Kernels._fields))
    return _import(name, path)


def _import(name: str, path: Path) -> Kernels:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return Kernels(*(getattr(module, kernel) for kernel in Kernels._fields))
