"""A run of clips in one network as a file: the network once, a mask and a head for each clip."""

import pathlib
import re

import numpy as np
import pytest
import training

from inv_jax import params as params_lib
from inv_jax.assembly.playback import Playback, open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import bitstream
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.models import selection
from inv_jax.params import surgery
from inv_jax.types import InvError

FIRSTS = (1, 9, 13)  # frames that the clips begin with
_LOSSLESS = ("--codec=raw", "--color_precision=32")


@pytest.fixture(scope="module")
def straight(train, tmp_path_factory) -> pathlib.Path:
    """A run of three clips; to look at only."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    train(workdir)
    return workdir


@pytest.fixture(scope="module")
def encoded(straight, tmp_path_factory):
    """`encoded(*flags)`: the run as a file."""
    folder, made = tmp_path_factory.mktemp("encoded"), {}

    def encode(*flags: str) -> pathlib.Path:
        if flags not in made:
            made[flags] = folder / f"{len(made)}.inv"
            assert (
                training.run("encode", f"--workdir={straight}", *flags, f"--out={made[flags]}") == 0
            )
        return made[flags]

    return encode


def shown(playback: Playback, frames=range(1, 21)) -> list[np.ndarray]:
    cameras = playback.rig.cameras
    return [np.asarray(playback.player.view(frame, cameras, 0).rgb) for frame in frames]


def parts(path: pathlib.Path, *kinds: bytes) -> list[bytes]:
    """The parts of some kinds, heads included."""
    data = path.read_bytes()
    found = bitstream.parts(BytesSource(data), bitstream.SIGNATURE_BYTES)
    return [data[part.offset : part.end] for part in found if part.kind in kinds]


@pytest.mark.parametrize("key_every", [1, 3])
def test_pictures_of_a_lossless_file_are_those_of_the_run(straight, encoded, key_every):
    path = encoded(*_LOSSLESS, f"--key_every={key_every}")
    assert [len(group) for group in NeuralVideo.open(path).groups] == [key_every] * (3 // key_every)
    np.testing.assert_array_equal(shown(open_playback(path)), shown(open_playback(straight)))


def test_the_network_is_there_once_and_has_what_any_clip_uses(straight, encoded):
    path, store = encoded("--codec=quant"), FrameStore(straight)
    assert len(parts(path, *bitstream.COLORS)) == 1
    assert parts(path, bitstream.COLOR_QUANTISED)
    lossless = NeuralVideo.open(encoded(*_LOSSLESS)).params(1)["pfnr"]["weights"]
    last = params_lib.flatten(store.params(13)["pfnr"]["weights"])
    masks = [params_lib.flatten(store.params(first)["pfnr"]["mask"]) for first in FIRSTS]
    for leaf, found in params_lib.flatten(lossless).items():
        used = masks[0][leaf] | masks[1][leaf] | masks[2][leaf]
        assert not used.all()
        np.testing.assert_array_equal(found, np.where(used, last[leaf], 0))


def test_a_quantised_file_is_small_and_near(straight, encoded):
    run, file = shown(open_playback(straight)), shown(open_playback(encoded("--codec=quant")))
    errors = [np.abs(one - two).max() for one, two in zip(run, file, strict=True)]
    assert 0 < max(errors) < 0.02
    lossless, quantised = (encoded(*flags) for flags in (_LOSSLESS, ("--codec=quant",)))
    assert quantised.stat().st_size < 0.6 * lossless.stat().st_size


def test_a_clip_plays_with_the_network_and_its_own_packet(encoded, tmp_path):
    path = encoded("--codec=quant")
    whole = NeuralVideo.open(path)
    begin, packets = parts(path, bitstream.META, *bitstream.COLORS), parts(path, bitstream.FRAME)
    for first, packet in zip(FIRSTS, packets, strict=True):
        alone = tmp_path / f"{first}.inv"
        alone.write_bytes(bitstream.signature(whole.version) + b"".join(begin) + packet)
        found = params_lib.flatten(NeuralVideo.open(alone).params(first))
        for leaf, wanted in params_lib.flatten(whole.params(first)).items():
            np.testing.assert_array_equal(found[leaf], wanted)


@pytest.mark.parametrize("key_every", [1, 3])
def test_packets_stay_as_they_are_when_a_clip_is_added(
    train, straight, encoded, tmp_path, key_every
):
    flags = ("--codec=quant", f"--key_every={key_every}")
    train(tmp_path / "run", clips=2)
    path = tmp_path / "two.inv"
    assert training.run("encode", f"--workdir={tmp_path / 'run'}", *flags, f"--out={path}") == 0
    before, after = parts(path, bitstream.FRAME), parts(encoded(*flags), bitstream.FRAME)
    assert len(before) == 2
    assert after[:2] == before


def test_a_file_becomes_a_run_that_shows_the_same_and_is_encoded_again(
    encoded, folder, tmp_path, capsys
):
    path, workdir = encoded("--codec=quant"), tmp_path / "run"
    assert training.run("decode", str(path), f"--out={workdir}") == 0
    wanted, again = shown(open_playback(path)), tmp_path / "again.inv"
    np.testing.assert_array_equal(shown(open_playback(workdir, str(folder))), wanted)
    for source in (path, workdir):
        flags = (f"--workdir={source}", f"--data_path={folder}", *_LOSSLESS, f"--out={again}")
        assert training.run("encode", *flags) == 0
        np.testing.assert_array_equal(shown(open_playback(again)), wanted)
    capsys.readouterr()
    assert training.run("info", str(path), "--check") == 0
    said = capsys.readouterr().out
    assert "20 of 20 frames can be decoded" in said
    assert re.search(r"masks +[\d,]+ bits a set of params, [01]\.\d{3} bits each in packets", said)


def test_a_file_is_measured_and_played(encoded, folder, tmp_path, capsys):
    path, out = encoded("--codec=quant"), tmp_path / "table.json"
    flags = (f"--workdir={path}", f"--data_path={folder}", "--metrics=psnr", f"--out={out}")
    assert training.run("eval", *flags) == 0
    assert training.run("play", str(path), f"--out={tmp_path / 'played.gif'}") == 0
    assert (tmp_path / "played.gif").stat().st_size
    capsys.readouterr()


def test_a_run_does_not_write_it_while_it_trains(train, tmp_path):
    with pytest.raises(InvError, match=r"set codec\.name='', and encode .* inv-jax encode"):
        train(tmp_path / "run", {"codec.name": "quant"}, clips=2)


def test_weights_that_moved_behind_a_clip_are_refused(straight):
    first, last = (surgery.copy(FrameStore(straight).params(n)["pfnr"]) for n in (1, 13))
    sessions = [(one["mask"], one["weights"]) for one in (first, last)]
    selection.kept(sessions)
    leaf, mask = last["weights"]["stem_0"]["kernel"], first["mask"]["stem_0"]["kernel"]
    leaf[tuple(np.argwhere(~mask)[0])] += 1  # which is free
    selection.kept(sessions)
    leaf[tuple(np.argwhere(mask)[0])] += 1
    with pytest.raises(InvError, match="stem_0/kernel of session 2 is not what the sessions befo"):
        selection.kept(sessions)
