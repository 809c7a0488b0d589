"""What fits the hardware: rows at a time, and whether a config's training fits at all."""

import math

import ml_collections
from absl import logging

from inv_jax.cost import count as count_lib
from inv_jax.cost import machine, memory
from inv_jax.data import capture, sequence
from inv_jax.models.base import Model
from inv_jax.models.bricks import SIDE
from inv_jax.settings import procedural
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import Plan
from inv_jax.types import InvError

Config = ml_collections.ConfigDict

Shape = tuple[int, int, int]  # of a segment's training views: how many, height, width
PROCEDURAL = "procedural"  # a layout that is rendered, then read as n3dv
# What a capture is taken for that nobody has opened: META's, at half size.
_GUESSED = procedural.settings()
_CACHE_BYTES = 2 * 2**20  # activations of one layer that a CPU's caches hold


def fitting_pass(
    model: Model, devices: Devices, share: int, wanted: int = 0, frames: int = 1
) -> int:
    """Rows through the network at once on a device.

    Args:
      model: The model.
      devices: Its devices.
      share: Rows that each of them takes of a step.
      wanted: The config's; 0 chooses what the hardware likes.
      frames: That train on a device at once, a pass of each beside the others; 0 is 1.

    Raises:
      InvError: If `wanted` does not divide the share.
    """
    if wanted:
        if wanted < 1 or share % min(wanted, share):
            raise InvError(
                f"train.rows_per_pass={wanted} does not divide the {share} {model.rows.name}s that "
                f"each of {devices.count} devices takes of a step; choose a divisor, or 0 for "
                "automatic"
            )
        return min(wanted, share)
    most = max(_fitting_rows(model, devices, is_training=True, frames=frames), 1)
    best = max(n for n in range(1, share + 1) if share % n == 0 and n <= most)
    if best * 4 <= min(most, share):
        logging.warning(
            "the %d %ss of a device divide badly: passes of %d where %d would fit; a power of two "
            "for train.rows_per_step is faster",
            *(share, model.rows.name, best, most),
        )
    return best


def rows_per_chunk(config: Config, model: Model, devices: Devices) -> int:
    """Rows rendered at once on a device: the config's, or what fits the hardware.

    A view of a single row has no more than that (`PendingView`).
    """
    wanted = config.eval.rows_per_chunk
    if wanted < 0:
        raise InvError(f"eval.rows_per_chunk={wanted}; want 1 or more, or 0 for automatic")
    return wanted or max(64, min(16384, _fitting_rows(model, devices)))


def planned_frames(config: Config) -> range:
    """The frames where the capture is not there yet: those of the procedural one, or a guess."""
    c = config.data
    count = c.num_frames or c.get("procedural", _GUESSED)["num_frames"]
    return range(c.first_frame, c.first_frame + count)


def planned_segment(config: Config) -> Shape:
    """Likewise the training views of its longest segment, height, width."""
    c, planned = config.data, config.data.get("procedural", _GUESSED)
    most = len(planned_frames(config))
    length = config.train.segment_frames
    length = min(length, most) if length > 0 else most
    trained = -(-length // max(1, c.frame_step))
    cams = planned["num_cams"] - len(c.get("holdout", ()))
    return max(1, cams) * trained, planned["height"], planned["width"]


def memory_need(
    config: Config,
    training: Plan,
    model: Model,
    devices: Devices,
    rows_per_pass: int,
    size: Shape,
) -> memory.Memory:
    """Bytes that training needs on a device; arguments as of `check_memory`."""
    return memory.of_training(
        model,
        phases=[phase.roles for phase in training.phases],
        rows_per_pass=rows_per_pass,
        rows_per_chunk=min(
            rows_per_chunk(config, model, devices), model.rows.in_view(size[1], size[2])
        ),
        segment_pixels=0 if _is_on_disk(config, devices, size) else math.prod(size),
        frames=max(1, config.train.frames_at_once // devices.count),
        ahead=1 if _is_one_of_several(config) else 0,  # where all frames are one, none follows
        itemsize=count_lib.itemsize(model.precision),
        has_regions=training.wants_masks,
        has_hardness=config.train.get("hard_share", 0.0) > 0.0,
        has_best=config.train.get("best_every", 0) + config.train.get("best_last", 0) > 0,
    )


def _is_one_of_several(config: Config) -> bool:
    """Whether other segments follow the first one."""
    length = config.train.segment_frames
    return length > 0 or (length == 0 and config.data.layout == sequence.LAYOUT)


def _is_on_disk(config: Config, devices: Devices, size: Shape) -> bool:
    """Whether the pixels of a clip lie in a file (`Capture.load_clip`) that a CPU device reads."""
    is_clip = config.train.segment_frames != 1
    return devices.platform == "cpu" and is_clip and 3 * math.prod(size) >= capture.LARGE


def available_memory(devices: Devices) -> int | None:
    """Bytes that JAX may use of each device; None where nobody knows."""
    if devices.platform != "cpu":
        return devices.memory_bytes()
    host = machine.host_memory()
    return None if host is None else host[1] // len(devices.local_places)


def check_memory(
    config: Config,
    training: Plan,
    model: Model,
    devices: Devices,
    rows_per_pass: int,
    size: Shape,
) -> None:
    """Refuses a config whose training cannot fit.

    Args:
      config: The config.
      training: Its plan.
      model: Its model.
      devices: What it is to run on.
      rows_per_pass: As the stepper has it.
      size: Of a segment.

    Raises:
      InvError: With the setting to change.
    """
    at_once = config.train.frames_at_once
    share = max(1, config.train.rows_per_step // (devices.count if at_once == 1 else 1))
    chunk = min(rows_per_chunk(config, model, devices), model.rows.in_view(size[1], size[2]))
    if config.data.layout == PROCEDURAL:
        pixels = memory.Lever("data.procedural.height", size[1], "pixels", power=2)
    else:
        pixels = memory.Lever("data.factor", config.data.factor, "pixels", power=-2)
    fewer = [
        memory.Lever("train.frames_at_once", at_once, part, 1)
        for part in ("activations", "moments", "pixels")
        if at_once > devices.count
    ]
    memory.check_fits(
        memory_need(config, training, model, devices, rows_per_pass, size),
        available_memory(devices),
        [
            *fewer,
            pixels,
            memory.Lever("train.rows_per_pass", rows_per_pass, "activations", 1, divides=share),
            memory.Lever("eval.rows_per_chunk", chunk, "image", power=1),
            *(
                memory.Lever(f"model.{name}", config.model[name], "state", power=2)
                for name in ("width", "channels", "lower_width")
                if name in config.model and "levels" not in config.model  # nearly all is grids
            ),
            *_nodes_of(config),
        ],
        where=f"on each of {devices.describe()}",
    )


def _nodes_of(config: Config) -> list[memory.Lever]:
    """What nearly all params of a field on grids follow: its bricks, or else its levels."""
    if "levels" not in config.model:
        return []
    nodes, slots = config.model.levels, 0
    if config.model.bricks:
        slots = config.model.bricks[3]
    dense = sum(map(math.prod, zip(nodes[::3], nodes[1::3], nodes[2::3], strict=True)))
    if slots * SIDE**3 > dense:
        return [memory.Lever("the last number of model.bricks", slots, "state", power=1)]
    return [memory.Lever("the nodes of all model.levels", dense, "state", power=1)]


def _fitting_rows(
    model: Model, devices: Devices, *, is_training: bool = False, frames: int = 1
) -> int:
    """Rows whose activations fit a CPU's caches, layer by layer, or a quarter of a GPU, all."""
    networks = model.work(model.roles.all).networks
    limit = devices.memory_bytes()
    if devices.platform == "cpu" or limit is None:
        return _CACHE_BYTES // (4 * max(network.widest for network in networks))
    layers = max(len(network.maps) for network in networks) + 1 if is_training else 5
    return limit // 4 // max(frames, 1) // (4 * layers * sum(n.widest for n in networks))
