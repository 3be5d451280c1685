"""Composing a few melodies, one after the other on one core, as `rollout.play` would.

`play` is made for batches: of its step at batch 1, half goes to the environments' arrays and half
to the overhead of small torch operations. Here a melody is played in the single environment. LSTM
layers and Transformer blocks step in one compiled function (see `decoders`); other policies in
torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from musicgym.env import MelodyComposeEnv
from musicgym.options import read_options
from musicgym.randomness import episode_key

from .configs import Sampling
from .decoders import Choose, Decoder, Numbers
from .policy import Policy, begin_play, chances, masked, ready, ringing_column, sample
from .rollout import Rollout
from .threads import few_threads

__all__ = ["Sampler"]

#: Steps after which the compiled function is loaded: loading it (0.5 s) takes as long as these
#: take in torch, so that a command that composes a melody or two never waits for it.
PATIENCE = 1024
#: Melodies that are made faster one after the other than in one batch: by the compiled function,
#: and in torch.
SWIFT, FEW = 16, 2


class Sampler:
    """Plays a policy, a melody at a time; what is made of its weights is kept until they change.

    It plays the melodies of `rollout.play`, up to the rounding of the weights to 16 bits of the
    largest of their column: some events in 100,000 are others.
    """

    def __init__(self, policy: Policy, compiled: bool | None = None) -> None:
        """Take a policy.

        Args:
            policy: what plays; it is prepared first, where it can be.
            compiled: whether a policy steps in a compiled function, if it can; None begins in torch
                and changes over when that pays: after `PATIENCE` steps `spent`.
        """
        self.policy, self._compiled, self.spent = policy, compiled, 0
        self._marks: Any = None
        self._player: Any = None
        self._weights: dict[int, tuple[Any, ...]] = {}  # by the decoder's kind

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
        ringing, steps = ringing_column(env.task), env.task.steps
        choose = self._chooser(player, seen, start, steps, ringing, sampling)
        self.spent += steps
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
        self, player: Any, first: Numbers, state: Any, steps: int, ringing: int, how: Sampling
    ) -> Choose:
        """Return what hears observations, from the first on, and chooses events."""
        if self._loaded and hasattr(player, "as_decoder"):
            decoder: Decoder = player.as_decoder(torch.from_numpy(first)[None], state)
            if decoder.fits:
                if decoder.kind not in self._weights:
                    self._weights[decoder.kind] = decoder.weights()
                return decoder.chooser(self._weights[decoder.kind], steps, ringing, how)

        def choose(seen: Numbers, bits: int) -> int:
            nonlocal state
            now = torch.from_numpy(seen)[None]
            logits, state = player(now, state)
            return int(sample(masked(logits, now, ringing), how, torch.tensor([bits])))

        return choose
