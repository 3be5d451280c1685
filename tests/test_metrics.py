"""The registry of metrics: what pieces are, what is measured, and what is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tunes import MAJOR, close, melody, pieces, random_melodies

from musicgym.benchmarks.metrics import METRICS, Measured, Pieces, measure
from musicgym.benchmarks.metrics.metric import entropy, histograms, mean, ratio
from musicgym.melody import Melody
from musicgym.theory import parse_progression

pytestmark = pytest.mark.filterwarnings("error")

SILENCE = " ".join(["-"] * 8)
HOLDS = " ".join(["."] * 8)

#: A small human set, for the metrics that compare with one.
HUMAN = Pieces.of(random_melodies(6, seed=11))


def measured(name: str, some: Pieces, human: Pieces = HUMAN) -> np.ndarray:
    metric = METRICS[name]
    return np.asarray(metric.function(some, human) if metric.against else metric.function(some))


# Pieces


def test_pieces_know_what_is_struck_what_sounds_and_at_which_pitch() -> None:
    p = pieces(". C4 . - . E4 . G4")
    assert p.struck[0].tolist() == [False, True, False, False, False, True, False, True]
    assert p.sounding[0].tolist() == [False, True, True, False, False, True, True, True]
    assert p.pitch[0].tolist() == [0, 60, 60, 0, 0, 64, 64, 67]
    assert p.notes[0].tolist() == [60, 64, 67]


def test_the_line_holds_the_notes_of_each_melody_filled_up_on_the_right() -> None:
    line = pieces(". C4 . - . E4 . G4", "- D4 . . - - . .", SILENCE).line
    assert line.count.tolist() == [3, 1, 0]
    assert line.present.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert line.pitch.tolist() == [[60, 64, 67], [62, 0, 0], [0, 0, 0]]
    assert line.onset.tolist() == [[1, 5, 7], [1, 8, 8], [8, 8, 8]]
    assert line.duration.tolist() == [[2, 2, 1], [3, 0, 0], [0, 0, 0]]
    assert line.interval.tolist() == [[4, 3], [0, 0], [0, 0]]
    assert line.lowest.tolist() == [60, 62, 0]
    assert line.highest.tolist() == [67, 62, 0]


def test_the_line_is_what_the_melodies_say_of_their_notes() -> None:
    melodies = random_melodies(30, seed=1)
    line = Pieces.of(melodies).line
    for i, one in enumerate(melodies):
        there = line.present[i]
        columns = (line.onset[i][there], line.duration[i][there], line.pitch[i][there])
        assert [tuple(n) for n in one.notes()] == list(zip(*columns, strict=True))


def test_pieces_spread_the_chords_over_the_steps() -> None:
    p = pieces("C4 . . . . . . .", chords="C Am")
    assert (p.masks[0, :4] == 0b10010001).all()
    assert (p.masks[0, 4:] == (1 << 9 | 1 << 0 | 1 << 4)).all()


def test_pieces_know_their_bars() -> None:
    p = pieces("C4 . . D4 . . E4", meter="3/4", steps_per_beat=1)
    assert (p.bars, p.steps_per_bar, p.quarters_per_step) == (3, 3, 1)
    assert p.onsets.astype(int).tolist() == [[[1, 0, 0], [1, 0, 0], [1, 0, 0]]]
    assert pieces("C4", meter="6/8", steps_per_beat=2).quarters_per_step == 1 / 4


def test_pieces_are_melodies_of_one_length_at_least_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Pieces.of([])
    with pytest.raises(ValueError, match="one length"):
        Pieces.of([melody("C4 . . ."), melody(HOLDS)])


# The arithmetic


def test_what_is_divided_by_nothing_is_undefined() -> None:
    close(ratio([3, 0, 0], [4, 2, 0]), 3 / 4, 0, np.nan)
    close(mean([[1, 3], [5, 7], [9, 9]], [[1, 1], [0, 1], [0, 0]]), 2, 7, np.nan)
    close(mean(np.zeros((2, 0)), np.zeros((2, 0), bool)), np.nan, np.nan)


def test_an_entropy_is_in_bits_of_counts_of_any_shape() -> None:
    close(entropy([[[8, 8], [4, 12]]])[0], 1, -0.25 * np.log2(0.25) - 0.75 * np.log2(0.75))


def test_histograms_count_values_row_by_row() -> None:
    assert histograms([0, 2, 2, 2], [1, 0, 1, 1], 3, 2).tolist() == [[0, 1], [0, 0], [1, 2]]


# The registry


def test_every_metric_says_what_it_is() -> None:
    families = {"acmg", "rl_tuner", "zhao", "ganorkar", "muspy", "mgeval", "musdr"}
    assert {metric.family for metric in METRICS.values()} == families
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.unit in ("%", "st", "s", "bits", "nats", "")
        assert metric.title and "\n" not in metric.title
    titles = [metric.title for metric in METRICS.values()]
    assert len(set(titles)) == len(titles)


def test_a_mean_is_over_the_melodies_that_a_metric_is_defined_on() -> None:
    found = measure(pieces(SILENCE, "C4 . . . F#4 . . .", "C4 . . . F4 . . ."))
    assert found["outside_key"] == Measured(1 / 4, 2, 3)
    assert found["onset_share"] == Measured(pytest.approx(4 / 24), 3, 3)


def test_a_metric_of_the_set_is_defined_on_all_of_it_or_on_none() -> None:
    names = ["leaps_resolved"]
    assert measure(pieces("C4 G4 C4 .", "C4 . . ."), names=names) == {
        "leaps_resolved": Measured(1.0, 2, 2)
    }
    found = measure(pieces("C4 D4 C4 .", "C4 . . ."), names=names)["leaps_resolved"]
    assert math.isnan(found.value)
    assert (found.defined, found.total) == (0, 2)


def test_metrics_against_a_reference_are_left_out_without_one() -> None:
    against = {name for name, metric in METRICS.items() if metric.against}
    assert against == {name for name in METRICS if name.split("_")[0] in ("bleu", "kld", "overlap")}
    assert list(measure(HUMAN)) == [name for name in METRICS if name not in against]
    assert list(measure(HUMAN, HUMAN)) == list(METRICS)


def test_what_is_measured_can_be_chosen() -> None:
    assert list(measure(HUMAN, names=["h4", "duration"])) == ["h4", "duration"]
    with pytest.raises(ValueError, match="no 'pitch_rnge'; did you mean 'pitch_range'"):
        measure(HUMAN, names=["pitch_rnge"])
    with pytest.raises(ValueError, match="'bleu_1' compares with a reference"):
        measure(HUMAN, names=["bleu_1"])


def test_transposed_melodies_have_the_same_metrics() -> None:
    some = random_melodies(5, seed=2)
    here = measure(Pieces.of(some), HUMAN)
    for shift in (-7, 5):
        there = measure(Pieces.of([m.transposed(shift) for m in some]), HUMAN)
        for name in METRICS:
            assert there[name].value == pytest.approx(here[name].value, nan_ok=True), name


def test_a_melody_is_measured_alone_as_among_others() -> None:
    melodies = [*random_melodies(3, bars=1, seed=3), melody(SILENCE), melody("C4 - - - - - - -")]
    batch = Pieces.of(melodies)
    for name, metric in METRICS.items():
        values = measured(name, batch)
        if values.ndim == 0:
            continue
        assert not metric.against
        alone = [measured(name, Pieces.of([m]))[0] for m in melodies]
        np.testing.assert_allclose(values, alone, atol=1e-12, err_msg=name)


# What is undefined

#: Metrics that compare counts, which a melody without a note has too: 0.
OF_COUNTS = {f"{kind}_{feature}" for kind in ("kld", "overlap") for feature in (
    "pitch_count", "pitch_class_transitions", "note_count", "note_length_transitions"
)}  # fmt: skip
COUNTS = {"pitches_used", "pitch_classes_used"}
#: Shares of all steps, beats or events, defined as soon as there is one.
OF_STEPS = {"onset_share", "repeated", "repeated_as_published", "not_in_key", "starts_on_tonic",
            "in_motif", "in_repeated_motif", "empty_beats", "empty_bars"}  # fmt: skip
#: What needs two notes or more, or two bars.
OF_INTERVALS = {
    "under_octave", "leaps_resolved", "pitch_variation", "rhythm_diversity", "rhythm_continuity",
    "note_repetition", "groove_consistency", "groove_similarity", "sequence_coherence",
    *(name for name in METRICS if name.startswith(("autocorrelation", "bleu"))),
    *(f"{kind}_{feature}" for kind in ("kld", "overlap")
      for feature in ("pitch_interval", "onset_interval")),
}  # fmt: skip

DEFINED = {
    "no step": ("", COUNTS | OF_COUNTS),
    "rests": (SILENCE, COUNTS | OF_COUNTS | OF_STEPS),
    "invalid holds": (HOLDS, COUNTS | OF_COUNTS | OF_STEPS),
    "one note": ("- C4 . . - - - -", set(METRICS) - OF_INTERVALS),
}


@pytest.mark.parametrize("case", DEFINED)
@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_undefined_where_it_says_so_and_never_a_crash(name: str, case: str) -> None:
    text, defined = DEFINED[case]
    value = measured(name, pieces(text)).reshape(-1)
    assert value.shape == (1,)
    assert value.dtype == np.float64
    assert np.isnan(value[0]) == (name not in defined)


def test_a_melody_without_a_note_has_the_values_of_silence() -> None:
    found = measure(pieces(SILENCE))
    ones = {name for name, m in found.items() if m.value == 1}
    zeros = {name for name, m in found.items() if m.value == 0}
    assert ones == {"empty_beats", "empty_bars"}
    assert zeros == (OF_STEPS | COUNTS) - ones - {"repeated", "repeated_as_published"}
    assert found["repeated"].value == 6 / 8  # the third silent step and those after it


@pytest.mark.parametrize("name", METRICS)
def test_of_one_pitch_there_is_no_autocorrelation_and_the_rest_is_finite(name: str) -> None:
    value = measured(name, pieces(" ".join(["C4"] * 16)))
    undefined = "autocorrelation" in name or name == "leaps_resolved"
    assert np.isnan(value).all() == undefined


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("meter", "steps_per_beat", "steps"),
    [("3/4", 2, 12), ("6/8", 1, 12), ("6/8", 2, 30), ("2/4", 4, 40), ("4/4", 4, 64), ("4/4", 2, 5),
     ("4/4", 1, 1)],
)  # fmt: skip
def test_every_meter_grid_and_length_is_measured(
    name: str, meter: str, steps_per_beat: int, steps: int
) -> None:
    rng = np.random.default_rng(steps)
    events = rng.choice([0, 1, 14, 16, 18, 21, 26], (7, steps), p=[0.3, 0.1, *[0.12] * 5])
    chords = parse_progression("C", MAJOR)
    some = Pieces.of(
        [Melody(tuple(e.tolist()), 48, MAJOR, chords, meter, steps_per_beat) for e in events]
    )
    values = measured(name, some)
    assert values.shape in ((), (7,))
    known = values[~np.isnan(values)]
    assert np.isfinite(known).all()
    if METRICS[name].unit == "%" or name.startswith(("bleu", "overlap", "sequence")):
        assert ((known >= 0) & (known <= 1 + 1e-9)).all()
    if steps >= 12:
        assert known.size


@pytest.mark.parametrize("seed", range(5))
def test_random_events_stay_within_their_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = rng.random((9, 1))  # from melodies of holds and rests only to notes only
    events = np.where(rng.random((9, 32)) < kind, rng.integers(0, 2, (9, 32)), 0)
    events = np.where(rng.random((9, 32)) < kind, rng.integers(2, 38, (9, 32)), events)
    chords = parse_progression("C N.C. G7 Am", MAJOR)
    some = Pieces.of([Melody(tuple(row.tolist()), 48, MAJOR, chords) for row in events])
    for name, metric in METRICS.items():
        values = measured(name, some)
        known = values[~np.isnan(values)]
        assert np.isfinite(known).all(), name
        assert (known >= 0).all() or "autocorrelation" in name, name
        if metric.unit == "%":
            assert (known <= 1 + 1e-12).all(), name
