"""The demo: the procedural capture, Warm-Up and Structure Transfer, on two CPU cores.

inv-jax train  --config=configs/demo.py --workdir=runs/demo
inv-jax render --workdir=runs/demo --path=spiral --out=runs/demo/spiral.mp4
"""

import ml_collections

from configs import base


def get_config() -> ml_collections.ConfigDict:
    """A small network on small images; everything else is as in the real runs."""
    config = base.get_config(layout="procedural")
    config.data.update(factor=1, num_frames=9, near=0.2)
    config.data.procedural.update(height=72, width=96, num_cams=9, num_frames=120)
    # Few steps want large ones, and less noise; small images have no use for high octaves.
    config.model.update(
        width=64, position_octaves=6, coarse_samples=24, fine_samples=32, density_noise=0.1
    )
    config.train.update(
        warmup_steps=300,
        steps=120,
        freeze_frame=5,
        rows_per_step=512,
        learning_rate=5e-3,
        lr_decay_steps=800,
        save_every=0,
    )
    config.render.fps = 10.0
    return config
