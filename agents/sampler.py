"""Composing a few melodies, one after the other on one core, as `rollout.play` would.

`play` is made for batches: of its step at batch 1, half goes to the environments' arrays and half
to the overhead of small torch operations. Here a melody is played in the single environment. A
network of LSTM layers steps in one compiled function (see `decoding`); other policies in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from musicgym.env import MelodyComposeEnv
from musicgym.options import read_options
from musicgym.randomness import episode_key

from .configs import Sampling
from .policy import Policy, begin_play, chances, masked, ready, ringing_column, sample
from .recurrence import Decoder
from .rollout import Rollout
from .threads import few_threads

__all__ = ["Sampler"]

Numbers = npt.NDArray[Any]
Choose = Callable[[Numbers, int], int]  # an observation (F,) and 32 random bits -> an event

#: Steps after which the compiled function is loaded: loading it (0.5 s) takes as long as these
#: take in torch, so that a command that composes a melody or two never waits for it.
PATIENCE = 1024
#: Melodies that are made faster one after the other than in one batch: by the compiled function,
#: and in torch.
SWIFT, FEW = 16, 2


class Weights(NamedTuple):
    """What `decoding.decode` reads of a decoder; the same for every melody."""

    starts: Numbers
    most: Numbers
    table: Numbers
    weights: tuple[Numbers, ...]
    scale: tuple[Numbers, ...]
    head: Numbers
    skip: Numbers


class Sampler:
    """Plays a policy, a melody at a time; what is made of its weights is kept until they change.

    It plays the melodies of `rollout.play`, up to the rounding of the weights to 16 bits of the
    largest of their column: about one event in 100,000 is another.
    """

    def __init__(self, policy: Policy, compiled: bool | None = None) -> None:
        """Take a policy.

        Args:
            policy: what plays; it is prepared first, where it can be.
            compiled: whether an LSTM steps in the compiled function; None begins in torch and
                changes over when that pays: after `PATIENCE` steps `spent`.
        """
        self.policy, self._compiled, self.spent = policy, compiled, 0
        self._marks: Any = None
        self._player: Any = None
        self._weights: dict[int, Weights] = {}  # by the decoder's kind

    def pays(self, count: int) -> bool:
        """Return whether so many melodies are made faster here than in one batch."""
        swift = self._loaded and hasattr(self._ready(), "as_decoder")
        return count <= (SWIFT if swift else FEW)

    @property
    def _loaded(self) -> bool:
        """Whether the compiled function is loaded, or worth it."""
        return self.spent >= PATIENCE if self._compiled is None else self._compiled

    @few_threads()
    @torch.no_grad()
    def play(
        self,
        env: MelodyComposeEnv,
        seed: int,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        options: dict[str, Any] | None = None,
        latent: Tensor | None = None,
        first: int = 0,
    ) -> Rollout:
        """Play one whole episode: the one that `rollout.play` plays with the same arguments.

        Args:
            env: where to play; it gives ``"compact"`` observations.
            seed: fixes the episode and the events that are drawn.
            sampling: how events are drawn.
            options: of the reset.
            latent: (1, L) what a `LatentPolicy` plays under, in place of what it would draw.
            first: the place of the melody in a larger batch.

        Raises:
            ValueError: the seed, an option or the latent is out of its range.
        """
        if min(seed, first) < 0 or seed + first >= 2**63:
            raise ValueError(f"seed: {seed!r} (first: {first!r}) is not from 0 to 2**63 - 1.")
        given = read_options(options, env.task).events
        forced = [] if given is None else given.tolist()
        rest = {k: v for k, v in (options or {}).items() if k != "events"}
        seen, _ = env.reset(seed=seed + first, options=rest)
        episodes = env.episodes()
        chance = chances(torch.tensor([episode_key(seed + first)]), seed, env.task.steps)  # (T, 1)
        player = self._ready()
        start, latent = begin_play(player, episodes, chance[0], latent)
        choose = self._chooser(player, seen, start, ringing_column(env.task), sampling)
        self.spent += env.task.steps
        observation, terms, rewards = [], [], []
        for t, bits in enumerate(chance[:, 0].tolist()):
            observation.append(seen)
            event = choose(seen, bits)
            seen, reward, _, _, info = env.step(forced[t] if t < len(forced) else event)
            rewards.append(reward)
            terms.append([*info["reward_terms"].values()])
        paid, raw = torch.tensor(rewards), torch.tensor(terms, dtype=torch.float64)
        paid[: len(forced)], raw[: len(forced)] = 0, 0
        return Rollout(
            torch.from_numpy(np.stack(observation))[None],
            torch.from_numpy(info["melody"].astype(np.int64))[None],
            paid[None],
            raw[None],
            episodes,
            latent=latent,
        )

    def _ready(self) -> Any:
        """Return the policy made ready for a rollout, anew where its weights have changed."""
        own = self.policy.parameters() if isinstance(self.policy, nn.Module) else ()
        marks = [(parameter.data_ptr(), parameter._version) for parameter in own]
        if self._player is None or marks != self._marks:
            self._player, self._weights, self._marks = ready(self.policy), {}, marks
        return self._player

    def _chooser(
        self, player: Any, first: Numbers, state: Any, ringing: int, how: Sampling
    ) -> Choose:
        """Return what hears observations, from the first on, and chooses events."""
        if self._loaded and hasattr(player, "as_decoder"):
            decoder: Decoder = player.as_decoder(torch.from_numpy(first)[None], state)
            if decoder.layers[0].hidden.shape[1] % 4 == 0:  # see `decode`
                return self._compiled_chooser(decoder, ringing, how)

        def choose(seen: Numbers, bits: int) -> int:
            nonlocal state
            now = torch.from_numpy(seen)[None]
            logits, state = player(now, state)
            return int(sample(masked(logits, now, ringing), how, torch.tensor([bits])))

        return choose

    def _compiled_chooser(self, decoder: Decoder, ringing: int, how: Sampling) -> Choose:
        from .decoding import decode

        if decoder.kind not in self._weights:
            self._weights[decoder.kind] = weights(decoder)
        fixed = self._weights[decoder.kind]
        bias = torch.stack([gates.bias for gates in decoder.layers])  # (layers, 4H)
        head_bias = decoder.bias
        if decoder.given is not None:
            gates, logits = decoder.given
            bias[0] += gates[0]
            head_bias = head_bias if logits is None else head_bias + logits[0]
        h, c = (torch.cat([pair[k].float() for pair in decoder.state]).numpy() for k in (0, 1))
        given = (
            fixed.starts, fixed.most, fixed.table, bias.numpy(), fixed.weights, fixed.scale, h, c,
            fixed.head, head_bias.numpy(), fixed.skip,
            ringing, float(how.temperature), how.top_k, float(how.top_p),
        )  # fmt: skip

        def choose(seen: Numbers, bits: int) -> int:
            return decode(seen, *given, bits)

        return choose


def weights(decoder: Decoder) -> Weights:
    """Return a decoder's weights as the compiled function reads them."""
    whole = []
    for place, gates in enumerate(decoder.layers):
        below = [gates.input] if place and gates.input is not None else []
        whole.append(torch.cat([*below, gates.hidden], 1).float().t().contiguous())  # (K, 4H)
    scale = [w.abs().amax(1).clamp(min=1e-30) / 32767 for w in whole]
    short = [(w / s[:, None]).round().short() for w, s in zip(whole, scale, strict=True)]
    first = decoder.layers[0]
    return Weights(
        first.starts.numpy(),
        first.most.numpy(),
        first.table.contiguous().numpy(),
        tuple(w.numpy() for w in short),
        tuple(s.numpy() for s in scale),
        decoder.head.contiguous().numpy(),
        decoder.skip.contiguous().numpy(),
    )
