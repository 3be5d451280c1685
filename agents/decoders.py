"""What a policy plays on with, in the form that the compiled functions of `sampler` take.

A policy that can be played by them has ``as_decoder(observation, state)``, with the arguments of
its step, one episode, before the first step. Nothing here imports numba until it chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .configs import Sampling
from .recurrence import Gates

__all__ = ["BlockDecoder", "BlockWeights", "Choose", "Decoder", "LSTMDecoder"]

Numbers = npt.NDArray[Any]
#: Hears an observation (F,) and takes 32 random bits; returns the event drawn.
Choose = Callable[[Numbers, int], int]


class Decoder(Protocol):
    """Plays an episode on, in a compiled function."""

    @property
    def kind(self) -> int:
        """Two decoders of one policy and one kind have equal `weights`."""

    @property
    def fits(self) -> bool:
        """Whether the compiled function can run it."""

    def weights(self) -> tuple[Any, ...]:
        """Return the weights as the compiled function reads them."""

    def chooser(self, weights: tuple[Any, ...], steps: int, ringing: int, how: Sampling) -> Choose:
        """Return what hears the observations of an episode one after the other.

        Args:
            weights: what `weights` returned.
            steps: of the episode, at most.
            ringing: the column of the observation that says whether a note rings.
            how: how events are drawn.
        """


class LSTMDecoder(NamedTuple):
    """LSTM layers over observations, and the logits.

    Attributes:
        layers: the weights.
        state: (h, c) of each layer, (1, H) each.
        head: (A, H), from the top layer's outputs to logits.
        bias: (A,), of the logits.
        skip: (R, A), what each value of the observation adds to the logits.
        given: what a condition adds to the first gates (1, 4H) and the logits (1, A), or None.
        kind: see `Decoder`.
    """

    layers: list[Gates]
    state: tuple[tuple[Tensor, Tensor], ...]
    head: Tensor
    bias: Tensor
    skip: Tensor
    given: tuple[Tensor, Tensor | None] | None = None
    kind: int = 0

    @property
    def fits(self) -> bool:
        """Whether the width is a multiple of 4, which are added in a pass."""
        return self.layers[0].hidden.shape[1] % 4 == 0

    def weights(self) -> tuple[Any, ...]:
        """Return tables, matrices and their scales; a latent may be folded into the head."""
        whole = []
        for place, gates in enumerate(self.layers):
            below = [gates.input] if place and gates.input is not None else []
            whole.append(torch.cat([*below, gates.hidden], 1).float())  # (4H, K)
        matrices, scales = _short(whole)
        first = self.layers[0]
        before = _arrays(first.starts, first.most, first.table)
        return before, matrices, scales, *_arrays(self.skip)

    def chooser(self, weights: tuple[Any, ...], steps: int, ringing: int, how: Sampling) -> Choose:
        """Return what hears the observations of an episode; see `Decoder`."""
        from .decoding import decode

        before, matrices, scales, skip = weights
        gates, logits = torch.stack([layer.bias for layer in self.layers]), self.bias
        if self.given is not None:
            gates[0] += self.given[0][0]
            logits = logits if self.given[1] is None else logits + self.given[1][0]
        h, c = (torch.cat([pair[k].float() for pair in self.state]).numpy() for k in (0, 1))
        bias, head, head_bias = _arrays(gates, self.head, logits)
        drawn = (ringing, float(how.temperature), how.top_k, float(how.top_p))

        def choose(seen: Numbers, bits: int) -> int:
            return decode(
                seen, *before, bias, matrices, scales, h, c, head, head_bias, skip, *drawn, bits
            )

        return choose


class BlockWeights(NamedTuple):
    """A Transformer block: LayerNorm, attention, LayerNorm, a feed-forward layer with GELU.

    Attributes:
        norms: the two LayerNorms.
        linears: to queries, keys and values; from what was attended; the two of the feed-forward.
        near: (heads, reach), added to a score by the distance, the last to all beyond.
    """

    norms: tuple[nn.LayerNorm, nn.LayerNorm]
    linears: tuple[nn.Linear, nn.Linear, nn.Linear, nn.Linear]
    near: Tensor


class BlockDecoder(NamedTuple):
    """Transformer blocks over embedded observations, at the start of an episode.

    Attributes:
        starts: int64 (F,) the first row of the table for each part of the observation.
        most: int64 (F,) the largest value of each part.
        table: (R, W), the embedding.
        given: (1, W) what a condition adds to it at each step.
        blocks: the weights.
        norm: the last LayerNorm.
        head: to the logits.
        kind: see `Decoder`.
    """

    starts: Tensor
    most: Tensor
    table: Tensor
    given: Tensor
    blocks: Sequence[BlockWeights]
    norm: nn.LayerNorm
    head: nn.Linear
    kind: int = 0

    @property
    def fits(self) -> bool:
        """Whether the width is a multiple of 4, which are added in a pass."""
        return self.table.shape[1] % 4 == 0

    def weights(self) -> tuple[Any, ...]:
        """Return tables, norms, matrices, their scales and biases, and what leads to the logits."""
        linears = [linear for block in self.blocks for linear in block.linears]
        matrices, scales = _short([linear.weight for linear in linears])
        norms = [
            torch.stack([part for norm in block.norms for part in (norm.weight, norm.bias)])
            for block in self.blocks
        ]
        before = _arrays(self.starts, self.most, self.table)
        biases = _arrays(*(linear.bias for linear in linears))
        near = torch.stack([block.near for block in self.blocks])
        after = _arrays(
            torch.stack([self.norm.weight, self.norm.bias]), self.head.weight, self.head.bias
        )
        return before, *_arrays(torch.stack(norms)), matrices, scales, biases, *_arrays(near), after

    def chooser(self, weights: tuple[Any, ...], steps: int, ringing: int, how: Sampling) -> Choose:
        """Return what hears the observations of an episode; see `Decoder`."""
        from .attending import attend

        before, norms, matrices, scales, biases, near, after = weights
        (given,) = _arrays(self.given[0])
        shape = (len(self.blocks), steps, len(given))
        keys, values = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        drawn = (ringing, float(how.temperature), how.top_k, float(how.top_p))
        heard = -1

        def choose(seen: Numbers, bits: int) -> int:
            nonlocal heard
            heard += 1
            return attend(
                seen, *before, given, norms, matrices, scales, biases, near, keys, values, heard,
                *after, *drawn, bits,
            )  # fmt: skip

        return choose


def _arrays(*tensors: Tensor) -> tuple[Numbers, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


def _short(matrices: Sequence[Tensor]) -> tuple[tuple[Numbers, ...], tuple[Numbers, ...]]:
    """Return matrices (N, K) as int16 (K, N) and the scale of each row (K,).

    At batch 1 a step takes as long as its weights take to be read; 16 bits of the largest of each
    row are read in half the time, and change a few events in 100,000.
    """
    turned = [matrix.detach().float().t().contiguous() for matrix in matrices]
    scales = [m.abs().amax(1).clamp(min=1e-30) / 32767 for m in turned]
    short = [(m / s[:, None]).round().short() for m, s in zip(turned, scales, strict=True)]
    return _arrays(*short), _arrays(*scales)
