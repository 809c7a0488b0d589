"""Masks in front of any codec's payload, to the bit; the network that they are of, quantised."""

import dataclasses
import struct

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.codec import bitstream, colors, frames, mask_coding, masked
from inv_jax.codec import header as header_lib
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.frames import FrameDecoder
from inv_jax.codec.mask_contexts import Past
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.types import InvError

_CODECS = (
    RawCodec(),
    QuantCodec(6),
    DeltaCodec(key_every=3),
    BricksCodec(key_every=3),
    FpzipCodec(16, 1),
)
_names = [codec.name for codec in _CODECS]


def _leaves(samples, count: int = 6) -> list[dict[str, np.ndarray]]:
    found = [params_lib.flatten(params) for params in samples.masked(count)]
    return [{path: leaf for path, leaf in leaves.items() if "weights" not in path}
            for leaves in found]  # fmt: skip


def _encode(codec, layout, sets, key_every=1) -> list[Packet]:
    encoder = masked.encoder(codec, layout, None, key_every)
    packets = [packet for n, leaves in enumerate(sets, 1) for packet in encoder.push(n, leaves)]
    return packets + encoder.finish()


def _assert_whole(found, given) -> None:
    """Masks and numbers are as they were."""
    assert found.keys() == given.keys()
    for path, leaf in given.items():
        if leaf.dtype != np.float32:
            np.testing.assert_array_equal(found[path], leaf, strict=True)


@pytest.mark.parametrize("key_every", [1, 3, 100])
@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_they_come_back_to_the_bit_whatever_the_codec(samples, codec, key_every):
    sets = _leaves(samples)
    packets = _encode(codec, samples.HEADS, sets, key_every)
    decoder = masked.decoder(codec, samples.HEADS)
    for packet, given in zip(packets, sets, strict=True):
        (found,) = decoder.decode(packet).values()
        _assert_whole(found, given)


def test_keys_come_as_often_as_they_are_asked_for_and_stand_alone(samples):
    sets = _leaves(samples)
    for key_every, keys in ((1, [1] * 6), (2, [1, 0] * 3), (6, [1, 0, 0, 0, 0, 0])):
        packets = _encode(QuantCodec(), samples.HEADS, sets, key_every)
        assert [packet.is_key for packet in packets] == keys
        for packet, given in zip(packets, sets, strict=True):
            alone = masked.decoder(QuantCodec(), samples.HEADS)
            if packet.is_key:
                _assert_whole(alone.decode(packet)[packet.first], given)
                continue
            with pytest.raises(CorruptError, match="masks of the frame before are missing"):
                alone.decode(packet)


def test_where_a_codec_has_fewer_keys_a_mask_waits_for_one(samples):
    packets = _encode(DeltaCodec(key_every=3), samples.HEADS, _leaves(samples), 2)
    assert [packet.is_key for packet in packets] == [1, 0, 0, 1, 0, 0]


def test_a_payload_is_laid_out_as_described(samples):
    layout, sets, codec = samples.HEADS, _leaves(samples, 2), RawCodec()
    packets = _encode(codec, layout, sets, 2)
    without = dataclasses.replace(layout, masks=())
    bare, past = _encode(codec, without, sets), Past.none(layout.masks)
    for packet, inner, leaves in zip(packets, bare, sets, strict=True):
        masks = {path: leaves[path] for path, _ in layout.masks}
        coded = mask_coding.encode(masks, past.contexts)
        sizes = struct.pack("<BII", 1, len(inner.payload), len(coded))
        # The codec's own packet is a key each time, and so is what says where bricks are.
        assert packet.payload == sizes + coded + inner.payload
        assert masked.mask_bytes(packet) == len(coded)
        past = past.then(masks)
        assert packet.is_key == (packet.first == 1)


def test_without_masks_a_codec_is_as_it_is(samples):
    layout = Layout(samples.STRUCTURE.shapes)
    for codec in _CODECS:
        assert type(masked.encoder(codec, layout)) is type(codec.encoder(layout))
        assert type(masked.decoder(codec, layout)) is type(codec.decoder(layout))


@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_an_encoder_goes_on_behind_its_packets(samples, codec):
    sets = _leaves(samples)
    packets = _encode(codec, samples.HEADS, sets, 3)
    for after in range(1, 6):
        resumed = masked.encoder(codec, samples.HEADS, None, 3)
        resumed.resume(packets[3 if after > 3 else 0 : after])
        _assert_whole(resumed.decoded(), sets[after - 1])
        again = [packet for n in range(after, 6) for packet in resumed.push(n + 1, sets[n])]
        assert again == packets[after:]


def test_masks_that_change_little_are_smaller_in_a_chain(samples):
    layout = Layout(samples.HEADS.shapes, (), (("net/mask/a/kernel", (60, 80)),))
    rng, sets = np.random.default_rng(0), []
    mask = rng.random((60, 80)) < 0.4
    for _ in range(4):
        sets.append({samples.HEADS.paths[0]: np.ones((1, 1, 4, 3), np.float32)})
        sets[-1]["net/mask/a/kernel"] = mask = mask ^ (rng.random(mask.shape) < 0.02)
    alone, chained = (
        [masked.mask_bytes(packet) for packet in _encode(RawCodec(), layout, sets, every)]
        for every in (1, 4)
    )
    assert chained[0] == alone[0] > 500
    assert max(chained[1:]) < 0.4 * min(alone)


def test_a_chain_without_a_key_is_refused(samples):
    with pytest.raises(InvError, match=r"codec\.key_every=0; want sets of params, 1 or more"):
        masked.encoder(RawCodec(), samples.HEADS, None, 0)


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda p: p[:6], "cannot hold masks of 1 sets"),
        (lambda p: p[:-1], "behind them"),
        (lambda p: p + b"\1", "behind them"),
        (lambda p: b"\7" + p[1:], "says 7 where 1 is a key"),
        (lambda p: b"\0" + p[1:], "says 0 where 1 is a key"),
        (lambda p: p[:5] + b"\xff\xff\xff\xff" + p[9:], "behind them"),
        (lambda p: p[:9] + b"\0" + p[10:], "a coded mask begins with"),
        (lambda p: p[:15] + bytes([p[15] ^ 1]) + p[16:], "."),
    ],
)
def test_spoilt_payloads_are_refused_in_a_line(samples, spoil, reason):
    (packet,) = _encode(QuantCodec(), samples.HEADS, _leaves(samples, 1))
    bad = dataclasses.replace(packet, payload=spoil(packet.payload))
    with pytest.raises(CorruptError, match=f"frame 1: .*{reason}"):
        masked.decoder(QuantCodec(), samples.HEADS).decode(bad)


def test_masks_of_another_past_are_refused(samples):
    packets = _encode(QuantCodec(), samples.HEADS, _leaves(samples), 6)
    decoder = masked.decoder(QuantCodec(), samples.HEADS)
    decoder.decode(packets[0])
    with pytest.raises(CorruptError, match="what was known before it"):
        decoder.decode(packets[2])
    with pytest.raises(CorruptError, match="before are missing"):  # until a key comes
        decoder.decode(packets[1])


def test_a_key_has_bytes_for_its_masks(samples):
    """So that a small file cannot make a reader allocate a large network's masks."""
    layout = Layout(samples.HEADS.shapes, (), (("net/mask/a/kernel", (1000, 1000)),))
    assert frames.least_bytes(layout) == 12 // 8 + 1 + 1_000_000 // 32
    decoder = FrameDecoder(samples.header(QuantCodec(), layout=layout, color_layout=Layout(())))
    with pytest.raises(CorruptError, match="cannot be 1 frames"):
        decoder.decode(Packet(1, 1, True, bytes(31_000)))


# The description.


def test_a_layout_with_them_comes_back_from_the_description(samples):
    made = samples.header(RawCodec(), samples.HEADS, samples.NETWORK)
    assert header_lib.load(made.dump()).layout == samples.HEADS
    assert samples.HEADS.num_masked == 6 * 8 + 9
    assert samples.HEADS.size == 12


def test_a_layout_takes_them_from_a_tree_by_their_kind(samples):
    (params,) = samples.masked(1)
    found = Layout.of(params, "head", indices=("mask", "session"))
    assert found == samples.HEADS
    picked = found.pick(params)
    assert {leaf.dtype.name for leaf in picked.values()} == {"float32", "int32", "bool"}
    params["net"]["mask"]["a"]["kernel"] = np.zeros((6, 8), np.int32)
    with pytest.raises(InvError, match="net/mask/a/kernel: want bool, found int32"):
        found.pick(params)


# Files.


@pytest.mark.parametrize("key_every", [1, 2])
@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_a_file_has_them_and_says_so(samples, tmp_path, codec, key_every, assert_same):
    path = tmp_path / "video.inv"
    given = samples.write_masked(path, codec, mask_key_every=key_every)
    with NeuralVideo.open(path) as video:
        assert video.version == bitstream.VERSION
        for number in (4, 0, 2, 1, 3):  # in any order
            found = video.params(2 + 4 * number)
            _assert_whole(params_lib.flatten(found), params_lib.flatten(given[number]))
            if codec.name == "raw":
                assert_same(found, given[number])
        assert not video.damages


@pytest.mark.parametrize("codec", _CODECS[:3], ids=_names[:3])
def test_a_file_is_gone_on_with_to_the_same_bytes(samples, tmp_path, codec):
    samples.write_masked(tmp_path / "whole.inv", codec, mask_key_every=3)
    whole, path = (tmp_path / "whole.inv").read_bytes(), tmp_path / "video.inv"
    shared = codec if isinstance(codec, QuantCodec) else None
    header = samples.header(codec, samples.HEADS, samples.NETWORK, segment_frames=4)
    for done in range(1, 6):
        samples.write_masked(path, codec, mask_key_every=3, clips=done)
        writer = VideoWriter(
            *(path, header, codec),
            color_codec=shared, mask_key_every=3, go_on_before=1 + 4 * done,
        )  # fmt: skip
        for number, params in enumerate(samples.masked(5)):
            if number >= done:
                writer.push(range(1 + 4 * number, 5 + 4 * number), params, 1)
        writer.close()
        assert path.read_bytes() == whole


def test_a_network_is_quantised_once_for_all(samples, tmp_path):
    path, codec = tmp_path / "video.inv", QuantCodec(8)
    (given, *_) = samples.write_masked(path, codec)
    video = NeuralVideo.open(path)
    kinds = [part.kind for part in bitstream.parts(video.source, bitstream.SIGNATURE_BYTES)]
    assert kinds.count(bitstream.COLOR_QUANTISED) == 1
    assert not {bitstream.COLOR, bitstream.COLOR_DIFF} & set(kinds)
    encoder = codec.encoder(samples.NETWORK)
    encoder.push(1, params_lib.flatten(given))
    for leaf, wanted in encoder.decoded().items():
        np.testing.assert_array_equal(video.color(1)[leaf], wanted)


@pytest.mark.parametrize("payload", [b"", bytes(3), bytes(40), b"\xc0" + bytes(39)])
def test_what_is_no_quantised_network_is_refused(samples, payload):
    with pytest.raises(CorruptError, match="quantised color params"):
        colors.parse(samples.NETWORK, bitstream.COLOR_QUANTISED, bytes(4) + payload)
    with pytest.raises(CorruptError, match="quantised color params"):
        colors.parse(Layout(()), bitstream.COLOR_QUANTISED, bytes(4) + payload)
