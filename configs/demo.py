"""The demo: the procedural capture, Warm-Up and Structure Transfer, on two CPU cores.

    inv-jax train  --config=configs/demo.py --workdir=runs/demo
    inv-jax render --workdir=runs/demo --path=spiral --out=runs/demo/spiral.mp4
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """A small network on small images; everything else is as in the real runs."""
    config = base.get_config()
    with config.unlocked():
        config.data.update(layout="procedural", factor=1, num_frames=10, near=0.0)
        config.data.procedural.update(height=72, width=96, num_cams=9, num_frames=120)
        config.model.update(width=64, coarse_samples=32, fine_samples=32)
        config.train.update(
            steps=200, warmup_steps=300, freeze_frame=4, rays_per_step=512, save_every=0
        )
    return config
