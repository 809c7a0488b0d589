"""The fast field: features on grids; what is 0 or () follows from the capture and the budget."""

from typing import Any

from ml_collections import ConfigDict

# Other defaults of fields that every model has.
DEFAULTS: dict[str, Any] = {
    "data.ndc": False,  # the field has a box of its own
    "train.steps": 0,
    "train.warmup_steps": 0,
    "train.freeze_frame": -1,  # behind the first three frames
    "train.rows_per_step": 0,
    "train.reset_optimizer": True,
    "train.learning_rate": 2e-2,
    "train.schedule": "geometric",
    "train.lr_decay_rate": 0.2,
    "train.b2": 0.99,
    "train.clip_norm": 1e9,
    "train.save_every": 0,
    "train.update_pull": 0.2,
}


def settings() -> ConfigDict:
    """Fields of `model`."""
    model = ConfigDict()
    model.space = ""  # 'projective': cameras that face one way; 'axes': that look inwards
    model.box = ()  # of the scene, nine numbers (geometry/boxes.py)
    model.levels = ()  # nodes of each grid, x, y and z, one after the other: 10,6,8,20,12,16
    model.bricks = ()  # of the finest level: nodes in x, y, z, bricks of 4x4x4; 0,0,0,0: none
    model.bricks_every = 128  # steps of a frame after which they go where errors are, and before
    model.features = 7  # of a node, beside its density
    model.samples = 12  # along a ray
    model.probes = 48  # look-ups of the guide along a ray
    model.guide = ()  # cells of the guide, a coarse grid of densities that samples go by
    model.guide_every = 16  # steps after which it is made anew
    model.even = 0.2  # part of the samples that the guide says nothing about
    model.width = 32  # hidden features of the color network
    model.depth = 2  # its hidden layers
    model.roughness = 1e-5  # weight of the grids' total variation
    model.edge = 0.05  # differences of neighbours below it are smoothed, those above stay
    model.density_rate = 5.0  # learning rate of densities, in train.learning_rate
    model.color_rate = 0.25  # ... of the color network
    model.precision = "float32"  # of the color network's products; 'tf32' (on GPUs), 'bfloat16'
    return model


def training() -> ConfigDict:
    """Fields of `train` beside those of every model."""
    train = ConfigDict()
    train.first_steps = 0  # of the first frame of all, which starts from nothing
    train.hard_share = 0.5  # part of a step's rays that go to pixels that were shown badly; 0: none
    train.hard_candidates = 6  # random pixels of which the worst is taken
    train.hard_change = 4.0  # error expected where a pixel changed, in that change
    return train


def budget() -> ConfigDict:
    """Fields of `fast`."""
    fast = ConfigDict()
    fast.budget = "second"  # time for a frame: 'realtime', 'second', 'best'
    return fast
