"""LPIPS: how far apart two pictures are in the features of a network that knows photographs.

Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, eq. 1,
version 0.1 of its weights: the features behind five stages of AlexNet (the variant that papers
quote by default) or VGG-16, each pixel's feature vector scaled to length 1, the squared difference
weighted per channel, averaged over pixels and summed over stages. 0 for equal pictures; lower is
better.

The weights are not part of this project. They are read from a file that `scripts/convert_lpips.py`
makes of the two published ones: an .npz with

    net              'alex' or 'vgg'
    conv_{i}/kernel  (height, width, inputs, outputs), for every convolution in order
    conv_{i}/bias    (outputs,)
    linear_{s}       (channels,), the weights of stage s
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from inv_jax.eval import metrics
from inv_jax.types import InvError

Weights = dict[str, np.ndarray]  # by the names above, without `net`

ENVIRONMENT = "INV_JAX_LPIPS"
CACHE = pathlib.Path("~/.cache/inv_jax/lpips_alex.npz")
_HOW = "scripts/convert_lpips.py makes the file from the published weights"

# Of the three channels, colors being in [-1, 1] (the published code's scaling layer).
_MEAN = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_EPSILON = 1e-10  # added to the length of a feature vector


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution and the ReLU behind it."""

    features: int
    size: int
    stride: int = 1
    padding: int = 1


@dataclasses.dataclass(frozen=True)
class Net:
    """Stages of convolutions; a stage's output is what is compared."""

    stages: tuple[tuple[Conv, ...], ...]
    pooled: tuple[int, ...]  # stages whose input is max-pooled, with stride 2
    pool: int  # over windows of so many pixels

    @property
    def convs(self) -> tuple[Conv, ...]:
        return tuple(conv for stage in self.stages for conv in stage)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the weights, by name."""
        shapes: dict[str, tuple[int, ...]] = {}
        channels = 3
        for i, conv in enumerate(self.convs):
            shapes[f"conv_{i}/kernel"] = (conv.size, conv.size, channels, conv.features)
            shapes[f"conv_{i}/bias"] = (channels := conv.features,)
        for i, stage in enumerate(self.stages):
            shapes[f"linear_{i}"] = (stage[-1].features,)
        return shapes

    def fits(self, side: int) -> bool:
        """Whether a picture with such a side leaves something at every stage."""
        for i, stage in enumerate(self.stages):
            if i in self.pooled:
                side = (side - self.pool) // 2 + 1
            for conv in stage:
                side = (side + 2 * conv.padding - conv.size) // conv.stride + 1
        return side > 0


NETS = {
    "alex": Net(
        stages=(
            (Conv(64, 11, stride=4, padding=2),),
            (Conv(192, 5, padding=2),),
            (Conv(384, 3),),
            (Conv(256, 3),),
            (Conv(256, 3),),
        ),
        pooled=(1, 2),
        pool=3,
    ),
    "vgg": Net(
        stages=tuple(
            (Conv(features, 3),) * count
            for features, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
        ),
        pooled=(1, 2, 3, 4),
        pool=2,
    ),
}


class Lpips:
    """The metric, with its weights."""

    def __init__(self, net: str, weights: Weights) -> None:
        """`weights` are as `NETS[net].shapes()` says; `load` reads them from a file."""
        self.net = net
        self._weights = weights

    @classmethod
    def load(cls, path: pathlib.Path) -> "Lpips":
        """Reads a file of weights.

        Raises:
          InvError: If it is not there, or is not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except FileNotFoundError as error:
            raise InvError(f"no file of LPIPS weights at {path}; {_HOW}") from error
        except Exception as error:  # numpy and zipfile raise errors of many kinds
            reason = getattr(error, "strerror", None) or "it is not an .npz of arrays"
            raise InvError(f"{path} is no file of LPIPS weights ({reason}); {_HOW}") from error
        net = str(arrays.pop("net", ""))
        if net not in NETS:
            raise InvError(f"{path}: LPIPS weights of net {net!r}; want alex or vgg; {_HOW}")
        wanted = NETS[net].shapes()
        for name, shape in wanted.items():
            found = arrays.get(name, np.empty(0))
            if found.shape != shape or not np.issubdtype(found.dtype, np.floating):
                raise InvError(
                    f"{path}: {name} is {found.dtype} of shape {found.shape}, want floats of "
                    f"{shape}; {_HOW}"
                )
            if not np.isfinite(found).all():
                raise InvError(f"{path}: {name} holds numbers that are not finite; {_HOW}")
        return cls(net, {name: arrays[name].astype(np.float32) for name in wanted})

    def __call__(self, image: metrics.Image, reference: metrics.Image) -> float | None:
        """LPIPS of two images, floats (H, W, 3) in [0, 1].

        Returns:
          None if the images are too small for the network: a side below 31 pixels with AlexNet,
          16 with VGG.

        Raises:
          ValueError: If the images are not floats, or not of one shape (H, W, 3).
        """
        image, reference = metrics.on_cpu(image, reference)
        if not NETS[self.net].fits(min(image.shape[:2])):
            return None
        return float(_distance(self.net, self._placed, image, reference))

    @functools.cached_property
    def name(self) -> str:
        """`lpips-alex-` and a digest of the weights: equal for numbers that may be compared."""
        digest = hashlib.sha256()
        for name, array in sorted(self._weights.items()):
            digest.update(f"{name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"lpips-{self.net}-{digest.hexdigest()[:16]}"

    @functools.cached_property
    def _placed(self) -> dict[str, Array]:
        return jax.device_put(self._weights, metrics.cpu())


def find(path: str | os.PathLike[str] | None = None) -> Lpips | str:
    """The metric, or why there is none.

    Args:
      path: The file; None looks at the environment's INV_JAX_LPIPS, or else in the cache.

    Returns:
      The metric; where nobody asked for a certain file and there is none, one line that says where
      it was looked for and how to get it.

    Raises:
      InvError: If the file that was asked for is not there, or any is malformed.
    """
    if path:
        return Lpips.load(pathlib.Path(path).expanduser())
    named = os.environ.get(ENVIRONMENT, "")
    place = pathlib.Path(named or CACHE).expanduser()
    if place.is_file():
        return Lpips.load(place)
    looked = f"${ENVIRONMENT}: {place}" if named else f"{place}, and ${ENVIRONMENT} is not set"
    return f"LPIPS is left out, its weights are not there ({looked}); {_HOW}"


def _pool(x: Array, size: int) -> Array:
    window = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, (1, 2, 2, 1), "VALID")


def _features(net: Net, weights: Any, image: Float[Array, "h w 3"]) -> list[Array]:
    """What each stage returns, (1, h', w', channels)."""
    x = ((2.0 * image - 1.0 - _MEAN.reshape(1, 1, 3)) / _SCALE.reshape(1, 1, 3))[None]
    features, number = [], 0
    for i, stage in enumerate(net.stages):
        if i in net.pooled:
            x = _pool(x, net.pool)
        for conv in stage:
            x = lax.conv_general_dilated(
                x,
                weights[f"conv_{number}/kernel"],
                window_strides=(conv.stride, conv.stride),
                padding=((conv.padding, conv.padding),) * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                precision=lax.Precision.HIGHEST,
            )
            x = jax.nn.relu(x + weights[f"conv_{number}/bias"].reshape(1, 1, 1, -1))
            number += 1
        features.append(x)
    return features


def _unit(x: Array) -> Array:
    return x / (jnp.sqrt((x**2).sum(-1, keepdims=True)) + _EPSILON)


@functools.partial(jax.jit, static_argnums=0)
def _distance(name: str, weights: Any, image: Array, reference: Array) -> Array:
    net = NETS[name]
    pairs = zip(*(_features(net, weights, x) for x in (image, reference)), strict=True)
    by_stage = [
        ((_unit(a) - _unit(b)) ** 2 @ weights[f"linear_{i}"]).mean()
        for i, (a, b) in enumerate(pairs)
    ]
    return jnp.stack(by_stage).sum()
