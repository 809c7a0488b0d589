"""Bits a pixel: the papers' formula on a hand example, and every byte of the file."""

import numpy as np
import pytest

from inv_jax.codec import huffman
from inv_jax.codec.base import Layout
from inv_jax.codec.per_pixel import PerPixel, per_pixel
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.commands import info
from inv_jax.params import nest

_PIXELS = 12 * 16  # of the samples' cameras


def test_the_formula_by_hand():
    """NeRV-L of 132 frames of 720x1280, 40 % pruned, 8 bits."""
    pixels = 132 * 720 * 1280
    taken = PerPixel(pixels, 10**7, 12_524_563, 0.4, 8.0, False, 0, 1)
    assert taken.by_formula == pytest.approx(12_524_563 * 0.6 * 8 / 121_651_200)
    assert taken.by_formula == pytest.approx(0.49418, rel=1e-4)
    assert taken.honest == pytest.approx(8e7 / pixels)


@pytest.mark.parametrize("zeros", [0, 30])
def test_a_pruned_clip(tmp_path, samples, zeros):
    layout, path = Layout((("net/own/layer_0/kernel", (10, 20)),)), tmp_path / "clip.inv"
    codec = QuantCodec(bits=6)
    header = samples.header(codec, layout=layout, color_layout=Layout(()), segment_frames=7)
    rng = np.random.default_rng(0)
    leaf = rng.normal(size=(10, 20)).astype(np.float32)
    leaf.ravel()[:zeros] = 0.0
    writer = VideoWriter(path, header, codec)
    writer.push(range(1, 8), nest({layout.paths[0]: leaf}), 1)
    writer.close()
    with NeuralVideo.open(path) as video:
        taken = per_pixel(video)
        codes = codec.decoder(layout).codes(video.packet(video.groups[0][0]))
        bits = huffman.average_bits(np.bincount(codes))
        assert taken.is_huffman and taken.bits == bits and taken.measured == 1
        assert taken.sparsity == pytest.approx(zeros / 200)
        assert taken.by_formula == pytest.approx((200 - zeros) * bits / (7 * _PIXELS))
        assert taken.honest == 8 * path.stat().st_size / (7 * _PIXELS)
        lines = "\n".join([*info.describe(video, path), *info.describe_bits(video, taken)])
    assert "7, 1 to 7; 1 segments, of 7 frames at most" in lines
    assert "200 a segment, 0 shared" in lines
    assert f"{zeros / 2:.2f} % of the params are zero" in lines
    assert "by the papers' formula" in lines and "honest" in lines
    assert f"efficiency {bits / 6:.3f}" in lines


def test_frames_with_shared_params(tmp_path, samples):
    path = tmp_path / "frames.inv"
    samples.write(path, RawCodec(), frames=6, warmup=2)
    with NeuralVideo.open(path) as video:
        first, all_ = per_pixel(video), per_pixel(video, measures_all=True)
    assert (first.measured, all_.measured) == (1, 6)
    assert not first.is_huffman and 32 < first.bits < 34  # with the packets' heads
    assert first.params == 6 * samples.STRUCTURE.size and first.shared == 2 * samples.COLOR.size
    assert first.pixels == 6 * _PIXELS
    assert first.honest > first.by_formula > 0


def test_a_damaged_packet_is_passed_over_and_nothing_is_none(tmp_path, samples):
    path = tmp_path / "video.inv"
    samples.write(path, QuantCodec(), frames=3)
    with NeuralVideo.open(path) as video:
        offset = video.groups[0][0].offset
    data = bytearray(path.read_bytes())
    data[offset + 60] ^= 1
    path.write_bytes(data)
    with NeuralVideo.open(path) as video:
        assert per_pixel(video, measures_all=True).measured == 2
    VideoWriter(path, samples.header(RawCodec()), RawCodec()).close()
    with NeuralVideo.open(path) as video:
        assert per_pixel(video) is None
        assert info.describe_bits(video, None) == ["bits/pixel  no packet can be decoded"]


def test_a_quantised_network_counts_the_bits_of_its_codes(samples, tmp_path):
    path = tmp_path / "video.inv"
    samples.write_masked(path, QuantCodec(4))
    video = NeuralVideo.open(path)
    taken, codes = per_pixel(video), video.color_codes(1)
    assert taken.shared == codes.size == 6 * 8 + 9
    assert taken.shared_bits == pytest.approx(huffman.average_bits(np.bincount(codes)))
    samples.write_masked(path, RawCodec())
    assert per_pixel(NeuralVideo.open(path)).shared_bits == 32.0
    assert per_pixel(NeuralVideo.open(path)).sparsity == 0.0  # masks are no params
