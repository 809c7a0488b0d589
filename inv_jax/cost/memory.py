"""Bytes of a run on each device, by arithmetic; a run that cannot fit is refused.

What XLA needs for a pass depends on how it fuses and schedules. Its own figures, on a CPU
(`memory_analysis`), lie between 0.8 and 1.2 times those here for networks from 64 to 256 wide,
unfrozen and frozen, float32 and bfloat16; the tests hold them to a factor of 1.5. Of a whole step
on grids with bricks they lie between 0.9 and 1.0 times those here, from 1 to 7 million params.
"""

import dataclasses
import math
from collections.abc import Sequence

from inv_jax.cost import count, words
from inv_jax.models.base import Model
from inv_jax.types import InvError

_WORKING = 5  # arrays of the largest size that a backward pass has beside what it kept
_RENDERING = 2.2  # ... and rendering: the layer's input and output
_COLOR_BYTES, _PLACE_BYTES = 3, 4  # of a pixel: its color; its place in an order
_HARDNESS_BYTES = 2  # ... its last error, and its change
# Copies of params that move (bricks): old and new ones, moments and gradients, side by side.
_MOVING = 7
_TOLERANCE = 1.25  # refused is what needs more than this times what there is: the count is rough


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device, by what they are for."""

    params: int
    gradients: int
    moments: int
    pixels: int  # of frames in training, and of the next ones, which are sent meanwhile
    activations: int  # of a pass of rays, forward and backward
    image: int  # activations of a chunk of a rendered image

    @property
    def state(self) -> int:
        """What goes by the number of params."""
        return self.params + self.gradients + self.moments

    @property
    def total(self) -> int:
        """A chunk of an image is rendered between steps, not beside one."""
        return self.state + self.pixels + max(self.activations, self.image)


def of_training(
    model: Model,
    *,
    phases: Sequence[tuple[str, ...]],
    rows_per_pass: int,
    rows_per_chunk: int,
    segment_pixels: int,
    frames: int = 1,
    ahead: int = 1,
    itemsize: int = 4,
    has_regions: bool = False,
    has_hardness: bool = False,
    has_best: bool = False,
) -> Memory:
    """What training needs on a device.

    Args:
      model: The model.
      phases: The roles that train in each; the largest need counts.
      rows_per_pass: Rows through the network at once.
      rows_per_chunk: Rows rendered at once.
      segment_pixels: Pixels of all training views in a segment.
      frames: Frames that train on the device at once.
      ahead: Segments that lie beside each one in training: the next one, or none.
      itemsize: Bytes of a number in the network.
      has_regions: Whether pixels are sorted by what they show (`types.Regions`).
      has_hardness: Whether it is known how hard each is, and by how much it changed.
      has_best: Whether the best params so far are kept beside those in training.
    """
    pixel_bytes = _COLOR_BYTES + _PLACE_BYTES * has_regions + _HARDNESS_BYTES * has_hardness
    stacks = 1 + (frames > 1)  # a step of several works on a stack of copies
    trainable = frames * max(count.num_params(model, roles) for roles in phases)
    moving = frames * max(count.num_moving(model, roles) for roles in phases)
    return Memory(
        params=(stacks + has_best) * frames * count.num_bytes(model),
        gradients=2 * 4 * trainable + _MOVING * 4 * moving,  # of a pass, and their sum
        moments=2 * 4 * stacks * trainable,
        pixels=(ahead + stacks) * pixel_bytes * frames * segment_pixels,
        activations=frames
        * max(activations(model, rows_per_pass, roles, itemsize) for roles in phases),
        image=round(_RENDERING * rows_per_chunk * _widest(model, ()) * itemsize),
    )


def activations(model: Model, rays: int, roles: tuple[str, ...], itemsize: int = 4) -> int:
    """Bytes that a pass of rays takes, forward and backward: what is kept, and what is in work."""
    kept = sum(
        network.points * (itemsize * network.kept + network.kept_bytes)
        for network in model.work(roles).networks
    )
    return rays * (kept + _WORKING * _widest(model, roles) * itemsize)


def _widest(model: Model, roles: tuple[str, ...]) -> int:
    return max(network.widest for network in model.work(roles).networks)


@dataclasses.dataclass(frozen=True)
class Lever:
    """A setting that a part of the need follows.

    Attributes:
      name: The setting.
      value: What it is now.
      part: Of `Memory`, one of its fields or `state`.
      power: The part grows as `value ** power`.
      divides: A number that the setting has to divide; 0: none.
    """

    name: str
    value: int
    part: str
    power: int
    divides: int = 0

    @property
    def verb(self) -> str:
        return "raise" if self.power < 0 else "lower"

    def fitting(self, factor: float) -> int | None:
        """The nearest value that makes the part `factor` times as large or less; None if none."""
        if factor <= 0:
            return None
        wanted = self.value * factor ** (1 / self.power)
        if self.power < 0:
            return math.ceil(wanted - 1e-9)
        most = math.floor(wanted + 1e-9)
        if self.divides and most >= 1:
            most = max(n for n in range(1, most + 1) if self.divides % n == 0)
        return most if most >= 1 else None


def check_fits(
    memory: Memory, available: int | None, levers: Sequence[Lever], *, where: str = "on the device"
) -> None:
    """Refuses a run that cannot fit, before it begins.

    Args:
      memory: Its need on one device.
      available: Bytes there; None, if nobody knows, lets everything pass.
      levers: Settings that a part of the need follows.
      where: For the message.

    Raises:
      InvError: With the need, what there is, the setting to change and about what to.
    """
    if available is None or memory.total <= _TOLERANCE * available:
        return
    parts = [(_shrink(memory, lever.part, available), lever) for lever in levers]
    # A part that leaves room for all others when it shrinks; the largest first.
    parts.sort(key=lambda item: -getattr(memory, item[1].part))
    advice = [
        f"{lever.verb} {lever.name} from {lever.value} to about {value}"
        for factor, lever in parts
        if (value := lever.fitting(factor)) is not None and value != lever.value
    ]
    fallback = " and ".join(lever.name for _, lever in parts[:2])
    raise InvError(
        f"training needs about {words.size(memory.total)} {where}, where {words.size(available)} "
        "are free: "
        + (advice[0] if advice else f"no single setting helps; change {fallback}, or the devices")
    )


def _shrink(memory: Memory, part: str, available: int) -> float:
    """The factor by which a part would have to shrink for all to fit; 0 or less: it cannot."""
    size = getattr(memory, part)
    if part == "state":
        return (available - (memory.total - size)) / size if size else 0.0
    # A pass and a chunk are never there together: what has to fit without is the other one.
    without = dataclasses.replace(memory, **{part: 0}).total
    if part in ("activations", "image"):
        without = dataclasses.replace(memory, activations=0, image=0).total
        other = memory.activations + memory.image - size
        if without + other > available:
            return 0.0
    return (available - without) / size if size else 0.0
