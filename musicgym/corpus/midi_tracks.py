"""The reader of MIDI files, from the bytes of a file to `Reading`s."""

from __future__ import annotations

from typing import Any

from .midi_check import check_midi
from .readings import MAX_NOTES, Dropped, Line, Reading, Sound

__all__ = ["read_midi"]


def read_midi(data: bytes, accompaniment: bytes | None = None) -> list[Reading]:
    """Read a MIDI file, and a second one whose notes are the chords of the first.

    Raises:
        Dropped: it is no MIDI file, the meter or the key signature changes, it has drums only, or
            too many notes.
    """
    score = _score(data)
    lines = _midi_lines(score)
    if accompaniment is not None:
        chords = _midi_lines(_score(accompaniment))
        lines = [Line("melody", line.sounds) for line in lines]
        lines += [Line("chords", line.sounds) for line in chords]
    if not lines and any(track.is_drum for track in score.tracks):
        raise Dropped("drums only")
    meter, pickup = _midi_meter(score)
    signatures = {sign.key for sign in score.key_signatures}
    if len(signatures) > 1:
        raise Dropped("changes its key signature")
    sharps = signatures.pop() if signatures else None
    return [Reading(lines, meter=meter, pickup=pickup, sharps=sharps)]


def _score(data: bytes) -> Any:
    import symusic

    check_midi(data)
    return symusic.Score.from_midi(data)


def _midi_lines(score: Any) -> list[Line]:
    """Return the tracks that are no drums, in quarters."""
    tracks = [track for track in score.tracks if not track.is_drum and len(track.notes)]
    if sum(len(track.notes) for track in tracks) > MAX_NOTES:
        raise Dropped(f"more than {MAX_NOTES} notes")
    lines = []
    for track in tracks:
        columns = track.notes.numpy()
        times = zip(columns["time"], columns["duration"], columns["pitch"], strict=True)
        sounds = [
            Sound(float(t / score.tpq), float((t + max(d, 1)) / score.tpq), int(p), False)
            for t, d, p in ((int(t), int(d), int(p)) for t, d, p in times)
        ]
        bass = " bass" if 32 <= track.program < 40 else ""
        lines.append(Line(track.name + bass, sounds))
    return lines


def _midi_meter(score: Any) -> tuple[str, float]:
    """Return the meter and the length of the pickup.

    Notation programs write a pickup as one bar of a shorter meter at the start.
    """
    found: list[tuple[float, int, int]] = []
    for sign in sorted(score.time_signatures, key=lambda sign: sign.time):
        if not found or found[-1][1:] != (sign.numerator, sign.denominator):
            found.append((sign.time / score.tpq, sign.numerator, sign.denominator))
    if not found:
        return "4/4", 0.0
    if len(found) == 2 and found[0][0] == 0:
        (_, n, d), (start, numerator, denominator) = found
        bar = 4 * n / d if d else 0.0
        if denominator and start == bar < 4 * numerator / denominator:
            return f"{numerator}/{denominator}", bar
    if len(found) > 1:
        raise Dropped("changes its meter")
    return f"{found[0][1]}/{found[0][2]}", 0.0
