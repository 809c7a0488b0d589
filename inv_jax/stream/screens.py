"""Where pictures go: a video file, a folder of PNGs, a window."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from inv_jax.player import outputs, video
from inv_jax.types import InvError

_BUTTONS = 3  # in a row: colors, depth and opacity of a layer


Pixels = UInt8[np.ndarray, "h w 3"]


@dataclasses.dataclass(frozen=True)
class Picture:
    """What is seen of a frame.

    Attributes:
      frame: Whose time it is.
      is_held: Whether an earlier frame stands in for a lost one.
      paint: The picture of an output (`player/outputs.py`).
      output: The one that is shown unless another is chosen.
      choices: Outputs to choose from; empty where there is no choice.
    """

    frame: int
    is_held: bool
    paint: Callable[[str], Pixels]
    output: str = "rgb"
    choices: Sequence[str] = ()

    @property
    def pixels(self) -> Pixels:
        return self.paint(self.output)


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
    """A window, used by the main thread only; pictures come to it as they are made.

    Where there is a choice of what is shown of them, it has a button for each, and so have the
    keys 1 to 9; the arrows go to the one before or behind.
    """

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
        self._tkinter, self._make_photo = tkinter, ImageTk.PhotoImage
        self._title = title
        self._label = tkinter.Label(self._root)
        self._label.pack()
        self._shown: Picture | None = None
        self._choices: Sequence[str] = ()
        self._chosen = tkinter.StringVar(self._root)
        self.is_closed = False
        self._root.protocol("WM_DELETE_WINDOW", self._close)

    def show(self, pictures: Iterator[Picture]) -> None:
        """Shows pictures until they end, or the window is closed."""
        for picture in pictures:
            self._shown = picture
            if not self._chosen.get():
                self._chosen.set(picture.output)
                self._offer(picture.choices)
            self._draw()
            lost = " (lost; an earlier one is shown)" if picture.is_held else ""
            self._root.title(f"{self._title}: frame {picture.frame}{lost}")
            if self.should_close():
                break
        self._root.destroy()

    def _draw(self) -> None:
        """Shows what is chosen of the present picture."""
        assert self._shown is not None
        self._photo = self._make_photo(Image.fromarray(self._shown.paint(self._chosen.get())))
        self._label.configure(image=self._photo)

    def _offer(self, choices: Sequence[str]) -> None:
        """Makes the buttons, and the keys; none of either where there is no choice."""
        if not choices:
            return
        self._choices = choices
        bar = self._tkinter.Frame(self._root)
        bar.pack()
        for number, output in enumerate(choices):
            button = self._tkinter.Radiobutton(
                bar,
                text=outputs.label(output),
                value=output,
                variable=self._chosen,
                command=self._draw,
                indicatoron=False,
                padx=6,
            )
            button.grid(row=number // _BUTTONS, column=number % _BUTTONS, sticky="ew")
            if number < 9:
                self._root.bind(str(number + 1), lambda _, output=output: self._choose(output))
        self._root.bind("<Left>", lambda _: self._step(-1))
        self._root.bind("<Right>", lambda _: self._step(1))

    def _choose(self, output: str) -> None:
        self._chosen.set(output)
        self._draw()

    def _step(self, by: int) -> None:
        place = self._choices.index(self._chosen.get()) + by
        self._choose(self._choices[place % len(self._choices)])

    def should_close(self) -> bool:
        """Whether the viewer has closed it; keeps it alive while there is no new picture."""
        if not self.is_closed:
            self._root.update()
        return self.is_closed

    def _close(self) -> None:
        self.is_closed = True
