"""TransformerVAE: attention on either side of a latent vector."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from musicgym.agents.configs import TransformerVAEConfig
from musicgym.agents.decoders import BlockDecoder, BlockWeights
from musicgym.agents.lessons import Lessons
from musicgym.agents.melody_lstm import Embedding

from .generator import Generator
from .latent import Posterior
from .training import Groups

__all__ = ["Block", "TransformerVAE"]

#: Distances with a bias of their own; what is further back has that of the last.
REACH = 64


class Cache(NamedTuple):
    """What a block has heard of a play so far.

    Attributes:
        keys: (B, heads, room, D); the first `heard` are in use.
        values: the same.
        heard: how many steps.
    """

    keys: Tensor
    values: Tensor
    heard: int


class Block(nn.Module):
    r"""Self-attention and a feed-forward layer, each behind a LayerNorm, each added to its input.

    Where step t looks at step s, head h adds a learned bias to the score, which depends on the
    distance only; so melodies longer than those of training can be played:

    .. math:: a_{hts} = q_{ht} \cdot k_{hs} / \sqrt D + b_h(\min(|t - s|, 63))

    It begins as a slope (Press et al. 2022, ALiBi, arXiv 2108.12409), steeper in the first heads.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        """Make the layers."""
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asks = nn.Linear(width, 3 * width)  # queries, keys and values
        self.says = nn.Linear(width, width)
        self.thinks = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)
        slopes = 2 ** (-8 * torch.arange(1, heads + 1) / heads)
        self.bias = nn.Parameter(-slopes[:, None] * torch.arange(REACH))

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """Return (B, T, W) of whole sequences (B, T, W); causal: of the steps up to each only."""
        query, key, value = self._parts(self.before(x))
        place = torch.arange(x.shape[1], device=x.device)
        distance = place[:, None] - place  # (T, T)
        bias = self.bias[:, distance.abs().clamp(max=REACH - 1)]
        if causal:
            bias = bias.masked_fill(distance < 0, -torch.inf)
        return self._told(x, query, key, value, bias)

    def begin(self, size: int) -> Cache:
        """Return the cache of `size` plays at their start."""
        width = self.says.in_features
        room = self.bias.new_empty(size, self.heads, REACH, width // self.heads)
        return Cache(room, torch.empty_like(room), 0)

    def step(self, x: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Return (B, W) of one step (B, W) and the next cache, which is written in place."""
        query, key, value = self._parts(self.before(x)[:, None])
        (keys, values, heard), now = cache, cache.heard + 1
        if now > keys.shape[2]:
            keys, values = (torch.cat([room, torch.empty_like(room)], 2) for room in cache[:2])
        keys[:, :, heard], values[:, :, heard] = key[:, :, 0], value[:, :, 0]
        distance = torch.arange(heard, -1, -1, device=x.device).clamp(max=REACH - 1)
        bias = self.bias[:, None, distance]  # (heads, 1, now)
        told = self._told(x[:, None], query, keys[:, :, :now], values[:, :, :now], bias)
        return told[:, 0], Cache(keys, values, now)

    def parts(self) -> BlockWeights:
        """Return the weights, as `sampler` takes them."""
        one, other = (layer for layer in self.thinks if isinstance(layer, nn.Linear))
        return BlockWeights(
            (self.before, self.between), (self.asks, self.says, one, other), self.bias
        )

    def _parts(self, x: Tensor) -> list[Tensor]:
        """Return queries, keys and values (B, heads, T, D)."""
        parts = self.asks(x).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, D)
        return list(parts.permute(2, 0, 3, 1, 4))

    def _told(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        attended = nn.functional.scaled_dot_product_attention(
            query, key, value, bias.to(query.dtype)[None]
        )
        x = x + self.dropout(self.says(attended.transpose(1, 2).flatten(2)))
        return cast(Tensor, x + self.dropout(self.thinks(self.between(x))))


class Standing(NamedTuple):
    """Where a play stands.

    Attributes:
        given: (B, W) what the latent adds to the input of every step.
        caches: of the blocks.
    """

    given: Tensor
    caches: tuple[Cache, ...]


class TransformerVAE(Generator):
    r"""Self-attention on either side of z (Pricop & Iftene 2024, VAE-Transformer).

    The encoder reads a melody with its chords and metre, both ways; mean and log-variance of z are
    linear in the mean of its outputs. The decoder is causal, and z is given to every step:

    .. math:: x_t = E(observation_t) + U z + b

    The observation holds the place in the bar and the bars to go, so no step has a number.
    """

    config: TransformerVAEConfig

    def __init__(self, sizes: dict[str, int], n_events: int, config: TransformerVAEConfig) -> None:
        """Make the layers for the parts of an observation and A events."""
        super().__init__(sizes, n_events, config)
        width, heads, dropout = config.width, config.heads, config.dropout
        self.heard, self.written = Embedding(sizes, width), nn.Embedding(n_events, width)
        self.encoder = nn.ModuleList(Block(width, heads, dropout) for _ in range(config.layers))
        self.posterior = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * config.latent))
        self.up = nn.Linear(config.latent, width)
        self.embedding = Embedding(sizes, width)
        self.decoder = nn.ModuleList(Block(width, heads, dropout) for _ in range(config.layers))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n_events))
        self.dropout = nn.Dropout(dropout)

    def encode(self, lessons: Lessons) -> Posterior:
        """Return q(z | melody) of whole melodies."""
        x = self.dropout(self.heard(lessons.observation) + self.written(lessons.events))
        for block in self.encoder:
            x = block(x, causal=False)
        mean, log_variance = self.posterior(x.mean(1)).float().chunk(2, -1)
        return Posterior(mean, log_variance)

    def whole(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, A) of whole episodes uint8 (B, T, F) under latents (B, Z)."""
        if latent is None:
            latent = self.middle(len(observation))
        with torch.autocast(observation.device.type, kind, enabled=kind != torch.float32):
            x = self.dropout(self.embedding(observation) + self.up(latent)[:, None])
            for block in self.decoder:
                x = block(x, causal=True)
        return cast(Tensor, self.head(x.float()))

    def begin(self, latent: Tensor) -> Standing:
        """Return the decoder's state at the start, under latents (B, Z)."""
        blocks = cast("list[Block]", list(self.decoder))
        return Standing(self.up(latent), tuple(block.begin(len(latent)) for block in blocks))

    def step(self, observation: Tensor, state: Standing) -> tuple[Tensor, Standing]:
        """Return logits (B, A) of one step uint8 (B, F) and the next state.

        The caches are written in place: of two plays that go on from one state, the second spoils
        the first.
        """
        table = self.embedding.table.weight
        x, caches = self.embedding.sums(observation, table, False) + state.given, []
        for block, cache in zip(self.decoder, state.caches, strict=True):
            x, cache = cast(Block, block).step(x, cache)
            caches.append(cache)
        return self.head(x), state._replace(caches=tuple(caches))

    def as_decoder(self, observation: Tensor, state: Standing) -> BlockDecoder:
        """Return what plays on, as `sampler` takes it; the arguments are those of `step`."""
        norm, head = cast("tuple[nn.LayerNorm, nn.Linear]", tuple(self.head))
        parts, embedding = [cast(Block, block).parts() for block in self.decoder], self.embedding
        return BlockDecoder(
            embedding.starts, embedding.most, embedding.table.weight, state.given, parts, norm, head
        )

    def fill_gaps(self, groups: Groups) -> None:
        """Give the values that training never showed a typical vector."""
        for embedding in (self.heard, self.embedding):
            embedding.fill_unseen(groups[0].observation)
