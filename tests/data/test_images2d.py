"""Videos of one camera: any file or folder, each picture by its number."""

import fractions
import pathlib
import threading

import av
import numpy as np
import pytest
from PIL import ExifTags, Image

from inv_jax.data import images2d
from inv_jax.data.capture import Capture, open_capture
from inv_jax.data.rig import may_be_same
from inv_jax.data.video_file import VideoFile
from inv_jax.player.video import write_video as write_mp4
from inv_jax.types import InvError

HEIGHT, WIDTH = 24, 36


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth, lopsided, and of another color for each number."""
    y, x = np.mgrid[:height, :width]
    blue = np.full((height, width), 16 * number % 256)
    return np.stack([x * 255 / (width - 1), y * 255 / (height - 1), blue], -1).astype(np.uint8)


def write_video(
    path: pathlib.Path, count: int = 20, *, codec="libx264", pix_fmt="yuv444p", rotation=0, **more
) -> pathlib.Path:
    """Moments are 20, 70 and 130 ms apart, in turn."""
    size = more.pop("size", (HEIGHT, WIDTH))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=more)
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.gop_size = 6
        stream.time_base = stream.codec_context.time_base = fractions.Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        time = 0
        for number in range(1, count + 1):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), "rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.pts, frame.time_base = time, stream.time_base
            time += (20, 70, 130)[number % 3]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_pictures(folder: pathlib.Path, names: list[str]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, start=1):
        Image.fromarray(picture(number)).save(folder / name)
    return folder


def open_video(path, *, factor=1, first_frame=1, num_frames=0, background=0.0, **more) -> Capture:
    settings = {"holdout": (), "near": 0.0, "ndc": False, "pixel_center": 0.0}
    return open_capture(
        images2d.LAYOUT,
        path,
        factor=factor,
        first_frame=first_frame,
        num_frames=num_frames,
        background=background,
        **settings,
        **more,
    )


def image(capture: Capture, frame: int) -> np.ndarray:
    return np.asarray(capture.load(frame).images)[0]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> pathlib.Path:
    """A changing rate, B-frames, key frames every 6 pictures."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mkv", crf="4", bf="2")


def test_pictures_are_found_in_any_order(clip):
    file = VideoFile(clip)
    assert (file.num_frames, file.size) == (20, (HEIGHT, WIDTH))
    for number in [20, 1, 7, 8, 20, 3, 19, 12, 13, 2]:
        np.testing.assert_allclose(file.read(number), picture(number), atol=12)


def test_the_rate_of_a_changing_rate_is_its_mean(clip):
    assert VideoFile(clip).fps == pytest.approx(19 / 1.41, rel=0.02)


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_pictures_are_turned_as_the_file_says(tmp_path, rotation, turns):
    file = VideoFile(write_video(tmp_path / "turned.mp4", 3, rotation=rotation, crf="4"))
    expected = np.rot90(picture(2), turns)
    assert file.size == expected.shape[:2]
    np.testing.assert_allclose(file.read(2), expected, atol=12)


@pytest.mark.parametrize("name", ["bare.h264", "clip.avi"])
def test_files_without_times_are_counted(tmp_path, name):
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = write_video(tmp_path / name, 8, codec=codec, pix_fmt="yuv420p")
    file = VideoFile(path)
    assert file.num_frames == 8
    found = [file.read(number)[..., 2].mean() for number in (8, 2, 5)]
    np.testing.assert_allclose(found, [128, 32, 80], atol=12)


def test_odd_sizes_are_kept(tmp_path):
    path = write_video(tmp_path / "odd.mkv", 2, size=(25, 37), codec="ffv1", pix_fmt="bgr0")
    capture = open_video(path)
    np.testing.assert_array_equal(image(capture, 2), picture(2, 25, 37))


def test_the_capture_is_one_camera_of_the_files_frames(clip):
    capture = open_video(clip, first_frame=3, num_frames=4)
    assert capture.frames == range(3, 7)
    assert (capture.train_cams, capture.test_cams, capture.shown_cam) == ((0,), (), 0)
    assert capture.fps == pytest.approx(13.5, rel=0.02)
    np.testing.assert_allclose(image(capture, 5), picture(5), atol=12)


def test_what_is_no_video_is_refused(tmp_path, clip):
    text = tmp_path / "notes.txt"
    text.write_text("no video")
    with pytest.raises(InvError, match="cannot be read as a video"):
        open_video(text)
    with pytest.raises(InvError, match="does not exist"):
        open_video(tmp_path / "nothing.mp4")
    with pytest.raises(InvError, match="holds frames 1-20"):
        open_video(clip, first_frame=21)


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["0003.png", "0004.png", "0005.png"], [3, 4, 5]),
        (["f1.png", "f2.png", "f10.png"], [1, 2, 10]),
        (["take2_7.png", "take2_8.png"], [7, 8]),
        (["b2.png", "b10.png", "Z.png", "a.png"], [3, 4, 1, 2]),
        (["a².png", "b10.png"], [1, 2]),
        (["portrait.png"], [1]),
        (["shot12.png"], [12]),
    ],
)
def test_pictures_are_numbered_by_their_names(tmp_path, names, numbers):
    found = images2d.find_pictures(write_pictures(tmp_path, names))
    assert {path.name: number for number, path in found.items()} == dict(
        zip(names, numbers, strict=True)
    )


def test_hidden_files_are_no_pictures(tmp_path):
    write_pictures(tmp_path, ["1.png", "2.png"])
    (tmp_path / "._1.png").write_bytes(b"notes of a file system")
    assert list(open_video(tmp_path).frames) == [1, 2]


def test_pictures_may_lie_in_frames(tmp_path):
    write_pictures(tmp_path / "frames", ["0001.png", "0002.png"])
    np.testing.assert_array_equal(image(open_video(tmp_path), 2), picture(2))


def test_one_camera_of_a_capture_is_a_pattern(tmp_path):
    names = [f"frame{frame:04d}cam{cam:02d}.png" for frame in (5, 6) for cam in (0, 3)]
    write_pictures(tmp_path, names)
    with pytest.raises(InvError, match=r"2 cameras.*frame\*cam00\.png"):
        open_video(tmp_path, first_frame=5)
    capture = open_video(tmp_path / "frame*cam03.png", first_frame=5)
    np.testing.assert_array_equal(image(capture, 6), picture(4))


def test_missing_pictures_are_named(tmp_path):
    write_pictures(tmp_path, ["1.png", "2.png", "5.png"])
    with pytest.raises(InvError, match="frames 3-4 are missing"):
        open_video(tmp_path)


def test_two_pictures_of_one_number_are_refused(tmp_path):
    write_pictures(tmp_path, ["1.png", "01.png", "2.png"])
    with pytest.raises(InvError, match=r"both 01\.png and 1\.png"):
        open_video(tmp_path)


def test_a_factor_averages_squares(tmp_path):
    path = write_pictures(tmp_path, ["1.png"]) / "1.png"
    found = image(open_video(path, factor=3), 1).astype(float)
    squares = picture(1).reshape(HEIGHT // 3, 3, WIDTH // 3, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found, squares, atol=0.5)


@pytest.mark.parametrize(
    ("size", "factor", "message"),
    [
        ((360, 640), 3, "does not divide 640x360; set data.factor to 1, 2, 4, 5, or .*642x363"),
        ((361, 641), 2, "set data.factor to 1, or cut or scale the images to 640x360"),
        ((360, 640), 0, "expected 1 or more"),
    ],
)
def test_a_factor_that_does_not_divide_is_refused_with_those_that_do(size, factor, message):
    with pytest.raises(InvError, match=message):
        images2d.reduced_size(*size, factor)


def pooled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Means over the bins of adaptive pooling, one by one, as its definition has them."""
    rows, cols = image.shape[:2]
    found = np.empty((height, width, 3))
    for i in range(height):
        top, bottom = i * rows // height, -(-(i + 1) * rows // height)
        for j in range(width):
            left, right = j * cols // width, -(-(j + 1) * cols // width)
            found[i, j] = image[top:bottom, left:right].reshape(-1, 3).mean(axis=0)
    return found


@pytest.mark.parametrize(
    "size", [(24, 36), (12, 18), (24, 17), (7, 36), (7, 5), (23, 35), (1, 1), (13, 1)]
)
def test_pictures_are_averaged_to_any_smaller_size(size):
    image = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    smaller = images2d.Smaller.of(HEIGHT, WIDTH, 1, size)
    assert (smaller.height, smaller.width) == size
    found = smaller(image)
    assert found.dtype == np.uint8
    assert found.shape == (*size, 3)
    assert np.abs(found - pooled(image, *size)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_size_comes_behind_the_factor(tmp_path, clip, kind):
    path = clip if kind == "file" else write_pictures(tmp_path, ["1.png", "2.png"])
    capture = open_video(path, factor=2, size=(5, 7))
    assert (capture.cameras.height, capture.cameras.width) == (5, 7)
    np.testing.assert_array_equal(
        capture.cameras.intrinsics[0], [[7, 0, 3.5], [0, 7, 2.5], [0, 0, 1]]
    )
    squares = images2d.reduce(image(open_video(path), 2), 2)
    assert np.abs(image(capture, 2) - pooled(squares, 5, 7)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("size", [(25, 36), (24, 37), (12, 0), (0, 18), (-1, 18)])
def test_a_size_that_is_larger_or_half_given_is_refused(tmp_path, size):
    write_pictures(tmp_path, ["1.png"])
    message = rf"data\.height={size[0]}, data\.width={size[1]}: the images are 36x24"
    with pytest.raises(InvError, match=message):
        open_video(tmp_path, size=size)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_chosen_pictures_are_the_frames_from_1_on(tmp_path, clip, kind):
    """In the order asked for, whatever lies between them."""
    path = clip
    if kind == "folder":
        path = write_pictures(tmp_path, ["1.png", "2.png", "3.png", "4.png"])
        path.joinpath("2.png").unlink()  # nobody asks for it
    capture = open_video(path, frame_ids=(4, 1, 3))
    assert capture.frames == capture.span == range(1, 4)
    for frame, number in ((1, 4), (2, 1), (3, 3)):
        np.testing.assert_allclose(image(capture, frame), picture(number), atol=12)
    some = open_video(path, frame_ids=(4, 1, 3), first_frame=2, num_frames=1)
    assert some.frames == range(2, 3)
    np.testing.assert_array_equal(image(some, 2), image(capture, 2))
    name = "(frame 4)" if kind == "file" else "4.png"
    assert name in capture.source.name(1, 0)


def test_chosen_pictures_that_are_not_there_are_named(tmp_path, clip):
    with pytest.raises(InvError, match=r"data\.frame_ids names 21, but .* holds frames 1-20"):
        open_video(clip, frame_ids=(3, 21))
    write_pictures(tmp_path, ["3.png", "4.png"])
    with pytest.raises(InvError, match=r"data\.frame_ids names 1, but .* holds frames 3-4"):
        open_video(tmp_path, frame_ids=(1,))


def test_a_clip_is_all_its_pictures_in_order(tmp_path, clip):
    for path in (clip, write_pictures(tmp_path, [f"{n}.png" for n in range(1, 8)])):
        capture = open_video(path, first_frame=2, frame_step=2)
        found = capture.load_clip((2, 3, 6), capture.train_cams)  # also those between the steps
        np.testing.assert_array_equal(found, [image(capture, frame) for frame in (2, 3, 6)])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_clip_of_pictures_is_read_side_by_side_and_of_a_file_in_order(
    tmp_path, clip, monkeypatch, kind
):
    path = clip
    if kind == "folder":
        path = write_pictures(tmp_path, [f"{n}.png" for n in range(1, 21)])
    capture, seen = open_video(path), []
    together = threading.Barrier(2, timeout=20)  # two are at work at once
    load = type(capture.source).load

    def noted(source, frame, cam):
        seen.append((threading.current_thread().name, frame))
        if kind == "folder" and frame < 3:
            together.wait()
        return load(source, frame, cam)

    monkeypatch.setattr(type(capture.source), "load", noted)
    capture.load_clip(capture.frames, (0,))
    if kind == "file":
        assert seen == [(threading.current_thread().name, frame) for frame in range(1, 21)]
    else:
        assert sorted(frame for _, frame in seen) == list(range(1, 21))


def test_grey_and_transparent_pictures_are_taken(tmp_path):
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "1.png")
    alpha = np.full((HEIGHT, WIDTH, 1), 51, np.uint8)
    Image.fromarray(np.concatenate([picture(2), alpha], -1)).save(tmp_path / "2.png")
    capture = open_video(tmp_path, background=1.0)
    np.testing.assert_array_equal(image(capture, 1), np.repeat(grey[..., None], 3, axis=-1))
    np.testing.assert_allclose(image(capture, 2), 0.2 * picture(2) + 0.8 * 255, atol=0.51)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_photos_are_turned_as_their_exif_data_say(tmp_path, orientation, turns):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(picture(1)).save(tmp_path / "1.png", exif=exif)
    np.testing.assert_array_equal(image(open_video(tmp_path), 1), np.rot90(picture(1), turns))


def test_a_transparent_video_shows_the_background(tmp_path):
    path = write_video(tmp_path / "clear.mkv", 1, codec="ffv1", pix_fmt="bgra")
    np.testing.assert_array_equal(image(open_video(path), 1), picture(1))
    assert VideoFile(path).read(1).shape[-1] == 4


def test_a_single_video_is_not_packed(clip):
    with pytest.raises(InvError, match="single video"):
        open_video(clip).read_whole(1)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_video_is_told_from_another_of_its_size_wherever_it_lies(tmp_path, kind):
    def made(folder: pathlib.Path, first: int) -> str:
        folder.mkdir()
        if kind == "file":
            path = folder / "clip.mp4"
            pictures = [picture(number) for number in (first, 3)]
            write_mp4(path, pictures, 10.0)
        else:
            path = folder
            for number, shown in ((1, first), (2, 3)):
                Image.fromarray(picture(shown)).save(folder / f"{number}.png")
        return open_video(path).fingerprint

    ones = [made(tmp_path / name, first) for name, first in (("a", 1), ("moved", 1), ("b", 9))]
    assert ones[0] == ones[1]
    assert may_be_same(ones[0], ones[0].split("-")[0])  # of a run that did not note it
    assert not may_be_same(ones[0], ones[2])
