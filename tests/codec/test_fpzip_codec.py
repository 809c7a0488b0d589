"""Temporal Weight Compression: the original's matrix, its values and its size."""

import struct

import numpy as np
import pytest

from inv_jax.codec import fpzip_codec
from inv_jax.codec.base import CorruptError, Layout, Packet
from inv_jax.codec.fpzip_codec import FpzipCodec, Matrices
from inv_jax.types import InvError

_ROLE = "structure"


def _walk(samples, num: int, layout: Layout | None = None) -> list:
    layout = layout or samples.STRUCTURE
    walk = samples.Walk(layout)
    return [layout.pick(walk.step()) for _ in range(num)]


def _encode(codec: FpzipCodec, layout: Layout, frames: list, first: int = 1) -> list[Packet]:
    encoder, packets = codec.encoder(layout), []
    for number, leaves in enumerate(frames, start=first):
        packets += encoder.push(number, leaves)
    return packets + encoder.finish()


def _decode(layout: Layout, packets: list[Packet]) -> dict:
    decoder = FpzipCodec().decoder(layout)
    return {
        number: leaves for packet in packets for number, leaves in decoder.decode(packet).items()
    }


@pytest.fixture(scope="module")
def recorded(parity):
    """The original's matrix of 8 frames, and the same frames as leaves of ours."""
    with np.load(parity / "inv" / "twc.npz") as file:
        arrays = {name: file[name] for name in file.files}
    frames = []
    for frame in range(len(arrays["matrix"])):
        leaves = {}
        for network in ("coarse", "fine"):
            for layer in range(3):
                old = f"param/{frame}/{network}/pts_linears.{layer}"
                new = f"{network}/{_ROLE}/layer_{layer}"
                leaves[f"{new}/kernel"] = np.ascontiguousarray(arrays[f"{old}.weight"].T)
                leaves[f"{new}/bias"] = arrays[f"{old}.bias"]
        frames.append(leaves)
    layout = Layout(tuple((path, frames[0][path].shape) for path in sorted(frames[0])))
    return arrays, layout, frames


def test_the_matrix_is_the_originals(recorded):
    arrays, layout, frames = recorded
    (matrix,) = Matrices(layout).stack(frames)
    np.testing.assert_array_equal(matrix, arrays["matrix"])


def test_decoded_values_and_size_are_the_originals(recorded):
    arrays, layout, frames = recorded
    codec = FpzipCodec(precision=int(arrays["precision"]), group=0)
    (packet,) = _encode(codec, layout, frames)
    decoded = _decode(layout, [packet])
    (matrix,) = Matrices(layout).stack(list(decoded.values()))
    np.testing.assert_array_equal(matrix, arrays["decompressed"])
    assert len(packet.payload) == pytest.approx(int(arrays["compressed_bytes"]), rel=0.01)


def test_32_bits_lose_nothing(samples):
    frames = _walk(samples, 5)
    decoded = _decode(samples.STRUCTURE, _encode(FpzipCodec(32, 0), samples.STRUCTURE, frames))
    for number, leaves in enumerate(frames, start=1):
        for path, leaf in leaves.items():
            np.testing.assert_array_equal(decoded[number][path], leaf)


@pytest.mark.parametrize("precision", [12, 16, 24])
def test_more_bits_are_closer(samples, precision):
    """Bits are cut off the float: sign and 8 of exponent, the rest of the fraction."""
    frames = _walk(samples, 3)
    codec = FpzipCodec(precision, 1)
    decoded = _decode(samples.STRUCTURE, _encode(codec, samples.STRUCTURE, frames))
    for number, leaves in enumerate(frames, start=1):
        for path, leaf in leaves.items():
            error = np.abs(decoded[number][path] - leaf)
            assert (error <= 2.0 ** (9 - precision) * np.abs(leaf)).all()


@pytest.mark.parametrize("group, sizes", [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (0, [5])])
def test_groups_hold_what_they_shall_and_decode_alike(samples, group, sizes):
    frames = _walk(samples, 5)
    packets = _encode(FpzipCodec(16, group), samples.STRUCTURE, frames, first=7)
    assert [packet.count for packet in packets] == sizes
    assert all(packet.is_key for packet in packets)
    alone = _decode(samples.STRUCTURE, _encode(FpzipCodec(16, 1), samples.STRUCTURE, frames, 7))
    together = _decode(samples.STRUCTURE, packets)
    assert list(together) == list(range(7, 12))
    for number, leaves in together.items():
        for path, leaf in leaves.items():
            np.testing.assert_array_equal(leaf, alone[number][path])


def test_longer_groups_are_smaller(samples):
    frames = _walk(samples, 12)
    sizes = [
        sum(len(p.payload) for p in _encode(FpzipCodec(16, group), samples.STRUCTURE, frames))
        for group in (1, 4, 0)
    ]
    assert sizes == sorted(sizes, reverse=True)


def test_layers_of_other_widths_have_matrices_of_their_own(samples):
    layout = Layout(
        (
            (f"fine/{_ROLE}/density/bias", (1,)),
            (f"fine/{_ROLE}/density/kernel", (8, 1)),
            (f"fine/{_ROLE}/layer_10/kernel", (8, 8)),
            (f"fine/{_ROLE}/layer_2/kernel", (5, 8)),
        )
    )
    assert Matrices(layout).shapes == [(8, 13), (1, 9)]
    frames = _walk(samples, 2, layout)
    tall, flat = Matrices(layout).stack(frames)
    # Layers by number, not by name, and kernel before bias.
    np.testing.assert_array_equal(tall[0, :, :5], frames[0][layout.paths[3]].T)
    np.testing.assert_array_equal(flat[1, 0, 8], frames[1][layout.paths[0]][0])
    decoded = _decode(layout, _encode(FpzipCodec(32, 0), layout, frames))
    np.testing.assert_array_equal(decoded[2][layout.paths[1]], frames[1][layout.paths[1]])


def test_an_encoder_tells_what_receivers_have(samples):
    encoder = FpzipCodec(12, 1).encoder(samples.STRUCTURE)
    leaves = _walk(samples, 1)[0]
    packets = encoder.push(1, leaves)
    found, wanted = encoder.decoded(), _decode(samples.STRUCTURE, packets)[1]
    for path in samples.STRUCTURE.paths:
        np.testing.assert_array_equal(found[path], wanted[path])
        assert not np.array_equal(found[path], leaves[path])
    grouped = FpzipCodec(12, 2).encoder(samples.STRUCTURE)
    grouped.push(1, leaves)
    with pytest.raises(InvError, match="in groups"):
        grouped.decoded()


@pytest.mark.parametrize("settings", [{"precision": 1}, {"precision": 33}, {"group": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InvError, match=r"codec\."):
        FpzipCodec(**settings)


def test_numbers_that_are_not_finite_are_refused(samples):
    leaves = _walk(samples, 1)[0]
    leaves[samples.STRUCTURE.paths[0]][0] = np.nan
    with pytest.raises(InvError, match="frame 3 holds numbers that are not finite"):
        FpzipCodec().encoder(samples.STRUCTURE).push(3, leaves)


@pytest.mark.parametrize("shapes", [(("fine/structure/grid/x", (2, 3, 4)),), (("kernel", (2, 3)),)])
def test_layouts_that_are_no_layers_are_refused(shapes):
    with pytest.raises(InvError, match=r"TWC stores kernels|expected paths"):
        FpzipCodec().decoder(Layout(shapes))


def test_damaged_payloads_are_refused_by_frame(samples):
    (packet,) = _encode(FpzipCodec(16, 1), samples.STRUCTURE, _walk(samples, 1))
    good = packet.payload
    length = struct.unpack("<I", good[:4])[0]
    assert _decode(samples.STRUCTURE, [Packet(1, 1, True, good + bytes(9))])  # padding
    for payload in (
        b"",
        good[:3],
        good[:-1],
        good + b"\0\1",
        struct.pack("<I", 0xFFFFFFFF) + good[4:],
        struct.pack("<I", 0) + good[4:],
        struct.pack("<I", length - 1) + good[4:-1] + b"\1",
        good[:4] + bytes(length),
    ):
        with pytest.raises(CorruptError, match="frame 1: "):
            _decode(samples.STRUCTURE, [Packet(1, 1, True, payload)])


def test_a_stream_of_another_shape_is_not_decoded(samples, monkeypatch):
    (packet,) = _encode(FpzipCodec(16, 1), samples.STRUCTURE, _walk(samples, 1))
    monkeypatch.setattr(fpzip_codec.isolated, "fpzip_decompress", lambda *_: pytest.fail("asked"))
    with pytest.raises(CorruptError, match="does not begin as one of the array"):
        _decode(samples.STRUCTURE, [Packet(1, 2, True, packet.payload)])
