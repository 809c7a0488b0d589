"""Makes the README's pictures anew, from a run of the demo and from the procedural scene.

python scripts/make_figures.py --workdir=runs/demo
"""

import pathlib
import sys

import numpy as np
from absl import app, flags
from PIL import Image

from inv_jax.data import synthetic
from inv_jax.eval import pictures
from inv_jax.types import InvError

_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "A finished run of the demo.")
_FOLDER = pathlib.Path(__file__).parent / "figures"
_TIMES = (8.0, 48.0, 88.0)  # frames of the scene, which repeats after 120


def theatre() -> np.ndarray:
    """The scene at three times, from the held-out camera."""
    rig = synthetic.make_rig(9, 240, 320)
    views = [
        synthetic.render_view(rig.cam_to_world[0], rig.intrinsics(), 240, 320, time)
        for time in _TIMES
    ]
    return np.concatenate([pictures.to_uint8(view.rgb) for view in views], axis=1)


def newest_comparison(workdir: pathlib.Path) -> np.ndarray:
    """The picture of the run's last frame beside ground truth and error."""
    found = sorted((workdir / "nerf_esti" / "compare").glob("cam*_frame*.png"))
    if not found:
        raise InvError(f"no pictures in {workdir}/nerf_esti/compare; run the demo first")
    return np.asarray(Image.open(found[-1]).convert("RGB"))


def main(_: list[str]) -> None:
    pictures.write_png(_FOLDER / "theatre.png", theatre())
    pictures.write_png(_FOLDER / "demo.png", newest_comparison(pathlib.Path(_WORKDIR.value)))


if __name__ == "__main__":
    try:
        app.run(main)
    except InvError as error:
        print(f"make_figures: {error}", file=sys.stderr)
        sys.exit(2)
