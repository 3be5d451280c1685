"""CVAEGAN: a conditional VAE whose decoder is also the generator of a conditional GAN.

Reference: Ganorkar & Rathkanthiwar. The paper leaves out how events stay discrete and how the two
parts share the work; `ConditionedDecoder.unroll` and `CVAEGAN.learn` say what is done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicgym.agents.configs import CVAEGANConfig
from musicgym.agents.decoders import LSTMDecoder
from musicgym.agents.lessons import Lessons
from musicgym.corpus.dataset import Corpus
from musicgym.meters import METERS
from musicgym.task import Task
from musicgym.theory import MODES

from .conditional_decoder import ConditionedDecoder, Layer, Playing
from .conditions import (
    Frame,
    Scenes,
    excerpt,
    heard_again,
    keys_of,
    stage,
    transposed,
)
from .critic import MelodyCritic, gradient_penalty
from .generator import Generator
from .latent import Posterior
from .repertoire import labels_of, repertoire
from .training import Descent, Groups

__all__ = ["CVAEGAN"]

#: The curriculum: up to which share of the training excerpts are which part of the whole.
COURSE = ((0.1, 4), (0.3, 2))
#: Weight of the gradient penalty.
PENALTY = 10.0
#: Grid slots of the longest bar there is, 6/8 with 4 slots a beat.
LONGEST_BAR = 24


class CVAEGAN(Generator):
    """p(events | z, C), q(z | melody, C) and a critic; C is style, metre, key and chords.

    Key and chords are in the observation; style and metre stand after z in a latent (B, L).

    Attributes:
        critic: scores melodies; it is trained beside the generator and kept.
    """

    known: Tensor
    taught: Tensor
    usual: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, sizes: dict[str, int], n_events: int, config: CVAEGANConfig) -> None:
        """Make encoder, decoder and critic for the parts of an observation and A events.

        Raises:
            ValueError: the observation tells no key or chords, or a metre is unknown.
        """
        super().__init__(sizes, n_events, config)
        self.size = config
        for metre in config.metres:
            if metre not in METERS:
                raise ValueError(f"metres: {metre!r} is not one of {', '.join(METERS)}.")
        self.attributes = {"style": config.styles, "metre": config.metres}  # type: ignore[misc]
        self.frame = Frame(sizes, n_events)
        inside = self.frame.sizes(sizes)
        inside["position"] = LONGEST_BAR
        alphabet, labels = self.frame.alphabet, len(config.styles) + len(config.metres)
        whole = config.latent + labels
        self.reader = nn.ModuleList(
            Layer({**inside, "now": alphabet}, config.encoder, config.encoder, labels)
            for _ in range(2)
        )
        self.posterior = nn.Linear(4 * config.encoder + labels, 2 * config.latent)
        self.decoder = ConditionedDecoder(self.frame, inside, config.hidden, whole, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.critic = MelodyCritic(self.frame, inside, labels, config.critic)
        self.register_buffer("known", torch.ones(2, 12, dtype=torch.bool))
        self.register_buffer("taught", torch.ones(labels, dtype=torch.bool))
        self.register_buffer("usual", labels_of(1, 0, 0, config.styles, config.metres)[0])
        self.register_buffer("scale", torch.tensor([0.0, 1.0]))
        shape = len(config.styles), len(config.metres), config.latent
        self.register_buffer("centre", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))
        self._parts, self._batches = "both", 1

    # What is learned from.

    def lessons(self, corpus: Corpus, split: str, task: Task, hop: int = 1) -> list[Scenes]:
        """Return the windows of all styles and metres, a group each, in C major and A minor.

        The styles other than the corpus's own are taken from the cache, or built. The corpus and
        the task's metre are what is played where nothing else is asked for.

        Raises:
            ValueError: the corpus or the metre is none that this model is made for, or a style has
                no window at all.
        """
        styles, metres = self.size.styles, self.size.metres
        groups = repertoire(corpus, split, task, styles, metres, hop)
        self.usual.copy_(
            labels_of(1, styles.index(corpus.name), metres.index(task.meter), styles, metres)[0]
        )
        self.frame.home.fill_(-task.low % 12)
        if split == "train":
            reached = [keys_of(group, self.frame) for group in groups]
            self.known.copy_(torch.stack(reached).any(0))
            self.taught.copy_(torch.stack([group.labels.any(0) for group in groups]).any(0))
        return groups

    # Conditions.

    def condition(self, lessons: Lessons | Scenes) -> Tensor:
        """Return the labels of scenes (B, S + M); of other melodies the usual ones."""
        if isinstance(lessons, Scenes):
            return lessons.labels
        return self.usual.expand(len(lessons.events), -1)

    def asked(self, count: int, chance: Tensor | None = None, **attributes: str) -> Tensor:
        """Return the labels of a style and a metre (count, S + M), the usual ones if not asked for.

        Raises:
            ValueError: this model has not learned the style or the metre.
        """
        super().asked(count, chance, **attributes)
        row, begin = self.usual.clone(), 0
        for name, values in self.attributes.items():
            if name in attributes:
                place = begin + values.index(attributes[name])
                if not self.taught[place]:
                    heard = self.taught[begin : begin + len(values)].tolist()
                    learned = [value for value, there in zip(values, heard, strict=True) if there]
                    raise ValueError(
                        f"{name}: {attributes[name]!r} was in none of the melodies that this "
                        f"CVAEGAN has learned from; they have {', '.join(learned)}."
                    )
                row[begin : begin + len(values)] = 0
                row[place] = 1
            begin += len(values)
        return row.expand(count, -1)

    def check_keys(self, observation: Tensor) -> None:
        """Raise a ValueError where an observation uint8 (B, F) is in a key that was not learned."""
        mode, tonic = (self.frame.part(observation, part) for part in ("mode", "tonic"))
        known = self.known[mode, tonic]
        if not bool(known.all()):
            row = int((~known).nonzero()[0])
            learned = ", ".join(
                f"{MODES[m]} {' '.join(str(int(t)) for t in self.known[m].nonzero())}"
                for m in range(2)
                if self.known[m].any()
            )
            raise ValueError(
                f"key: {MODES[int(mode[row])]} with the tonic {int(tonic[row])} semitones above "
                f"the lowest pitch was asked for; this CVAEGAN has learned {learned}."
            )

    # The CVAE.

    def encode(self, lessons: Lessons | Scenes) -> Posterior:
        """Return q(z | melody, C), read in both directions."""
        observation, events = lessons[:2]
        labels = self.condition(lessons)
        seen = self.frame.enter(observation)
        now = self.frame.events(events, self.frame.shift(observation[:, 0]))
        seen = torch.cat([seen, now[..., None].to(torch.uint8)], -1).transpose(0, 1)
        drop = self.dropout.p if self.training else 0.0
        told = []
        for reader, way in zip(self.reader, (seen, seen.flip(0)), strict=True):
            h = reader(way.contiguous(), labels, drop, torch.float32)  # (T, B, E)
            told += [h[-1], h.mean(0)]
        told = self.posterior(self.dropout(torch.cat([*told, labels], -1)))
        mean, log_variance = told.chunk(2, -1)
        centre, spread = self.prior(labels)
        return Posterior((mean - centre) / spread, log_variance - 2 * spread.log())

    def prior(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation (B, Z) of the raw z of a style and a metre, by labels (B, K).

        The free bits of the training let the encoder tell the style by z as well, so that another
        z would mean another style. After the training the z of each style and metre are therefore
        measured from their own mean in their own deviation (see `finish`): that z has the standard
        normal prior, which is then one of the raw z given C.

        Reference: Ghosh et al. 2020 (arXiv 1903.12436), a prior fitted after the training.
        """
        parts = labels.split([len(self.size.styles), len(self.size.metres)], -1)
        which = (parts[0][:, :, None] * parts[1][:, None]).flatten(1)  # (B, S * M)
        return which @ self.centre.flatten(0, 1), which @ self.spread.flatten(0, 1)

    def raw(self, latent: Tensor) -> Tensor:
        """Return latents (B, L) with z as the decoder has learned it; see `prior`."""
        z, labels = latent.split([self.size.latent, latent.shape[-1] - self.size.latent], -1)
        centre, spread = self.prior(labels)
        return torch.cat([centre + spread * z, labels], -1)

    def whole(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, A) of whole episodes (B, T, F) under latents (B, L)."""
        if latent is None:
            latent = self.middle(len(observation))
        return self.decoder.whole(observation, self.raw(latent), kind)

    def begin(self, latent: Tensor) -> Playing:
        """Return the decoder's state at the start, under latents (B, L)."""
        return self.decoder.begin(self.raw(latent))

    def step(self, observation: Tensor, state: Playing) -> tuple[Tensor, Playing]:
        """Return logits (B, A) of one step (B, F) and the next state.

        Raises:
            ValueError: an episode starts in a key that this model has not learned.
        """
        if state.h is None:
            self.check_keys(observation)
        return self.decoder.step(observation, state)

    def as_decoder(self, observation: Tensor, state: Playing) -> LSTMDecoder:
        """Return what plays on, as `sampler` takes it; the arguments are those of `step`.

        Raises:
            ValueError: the key is one that this model has not learned.
        """
        self.check_keys(observation)
        return self.decoder.as_decoder(observation, state)

    # The GAN.

    def hear(self, scenes: Scenes) -> Tensor:
        """Return what the critic hears of melodies (B, T, C)."""
        shift = self.frame.shift(scenes.observation[:, 0])
        inside = self.frame.events(scenes.events, shift)
        events = nn.functional.one_hot(inside, self.frame.alphabet).float()
        return self.critic.read(events, scenes.observation)

    def score(self, lessons: Lessons | Scenes) -> Tensor:
        """Return the critic's scores of finished melodies (B,), standardised on what it has heard.

        0 is the mean of the training windows of all styles and metres, 1 their standard deviation.
        Any length will do; the critic has learned from windows of up to the length of training.
        """
        scenes = Scenes(*lessons[:2], self.condition(lessons))
        raw: Tensor = self.critic(self.hear(scenes), scenes)
        return (raw - self.scale[0]) / self.scale[1]

    # Training.

    def descents(self, training: Any, steps: int) -> list[Descent]:
        """Return how the CVAE learns, then the generator and the critic of the GAN.

        The GAN's are Adam(1e-4, 0, 0.9), as in WGAN-GP; the critic's gradient is not clipped.
        """
        self._parts, self._batches, self.notes = training.parts, steps, {}
        both = list(self.decoder.parameters())
        whole = [*both, *self.reader.parameters(), *self.posterior.parameters()]
        optimiser = torch.optim.AdamW(whole, weight_decay=training.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.learning_rate, steps)
        generator, critic = (
            torch.optim.Adam(parameters, 1e-4, (0.0, 0.9))
            for parameters in (both, list(self.critic.parameters()))
        )
        return [
            Descent(optimiser, schedule),
            Descent(generator),
            Descent(critic, most=float("inf")),
        ]

    def learn(
        self, batch: Any, share: float, training: Any, descents: Sequence[Descent]
    ) -> Mapping[str, Tensor]:
        r"""Learn from one batch, the CVAE and every so often the GAN, in turn.

        Each melody is moved to another key, cut to the length of the curriculum, and a share is
        stripped of its chords. The CVAE's turn minimises alpha times its loss. The GAN's turn is
        some steps of the critic, then one of the generator, down

        .. math:: \alpha L_{CVAE} - \gamma E[D(G(z, C))]

        with z from the encoder; without a CVAE from the prior. What is reported of the GAN is of
        its last turn.
        """
        batch, task = self.rehearse(batch, share, training)
        told: dict[str, Tensor] = {}
        if training.parts != "gan":
            told |= self.losses(batch, share, training)
            descents[0].step(training.alpha * told["loss"])
        if training.parts != "cvae":
            if round(share * self._batches) % training.every == 0 or not self.notes:
                self.notes = self.duel(batch, task, share, training, descents)
            told |= {name: torch.tensor(value) for name, value in self.notes.items()}
        if training.parts == "gan":
            told = {"loss": told["wasserstein"], **told}
        return told

    def rehearse(self, batch: Scenes, share: float, training: Any) -> tuple[Any, Task]:
        """Return a batch as it is learned from at this share of the training, and its task."""
        metre = self.size.metres[int(batch.labels[0, len(self.size.styles) :].argmax())]
        grid = self._grid(batch, metre)
        bars = batch.events.shape[1] // (METERS[metre].beats * grid)
        part = next((part for until, part in COURSE if share < until), 1)
        kept = max(1, bars // part) if training.curriculum else bars
        batch = excerpt(batch, self.frame, kept, bars)
        task = stage(metre, kept, grid, self.n_events)
        batch, tonic = transposed(batch, self.frame)
        bare = torch.rand(len(tonic), device=tonic.device) < training.withheld
        return heard_again(batch, task, tonic, bare), task

    def _grid(self, scenes: Scenes, metre: str) -> int:
        """Return the steps a beat of scenes: a bar has as many steps as it has positions."""
        positions = int(self.frame.part(scenes.observation[0], "position").max()) + 1
        return positions // METERS[metre].beats

    def duel(
        self, batch: Any, task: Task, share: float, training: Any, descents: Sequence[Descent]
    ) -> dict[str, float]:
        """Take the GAN's turn on a batch; return its figures."""
        size, rows = len(batch.events), training.rows
        with torch.no_grad():
            fakes = self.decoder.unroll(batch, self.imagined(batch), task)
            fake, real = self.critic.read(fakes.events, fakes.scenes.observation), self.hear(batch)
        for _ in range(training.critic_steps):
            some = torch.randperm(size, device=real.device)[:rows]
            scenes = Scenes(*(part[some] for part in batch))
            one, other = real[some], fake[some]
            apart = self.critic(one, scenes).mean() - self.critic(other, scenes).mean()
            u = torch.rand(len(some), device=real.device)
            penalty = gradient_penalty(self.critic, one, other, scenes, u)
            descents[2].step(training.delta * (PENALTY * penalty - apart))
        some = torch.randperm(size, device=real.device)[:rows]
        few: Any = Scenes(*(part[some] for part in batch))
        played = self.decoder.unroll(few, self.imagined(few), task)
        heard = self.critic.read(played.events, played.scenes.observation)
        opinion = self.critic(heard, few).mean()
        loss = -training.gamma * opinion
        if training.parts == "both":
            loss = loss + training.alpha * self.losses(few, share, training)["loss"]
        descents[1].step(loss)
        return {
            "wasserstein": float(apart.detach()),
            "penalty": float(penalty.detach()),
            "opinion": float(opinion.detach()),
        }

    def imagined(self, scenes: Scenes) -> Tensor:
        """Return raw latents (B, L) for the GAN: from the encoder, or without a CVAE the prior."""
        if self._parts == "gan":
            z = torch.randn(len(scenes.events), self.size.latent, device=scenes.events.device)
        else:
            with torch.no_grad():
                z = self.encode(scenes).sample()
        return self.raw(torch.cat([z, scenes.labels], -1))

    def figures(self, data: Any) -> dict[str, float]:
        """Return what validation reports; the first stops the training.

        That is the bound of the CVAE. A GAN alone has none: it is judged by `strangeness`.
        """
        found = super().figures(data)
        if self._parts == "gan":
            found = {"strangeness": self.strangeness(data), **found}
        return found

    @torch.no_grad()
    def strangeness(self, data: Scenes) -> float:
        """Return how far played events are from those of scenes, from 0 to 1.

        The total variation of the shares of each event of the frame, at the first step of a beat
        and elsewhere.
        """
        metre = self.size.metres[int(data.labels[0, len(self.size.styles) :].argmax())]
        grid = self._grid(data, metre)
        bars = data.events.shape[1] // (METERS[metre].beats * grid)
        task = stage(metre, bars, grid, self.n_events)
        played = self.decoder.unroll(data, self.imagined(data), task).events
        inside = self.frame.events(data.events, self.frame.shift(data.observation[:, 0]))
        real = nn.functional.one_hot(inside, self.frame.alphabet).float()
        on = torch.arange(real.shape[1], device=real.device) % grid == 0
        gaps = [
            (real[:, there].mean((0, 1)) - played[:, there].mean((0, 1))).abs().sum() / 2
            for there in (on, ~on)
            if there.any()
        ]
        return float(torch.stack(gaps).mean())

    @torch.no_grad()
    def finish(self, groups: Groups) -> None:
        """Keep how the critic scores the training windows, and where their z lie."""
        parts = [
            Scenes(*some)
            for group in groups
            for some in zip(*(tensor.split(256) for tensor in group), strict=True)
        ]
        scores = torch.cat([self.critic(self.hear(part), part) for part in parts])
        self.scale.copy_(torch.stack([scores.mean(), scores.std().clamp(min=1e-6)]))
        if self._parts == "gan":
            return
        self.centre.zero_()
        self.spread.fill_(1.0)
        seen = torch.zeros(self.centre.shape[:2], dtype=torch.bool)
        for group in groups:
            style, metre = (int(x.argmax()) for x in group.labels[0].split(seen.shape))
            mean, log_variance = map(torch.cat, zip(*(
                self.encode(part) for part in parts if torch.equal(part.labels[0], group.labels[0])
            ), strict=True))  # fmt: skip
            self.centre[style, metre] = mean.mean(0)
            self.spread[style, metre] = (mean.var(0) + log_variance.exp().mean(0)).sqrt()
            seen[style, metre] = True
        for style, metre in (~seen).nonzero().tolist():  # a pair that no corpus has: its style's
            if seen[style].any():
                self.centre[style, metre] = self.centre[style][seen[style]].mean(0)
                self.spread[style, metre] = self.spread[style][seen[style]].mean(0)
