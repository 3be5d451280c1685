"""The compiled step of `sampler`: a recurrent network hears one observation and draws an event.

At batch 1 a step reads every weight once, so its time is that of the memory. Weights that are given
as int16 take half of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from .kernels import Numbers, _add_rows, _compiled, _inlined, _sigmoid, _tanh

__all__ = ["choose", "decode"]

_F = np.float32
_drawing = cast(Callable[[Callable[..., int]], Callable[..., int]], _compiled)


@_inlined
def _multiply(weights: Numbers, scale: Numbers, x: Numbers, to: Numbers) -> None:
    """Add x (K,) times the scale (K,) times weights (K, N) to N numbers; 4 divides K."""
    for k in range(0, len(x), 4):
        one, two, three, four = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        a, b = x[k] * scale[k], x[k + 1] * scale[k + 1]
        c, d = x[k + 2] * scale[k + 2], x[k + 3] * scale[k + 3]
        for j in range(len(to)):
            to[j] += _F(one[j]) * a + _F(two[j]) * b + _F(three[j]) * c + _F(four[j]) * d


@_drawing
def choose(logits: Numbers, temperature: float, top_k: int, top_p: float, chance: int) -> int:
    """Draw an event from logits (A,) as `policy.sample` does; the logits are written over."""
    n = len(logits)
    if temperature < 1e-6:
        return int(np.argmax(logits))
    if temperature != 1.0:
        for a in range(n):
            logits[a] /= _F(temperature)
    if 0 < top_k < n:
        least = np.sort(logits)[n - top_k]
        for a in range(n):
            if logits[a] < least:
                logits[a] = -np.inf
    most, total = np.max(logits), _F(0)
    for a in range(n):
        logits[a] = np.exp(logits[a] - most)
        total += logits[a]
    for a in range(n):
        logits[a] /= total
    if top_p < 1.0:
        before = 0.0
        for a in np.argsort(-logits, kind="mergesort"):
            here = logits[a]
            if before >= top_p:
                logits[a] = _F(0)
            before += here
    whole = 0
    for a in range(n):
        whole += int(logits[a] * _F(2**30))
    point, below, event = chance * whole >> 32, 0, 0
    for a in range(n):
        below += int(logits[a] * _F(2**30))
        event += below <= point
    return event


@_drawing
def decode(
    seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, bias: Numbers,
    weights: tuple[Numbers, ...], scale: tuple[Numbers, ...], h: Numbers, c: Numbers, head: Numbers,
    head_bias: Numbers, skip: Numbers, ringing: int, temperature: float, top_k: int, top_p: float,
    chance: int,
) -> int:  # fmt: skip
    """Hear an observation, write the state after it over the state, and return the event drawn.

    Args:
        seen: uint8 (F,).
        starts: int64 (F,) the first row of the tables for each part of the observation.
        most: int64 (F,) the largest value of each part.
        table: (R, 4H), what each value adds to the gates of the first layer.
        bias: (layers, 4H).
        weights: int16, a matrix a layer: (H, 4H) of the first, (2H, 4H) of those above, which read
            the layer below and then themselves.
        scale: (H,) or (2H,) a layer, what each row of the weights is multiplied by.
        h: (layers, H) outputs.
        c: (layers, H) cells.
        head: (A, H).
        head_bias: (A,).
        skip: (R, A), what each value adds to the logits.
        ringing: the column of the observation that says whether a note rings.
        temperature: see `Sampling`.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
        chance: 32 random bits.
    """
    layers, width = h.shape
    flat = h.ravel()
    a = np.empty(4 * width, np.float32)
    i, f, g, o = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
    both = a[: 2 * width]
    for layer in range(layers):
        a[:] = bias[layer]
        if layer == 0:
            _add_rows(seen, starts, most, table, a)
        first = max(0, layer - 1) * width
        _multiply(weights[layer], scale[layer], flat[first : (layer + 1) * width], a)
        for j in range(2 * width):
            both[j] = _sigmoid(both[j])
        for j in range(width):
            g[j] = _tanh(g[j])
        for j in range(width):
            o[j] = _sigmoid(o[j])
        cells, out = c[layer], h[layer]
        for j in range(width):
            cells[j] = f[j] * cells[j] + i[j] * g[j]
        for j in range(width):
            out[j] = o[j] * _tanh(cells[j])
    logits = head_bias.copy()
    for k in range(len(logits)):
        total = _F(0)
        for j in range(width):
            total += head[k, j] * h[layers - 1, j]
        logits[k] += total
    _add_rows(seen, starts, most, skip, logits)
    if seen[ringing] == 0:
        logits[0] = _F(-1e9)
    return choose(logits, temperature, top_k, top_p, chance)
