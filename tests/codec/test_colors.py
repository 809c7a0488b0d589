"""Color params of which a part rests: stored once, found from any frame, refused if forged."""

import struct
import zlib

import numpy as np
import pytest

from inv_jax.codec import bitstream, colors
from inv_jax.codec.base import CorruptError, Layout
from inv_jax.codec.colors import ColorEncoder, ColorPart
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.frames import LOSSLESS, encode_color
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.source import BytesSource
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.params import flatten, nest

_FRAMES, _WARMUP = 7, 5


def _parts(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and bytes of each part, heads included."""
    found = bitstream.parts(BytesSource(data), bitstream.SIGNATURE_BYTES)
    return [(part.kind, data[part.offset : part.end]) for part in found]


def _open(data: bytes) -> NeuralVideo:
    return NeuralVideo(BytesSource(data), "the video")


@pytest.fixture(scope="module")
def resting(samples, tmp_path_factory):
    """Seven frames, colors of their own in the first five, `layer_2` resting: bytes, and params."""
    path = tmp_path_factory.mktemp("resting") / "video.inv"
    given = samples.write(path, RawCodec(), frames=_FRAMES, warmup=_WARMUP, still="layer_2")
    return path.read_bytes(), dict(enumerate(given, start=1))


def test_leaves_that_rest_are_stored_once(samples, resting):
    data, _ = resting
    kinds = [kind for kind, _ in _parts(data) if kind in bitstream.COLORS]
    assert kinds == [bitstream.COLOR] + [bitstream.COLOR_DIFF] * (_WARMUP - 1)
    whole = next(part for kind, part in _parts(data) if kind == bitstream.COLOR)
    for kind, part in _parts(data):
        if kind == bitstream.COLOR_DIFF:
            found = colors.parse(samples.COLOR, kind, part[bitstream.HEAD_BYTES :])
            assert found.base == 1
            moving = {path for path in samples.COLOR.paths if "layer_2" not in path}
            assert found.leaves.keys() == moving
            assert len(part) < len(whole) / 2


def test_any_frame_is_decoded_alone(resting, assert_same):
    data, given = resting
    for frame, params in given.items():
        assert_same(_open(data).params(frame), params)
    video = _open(data)
    for frame in (4, 1, 5, 2, 2, 3, 7, 1):
        assert_same(video.params(frame), given[frame])


def test_a_cut_file_plays_up_to_its_last_whole_packet(resting, assert_same):
    """In the midst of a part, and behind it."""
    data, given = resting
    end, whole = bitstream.SIGNATURE_BYTES, 0
    for kind, part in _parts(data):
        if kind in (*bitstream.COLORS, bitstream.FRAME):
            assert _open(data[: end + len(part) - 1]).frames() == [*given][:whole]
        whole += kind == bitstream.FRAME
        end += len(part)
        if kind == bitstream.FRAME:
            video = _open(data[:end])
            assert video.frames() == [*given][:whole] and not video.damages
            assert_same(video.params(whole), given[whole])


def test_a_base_is_read_once_for_all_that_go_back_to_it(resting, monkeypatch):
    calls = []
    read = NeuralVideo._read_color
    monkeypatch.setattr(NeuralVideo, "_read_color", lambda v, id: calls.append(id) or read(v, id))
    video = _open(resting[0])
    for frame in range(1, _FRAMES + 1):
        video.params(frame)
    assert calls == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("precision", [16, LOSSLESS])
def test_going_on_gives_the_bytes_of_not_stopping(samples, resting, tmp_path, precision):
    """Stopped in the midst of a part, where colors move and where they rest."""
    codec, given = DeltaCodec(key_every=3), resting[1]

    def write(path, frames, **settings):
        writer = VideoWriter(
            path, samples.header(codec), codec, color_precision=precision, **settings
        )
        for frame in frames[(writer.next_frame or 1) - 1 :]:
            writer.push(frame, given[frame], min(frame, _WARMUP))
        return writer

    whole, path = tmp_path / "whole.inv", tmp_path / "video.inv"
    write(whole, [*given]).close()
    for done in (2, 3, 6):
        write(path, [*given][:done]).abandon()
        with path.open("ab") as file:
            file.write(whole.read_bytes()[path.stat().st_size :][:30])
        write(path, [*given], go_on_before=done + 1).close()
        assert path.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("there", [0, 2])
def test_a_file_of_version_1_is_read_and_goes_on_as_such(
    samples, resting, tmp_path, assert_same, there
):
    _, given = resting
    path, codec = tmp_path / "old.inv", RawCodec()
    first = VideoWriter(path, samples.header(codec), codec)
    for frame in range(1, there + 1):
        first.push(frame, given[frame], 1)
    first.abandon()
    old = _of_version(1, path.read_bytes())
    path.write_bytes(old)
    writer = VideoWriter(path, samples.header(codec), codec, go_on_before=there + 1)
    for frame in range(there + 1, there + 4):
        writer.push(frame, given[frame], frame)
    writer.close()
    data = path.read_bytes()
    assert data.startswith(old)
    assert bitstream.COLOR_DIFF not in [kind for kind, _ in _parts(data)]
    for frame in range(there + 1, there + 4):
        assert_same(_open(data).params(frame), given[frame])


def _of_version(major: int, data: bytes) -> bytes:
    head = bitstream.MAGIC + struct.pack("<HH", major, 0)
    return head + struct.pack("<I", zlib.crc32(head)) + data[bitstream.SIGNATURE_BYTES :]


class _Encoded:
    """Pushes leaves through an encoder; what each part says."""

    def __init__(self, layout: Layout, precision: int = LOSSLESS):
        self.layout, self._encoder, self._color = layout, ColorEncoder(layout, precision), 0

    def push(self, leaves: dict) -> ColorPart:
        self._color += 1
        _, part = self._encoder.push(self._color, nest(leaves))
        return colors.parse(self.layout, part[:4], part[bitstream.HEAD_BYTES :])


@pytest.fixture
def walk(samples):
    """Color leaves that move but for those with a text in their path."""
    walk = samples.Walk(seed=3)

    def step(still: str) -> dict:
        params = flatten(walk.step(with_color=True, still=still))
        return {path: params[path] for path in samples.COLOR.paths}

    return step


def test_colors_that_all_move_are_whole_as_if_there_were_no_bases(samples, walk):
    encoder = ColorEncoder(samples.COLOR, LOSSLESS)
    for color in range(1, 4):
        leaves = walk("nothing")
        _, part = encoder.push(color, nest(leaves))
        assert part == bitstream.color_part(color, encode_color(samples.COLOR, leaves))


def test_what_comes_to_rest_later_makes_a_new_base(samples, walk):
    """The largest layer of `fine` moves, then rests: it does not come with every part behind."""
    encoded = _Encoded(samples.COLOR)
    assert encoded.push(walk("nothing")).base is None
    for _ in range(2):
        moving = encoded.push(walk("coarse"))
        assert (moving.base, len(moving.leaves)) == (1, 3)
    assert encoded.push(walk("layer_2")).base is None
    for _ in range(2):
        resting = encoded.push(walk("layer_2"))
        assert (resting.base, len(resting.leaves)) == (4, 4)


def test_a_sign_of_zero_is_a_difference(samples, walk):
    encoded, leaves = _Encoded(samples.COLOR), walk("nothing")
    leaves["fine/color/rgb/bias"] = np.zeros(3, np.float32)
    encoded.push(leaves)
    same = encoded.push(leaves)
    assert (same.base, dict(same.leaves)) == (1, {})
    found = encoded.push({**leaves, "fine/color/rgb/bias": np.float32([0.0, -0.0, 0.0])})
    assert np.signbit(found.leaves["fine/color/rgb/bias"]).tolist() == [False, True, False]


def test_differences_are_those_of_what_is_stored(samples, walk):
    """A change that 16 bits do not show is none."""
    encoded, leaves = _Encoded(samples.COLOR, 16), walk("nothing")
    encoded.push(leaves)
    path = "fine/color/layer_2/kernel"
    nearly = {**leaves, path: np.nextafter(leaves[path], leaves[path] * 2)}
    assert len(encoded.push(nearly).leaves) < 2


def test_colors_that_come_back_have_their_part_already(samples, walk):
    encoder = ColorEncoder(samples.COLOR, LOSSLESS)
    first, second = nest(walk("nothing")), nest(walk("layer_2"))
    parts = [encoder.push(*pair)[1] for pair in ((1, first), (2, second), (1, first))]
    assert [bool(part) for part in parts] == [True, True, False]
    assert encoder.newest.color == 1


@pytest.mark.parametrize(
    "base, bits, reason",
    [
        (9, b"\x36", "color params 9 are missing"),
        (3, b"\x36", "color params 2 go back to 3, not whole either"),
        (2, b"\x36", "color params 2 go back to 2, not whole either"),
        (1, b"\x76", "name leaves that are not in the layout"),
        (1, b"", "name leaves that are not in the layout"),
        (1, b"\x3f", "does not begin as one of the array"),
        (1, b"\x16", "follow the last array"),
    ],
)
def test_a_forged_base_or_bitmap_is_refused(resting, base, bits, reason, assert_same):
    data, given = resting
    parts = dict(enumerate(part for _, part in _parts(data)))
    place = next(n for n, (kind, _) in enumerate(_parts(data)) if kind == bitstream.COLOR_DIFF)
    payload = parts[place][bitstream.HEAD_BYTES :]
    assert payload[8:9] == b"\x36"  # which of the six leaves are there
    forged = struct.pack("<II", 2, base) + bits + payload[9 if bits else len(payload) :]
    parts[place] = bitstream.part(bitstream.COLOR_DIFF, forged)
    video = _open(data[: bitstream.SIGNATURE_BYTES] + b"".join(parts.values()))
    with pytest.raises(CorruptError, match=reason) as caught:
        video.params(2)
    assert str(caught.value).startswith("the video: ") and "\n" not in str(caught.value)
    assert_same(video.params(3), given[3])
