"""Several clips in one dense network, trained together: the joint bound of WSN and PFNR (MTL).

A segment is all clips. From a frame's time among all frames follow its clip and its time in that;
the stem sees both, `e(t)` then `e((clip + 1) / (clips + 1))`, as in `inv_jax/models/pfnr.py`, and
each clip has a head of its own. All params have one role: nothing is shared with other segments.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.models import convolution, nerv_blocks
from inv_jax.models.base import Model
from inv_jax.models.nerv import DECODER, Nerv
from inv_jax.models.work import Work
from inv_jax.sampling.rows import Rows
from inv_jax.sampling.views import VIEWS
from inv_jax.types import Cameras, InvError, Params, Places, Predictions

NETWORK = "joint"

_ROUNDING = 1e-3  # of a frame: 2^-24 of 16,000 frames


@dataclasses.dataclass(frozen=True)
class Joint(Model):
    """One decoder of all clips, and a head for each.

    Attributes:
      decoder: Of one head; its norm is none of batches.
      clips: Frames of each clip.
    """

    decoder: Nerv
    clips: tuple[int, ...]

    def __post_init__(self):
        if not self.clips or min(self.clips) < 1:
            raise InvError(f"model.clips={self.clips}; want the number of frames of each clip")
        if not self.decoder.single_res:
            raise InvError("model.single_res=False; clips that train together have a head each")

    @property
    def precision(self) -> str:
        """See `Model.precision`."""
        return self.decoder.precision

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        return params_lib.Roles(own=(DECODER,))

    @property
    def rows(self) -> Rows:
        """See `Model.rows`."""
        return VIEWS

    @property
    def _encoded(self) -> int:
        return 2 * self.decoder.encoding.features

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Kernel shape of every layer, as `Nerv.layer_shapes`; `head_i` is that of clip i."""
        shapes = self.decoder.layer_shapes(self._encoded)
        (head,) = self.decoder.heads().values()
        one = shapes.pop(head)
        return shapes | {f"head_{clip}": one for clip in range(len(self.clips))}

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'joint': {'decoder': ...}}`; uniform within 1 / sqrt(fan_in)."""
        return _init(self, key)

    def inputs(self, cameras: Cameras, places: Places) -> Float[Array, "*b"]:
        """The times of the views among all frames, in [0, 1); there is one camera."""
        return self.decoder.inputs(cameras, places)

    def places_of(self, times: Float[Array, "b"]) -> tuple[Int[Array, "b"], Float[Array, "b"]]:
        """The clip of each time, and the time in that clip, in [0, 1)."""
        ends, lengths = np.cumsum(self.clips), np.array(self.clips)
        # A time is that of a frame, but for its rounding, which the highest frequencies would show;
        # or what lies between frames, where somebody asks for that.
        frames = times * ends[-1]
        whole = jnp.round(frames)
        frames = jnp.where(jnp.abs(frames - whole) < _ROUNDING, whole, frames)
        clip = jnp.searchsorted(jnp.asarray(ends), jnp.floor(frames), side="right")
        clip = jnp.minimum(clip, len(lengths) - 1)
        begun = frames - jnp.asarray(ends - lengths)[clip]
        return clip, begun / jnp.asarray(lengths)[clip]

    def predict(
        self,
        params: Params,
        inputs: Float[Array, "b"],
        *,
        keys: Key[Array, "b"] | None = None,
    ) -> Predictions:
        """Pictures (b, h, w, 3) at times among all frames; see `Model.predict`."""
        del keys
        layers, decoder = params[NETWORK][DECODER], self.decoder
        clips, times = self.places_of(inputs)
        codes = (clips + 1).astype(jnp.float32) / (len(self.clips) + 1)
        both = [decoder.encoding.encode(one) for one in (times, codes)]
        planes = decoder.stem(layers, jnp.concatenate(both, -1), decoder.activation)
        for i in range(len(decoder.blocks())):
            planes = decoder.through(layers, i, planes)
        heads = [layers[f"head_{i}"] for i in range(len(self.clips))]
        kernels = jnp.stack([head["kernel"][0, 0] for head in heads])[clips]  # (b, channels, 3)
        biases = jnp.stack([head["bias"] for head in heads])[clips]
        pictures = convolution.to_nchw(planes).astype(jnp.float32)
        colors = jnp.einsum("bchw,bcd->bhwd", pictures, kernels, precision="highest")
        return {"head": decoder.colored(colors + biases[:, None, None])}

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`."""
        decoder = self.decoder
        return nerv_blocks.work(
            *(decoder.blocks(), decoder.layer_shapes(self._encoded), decoder.heads()),
            decoder.upsampling,
            encoded=self._encoded,
            activation=decoder.activation,
            norm=decoder.norm,
            trains=DECODER in roles,
        )

    def check_views(self, cameras: Cameras, num_frames: int) -> None:
        """See `Model.check_views`: all frames of all clips of one camera."""
        if num_frames > sum(self.clips):
            raise InvError(
                f"model.clips={self.clips} have {sum(self.clips)} frames, and there are "
                f"{num_frames}: clips that train together cannot be added to later"
            )
        self.decoder.check_views(cameras, num_frames)


@functools.partial(jax.jit, static_argnums=0)
def _init(model: Joint, key: PRNGKeyArray) -> Params:
    drawn = {}
    for name, shape in model.layer_shapes().items():
        bound = nerv_blocks.bound(name, shape, model.decoder.upsampling)
        drawn[f"{NETWORK}/{DECODER}/{name}/kernel"] = shape, bound
        drawn[f"{NETWORK}/{DECODER}/{name}/bias"] = shape[-1:], bound
    return params_lib.nest(nerv_blocks.uniform(key, drawn))
