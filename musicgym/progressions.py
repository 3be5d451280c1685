"""Common progressions: what ``progression="random"`` draws from."""

from __future__ import annotations

__all__ = ["COMMON"]

#: Roman numerals by mode. The names of songs and styles are beside the point here: these are the
#: four- and eight-chord frames that textbooks and lead sheets share.
COMMON: dict[str, tuple[str, ...]] = {
    "major": (
        "I V vi IV",
        "I vi IV V",
        "I IV V I",
        "I IV I V",
        "I ii V I",
        "I vi ii V",
        "vi IV I V",
        "I iii IV V",
        "I V IV I",
        "I IV ii V",
        "IV I V vi",
        "I V vi iii IV I IV V",
        "I IV V V",
        "I iii vi IV",
        "ii V I vi",
        "I bVII IV I",
        "I I7 IV iv",
        "I V/V V I",
        "vi ii V I",
        "I V I V7",
    ),
    "minor": (
        "i VI III VII",
        "i iv V i",
        "i VII VI V",
        "i iv VII III",
        "i VI iv V",
        "i v VI VII",
        "i iiø7 V7 i",
        "i III VII iv",
        "VI VII i i",
        "i iv i V",
        "i VII i V",
        "iv i V i",
        "i VI VII i",
        "i V VI III iv i iv V",
        "i III iv V",
        "iv VII III VI",
    ),
}
