"""The window, with a toolkit that draws nothing; pictures are those of outputs by name."""

import sys
import types

import numpy as np
import pytest
from PIL import ImageTk

from inv_jax.stream import screens
from inv_jax.stream.screens import Picture

_LEVELS = {"rgb": 10, "static": 20, "dynamic": 30}


class Widget:
    """Keeps what it was made with."""

    def __init__(self, parent=None, **options):
        self.options, self.keys = options, {}
        if isinstance(parent, Toolkit):
            parent.root = self

    def configure(self, **options):
        self.options |= options

    def bind(self, key, call):
        self.keys[key] = call

    def __getattr__(self, name):  # pack, grid, title, update, ...
        return lambda *_, **__: None


class Variable:
    def __init__(self, parent):
        self.value = ""

    def get(self):
        return self.value

    def set(self, value):
        self.value = value


class Toolkit(types.ModuleType):
    """What the window uses of tkinter; `press` and `click` are the viewer."""

    TclError = RuntimeError
    StringVar, Frame = Variable, Widget

    def __init__(self):
        super().__init__("tkinter")
        self.buttons, self.label, self.root = {}, None, None

    def Tk(self):
        self.root = Widget()
        return self.root

    def Label(self, parent):
        self.label = Widget()
        return self.label

    def Radiobutton(self, parent, *, text, value, variable, command, **options):
        self.buttons[text] = lambda: (variable.set(value), command())
        return Widget()

    @property
    def level(self):
        """Of the picture that is shown."""
        return int(self.label.options["image"][0, 0, 0])


@pytest.fixture
def toolkit(monkeypatch):
    made = Toolkit()
    monkeypatch.setitem(sys.modules, "tkinter", made)
    monkeypatch.setattr(ImageTk, "PhotoImage", np.asarray)
    return made


def _pictures(count, output="rgb", choices=tuple(_LEVELS)):
    """Pictures of one level each, growing by 1 from frame to frame."""
    for frame in range(count):
        yield Picture(
            frame=frame,
            is_held=False,
            paint=lambda name, frame=frame: np.full((2, 2, 3), _LEVELS[name] + frame, np.uint8),
            output=output,
            choices=choices,
        )


def _watched(toolkit, pictures, do):
    """The pictures, and what `do` of each place says is done once it is shown."""
    for place, picture in enumerate(pictures):
        yield picture
        do.get(place, lambda: None)()


def test_layers_are_switched_while_it_plays(toolkit):
    levels = []
    look = lambda: levels.append(toolkit.level)  # noqa: E731

    def click():
        look()
        toolkit.buttons["dynamic"]()
        look()  # the same frame: one need not wait for the next

    do = {0: click, 1: look, 2: lambda: (toolkit.root.keys["2"](None), look())}
    do[3] = lambda: (look(), toolkit.root.keys["<Left>"](None), look())
    do[4] = lambda: (toolkit.root.keys["<Left>"](None), look())
    screens.Window("title").show(_watched(toolkit, _pictures(5), do))
    assert levels == [10, 30, 31, 22, 23, 13, 34]
    assert list(toolkit.buttons) == ["blend", "static", "dynamic"]


def test_it_begins_with_what_was_asked_for(toolkit):
    screens.Window("title").show(_pictures(1, output="static"))
    assert toolkit.level == 20


def test_a_plain_video_has_no_choice(toolkit):
    screens.Window("title").show(_pictures(1, choices=()))
    assert toolkit.level == 10
    assert not toolkit.buttons
    assert not toolkit.root.keys
