"""HierarchicalVAE: two recurrent levels, additive attention, and melodies of an emotion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from musicgym.agents.configs import GeneratorTraining, HierarchicalTraining, HierarchicalVAEConfig
from musicgym.agents.lessons import Lessons, episodes_in, lessons, perform
from musicgym.agents.melody_lstm import Embedding
from musicgym.agents.policy import masked
from musicgym.corpus.dataset import Corpus, windows
from musicgym.emotion import EMOTIONS, FEATURES, emotion, emotion_of, nearest, number, targets
from musicgym.emotion import EmotionTargets as Targets
from musicgym.randomness import draw
from musicgym.task import Task

from .attention import AdditiveAttention, Memory
from .generator import Generator
from .latent import Posterior
from .phrase_critic import PhraseCritic, phrase_features
from .training import Descent, Groups

__all__ = ["HierarchicalVAE"]

#: Bars of the phrases that the critic hears.
PHRASE = 2
#: The weight of each of `FEATURES` in the emotion loss, about 1 in the mean. One event moves the
#: mean interval and the spread much and the register little: with even weights the slope of the
#: register is a tenth of theirs and drowns in their noise. The mode is up to the chords.
PULL = (0.9, 0.4, 0.4, 2.6, 0.3)
#: One melody is played for so many that are read.
PLAYED = 2


class Standing(NamedTuple):
    """Where a play stands.

    Attributes:
        given: (B, H) what the latent adds to the input of each step.
        levels: (B, H) the state of each recurrent level.
        memory: the states of the last level so far.
    """

    given: Tensor
    levels: tuple[Tensor, ...]
    memory: Memory


class HierarchicalVAE(Generator):
    r"""Two levels of tanh cells, h1 from the input and h2 from h1, on either side (Zhao et al.).

    The encoder reads a melody with its events; mean and log-variance of z are linear in its last
    h2. The decoder runs levels of its own over the steps so far and attends to their h2 (see
    `AdditiveAttention`), never to the encoder's:

    .. math:: y_t = f(z, c_t), \quad f = V \tanh(W [c_t, h2_t, z]) + S x_t

    x_t is the step's observation: the event before, metre and chords. (h2_t and x_t are ours to
    add.) After z the latent holds the target emotion as the five numbers of `musicgym.emotion`, in
    the corpus's standard deviations above the neutral emotion.

    In training the target is drawn at random, so that it says nothing of the melody at hand. What
    makes the model follow it is the emotion loss, over melodies that it plays itself under z of
    the prior:

    .. math:: \frac15 \sum_j w_j \left( (emotion_j(y) - target_j) / deviation_j \right)^2

    w is `PULL`, and y are the events that it drew, with the gradient of their probabilities
    (straight through, Bengio et al. 2013), so that the loss is that of real melodies and not of
    blurred ones. The adversarial loss judges phrases of the same melodies (see `PhraseCritic`).
    """

    attributes: ClassVar[Mapping[str, tuple[str, ...]]] = {"emotion": EMOTIONS}
    config: HierarchicalVAEConfig
    table: Tensor
    deviations: Tensor

    def __init__(self, sizes: dict[str, int], n_events: int, config: HierarchicalVAEConfig) -> None:
        """Make the layers; the emotions are unknown until it meets a corpus."""
        super().__init__(sizes, n_events, config)
        hidden, levels, whole = config.hidden, config.levels, config.latent + len(FEATURES)
        self.heard, self.written = Embedding(sizes, hidden), nn.Embedding(n_events, hidden)
        self.encoder = nn.RNN(hidden, hidden, levels, batch_first=True)
        self.posterior = nn.Linear(hidden, 2 * config.latent)
        self.embedding = Embedding(sizes, hidden)
        self.given = nn.Linear(whole, hidden)
        nn.init.normal_(self.given.weight[:, config.latent :], std=0.2)  # heard from the start
        self.decoder = nn.RNN(hidden, hidden, levels, batch_first=True)
        self.attention = AdditiveAttention(hidden, config.heads)
        self.mix = nn.Linear(3 * hidden, hidden)
        self.head = nn.Linear(hidden, n_events)
        self.skip = nn.Linear(hidden, n_events, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.critic = PhraseCritic(PHRASE * sizes["position"])
        self.register_buffer("table", torch.zeros(len(EMOTIONS), len(FEATURES)))
        self.register_buffer("deviations", torch.ones(len(FEATURES)))
        self.task: Task | None = None
        self.weight = 0.0  # of the emotion loss, from the last training

    # The model

    def encode(self, lessons: Lessons) -> Posterior:
        """Return q(z | melody) of whole melodies; without z it is the prior."""
        size = len(lessons.events)
        if not self.config.variational:
            zeros = self.head.weight.new_zeros(size, self.config.latent)
            return Posterior(zeros, zeros)
        x = self.dropout(self.heard(lessons.observation) + self.written(lessons.events))
        last = self.encoder(x)[0][:, -1]
        mean, log_variance = self.posterior(last).chunk(2, -1)
        return Posterior(mean, log_variance)

    def whole(
        self,
        observation: Tensor,
        kind: torch.dtype = torch.float32,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Return logits (B, T, A) of whole episodes uint8 (B, T, F) under latents (B, L)."""
        with torch.autocast(observation.device.type, kind, enabled=kind != torch.float32):
            x, given = (
                self.dropout(self.embedding(observation)),
                self._given(latent, len(observation)),
            )
            states = self.dropout(self.decoder(x + given[:, None])[0])
            return self._said(x, states, self.attention(states), given[:, None]).float()

    def attended(self, observation: Tensor, latent: Tensor | None = None) -> Tensor:
        """Return the weights (B, heads, T, T) with which step t attends to step k of episodes."""
        given = self._given(latent, len(observation))
        states = self.decoder(self.embedding(observation) + given[:, None])[0]
        return self.attention.weights(states)

    def begin(self, latent: Tensor) -> Standing:
        """Return the decoder's state at the start, under latents (B, L)."""
        given = self._given(latent, len(latent))
        zeros = torch.zeros_like(given)
        return Standing(given, (zeros,) * self.config.levels, self.attention.begin(zeros))

    def step(self, observation: Tensor, state: Standing) -> tuple[Tensor, Standing]:
        """Return logits (B, A) of one step uint8 (B, F) and the next state.

        The memory of the states so far is written in place: of two plays that go on from one state,
        the second spoils the first.
        """
        x = self.embedding.sums(observation, self.embedding.table.weight, False)
        below, levels = x + state.given, []
        for level, before in enumerate(state.levels):
            w_input, w_hidden, b_input, b_hidden = self.decoder.all_weights[level]
            below = torch.rnn_tanh_cell(below, before, w_input, w_hidden, b_input, b_hidden)
            levels.append(below)
        context, memory = self.attention.step(below, state.memory)
        logits = self._said(x, below, context, state.given)
        return logits, Standing(state.given, tuple(levels), memory)

    def _given(self, latent: Tensor | None, size: int) -> Tensor:
        """Return what latents (B, L) add to each step, (B, H); None is `middle`."""
        if latent is None:
            latent = self.middle(size)
        if not self.config.variational:
            z = torch.zeros_like(latent[:, : self.config.latent])
            latent = torch.cat([z, latent[:, self.config.latent :]], -1)
        return cast(Tensor, self.given(latent))

    def _said(self, x: Tensor, states: Tensor, context: Tensor, given: Tensor) -> Tensor:
        """Return logits (..., A) of embeddings, states, contexts and what the latent adds."""
        inner = self.mix(torch.cat([context, states, given.expand_as(states)], -1)).tanh()
        return cast(Tensor, self.head(inner) + self.skip(x))

    # Emotions

    def lessons(self, corpus: Corpus, split: str, task: Task, hop: int = 1) -> list[Lessons]:
        """Return the windows of a split; those of the training split set the emotions' targets.

        Raises:
            ValueError: there is no such window, or it is shorter than a phrase.
        """
        if task.bars < PHRASE:
            raise ValueError(
                f"bars: {task.bars} was given, and a HierarchicalVAE learns phrases of {PHRASE} "
                f"bars, so it needs {PHRASE} or more."
            )
        made = lessons(corpus, split, task, hop)
        if split == "train":
            cut = windows(
                corpus, split, bars=task.bars, meter=task.meter, low=task.low, high=task.high
            )
            self.meet(targets(cut, task.low), task, made)
        return [made]

    def meet(self, known: Targets, task: Task, heard: Lessons) -> None:
        """Keep the emotions of a corpus, the task to play in training, and the critic's scale."""
        self.task = task
        self.table.copy_(torch.from_numpy(known.table))
        self.deviations.copy_(torch.tensor(known.deviations))
        self.critic.meet(phrase_features(self._hard(heard.events), *self._phrases(heard)))

    @property
    def emotions(self) -> Targets:
        """What each emotion is on the corpus that the model learned."""
        return Targets(tuple(map(tuple, self.table.tolist())), tuple(self.deviations.tolist()))

    def targets(self, places: Tensor) -> Tensor:
        """Return emotions (N,) of `EMOTIONS` as they stand after z, (N, 5)."""
        neutral = self.table[number("neutral")]
        return ((self.table - neutral) / self.deviations)[places]

    def condition(self, lessons: Lessons) -> Tensor:
        """Return the targets of the emotions that are nearest to the melodies, (B, 5)."""
        tonic = self._tonic(lessons)
        found = emotion_of(lessons.events, 0, tonic, self.n_events).float()
        return self.targets(nearest(found, self.emotions, without=()))

    def premise(self, lessons: Lessons) -> Tensor:
        """Return targets drawn at random (B, 5), so that they say nothing of the melodies."""
        size = (len(lessons.events),)
        return self.targets(torch.randint(len(EMOTIONS), size, device=self.table.device))

    def asked(self, count: int, chance: Tensor | None = None, **attributes: str) -> Tensor:
        """Return the targets of an emotion (count, 5); without one each melody draws its own."""
        super().asked(count, chance, **attributes)
        if "emotion" in attributes or chance is None:
            place = number(attributes.get("emotion", "neutral"))
            places = torch.full((count,), place, device=self.table.device)
        else:
            places = draw(chance, torch.tensor(self.config.latent)) % len(EMOTIONS)
        return self.targets(places)

    # Training

    def descents(self, training: GeneratorTraining, steps: int) -> list[Descent]:
        """Return how the parameters learn: Adam at a rate that stays (Zhao et al.)."""
        return [Descent(torch.optim.Adam(self.parameters(), training.learning_rate))]

    def losses(
        self, batch: Lessons, share: float, training: GeneratorTraining
    ) -> dict[str, Tensor]:
        """Return the base's losses, with the emotion loss and the adversarial loss.

        These two begin after a share `reading` of the training: from the start their noise would
        slow the reading down by half, and a model that has read little plays nothing worth judging.
        """
        assert isinstance(training, HierarchicalTraining)
        told = super().losses(batch, share, training)
        self.weight = training.emotion
        if share < training.reading or not (training.emotion or training.adversarial):
            return told
        batch = Lessons(*(part[: -(-len(part) // PLAYED)] for part in batch))
        played, wanted = self.play(batch)
        if training.emotion:
            told["emotion"] = self.missed(played, wanted, batch)
            told["loss"] = told["loss"] + training.emotion * told["emotion"]
        if training.adversarial:
            phrases = self._phrases(batch)
            real = phrase_features(self._hard(batch.events), *phrases)
            fake = phrase_features(played, *phrases)
            told["critic"] = self.critic.loss(real, fake, training.adversarial)
            told["loss"] = told["loss"] + told["critic"]
        return told

    def missed(self, played: Tensor, wanted: Tensor, batch: Lessons) -> Tensor:
        """Return the emotion loss () of melodies (B, T, A) that were to have some emotions (B,)."""
        off = (emotion(played, 0, self._tonic(batch)) - self.table[wanted]) / self.deviations
        return cast(Tensor, (off.square() * off.new_tensor(PULL)).mean())

    @torch.no_grad()
    def figures(self, data: Lessons) -> dict[str, float]:
        """Return the base's figures; the emotion loss counts in the one that stops the training.

        The bound of the NLL is then under ``"bound"``.
        """
        told = super().figures(data)
        told["bound"] = told["loss"]
        if self.weight and self.task is not None:
            told["emotion"] = float(self.missed(*self.play(data), data))
            told["loss"] += self.weight * told["emotion"]
        return told

    def fill_gaps(self, groups: Groups) -> None:
        """Give the values that training never showed a typical vector."""
        for embedding in (self.heard, self.embedding):
            embedding.fill_unseen(groups[0].observation)

    def play(self, batch: Lessons) -> tuple[Tensor, Tensor]:
        """Play melodies over the chords of others, each under a z of the prior and an emotion.

        Returns:
            Events (B, T, A), 0 or 1, with the gradient of their probabilities, and the emotions
            (B,).
        """
        if self.task is None:
            raise ValueError("HierarchicalVAE: it has no task to play; call `lessons` first.")
        size, device = len(batch.events), self.table.device
        wanted = torch.randint(len(EMOTIONS), (size,), device=device)
        z = torch.randn(size, self.config.latent, device=device)
        latent = torch.cat([z, self.targets(wanted)], -1)
        state = self.begin(latent)

        def act(t: int, seen: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
            nonlocal state
            now = torch.from_numpy(seen).to(device)
            logits, state = self.step(now, state)
            drawn = torch.multinomial(masked(logits, now, self.ringing).softmax(-1), 1)
            return cast(npt.NDArray[np.int64], drawn[:, 0].cpu().numpy())

        with torch.no_grad():
            own = perform(episodes_in(batch, self.task), self.task, act)
        observation = own.observation.to(device)
        logits = self.whole(observation, latent=latent)
        soft = masked(logits, observation, self.ringing).softmax(-1)
        return self._hard(own.events.to(device)) + soft - soft.detach(), wanted

    def _hard(self, events: Tensor) -> Tensor:
        return nn.functional.one_hot(events, self.n_events).float()

    def _tonic(self, lessons: Lessons) -> Tensor:
        """Return the tonics (B,) above the pitch of event 2."""
        return lessons.observation[:, 0, list(self.sizes).index("tonic")].long()

    def _phrases(self, lessons: Lessons) -> tuple[Tensor, int]:
        return self._tonic(lessons), self.critic.steps
