import av
import numpy as np
import pytest
from PIL import Image

from inv_jax.player.video import VideoWriter, write_video
from inv_jax.types import InvError


def _frame(index: int, height: int, width: int) -> np.ndarray:
    """Smooth, so that halved colors and compression change little."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, np.full(x.shape, 40 * index)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _decode(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_video_reads_back_with_its_frames_and_colors(tmp_path):
    path = tmp_path / "new" / "a.mp4"
    frames = [_frame(i, 48, 64) for i in range(5)]
    assert write_video(path, frames, 25) == 5
    decoded = _decode(path)
    assert len(decoded) == 5
    for frame, expected in zip(decoded, frames, strict=True):
        assert np.abs(frame.astype(int) - expected).mean() < 3
        assert np.abs(frame.astype(int) - expected).max() < 16
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("fps", "rate"), [(30, 30.0), (29.97, 29.97), (30000 / 1001, 30000 / 1001)]
)
def test_a_video_says_what_it_is(tmp_path, fps, rate):
    path = tmp_path / "a.mp4"
    write_video(path, (_frame(i, 32, 32) for i in range(4)), fps)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(rate, rel=1e-7)
        assert stream.frames == 4
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert int(stream.codec_context.colorspace) == 1  # BT.709
        assert int(stream.codec_context.color_range) == 1  # 16 to 235


def test_the_index_lies_before_the_pictures(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [_frame(0, 32, 32)], 30)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_are_padded_and_not_resized(tmp_path):
    path = tmp_path / "a.mp4"
    frame = _frame(2, 47, 63)
    write_video(path, [frame], 30)
    (decoded,) = _decode(path)
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded[:47, :63].astype(int) - frame).max() < 16
    padded = np.pad(frame, ((0, 1), (0, 1), (0, 0)), mode="edge").astype(int)
    assert np.abs(decoded[-1].astype(int) - padded[-1]).max() < 16
    assert np.abs(decoded[:, -1].astype(int) - padded[:, -1]).max() < 16


def test_a_gif_loops_through_its_frames(tmp_path):
    path = tmp_path / "a.GIF"
    assert write_video(path, (_frame(i, 16, 20) for i in range(3)), 20) == 3
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (3, (20, 16), 50)
        assert image.info["loop"] == 0
        image.seek(2)
        decoded = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(decoded - _frame(2, 16, 20)).mean() < 10


@pytest.mark.parametrize("name", ["a.avi", "a.png"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(InvError, match=r"name it \.mp4 or \.gif"):
        write_video(tmp_path / name, [_frame(0, 16, 16)], 30)


def test_without_a_suffix_it_is_a_folder_of_pictures(tmp_path):
    path, frames = tmp_path / "new" / "a", [_frame(i, 16, 20) for i in range(3)]
    left = path.with_name(".a.tmp") / "0009.png"  # by a writer that was killed
    left.parent.mkdir(parents=True)
    left.touch()
    assert write_video(path, iter(frames), 20) == 3
    assert sorted(file.name for file in path.iterdir()) == ["0001.png", "0002.png", "0003.png"]
    for number, frame in enumerate(frames, start=1):
        np.testing.assert_array_equal(Image.open(path / f"{number:04d}.png"), frame)
    with pytest.raises(InvError, match="is a folder with something in it"):
        write_video(path, iter(frames), 20)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_video_needs_a_frame_rate(tmp_path, fps):
    with pytest.raises(InvError, match="frames per second"):
        write_video(tmp_path / "a.mp4", [_frame(0, 16, 16)], fps)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ""])
def test_failures_leave_nothing_behind(tmp_path, suffix):
    path = tmp_path / "new" / f"a{suffix}"
    with pytest.raises(InvError, match="no frames"):
        write_video(path, iter([]), 30)
    assert not path.parent.exists()

    with pytest.raises(InvError, match="frame 1 is 20x16, those before it are 16x16"):
        write_video(path, [_frame(0, 16, 16), _frame(0, 16, 20)], 30)

    def broken():
        yield _frame(0, 16, 16)
        raise RuntimeError("renderer")

    with pytest.raises(RuntimeError, match="renderer"):
        write_video(path, broken(), 30)
    assert list(path.parent.iterdir()) == []


def test_a_failure_keeps_the_older_video(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, [_frame(0, 16, 16)], 30)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="want uint8"):
        write_video(path, [_frame(0, 16, 16), np.zeros((16, 16, 3))], 30)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvError, match="choose another folder"):
        write_video(tmp_path / "file" / "a.mp4", [_frame(0, 16, 16)], 30)


def test_two_videos_are_written_at_once_and_appear_at_the_end(tmp_path):
    paths = [tmp_path / "a.mp4", tmp_path / "b.gif"]
    with VideoWriter(paths[0], 10) as first, VideoWriter(paths[1], 10) as second:
        for i in range(3):
            first.push(_frame(i, 32, 32))
            second.push(_frame(i, 16, 16))
        assert not any(path.exists() for path in paths)
    assert (first.count, second.count) == (3, 3)
    assert len(_decode(paths[0])) == 3
    assert sorted(tmp_path.iterdir()) == paths


def test_a_gif_lasts_as_long_as_its_frames_do(tmp_path):
    write_video(tmp_path / "a.gif", (_frame(i, 16, 16) for i in range(9)), 30)
    with Image.open(tmp_path / "a.gif") as image:
        delays = []
        for i in range(image.n_frames):
            image.seek(i)
            delays.append(image.info["duration"])
    assert sum(delays) == 300
    assert set(delays) == {30, 40}


def test_a_gif_does_not_play_faster_than_browsers_show_it(tmp_path):
    write_video(tmp_path / "a.gif", (_frame(i, 16, 16) for i in range(3)), 100)
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["duration"] == 20
