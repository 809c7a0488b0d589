"""The NeRF network: a trunk behind a positional encoding, a density head and a color head.

| layer | shape, at width W | original's name |
| --- | --- | --- |
| `layer_0` .. `layer_{depth - 1}` | encoded position -> W -> ... -> W, ReLU | `pts_linears.i` |
| `density` | W -> 1 | `alpha_linear` |
| `feature` | W -> W, linear | `feature_linear` |
| `views_0` | W + encoded direction -> W / 2, ReLU | `views_linears.0` |
| `rgb` | W / 2 -> 3 | `rgb_linear` |

Each layer lives under its role, `structure` or `color`: the first `structure_layers` of the
trunk, and the heads named in `structure_heads`, are structure; everything else is color.

Within the network the points of all rays are one axis of a matrix, the features the other; which
is which depends on the hardware (`models/linear.py`).
"""

import functools
import math

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, random
from jaxtyping import Float

from inv_jax import params as params_lib
from inv_jax.models import encodings, linear
from inv_jax.types import InvError

HEADS = ("density", "feature", "views_0", "rgb")

Layer = tuple[Array, Array]  # kernel (in, out), bias (out,)


def _uniform_fan_in(fan_in: int):
    """uniform(-1/sqrt(fan_in), 1/sqrt(fan_in)), what INV starts weights and biases from."""
    bound = 1.0 / math.sqrt(fan_in)

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return random.uniform(key, shape, dtype, -bound, bound)

    return init


class Linear(nn.Module):
    """Holds a layer's kernel and bias. How to apply them is the network's business."""

    shape: tuple[int, int]

    @nn.compact
    def __call__(self) -> Layer:
        init = _uniform_fan_in(self.shape[0])
        return self.param("kernel", init, self.shape), self.param("bias", init, self.shape[1:])


class LayerBank(nn.Module):
    """The layers of one role."""

    shapes: dict[str, tuple[int, int]]

    @nn.compact
    def __call__(self) -> dict[str, Layer]:
        return {name: Linear(shape, name=name)() for name, shape in self.shapes.items()}


class NerfMlp(nn.Module):
    """Raw density and raw color at points along rays.

    Attributes:
      width: Hidden features.
      depth: Layers of the trunk.
      structure_layers: How many of them, from the input, have the role `structure`.
      structure_heads: Names of heads that are `structure` too.
      skip_layer: The encoded position is concatenated in front of the hidden vector after this
        layer (4 in NeRF); None, as in INV, for no skip.
      position_octaves: Octaves of the position's encoding.
      direction_octaves: Octaves of the direction's encoding.
      precision: Of the matrix products, see `models/linear.py`. Encodings, biases and results are
        float32 in all of them.

    Raises:
      InvError: On construction, for settings that contradict each other.
    """

    width: int = 256
    depth: int = 8
    structure_layers: int = 3
    structure_heads: tuple[str, ...] = ()
    skip_layer: int | None = None
    position_octaves: int = 10
    direction_octaves: int = 4
    precision: str = "float32"

    def __post_init__(self):
        linear.check_precision(self.precision)
        if self.width < 2 or self.depth < 1:
            raise InvError(
                f"model.width={self.width}, model.depth={self.depth}: "
                "the network wants a width of 2 and a depth of 1 at least"
            )
        if not 0 <= self.structure_layers <= self.depth:
            raise InvError(
                f"model.structure_layers={self.structure_layers}: the network has "
                f"{self.depth} trunk layers (model.depth); choose 0 to {self.depth}"
            )
        if self.position_octaves < 0 or self.direction_octaves < 0:
            raise InvError(
                f"model.position_octaves={self.position_octaves}, "
                f"model.direction_octaves={self.direction_octaves}: want 0 or more"
            )
        unknown = sorted(set(self.structure_heads) - set(HEADS))
        if unknown:
            raise InvError(
                f"model.structure_heads names {', '.join(unknown)}; heads are {', '.join(HEADS)}"
            )
        if self.skip_layer is not None and not 0 <= self.skip_layer < self.depth - 1:
            raise InvError(
                f"model.skip_layer={self.skip_layer}: a skip enters the layer after it, so it "
                f"must lie in 0 .. {self.depth - 2} (model.depth - 2), or be None"
            )
        super().__post_init__()

    def layer_shapes(self) -> dict[str, tuple[int, int]]:
        """Kernel shape (in, out) of every layer, in the order of the computation."""
        encoded = encodings.octave_features(3, self.position_octaves)
        directions = encodings.octave_features(3, self.direction_octaves)
        shapes = {}
        for i in range(self.depth):
            features = encoded if i == 0 else self.width
            if self.skip_layer is not None and i == self.skip_layer + 1:
                features += encoded
            shapes[f"layer_{i}"] = (features, self.width)
        shapes["density"] = (self.width, 1)
        shapes["feature"] = (self.width, self.width)
        shapes["views_0"] = (self.width + directions, self.width // 2)
        shapes["rgb"] = (self.width // 2, 3)
        return shapes

    def layer_role(self, name: str) -> str:
        """The role of a layer."""
        trunk = [f"layer_{i}" for i in range(self.structure_layers)]
        is_structure = name in trunk or name in self.structure_heads
        return params_lib.STRUCTURE if is_structure else params_lib.COLOR

    @nn.compact
    def layers(self) -> dict[str, Layer]:
        """All layers, by name; to make fresh ones nothing has to go through them."""
        layers: dict[str, Layer] = {}
        for role in (params_lib.STRUCTURE, params_lib.COLOR):
            shapes = {k: v for k, v in self.layer_shapes().items() if self.layer_role(k) == role}
            if shapes:
                layers |= LayerBank(shapes, name=role)()
        return layers

    def __call__(
        self, positions: Float[Array, "*b S 3"], viewdirs: Float[Array, "*b 3"]
    ) -> tuple[Float[Array, "*b S"], Float[Array, "*b S 3"]]:
        """Evaluates S points on each ray.

        Args:
          positions: Points, in the space the field lives in.
          viewdirs: One unit direction per ray.

        Returns:
          Raw density (before ReLU) and raw color (before the sigmoid).
        """
        layers = self.layers()
        axis = linear.features_axis()
        matmul = functools.partial(linear.matmul, axis=axis, precision=self.precision)
        affine = lambda x, layer: linear.add_bias(matmul(x, layer[0]), layer[1], axis)  # noqa: E731
        relu = functools.partial(linear.relu, precision=self.precision)

        encoded = encodings.octaves(linear.as_matrix(positions, axis), self.position_octaves, axis)
        hidden = encoded
        for i in range(self.depth):
            kernel, bias = layers[f"layer_{i}"]
            if self.skip_layer is not None and i == self.skip_layer + 1:
                # The product with [encoded, hidden], without building the concatenation.
                first, rest = jnp.split(kernel, [encoded.shape[axis]])
                mixed = matmul(encoded, first) + matmul(hidden, rest)
                hidden = relu(linear.add_bias(mixed, bias, axis))
            else:
                hidden = relu(affine(hidden, (kernel, bias)))

        density = affine(hidden, layers["density"])
        # `feature` has no activation, so it and the part of `views_0` that reads it are one
        # linear map: multiplying the two kernels first saves the W x W product at every point.
        feature_kernel, feature_bias = layers["feature"]
        views_kernel, views_bias = layers["views_0"]
        # Not two slices: XLA's CPU backend (jax 0.10.2) crashes on the sum that is their gradient.
        from_feature, from_direction = jnp.split(views_kernel, [self.width])
        mixed = matmul(hidden, linear.matmul(feature_kernel, from_feature, 1, "float32"))
        bias = linear.matmul(feature_bias[None], from_feature, 1, "float32")[0] + views_bias
        # The direction is the ray's: its part is computed once a ray, not once a sample.
        directions = encodings.octaves(
            linear.as_matrix(viewdirs, axis), self.direction_octaves, axis
        )
        per_ray = linear.matmul(directions, from_direction, axis, "float32")
        per_ray = linear.add_bias(per_ray, bias, axis)
        hidden = relu(mixed + jnp.repeat(per_ray, positions.shape[-2], axis=1 - axis))
        rgb = affine(hidden, layers["rgb"])
        return density.reshape(positions.shape[:-1]), linear.as_points(
            rgb, positions.shape[:-1], axis
        )
