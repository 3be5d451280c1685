"""The compiled step of `sampler` for Transformer blocks, beside that for LSTM layers."""

from __future__ import annotations

import math

import numpy as np

from .decoding import _drawing, _multiply, choose
from .kernels import Numbers, _add_rows, _inlined

__all__ = ["attend"]

_F = np.float32


@_inlined
def _normalise(x: Numbers, weight: Numbers, bias: Numbers, to: Numbers) -> None:
    """Write the LayerNorm of x (W,), with torch's epsilon."""
    mean, spread = _F(0), _F(0)
    for j in range(len(x)):
        mean += x[j]
    mean /= _F(len(x))
    for j in range(len(x)):
        spread += (x[j] - mean) * (x[j] - mean)
    scale = _F(1) / np.sqrt(spread / _F(len(x)) + _F(1e-5))
    for j in range(len(x)):
        to[j] = (x[j] - mean) * scale * weight[j] + bias[j]


@_drawing
def attend(
    seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, given: Numbers,
    norms: Numbers, matrices: tuple[Numbers, ...], scales: tuple[Numbers, ...],
    biases: tuple[Numbers, ...], near: Numbers, keys: Numbers, values: Numbers, heard: int,
    last: Numbers, head: Numbers, head_bias: Numbers, ringing: int, temperature: float, top_k: int,
    top_p: float, chance: int,
) -> int:  # fmt: skip
    """Hear an observation, add it to the keys and values, and return the event drawn.

    Args:
        seen: uint8 (F,).
        starts: int64 (F,) the first row of the table for each part of the observation.
        most: int64 (F,) the largest value of each part.
        table: (R, W), the embedding.
        given: (W,) what is added to it at each step.
        norms: (blocks, 4, W), weight and bias of the two LayerNorms.
        matrices: int16, four a block: (W, 3W) to queries, keys and values, (W, W) from what was
            attended, (W, 4W) and (4W, W) of the feed-forward layer.
        scales: one for each row of each matrix.
        biases: one for each matrix.
        near: (blocks, heads, reach), added to a score by the distance, the last to all beyond.
        keys: (blocks, T, W), written at `heard`.
        values: the same.
        heard: how many steps were heard before.
        last: (2, W), weight and bias of the last LayerNorm.
        head: (A, W).
        head_bias: (A,).
        ringing: the column of the observation that says whether a note rings.
        temperature: see `Sampling`.
        top_k: see `Sampling`.
        top_p: see `Sampling`.
        chance: 32 random bits.
    """
    blocks, heads, reach = near.shape
    width = len(given)
    part = width // heads
    x, plain = given.copy(), np.empty(width, np.float32)
    asked, inner = np.empty(3 * width, np.float32), np.empty(4 * width, np.float32)
    scores = np.empty(heard + 1, np.float32)
    _add_rows(seen, starts, most, table, x)
    for block in range(blocks):
        first = 4 * block
        _normalise(x, norms[block, 0], norms[block, 1], plain)
        asked[:] = biases[first]
        _multiply(matrices[first], scales[first], plain, asked)
        keys[block, heard] = asked[width : 2 * width]
        values[block, heard] = asked[2 * width :]
        plain[:] = 0
        for k in range(heads):
            here = slice(k * part, (k + 1) * part)
            query, told = asked[here], plain[here]
            for s in range(heard + 1):
                score, key = _F(0), keys[block, s, here]
                for j in range(part):
                    score += query[j] * key[j]
                scores[s] = score / _F(math.sqrt(part)) + near[block, k, min(heard - s, reach - 1)]
            highest, total = np.max(scores), _F(0)
            for s in range(heard + 1):
                scores[s] = np.exp(scores[s] - highest)
                total += scores[s]
            for s in range(heard + 1):
                share, value = scores[s] / total, values[block, s, here]
                for j in range(part):
                    told[j] += share * value[j]
        for j in range(width):
            x[j] += biases[first + 1][j]
        _multiply(matrices[first + 1], scales[first + 1], plain, x)
        _normalise(x, norms[block, 2], norms[block, 3], plain)
        inner[:] = biases[first + 2]
        _multiply(matrices[first + 2], scales[first + 2], plain, inner)
        for j in range(4 * width):
            inner[j] *= _F(0.5) * (_F(1) + _F(math.erf(inner[j] * _F(math.sqrt(0.5)))))
        for j in range(width):
            x[j] += biases[first + 3][j]
        _multiply(matrices[first + 3], scales[first + 3], inner, x)
    _normalise(x, last[0], last[1], plain)
    logits = head_bias.copy()
    for k in range(len(logits)):
        total = _F(0)
        for j in range(width):
            total += head[k, j] * plain[j]
        logits[k] += total
    if seen[ringing] == 0:
        logits[0] = _F(-1e9)
    return choose(logits, temperature, top_k, top_p, chance)
