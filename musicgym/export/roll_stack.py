"""Piano rolls of several melodies under one another, on one scale, for comparing them by eye."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from musicgym.melody import Melody
from musicgym.theory import pitch_name

from .extras import require
from .notation import musical_signs
from .piano_roll import _draw_notes, _draw_paper

__all__ = ["stacked"]

#: Inches: of a bar, of a semitone, around a roll.
BAR, SEMITONE, ABOVE, LEFT = 1.2, 0.09, 0.45, 0.6


def stacked(melodies: Sequence[Melody], titles: Sequence[str]) -> bytes:
    """Return a PNG of melodies of one length, each with its title and its chords above it.

    Raises:
        ValueError: there is no melody, their lengths differ, or the titles are not as many.
        MissingExtra: matplotlib is not installed.
    """
    if not melodies or len({(len(m.events), m.steps_per_bar) for m in melodies}) > 1:
        raise ValueError("melodies: one or more of one length and meter are drawn together.")
    if len(titles) != len(melodies):
        raise ValueError(f"titles: {len(titles)} were given for {len(melodies)} melodies.")
    require("matplotlib", "score", "a piano roll")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    used = [note.pitch for melody in melodies for note in melody.notes()] or [60, 72]
    bottom, top = min(used) - 1, max(used) + 1
    steps, a_bar = len(melodies[0].events), melodies[0].steps_per_bar
    bars = -(-steps // a_bar)
    width, height = min(100.0, max(6.0, BAR * bars)), SEMITONE * (top - bottom + 1)
    total = (LEFT + width + 0.2, len(melodies) * (height + ABOVE) + 0.3)
    figure = Figure(figsize=total, dpi=110)
    FigureCanvasAgg(figure)
    for place, (melody, title) in enumerate(zip(melodies, titles, strict=True)):
        under = total[1] - (place + 1) * (height + ABOVE)
        axes = figure.add_axes(
            (LEFT / total[0], under / total[1], width / total[0], height / total[1])
        )
        axes.set_xlim(0, steps)
        axes.set_ylim(bottom - 0.5, top + 0.5)
        _draw_paper(axes, melody, range(bottom, top + 1), bars)
        _draw_notes(axes, melody, aspect=(width / steps) / SEMITONE)
        tonics = [p for p in range(bottom, top + 1) if p % 12 == melody.key.tonic]
        names = [musical_signs(pitch_name(p, melody.key)) for p in tonics]
        axes.set_yticks(tonics, names, size=8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.set_title(title, size=9, weight="bold", loc="left", pad=13, parse_math=False)
        for onset, _, chord in melody.spans():
            symbol = musical_signs(chord.symbol(melody.key))
            axes.text(onset, top + 0.8, symbol, size=7, va="bottom", clip_on=False)
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
