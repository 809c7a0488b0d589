"""Peak memory of training on a 21-camera 1352x1014 capture, frame by frame.

    python scripts/bench_memory.py --capture=runs/theatre_full --frames=6

The capture is the procedural one, made first if it is not there: its first frame is rendered (21
views; some minutes on two CPU cores) and stands in, by hard links, for the following ones, which
have other pictures but the same bytes in memory. Few steps a frame: memory does not depend on
them. Prints one JSON line per frame: `rss` is the process's memory after the frame, `peak` its
highest so far, `image_bytes` what the training cameras' pixels take on the device, which should be
`pixels * 3`. On a GPU `device_peak` is the device's own count.
"""

import json
import os
import pathlib
import resource
import sys
import tempfile

import jax
from absl import app, flags, logging

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from configs import base  # noqa: E402
from inv_jax import build  # noqa: E402
from inv_jax.data import synthetic  # noqa: E402
from inv_jax.train import loop  # noqa: E402

_CAPTURE = flags.DEFINE_string("capture", "runs/theatre_full", "Folder of the capture.")
_FRAMES = flags.DEFINE_integer("frames", 6, "Frames to train.")
_STEPS = flags.DEFINE_integer("steps", 2, "Steps a frame.")
_HEIGHT, _WIDTH, _CAMS = 1014, 1352, 21


def make_capture(folder: pathlib.Path, frames: int) -> None:
    """Renders the first frame and links it to the numbers that follow."""
    synthetic.write_capture(
        folder,
        height=_HEIGHT,
        width=_WIDTH,
        num_cams=_CAMS,
        frames=[1],
        factor=2,
        samples_per_axis=1,
        write_masks=False,
    )
    for cam in range(_CAMS):
        first = folder / "frames_2" / f"frame0001cam{cam:02d}.png"
        for frame in range(2, frames + 1):
            copy = first.with_name(f"frame{frame:04d}cam{cam:02d}.png")
            if not copy.exists():
                os.link(first, copy)


def image_bytes() -> int:
    """Bytes of all uint8 images on the first device."""
    device = jax.local_devices()[0]
    arrays = [array for array in jax.live_arrays() if array.dtype == "uint8" and array.ndim == 5]
    return sum(
        shard.data.nbytes
        for a in arrays
        for shard in a.addressable_shards
        if shard.device == device
    )


def resident_bytes() -> int:
    """Memory of this process now (Linux)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Measured(loop.Trainer):
    """Notes memory when a frame has been evaluated, while its pixels are still in place."""

    def _evaluate(self, number, frame, params):
        row = super()._evaluate(number, frame, params)
        stats = jax.local_devices()[0].memory_stats() or {}
        line = {
            "frame": number,
            "rss_mib": resident_bytes() // 2**20,
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
            "image_bytes": image_bytes(),
            "pixels": len(self._capture.train_cams) * _HEIGHT * _WIDTH,
            "device_peak_mib": round(stats.get("peak_bytes_in_use", 0) / 2**20),
        }
        print(json.dumps(line), flush=True)
        return row


def main(_: list[str]) -> None:
    folder = pathlib.Path(_CAPTURE.value).absolute()
    make_capture(folder, _FRAMES.value)
    config = base.get_config()
    with config.unlocked():
        config.data.update(path=str(folder), factor=2, near=0.2, num_frames=_FRAMES.value)
        config.train.update(warmup_steps=_STEPS.value, steps=_STEPS.value, freeze_frame=3)
    # A held-out view at full size takes minutes on a CPU and no lasting memory: a small network
    # renders it. The pixels, which this is about, are all there.
    with config.unlocked():
        config.model.update(width=32, coarse_samples=16, fine_samples=16)
    with tempfile.TemporaryDirectory() as workdir:
        loop.Trainer = build.Trainer = _Measured
        trainer, close = build.trainer(config, pathlib.Path(workdir), lambda: False)
        trainer.train()
        close()


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    app.run(main)
