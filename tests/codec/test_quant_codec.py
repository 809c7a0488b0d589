"""Quantised networks: the original's weights exactly, zeros kept, fewer bits than it reports."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest

from inv_jax.codec import huffman, quantise
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.types import InvError

_LAYOUT = Layout(
    (
        ("decoder/own/stem_0/bias", (64,)),
        ("decoder/own/stem_0/kernel", (20, 64)),
        ("decoder/own/stem_1/bias", (480,)),
        ("decoder/own/stem_1/kernel", (64, 480)),
        ("decoder/own/block_0/kernel", (3, 3, 10, 160)),
        ("decoder/own/head/kernel", (1, 1, 40, 3)),
        ("decoder/own/head/bias", (3,)),
    )
)


def _leaves(seed: int = 0, *, zeros: float = 0.0, layout: Layout = _LAYOUT):
    """Weights whose units differ in scale, as trained ones do; some are pruned by their size."""
    rng, made = np.random.default_rng(seed), {}
    for path, shape in layout.shapes:
        scale = 2.0 ** rng.uniform(-2, 1, (*shape[:-1], 1)) * 2.0 ** rng.uniform(-1, 1, shape[-1:])
        leaf = (scale * rng.normal(size=shape)).astype(np.float32)
        if zeros and len(shape) > 1:
            leaf[np.abs(leaf) < np.quantile(np.abs(leaf), zeros)] = 0.0
        made[path] = leaf
    return made


def _packet(codec: QuantCodec, leaves, layout: Layout = _LAYOUT) -> Packet:
    (packet,) = codec.encoder(layout).push(3, leaves)
    return packet


def _decoded(packet: Packet, layout: Layout = _LAYOUT):
    return QuantCodec().decoder(layout).decode(packet)[packet.first]


@pytest.mark.parametrize("zeros", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("bits", [1, 4, 6, 8, 16])
@pytest.mark.parametrize("axis", quantise.AXES)
def test_weights_are_the_originals_and_zeros_stay(axis, bits, zeros):
    leaves, codec = _leaves(zeros=zeros), QuantCodec(bits, axis)
    encoder = codec.encoder(_LAYOUT)
    (packet,) = encoder.push(3, leaves)
    assert (packet.first, packet.count, packet.is_key) == (3, 1, True)
    found = _decoded(packet)
    for path, leaf in leaves.items():
        wanted = quantise.quantise(leaf, bits, axis)
        back = quantise.dequantise(wanted.codes, wanted.minimum, wanted.scale, axis)
        back[leaf == 0] = 0.0
        np.testing.assert_array_equal(found[path].view(np.uint32), back.view(np.uint32))
        np.testing.assert_array_equal(found[path], encoder.decoded()[path])
    resumed = codec.encoder(_LAYOUT)
    resumed.resume([packet])
    np.testing.assert_array_equal(resumed.decoded()[path], found[path])


@pytest.mark.parametrize("bits", [4, 6, 8])
@pytest.mark.parametrize("zeros", [0.0, 0.5])
def test_real_bytes_are_fewer_than_the_huffman_code_alone(bits, zeros):
    """Of weights whose units differ: all of it against code words, and a bit a param for zeros."""
    leaves = _leaves(1, zeros=zeros)
    packet = _packet(QuantCodec(bits, -1), leaves)
    codes = QuantCodec().decoder(_LAYOUT).codes(packet)
    assert codes.size == sum(np.count_nonzero(leaf) for leaf in leaves.values())
    mask = _LAYOUT.size if zeros else 0
    assert 8 * len(packet.payload) < codes.size * huffman.average_bits(np.bincount(codes)) + mask


def test_weights_as_at_the_beginning_take_little_more_than_their_bits():
    layout = Layout((("net/own/layer_0/kernel", (256, 512)),))
    rng = np.random.default_rng(0)
    leaves = {layout.paths[0]: rng.uniform(-1, 1, (256, 512)).astype(np.float32)}
    for bits in (4, 8):
        packet = _packet(QuantCodec(bits, -1), leaves, layout)
        assert 8 * len(packet.payload) / layout.size < np.log2(2**bits + 1) + 0.05


def test_pruning_saves_bits():
    sizes = [len(_packet(QuantCodec(8), _leaves(zeros=z)).payload) for z in (0.0, 0.4, 0.8, 1.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.5 * sizes[0]


def test_codes_are_whole_numbers_of_the_weights_that_are_not_zero():
    leaves = _leaves(2, zeros=0.3)
    found = QuantCodec().decoder(_LAYOUT).codes(_packet(QuantCodec(5), leaves))
    wanted = [
        quantise.quantise(leaves[path], 5, 0).codes[leaves[path] != 0] for path in _LAYOUT.paths
    ]
    np.testing.assert_array_equal(found, np.concatenate(wanted))


def test_the_bytes_are_the_same_on_every_machine():
    """Weights from whole numbers, so that nothing but the codec is asked."""
    numbers = np.arange(_LAYOUT.size, dtype=np.uint32) * np.uint32(2654435761) >> np.uint32(12)
    flat = (numbers.astype(np.float32) - np.float32(2**19)) / np.float32(2**22)
    flat[numbers % 5 == 0] = 0.0
    leaves = _LAYOUT.unravel(flat)
    digests = [
        hashlib.sha256(_packet(QuantCodec(bits, axis), leaves).payload).hexdigest()[:16]
        for bits, axis in ((4, -1), (8, 0), (11, 1))
    ]
    assert digests == ["1f077ad6cb87bb54", "6b594383d1d72f29", "451d383b22ada983"]


@pytest.mark.parametrize("settings", [{"bits": 0}, {"bits": 17}, {"axis": 2}, {"axis": -2}])
def test_settings_are_checked(settings):
    with pytest.raises(InvError, match=f"codec.{next(iter(settings))}="):
        QuantCodec(**settings)


@pytest.mark.parametrize(
    "value, reason", [(np.nan, "not finite"), (np.inf, "not finite"), (3e38, "spans more")]
)
def test_weights_that_cannot_be_quantised_are_refused_by_name(value, reason):
    leaves = _leaves()
    leaves["decoder/own/head/bias"][:] = np.float32([value, -3e38, 0.0])
    with pytest.raises(InvError, match=f"decoder/own/head/bias of frame 3 .*{reason}"):
        _packet(QuantCodec(), leaves)


def _forged(packet: Packet, **fields: int) -> Packet:
    names = ("kind", "bits", "axis", "how", "crc", "words")
    head = struct.Struct("<BBBBII")
    values = dict(zip(names, head.unpack_from(packet.payload), strict=True)) | fields
    payload = head.pack(*values.values()) + packet.payload[head.size :]
    return dataclasses.replace(packet, payload=payload)


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"kind": 0xC1}, "no quantised network"),
        ({"bits": 0}, "no quantised network"),
        ({"bits": 17}, "no quantised network"),
        ({"axis": 2}, "no quantised network"),
        ({"how": 3}, "way 3 that is not known"),
        ({"how": 255}, "way 255 that is not known"),
        ({"how": 0}, "frame 3: "),
        ({"how": 5}, "frame 3: "),
        ({"bits": 3}, "frame 3: "),
        ({"crc": 0}, "frame 3: the checksum does not match"),
        ({"words": 2**32 - 1}, "words do not fit"),
        ({"words": 3}, "words do not fit"),
        ({"axis": 1}, "frame 3: "),
        ({"axis": 255}, "frame 3: "),
    ],
)
def test_heads_that_do_not_fit_are_refused_in_one_line(fields, reason):
    packet = _packet(QuantCodec(8, 0), _leaves(zeros=0.4))
    with pytest.raises(CorruptError, match=reason) as caught:
        _decoded(_forged(packet, **fields))
    assert str(caught.value).isprintable()


def test_another_layouts_tables_are_refused_in_one_line():
    packet = _packet(QuantCodec(8, 0), _leaves())
    for shapes in ([*_LAYOUT.shapes[1:], _LAYOUT.shapes[0]], _LAYOUT.shapes[:-1]):
        with pytest.raises(CorruptError, match="frame 3: ") as caught:
            _decoded(packet, Layout(tuple(shapes)))
        assert str(caught.value).isprintable()


def test_payloads_that_are_cut_or_go_on_are_refused():
    packet = _packet(QuantCodec(6), _leaves(zeros=0.2))
    good = packet.payload
    _decoded(dataclasses.replace(packet, payload=good + bytes(9)))  # padding
    for payload in (b"", good[:11], good[:-1], good[:-4], good + b"\1", good[:12]):
        with pytest.raises(CorruptError, match="frame 3: "):
            _decoded(dataclasses.replace(packet, payload=payload))
    with pytest.raises(CorruptError, match="2 quantised networks"):
        _decoded(dataclasses.replace(packet, count=2))
