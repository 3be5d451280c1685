"""Melodies read into latent vectors, played again, and met on the way between two."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from musicgym.agents.acmg import ACMG, ACMGConfig
from musicgym.agents.configs import (
    ActorCriticConfig,
    LSTMVAEConfig,
    MelodyLSTMConfig,
    Sampling,
    TransformerVAEConfig,
)
from musicgym.agents.exploration import Reconstruction, interpolate, joined, reconstruct
from musicgym.cli import main
from musicgym.corpus.files import read_melody
from musicgym.env import MelodyComposeEnv
from musicgym.export.roll_stack import stacked
from musicgym.melody import Melody, parse_events
from musicgym.theory import Chord, Key

TUNE = "E4 . F4 G4 A4 . . - C5 B4 A4 . G4 . . . F4 E4 D4 . E4 . F4 . D4 . . . C4 . . -"


def melody(key="C major", text=TUNE, low=48, name="tune", bars=8, meter="4/4"):
    """Return a tune of quarters over two chords a bar, in C major moved to a key."""
    events = (*parse_events(text, low, low + 35),) * (bars // 8)
    chords = (Chord(0, ""), Chord(7, "7"))
    made = Melody(events, low, Key.parse("C major"), chords, meter, 1, name)
    made = replace(made, chords=chords * (len(events) // 4))
    return made.transposed(ACMG.shift(key))


def agent(actor=None, bars=4):
    """Return an untrained agent whose latent matters."""
    torch.manual_seed(0)
    made = ACMG(ACMGConfig(
        bars=bars, steps_per_beat=1, pretraining=None, progressions=("random",),
        model=ActorCriticConfig(actor or LSTMVAEConfig(latent=4, hidden=16, layers=1), 16),
    ))  # fmt: skip
    with torch.no_grad():
        for parameter in made.model.actor.parameters():
            parameter.mul_(2)
    return made


def zeroed():
    """Return an agent that holds every event for equally likely and every melody for z = 1."""
    made = agent()
    with torch.no_grad():
        for parameter in made.model.actor.parameters():
            parameter.zero_()
        made.model.actor.posterior.bias[:4] = 1.0
    return made


def test_a_reconstruction_keeps_the_windows_and_tells_their_cost():
    tune = melody(bars=8)
    first, second = reconstruct(zeroed(), tune)
    for window, start in ((first, 0), (second, 16)):
        assert window.original.events == tune.events[start : start + 16]
        assert window.original.chords == tuple(
            c for c in tune.chords[start // 2 :][:8] for _ in "12"
        )
        assert window.melody.chords == window.original.chords
        assert window.latent == (1.0,) * 4
        assert window.kl == pytest.approx(4 * 0.5)
        assert window.nats_without == pytest.approx(window.nats)
    # 38 events are equally likely, 37 at the start and after the rest, where nothing can be held
    assert first.nats == pytest.approx(14 * math.log(38) + 2 * math.log(37), rel=1e-6)
    assert second.nats == pytest.approx(15 * math.log(38) + math.log(37), rel=1e-6)


def test_the_share_of_equal_steps_is_counted():
    one = melody(bars=8)
    other = replace(one, events=(*one.events[:24], *(1,) * 8))
    equal = 24 + sum(event == 1 for event in one.events[24:])
    assert Reconstruction(one, other, (), 0.0, 0.0, 0.0).same == equal / 32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_an_agent_on_a_gpu_reads_and_plays_what_it_does_on_a_cpu():
    host, tune = agent(), melody()
    there = ACMG(host.config, "cuda")
    there.model.load_state_dict(host.model.state_dict())
    for one, other in zip(reconstruct(host, tune), reconstruct(there, tune), strict=True):
        assert one.nats == pytest.approx(other.nats, rel=1e-4)
    ends = (tune, melody("G major"))
    for one, other in zip(interpolate(host, *ends), interpolate(there, *ends), strict=True):
        assert len(one.melody.events) == len(other.melody.events)


@torch.no_grad()
def test_the_cost_of_a_window_is_that_of_its_events_under_its_latent():
    made = agent()
    window = reconstruct(made, melody())[0]
    model, z = made.model.actor, torch.tensor([window.latent])
    state, cost = model.begin(z), 0.0
    env = MelodyComposeEnv(
        bars=4, steps_per_beat=1, progression="C C G7 G7", chords_per_bar=4, observation="compact",
        rewards={"chord_tone": 1.0},
    )  # fmt: skip
    seen, info = env.reset(seed=1)
    for event in window.original.events:
        logits, state = model.step(torch.from_numpy(seen)[None], state)
        allowed = torch.from_numpy(info["action_mask"] == 1)
        cost -= float(logits[0][allowed].log_softmax(0)[event - (not allowed[0])])
        seen, _, _, _, info = env.step(event)
    assert window.nats == pytest.approx(cost, rel=1e-5)
    assert window.nats != pytest.approx(window.nats_without, rel=1e-3)


def test_moving_a_melody_to_another_key_moves_its_reconstruction():
    made = agent()
    here, there = (reconstruct(made, melody(key))[0] for key in ("C major", "E major"))
    assert there.melody.key.name == "E major"
    assert there.melody.events == here.melody.events
    assert there.melody.low == here.melody.low + 4
    assert there.original.chords[0] == Chord(4, "")
    assert there.nats == here.nats


def test_a_low_melody_is_moved_by_octaves_into_the_range():
    made = agent()
    high = reconstruct(made, replace(melody(), low=36))[0]  # C3 to C4, in the range as it is
    low = reconstruct(made, replace(melody(), low=24))[0]
    assert low.latent == high.latent
    assert low.melody.events == high.melody.events and low.melody.low == high.melody.low - 12


def test_a_short_melody_is_one_window_and_bars_that_fill_none_are_left_out():
    made = agent()
    assert [len(w.original.events) for w in reconstruct(made, melody(bars=8))] == [16, 16]
    tune = melody(bars=8)
    short = replace(tune, events=tune.events[:12], chords=tune.chords[:6])
    assert [len(w.original.events) for w in reconstruct(made, short)] == [12]
    longer = replace(tune, events=tune.events[:20], chords=tune.chords[:10])
    assert [len(w.original.events) for w in reconstruct(made, longer)] == [16]


def test_a_held_note_is_struck_again_at_the_start_of_a_window():
    tune = melody(bars=8)
    held = replace(tune, events=(*tune.events[:15], 14, 0, *tune.events[17:]))
    assert reconstruct(agent(), held)[1].original.events[0] == 14


def test_drawn_reconstructions_follow_the_seed():
    made, drawn = agent(), Sampling()
    one, other, again = (
        [w.melody.events for w in reconstruct(made, melody(), drawn, seed)] for seed in (1, 2, 1)
    )
    assert one == again != other


@pytest.mark.parametrize("drawn", [Sampling(0), Sampling(1.0)], ids=["greedy", "drawn"])
def test_an_interpolation_begins_and_ends_with_the_reconstructions(drawn):
    made = agent()
    one, other = melody(), replace(melody(), events=tuple(reversed(melody().events)), name="back")
    found = interpolate(made, one, other, 5, sampling=drawn)
    assert [step.share for step in found] == [0, 0.25, 0.5, 0.75, 1]
    first, last = (reconstruct(made, m, drawn)[0] for m in (one, other))
    assert found[0].latent == pytest.approx(first.latent)
    assert found[-1].latent == pytest.approx(last.latent)
    assert found[0].melody.events == first.melody.events
    assert found[-1].melody.events == last.melody.events  # both tunes have the same chords
    lengths = [math.hypot(*step.latent) for step in found]
    assert min(lengths) > 0.9 * min(lengths[0], lengths[-1])  # an arc, not a chord
    assert len({step.melody.events for step in found}) > 1


def test_an_interpolation_is_played_over_the_chords_that_are_asked_for():
    found = interpolate(agent(), melody("D major"), melody("G major"), 2, "D Em A7 D")
    for step in found:
        assert step.melody.key.name == "D major"
        assert [c.symbol() for _, _, c in step.melody.spans()] == ["D", "Em", "A7", "D"]


def test_of_two_melodies_the_bars_of_the_shorter_are_read():
    tune = melody()
    short = replace(tune, events=tune.events[:8], chords=tune.chords[:4])
    found = interpolate(agent(), tune, short, 2)
    assert {len(step.melody.events) for step in found} == {8}


def test_windows_are_joined_to_the_melody_they_were_cut_from():
    tune = melody()
    whole = joined([w.original for w in reconstruct(agent(), tune)], "whole")
    assert whole.events == tune.events and whole.name == "whole"
    assert whole.spans() == tune.spans()


def test_a_transformer_reads_and_plays_as_well():
    made = agent(TransformerVAEConfig(4, width=16, heads=2, layers=1))
    assert len(reconstruct(made, melody())) == 2


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"meter": "3/4", "events": (2,) * 12, "chords": (Chord(0, ""),)}, "3/4 .* plays 4/4"),
        ({"steps_per_beat": 2}, "2 steps a beat, and the agent plays 4/4 with 1"),
        ({"events": (2, 50) * 16}, "C3 to C7 .* the agent plays C3 to B5"),
        ({"events": (1,) * 32}, "it has no note"),
        ({"events": (2, 0), "chords": (Chord(0, ""),)}, "shorter than a bar"),
    ],
    ids=["meter", "grid", "range", "silence", "length"],
)
def test_a_melody_that_the_agent_does_not_play_is_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        reconstruct(agent(), replace(melody(), **changed))


def test_an_agent_without_a_latent_and_one_melody_alone_are_refused():
    with pytest.raises(ValueError, match="melody_lstm has no latent vector; those that have: lstm"):
        reconstruct(agent(MelodyLSTMConfig(16)), melody())
    with pytest.raises(ValueError, match="count: 1 is not 2 or more"):
        interpolate(agent(), melody(), melody(), 1)


@pytest.mark.parametrize("suffix", [".mid", ".musicxml", ".json"])
def test_a_saved_melody_is_read_in_its_own_key_with_its_own_chords(tmp_path, suffix):
    tune = melody("Eb major")
    read, inferred = read_melody(tune.save(tmp_path / f"tune{suffix}"), steps_per_beat=1)
    assert not inferred
    assert (read.key.name, read.name) == ("Eb major", "tune")
    assert read.notes() == tune.notes() and read.spans() == tune.spans()


def test_chords_that_a_file_does_not_have_are_inferred(tmp_path):
    file = tmp_path / "tune.abc"
    file.write_text("X:1\nM:4/4\nL:1/4\nK:G\nGBdB|GBdB|Adfd|Adfd|GBdB|ABc2|GBdB|G4|\n")
    read, inferred = read_melody(file, steps_per_beat=1)
    assert inferred and read.key.name == "G major"
    assert read.chords[0].symbol() == "G" and len(read.events) == 32


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "short.abc").write_text("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n")
    (tmp_path / "text.mid").write_text("no music")
    for name, words in {
        "short.abc": "short.abc' cannot be used: fewer than 8 notes",
        "text.mid": "text.mid' cannot be used",
        "missing.mid": "does not exist",
        "": "is a folder",
    }.items():
        with pytest.raises(ValueError, match=words):
            read_melody(tmp_path / name)
    with pytest.raises(ValueError, match="steps_per_beat: 3"):
        read_melody(tmp_path / "short.abc", steps_per_beat=3)


def test_rolls_are_drawn_under_one_another():
    matplotlib = pytest.importorskip("matplotlib.image")
    import io

    one, three = (
        matplotlib.imread(io.BytesIO(stacked([melody()] * n, [str(i) for i in range(n)])))
        for n in (1, 3)
    )
    assert one.shape[1] == three.shape[1] and three.shape[0] > 2.2 * one.shape[0]
    third = three.shape[0] // 3
    for part in range(3):  # each holds notes in the colour of chord tones
        colours = three[part * third : (part + 1) * third, :, :3].reshape(-1, 3)
        blue = np.array([37, 99, 176]) / 255
        assert (np.abs(colours - blue).max(1) < 0.02).sum() > 100
    with pytest.raises(ValueError, match="one length"):
        stacked([melody(), replace(melody(), events=(2,) * 16)], ["a", "b"])
    with pytest.raises(ValueError, match="titles: 1 were given for 2"):
        stacked([melody()] * 2, ["a"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny untrained generator, saved."""
    path = tmp_path_factory.mktemp("agent") / "tiny.safetensors"
    agent().save(path)
    return path


def test_the_command_reconstructs_a_file(checkpoint, tmp_path, capsys):
    file = melody().save(tmp_path / "tune.mid")
    main(["reconstruct", str(file), "--agent", str(checkpoint), "--steps-per-beat", "1",
          "--out", str(tmp_path / "out")])  # fmt: skip
    printed = capsys.readouterr().out
    assert "tune.mid: 8 bars of 4/4 in C major, with its own chords" in printed
    assert "window 2" in printed and "nats under its latent" in printed
    assert "| E4 .  F4 G4 |" in printed and "equal steps:" in printed
    for name in ("tune-original", "tune-reconstruction"):
        assert (tmp_path / "out" / f"{name}.mid").stat().st_size > 100
    read, _ = read_melody(tmp_path / "out" / "tune-original.mid", steps_per_beat=1)
    assert read.events == melody().events


def test_the_command_interpolates_between_two_files(checkpoint, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    one = melody().save(tmp_path / "one.mid")
    other = melody("G major").save(tmp_path / "other.mid")
    main(["interpolate", str(one), str(other), "--agent", str(checkpoint), "--count", "3",
          "--steps-per-beat", "1", "--progression", "C F G C",
          "--out", str(tmp_path / "out")])  # fmt: skip
    printed = capsys.readouterr().out
    assert "50 % of the way: " in printed and "100 % as in the last" in printed
    assert "| F " in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"one-to-other-1.mid", "one-to-other-3.musicxml", "one-to-other.png"} <= names


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["compose", "--agent", "lstm_va"], "did you mean 'lstm_vae'"),
        (["compose", "--agent", "AGENT", "--emotion", "sad"], "it has no attributes"),
        (["compose", "--agent", "AGENT", "--steps-per-beat", "2"], "add --meter 4/4"),
        (["reconstruct", "FILE", "--meter", "3/4"], "would play 3/4; add --meter 4/4"),
        (["reconstruct", "none.mid", "--agent", "AGENT"], "does not exist"),
    ],
    ids=["name", "attribute", "grid", "meter", "file"],
)
def test_a_mistake_at_the_command_line_is_a_sentence(
    arguments, words, checkpoint, tmp_path, capsys
):
    file = melody().save(tmp_path / "tune.mid")
    given = {"AGENT": str(checkpoint), "FILE": str(file)}
    if "--steps-per-beat" not in arguments:
        arguments = [*arguments, "--steps-per-beat", "1"]
    with pytest.raises(SystemExit) as end:
        main([given.get(word, word) for word in arguments])
    assert end.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
