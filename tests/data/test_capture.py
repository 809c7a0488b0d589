"""What an open capture promises."""

import io
import pathlib
import struct
import zlib

import jax
import numpy as np
import pytest
from absl import logging
from PIL import Image

from inv_jax.data import images
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError


def write_png(
    path: pathlib.Path, values: np.ndarray, *, color_type: int, transparent: bytes = b""
) -> None:
    """Writes 8 or 16-bit values (H, W, channels) as they are; no library writes all kinds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    big_endian = values.astype(values.dtype.newbyteorder(">"))
    height, width = values.shape[:2]
    depth = 8 * values.dtype.itemsize
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in big_endian)))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def warnings_logged(monkeypatch):
    """The lines logged as warnings."""
    lines = []
    monkeypatch.setattr(logging, "warning", lambda text, *args: lines.append(text % args))
    return lines


def test_load_returns_the_pixels_on_disk(write_meta, open_meta, pixels):
    capture = open_meta(write_meta())
    for frame in capture.frames:
        loaded = capture.load(frame)
        assert loaded.images.dtype == np.uint8
        assert (loaded.index, loaded.index.dtype) == (frame, np.int32)
        for cam in range(3):
            np.testing.assert_array_equal(loaded.images[cam], pixels(frame, cam))


def test_a_clip_is_the_pictures_of_its_frames_frame_by_frame(write_meta, open_meta, pixels):
    capture = open_meta(write_meta())
    clip = capture.load_clip((3, 1), (2, 0))
    assert clip.dtype == np.uint8
    expected = [pixels(frame, cam) for frame in (3, 1) for cam in (2, 0)]
    np.testing.assert_array_equal(clip, expected)


def test_a_device_of_the_host_takes_a_clip_as_it_lies(write_meta, open_meta):
    capture = open_meta(write_meta())
    clips = [capture.load_clip(capture.span, capture.train_cams[:n]) for n in (1, 2)]
    devices = Devices(jax.local_devices()[:1])
    for clip in clips:
        (placed,) = devices.parts(devices.replicate(clip))
        assert placed.unsafe_buffer_pointer() == clip.ctypes.data


def test_a_clip_of_frames_that_cannot_be_read_names_them(write_meta, open_meta, pixels):
    path = write_meta()
    capture = open_meta(path, num_frames=2)
    with pytest.raises(InvError, match="frame 3 is not open"):
        capture.load_clip((1, 3), (0,))
    file = path / "frames_2" / "frame0002cam01.png"
    Image.fromarray(pixels(2, 1, 6, 9)).save(file)
    assert len(capture.load_clip((1, 2), (0, 2))) == 4  # of the others nothing is read
    with pytest.raises(InvError, match=r"frame0002cam01\.png is 9x6; expected 8x6"):
        capture.load_clip((1, 2), (0, 1))
    file.write_bytes(b"no picture")
    with pytest.raises(InvError, match=r"frame0002cam01\.png"):
        capture.load_clip((1, 2), (0, 1))


def test_frames_are_those_asked_for(write_meta, open_meta):
    path = write_meta(frames=range(1, 6))
    assert open_meta(path).frames == range(1, 6)
    assert open_meta(path, first_frame=3).frames == range(3, 6)
    assert open_meta(path, first_frame=2, num_frames=3).frames == range(2, 5)


def test_frames_after_a_gap_can_be_chosen(write_meta, open_meta):
    path = write_meta(frames=[1, 2, 7, 8])
    assert open_meta(path, num_frames=2).frames == range(1, 3)
    assert open_meta(path, first_frame=7).frames == range(7, 9)


def test_camera_numbers_may_have_gaps(write_meta, open_meta, pixels):
    capture = open_meta(write_meta(cams=[0, 1, 3, 12]), holdout=[2])
    assert capture.camera_names == ("cam00", "cam01", "cam03", "cam12")
    np.testing.assert_array_equal(capture.load(1).images[2], pixels(1, 3))


def test_held_out_cameras_are_not_trained_on(write_meta, open_meta):
    path = write_meta(cams=range(4))
    capture = open_meta(path, holdout=[2, 0])
    assert capture.test_cams == (2, 0)
    assert capture.train_cams == (1, 3)
    assert open_meta(path, holdout=[]).train_cams == (0, 1, 2, 3)


def test_factor_1_reads_the_folder_frames(write_meta, open_meta):
    capture = open_meta(write_meta(folder="frames"), factor=1, ndc=False)
    assert pathlib.Path(capture.source.name(1, 0)).parent.name == "frames"
    np.testing.assert_allclose(capture.cameras.intrinsics[:, 0, 0], 10.0)


def test_focal_length_is_divided_by_the_factor(write_meta, open_meta):
    capture = open_meta(write_meta())
    np.testing.assert_array_equal(
        capture.cameras.intrinsics[0], [[5.0, 0.0, 4.0], [0.0, 5.0, 3.0], [0.0, 0.0, 1.0]]
    )


def test_ndc_samples_from_near_to_one(write_meta, open_meta):
    cameras = open_meta(write_meta(), near=0.25, pixel_center=0.5).cameras
    assert (cameras.ndc, cameras.near, cameras.far) == (True, 0.25, 1.0)
    assert cameras.pixel_center == 0.5


def test_without_ndc_sampling_spans_the_bounds(write_meta, open_meta):
    capture = open_meta(write_meta(), ndc=False, near=7.0)  # As in the original: no effect.
    scale = 1 / (0.75 * 3.0)
    np.testing.assert_allclose(capture.cameras.near, 0.9 * 3.0 * scale, rtol=1e-6)
    np.testing.assert_allclose(capture.cameras.far, 22.0 * scale, rtol=1e-6)


def test_everything_is_in_host_memory_as_float32(write_meta, open_meta):
    capture = open_meta(write_meta())
    cameras = capture.cameras
    leaves = [cameras.cam_to_world, cameras.intrinsics, cameras.near, cameras.far]
    for leaf in [*leaves, capture.bounds, capture.spiral]:
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype == np.float32


def test_png_and_jpeg_can_be_mixed(write_meta, open_meta, pixels):
    path = write_meta()
    file = path / "frames_2" / "frame0002cam01.png"
    file.unlink()
    Image.fromarray(pixels(2, 1)).save(file.with_suffix(".jpg"), quality=100, subsampling=0)
    loaded = open_meta(path).load(2).images[1].astype(int)
    assert np.abs(loaded - pixels(2, 1)).mean() < 4


def test_other_files_are_ignored(write_meta, open_meta):
    path = write_meta()
    for name in ("._frame0001cam00.png", "frame0001cam00.png.part", "notes.txt"):
        (path / "frames_2" / name).write_text("no image")
    assert open_meta(path).camera_names == ("cam00", "cam01", "cam02")


def test_little_falls_has_as_many_cameras_as_its_file(write_little_falls, open_little_falls):
    capture = open_little_falls(write_little_falls(num_cams=4), holdout=[3], near=0.0)
    assert capture.camera_names == ("cam00", "cam01", "cam02", "cam03")
    np.testing.assert_array_equal(
        capture.cameras.intrinsics[2], [[22.0, 0.0, 8.5], [0.0, 21.0, 5.5], [0.0, 0.0, 1.0]]
    )
    np.testing.assert_allclose(capture.bounds, np.tile([4 / 3, 40 / 3], (4, 1)), rtol=1e-6)


def test_little_falls_intrinsics_are_divided_by_the_factor(
    write_little_falls, open_little_falls, pixels
):
    path = write_little_falls(num_cams=2)
    (path / "frames_2").mkdir()
    for cam in range(2):
        Image.fromarray(pixels(1, cam)).save(path / "frames_2" / f"frame0001cam{cam:02d}.png")
    cameras = open_little_falls(path, factor=2).cameras
    np.testing.assert_array_equal(
        cameras.intrinsics[1], [[10.5, 0.0, 4.25], [0.0, 10.5, 2.75], [0.0, 0.0, 1.0]]
    )


def test_little_falls_cameras_look_along_opencv_forward(write_little_falls, open_little_falls):
    """Identity rotations in OpenCV's axes: x to the right stays so, y down becomes y up."""
    capture = open_little_falls(write_little_falls(num_cams=2), holdout=[1])
    step = capture.cameras.cam_to_world[1, :, 3] - capture.cameras.cam_to_world[0, :, 3]
    np.testing.assert_allclose(step, np.array([300.0, -20.0, 0.0]) / (0.75 * 500), rtol=1e-5)
    np.testing.assert_allclose(capture.cameras.cam_to_world[0, :, :3], np.eye(3), atol=1e-6)


def test_sixteen_bits_are_rounded(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, (5, 7, 3), np.uint16)
    values[0, 0] = 0, 128, 129  # 128.5 is half a step of 8 bits.
    write_png(tmp_path / "a.png", values, color_type=2)
    image, notes = images.decode((tmp_path / "a.png").read_bytes(), "a.png")
    np.testing.assert_array_equal(image, np.rint(values / 257.0))
    assert notes == (images.SIXTEEN_BITS,)


def test_sixteen_bit_grey_has_equal_channels(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, (5, 7, 1), np.uint16)
    write_png(tmp_path / "a.png", values, color_type=0)
    image, _ = images.decode((tmp_path / "a.png").read_bytes(), "a.png")
    np.testing.assert_array_equal(image, np.rint(values / 257.0) * np.ones(3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_opaque_alpha_is_dropped(tmp_path, dtype):
    top = np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, top, (5, 7, 4), dtype, endpoint=True)
    values[..., 3] = top
    write_png(tmp_path / "a.png", values, color_type=6)
    image, notes = images.decode((tmp_path / "a.png").read_bytes(), "a.png")
    np.testing.assert_array_equal(image, np.rint(values[..., :3] / (top / 255)))
    assert images.OPAQUE_ALPHA in notes


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "P with alpha", "CMYK"])
def test_other_modes_are_converted_and_said(tmp_path, pixels, mode):
    rgb = Image.fromarray(pixels(1, 1))
    mode, _, alpha = mode.partition(" with ")
    stored = rgb.convert("L").convert(mode) if mode in ("1", "LA") else rgb.convert(mode)
    file = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    stored.save(file, **({"transparency": bytes([255] * 256)} if alpha else {}))
    image, notes = images.decode(file.read_bytes(), file.name)
    assert image.dtype == np.uint8
    assert image.shape == (6, 8, 3)
    assert notes
    if mode != "CMYK":
        np.testing.assert_array_equal(image, np.asarray(stored.convert("RGB")))


def test_conversions_are_said_once(write_meta, open_meta, pixels, warnings_logged):
    path = write_meta()
    for frame in (1, 2):
        for cam in (0, 1):
            grey = Image.fromarray(pixels(frame, cam)).convert("L")
            grey.save(path / "frames_2" / f"frame{frame:04d}cam{cam:02d}.png")
    capture = open_meta(path)
    for frame in capture.frames:
        capture.load(frame)
    assert len(warnings_logged) == 1
    assert "frame0001cam00.png is grey" in warnings_logged[0]


def test_ordinary_images_are_not_worth_a_word(write_meta, open_meta, warnings_logged):
    open_meta(write_meta()).load(1)
    assert warnings_logged == []


def test_same_shape_at_another_size_is_logged(write_meta, open_meta, forward_rows, warnings_logged):
    rows = forward_rows(3)
    rows[:, [4, 9]] *= 3
    open_meta(write_meta(rows=rows))
    assert len(warnings_logged) == 1  # Not once per camera.
    assert "48x36" in warnings_logged[0]
    assert "8x6" in warnings_logged[0]


def test_rounded_sizes_are_not_worth_a_word(write_meta, open_meta, forward_rows, warnings_logged):
    rows = forward_rows(3)
    rows[:, [4, 9]] = 13, 17  # 6.5 and 8.5 at factor 2.
    open_meta(write_meta(rows=rows))
    assert warnings_logged == []


def test_decoding_reads_the_whole_file(tmp_path, pixels):
    """A header alone is not an image, wherever the file is cut."""
    whole = io.BytesIO()
    Image.fromarray(pixels(0, 0, 32, 32)).save(whole, "PNG")
    data = whole.getvalue()
    end_of_pixels = data.index(b"IEND") - 4
    for length in range(0, end_of_pixels, 97):
        (tmp_path / "cut.png").write_bytes(data[:length])
        with pytest.raises(InvError, match=r"cut\.png"):
            images.decode((tmp_path / "cut.png").read_bytes(), "cut.png")


def test_truncated_sixteen_bit_image_is_refused(tmp_path):
    """By Pillow, before OpenCV sees it: not every version of OpenCV minds."""
    values = np.random.default_rng(0).integers(0, 2**16, (32, 32, 3), np.uint16)
    write_png(tmp_path / "a.png", values, color_type=2)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(InvError, match="image file is truncated"):
        images.decode((tmp_path / "a.png").read_bytes(), "a.png")
