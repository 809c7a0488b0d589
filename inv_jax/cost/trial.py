"""The real training step, on random pixels: compiled as the trainer does it, and timed.

What the pixels show and what the params are does not matter to the time.
"""

import dataclasses
import math
import operator
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inv_jax import params as params_lib
from inv_jax.sampling import rays
from inv_jax.train.mixture import PLAIN, Mix, Mixture
from inv_jax.train.parallel import Devices
from inv_jax.train.state import Means, TrainState
from inv_jax.train.step import Stepper
from inv_jax.types import Cameras, Views

_STEPS = 10_000  # that a segment is taken to have
_MOVING = 0.1  # part of a random frame's pixels that move, where they have regions


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What the compiler says of a program; NaN where it does not.

    Attributes:
      flops: Of the program that runs. Products that a GPU's library does are not among them.
      written_flops: Of the program as it was before it was optimised.
      bytes_accessed: Read and written by the operations of the program that runs.
      temp_bytes: What it needs on a device besides arguments and results.
    """

    flops: float
    written_flops: float
    bytes_accessed: float
    temp_bytes: float


def analysis(lowered: Any, compiled: Any) -> Compiled:
    """The compiler's own cost and memory analysis. It counts the body of a loop once."""
    costs = _costs(compiled)
    return Compiled(
        flops=float(costs.get("flops", math.nan)),
        written_flops=float(_costs(lowered).get("flops", math.nan)),
        bytes_accessed=float(costs.get("bytes accessed", math.nan)),
        temp_bytes=_temp_bytes(compiled),
    )


def _costs(program: Any) -> Mapping[str, float]:
    try:
        costs = program.cost_analysis() or {}
    except (NotImplementedError, jax.errors.JaxRuntimeError):  # as of one that came from a cache
        return {}
    return (costs[0] if costs else {}) if isinstance(costs, list) else costs


def _temp_bytes(compiled: Any) -> float:
    try:
        return float(getattr(compiled.memory_analysis(), "temp_size_in_bytes", math.nan))
    except (NotImplementedError, jax.errors.JaxRuntimeError):
        return math.nan


def random_views(
    num_views: int, height: int, width: int, *, has_regions: bool = False
) -> tuple[Views, Cameras]:
    """A segment of random pixels, and cameras side by side, on the host: each view has its own."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_views, height, width, 3), dtype=np.uint8)
    poses = np.tile(np.eye(3, 4, dtype=np.float32)[None], (num_views, 1, 1))
    poses[:, 0, 3] = np.linspace(-0.5, 0.5, num_views)
    one = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float32)
    host: Any = lambda x, dtype=np.float32: np.asarray(x, dtype)  # noqa: E731
    cameras = Cameras(
        cam_to_world=host(poses),
        intrinsics=host(np.tile(one[None], (num_views, 1, 1))),
        near=host(0.0),
        far=host(1.0),
        height=height,
        width=width,
        ndc=True,
    )
    regions = rays.regions(rng.random(images.shape[:3]) < _MOVING) if has_regions else None
    views = Views(
        images=host(images, np.uint8),
        index=host(1, np.int32),
        times=host(np.arange(num_views) / num_views),
        regions=regions,
    )
    return views, cameras


class Trial:
    """The step of one phase, on all devices, ready to run."""

    def __init__(
        self,
        stepper: Stepper,
        devices: Devices,
        roles: tuple[str, ...],
        frame: Any,
        cameras: Any,
        mixture: Mixture = PLAIN,
    ):
        """Compiles the step.

        Args:
          stepper: See `build.stepper`.
          devices: Its devices.
          roles: What trains.
          frame: A `Views`, placed on the devices.
          cameras: Its `Cameras`, likewise.
          mixture: What its steps are made of, as often as over a whole frame; the frame knows its
            regions if that asks for them.
        """
        self._devices, self._frame, self._cameras = devices, frame, cameras
        self._mixture = mixture
        params = stepper.model.init(jax.random.key(0))
        trainable, frozen = params_lib.halves(params, roles)
        state = TrainState(
            trainable=trainable,
            frozen=frozen,
            opt_state=stepper.optimizer.init(trainable),
            key=jax.random.key(1),
            step=jnp.int32(0),
            means=Means.start(),
            total=jnp.int32(_STEPS),
            mix=_anywhere(mixture),
            memory=stepper.memory(math.prod(frame.images.shape[-4:-1])),
        )
        self._state = devices.replicate(state)
        start = time.perf_counter()
        mapped = devices.map(stepper.run, donate=(0,))
        lowered = mapped.lower(self._state, frame, cameras, self._count(0))
        self._compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - start
        self.analysis = analysis(lowered, self._compiled)
        # What `pmap` compiles ahead takes this process's arrays only if there is no other process.
        self._run = self._compiled if jax.process_count() == 1 else mapped

    def seconds(self, num_steps: int) -> float:
        """Seconds of one step, of so many in a dispatch."""
        count = self._count(num_steps)
        jax.block_until_ready((self._state, count))
        start = time.perf_counter()
        self._state = jax.block_until_ready(
            self._run(self._state, self._frame, self._cameras, count)
        )
        return (time.perf_counter() - start) / max(num_steps, 1)

    def mean_seconds(self, num_steps: int) -> float:
        """Seconds of one step, each kind measured alone and weighed by how often it is taken.

        Of a few steps that are drawn, nobody knows the kinds.

        Args:
          num_steps: Of each kind.
        """
        seconds = self.kind_seconds(num_steps).values()
        return sum(map(operator.mul, self._mixture.shares(), seconds))

    def kind_seconds(self, num_steps: int) -> dict[str, float]:
        """Seconds of one step of each kind, of so many in a dispatch of the same program."""
        kinds, found = self._mixture.kinds, {}
        for one, kind in enumerate(kinds):
            only = tuple(float(other == one) for other in range(len(kinds)))
            self._draw_from(Mixture(kinds, ((1.0, only),)))
            found[kind.name] = self.seconds(num_steps)
        self._draw_from(self._mixture)
        return found

    def _draw_from(self, mixture: Mixture) -> None:
        """Changes the chances: these are data of the program, which stays as it is."""
        mix = _anywhere(mixture)
        if mix is not None:
            self._state = self._state.replace(mix=self._devices.replicate(mix))

    def program_text(self) -> str:
        """The compiled program, as the compiler writes it down; empty if it does not."""
        try:
            return self._compiled.as_text() or ""
        except (NotImplementedError, jax.errors.JaxRuntimeError):
            return ""

    def _count(self, num_steps: int) -> Any:
        return self._devices.replicate(np.int32(num_steps))


def _anywhere(mixture: Mixture) -> Mix | None:
    """A mixture as a step takes it, with the same chances in all of a frame."""
    return None if mixture == PLAIN else mixture.even().over(1)
