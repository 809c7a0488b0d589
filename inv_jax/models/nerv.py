"""A clip as a network: from a frame's time to the whole frame (NeRV, Chen et al. 2021).

| layer | what it is, at C channels and stride s | original's name |
| --- | --- | --- |
| `stem_0` .. | encoded time -> D, n times, then -> h * w * c, activated | `stem.0`, `stem.2` .. |
| `block_0` .. | C -> C' on s times as many rows and columns, normed, activated | `layers.0` .. |
| `head_i` | 1x1, C' -> 3, behind the blocks of stage i: the last, or every one | `head_layers.i` |

The stem's result is a small picture (the grid) of c channels, channel first in memory. A stage
begins with a block of its stride; more blocks of it have stride 1. A block of `conv` convolves 3x3
to s * s times its channels, which then become s x s pixels each (pixel shuffle); of `deconv` it
makes s x s pixels of each by a product; of `bilinear` it enlarges, then convolves (2s+1)x(2s+1).

Every network's time is `i / N` of frame i of N, so there is no last one at 1. All params have one
role, `decoder`: a clip owns everything, clips share nothing.
"""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.models import convolution, linear, nerv_blocks
from inv_jax.models.base import Model
from inv_jax.models.convolution import Planes
from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv_blocks import (
    ACTIVATIONS,
    BATCH,
    BILINEAR,
    COLORS,
    CONV,
    DECONV,
    INSTANCE,
    NONE,
    NORMS,
    UPSAMPLINGS,
    Block,
)
from inv_jax.models.work import Work
from inv_jax.sampling.rows import Rows
from inv_jax.sampling.views import VIEWS
from inv_jax.types import Cameras, InvError, Params, Places, Predictions, Rendering

NETWORK, DECODER = "nerv", "decoder"

_NORM_EPS = 1e-5


@dataclasses.dataclass(frozen=True)
class Nerv(Model):
    """One decoder of one clip.

    Attributes:
      encoding: What the stem sees of the time.
      stem_width: Features of the stem's hidden layers.
      stem_layers: How many of them; the one that makes the grid is not counted.
      grid: Rows and columns of the grid.
      channels: Of the grid.
      strides: One for each stage.
      expansion: Times the channels come out of stage 0.
      reduction: Channels are divided by it in each later stage whose stride is not 1.
      lower_width: ... but there are as many at least.
      num_blocks: Blocks of a stage.
      upsampling: How a block makes its rows and columns: one of `UPSAMPLINGS`.
      activation: One of `ACTIVATIONS`.
      norm: One of `NORMS`. Batch norm is for params that come from elsewhere: see `check_views`.
      single_res: Whether only the last stage has a head; else each has, and shows a picture.
      sigmoid: Whether colors are `sigmoid(x)`; else `(tanh(x) + 1) / 2`.
      precision: See `Model.precision`. Times, their encoding and norms are float32 in all.
    """

    encoding: TimeWaves
    stem_width: int = 512
    stem_layers: int = 1
    grid: tuple[int, ...] = (9, 16)
    channels: int = 26
    strides: tuple[int, ...] = (5, 2, 2, 2, 2)
    expansion: float = 1.0
    reduction: int = 2
    lower_width: int = 96
    num_blocks: int = 1
    upsampling: str = CONV
    activation: str = "swish"
    norm: str = NONE
    single_res: bool = True
    sigmoid: bool = False
    precision: str = "float32"  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self):
        linear.check_precision(self.precision)
        if len(self.grid) != 2:
            raise InvError(f"model.grid={self.grid}; want rows and columns, as (9, 16)")
        if not self.strides:
            raise InvError("model.strides=(); want one for each stage, as (5, 2, 2, 2, 2)")
        least = {
            "stem_width": (self.stem_width, 1),
            "stem_layers": (self.stem_layers, 0),
            "grid": (min(self.grid), 1),
            "channels": (self.channels, 1),
            "strides": (min(self.strides), 1),
            "expansion": (int(self.channels * self.expansion), 1),
            "reduction": (self.reduction, 1),
            "lower_width": (self.lower_width, 1),
            "num_blocks": (self.num_blocks, 1),
        }
        for name, (value, wanted) in least.items():
            if value < wanted:
                raise InvError(f"model.{name}={getattr(self, name)}; want {wanted} at least")
        choices = {"upsampling": UPSAMPLINGS, "activation": ACTIVATIONS, "norm": NORMS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InvError(
                    f"model.{name}={getattr(self, name)!r}; choose one of {', '.join(known)}"
                )

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of its pictures."""
        enlarged = math.prod(self.strides)
        return self.grid[0] * enlarged, self.grid[1] * enlarged

    def blocks(self) -> list[Block]:
        """The blocks, in order."""
        found, fan_in, (height, width) = [], self.channels, self.grid
        for stage, stride in enumerate(self.strides):
            if stage == 0:
                fan_out = int(self.channels * self.expansion)
            else:
                reduction = 1 if stride == 1 else self.reduction
                fan_out = max(fan_in // reduction, self.lower_width)
            for again in range(self.num_blocks):
                block = Block(1 if again else stride, fan_in, fan_out, height, width)
                found.append(block)
                fan_in, height, width = fan_out, height * block.stride, width * block.stride
        return found

    def heads(self) -> dict[int, str]:
        """Names of the heads, each by the index of the block that it stands behind."""
        stages = range(len(self.strides))
        wanted = stages[-1:] if self.single_res else stages
        return {(stage + 1) * self.num_blocks - 1: f"head_{stage}" for stage in wanted}

    def layer_shapes(self, encoded: int = 0) -> dict[str, tuple[int, ...]]:
        """Kernel shape of every layer, in the order of the computation; heads at the end.

        (in, out) of the stem, (rows, columns, in, out) of the others.

        Args:
          encoded: Features that go into the stem; 0: the encoding's.
        """
        cells = self.grid[0] * self.grid[1] * self.channels
        widths = [encoded or self.encoding.features, *[self.stem_width] * self.stem_layers, cells]
        shapes: dict[str, tuple[int, ...]] = {
            f"stem_{i}": shape for i, shape in enumerate(itertools.pairwise(widths))
        }
        blocks = self.blocks()
        for i, block in enumerate(blocks):
            shapes[f"block_{i}"] = nerv_blocks.kernel_shape(block, self.upsampling)
        return shapes | {
            name: (1, 1, blocks[i].fan_out, COLORS) for i, name in self.heads().items()
        }

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'nerv': {'decoder': ...}}`; uniform within 1 / sqrt(fan_in), as in the original.

        Of a `deconv` block the framework of the original counts what comes out as its fan_in.
        Batch norm begins as the identity.
        """
        return _init(self, key)

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        return params_lib.Roles(own=(DECODER,))

    @property
    def rows(self) -> Rows:
        """See `Model.rows`."""
        return VIEWS

    def inputs(self, cameras: Cameras, places: Places) -> Float[Array, "*b"]:
        """The times of the views in [0, 1); there is one camera."""
        del cameras
        return places.times

    def predict(
        self,
        params: Params,
        inputs: Float[Array, "b"],
        *,
        keys: Key[Array, "b"] | None = None,
    ) -> Predictions:
        """Pictures (b, h, w, 3) at times; see `Model.predict`. They are named for their heads.

        Raises:
          InvError: If it is asked to train with batch norm.
        """
        if keys is not None:
            self._check_trainable()
        layers = params[NETWORK][DECODER]
        planes, heads, shown = self.grid_of(layers, inputs), self.heads(), {}
        for i in range(len(self.blocks())):
            planes = self.through(layers, i, planes)
            if i in heads:
                shown[heads[i]] = self.show(layers[heads[i]], planes)
        return shown

    def grid_of(self, layers: Params, times: Float[Array, "b"]) -> Planes:
        """What the stem makes of times: small pictures of many channels."""
        return self.stem(layers, self.encoding.encode(times), self.activation)

    def stem(self, layers: Params, features: Float[Array, "b n"], activation: str) -> Planes:
        """What the stem makes of features, activated behind each of its layers."""
        for i in range(self.stem_layers + 1):
            layer = layers[f"stem_{i}"]
            features = linear.matmul(features, layer["kernel"], 1, self.precision)
            if "bias" in layer:
                features = linear.add_bias(features, layer["bias"], 1)
            features = ACTIVATIONS[activation](features)
        return convolution.from_vector(features, self.channels, *self.grid)

    def through(self, layers: Params, index: int, planes: Planes) -> Planes:
        """What a block, by its index, makes of planes."""
        layer = layers[f"block_{index}"]
        planes = self.enlarged(layer, index, planes)
        return ACTIVATIONS[self.activation](self._normed(layer, planes))

    def enlarged(self, layer: Params, index: int, planes: Planes) -> Planes:
        """What the kernel of a block, by its index, makes of planes, not normed nor activated."""
        stride, kernel, bias = self.blocks()[index].stride, layer["kernel"], layer.get("bias")
        if self.upsampling == DECONV:
            return convolution.transpose_conv(planes, kernel, bias, self.precision)
        if self.upsampling == BILINEAR:
            planes = convolution.upsample_bilinear(planes, stride)
            return convolution.conv(planes, kernel, bias, self.precision)
        planes = convolution.conv(planes, kernel, bias, self.precision)
        return convolution.pixel_shuffle(planes, stride)

    def _normed(self, layer: Params, planes: Planes) -> Planes:
        if self.norm == NONE:
            return planes
        if self.norm == INSTANCE:
            centered = planes - convolution.channel_mean(planes, per_image=True)
            variance = convolution.channel_mean(jnp.square(centered), per_image=True)
            return centered * jax.lax.rsqrt(variance + _NORM_EPS)
        scale = layer["scale"] * jax.lax.rsqrt(layer["var"] + _NORM_EPS)
        offset = layer["offset"] - layer["mean"] * scale
        by_channel = functools.partial(convolution.per_channel, x=planes)
        return planes * by_channel(scale) + by_channel(offset)

    def show(self, layer: Params, planes: Planes) -> Rendering:
        """What a head shows of planes."""
        planes = convolution.conv(planes, layer["kernel"], layer.get("bias"), self.precision)
        return self.colored(convolution.images(planes))

    def colored(self, numbers: Float[Array, "b h w 3"]) -> Rendering:
        """What a head's numbers mean, as colors."""
        shown = jax.nn.sigmoid(numbers) if self.sigmoid else (jnp.tanh(numbers) + 1.0) / 2.0
        return Rendering(rgb=shown)

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`: a convolution is a map of as many rows as it has places."""
        return nerv_blocks.work(
            *(self.blocks(), self.layer_shapes(), self.heads(), self.upsampling),
            encoded=self.encoding.features,
            activation=self.activation,
            norm=self.norm,
            trains=DECODER in roles,
        )

    def check_views(self, cameras: Cameras, num_frames: int) -> None:
        """See `Model.check_views`: a clip of one camera, of its own size.

        Nor does it train with batch norm: running statistics follow from what steps see, not from
        their gradients, and steps here change params by gradients alone. Params with statistics
        that are there can be shown and measured.
        """
        self._check_trainable()
        if num_frames == 1:
            raise InvError(
                "a clip of one frame has no time to learn; a decoder of clips wants 2 at least: "
                "raise data.num_frames, or train.segment_frames (0: all frames)"
            )
        if cameras.num_cams != 1:
            raise InvError(
                f"a decoder of clips shows what one camera sees, and {cameras.num_cams} would be "
                "trained on; choose one: data.layout=video and "
                "data.path='CAPTURE/frames_2/frame*cam00.png', or data.procedural.num_cams=1 and "
                "data.holdout=()"
            )
        size = cameras.height, cameras.width
        if self.size != size:
            made, wanted = ("x".join(map(str, sides)) for sides in (self.size, size))
            raise InvError(
                f"model.grid={self.grid} times model.strides={self.strides} makes pictures of "
                f"{made}, and the frames have {wanted}; change these two, or the frames: "
                "data.height and data.width, or data.factor"
            )

    def _check_trainable(self) -> None:
        if self.norm == BATCH:
            raise InvError(
                "model.norm='bn' can be shown but not trained: its running statistics come from no "
                "gradient; choose 'in' or 'none'"
            )


@functools.partial(jax.jit, static_argnums=0)
def _init(model: Nerv, key: PRNGKeyArray) -> Params:
    shapes, drawn, fixed = model.layer_shapes(), {}, {}
    for name, shape in shapes.items():
        path = f"{NETWORK}/{DECODER}/{name}"
        bound = nerv_blocks.bound(name, shape, model.upsampling)
        drawn[f"{path}/kernel"] = shape, bound
        drawn[f"{path}/bias"] = shape[-1:], bound
        if name.startswith("block_") and model.norm == BATCH:
            stride = model.blocks()[int(name.removeprefix("block_"))].stride
            channels = shape[-1] // (stride**2 if model.upsampling == CONV else 1)
            for leaf, value in (("scale", 1.0), ("offset", 0.0), ("mean", 0.0), ("var", 1.0)):
                fixed[f"{path}/{leaf}"] = jnp.full((channels,), value)
    return params_lib.nest(nerv_blocks.uniform(key, drawn) | fixed)
