"""Piano rolls: a plain picture in NumPy, and a large labelled one by matplotlib."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgym.melody import Melody
from musicgym.theory import Chord, pitch_name

from .extras import require
from .notation import musical_signs

__all__ = ["image", "png"]

_BLACK_KEYS = (1, 3, 6, 8, 10)

Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
BLACK_KEY_ROW: Colour = (243, 244, 246)
BEAT_LINE: Colour = (229, 231, 235)
BAR_LINE: Colour = (148, 155, 166)
TINT: Colour = (222, 236, 250)  # the rows of the chord's tones
CHORD_TONE: Colour = (37, 99, 176)
OTHER_TONE: Colour = (224, 122, 47)
NO_CHORD_TONE: Colour = (107, 114, 128)
_NAMES = {CHORD_TONE: "chord tone", OTHER_TONE: "other tone", NO_CHORD_TONE: "no chord"}


def _note_colour(pitch: int, chord: Chord) -> Colour:
    if not chord.pitch_classes:
        return NO_CHORD_TONE
    return CHORD_TONE if pitch % 12 in chord.pitch_classes else OTHER_TONE


def image(melody: Melody, *, high: int | None = None, scale: int = 8) -> NDArray[np.uint8]:
    """Return a piano roll as a picture: (rows * scale, steps * scale, 3), uint8 RGB.

    One row a semitone from `melody.low` at the bottom to `high` at the top, one column a step, each
    `scale` pixels. Chord tones are blue, other notes orange, notes without a chord grey; behind
    them the rows of the chord's tones are tinted and those of black keys shaded. The size depends
    on the range and the number of steps alone, so the pictures of one task fit together.

    Args:
        melody: what to draw; rests leave the paper empty.
        high: the highest pitch of the range; None is the highest note, or an octave above `low`.
        scale: pixels a row and a step, at least 3.

    Raises:
        ValueError: `scale` is below 3, or a note lies above `high`.
    """
    notes = melody.notes()
    highest = max((note.pitch for note in notes), default=melody.low)
    top = max(highest, melody.low + 12) if high is None else high
    if scale < 3:
        raise ValueError(f"scale: {scale} pixels are too few; it must be 3 or more.")
    if highest > top:
        raise ValueError(f"high: {top} lies below the melody's highest note, {highest}.")
    steps, rows = len(melody.events), top - melody.low + 1
    roll = np.empty((rows * scale, steps * scale, 3), dtype=np.uint8)
    roll[:] = PAPER

    def row(pitch: int) -> slice:
        return slice((top - pitch) * scale, (top - pitch + 1) * scale)

    pitches = range(melody.low, top + 1)
    for pitch in pitches:
        if pitch % 12 in _BLACK_KEYS:
            roll[row(pitch)] = BLACK_KEY_ROW
    for onset, duration, chord in melody.spans():
        for pitch in pitches:
            if pitch % 12 in chord.pitch_classes:
                roll[row(pitch), onset * scale : (onset + duration) * scale] = TINT
    roll[:, :: melody.steps_per_beat * scale] = BEAT_LINE
    roll[:, :: melody.steps_per_bar * scale] = BAR_LINE
    for onset, duration, pitch in notes:
        block = roll[row(pitch), onset * scale + 1 : (onset + duration) * scale]
        for step in range(duration):  # a held note may leave its chord: each step has its colour
            chord = melody.chords[(onset + step) // melody.steps_per_chord]
            block[1:, max(0, step * scale - 1) : (step + 1) * scale - 1] = _note_colour(
                pitch, chord
            )
    return roll


def png(melody: Melody) -> bytes:
    """Return a labelled piano roll as a PNG: note names, bar numbers, chord symbols, a legend.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    require("matplotlib", "score", "a piano roll")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    notes, spans = melody.notes(), melody.spans() if melody.events else []
    used = [note.pitch for note in notes] or [melody.low, melody.low + 12]
    bottom, top = min(used) - 2, max(used) + 2
    bars = max(1, -(-len(melody.events) // melody.steps_per_bar))
    steps = bars * melody.steps_per_bar
    step_width = max((_symbol_width(chord, melody) / span for _, span, chord in spans), default=0.0)
    # Inches of the roll: as wide as bars or chord symbols need, up to what a picture can hold.
    width = min(120.0, max(8.0, 1.6 * bars, step_width * steps))
    height = 0.24 * (top - bottom + 1)
    left, right, above, below = 0.75, 0.3, 0.95, 0.85
    total = (width + left + right, height + above + below)
    figure = Figure(figsize=total, dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((left / total[0], below / total[1], width / total[0], height / total[1]))
    axes.set_xlim(0, steps)
    axes.set_ylim(bottom - 0.5, top + 0.5)
    _draw_paper(axes, melody, range(bottom, top + 1), bars)
    _draw_notes(axes, melody, aspect=(width / steps) / 0.24)
    _label(axes, melody, used, bars)
    figure.text(
        left / total[0], 1 - 0.38 / total[1], melody.name, size=15, weight="bold", parse_math=False
    )
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _symbol_width(chord: Chord, melody: Melody) -> float:
    """Return the inches that a chord symbol takes, with a gap after it."""
    return 0.13 * len(chord.symbol(melody.key)) + 0.1


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _draw_paper(axes: Any, melody: Melody, pitches: range, bars: int) -> None:
    """Draw the rows, the tints of the chords, and the lines of beats and bars."""
    from matplotlib.patches import Rectangle

    steps = bars * melody.steps_per_bar
    for pitch in pitches:
        if pitch % 12 in _BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=_hex(BLACK_KEY_ROW), lw=0, zorder=0)
    for onset, duration, chord in melody.spans():
        for pitch in pitches:
            if pitch % 12 in chord.pitch_classes:
                place = (onset, pitch - 0.5)
                axes.add_patch(Rectangle(place, duration, 1, color=_hex(TINT), lw=0, zorder=1))
    for step in range(0, steps + 1, melody.steps_per_beat):
        bar = step % melody.steps_per_bar == 0
        colour = _hex(BAR_LINE if bar else BEAT_LINE)
        axes.axvline(step, color=colour, lw=1.2 if bar else 0.8, zorder=2)


def _draw_notes(axes: Any, melody: Melody, aspect: float) -> None:
    """Draw the notes as rounded boxes; `aspect` is a step's width over a row's height."""
    from matplotlib.patches import FancyBboxPatch

    for onset, duration, pitch in melody.notes():
        colour = _note_colour(pitch, melody.chords[onset // melody.steps_per_chord])
        gap = 0.03 / aspect  # of a row's height
        box = FancyBboxPatch(
            (onset + gap, pitch - 0.42),
            duration - 2 * gap,
            0.84,
            boxstyle=f"round,pad=0,rounding_size={min(0.28 / aspect, 0.45)}",
            mutation_aspect=aspect,
            facecolor=_hex(colour),
            edgecolor="white",
            lw=0.6,
            zorder=3,
        )
        axes.add_patch(box)


def _label(axes: Any, melody: Melody, used: list[int], bars: int) -> None:
    """Write note names (the tonic bold), bar numbers, chord symbols and the legend."""
    from matplotlib.patches import Patch

    low, high = axes.get_ylim()
    rows = range(math.ceil(low), math.floor(high) + 1)
    ticks = [pitch for pitch in rows if pitch in used or pitch % 12 == melody.key.tonic]
    axes.set_yticks(ticks, [musical_signs(pitch_name(p, melody.key)) for p in ticks], size=9)
    for tick, label in zip(ticks, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if tick % 12 == melody.key.tonic else "normal")
    starts = [bar * melody.steps_per_bar for bar in range(bars)]
    axes.set_xticks(starts, [str(bar + 1) for bar in range(bars)], size=9, ha="left")
    axes.tick_params(length=0, colors="#374151")
    axes.set_xlabel(
        f"bar    ({musical_signs(melody.key.name)}, {melody.meter})",
        size=9,
        color="#374151",
        loc="left",
    )
    for spine in axes.spines.values():
        spine.set_color(_hex(BAR_LINE))
    for onset, _, chord in melody.spans():
        symbol = musical_signs(chord.symbol(melody.key))
        axes.text(onset, high + 0.35, symbol, size=12, weight="bold", color="#111827", va="bottom")
    colours = {
        _note_colour(note.pitch, melody.chords[note.onset // melody.steps_per_chord])
        for note in melody.notes()
    }
    if colours:
        legend = [(Patch(color=_hex(c)), name) for c, name in _NAMES.items() if c in colours]
        axes.legend(
            *zip(*legend, strict=True), loc="upper right", bbox_to_anchor=(1.0, 0.0), ncols=3,
            frameon=False, fontsize=9, borderaxespad=1.8, handlelength=1.4,
        )  # fmt: skip
