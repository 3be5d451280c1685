"""The compiled loops of `recurrence`: what an LSTM's step does beside its matrix product.

Short loops over one row at a time, which stay in the cache and become SIMD instructions. Rows are
float32, or bfloat16 given as uint16. This module alone imports numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["backward", "forward", "spread_rows", "sum_rows"]

Numbers = npt.NDArray[Any]

_F = np.float32
# NaN and infinity stay what they are, so that a run that diverges is seen.
_FLAGS = {"nsz", "arcp", "contract", "afn", "reassoc"}


def _inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = njit(inline="always", fastmath=_FLAGS, error_model="numpy")(
        function
    )
    return compiled


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    compiled: Callable[..., None] = njit(
        cache=True, fastmath=_FLAGS, error_model="numpy", nogil=True
    )(function)
    return compiled


@_inlined
def _tanh(x: Any) -> Any:
    """Return tanh(x) to 3e-7, a ratio of polynomials (as in Eigen), which vectorises."""
    x = _F(-7.90531110763549805) if x < _F(-7.90531110763549805) else x
    x = _F(7.90531110763549805) if x > _F(7.90531110763549805) else x
    y = x * x
    p = _F(-2.76076847742355e-16)
    p = p * y + _F(2.00018790482477e-13)
    p = p * y + _F(-8.60467152213735e-11)
    p = p * y + _F(5.12229709037114e-08)
    p = p * y + _F(1.48572235717979e-05)
    p = p * y + _F(6.37261928875436e-04)
    p = p * y + _F(4.89352455891786e-03)
    q = _F(1.19825839466702e-06)
    q = q * y + _F(1.18534705686654e-04)
    q = q * y + _F(2.26843463243900e-03)
    q = q * y + _F(4.89352518554385e-03)
    return x * p / q


@_inlined
def _sigmoid(x: Any) -> Any:
    return _F(0.5) * _tanh(_F(0.5) * x) + _F(0.5)


@_inlined
def _load(row: Numbers, bits: Numbers, numbers: Numbers) -> None:
    """Read a row of float32, or of bfloat16 given as uint16, into numbers (a view of bits)."""
    if row.itemsize == 2:
        for j in range(len(row)):
            bits[j] = np.uint32(row[j]) << np.uint32(16)
    else:
        for j in range(len(row)):
            numbers[j] = row[j]


@_inlined
def _store(row: Numbers, bits: Numbers, numbers: Numbers) -> None:
    """Write numbers to a row, rounded to the nearest if it is bfloat16."""
    if row.itemsize == 2:
        for j in range(len(row)):
            u = bits[j]
            half = np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))
            row[j] = np.uint16((u + half) >> np.uint32(16))
    else:
        for j in range(len(row)):
            row[j] = numbers[j]


@_inlined
def _row(k: int, seen: Numbers, starts: Numbers, most: Numbers, table: Numbers) -> Numbers:
    row: Numbers = table[starts[k] + min(np.int64(seen[k]), most[k])]
    return row


@_inlined
def _add_rows(seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, to: Numbers) -> None:
    """Add the rows that the parts name, three in a pass."""
    threes = len(seen) // 3 * 3
    for k in range(0, threes, 3):
        one = _row(k, seen, starts, most, table)
        two = _row(k + 1, seen, starts, most, table)
        three = _row(k + 2, seen, starts, most, table)
        for j in range(len(to)):
            to[j] += one[j] + two[j] + three[j]
    for k in range(threes, len(seen)):
        one = _row(k, seen, starts, most, table)
        for j in range(len(to)):
            to[j] += one[j]


@_inlined
def _add_to_rows(
    seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, what: Numbers
) -> None:
    for k in range(len(seen)):
        row = _row(k, seen, starts, most, table)
        for j in range(len(what)):
            row[j] += what[j]


@_compiled
def forward(
    seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, bias: Numbers,
    product: Numbers, before: Numbers, gates: Numbers, c: Numbers, h: Numbers, output: Numbers,
) -> None:  # fmt: skip
    """Finish a step: from the product with the hidden state (B, 4H) to gates, cells and outputs."""
    size, width = c.shape
    bits = np.empty(4 * width, np.uint32)
    more = np.empty(4 * width, np.uint32)
    a, other = bits.view(np.float32), more.view(np.float32)
    i, f, g, o = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
    both, out = a[: 2 * width], other[:width]
    for b in range(size):
        _load(product[b], bits, a)
        for j in range(4 * width):
            a[j] += bias[j]
        _add_rows(seen[b], starts, most, table, a)
        for j in range(2 * width):
            both[j] = _sigmoid(both[j])
        for j in range(width):
            g[j] = _tanh(g[j])
        for j in range(width):
            o[j] = _sigmoid(o[j])
        _store(gates[b], bits, a)
        here, old, new = c[b], before[b], h[b]
        for j in range(width):
            here[j] = f[j] * old[j] + i[j] * g[j]
        for j in range(width):
            out[j] = o[j] * _tanh(here[j])
        for j in range(width):
            new[j] = out[j]
        _store(output[b], more[:width], out)


@_compiled
def backward(
    seen: Numbers, starts: Numbers, most: Numbers, d_table: Numbers, d_bias: Numbers,
    product: Numbers, before: Numbers, gates: Numbers, c: Numbers, d_h: Numbers, d_c: Numbers,
) -> None:  # fmt: skip
    """Undo a step: from the gradients of its output and cells to those of its gates and cells.

    The gradients of the gates are written over the gates.
    """
    size, width = c.shape
    bits, more = np.empty(4 * width, np.uint32), np.empty(4 * width, np.uint32)
    last = np.empty(width, np.uint32)
    a, e, d = bits.view(np.float32), more.view(np.float32), last.view(np.float32)
    i, f, g, o = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
    di, df, dg, do = e[:width], e[width : 2 * width], e[2 * width : 3 * width], e[3 * width :]
    squashed = np.empty(width, np.float32)
    for b in range(size):
        _load(gates[b], bits, a)
        _load(product[b], last, d)
        here, old, d_here, d_out = c[b], before[b], d_c[b], d_h[b]
        for j in range(width):
            d[j] += d_out[j]
        for j in range(width):
            squashed[j] = _tanh(here[j])
        for j in range(width):
            do[j] = d[j] * squashed[j] * o[j] * (_F(1) - o[j])
        for j in range(width):
            d[j] = d_here[j] + d[j] * o[j] * (_F(1) - squashed[j] * squashed[j])
        for j in range(width):
            di[j] = d[j] * g[j] * i[j] * (_F(1) - i[j])
        for j in range(width):
            df[j] = d[j] * old[j] * f[j] * (_F(1) - f[j])
        for j in range(width):
            dg[j] = d[j] * i[j] * (_F(1) - g[j] * g[j])
        for j in range(width):
            d_here[j] = d[j] * f[j]
        _store(gates[b], more, e)
        for j in range(4 * width):
            d_bias[j] += e[j]
        _add_to_rows(seen[b], starts, most, d_table, e)


@_compiled
def sum_rows(seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, out: Numbers) -> None:
    """Write the sums (N, W) of the table's rows that the observations (N, F) name."""
    for n in range(len(seen)):
        out[n] = 0
        _add_rows(seen[n], starts, most, table, out[n])


@_compiled
def spread_rows(
    seen: Numbers, starts: Numbers, most: Numbers, d_table: Numbers, d_out: Numbers
) -> None:
    """Undo `sum_rows`: add the gradients (N, W) of the sums to those of the table's rows."""
    for n in range(len(seen)):
        _add_to_rows(seen[n], starts, most, d_table, d_out[n])
