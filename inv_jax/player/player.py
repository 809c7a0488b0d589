"""One player shows every result: evaluation, video and viewer all go through it."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from inv_jax.data.segments import time_in
from inv_jax.player.paths import CameraPath
from inv_jax.render.view import View, ViewRenderer
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, Params


class FrameSource(Protocol):
    """Where stored frames come from: a run's `FrameStore`, or anything with the same calls."""

    def frames(self) -> list[int]:
        """Numbers of the frames that can be shown, in order."""
        ...

    def segment(self, frame: int) -> range:
        """The frames that share a frame's params: itself alone, or those of its clip."""
        ...

    def params(self, frame: int) -> Params:
        """All params of a frame's segment."""
        ...

    def color_id(self, frame: int) -> int:
        """Names its shared params: the frame in which they trained last."""
        ...


def segments_of(source: FrameSource) -> list[range]:
    """The segments of all frames, in order."""
    return sorted({source.segment(frame) for frame in source.frames()}, key=lambda one: one[0])


class FromMain:
    """A source that the main process reads for all processes of a job."""

    def __init__(self, source: FrameSource | None, devices: Devices):
        """`source` is asked by the main process alone; the others may have None."""
        self._source, self._devices = source, devices

    def frames(self) -> list[int]:
        # Not `self._source.frames`: where the source is None, nobody calls it.
        return self._devices.from_main(lambda: self._source.frames())  # noqa: PLW0108

    def segment(self, frame: int) -> range:
        return self._devices.from_main(lambda: self._source.segment(frame))

    def params(self, frame: int) -> Params:
        return self._devices.from_main(lambda: self._source.params(frame))

    def color_id(self, frame: int) -> int:
        return self._devices.from_main(lambda: self._source.color_id(frame))


class Player:
    """Any stored frame from any camera."""

    def __init__(self, source: FrameSource, renderer: ViewRenderer):
        """Plays `source` with the model that `renderer` was made for."""
        self._source, self._renderer = source, renderer
        self._placed: tuple[range, Any] | None = None
        self._looked: tuple[Params, Any] | None = None  # params as given, and placed

    @property
    def frames(self) -> list[int]:
        return self._source.frames()

    def view(self, frame: int, cameras: Cameras, cam: int) -> View:
        """Renders a frame from one of the given cameras."""
        if self._placed is None or frame not in self._placed[0]:
            segment = self._source.segment(frame)
            self._placed = segment, self._renderer.params(self._source.params(frame))
        segment, placed = self._placed
        return self._renderer.render(placed, cameras, cam, time_in(segment, frame))

    def look(
        self,
        params: Params,
        cameras: Cameras,
        cam: int,
        time: float = 0.0,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> View:
        """Renders any params from one of the given cameras, at a time of their segment.

        The same object again, as of a clip's next frame, is not placed anew.

        Raises:
          Stopped: If `should_stop`, which is asked between parts of the picture, said so.
        """
        if self._looked is None or self._looked[0] is not params:
            self._looked = params, self._renderer.params(params)
        return self._renderer.render(self._looked[1], cameras, cam, time, should_stop)

    def along(self, path: CameraPath) -> Iterator[View]:
        """The pictures of a path, one after another."""
        for picture, frame in enumerate(path.frames):
            yield self.view(frame, path.cameras, picture)
