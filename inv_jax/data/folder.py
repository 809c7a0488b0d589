"""A capture as a folder of image files, with the calibration files of its layout.

The folder is listed and every image's header read when it is opened, so that a run of hours
learns at its start that frame 57 lacks a camera.
"""

import collections
import functools
import pathlib
from collections.abc import Callable, Mapping
from concurrent import futures

from inv_jax.data import frame_index, images, little_falls, n3dv
from inv_jax.data.calibration import Calibration
from inv_jax.data.source import Contents, FileSource, Making
from inv_jax.types import InvError

LAYOUTS: Mapping[str, Callable[..., Calibration]] = {
    "n3dv": n3dv.read_calibration,
    "little_falls": little_falls.read_calibration,
}

_THREADS = 8  # opening a file waits, most of all on a network's


class FolderSource(FileSource):
    """One file per frame and camera."""

    def __init__(self, files: Mapping[int, tuple[pathlib.Path, ...]]) -> None:
        self._files = files

    def read(self, frame: int, cam: int) -> bytes:
        file = self._files[frame][cam]
        try:
            return file.read_bytes()
        except OSError as error:
            raise images.broken(str(file), error) from error

    def name(self, frame: int, cam: int) -> str:
        return str(self._files[frame][cam])


def open_folder(
    path: pathlib.Path, making: Making, *, first_frame: int, num_frames: int
) -> Contents:
    """Lists the images of a capture, checks their sizes, reads its calibration.

    Args:
      path: The capture's folder; the images are in its `frames_{factor}` (1: `frames`).
      making: Layout and factors of the capture.
      first_frame: Number of the first frame, as on disk.
      num_frames: How many; 0 is all up to the last.

    Raises:
      InvError: If a frame, an image or a calibration file is missing or cannot be right.
    """
    folder = frame_index.find_folder(path, making.factor)
    index = frame_index.read_index(folder)
    frames = frame_index.select_frames(
        index, folder, first_frame=first_frame, num_frames=num_frames
    )
    height, width = common_size([file for frame in frames for file in index[frame].values()])
    calibration = LAYOUTS[making.layout](
        path, factor=making.factor, height=height, width=width, bd_factor=making.bd_factor
    )
    names = frame_index.match_cameras(
        index,
        folder,
        frames,
        num_cams=len(calibration.cam_to_world),
        source=calibration.source,
        camera_names=calibration.camera_names,
    )
    files = {frame: tuple(index[frame][name] for name in names) for frame in frames}
    return Contents(
        making=making,
        calibration=calibration,
        camera_names=names,
        frames=frames,
        height=height,
        width=width,
        images=FolderSource(files),
    )


def common_size(files: list[pathlib.Path], *, is_photo: bool = False) -> tuple[int, int]:
    """Height and width of all files, from their headers; `is_photo` as of `images.decode`."""
    read = functools.partial(images.image_size, is_photo=is_photo)
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        sizes = list(pool.map(read, files))
    (height, width), count = collections.Counter(sizes).most_common(1)[0]
    odd = sorted(
        f"{file.name} ({w}x{h})"
        for file, (h, w) in zip(files, sizes, strict=True)
        if (h, w) != (height, width)
    )
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        raise InvError(
            f"{files[0].parent} holds images of different sizes: {', '.join(odd[:3])}{more}, but "
            f"{count} are {width}x{height}; expected one size: scale them alike"
        )
    return height, width
