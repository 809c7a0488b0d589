"""Clips one after the other in one network: WSN, and PFNR with a Fourier operator (Kang et al.).

A session is a segment, a clip. All share the weights of one decoder (`inv_jax/models/nerv.py`); a
session uses those that its mask selects, and what a mask has selected does not move any more. So
what was shown once is shown for good, to the bit.

| role | layers and leaves | what it is |
| --- | --- | --- |
| `weights` | `stem_0`, `stem_1`, `block_i`, `fourier_i` | float32, shared |
| `scores` | the same | float32, say what is selected; of use in training alone |
| `mask` | the same | bool, what the session uses |
| `taken` | the same | bool, what any session before uses |
| `head` | `head_i` | float32, the session's own, not masked |
| `session` | `code` / `number` | int32 (), from 0 |

The stem sees the time and the number: `e(t)`, then `e((number + 1) / (sessions + 1))`; its
activation is ReLU in all. A layer has a `kernel`, and a `bias` if there are any. The block of the
operator has `fourier_i` (`inv_jax/models/spectral.py`) instead of `block_i` (`replace`), or both,
whose results are added (`sum`) or share the block's channels (`concat`, the operator's behind).
"""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.models import convolution, nerv_blocks, pfnr_block, selection, spectral
from inv_jax.models.base import Model
from inv_jax.models.convolution import Planes
from inv_jax.models.nerv import Nerv
from inv_jax.models.pfnr_block import CONCAT, REPLACE, SUM
from inv_jax.models.work import Work
from inv_jax.sampling.rows import Rows
from inv_jax.sampling.views import VIEWS
from inv_jax.types import Cameras, InvError, Params, Places, Predictions

NETWORK = "pfnr"
WEIGHTS, SCORES, MASK, TAKEN = "weights", "scores", params_lib.MASK, "taken"
HEAD, SESSION = "head", "session"

_STEM_ACTIVATION = "relu"


@dataclasses.dataclass(frozen=True)
class Pfnr(Model):
    """One decoder of a sequence of clips.

    Attributes:
      decoder: Of whose layers the weights are; its norm is `none`.
      capacity: Part of each leaf that a session uses, above 0, 1 at most.
      sessions: The code of a session says which of so many it is; there may be more.
      bias: Whether layers and heads have biases.
      reinit: Whether each session begins with fresh scores, not with those of the one before.
      operator: Index of the block that has a Fourier operator; -1: none has (WSN).
      composition: How that block is made up, one of `pfnr_block.COMPOSITIONS`.
      operator_channels: Of the block's channels, those that the operator makes; of `concat`.
    """

    decoder: Nerv
    capacity: float = 0.3
    sessions: int = 17
    bias: bool = False
    reinit: bool = False
    operator: int = -1
    composition: str = SUM
    operator_channels: int = 0

    def __post_init__(self):
        selection.check_capacity(self.capacity)
        if self.sessions < 1:
            raise InvError(
                f"model.sessions={self.sessions}; want the number of clips to count on, 1 at least"
            )
        if self.decoder.norm != nerv_blocks.NONE:
            raise InvError(
                f"model.norm={self.decoder.norm!r}, which no mask holds still: what earlier "
                "sessions show would change; set model.norm='none'"
            )
        if self.decoder.stem_layers != 1:
            raise InvError(
                f"model.stem_layers={self.decoder.stem_layers}; the stem of model.name=pfnr has 1 "
                "hidden layer"
            )
        pfnr_block.check(
            self.operator, self.composition, self.operator_channels, self.decoder.blocks()
        )

    keeps_shared = True

    @property
    def precision(self) -> str:
        """See `Model.precision`. Transforms and products of frequencies are float32 in all."""
        return self.decoder.precision

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of its pictures."""
        return self.decoder.size

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        return params_lib.Roles(
            own=(HEAD,), shared=(WEIGHTS,), indices=(MASK, SESSION), carried=(SCORES, TAKEN)
        )

    @property
    def rows(self) -> Rows:
        """See `Model.rows`."""
        return VIEWS

    @property
    def encoded(self) -> int:
        """Features of a time and a session."""
        return 2 * self.decoder.encoding.features

    @property
    def _made_by_operator(self) -> int:
        """Channels."""
        if self.operator < 0:
            return 0
        is_part = self.composition == CONCAT
        return self.operator_channels if is_part else self.decoder.blocks()[self.operator].fan_out

    def kernel_shapes(self) -> dict[str, tuple[int, ...]]:
        """Kernel shape of every layer that has one, as `Nerv.layer_shapes`; heads at the end."""
        shapes = self.decoder.layer_shapes(self.encoded)
        name = f"block_{self.operator}"
        if self.operator >= 0 and self.composition == REPLACE:
            del shapes[name]
        if self.operator >= 0 and self.composition == CONCAT:
            block = self.decoder.blocks()[self.operator]
            left = dataclasses.replace(block, fan_out=block.fan_out - self.operator_channels)
            shapes[name] = nerv_blocks.kernel_shape(left, self.decoder.upsampling)
        return shapes

    def operator_shape(self) -> tuple[int, ...] | None:
        """(in, out, rows, columns) of each of the operator's four leaves; None: there is none."""
        if self.operator < 0:
            return None
        block = self.decoder.blocks()[self.operator]
        return spectral.shape(block.fan_in, self._made_by_operator, block.height, block.width)

    def _leaves(self, are_heads: bool) -> dict[str, tuple[tuple[int, ...], float]]:
        """`layer/leaf` of the heads, or of what is masked: its shape, and what it is fresh within.

        Biases are within the bound of their kernel.
        """
        found = {}
        for name, shape in self.kernel_shapes().items():
            if name.startswith("head_") != are_heads:
                continue
            bound = nerv_blocks.bound(name, shape, self.decoder.upsampling)
            found[f"{name}/kernel"] = shape, bound
            if self.bias:
                found[f"{name}/bias"] = shape[-1:], bound
        operator = self.operator_shape()
        if operator is not None and not are_heads:
            bound = spectral.bound(operator)
            name = f"fourier_{self.operator}"
            found |= {f"{name}/{leaf}": (operator, bound) for leaf in spectral.LEAVES}
        return found

    def _fresh(self, key: PRNGKeyArray, role: str) -> Params:
        """Layers with new numbers: heads, weights or scores."""
        return params_lib.nest(nerv_blocks.uniform(key, self._leaves(role == HEAD)))

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'pfnr': ...}` of the first session; weights and scores uniform within 1 / sqrt(fan_in).

        Nothing is taken, and the mask is that of the scores.
        """
        return _init(self, key)

    def derived(self, params: Params) -> Params:
        """See `Model.derived`: the mask is that of the highest scores of each leaf.

        Where there are no scores, as of an older session, its mask stays.
        """
        if SCORES not in params[NETWORK]:
            return params
        mask = jax.tree_util.tree_map_with_path(
            lambda path, scores: selection.select(
                scores, self.capacity, by_magnitude=_by_magnitude(path)
            ),
            params[NETWORK][SCORES],
        )
        return {NETWORK: {**params[NETWORK], MASK: mask}}

    def next_segment(self, params: Params, key: PRNGKeyArray) -> Params:
        """See `Model.next_segment`: what was used is taken; the head is new, scores may be."""
        return _next(self, params, key)

    def around(self, optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
        """See `Model.around`: weights that are taken have no gradient, and do not move."""
        return selection.hold(optimizer, WEIGHTS, TAKEN)

    def inputs(self, cameras: Cameras, places: Places) -> Float[Array, "*b"]:
        """The times of the views in [0, 1); there is one camera."""
        return self.decoder.inputs(cameras, places)

    def predict(
        self,
        params: Params,
        inputs: Float[Array, "b"],
        *,
        keys: Key[Array, "b"] | None = None,
    ) -> Predictions:
        """Pictures (b, h, w, 3) at times; see `Model.predict`. They are named for their heads.

        Without keys, scores and what is taken need not be there.
        """
        layers, decoder = self.used(params, trains=keys is not None), self.decoder
        planes = decoder.stem(layers, self.features(params, inputs), _STEM_ACTIVATION)
        heads, shown = decoder.heads(), {}
        for i in range(len(decoder.blocks())):
            planes = self.through(layers, i, planes)
            if i in heads:
                shown[heads[i]] = decoder.show(params[NETWORK][HEAD][heads[i]], planes)
        return shown

    def features(self, params: Params, times: Float[Array, "b"]) -> Float[Array, "b n"]:
        """What the stem sees: the time's encoding, then the session's."""
        number = params[NETWORK][SESSION]["code"]["number"]
        session = (number + 1).astype(jnp.float32) / (self.sessions + 1)
        both = times, jnp.broadcast_to(session, times.shape)
        return jnp.concatenate([self.decoder.encoding.encode(one) for one in both], axis=-1)

    def used(self, params: Params, *, trains: bool = False) -> Params:
        """The weights, 0 where the mask is not; with the gradients of training, or without."""
        network = params[NETWORK]
        if not trains or SCORES not in network:
            only = lambda mask, weight: jnp.where(mask, weight, jnp.zeros_like(weight))  # noqa: E731
            return jax.tree.map(only, network[MASK], network[WEIGHTS])
        return jax.tree_util.tree_map_with_path(
            lambda path, *leaves: selection.masked(*leaves, _by_magnitude(path)),
            *(network[WEIGHTS], network[SCORES], network[MASK]),
        )

    def through(self, layers: Params, index: int, planes: Planes) -> Planes:
        """What a block, by its index, makes of planes, of layers that are masked."""
        decoder, convolved = self.decoder, None
        if f"block_{index}" in layers:
            convolved = decoder.enlarged(layers[f"block_{index}"], index, planes)
        if index != self.operator:
            made = convolved
        else:
            pictures = convolution.to_nchw(planes).astype(jnp.float32)
            stride = decoder.blocks()[index].stride
            pictures = spectral.apply(pictures, layers[f"fourier_{index}"], stride)
            made = pfnr_block.joined(convolved, pictures, self.composition)
        return nerv_blocks.ACTIVATIONS[decoder.activation](made)

    def needed(self, segments: Iterable[Params]) -> Params:
        """See `Model.needed`: what no session uses is 0."""
        networks = (params[NETWORK] for params in segments)
        return {NETWORK: {WEIGHTS: selection.kept((n[MASK], n[WEIGHTS]) for n in networks)}}

    def describe(self) -> dict[str, str]:
        """See `Model.describe`."""
        sizes = [math.prod(shape) for shape, _ in self._leaves(are_heads=False).values()]
        used = sum(selection.count(size, self.capacity) for size in sizes)
        return {"a clip uses": f"{used:,} of these {sum(sizes):,} weights"}

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`; what trains trains together."""
        decoder, trains = self.decoder, bool({HEAD, WEIGHTS, SCORES}.intersection(roles))
        found = nerv_blocks.work(
            *(decoder.blocks(), self.kernel_shapes(), decoder.heads(), decoder.upsampling),
            encoded=self.encoded,
            activation=decoder.activation,
            norm=decoder.norm,
            trains=trains,
        )
        sizes = [math.prod(shape) for shape, _ in self._leaves(are_heads=False).values()]
        found = selection.with_masks(found, sum(sizes), trains)
        if self.operator < 0:
            return found
        block = decoder.blocks()[self.operator]
        return spectral.with_operator(found, block, self._made_by_operator, trains)

    def check_views(self, cameras: Cameras, num_frames: int) -> None:
        """See `Model.check_views`: clips of one camera, of its own size."""
        self.decoder.check_views(cameras, num_frames)


def _by_magnitude(path: tuple[Any, ...]) -> bool:
    """Whether the magnitude of a leaf's scores counts, by its path within the role."""
    return not params_lib.path_of(path).startswith("fourier_")


@functools.partial(jax.jit, static_argnums=0)
def _init(model: Pfnr, key: PRNGKeyArray) -> Params:
    made = {
        role: model._fresh(jax.random.fold_in(key, i), role)
        for i, role in enumerate((WEIGHTS, SCORES, HEAD))
    }
    nothing = jax.tree.map(lambda weight: jnp.zeros(weight.shape, bool), made[WEIGHTS])
    made |= {TAKEN: nothing, MASK: nothing, SESSION: {"code": {"number": jnp.int32(0)}}}
    return model.derived({NETWORK: made})


@functools.partial(jax.jit, static_argnums=0)
def _next(model: Pfnr, params: Params, key: PRNGKeyArray) -> Params:
    network, (key_head, key_scores) = params[NETWORK], jax.random.split(key)
    made = {
        **network,
        HEAD: model._fresh(key_head, HEAD),
        TAKEN: jax.tree.map(jnp.logical_or, network[TAKEN], network[MASK]),
        SESSION: jax.tree.map(lambda number: number + 1, network[SESSION]),
    }
    if model.reinit:
        made[SCORES] = model._fresh(key_scores, SCORES)
    return model.derived({NETWORK: made})
