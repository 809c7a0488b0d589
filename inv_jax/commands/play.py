"""`inv-jax play`: a neural video from a run, a file or a web server, and how well it came through.

    inv-jax play mine.inv --window
    inv-jax play https://HOST/concert --live --out=concert.mp4
    inv-jax play runs/split --window --layer=dynamic

Where several fields are blended, the window shows any of them while it plays (`stream/screens.py`).
"""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Iterator

from absl import flags

from inv_jax.assembly import playback as playback_lib
from inv_jax.assembly import sizing
from inv_jax.codec.header import Header
from inv_jax.commands.stop import Stop
from inv_jax.player import outputs, paths
from inv_jax.player.outputs import Painter
from inv_jax.player.player import FromMain, Player
from inv_jax.render.view import View, ViewRenderer
from inv_jax.stream import opening, screens
from inv_jax.stream.feed import Wanted
from inv_jax.stream.report import Report
from inv_jax.stream.screens import Picture
from inv_jax.stream.session import Session, Shown
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError, Stopped

USAGE = "RUN|FILE|FOLDER|URL [--out=video.mp4|FOLDER] [--window] [--layer=dynamic] [--live]"
POSITIONAL = "video"
REQUIRED = {"video": "give a run, an .inv file, a published folder, or the address of one"}


def define(values: flags.FlagValues, argv: list[str]) -> None:
    del argv
    flags.DEFINE_string(
        "video",
        None,
        "A run's folder or one of its textures, an .inv file, a published folder or its "
        "manifest.json; or the address of one.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out", "", "Writes a video (.mp4, .gif), or PNGs into a folder.", flag_values=values
    )
    flags.DEFINE_bool("window", False, "Shows it in a window.", flag_values=values)
    flags.DEFINE_string(
        "layer",
        "rgb",
        "What is shown, as of inv-jax render --outputs: rgb, depth, acc; where several fields are "
        "blended also static, dynamic, dynamic_acc, ...",
        flag_values=values,
    )
    flags.DEFINE_enum("path", "spiral", ["spiral", "test"], "Camera path.", flag_values=values)
    flags.DEFINE_string(
        "frames", "", "Frames, as FIRST:LAST, both included; empty: all.", flag_values=values
    )
    flags.DEFINE_integer("start", None, "Begins with this frame.", flag_values=values)
    flags.DEFINE_bool(
        "live", False, "Begins with the newest key, and follows what is added.", flag_values=values
    )
    flags.DEFINE_string(
        "level", "auto", "Quality level, by name; auto: by the bandwidth.", flag_values=values
    )
    flags.DEFINE_float("buffer", 8.0, "Seconds that are downloaded ahead.", flag_values=values)
    flags.DEFINE_float(
        "timeout", 10.0, "Seconds without a byte that fail a request.", flag_values=values
    )
    flags.DEFINE_float(
        "patience", 30.0, "Seconds of waiting for a silent publisher.", flag_values=values
    )
    flags.DEFINE_integer(
        "rows_per_chunk", 0, "Rays rendered at once; 0: fits the hardware.", flag_values=values
    )
    flags.DEFINE_string("report", "", "Writes the report to this JSON file.", flag_values=values)


def run(values: flags.FlagValues, stop: Stop) -> int:
    began = time.monotonic()
    wanted = wanted_of(values)
    feed = opening.open_feed(values.video, wanted)
    window = screens.Window(values.video) if values.window else None

    def should_stop() -> bool:  # also what keeps the window alive
        return stop() or (window is not None and window.should_close())

    has_pictures = values.out or values.window
    pictures_of = Pictures(feed.header, values, should_stop) if has_pictures else None
    stop.install()
    session = Session(
        feed,
        began=began,
        is_paced=not values.out,
        buffer_seconds=values.buffer,
        start_seconds=min(0.5, values.buffer),
        should_stop=should_stop,
    )
    with contextlib.closing(session.play()) as shown:
        if pictures_of is None:
            for _ in shown:
                pass
        elif window is not None:
            window.show(pictures_of.along(shown))
        else:
            out = pathlib.Path(values.out).expanduser().absolute()
            screens.to_file(out, pictures_of.along(shown), feed.header.frame_rate)
    _print(session.report, values.report)
    return 1 if session.report.losses else 0


def wanted_of(values: flags.FlagValues) -> Wanted:
    """What the flags ask for.

    Raises:
      InvError: If they contradict each other.
    """
    if sum((bool(values.frames), values.start is not None, values.live)) > 1:
        raise InvError("--frames, --start and --live say each where to begin; give one of them")
    if values.out and values.window:
        raise InvError("--out and --window: give one of them")
    for name in ("buffer", "timeout", "patience"):
        seconds: float = getattr(values, name)
        if not 0 < seconds < 1e6:
            raise InvError(f"--{name}={seconds}; want seconds, more than 0")
    first, last = values.start, None
    if values.frames:
        begin, _, end = values.frames.partition(":")
        try:
            first, last = int(begin), int(end or begin)
        except ValueError as error:
            raise InvError(
                f"--frames={values.frames}: expected FIRST:LAST, for example 1:30"
            ) from error
    return Wanted(
        first=first,
        last=last,
        live=values.live,
        level="" if values.level == "auto" else values.level,
        patience=values.patience,
        timeout=values.timeout,
    )


class Pictures:
    """Renders what a session shows."""

    def __init__(self, header: Header, values: flags.FlagValues, should_stop: Callable[[], bool]):
        """Makes the model; `should_stop` is asked between parts of a picture.

        Raises:
          InvError: If the video's settings do not fit together.
        """
        config, model = playback_lib.shown_by(header, values.video)
        with config.unlocked():
            config.update({"eval": {"rows_per_chunk": values.rows_per_chunk}})
        devices = Devices()
        renderer = ViewRenderer(model, devices, sizing.rows_per_chunk(config, model, devices))
        self._player = Player(FromMain(None, devices), renderer)  # it looks at what comes
        self._cameras = paths.track(header.rig, values.path).cameras
        self._painter, self._output = Painter(header.rig), values.layer
        self._should_stop = should_stop

    def along(self, shown: Iterator[Shown]) -> Iterator[Picture]:
        """Pictures, frame number t from camera t of the path; those of lost frames stand still.

        Raises:
          InvError: If they have no such layer.
        """
        picture: Picture | None = None
        for item in shown:
            if picture is None or not item.is_held:
                cam = item.source_frame % self._cameras.num_cams
                try:
                    view = self._player.look(
                        item.params, self._cameras, cam, item.time, self._should_stop
                    )
                except Stopped:
                    return
                picture = self._picture(view)
            yield dataclasses.replace(picture, frame=item.frame, is_held=item.is_held)

    def _picture(self, view: View) -> Picture:
        offered = outputs.offered(view)
        outputs.check([self._output], offered, "--layer")
        return Picture(
            frame=0,
            is_held=False,
            paint=functools.cache(lambda name: self._painter.paint(view, [name])[0]),
            output=self._output,
            choices=offered if view.layers else (),
        )


def _print(report: Report, path: str) -> None:
    print(report.table())
    if path:
        report.write(pathlib.Path(path).expanduser().absolute())
