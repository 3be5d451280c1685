"""What a latent vector holds: melodies read and played again, and melodies between two melodies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musicgym.corpus.dataset import Windows
from musicgym.dynamics import Episodes
from musicgym.events import from_notes
from musicgym.melody import Melody
from musicgym.randomness import first_key
from musicgym.replay import episodes_of
from musicgym.task import Task, chord_masks
from musicgym.theory import MODES, Chord, Key, pitch_name

from .acmg import ACMG
from .configs import GENERATORS, Sampling, model_name
from .generators.generator import Generator
from .generators.latent import between
from .lessons import Lessons, nll, perform
from .policy import chances, masked, ringing_column, sample
from .threads import few_threads

__all__ = ["Between", "Reconstruction", "interpolate", "joined", "reconstruct"]

SURE = Sampling(temperature=0)


@dataclass(frozen=True)
class Reconstruction:
    """A window of a melody, and what an agent plays under the latent vector that it read there.

    Attributes:
        original: the window.
        melody: what was played over the same chords.
        latent: (L,).
        nats: -log p(window | latent), over the whole window.
        nats_without: the same under z = 0, the middle of the prior.
        kl: of the posterior to the prior, in nats.
    """

    original: Melody
    melody: Melody
    latent: tuple[float, ...]
    nats: float
    nats_without: float
    kl: float

    @property
    def same(self) -> float:
        """The share of steps with the same event, from 0 to 1."""
        pairs = zip(self.original.events, self.melody.events, strict=True)
        return sum(a == b for a, b in pairs) / len(self.original.events)


@dataclass(frozen=True)
class Between:
    """A melody on the way from one melody to another.

    Attributes:
        share: how far, 0 to 1.
        melody: what was played there.
        latent: (L,).
    """

    share: float
    melody: Melody
    latent: tuple[float, ...]


class Scene(NamedTuple):
    """Windows of a melody as an agent reads them, in C major or A minor.

    Attributes:
        task: of their length.
        episodes: their chords (N windows).
        lessons: what a policy sees and plays in them, on the agent's device.
        shift: semitones from there to the melody's own key.
        key: the melody's own.
    """

    task: Task
    episodes: Episodes
    lessons: Lessons
    shift: int
    key: Key


@few_threads()
@torch.no_grad()
def reconstruct(
    agent: ACMG, melody: Melody, sampling: Sampling = SURE, seed: int = 1
) -> list[Reconstruction]:
    """Read a melody window by window, and play each again under the latent that was read.

    A window has the bars of the agent's training; a shorter melody is one window. Bars that fill
    no window are left out, and a pickup bar.

    Args:
        agent: an agent whose actor is a generator.
        melody: on the agent's grid and meter; its chords are kept.
        sampling: how events are drawn; by default the most likely one is taken.
        seed: fixes the draws.

    Raises:
        ValueError: the agent has no latent vector, or does not play such melodies.
    """
    model = _generator(agent)
    scene = _scene(agent, melody)
    posterior, latent = model.encode(scene.lessons), model.embed(scene.lessons)
    apart = torch.cat([torch.zeros_like(posterior.mean), latent[:, model.config.latent :]], -1)
    ringing = ringing_column(scene.task)
    costs = [
        nll(model.whole(scene.lessons.observation, latent=z), scene.lessons, ringing).sum(-1)
        for z in (latent, apart)
    ]  # (N,) twice
    keys = first_key(torch.arange(len(latent)))
    played = _played(
        model, scene.task, scene.episodes, latent, sampling, chances(keys, seed, scene.task.steps)
    )
    found = []
    for i, (events, z) in enumerate(zip(played, latent.tolist(), strict=True)):
        name = f"{melody.name}-window{i + 1}"
        original = _melody(scene, scene.lessons.events[i].tolist(), i, f"{name}-original")
        found.append(
            Reconstruction(
                original,
                _melody(scene, events, i, f"{name}-reconstruction"),
                tuple(z),
                float(costs[0][i]),
                float(costs[1][i]),
                float(posterior.kl()[i].sum()),
            )
        )
    return found


@few_threads()
@torch.no_grad()
def interpolate(
    agent: ACMG,
    one: Melody,
    other: Melody,
    count: int = 7,
    progression: str | Sequence[str] | None = None,
    chords_per_bar: int = 1,
    sampling: Sampling = SURE,
    seed: int = 1,
) -> list[Between]:
    """Return melodies on the way from one melody to another, the first and the last included.

    The first windows of both are read. Their z are joined by an arc (see `latent.between`), the
    attributes after z by a line. All are played with the same draws over the same chords, in the
    key of the first melody, so that what changes from one to the next is the latent alone.

    Args:
        agent: an agent whose actor is a generator.
        one: on the agent's grid and meter.
        other: the same; if one is shorter, as many bars of the other are read.
        count: how many melodies, 2 or more.
        progression: chords to play over; those of the first melody by default.
        chords_per_bar: of the progression.
        sampling: how events are drawn; by default the most likely one is taken.
        seed: fixes the draws.

    Raises:
        ValueError: the agent has no latent vector, or does not play such melodies.
    """
    if count < 2:
        raise ValueError(f"count: {count!r} is not 2 or more: the two melodies themselves.")
    model = _generator(agent)
    most = min(_bars(agent, one), _bars(agent, other))
    here, there = _scene(agent, one, most), _scene(agent, other, most)
    first, last = (
        model.embed(Lessons(*(part[:1] for part in scene.lessons)))[0] for scene in (here, there)
    )
    z = model.config.latent
    shares = [i / (count - 1) for i in range(count)]
    way = [
        torch.cat([between(first[:z], last[:z], s), torch.lerp(first[z:], last[z:], s)])
        for s in shares
    ]
    latent = torch.stack(way)  # (count, L)
    chords = here.episodes
    if progression is not None:
        chords = _over(progression, chords_per_bar, here)
    episodes = Episodes(*(np.repeat(np.asarray(part)[:1], count, 0) for part in chords))
    chance = chances(first_key(torch.zeros(count, dtype=torch.int64)), seed, here.task.steps)
    played = _played(model, here.task, episodes, latent, sampling, chance)
    scene = here._replace(episodes=episodes)
    found = []
    for i, (events, row) in enumerate(zip(played, latent.tolist(), strict=True)):
        name = f"{one.name}-to-{other.name}-{i + 1}"
        found.append(Between(shares[i], _melody(scene, events, i, name), tuple(row)))
    return found


def joined(melodies: Sequence[Melody], name: str) -> Melody:
    """Return melodies of one key and grid one after the other, as one."""
    return replace(
        melodies[0],
        events=tuple(event for melody in melodies for event in melody.events),
        chords=tuple(chord for melody in melodies for chord in melody.chords),
        name=name,
    )


def _generator(agent: ACMG) -> Generator:
    """Return the actor of an agent that has a latent vector."""
    actor = agent.model.actor
    if not isinstance(actor, Generator):
        others = ", ".join(GENERATORS)
        name = model_name(agent.config.model.actor)
        raise ValueError(f"agent: a {name} has no latent vector; those that have: {others}.")
    return actor


def _bars(agent: ACMG, melody: Melody) -> int:
    """Return the bars of a window of a melody: those of training, or all if it is shorter."""
    return max(1, min(agent.config.bars, len(melody.events) // melody.steps_per_bar))


def _scene(agent: ACMG, melody: Melody, bars: int | None = None) -> Scene:
    """Return the windows of a melody as an agent reads them.

    Raises:
        ValueError: its meter, grid or range are not the agent's; it has no note, or less than a
            bar.
    """
    config = agent.config
    own, asked = (f"{x.meter} with {x.steps_per_beat} steps a beat" for x in (config, melody))
    if own != asked:
        raise ValueError(f"{melody.name}: it is in {asked}, and the agent plays {own}.")
    bars = bars or _bars(agent, melody)
    task = replace(config.task(), bars=bars)
    shift = _shift(melody, task)
    inside = melody.transposed(-shift)
    events = from_notes(inside.notes(), len(melody.events), task.low, task.high)
    first = task.steps_per_bar if events[0] == 1 and len(events) > task.steps else 0
    starts = range(first, len(events) - task.steps + 1, task.steps)
    cuts = [_window(inside, events, start, task) for start in starts]
    if not cuts:
        raise ValueError(f"{melody.name}: it is shorter than a bar of {task.steps_per_bar} steps.")
    rows, roots, codes = (np.array(part) for part in zip(*cuts, strict=True))
    modes = np.full(len(rows), MODES.index(melody.key.mode))
    names = (melody.name,) * len(rows)
    cut = Windows(rows, roots, codes, modes, names, names)
    episodes = episodes_of(cut, task)
    heard = perform(episodes, task, lambda t, _: rows[:, t])
    there = Lessons(*(part.to(agent.device) for part in heard))
    return Scene(task, episodes, there, shift, melody.key)


def _shift(melody: Melody, task: Task) -> int:
    """Return the smallest shift from C major or A minor that puts a melody into the range."""
    pitches = [note.pitch for note in melody.notes()]
    if not pitches:
        raise ValueError(f"{melody.name}: it has no note.")
    nearest = ACMG.shift(melody.key.name)
    low, high = min(pitches), max(pitches)
    for shift in sorted((nearest + 12 * octave for octave in (-1, 0, 1)), key=abs):
        if task.low <= low - shift and high - shift <= task.high:
            return shift
    raise ValueError(
        f"{melody.name}: it goes from {pitch_name(low)} to {pitch_name(high)} in "
        f"{melody.key.name}, {pitch_name(low - nearest)} to {pitch_name(high - nearest)} when "
        f"moved to C major or A minor; the agent plays {pitch_name(task.low)} to "
        f"{pitch_name(task.high)} there."
    )


def _window(
    melody: Melody, events: Sequence[int], start: int, task: Task
) -> tuple[list[int], list[int], list[int]]:
    """Return the events (T,) of a window, a held note struck again, and roots and codes a beat."""
    own = list(events[start : start + task.steps])
    before = [event for event in events[:start] if event]
    if own[0] == 0 and before:
        own[0] = before[-1]
    places = range(start, start + task.steps, task.steps_per_beat)
    chords = [melody.chords[step // melody.steps_per_chord] for step in places]
    return own, [chord.root for chord in chords], [chord.code for chord in chords]


def _over(progression: str | Sequence[str], chords_per_bar: int, scene: Scene) -> Episodes:
    """Return one episode of a scene over other chords, read in the melody's own key."""
    place = Task(
        "natural", "random", scene.task.meter, scene.task.bars, scene.task.steps_per_beat,
        chords_per_bar, pitch_range=(scene.task.low, scene.task.high),
    )  # fmt: skip
    spans = place.spans(progression, scene.key.mode, scene.key)
    roots, codes, _ = (np.repeat([span], place.steps_per_chord, 1) for span in spans)
    old = scene.episodes
    masks = chord_masks(roots, codes)
    return Episodes(old.tonic[:1], old.mode[:1], roots, codes, masks, old.key[:1])


def _played(
    model: Generator, task: Task, episodes: Episodes, latent: Tensor, how: Sampling, chance: Tensor
) -> list[list[int]]:
    """Return the events (N, T) that a model plays in episodes under latents (N, L)."""
    state: Any = model.begin(latent)
    ringing = ringing_column(task)

    def act(t: int, seen: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        nonlocal state
        now = torch.from_numpy(seen).to(latent.device)
        logits, state = model.step(now, state)
        drawn = sample(masked(logits, now, ringing), how, chance[t].to(latent.device))
        events: npt.NDArray[np.int64] = drawn.cpu().numpy()
        return events

    events: list[list[int]] = perform(episodes, task, act).events.tolist()
    return events


def _melody(scene: Scene, events: Sequence[int], row: int, name: str) -> Melody:
    """Return events over the chords of a window as a melody in the first melody's own key."""
    task, told = scene.task, scene.episodes
    tonic = int(told.tonic[row])
    beats = range(0, task.steps, task.steps_per_beat)
    chords = tuple(
        Chord.of(int(told.roots[row, step]) + tonic, int(told.codes[row, step])) for step in beats
    )
    natural = Key.parse("C major" if scene.key.mode == "major" else "A minor")
    made = Melody(
        tuple(events), task.low, natural, chords, task.meter, task.steps_per_beat, name
    ).transposed(scene.shift)
    return replace(made, key=scene.key)
