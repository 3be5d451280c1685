"""Sound: the melody over its chords, by symusic's synthesizer, as Ogg Vorbis or WAV."""

from __future__ import annotations

from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgym.melody import Melody

from .extras import MissingExtra, require
from .midi import TICKS_PER_QUARTER, score

__all__ = ["audio", "samples"]

RATE = 44_100  # samples a second
TAIL = 1.0  # seconds in which the last chord dies away
PEAK = 0.9  # the largest sample
CHORDS_LEVEL = 0.4  # loudness of the chords beside the melody (root mean square; -8 dB)
_BLOCK = 1 << 16  # frames a write: libsndfile's Vorbis encoder can crash on very long ones


def samples(melody: Melody, *, tempo: float = 100.0) -> NDArray[np.float32]:
    """Return the sound of a melody over its chords: (frames, 2), float32 in [-0.9, 0.9].

    It lasts the melody's own time and a tail of one second. A melody without notes or chords is
    silence.

    Raises:
        MissingExtra: the sound font is not installed.
    """
    whole = score(melody, tempo=tempo)
    quarters = len(melody.events) * melody.quarters_per_step
    end, tail = round(quarters * TICKS_PER_QUARTER), round(TAIL * tempo / 60 * TICKS_PER_QUARTER)
    frames = round((quarters * 60 / tempo + TAIL) * RATE)
    mix = np.zeros((frames, 2), dtype=np.float32)  # (frames, 2)
    # The synthesizer knows no velocity and no volume, so each track is rendered alone and mixed.
    for level, track in zip((1.0, CHORDS_LEVEL), whole.tracks, strict=True):
        if len(track.notes):
            for note in track.notes:
                if note.end == end:
                    note.duration += tail
            sound = _render(whole, track)[:frames]
            loudness = float(np.sqrt(np.mean(np.square(sound[np.any(sound != 0, axis=1)]))))
            mix[: len(sound)] += sound * (level / max(loudness, 1e-6))
    fade = round(TAIL * RATE)
    mix[-fade:] *= (np.linspace(1, 0, fade, dtype=np.float32) ** 2)[:, None]
    peak = float(np.abs(mix).max())
    return mix * np.float32(PEAK / peak) if peak > 0 else mix


def _render(whole: Any, track: Any) -> NDArray[np.float32]:
    """Return the sound of one track of a score: (frames, 2)."""
    from symusic import Synthesizer

    alone = whole.copy()
    alone.tracks = [track]
    rendered = Synthesizer(str(_sound_font()), RATE).render(alone, True)  # (2, frames)
    return np.ascontiguousarray(np.asarray(rendered, dtype=np.float32).T)


def _sound_font() -> Path:
    """Return the sound font inside pretty_midi, found without importing that package."""
    try:
        spec = find_spec("pretty_midi")
    except ValueError:  # the module is in sys.modules without a spec
        spec = None
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "TimGM6mb.sf2"
        if path.is_file():
            return path
    raise MissingExtra("pretty_midi", "audio", "sound")


def audio(melody: Melody, *, tempo: float = 100.0, format: str = "ogg") -> bytes:
    """Return the sound of a melody as a file's bytes: ``"ogg"`` (Vorbis) or ``"wav"`` (16 bit).

    Raises:
        MissingExtra: soundfile or the sound font is not installed.
    """
    soundfile = require("soundfile", "audio", "sound")
    sound = samples(melody, tempo=tempo)
    buffer = BytesIO()
    kind = {"ogg": ("OGG", "VORBIS"), "wav": ("WAV", "PCM_16")}[format]
    with soundfile.SoundFile(buffer, "w", RATE, 2, format=kind[0], subtype=kind[1]) as file:
        for start in range(0, len(sound), _BLOCK):
            file.write(sound[start : start + _BLOCK])
    return buffer.getvalue()
