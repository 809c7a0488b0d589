"""The color network of a fast field: it sees what a ray has seen, once, not each of its samples."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from inv_jax.models import linear
from inv_jax.types import Params


@dataclasses.dataclass(frozen=True)
class DeferredColor:
    """rgb = sigmoid(f[:3] + network(f, direction)), with ReLU between its layers.

    Attributes:
      features: Of a ray, f; 3 at least.
      width: Of the hidden layers.
      depth: How many these are.
      precision: See `Model.precision`.
    """

    features: int
    width: int
    depth: int
    precision: str

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Kernels, fan-in and fan-out, by layer, in their order."""
        sizes = [self.features + 3, *[self.width] * self.depth, 3]
        return {f"color_{i}": shape for i, shape in enumerate(itertools.pairwise(sizes))}

    def init(self, key: PRNGKeyArray) -> Params:
        """Layers as He et al. 2015."""
        layers = {}
        for i, (name, (fan_in, fan_out)) in enumerate(self.shapes().items()):
            gain = 2.0 if i < self.depth else 1.0
            normal = jax.random.normal(jax.random.fold_in(key, i), (fan_in, fan_out))
            layers[name] = {"kernel": normal * np.sqrt(gain / fan_in), "bias": jnp.zeros(fan_out)}
        return layers

    def __call__(
        self, layers: Params, features: Float[Array, "n F"], viewdirs: Float[Array, "n 3"]
    ) -> Float[Array, "n 3"]:
        """The colors of rays that have seen these features from these directions."""
        axis = linear.features_axis()
        hidden = linear.as_matrix(jnp.concatenate([features, viewdirs], axis=-1), axis)
        if self.precision == "bfloat16":
            # On the way back XLA's CPU backend would make one of a product and of the transpose
            # behind it, and it has no such product in bfloat16.
            hidden = lax.optimization_barrier(hidden)
        names = list(self.shapes())
        for name in names:
            layer = layers[name]
            hidden = linear.matmul(hidden, layer["kernel"], axis, self.precision)
            hidden = linear.add_bias(hidden, layer["bias"], axis)
            if name != names[-1]:
                hidden = linear.relu(hidden, self.precision)
        return jax.nn.sigmoid(features[:, :3] + linear.as_points(hidden, features.shape[:1], axis))
