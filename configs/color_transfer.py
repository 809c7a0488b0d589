r"""Color transfer in 3D: the color layers of scene A, frozen; structure layers trained on scene B.

    inv-jax train --config=configs/base.py --config.data.path=A --workdir=runs/a
    inv-jax train --config=configs/color_transfer.py:50k --config.data.path=B \
        --config.train.init_from=runs/a --workdir=runs/b_in_colors_of_a

Any run can be A (its newest frame, or `--config.train.init_frame=N`); the model's settings have to
be A's. B may have other cameras and another image size. One frame of B is trained, and its first
one (`--config.data.first_frame`). The pictures are in `nerf_esti/`, named by the steps they were
made after; `--config.train.image_cams=0,3` chooses their cameras.

    name    steps  pictures after
    50k    50,000  0, 500, 5,000, 50,000 steps; cut_roasted_beef in the colors of flame_salmon_1
    500       500  0, 100, 250, 500 steps; flame_salmon_1 in the colors of cut_roasted_beef

These are the published numbers of steps; `configs/n3dv.py` has the two scenes themselves, as
`cut_roasted_beef_color_transfer` and `flame_salmon_1_color_transfer`. As in the original, the
structure layers start from A's too; `--config.train.init_roles=color` starts them at random. What
is seen after 0 steps is then A's frame seen by B's cameras, or noise in A's colors.
"""

import ml_collections

from configs import n3dv

_SETTINGS: dict[str, n3dv.Overrides] = {
    "50k": {"train.steps": 50_000, "train.image_steps": (0, 500, 5_000, 50_000)},
    "500": {"train.steps": 500, "train.image_steps": (0, 100, 250, 500)},
}


def table() -> dict[str, n3dv.Overrides]:
    """All settings by name, each as what it puts over `base`."""
    frozen = {"train.freeze_frame": 1, "data.num_frames": 1}  # frozen from any first frame on
    return {name: {**frozen, **settings} for name, settings in _SETTINGS.items()}


def get_config(name: str = "50k") -> ml_collections.ConfigDict:
    """The setting of this name."""
    return n3dv.over_base(name, table())
