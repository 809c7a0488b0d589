"""One player shows every result: evaluation, video and viewer all go through it."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from inv_jax.player.paths import CameraPath
from inv_jax.render.view import View, ViewRenderer
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, Params


class FrameSource(Protocol):
    """Where stored frames come from: a run's `FrameStore`, or anything with the same calls."""

    def frames(self) -> list[int]:
        """Numbers of the frames there are, in order."""
        ...

    def params(self, frame: int) -> Params:
        """All params of one frame."""
        ...

    def color_id(self, frame: int) -> int:
        """Names its color params: the frame in which they trained last."""
        ...


class FromMain:
    """A source that the main process reads for all processes of a job."""

    def __init__(self, source: FrameSource | None, devices: Devices):
        """`source` is asked by the main process alone; the others may have None."""
        self._source, self._devices = source, devices

    def frames(self) -> list[int]:
        # Not `self._source.frames`: where the source is None, nobody calls it.
        return self._devices.from_main(lambda: self._source.frames())  # noqa: PLW0108

    def params(self, frame: int) -> Params:
        return self._devices.from_main(lambda: self._source.params(frame))

    def color_id(self, frame: int) -> int:
        return self._devices.from_main(lambda: self._source.color_id(frame))


class Player:
    """Any stored frame from any camera."""

    def __init__(self, source: FrameSource, renderer: ViewRenderer):
        """Plays `source` with the model that `renderer` was made for."""
        self._source, self._renderer = source, renderer
        self._placed: tuple[int, Any] | None = None

    @property
    def frames(self) -> list[int]:
        return self._source.frames()

    def view(self, frame: int, cameras: Cameras, cam: int) -> View:
        """Renders a frame from one of the given cameras."""
        if self._placed is None or self._placed[0] != frame:
            self._placed = frame, self._renderer.params(self._source.params(frame))
        return self._renderer.render(self._placed[1], cameras, cam)

    def look(
        self,
        params: Params,
        cameras: Cameras,
        cam: int,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> View:
        """Renders any params from one of the given cameras.

        Raises:
          Stopped: If `should_stop`, which is asked between parts of the picture, said so.
        """
        return self._renderer.render(self._renderer.params(params), cameras, cam, should_stop)

    def along(self, path: CameraPath) -> Iterator[View]:
        """The pictures of a path, one after another."""
        for picture, frame in enumerate(path.frames):
            yield self.view(frame, path.cameras, picture)
