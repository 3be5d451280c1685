"""The LSTM on a CPU: each step is one matrix product and one pass over its result.

`torch.nn.LSTM` multiplies every embedding by the input weights and reads the gates many times. The
input of a `MelodyLSTM` is a sum of table rows, so the table times the weights, made once, gives the
gates by adding rows; the rest of a step is one compiled loop. The products run in float32 or, where
asked, in bfloat16 (sums, cells and gradients of the table stay in float32).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor, nn

__all__ = ["Gates", "bag", "cell", "plain_cell", "recurrence"]

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
def _add_rows(seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, to: Numbers) -> None:
    for k in range(len(seen)):
        row = table[starts[k] + min(np.int64(seen[k]), most[k])]
        for j in range(len(to)):
            to[j] += row[j]


@_inlined
def _add_to_rows(
    seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, what: Numbers
) -> None:
    for k in range(len(seen)):
        row = table[starts[k] + min(np.int64(seen[k]), most[k])]
        for j in range(len(what)):
            row[j] += what[j]


@_compiled
def _forward(
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
def _backward(
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
def _sum_rows(seen: Numbers, starts: Numbers, most: Numbers, table: Numbers, out: Numbers) -> None:
    for n in range(len(seen)):
        out[n] = 0
        _add_rows(seen[n], starts, most, table, out[n])


@_compiled
def _spread_rows(
    seen: Numbers, starts: Numbers, most: Numbers, d_table: Numbers, d_out: Numbers
) -> None:
    for n in range(len(seen)):
        _add_to_rows(seen[n], starts, most, d_table, d_out[n])


def _array(tensor: Tensor) -> Numbers:
    """Return a tensor's memory as an array, bfloat16 as uint16."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


class Gates(NamedTuple):
    """The weights of one LSTM layer as its steps take them.

    Attributes:
        starts: int64 (F,) the first row of the table for each part of the observation.
        most: int64 (F,) the largest value of each part.
        table: float32 (R, 4H), the embedding's table times the input weights; (0, 4H) above the
            first layer.
        bias: float32 (4H,).
        hidden: (4H, H), the recurrent weights.
        input: (4H, H), the input weights above the first layer, or None.
    """

    starts: Tensor
    most: Tensor
    table: Tensor
    bias: Tensor
    hidden: Tensor
    input: Tensor | None


def cell(
    gates: Gates, seen: Tensor, below: Tensor | None, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the output (float32, and in the weights' type) and the cells of one step, (B, H) each.

    Args:
        gates: the layer; the type of its recurrent weights is that of the products.
        seen: uint8 (B, F).
        below: (B, H), the output of the layer below, or None.
        h: (B, H), the output before, in the weights' type.
        c: (B, H), the cells before.
    """
    product = torch.mm(h, gates.hidden.t())  # (B, 4H)
    if below is not None and gates.input is not None:
        product += torch.mm(below, gates.input.t())
        seen = seen[:, :0]
    if c.device.type != "cpu":
        return plain_cell(gates, seen, product, c)
    new, after = torch.empty_like(c), torch.empty_like(c)
    output = new if h.dtype == torch.float32 else torch.empty_like(h)
    place = _array(product)
    _forward(
        *map(_array, (seen, *gates[:4])), place, _array(c), place, _array(after), _array(new),
        _array(output),
    )  # fmt: skip
    return new, output, after


def plain_cell(
    gates: Gates, seen: Tensor, product: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Finish a step on any device: what `cell` does after its products (B, 4H)."""
    whole = product.float() + gates.bias  # (B, 4H)
    if seen.shape[1]:
        places = torch.minimum(seen.long(), gates.most) + gates.starts  # (B, F)
        whole = whole + nn.functional.embedding_bag(places, gates.table, mode="sum")
    i, f, g, o = whole.chunk(4, dim=-1)
    after = f.sigmoid() * c + i.sigmoid() * g.tanh()
    new = o.sigmoid() * after.tanh()
    return new, new.to(product.dtype), after


class _Recurrence(torch.autograd.Function):
    """One layer over whole episodes, from zeros."""

    @staticmethod
    def forward(
        ctx: Any, seen: Tensor, starts: Tensor, most: Tensor, table: Tensor, bias: Tensor,
        hidden: Tensor, below: Tensor | None, weight: Tensor | None, kind: torch.dtype,
    ) -> Tensor:  # fmt: skip
        steps, size = seen.shape[:2]
        width = hidden.shape[1]
        gates = torch.empty(steps, size, 4 * width, dtype=kind)
        c, h = torch.empty(steps, size, width), torch.empty(steps, size, width)
        output = h if kind == torch.float32 else torch.empty(steps, size, width, dtype=kind)
        zeros = torch.zeros(size, width)
        turned = hidden.to(kind).t().contiguous()
        if below is not None and weight is not None:
            below, weight = below.to(kind), weight.to(kind)
        fixed = list(map(_array, (starts, most, table, bias)))
        seen_, zeros_, gates_, c_, h_, output_ = map(_array, (seen, zeros, gates, c, h, output))
        for t in range(steps):
            if t:
                torch.mm(output[t - 1], turned, out=gates[t])
            else:
                gates[0] = 0
            if below is not None and weight is not None:
                gates[t] += torch.mm(below[t], weight.t())
            before = c_[t - 1] if t else zeros_
            _forward(seen_[t], *fixed, gates_[t], before, gates_[t], c_[t], h_[t], output_[t])
        ctx.save_for_backward(seen, starts, most, gates, c, output, hidden, below, weight)
        ctx.rows, ctx.spent = len(table), False
        return h

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        seen, starts, most, gates, c, output, hidden, below, weight = ctx.saved_tensors
        steps, size, width = c.shape
        kind = gates.dtype
        d_h = gradients[0].contiguous()
        if ctx.spent:
            raise RuntimeError("recurrence: its gradient can be taken once; run it again.")
        ctx.spent = True
        d_gates = gates  # in their place: fresh memory of this size costs a fifth of the time
        product = torch.zeros(size, width, dtype=kind)
        zeros, d_c = torch.zeros(size, width), torch.zeros(size, width)
        d_table, d_bias = torch.zeros(ctx.rows, 4 * width), torch.zeros(4 * width)
        turned = hidden.to(kind)
        fixed = list(map(_array, (starts, most, d_table, d_bias, product)))
        seen_, zeros_, gates_, c_ = map(_array, (seen, zeros, gates, c))
        d_h_, d_c_ = map(_array, (d_h, d_c))
        for t in reversed(range(steps)):
            if t + 1 < steps:
                torch.mm(d_gates[t + 1], turned, out=product)
            before = c_[t - 1] if t else zeros_
            _backward(seen_[t], *fixed, before, gates_[t], c_[t], d_h_[t], d_c_)
        flat = d_gates.flatten(0, 1)  # (T * B, 4H)
        d_hidden = torch.mm(flat[size:].t(), output[:-1].flatten(0, 1)).float()
        d_below = d_weight = None
        if below is not None:
            d_below = torch.mm(flat, weight).float().view(steps, size, -1)
            d_weight = torch.mm(flat.t(), below.flatten(0, 1)).float()
        return None, None, None, d_table, d_bias, d_hidden, d_below, d_weight, None


def recurrence(
    gates: Gates, seen: Tensor, below: Tensor | None = None, kind: torch.dtype = torch.float32
) -> Tensor:
    """Return the outputs (T, B, H) of one LSTM layer over whole episodes; it can be differentiated.

    Args:
        gates: the layer, in float32.
        seen: uint8 (T, B, F), contiguous.
        below: (T, B, H), the outputs of the layer below, or None.
        kind: the type of the products, float32 or bfloat16.
    """
    if below is not None:
        seen = seen[..., :0]
    apply: Callable[..., Tensor] = _Recurrence.apply
    return apply(seen, *gates[:5], below, gates.input, kind)


class _Bag(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, seen: Tensor, starts: Tensor, most: Tensor, table: Tensor) -> Tensor:
        out = torch.empty(len(seen), table.shape[1])
        _sum_rows(*map(_array, (seen, starts, most, table, out)))
        ctx.save_for_backward(seen, starts, most)
        ctx.shape = table.shape
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        d_table = torch.zeros(ctx.shape)
        _spread_rows(*map(_array, (*ctx.saved_tensors, d_table, gradients[0].contiguous())))
        return None, None, None, d_table


def bag(seen: Tensor, starts: Tensor, most: Tensor, table: Tensor) -> Tensor:
    """Return the sums (N, W) of the table's rows that observations (N, F) name."""
    apply: Callable[..., Tensor] = _Bag.apply
    return apply(seen, starts, most, table)
