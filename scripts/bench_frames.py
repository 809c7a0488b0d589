r"""Frames from scratch: several at once against one by one with its rays on all devices.

    python scripts/bench_frames.py                                 # 2, 4, 8 at once
    python scripts/bench_frames.py --at_once=4,16 --kinds=image --size=640x360
    XLA_FLAGS=--xla_force_host_platform_device_count=2 python scripts/bench_frames.py

One JSON line per kind (`nerf`: the network and the rays of `configs/demo.py`; `image`: all pixels
of a picture) and number of frames. `frame_steps_per_second` is steps of all frames together;
`gain` is that over one by one, both timed in turn.
"""

import sys
import time
from typing import Any

import jax
import ml_collections
import numpy as np
from absl import app, flags, logging
from benching import rows, setups

from configs import demo
from inv_jax.assembly import build
from inv_jax.cost import trial
from inv_jax.data.prefetch import Prepared
from inv_jax.data.segments import Segment
from inv_jax.train import lanes, resume
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Phase
from inv_jax.train.segment import SegmentInTraining
from inv_jax.types import InvError

_ALL = ("nerf", "image")

_KINDS = flags.DEFINE_list("kinds", list(_ALL), f"Some of {', '.join(_ALL)}.")
_AT_ONCE = flags.DEFINE_list("at_once", ["2", "4", "8"], "Multiples of the devices.")
_SIZE = flags.DEFINE_string("size", "160x90", "Of the picture, WIDTHxHEIGHT.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of timing.")
_STEPS = flags.DEFINE_integer("steps", 0, "Steps in a timed dispatch; 0: 4, or 100 on a GPU.")

_STEPS_OF_A_FRAME = 10**6  # more than are timed


class Group:
    """Frames in training, as the trainer has them."""

    def __init__(self, config: ml_collections.ConfigDict, size: tuple[int, int, int], count: int):
        devices, model = Devices(), build.model(config)
        stepper = build.stepper(config, model, devices, frames_at_once=count)
        frame, cameras = trial.random_views(*size)
        self._lanes = lanes.make(stepper, devices, cameras, range(count), count)
        self.rows_per_pass = stepper.rows_per_pass
        roles = model.roles.all
        phase = Phase("scratch", 1, _STEPS_OF_A_FRAME, roles, SCRATCH, keep_optimizer=False)
        self._frames = []
        for number in range(count):
            alone = range(number, number + 1)
            segment = Segment(alone, alone, alone)
            state, step, seconds = resume.begin(
                model.init(jax.random.key(number)),
                None,
                None,
                phase=phase,
                optimizer=stepper.optimizer,
                key=jax.random.key(number),
            )
            placed = self._lanes.place(frame.replace(index=np.int32(number)))
            state = self._lanes.begin(number, state)
            prepared = Prepared(segment, placed, lambda _: np.zeros(0), 0.0)  # nobody looks at it
            self._frames.append(SegmentInTraining(prepared, phase, state, step, seconds))
        self._lanes.run(self._frames, 1)

    def seconds(self, steps: int) -> float:
        """Seconds of a step of one frame."""
        start = time.perf_counter()
        self._lanes.run(self._frames, steps)
        return (time.perf_counter() - start) / steps / len(self._frames)


def config_of(kind: str) -> tuple[ml_collections.ConfigDict, tuple[int, int, int]]:
    """A config, and cameras, height and width of a frame."""
    if kind == "nerf":
        config = demo.get_config()
        procedural = config.data.procedural
        return config, (procedural.num_cams - 1, procedural.height, procedural.width)
    width, height = map(int, _SIZE.value.split("x"))
    return setups.image_config(train__rows_per_step=height * width), (1, height, width)


def main(_: list[str]) -> None:
    devices, counts = Devices(), [int(count) for count in _AT_ONCE.value]
    for count in counts:
        devices.share(count, "--at_once")
    steps = _STEPS.value or (4 if devices.platform == "cpu" else 100)
    for kind in _KINDS.value:
        config, size = config_of(kind)
        alone = Group(config, size, 1)
        for count in counts:
            group = Group(config, size, count)
            times = rows.in_turn(
                _ROUNDS.value,
                alone=lambda alone=alone: alone.seconds(steps),
                group=lambda group=group: group.seconds(steps),
            )
            row: dict[str, Any] = {
                "case": f"{kind}, {count} at once",
                "frames_at_once": count,
                "rows_per_pass": group.rows_per_pass,
                **times["group"].row(),
                **times["alone"].row("alone_seconds"),
                "frame_steps_per_second": 1.0 / times["group"].median,
                "gain": times["alone"].median / times["group"].median,
            }
            rows.emit("frames", devices, row)


flags.register_validator(
    "kinds", lambda kinds: set(kinds) <= set(_ALL), f"want some of {', '.join(_ALL)}"
)

if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main)
    except InvError as error:
        print(f"bench_frames: {error}", file=sys.stderr)
        sys.exit(2)
