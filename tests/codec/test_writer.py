"""Writing a neural video: in order, each packet whole, and the same bytes after a stop."""

import pytest

from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.delta_codec import DeltaCodec
from inv_jax.codec.fpzip_codec import FpzipCodec
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.types import InvError

CODECS = {
    "raw": RawCodec(),
    "twc": FpzipCodec(16, 1),
    "groups": FpzipCodec(16, 3),
    "delta": DeltaCodec(key_every=3),
    "bricks": BricksCodec(key_every=3),
}
_FRAMES = 7


@pytest.fixture(params=sorted(CODECS))
def codec(request):
    return CODECS[request.param]


@pytest.fixture
def frames(samples):
    """Seven frames from 3 on: number, params, color id; colors train in the first two."""
    walk = samples.Walk(seed=1)
    return [
        (number, walk.step(with_color=number < 5), min(number, 4))
        for number in range(3, 3 + _FRAMES)
    ]


def _write(path, samples, codec, frames, **settings):
    writer = VideoWriter(path, samples.header(codec), codec, **settings)
    for frame in frames:
        if writer.next_frame is None or frame[0] >= writer.next_frame:
            writer.push(*frame)
    writer.close()
    return path.read_bytes()


def test_a_file_only_grows(tmp_path, samples, codec, frames):
    path = tmp_path / "deep" / "er" / "video.inv"
    writer = VideoWriter(path, samples.header(codec), codec)
    before = path.read_bytes()
    for frame in frames:
        grown = writer.push(*frame)
        now = path.read_bytes()
        assert now.startswith(before)
        assert writer.num_bytes == len(now) == len(before) + grown
        before = now
    writer.close()
    assert path.read_bytes().startswith(before)
    writer.close()  # once more does nothing


def test_the_same_frames_give_the_same_bytes(tmp_path, samples, codec, frames):
    first = _write(tmp_path / "a.inv", samples, codec, frames)
    assert _write(tmp_path / "b.inv", samples, codec, frames) == first


def test_going_on_gives_the_bytes_of_not_stopping(tmp_path, samples, codec, frames):
    """Stopped behind each frame, closed or in the midst of a part; begun again there, or before."""
    whole = _write(tmp_path / "whole.inv", samples, codec, frames)
    path = tmp_path / "video.inv"
    cases = [(done, done % 2 == 0, done) for done in range(_FRAMES + 1)]
    for done, close, again in [*cases, (3, True, 3), (4, False, 4), (6, True, 4), (7, False, 0)]:
        writer = VideoWriter(path, samples.header(codec), codec)
        for frame in frames[:done]:
            writer.push(*frame)
        if close:
            writer.close()
        elif codec.name == "delta":
            with path.open("ab") as file:
                file.write(whole[path.stat().st_size :][:30])  # a part that was being written
        before = 3 + again
        assert _write(path, samples, codec, frames, go_on_before=before) == whole


def test_going_on_keeps_what_was_there(tmp_path, samples, codec, frames):
    path = tmp_path / "video.inv"
    whole = _write(path, samples, codec, frames)
    writer = VideoWriter(path, samples.header(codec), codec, go_on_before=8)
    assert writer.next_frame == (4 if codec == CODECS["groups"] else 8)
    assert whole.startswith(path.read_bytes())
    writer.close()


def test_going_on_where_nothing_is_begins(tmp_path, samples, codec, frames):
    whole = _write(tmp_path / "whole.inv", samples, codec, frames)
    path = tmp_path / "new.inv"
    assert _write(path, samples, codec, frames, go_on_before=5) == whole


def test_without_going_on_a_file_is_replaced(tmp_path, samples, codec, frames):
    path = tmp_path / "video.inv"
    whole = _write(path, samples, codec, frames)
    assert _write(path, samples, codec, frames) == whole


def test_a_writer_knows_what_receivers_have(tmp_path, samples, frames, assert_same):
    for name in ("raw", "twc", "delta"):
        path = tmp_path / f"{name}.inv"
        writer = VideoWriter(path, samples.header(CODECS[name]), CODECS[name], color_precision=16)
        for number, params, color in frames:
            writer.push(number, params, color)
            assert_same(writer.decoded(), NeuralVideo.open(path).params(number))


def test_gaps_are_refused(tmp_path, samples, codec, frames):
    writer = VideoWriter(tmp_path / "video.inv", samples.header(codec), codec)
    writer.push(*frames[0])
    for number in (3, 5, 100):
        with pytest.raises(InvError, match=f"frame 4 comes next, not {number}"):
            writer.push(number, *frames[1][1:])
    writer.push(*frames[1])
    writer.close()


def test_params_of_another_model_are_refused(tmp_path, samples, codec, frames):
    writer = VideoWriter(tmp_path / "video.inv", samples.header(codec), codec)
    wrong = {**frames[0][1], "coarse": {}}
    with pytest.raises(InvError, match="coarse/"):
        writer.push(3, wrong, 3)
    writer.close()


@pytest.mark.parametrize("precision", [1, 33])
def test_color_precision_is_checked(tmp_path, samples, precision):
    with pytest.raises(InvError, match="2 to 32 bits"):
        VideoWriter(
            tmp_path / "video.inv",
            samples.header(RawCodec()),
            RawCodec(),
            color_precision=precision,
        )


def test_going_on_with_other_settings_is_refused(tmp_path, samples, frames):
    path = tmp_path / "video.inv"
    before = _write(path, samples, CODECS["twc"], frames)
    for other, what in [(RawCodec(), "codec"), (FpzipCodec(12, 1), "settings")]:
        with pytest.raises(InvError, match=f"begun with another {what}"):
            VideoWriter(path, samples.header(other), other, go_on_before=5)
    twc = CODECS["twc"]
    with pytest.raises(InvError, match="another capture"):
        VideoWriter(path, samples.header(twc, rig=samples.rig(4)), twc, go_on_before=5)
    assert path.read_bytes() == before


def test_going_on_with_a_damaged_file_is_refused_and_changes_nothing(tmp_path, samples, frames):
    path = tmp_path / "video.inv"
    data = bytearray(_write(path, samples, CODECS["raw"], frames))
    del data[len(data) // 2 : len(data) // 2 + 5]
    path.write_bytes(data)
    with pytest.raises(InvError, match="damaged"):
        VideoWriter(path, samples.header(CODECS["raw"]), CODECS["raw"], go_on_before=99)
    assert path.read_bytes() == data


def test_a_folder_that_cannot_be_written_is_named(tmp_path, samples):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "video.inv", samples.header(RawCodec()), RawCodec())
