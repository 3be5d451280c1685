"""The LSTM on a CPU: each step is one matrix product and one pass over its result.

`torch.nn.LSTM` multiplies every embedding by the input weights and reads the gates many times. The
input of a `MelodyLSTM` is a sum of table rows, so the table times the weights, made once, gives the
gates by adding rows; the rest of a step is one compiled loop. The products run in float32 or, where
asked, in bfloat16 (sums, cells and gradients of the table stay in float32).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["Gates", "bag", "cell", "plain_bag", "plain_cell", "recurrence"]


def _array(tensor: Tensor) -> npt.NDArray[Any]:
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
        input: (4H, K), the weights of what comes from below beside the observation, or None.
    """

    starts: Tensor
    most: Tensor
    table: Tensor
    bias: Tensor
    hidden: Tensor
    input: Tensor | None


def cell(
    gates: Gates, seen: Tensor, below: Tensor | None, h: Tensor, c: Tensor, compiled: bool = True,
    given: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the output (float32, and in the weights' type) and the cells of one step, (B, H) each.

    Args:
        gates: the layer; the type of its recurrent weights is that of the products.
        seen: uint8 (B, F).
        below: (B, K), the output of the layer below or a condition, or None.
        h: (B, H), the output before, in the weights' type.
        c: (B, H), the cells before.
        compiled: use the compiled loop; it has to be loaded first, which a short play is not worth.
        given: (B, 4H) what a condition adds to the gates of every step, or None.
    """
    product = torch.mm(h, gates.hidden.t())  # (B, 4H)
    if given is not None:
        product += given
    if below is not None and gates.input is not None:
        product += torch.mm(below, gates.input.t())
    if not len(gates.table):
        seen = seen[:, :0]
    if not compiled:
        return plain_cell(gates, seen, product, c)
    from . import kernels

    new, after = torch.empty_like(c), torch.empty_like(c)
    output = new if h.dtype == torch.float32 else torch.empty_like(h)
    place = _array(product)
    kernels.forward(
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
        whole = whole + plain_bag(seen, gates.starts, gates.most, gates.table)
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
        given: Tensor | None,
    ) -> Tensor:  # fmt: skip
        from . import kernels

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
            if given is not None:
                gates[t] += given
            before = c_[t - 1] if t else zeros_
            kernels.forward(
                seen_[t], *fixed, gates_[t], before, gates_[t], c_[t], h_[t], output_[t]
            )
        ctx.save_for_backward(seen, starts, most, gates, c, output, hidden, below, weight)
        ctx.rows, ctx.spent = len(table), False
        return h

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from . import kernels

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
            kernels.backward(seen_[t], *fixed, before, gates_[t], c_[t], d_h_[t], d_c_)
        flat = d_gates.flatten(0, 1)  # (T * B, 4H)
        d_hidden = torch.mm(flat[size:].t(), output[:-1].flatten(0, 1)).float()
        d_below = d_weight = None
        if below is not None:
            d_below = torch.mm(flat, weight).float().view(steps, size, -1)
            d_weight = torch.mm(flat.t(), below.flatten(0, 1)).float()
        d_given = d_gates.sum(0, dtype=torch.float32) if ctx.needs_input_grad[9] else None
        return None, None, None, d_table, d_bias, d_hidden, d_below, d_weight, None, d_given


def recurrence(
    gates: Gates, seen: Tensor, below: Tensor | None = None, kind: torch.dtype = torch.float32,
    given: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return the outputs (T, B, H) of one LSTM layer over whole episodes; it can be differentiated.

    Args:
        gates: the layer, in float32.
        seen: uint8 (T, B, F), contiguous.
        below: (T, B, K), the outputs of the layer below or a condition, or None.
        kind: the type of the products, float32 or bfloat16.
        given: (B, 4H) what a condition adds to the gates of every step, or None.
    """
    if not len(gates.table):
        seen = seen[..., :0]
    apply: Callable[..., Tensor] = _Recurrence.apply
    return apply(seen, *gates[:5], below, gates.input, kind, given)


class _Bag(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, seen: Tensor, starts: Tensor, most: Tensor, table: Tensor) -> Tensor:
        from . import kernels

        out = torch.empty(len(seen), table.shape[1])
        kernels.sum_rows(*map(_array, (seen, starts, most, table, out)))
        ctx.save_for_backward(seen, starts, most)
        ctx.shape = table.shape
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from . import kernels

        d_table = torch.zeros(ctx.shape)
        kernels.spread_rows(*map(_array, (*ctx.saved_tensors, d_table, gradients[0].contiguous())))
        return None, None, None, d_table


def plain_bag(seen: Tensor, starts: Tensor, most: Tensor, table: Tensor) -> Tensor:
    """Return the sums of `bag` on any device."""
    places = torch.minimum(seen.long(), most) + starts  # (N, F)
    return nn.functional.embedding_bag(places, table, mode="sum")


def bag(seen: Tensor, starts: Tensor, most: Tensor, table: Tensor) -> Tensor:
    """Return the sums (N, W) of the table's rows that observations (N, F) name, on a CPU."""
    apply: Callable[..., Tensor] = _Bag.apply
    return apply(seen, starts, most, table)
