"""Where pictures go: a video file, a folder of PNGs, a window."""

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from inv_jax.player import video
from inv_jax.types import InvError


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture, whose time it is, and whether an earlier frame stands in for a lost one."""

    frame: int
    pixels: UInt8[np.ndarray, "h w 3"]
    is_held: bool


def to_file(path: pathlib.Path, pictures: Iterable[Picture], fps: float) -> None:
    """Writes `.mp4` and `.gif`, or a folder of `frame_NNNNN.png` for any other name.

    A video holds a picture for the time of lost frames; the folder has no files for them.
    """
    if path.suffix.lower() in (".mp4", ".gif"):
        video.write_video(path, (picture.pixels for picture in pictures), fps)
        return
    if path.suffix:
        raise InvError(f"--out={path}: expected NAME.mp4, NAME.gif or the name of a folder")
    path.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        if not picture.is_held:
            Image.fromarray(picture.pixels).save(path / f"frame_{picture.frame:05d}.png")


class Window:
    """A window, used by the main thread only; pictures come to it as they are made."""

    def __init__(self, title: str):
        """Opens it.

        Raises:
          InvError: If there is no screen to open it on.
        """
        try:
            import tkinter  # a part of Python that some systems leave out

            from PIL import ImageTk
        except ImportError as error:
            raise InvError(f"--window: {error.name} is missing; use --out=video.mp4") from error
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise InvError("--window: there is no screen; use --out=video.mp4") from error
        self._photo: Any = None
        self._make_photo = ImageTk.PhotoImage
        self._title = title
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self.is_closed = False
        self._root.protocol("WM_DELETE_WINDOW", self._close)

    def show(self, pictures: Iterator[Picture]) -> None:
        """Shows pictures until they end, or the window is closed."""
        for picture in pictures:
            self._photo = self._make_photo(Image.fromarray(picture.pixels))
            self._label.configure(image=self._photo)
            lost = " (lost; an earlier one is shown)" if picture.is_held else ""
            self._root.title(f"{self._title}: frame {picture.frame}{lost}")
            if self.should_close():
                break
        self._root.destroy()

    def should_close(self) -> bool:
        """Whether the viewer has closed it; keeps it alive while there is no new picture."""
        if not self.is_closed:
            self._root.update()
        return self.is_closed

    def _close(self) -> None:
        self.is_closed = True
