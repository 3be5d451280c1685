"""Commands that make melodies: `compose`, `reconstruct`, `interpolate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from tyro import conf

from musicgym.agents.configs import (
    MODELS,
)

if TYPE_CHECKING:
    from musicgym.agents.acmg import ACMG, Composed
    from musicgym.melody import Melody


from .training import Training

__all__ = ["Compose", "Interpolate", "Reconstruct"]


@dataclass(frozen=True)
class Compose(Training):
    """Compose melodies over a progression; the agent is trained first where there is none.

    Attributes:
        key: such as "C major", "D minor", "Bb major".
        progression: roman numerals or chord symbols; they repeat and must divide the bars evenly.
        chords_per_bar: chords a bar.
        bars: bars of a melody.
        count: how many melodies.
        seed: fixes the melodies.
        out: folder for the files.
        agent: acmg, the default agent of the meter and grid; melody_lstm, lstm_vae,
            transformer_vae, cvae_gan or hierarchical_vae, as pretrained; or a checkpoint.
        emotion: cheerful, sad, calm, tense or neutral, of a hierarchical_vae.
        style: chorales or folk, of a cvae_gan.
        temperature: below 1 is safer, above 1 bolder.
        top_k: keep the k most likely events; 0 keeps all.
        top_p: keep the fewest events with this probability.
        opening: events to go on from, such as "C5 . E5 . G5 . . -" (. holds, - rests).
        tempo: quarter notes a minute.
    """

    key: str = "C major"
    progression: str = "I V vi IV"
    chords_per_bar: int = 1
    count: int = 1
    seed: int = 1
    out: Path = Path("out")
    agent: str = "acmg"
    emotion: str | None = None
    style: str | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    opening: str = ""
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.configs import Sampling
        from musicgym.export import save_all
        from musicgym.melody import parse_events
        from musicgym.theory import Key, parse_pitch

        key = Key.parse(self.key).name.replace(" ", "-").replace("#", "s").lower()
        wanted = {"emotion": self.emotion, "style": self.style}
        attributes = {name: value for name, value in wanted.items() if value is not None}
        words = (self.agent if self.agent in MODELS else "acmg", *attributes.values(), key)
        sampling = Sampling(self.temperature, self.top_k, self.top_p)
        agent = self._agent()
        low, high = (parse_pitch(p) + agent.shift(self.key) for p in agent.config.pitch_range)
        made = agent.compose(
            self.key,
            self.progression,
            bars=self.bars,
            count=self.count,
            seed=self.seed,
            sampling=sampling,
            opening=parse_events(self.opening, low, high),
            chords_per_bar=self.chords_per_bar,
            **attributes,
        )
        missing: list[str] = []
        for number, piece in enumerate(made, 1):
            stem = f"{'-'.join(words)}-{self.seed}-{number}"
            melody = replace(piece.melody, name=stem)
            paths, missing = save_all(melody, self.out, stem, tempo=self.tempo)
            print(_summary(replace(piece, melody=melody), paths))
        for line in missing:
            print(f"not written: {line}")

    def _agent(self) -> ACMG:
        """Return the agent; those with a name have learned melodies of 8 bars."""
        usual = replace(self, bars=8)
        if self.agent == "acmg" or self.agent in MODELS:
            asked = {"key": self.key, "bars": self.bars, "chords_per_bar": self.chords_per_bar}
            usual.config().envs(self.progression, 1, **asked)  # a mistake shows before the training
        return usual.named(self.agent)


def _summary(piece: Composed, paths: Sequence[Path]) -> str:
    """Return a melody in note names, what each term paid, and the paths of its files."""
    lines = [f"\n{piece.melody.name}  ({piece.melody.key.name})", piece.melody.bars(), ""]
    lines += [f"  {name:18} {value:+8.2f}" for name, value in piece.paid.items()]
    lines += [f"  {'reward':18} {piece.total:+8.2f}", ""]
    return "\n".join([*lines, *(f"  {path}" for path in paths)])


@dataclass(frozen=True)
class Reconstruct(Training):
    """Read a melody into latent vectors, a window at a time, and play it again from them.

    Attributes:
        file: MIDI, MusicXML, ABC, CSV or JSON. Its chords are kept; without any they are inferred.
        agent: lstm_vae, transformer_vae, cvae_gan, hierarchical_vae, or a checkpoint.
        temperature: 0 plays the most likely events, 1 draws them.
        seed: fixes what is drawn.
        out: folder for the files.
        tempo: quarter notes a minute.
    """

    file: conf.Positional[Path] = field(kw_only=True)
    agent: str = "lstm_vae"
    temperature: float = 0.0
    seed: int = 1
    out: Path = Path("out")
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.configs import Sampling
        from musicgym.agents.exploration import joined, reconstruct
        from musicgym.export import save_all

        melody = _heard(self.file, self)
        sampling = Sampling(self.temperature)
        found = reconstruct(self.named(self.agent), melody, sampling, self.seed)
        steps = len(found[0].original.events)
        for number, window in enumerate(found, 1):
            print(f"\nwindow {number}: {100 * window.same:.0f} % of {steps} steps are equal")
            print(f"  as it was\n{window.original.bars()}")
            print(f"  from its latent\n{window.melody.bars()}")
            print(f"  {window.nats:.1f} nats under its latent, {window.nats_without:.1f} under 0")
            print(f"  {window.kl:.1f} nats of KL to the prior")
        mean_same = mean(window.same for window in found)
        print(f"\nequal steps: {100 * mean_same:.1f} %")
        left = (len(melody.events) - steps * len(found)) // melody.steps_per_bar
        if left:
            print(f"bars that fill no window, and a pickup bar, are left out: {left}")
        missing: list[str] = []
        for name in ("original", "reconstruction"):
            stem = f"{self.file.stem}-{name}"
            parts = [w.original if name == "original" else w.melody for w in found]
            paths, missing = save_all(joined(parts, stem), self.out, stem, tempo=self.tempo)
            print(*(f"  {path}" for path in paths), sep="\n")
        for line in missing:
            print(f"not written: {line}")


@dataclass(frozen=True)
class Interpolate(Training):
    """Play melodies on the way from one melody to another, between their latent vectors.

    Attributes:
        one: where it begins: a MIDI, MusicXML, ABC, CSV or JSON file; its first window is read.
        other: where it ends.
        agent: lstm_vae, transformer_vae, cvae_gan, hierarchical_vae, or a checkpoint.
        count: melodies, the first and the last included.
        progression: chords to play over, in the key of the first; its own chords by default.
        chords_per_bar: of that progression.
        temperature: 0 plays the most likely events, 1 draws them, with the same chances in each.
        seed: fixes what is drawn.
        out: folder for the files.
        tempo: quarter notes a minute.
    """

    one: conf.Positional[Path] = field(kw_only=True)
    other: conf.Positional[Path] = field(kw_only=True)
    agent: str = "lstm_vae"
    count: int = 7
    progression: str | None = None
    chords_per_bar: int = 1
    temperature: float = 0.0
    seed: int = 1
    out: Path = Path("out")
    tempo: float = 100.0

    def run(self) -> None:
        """Run the command."""
        from musicgym.agents.configs import Sampling
        from musicgym.agents.exploration import interpolate
        from musicgym.export import MissingExtra
        from musicgym.export.roll_stack import stacked
        from musicgym.files import write_whole

        ends = [_heard(file, self) for file in (self.one, self.other)]
        found = interpolate(
            self.named(self.agent), ends[0], ends[1], self.count, self.progression,
            self.chords_per_bar, Sampling(self.temperature), self.seed,
        )  # fmt: skip
        stem = f"{self.one.stem}-to-{self.other.stem}"
        paths, titles = [], []
        for number, step in enumerate(found, 1):
            start, end = (
                mean(a == b for a, b in zip(step.melody.events, other, strict=True))
                for other in (found[0].melody.events, found[-1].melody.events)
            )
            titles.append(f"{100 * step.share:.0f} % of the way")
            print(f"\n{titles[-1]}: {100 * start:.0f} % of its steps are as in the first,", end="")
            print(f" {100 * end:.0f} % as in the last")
            print(step.melody.bars())
            for ending in (".mid", ".musicxml"):
                path = self.out / f"{stem}-{number}{ending}"
                paths.append(step.melody.save(path, tempo=self.tempo))
        try:
            picture = stacked([step.melody for step in found], titles)
        except MissingExtra as missing:
            print(f"not written: {missing}")
        else:
            write_whole(self.out / f"{stem}.png", picture)
            paths.append(self.out / f"{stem}.png")
        print("", *(f"  {path}" for path in paths), sep="\n")


def _heard(file: Path, of: Training) -> Melody:
    """Return the melody of a file; say so where its chords are inferred."""
    from musicgym.corpus.files import read_melody

    melody, inferred = read_melody(file, steps_per_beat=of.steps_per_beat)
    if melody.meter != of.meter:  # before an agent is trained that cannot read it
        raise ValueError(
            f"{file.name}: it is in {melody.meter}, and the agent would play {of.meter}; add "
            f"--meter {melody.meter}."
        )
    bars = len(melody.events) // melody.steps_per_bar
    chords = "chords inferred from the melody" if inferred else "with its own chords"
    print(f"{file.name}: {bars} bars of {melody.meter} in {melody.key.name}, {chords}")
    return melody
