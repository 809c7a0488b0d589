"""What a NeRF computes for a ray: the linear maps of both networks, and what is kept of them."""

from inv_jax.models import encodings
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.work import Map, Network, Work

_POINT_FLOPS = (70, 100)  # noise, compositing, sorting, drawing: a point, forward and backward
_POINT_FLOATS = (12, 20)  # ... and float32 values written and read
_RAY_FLOATS = 2 * 11  # a ray's fields, written and read
_COLOR_MAPS = 3  # the last maps of a network: into the color head, the direction's part, out of it


def work(
    mlp: NerfMlp, samples: tuple[int, int], *fields: tuple[str, ...], is_training: bool
) -> Work:
    """What the networks do.

    Args:
      mlp: Of each.
      samples: Points of a ray that the coarse and the fine network of a field see.
      *fields: What trains of each field.
      is_training: Whether anything trains: an image shows no color of the coarse networks, so
        that none is computed.
    """
    networks = [
        _network(mlp, points, roles, has_color=is_training or is_fine)
        for points, is_fine in zip(samples, (False, True), strict=True)
        for roles in fields
    ]
    return Work(networks=tuple(networks), row_floats=_RAY_FLOATS)


def _network(mlp: NerfMlp, points: int, roles: tuple[str, ...], *, has_color: bool) -> Network:
    maps, ways = _maps(mlp, points, roles), 2 if roles else 1
    kept, kept_bytes = _kept(mlp, roles)
    return Network(
        points=points,
        maps=tuple(maps if has_color else maps[:-_COLOR_MAPS]),
        encoded=encodings.octave_features(3, mlp.position_octaves),
        point_flops=sum(_POINT_FLOPS[:ways]) + 3 * mlp.position_octaves,
        point_floats=sum(_POINT_FLOATS[:ways]),
        kept=kept,
        kept_bytes=kept_bytes,
        folded=(_head(mlp, roles),) if has_color else (),
    )


def _maps(mlp: NerfMlp, points: int, roles: tuple[str, ...]) -> list[Map]:
    """The maps of one network, in order. `feature` and `views_0` meet the points as one."""
    shapes = mlp.layer_shapes()
    trains = {name: mlp.layer_role(name) in roles for name in shapes}
    half = mlp.width // 2
    encoded = encodings.octave_features(3, mlp.position_octaves)
    maps, below = [], False
    for i in range(mlp.depth):
        name, from_skip = f"layer_{i}", mlp.skip_layer is not None and i == mlp.skip_layer + 1
        if i == 0 or from_skip:  # the encoded position has no gradient
            maps.append(Map(points, encoded, mlp.width, i == 0, trains[name], False))
        if i > 0:
            maps.append(Map(points, mlp.width, mlp.width, True, trains[name], below))
        below = below or trains[name]
    maps.append(Map(points, mlp.width, 1, False, trains["density"], below))
    head = trains["feature"] or trains["views_0"]
    maps.append(Map(points, mlp.width, half, True, head, below))
    directions = encodings.octave_features(3, mlp.direction_octaves)
    maps.append(Map(1, directions, half, False, trains["views_0"], False))
    maps.append(Map(points, half, 3, False, trains["rgb"], below or head))
    return maps


def _head(mlp: NerfMlp, roles: tuple[str, ...]) -> Map:
    """The kernel of the color's path: `feature` times the rows of `views_0` that read it."""
    feature, views = (mlp.layer_role(name) in roles for name in ("feature", "views_0"))
    return Map(mlp.width, mlp.width, mlp.width // 2, False, views, feature)


def _kept(mlp: NerfMlp, roles: tuple[str, ...]) -> tuple[int, int]:
    """What a point keeps for the way back: numbers, and bytes of masks.

    The input of every kernel that trains, and of every other ReLU that a gradient goes through a
    mask, a byte a number.
    """
    trains = {name: mlp.layer_role(name) in roles for name in mlp.layer_shapes()}
    head = trains["feature"] or trains["views_0"]
    encoded = encodings.octave_features(3, mlp.position_octaves)
    reads_encoded = [0] if mlp.skip_layer is None else [0, mlp.skip_layer + 1]
    kept = encoded if any(trains[f"layer_{i}"] for i in reads_encoded) else 0
    masks, below = 0, False
    for i in range(mlp.depth):
        below = below or trains[f"layer_{i}"]
        is_read = head or trains["density"] if i + 1 == mlp.depth else trains[f"layer_{i + 1}"]
        kept += mlp.width if is_read else 0
        masks += mlp.width if below and not is_read else 0
    if trains["rgb"]:
        return kept + mlp.width // 2, masks
    return kept, masks + (mlp.width // 2 if below or head else 0)
