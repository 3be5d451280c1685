"""Counter-based randomness: every draw of an episode is a hash of its key and a counter.

There is no generator an environment, so thousands start at no cost, and any draw can be repeated.
The text runs on every backend; 32-bit values are kept in wider integers and masked.
"""

from __future__ import annotations

from .select import Array

__all__ = ["chance_at", "draw", "episode_key", "first_key", "next_key"]


def mix(h: Array) -> Array:
    """Scramble a 32-bit integer, one to one (the finaliser of lowbias32)."""
    a = (h ^ (h >> 16)) * 0x7FEB352D & 0xFFFFFFFF
    b = (a ^ (a >> 15)) * 0x846CA68B & 0xFFFFFFFF
    return b ^ (b >> 16)


def draw(key: Array, counter: Array) -> Array:
    """Return the 32-bit random number of an episode's key and a counter."""
    return mix(key ^ mix(counter + 0x9E3779B9 & 0xFFFFFFFF))


def episode_key(seed: int) -> int:
    """Return the hash key of the first episode after ``reset(seed=seed)``."""
    return int(first_key(seed))


def first_key(seed: Array) -> Array:
    """Return the hash keys of seeds; only their lower 64 bits count."""
    key = mix(seed + 0x6A09E667 & 0xFFFFFFFF)
    return mix(key ^ (seed >> 32 & 0xFFFFFFFF))


def next_key(key: Array) -> Array:
    """Return the hash key of the episode after the one with this key."""
    return mix(key + 0x85EBCA6B & 0xFFFFFFFF)


def chance_at(key: Array, step: Array) -> Array:
    """Return the draw that enters at a step (16 and above; below lie the episode's own draws)."""
    return draw(key, step + 16)
