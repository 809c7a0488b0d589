"""Videos of one camera, made here: files and folders of pictures."""

import fractions
import pathlib
from collections.abc import Callable

import av
import numpy as np
import pytest
from PIL import Image

from inv_jax.data import images2d
from inv_jax.data.capture import Capture, open_capture

_HEIGHT, _WIDTH = 24, 36


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """`picture(number, height, width)`: smooth, lopsided, of another color for each number."""

    def draw(number: int, height: int = _HEIGHT, width: int = _WIDTH) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        blue = np.full((height, width), 16 * number % 256)
        return np.stack([x * 255 / (width - 1), y * 255 / (height - 1), blue], -1).astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def write_video(picture) -> Callable[..., pathlib.Path]:
    """`write_video(path, count, ...)`: moments are 20, 70 and 130 ms apart, in turn."""

    def write(
        path: pathlib.Path,
        count: int = 20,
        *,
        codec="libx264",
        pix_fmt="yuv444p",
        rotation=0,
        **more,
    ) -> pathlib.Path:
        size = more.pop("size", (_HEIGHT, _WIDTH))
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

    return write


@pytest.fixture(scope="session")
def write_pictures(picture) -> Callable[[pathlib.Path, list[str]], pathlib.Path]:
    """`write_pictures(folder, names)`: pictures 1, 2, ... by these names."""

    def write(folder: pathlib.Path, names: list[str]) -> pathlib.Path:
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names, start=1):
            Image.fromarray(picture(number)).save(folder / name)
        return folder

    return write


@pytest.fixture(scope="session")
def open_video() -> Callable[..., Capture]:
    """`open_capture` with the settings of a single video; a test names what differs."""

    def open_it(path, *, factor=1, first_frame=1, num_frames=0, background=0.0, **more) -> Capture:
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

    return open_it


@pytest.fixture(scope="session")
def image_of() -> Callable[[Capture, int], np.ndarray]:
    """`image_of(capture, frame)`: what the camera sees."""
    return lambda capture, frame: np.asarray(capture.load(frame).images)[0]


@pytest.fixture(scope="session")
def clip(write_video, tmp_path_factory) -> pathlib.Path:
    """A file of 20 pictures: a changing rate, B-frames, key frames every 6 pictures."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mkv", crf="4", bf="2")
