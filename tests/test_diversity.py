"""Diversity and copying: values by hand, and what copies and noise score."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import small
from playing import spelt

from musicgym.benchmarks.diversity import (
    DIVERSITY,
    cosines,
    distinct_ngrams,
    diversity,
    hamming,
    human_diversity,
    longest_shared,
    vendi,
)
from musicgym.benchmarks.human import Human
from musicgym.benchmarks.metrics.metric import Measured
from musicgym.benchmarks.metrics.pieces import Pieces
from musicgym.melody import Melody
from musicgym.task import Task
from musicgym.theory import Key, parse_progression

MAJOR = Key.parse("C major")
CHORDS = parse_progression("C", MAJOR)
TASK = Task(key="natural", bars=4, steps_per_beat=1)


def pieces(*texts: str) -> Pieces:
    return Pieces.of([Melody(tuple(spelt(t)), 48, MAJOR, CHORDS, "4/4", 1) for t in texts])


@pytest.fixture(scope="module")
def human() -> Human:
    return Human.of(small.corpus(), TASK)


def noise(batch: Pieces, seed: int = 0) -> Pieces:
    """Return random events over the chords of the melodies."""
    return replace(
        batch, events=np.random.default_rng(seed).integers(0, TASK.n_events, batch.events.shape)
    )


def test_vendi_counts_the_different_items() -> None:
    assert vendi(np.ones((5, 5))) == pytest.approx(1)
    assert vendi(np.eye(5)) == pytest.approx(5)
    twins = np.kron(np.eye(3), np.ones((2, 2)))  # three pairs of twins
    assert vendi(twins) == pytest.approx(3)
    half = np.array([[1, 0.5], [0.5, 1]])  # eigenvalues 3/4 and 1/4
    assert vendi(half) == pytest.approx(math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25)))
    assert math.isnan(vendi(np.empty((0, 0))))


def test_cosines_of_vectors_by_hand() -> None:
    found = cosines(np.array([[3.0, 0], [1, 1], [0, 0], [-2, 0]]))
    r = 0.5**0.5
    expected = [[1, r, 0, -1], [r, 1, 0, -r], [0, 0, 1, 0], [-1, -r, 0, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_distinct_ngrams_count_runs_of_intervals_over_all_melodies() -> None:
    p = pieces("C4 D4 E4 . F4 -", "G4 A4 - B4 . .")  # +2 +2 +1; +2 +2
    assert distinct_ngrams(p, 1) == pytest.approx(2 / 5)
    assert distinct_ngrams(p, 2) == pytest.approx(2 / 3)  # (2 2) (2 1) (2 2)
    assert distinct_ngrams(p, 3) == 1
    assert math.isnan(distinct_ngrams(p, 4))


def test_hamming_distance_is_that_of_every_pair() -> None:
    texts = ("C4 . D4 -", "C4 E4 D4 -", "- . D4 .", "C4 . D4 -")
    events = [spelt(text) for text in texts]
    pairs = [np.mean(np.not_equal(a, b)) for a, b in combinations(events, 2)]
    assert hamming(pieces(*texts)) == pytest.approx(np.mean(pairs))
    moved = pieces("C4 . E4 -", "D4 . C4 -")  # the same events, counted from another pitch
    moved = replace(moved, low=np.array([48, 46]))  # now D4 is C4, and C4 a note of its own
    assert hamming(moved) == pytest.approx(1 / 4)
    assert math.isnan(hamming(pieces(texts[0])))
    assert math.isnan(hamming(pieces("", "")))


def longest_by_search(line: Any, others: list[Any]) -> int:
    """Return the longest shared run by trying every one."""
    own, best = np.diff(line).tolist(), 0
    for other in (np.diff(o).tolist() for o in others):
        for i in range(len(own)):
            for j in range(len(other)):
                n = 0
                while i + n < len(own) and j + n < len(other) and own[i + n] == other[j + n]:
                    n += 1
                best = max(best, n)
    return best


def test_the_longest_shared_run_is_the_one_that_a_search_finds() -> None:
    rng = np.random.default_rng(0)
    lines = [60 + rng.integers(-1, 2, rng.integers(0, 30)).cumsum() for _ in range(20)]
    others = [50 + rng.integers(-1, 2, rng.integers(0, 30)).cumsum() for _ in range(15)]
    expected = [longest_by_search(line, others) for line in lines]
    assert longest_shared(lines, others).tolist() == expected
    assert max(expected) > 5 and min(expected) == 0


def test_shared_runs_are_transposed_and_do_not_cross_from_line_to_line() -> None:
    source = [np.array([60, 62, 64, 65]), np.array([70, 71, 69])]
    ask = [np.array([50, 52, 54, 55]), np.array([60, 61, 62, 60]), np.array([60]), np.array([])]
    assert longest_shared(ask, source).tolist() == [3, 2, 0, 0]
    joined = [np.array([60, 62, 64, 65, 66, 64])]  # the end of one source and the start of the next
    assert longest_shared(joined, source).tolist() == [3]
    assert longest_shared(ask, []).tolist() == [0, 0, 0, 0]
    assert longest_shared([], source).tolist() == []


def test_a_copy_is_caught_and_noise_is_not(human: Human) -> None:
    copy, wild = diversity(human.pieces, human), diversity(noise(human.pieces), human)
    assert set(copy) == set(wild) == set(DIVERSITY)
    assert copy["copied"].value == 1
    assert copy["shared_with_reference_max"].value == human.pieces.line.count.max() - 1
    assert wild["copied"].value == 0
    assert wild["shared_with_reference"].value < copy["shared_with_training"].value
    assert wild["distinct_2"].value > copy["distinct_2"].value
    assert wild["hamming"].value > copy["hamming"].value
    train = Human.of(small.corpus(), TASK, "train")
    stolen = diversity(train.pieces, human)
    assert stolen["copied"].value == 1
    assert stolen["shared_with_training"].value > 1.5 * copy["shared_with_training"].value


def test_a_melody_with_one_other_note_is_no_copy_but_shares_the_rest(human: Human) -> None:
    events = human.pieces.events.copy()
    last = events.shape[1] - 1 - human.pieces.struck[:, ::-1].argmax(1)
    events[np.arange(len(events)), last] = 5  # far below the walks
    found = diversity(replace(human.pieces, events=events), human)
    assert found["copied"].value == 0
    assert found["shared_with_reference_max"].value == human.pieces.line.count.max() - 2


def test_the_human_row_is_spread_over_tunes_and_never_a_copy_of_itself(human: Human) -> None:
    row, split = human_diversity(human), diversity(human.pieces, human)
    assert set(row) == set(DIVERSITY)
    assert row["vendi"].total == len(human.pieces.events)
    assert row["vendi"].value > split["vendi"].value  # the split has four tunes
    assert row["shared_with_training"] == split["shared_with_training"]
    assert row["copied"].value == 0
    assert math.isnan(row["shared_with_reference"].value)


def test_a_few_notes_are_no_copy(human: Human) -> None:
    few = noise(human.pieces)
    events = few.events * 0  # one note, held
    events[:, 0] = events[:, 8] = 20  # and struck again: an interval of 0 stands in every corpus
    found = diversity(replace(few, events=events), human)
    assert found["shared_with_training"].value == 1
    assert math.isnan(found["copied"].value) and found["copied"].defined == 0
    line = human.pieces.line.count
    assert diversity(human.pieces, human)["copied"].defined == (line > 12).sum() > 5


def test_one_melody_sung_again_and_again_is_not_diverse(human: Human) -> None:
    one = noise(human.pieces)
    same = replace(one, events=one.events[:1].repeat(len(one.events), 0), masks=one.masks * 0 + 145)
    found = diversity(same, human)
    count = found["vendi"].total
    assert found["vendi"].value < 2  # two modes, whose degrees differ
    assert found["distinct_melodies"].value <= 2 / count
    assert found["distinct_4"].value < 0.1


def test_as_many_are_drawn_as_the_reference_has_and_keys_do_not_count(human: Human) -> None:
    p, n = human.pieces, len(human.pieces.events)
    twice = Pieces(*(np.tile(getattr(p, name), (2, 1) if getattr(p, name).ndim == 2 else 2)
                     for name in ("events", "low", "tonic", "minor", "masks")),
                   p.meter, p.steps_per_beat)  # fmt: skip
    assert diversity(twice, human)["hamming"].total == n
    moved = replace(p, low=p.low + 3, tonic=(p.tonic + 3) % 12,
                    masks=(p.masks << 3 | p.masks >> 9) & 0xFFF)  # fmt: skip
    mixed = Pieces(*(np.where(np.arange(n).reshape(-1, *[1] * (a.ndim - 1)) % 2, a, b)
                     for a, b in ((getattr(p, m), getattr(moved, m))
                                  for m in ("events", "low", "tonic", "minor", "masks"))),
                   p.meter, p.steps_per_beat)  # fmt: skip
    expected, found = diversity(p, human), diversity(mixed, human)
    for name in DIVERSITY:
        assert found[name].value == pytest.approx(expected[name].value), name


def test_one_melody_in_two_keys_is_one_melody(human: Human) -> None:
    up = 2 * (np.arange(len(human.pieces.events)) % 2)  # every other one a tone higher
    one = replace(human.pieces, events=human.pieces.events[:1].repeat(len(up), 0))
    keys = np.where(one.minor, 9, 0)
    moved = np.where(one.struck, one.events + up[:, None], one.events)
    found = diversity(replace(one, events=moved, tonic=(keys + up) % 12), human)
    assert found["distinct_melodies"].value == 1 / found["distinct_melodies"].total
    assert found["hamming"].value == 0


def test_modes_that_the_reference_lacks_are_taken_whole(human: Human) -> None:
    major = replace(human, sample=human.sample._replace(minor=human.sample.minor & False))
    minor = replace(human.pieces, tonic=human.pieces.tonic * 0 + 9, minor=human.pieces.minor | True)
    assert diversity(minor, major)["hamming"].total == len(human.pieces.events)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("text", ["- " * 16, ". " * 16, "C4 " + ". " * 15, ""])
def test_melodies_without_intervals_have_the_documented_values(
    human: Human, text: str, count: int
) -> None:
    found = diversity(pieces(*[text] * count), human)
    assert found["vendi"].value == pytest.approx(1)
    assert found["distinct_melodies"] == Measured(1 / count, count, count)
    for name in DIVERSITY[3:]:
        assert math.isnan(found[name].value) and found[name].defined == 0, name
    undefined = count == 1 or not text
    assert math.isnan(found["hamming"].value) == undefined
    if not undefined:
        assert found["hamming"].value == 0
