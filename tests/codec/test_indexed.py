"""Integer leaves in front of any codec's payload: to the bit, and nothing where there are none."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inv_jax import params as params_lib
from inv_jax.codec import bitstream, indexed
from inv_jax.codec import header as header_lib
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.frames import FrameDecoder, least_bytes
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.types import InvError

_SHAPES = (("field/structure/bricks/kernel", (6, 4, 4, 4, 3)), ("field/structure/l0/bias", (7,)))
_INDICES = (("field/index/bricks/cells", (6,)), ("field/index/tree/nodes", (2, 50)))
_LAYOUT = Layout(_SHAPES, _INDICES)
_CODECS = (
    RawCodec(),
    QuantCodec(6),
    DeltaCodec(key_every=4),
    BricksCodec(key_every=4),
    FpzipCodec(16, 1),
    FpzipCodec(16, 3),
)
_names = [f"{codec.name}, {getattr(codec, 'group', 1)}" for codec in _CODECS]


def _frames(count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Whole numbers of all sizes, of which a few become others from frame to frame."""
    rng = np.random.default_rng(seed)
    leaves = {path: rng.normal(size=shape).astype(np.float32) for path, shape in _SHAPES}
    for path, shape in _INDICES:
        leaves[path] = rng.integers(-(2**31), 2**31, shape, dtype=np.int32)
    frames = []
    for number in range(count):
        frames.append(dict(leaves))
        for path, shape in _INDICES:
            drawn = rng.integers(-1, 2 ** (3 * number + 2), shape, dtype=np.int32)
            leaves[path] = np.where(rng.random(shape) < 0.2, drawn, leaves[path])
        for path, _ in _SHAPES:
            leaves[path] = leaves[path] + np.float32(0.01)
    return frames


def _encode(codec, frames, layout=_LAYOUT):
    encoder = indexed.encoder(codec, layout)
    packets = [packet for n, leaves in enumerate(frames, 1) for packet in encoder.push(n, leaves)]
    return packets + encoder.finish(), encoder


def _assert_indices(found, given) -> None:
    for path, _ in _INDICES:
        assert found[path].dtype == np.int32
        np.testing.assert_array_equal(found[path], given[path], strict=True)


@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_they_come_back_to_the_bit_whatever_the_codec(codec):
    frames = _frames(7)
    packets, _ = _encode(codec, frames)
    decoder, found = indexed.decoder(codec, _LAYOUT), {}
    for packet in packets:
        found |= decoder.decode(packet)
    assert sorted(found) == list(range(1, 8))
    for number, leaves in enumerate(frames, 1):
        _assert_indices(found[number], leaves)
        assert set(found[number]) == set(leaves)


@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_the_codec_s_own_payload_stands_behind_them_as_it_is_without(codec):
    frames = _frames(4)
    if codec.name == "bricks":  # which makes use of them
        still = {path: frames[0][path] for path, _ in _INDICES}
        frames = [{**leaves, **still} for leaves in frames]
    with_them, _ = _encode(codec, frames)
    floats = [{path: leaves[path] for path, _ in _SHAPES} for leaves in frames]
    without, _ = _encode(codec, floats, Layout(_SHAPES))
    for left, right in zip(with_them, without, strict=True):
        assert left.payload.endswith(right.payload)
        assert dataclasses.replace(left, payload=b"") == dataclasses.replace(right, payload=b"")


@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_where_there_are_none_a_codec_is_as_it_is(codec):
    layout = Layout(_SHAPES)
    assert type(indexed.encoder(codec, layout)) is type(codec.encoder(layout))
    assert type(indexed.decoder(codec, layout)) is type(codec.decoder(layout))


def test_those_that_stay_cost_eight_bytes():
    frames = _frames(2)
    frames[1] = {**frames[1], **{path: frames[0][path] for path, _ in _INDICES}}
    packets, _ = _encode(DeltaCodec(), frames)
    floats = [{path: leaves[path] for path, _ in _SHAPES} for leaves in frames]
    bare, _ = _encode(DeltaCodec(), floats, Layout(_SHAPES))
    assert len(packets[1].payload) == len(bare[1].payload) + 8


def test_few_changes_cost_few_bytes():
    layout = Layout((("net/own/l/bias", (1,)),), (("net/index/l/cells", (4000,)),))
    rng, floats = np.random.default_rng(0), {"net/own/l/bias": np.zeros(1, np.float32)}
    first = np.sort(rng.choice(9000, 4000, replace=False)).astype(np.int32)
    second = np.where(rng.random(4000) < 0.01, rng.integers(0, 9000, 4000), first)
    frames = [{**floats, "net/index/l/cells": one} for one in (first, second.astype(np.int32))]
    key, other = _encode(DeltaCodec(), frames, layout)[0]
    assert len(key.payload) < 2000  # those that ascend
    assert len(other.payload) < 3 * (first != second).sum() + 30


@pytest.mark.parametrize("after", [1, 3, 5])
@pytest.mark.parametrize("codec", _CODECS[:5], ids=_names[:5])
def test_an_encoder_goes_on_behind_its_packets(codec, after):
    frames = _frames(6)
    packets, _ = _encode(codec, frames)
    key = max(n for n in range(after) if packets[n].is_key)
    resumed = indexed.encoder(codec, _LAYOUT)
    resumed.resume(packets[key:after])
    decoded = resumed.decoded()
    _assert_indices(decoded, frames[after - 1])
    assert set(decoded) == set(frames[0])
    again = [packet for n in range(after, 6) for packet in resumed.push(n + 1, frames[n])]
    assert again == packets[after:]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40), st.data())
def test_any_whole_numbers_come_back(values, data):
    layout = Layout((("net/own/l/bias", (1,)),), (("net/index/l/cells", (len(values),)),))
    others = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=len(values), max_size=len(values))
    sets = [values, data.draw(others), values]
    floats = {"net/own/l/bias": np.zeros(1, np.float32)}
    frames = [{**floats, "net/index/l/cells": np.array(one, np.int32)} for one in sets]
    packets, _ = _encode(FpzipCodec(16, 2), frames, layout)
    decoder, found = indexed.decoder(FpzipCodec(16, 2), layout), {}
    for packet in packets:
        found |= decoder.decode(packet)
    assert [found[n]["net/index/l/cells"].tolist() for n in (1, 2, 3)] == sets


# Files.


def _header(samples, codec):
    shared = Layout((("field/color/rgb/bias", (3,)),))
    return samples.header(codec, _LAYOUT, shared)


def _write(samples, path, codec, frames, **options) -> VideoWriter:
    writer = VideoWriter(path, _header(samples, codec), codec, **options)
    for number, leaves in enumerate(frames, 1):
        if writer.next_frame is None or number >= writer.next_frame:
            color = {"field/color/rgb/bias": np.ones(3, np.float32)}
            writer.push(number, params_lib.nest({**leaves, **color}), 1)
    return writer


@pytest.mark.parametrize("codec", _CODECS, ids=_names)
def test_a_file_has_them_and_says_so(samples, codec, tmp_path):
    path, frames = tmp_path / "video.inv", _frames(6)
    _write(samples, path, codec, frames).close()
    with NeuralVideo.open(path) as video:
        assert video.version == bitstream.INDICES_VERSION
        assert video.header.layout == _LAYOUT
        for number, leaves in enumerate(frames, 1):
            _assert_indices(params_lib.flatten(video.params(number)), leaves)
        assert not video.damages
        number = 5  # one from the middle
        _assert_indices(params_lib.flatten(video.params(number)), frames[number - 1])


@pytest.mark.parametrize("codec", _CODECS[2:4], ids=_names[2:4])
def test_a_file_is_gone_on_with_to_the_same_bytes(samples, codec, tmp_path):
    frames = _frames(6)
    _write(samples, tmp_path / "whole.inv", codec, frames).close()
    _write(samples, tmp_path / "cut.inv", codec, frames[:3]).abandon()
    _write(samples, tmp_path / "cut.inv", codec, frames, go_on_before=4).close()
    assert (tmp_path / "cut.inv").read_bytes() == (tmp_path / "whole.inv").read_bytes()


def test_a_layout_with_them_comes_back_from_the_description(samples):
    found = header_lib.load(_header(samples, RawCodec()).dump())
    assert found.layout == _LAYOUT
    assert found.layout.size == 6 * 64 * 3 + 7
    assert found.layout.num_indices == 106


def test_a_leaf_that_is_not_int32_is_refused():
    leaves = _frames(1)[0] | {_INDICES[0][0]: np.zeros(6, np.int64)}
    with pytest.raises(InvError, match="field/index/bricks/cells: want int32, found int64"):
        _LAYOUT.pick(params_lib.nest(leaves))


def test_a_gauge_is_shown_them_with_every_frame(samples, tmp_path):
    shown = []

    class Gauge:
        def show(self, params):
            shown.append(params_lib.flatten(params))

        def mse(self, true, changed):
            assert set(true) == set(changed) == {path for path, _ in _SHAPES}
            return 1e-9

    frames = _frames(3)
    codec = DeltaCodec()
    _write(samples, tmp_path / "video.inv", codec, frames, gauge=Gauge()).close()
    assert len(shown) == 3
    for params, leaves in zip(shown, frames, strict=True):
        _assert_indices(params, leaves)


# What is refused.


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_goes_unnoticed(data):
    packets, _ = _encode(RawCodec(), _frames(2))
    payload = bytearray(packets[1].payload)
    size = len(payload) - 4 * _LAYOUT.size
    payload[data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
    decoder = indexed.decoder(RawCodec(), _LAYOUT)
    decoder.decode(packets[0])
    with pytest.raises(CorruptError, match="frame 2"):
        decoder.decode(dataclasses.replace(packets[1], payload=bytes(payload)))


@given(st.binary(max_size=60))
def test_bytes_that_no_encoder_made_are_refused(data):
    with pytest.raises(CorruptError, match="frame 1"):
        indexed.decoder(RawCodec(), _LAYOUT).decode(Packet(1, 1, True, data))


def test_a_frame_without_the_one_before_is_refused():
    packets, _ = _encode(DeltaCodec(), _frames(2))
    with pytest.raises(CorruptError, match="the indices of the frame before are missing"):
        indexed.decoder(DeltaCodec(), _LAYOUT).decode(packets[1])


def test_a_packet_has_bytes_for_them(samples):
    layout = Layout(_SHAPES, (("field/index/bricks/cells", (80_000,)),))
    assert least_bytes(layout) == -(-(_LAYOUT.size + 80_000) // 8)
    assert least_bytes(Layout(_SHAPES)) == -(-_LAYOUT.size // 8)
    decoder = FrameDecoder(samples.header(RawCodec(), layout))
    with pytest.raises(CorruptError, match="cannot be"):
        decoder.decode(Packet(1, 1, True, bytes(9_000)))
