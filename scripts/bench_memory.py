r"""Memory of training on a 21-camera 1352x1014 capture, frame by frame: it must not grow.

    python scripts/bench_memory.py --frames=6
    python scripts/bench_memory.py --frames=100 --steps=1 --image=676x507

Trains few steps a frame with a small network: the pixels, which this is about, are all there, and
memory depends on neither. One JSON line per frame: `rss_bytes` is the process's memory when the
frame's row is written, `peak_bytes` its highest so far, `image_bytes` what the pixels of the
training cameras take on the first device (3 bytes each, for one frame or two). The last line has
the whole series in MiB and `growth_bytes_per_frame`, the slope of a straight line through all
frames but the first `--skip`, while memory fills, and the last three, when no frame follows any
more; compare it with `frame_bytes`. On a GPU `device_peak_bytes` is
the device's own count.

The capture is the procedural one, made first if it is not there: its first frame is rendered (some
minutes on two cores) and stands in for those that follow.
"""

import os
import pathlib
import resource
import tempfile

import jax
import numpy as np
from absl import app, flags, logging
from benching import rows, setups, theatre

from inv_jax.assembly import build, keeping
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices

_FRAMES = flags.DEFINE_integer("frames", 6, "Frames to train.")
_STEPS = flags.DEFINE_integer("steps", 2, "Steps a frame.")
_SKIP = flags.DEFINE_integer("skip", 0, "Frames before the slope; 0: a fifth, at least 3.")

_LAST = 3  # frames that have fewer behind them in the pipeline


def resident_bytes() -> int:
    """Memory of this process now (Linux)."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def image_bytes() -> int:
    """Bytes of all uint8 images on the first device."""
    device = jax.local_devices()[0]
    arrays = [array for array in jax.live_arrays() if array.dtype == "uint8" and array.ndim == 5]
    parts = [s.data for array in arrays for s in array.addressable_shards if s.device == device]
    # A part is an array of its own, that lives as long, in the same place.
    return sum({part.unsafe_buffer_pointer(): part.nbytes for part in parts}.values())


class _Measured(Journal):
    """Notes memory when a frame's row is written."""

    def __init__(self, workdir: pathlib.Path):
        super().__init__(workdir)
        self.series: list[int] = []

    def write(self, row, pictures=None):
        super().write(row, pictures)
        self.series.append(resident_bytes())
        devices = Devices()
        line = {
            "case": f"frame {row['frame']}",
            "frame": row["frame"],
            "rss_bytes": self.series[-1],
            "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "image_bytes": image_bytes(),
            "device_peak_bytes": devices.peak_memory_bytes(),
        }
        rows.emit("memory_frame", devices, line)


def slope(series: list[int], skip: int) -> float:
    """Of a straight line through all but the first and last; NaN for fewer than three."""
    left = np.asarray(series[skip:-_LAST], np.float64)
    if len(left) < 3:
        return float("nan")
    return float(np.polyfit(np.arange(len(left)), left, 1)[0])


def main(_: list[str]) -> None:
    config = setups.config(
        **theatre.settings(_FRAMES.value),
        train__warmup_steps=_STEPS.value,
        train__steps=_STEPS.value,
        train__freeze_frame=3,
        train__rows_per_step=min(1024, theatre.frame_bytes() // 3),  # an image may be small
    )
    journals: list[_Measured] = []

    def journal(workdir: pathlib.Path) -> _Measured:
        journals.append(_Measured(workdir))
        return journals[-1]

    keeping.Journal = journal
    with tempfile.TemporaryDirectory() as workdir:
        trainer, close = build.trainer(config, pathlib.Path(workdir), lambda: False)
        trainer.train()
        close()
    series = journals[0].series
    skip = _SKIP.value or max(3, len(series) // 5)
    row = {
        "case": f"{len(series)} frames, {theatre.describe()}",
        "frames": len(series),
        "frame_bytes": theatre.frame_bytes(),
        "growth_bytes_per_frame": slope(series, skip),
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "device_peak_bytes": Devices().peak_memory_bytes(),
        "rss_mib": [size // 2**20 for size in series],
    }
    rows.emit("memory", Devices(), row)


if __name__ == "__main__":
    logging.set_verbosity(logging.WARNING)
    setups.default_to_tiny_network()
    app.run(main)
