r"""Memory of training a NeRV on a clip of many frames: the clip does not count.

    python scripts/bench_clip_memory.py --frames=60
    python scripts/bench_clip_memory.py --frames=600

Trains the config for some steps on a clip of 1280x720, one picture repeated, and prints one JSON
line: `anonymous_bytes` is the most that the process had for itself (`RssAnon`, looked at 50 times a
second), `peak_bytes` the most that was resident, with the parts of the clip's temporary file that
were in use: memory that the system takes back when it needs it. To see that, run it in a group of
processes with a limit (`memory.limit_in_bytes` of cgroups, `systemd-run -p MemoryMax=3G`). Linux.
"""

import os
import pathlib
import resource
import tempfile
import threading
import time

import numpy as np
from absl import app, flags, logging
from benching import rows
from PIL import Image

from configs import nerv
from inv_jax.assembly import build
from inv_jax.train.parallel import Devices

_FRAMES = flags.DEFINE_integer("frames", 60, "Of the clip.")
_STEPS = flags.DEFINE_integer("steps", 2, "Of training.")
_SIZE = flags.DEFINE_string("size", "S", "Name of configs/nerv.py.")

_PAUSE = 0.02  # seconds between two looks


class Watch(threading.Thread):
    """Notes the most memory that the process has for itself."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        """Looks until the process ends."""
        while True:
            lines = pathlib.Path("/proc/self/status").read_text().splitlines()
            (now,) = (int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            self.most = max(self.most, 1024 * now)
            time.sleep(_PAUSE)


def write_clip(folder: pathlib.Path) -> None:
    """A picture of random colors, and links to it."""
    small = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    first = folder / "0001.png"
    Image.fromarray(small).resize((1280, 720), Image.Resampling.BICUBIC).save(first)
    for number in range(2, _FRAMES.value + 1):
        os.link(first, folder / f"{number:04d}.png")


def main(_: list[str]) -> None:
    watch = Watch()
    watch.start()
    with tempfile.TemporaryDirectory() as folder:
        clip, workdir = (pathlib.Path(folder) / name for name in ("clip", "run"))
        clip.mkdir()
        write_clip(clip)
        config = nerv.get_config(_SIZE.value)
        with config.unlocked():
            config.data.update(path=str(clip), num_frames=0, test_step=_FRAMES.value)
            config.train.update(epochs=0, steps=_STEPS.value, warmup_steps=_STEPS.value)
        trainer, close = build.trainer(config, workdir, lambda: False)
        trainer.train()
        close()
    row = {
        "case": f"NeRV-{_SIZE.value}, {_FRAMES.value} frames of 1280x720",
        "clip_bytes": 3 * 1280 * 720 * _FRAMES.value,
        "anonymous_bytes": watch.most,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    rows.emit("clip_memory", Devices(), row)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
