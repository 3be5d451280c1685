"""The page: pairs of melodies to be heard blind, one HTML file without network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicgym.export.audio import audio
from musicgym.melody import Melody

from .choices import FORMAT, melody_data

__all__ = ["seal", "unseal", "write_page"]

HERE = Path(__file__).parent


def write_page(
    systems: tuple[str, str],
    pairs: Sequence[tuple[Melody, Melody]],
    seed: int = 1,
    ratings: bool = False,
    tempo: float = 100.0,
    progress: bool = False,
) -> str:
    """Return the page as HTML.

    It shows the pairs in the order given; which melody of a pair is called A is drawn. The names of
    the systems, the sides and the notes are in the file, so that it is all that a listener needs
    and what it saves is whole; but sealed, so that they are not read by accident. That keeps no
    secret from one who wants to break it.

    Args:
        systems: the names of the two systems.
        pairs: a melody of each system.
        seed: fixes the sides.
        ratings: whether each melody is rated on the four scales, too.
        tempo: quarter notes a minute.
        progress: whether to show a progress bar.

    Raises:
        MissingExtra: the extra `audio` is not installed.
    """
    from tqdm import tqdm

    rng = np.random.default_rng([seed, len(pairs)])
    # As many of a system are called A as B, to one: a habit of choosing A favours neither.
    left = rng.permutation(np.arange(len(pairs)) % 2).tolist()
    sides = tqdm(zip(pairs, left, strict=True), "pairs", len(pairs), disable=not progress)
    sounds = [
        [base64.b64encode(audio(pair[k], tempo=tempo)).decode() for k in (side, 1 - side)]
        for pair, side in sides
    ]
    secret = {
        "format": FORMAT,
        "systems": systems,
        "pairs": [list(map(melody_data, pair)) for pair in pairs],
        "left": left,
    }
    whole = json.dumps([secret, tempo, ratings], sort_keys=True)
    page = hashlib.sha256(whole.encode()).hexdigest()[:16]
    data = {
        "page": page, "ratings": ratings, "sealed": seal(json.dumps(secret), page),
        "sounds": sounds,
    }  # fmt: skip
    text = (HERE / "page.html").read_text()
    for name in ("page.css", "page.js"):
        text = text.replace(f"/* {name} */", (HERE / name).read_text())
    return text.replace("/* data */", json.dumps(data))


def seal(text: str, page: str) -> str:
    """Return a text that can no longer be read by eye; a page's digest fixes how.

    >>> unseal(seal("chorales", "00c0ffee00c0ffee"), "00c0ffee00c0ffee")
    'chorales'
    """
    return base64.b64encode(_mixed(text.encode(), page)).decode()


def unseal(text: str, page: str) -> str:
    """Return what `seal` was given; the page does the same in JavaScript."""
    return _mixed(base64.b64decode(text), page).decode()


def _mixed(data: bytes, page: str) -> bytes:
    """Return bytes XOR Marsaglia's 32-bit xorshift, begun at a page's first eight hex digits."""
    state, out = int(page[:8], 16) or 1, bytearray()
    for byte in data:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        out.append(byte ^ state & 0xFF)
    return bytes(out)
