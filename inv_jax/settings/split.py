"""Split INV: a static and a dynamic radiance field, and how the steps of a frame are shared out."""

from ml_collections import ConfigDict


def model() -> ConfigDict:
    """Fields of `model` beside those of one field."""
    model = ConfigDict()
    model.blend = "softmax"  # of static and dynamic: 'softmax', as the original, or 'density'
    return model


def settings() -> ConfigDict:
    """Fields of `split`."""
    split = ConfigDict()
    split.pretraining = False  # the static field alone, on static rays, train.steps in every frame
    # (pretraining_static)
    split.dynamic_first = 0.5  # Warm-Up: part of a frame's steps, at its beginning, on dynamic rays
    split.both_last = 0.25  # ... at its end: steps on all rays train both fields, else the dynamic
    split.static_chance = 0.5  # ... after the beginning: steps on static rays, of the static field
    split.dynamic_later = 0.0  # ... of the steps then left: on dynamic rays, among those on all
    split.dynamic_chance = 0.75  # Structure Transfer: steps on dynamic rays; the others see all
    split.empty_rgb = 0.01  # weight of the dynamic field's colors on static pixels, on all rays
    split.empty_acc = 0.003  # ... and of its opacity
    return split
