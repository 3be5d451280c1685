"""A check of the bytes of a MIDI file, made before a fast reader that trusts them sees them.

The reader is native code: bytes that break the format's rules can end the whole process there.
"""

from __future__ import annotations

from collections.abc import Iterator

from .readings import Dropped

__all__ = ["check_midi"]

#: More events than this are refused; a long song has some ten thousand.
MAX_EVENTS = 1_000_000

#: Ticks are counted in 32 bits, and a note ends after it begins.
MAX_TICKS = 2**30

#: Lengths of the data of channel messages by their upper four bits, and of some meta events.
_DATA = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_META = {0x51: 3, 0x58: 4, 0x59: 2}


def check_midi(data: bytes) -> None:
    """Refuse bytes that are no well-formed MIDI file with time in ticks a quarter.

    Raises:
        Dropped: a rule is broken; the message says which.
    """
    if data[:8] != b"MThd\0\0\0\6" or len(data) < 14:
        raise Dropped("broken MIDI: no header")
    if not 0 < int.from_bytes(data[12:14]) < 0x8000:
        raise Dropped("broken MIDI: no ticks a quarter")
    events = 0
    for start, end in _tracks(data):
        events += _check_track(data, start, end)
        if events > MAX_EVENTS:
            raise Dropped(f"more than {MAX_EVENTS} events")


def _tracks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of the events of each track; other chunks are allowed."""
    at = 14
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8])
        if end > len(data):
            raise Dropped("broken MIDI: a track is cut short")
        if data[at : at + 4] == b"MTrk":
            yield at + 8, end
        at = end


def _check_track(data: bytes, at: int, end: int) -> int:
    """Check the events of a track; return how many there are."""
    status = ticks = events = 0
    done = False
    while at < end:
        if done:
            raise Dropped("broken MIDI: events after the end of a track")
        delta, at = _number(data, at, end)
        ticks += delta
        events += 1
        if ticks > MAX_TICKS:
            raise Dropped("broken MIDI: later than any music")
        if events > MAX_EVENTS:
            raise Dropped(f"more than {MAX_EVENTS} events")
        first = _byte(data, at, end)
        if first < 0xF0:
            if first >= 0x80:  # otherwise the status of the event before goes on
                status, at = first, at + 1
            at = _check_message(data, at, end, status)
        elif first == 0xFF:
            kind = _byte(data, at + 1, end)
            done, at, status = kind == 0x2F, _check_meta(data, at + 2, end, kind), 0
        elif first in (0xF0, 0xF7):
            length, at = _number(data, at + 1, end)
            at, status = at + length, 0
        else:
            raise Dropped("broken MIDI: an unknown event")
    if at != end:
        raise Dropped("broken MIDI: a track is cut short")
    return events


def _check_message(data: bytes, at: int, end: int, status: int) -> int:
    """Check the data of a channel message; return where the next event begins."""
    length = _DATA.get(status >> 4, 0)
    if not length or at + length > end or max(data[at : at + length]) > 127:
        raise Dropped("broken MIDI: a message with wrong data")
    return at + length


def _check_meta(data: bytes, at: int, end: int, kind: int) -> int:
    """Check a meta event, whose length stands at `at`; return where the next event begins."""
    length, at = _number(data, at, end)
    content = data[at : at + length]
    if len(content) != length or at + length > end or length != _META.get(kind, length):
        raise Dropped("broken MIDI: a meta event of wrong length")
    if kind == 0x58 and (content[0] == 0 or content[1] > 6):
        raise Dropped("broken MIDI: no time signature")
    if kind == 0x59 and (not -7 <= int.from_bytes(content[:1], signed=True) <= 7 or content[1] > 1):
        raise Dropped("broken MIDI: no key signature")
    return at + length


def _byte(data: bytes, at: int, end: int) -> int:
    if at >= end:
        raise Dropped("broken MIDI: a track is cut short")
    return data[at]


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number of one to four bytes and where the next byte is."""
    value = 0
    for place in range(at, at + 4):
        byte = _byte(data, place, end)
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise Dropped("broken MIDI: a number of more than four bytes")
