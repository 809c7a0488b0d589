"""A picture as a network: from a pixel's coordinates to its color (INV, the 2D experiments).

| layer | shape, at width W | original's name |
| --- | --- | --- |
| `layer_0` | encoded coordinates -> W, activated | `first_layer` |
| `layer_1` .. `layer_{depth - 1}` | W -> W, activated | `mid_layers.{i - 1}` |
| `rgb` | W -> 3, linear | `final_layer` |

The coordinates are (y, x), 0 at the first pixel's center and 1 at the last one's, whatever the
size of the picture. The activation is a ReLU, or in a SIREN (Sitzmann et al. 2020) the sine of
`w0` times the layer's result. Colors are not clipped: the loss pulls them into [0, 1].
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.models import linear
from inv_jax.models import waves as waves_lib
from inv_jax.models.base import Model
from inv_jax.models.encodings import Encoding
from inv_jax.models.work import Map, Network, Work
from inv_jax.types import Cameras, InvError, Params, Places, Predictions, Rendering

NETWORK = "image"
ACTIVATIONS = ("relu", "siren")

_RAY_FLOATS = 2 * (2 + 3)  # coordinates and a color, written and read


@dataclasses.dataclass(frozen=True)
class ImageMlp(Model):
    """One network of one picture.

    Attributes:
      encoding: What the first layer sees of the coordinates.
      width: Hidden features.
      depth: Hidden layers; the linear one behind them is not counted.
      structure_layers: How many of them, from the input, have the role `structure`.
      structure_heads: Layers behind the hidden ones that have it too: `rgb`, or none.
      activation: `relu` or `siren`.
      w0: Of a SIREN: the frequency of every layer.
      precision: See `Model.precision`. Coordinates, encoding and colors are float32 in all.
    """

    encoding: Encoding
    width: int = 256
    depth: int = 4
    structure_layers: int = 1
    structure_heads: tuple[str, ...] = ()
    activation: str = "relu"
    w0: float = 30.0
    precision: str = "float32"  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self):
        linear.check_precision(self.precision)
        if self.width < 1 or self.depth < 1:
            raise InvError(
                f"model.width={self.width}, model.depth={self.depth}: want 1 at least, each"
            )
        if not 0 <= self.structure_layers <= self.depth:
            raise InvError(
                f"model.structure_layers={self.structure_layers}: the network has "
                f"{self.depth} hidden layers (model.depth); choose 0 to {self.depth}"
            )
        if not set(self.structure_heads) <= {"rgb"}:
            raise InvError(
                f"model.structure_heads={self.structure_heads}: an image has one head, 'rgb'"
            )
        if self.activation not in ACTIVATIONS:
            raise InvError(
                f"model.activation={self.activation!r}; choose one of {', '.join(ACTIVATIONS)}"
            )
        if not 0.0 < self.w0 <= 1e6:
            raise InvError(f"model.w0={self.w0}; want a number above 0, 30.0 to begin with")

    def layer_shapes(self) -> dict[str, tuple[int, int]]:
        """Kernel shape (in, out) of every layer, in the order of the computation."""
        fan_in = [self.encoding.features, *[self.width] * (self.depth - 1)]
        shapes = {f"layer_{i}": (features, self.width) for i, features in enumerate(fan_in)}
        return shapes | {"rgb": (self.width, 3)}

    def layer_role(self, name: str) -> str:
        """The role of a layer."""
        hidden = [f"layer_{i}" for i in range(self.structure_layers)]
        is_structure = name in hidden or name in self.structure_heads
        return params_lib.STRUCTURE if is_structure else params_lib.COLOR

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'image': ...}`, split in `structure` and `color`; uniform, as in the original.

        Biases, and kernels before a ReLU, lie within 1 / sqrt(fan_in); kernels of a SIREN as its
        paper says (section 3.2): within 1 / fan_in in front, sqrt(6 / fan_in) / w0 behind.
        """
        return _init(self, key)

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        return params_lib.Roles(own=(params_lib.STRUCTURE,), shared=(params_lib.COLOR,))

    def inputs(self, cameras: Cameras, places: Places) -> Float[Array, "*b 2"]:
        """The pixels' coordinates (y, x) in [0, 1], both ends included; cameras look alike."""
        y, x = (
            pixels.astype(jnp.float32) / max(size - 1, 1)
            for pixels, size in ((places.rows, cameras.height), (places.cols, cameras.width))
        )
        return jnp.stack([y, x], axis=-1)

    def predict(
        self,
        params: Params,
        inputs: Float[Array, "*b 2"],
        *,
        keys: Key[Array, "*b"] | None = None,
    ) -> Predictions:
        """Colors at coordinates; see `Model.predict`. The network is `image`."""
        del keys
        axis = linear.features_axis()
        layers = {
            name: params[NETWORK][self.layer_role(name)][name] for name in self.layer_shapes()
        }
        activate = functools.partial(linear.relu, precision=self.precision)
        if self.activation == "siren":
            activate = functools.partial(linear.sine, frequency=self.w0, precision=self.precision)
        hidden = self.encoding.encode(linear.as_matrix(inputs, axis), axis)
        for name, layer in layers.items():
            result = linear.matmul(hidden, layer["kernel"], axis, self.precision)
            result = linear.add_bias(result, layer["bias"], axis)
            hidden = result if name == "rgb" else activate(result)
        return {NETWORK: Rendering(rgb=linear.as_points(hidden, inputs.shape[:-1], axis))}

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`."""
        maps, below, kept, waves = [], False, 0, self.encoding.features
        for name, (fan_in, fan_out) in self.layer_shapes().items():
            trains, is_hidden = self.layer_role(name) in roles, name != "rgb"
            maps.append(Map(1, fan_in, fan_out, is_hidden, trains, below))
            kept += fan_in if trains else 0
            below = below or trains
        kept_bytes = 0
        is_wave = self.activation == "siren"
        for map_ in maps[:-1]:
            waves += is_wave * map_.fan_out * (2 if map_.is_differentiated else 1)
            if map_.is_differentiated:
                kept_bytes += map_.fan_out * (4 if is_wave else 1)
        network = Network(
            points=1,
            maps=tuple(maps),
            encoded=self.encoding.features,
            point_flops=waves_lib.FLOPS * waves,
            point_floats=0,
            kept=kept,
            kept_bytes=kept_bytes,
        )
        return Work(networks=(network,), row_floats=_RAY_FLOATS)

    def check_views(self, cameras: Cameras, num_frames: int) -> None:
        """See `Model.check_views`: it is one picture of one camera."""
        if num_frames != 1:
            raise InvError(
                f"train.segment_frames={num_frames}: model.name=image is a picture of one frame; "
                "set train.segment_frames=1"
            )
        num_cams = cameras.num_cams
        if num_cams != 1:
            raise InvError(
                f"model.name=image shows what one camera sees, and {num_cams} would be trained on; "
                "choose one: data.layout=video and data.path='CAPTURE/frames_2/frame*cam00.png', "
                "or data.procedural.num_cams=1"
            )


@functools.partial(jax.jit, static_argnums=0)
def _init(model: ImageMlp, key: PRNGKeyArray) -> Params:
    shapes = model.layer_shapes()
    total = sum((fan_in + 1) * fan_out for fan_in, fan_out in shapes.values())
    left, leaves = jax.random.uniform(key, (total,), minval=-1.0, maxval=1.0), {}
    for i, (name, shape) in enumerate(shapes.items()):
        bound = 1.0 / math.sqrt(shape[0])
        kernel_bound = bound
        if model.activation == "siren":
            kernel_bound = math.sqrt(6.0 / shape[0]) / model.w0 if i else 1.0 / shape[0]
        kernel, bias, left = jnp.split(left, [math.prod(shape), math.prod(shape) + shape[1]])
        path = f"{NETWORK}/{model.layer_role(name)}/{name}"
        leaves[f"{path}/kernel"] = kernel_bound * kernel.reshape(shape)
        leaves[f"{path}/bias"] = bound * bias
    return params_lib.nest(leaves)
