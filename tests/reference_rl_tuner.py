"""RL Tuner's sequence terms once more, slowly, from their text: each step looks at the whole past.

A melody is a list of events in which a hold never follows a rest. Nothing is shared with the terms.
"""

from __future__ import annotations

from fractions import Fraction


def notes(events: list[int]) -> list[tuple[int, int]]:
    """Return (step, event) of the struck notes."""
    return [(step, event) for step, event in enumerate(events) if event > 1]


def excessive_repeat(events: list[int], literal: bool = False) -> list[float]:
    paid = []
    for step, event in enumerate(events):
        past = events[:step]
        struck = notes(past)
        run = []  # steps of the equal notes just before
        while struck and struck[-1][1] == event:
            run.append(struck.pop()[0])
        unbroken = past[struck[-1][0] + 1 if struck else 0 :]  # after the last other note
        if event > 1:
            between = unbroken if literal else past[run[-1] if run else step :]
            too_much = len(run) > (6 if any(e < 2 for e in between) else 4)
        elif event == 1:
            too_much = unbroken.count(1) > 1
        else:
            too_much = literal and unbroken.count(0) > 4
        paid.append(-100.0 if too_much else 0.0)
    return paid


def autocorrelation(events: list[int], literal: bool = False) -> list[float]:
    paid = []
    for step, event in enumerate(events):
        heard = [e for e in events[: step + 1] if literal or e > 1]
        total = 0.0
        if (literal or event > 1) and len(set(heard)) > 1:
            mean = Fraction(sum(heard), len(heard))
            x = [e - mean for e in heard]
            for k in (1, 2, 3):
                r = abs(sum(a * b for a, b in zip(x, x[k:], strict=False)) / sum(a * a for a in x))
                total -= 3 * float(r) if r > Fraction(15, 100) else 0.0
        paid.append(total)
    return paid


def distinct(events: list[int], end: int) -> int:
    """Return the distinct pitches of the eight events up to a step, 0 where there are fewer."""
    return len({e for e in events[end - 7 : end + 1] if e > 1}) if end >= 7 else 0


def motif(events: list[int]) -> list[float]:
    counts = [distinct(events, end) for end in range(len(events))]
    return [3 + 0.3 * (u - 3) if u >= 3 else 0.0 for u in counts]


def repeated_motif(events: list[int]) -> list[float]:
    paid = []
    for end in range(len(events)):
        u, now = distinct(events, end), events[max(end - 7, 0) : end + 1]
        before = [events[start : start + 8] for start in range(end - 14)]
        paid.append(4.0 + u - 3 if u >= 3 and now in before else 0.0)
    return paid


def leap_resolution(events: list[int], literal: bool = False) -> list[float]:
    paid = [0.0] * len(events)
    line = notes(events)
    origin, way, leapt = None, 0, 0
    for (_, before), (step, event) in zip(line, line[1:], strict=False):
        leap = event - before if abs(event - before) >= 7 else 0
        home = origin is not None and (event <= origin if way > 0 else event >= origin)
        if leap and origin is None:
            origin, way = before, leap
        elif leap * way > 0:
            paid[step] = -5.0
        elif literal and leap and origin is not None:
            paid[step] = 5.0 if step - leapt - 1 > 6 else 0.0
            origin, way = None, 0
        elif home:
            paid[step], origin, way = 5.0, None, 0
        leapt = step if leap else leapt
    return paid


def unique_extremes(events: list[int]) -> list[float]:
    struck = [event for _, event in notes(events)]
    ends = [max(struck), min(struck)] if struck else []
    return [0.0] * (len(events) - 1) + [3.0 * sum(struck.count(e) == 1 for e in ends)]
