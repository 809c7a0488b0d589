"""Losses: what predictions cost, by name.

A loss is a weighted sum of means over all rows, pixels and channels, summed over the predictions
(coarse and fine networks, or a decoder's heads). Some compare colors one by one, those serve rays
as well as pictures; others compare neighbourhoods (SSIM) and need whole pictures.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float

from inv_jax.sampling.rows import Rows
from inv_jax.train import structural
from inv_jax.train.pooling import adaptive_average_pool
from inv_jax.types import Batch, InvError, Predictions, Views

Colors = Float[Array, "*b 3"]  # (b, 3) of rays, (b, h, w, 3) of pictures

_WINDOW = 11  # taps of SSIM's window, which has to fit into a picture
_SCALES = 161  # ... and five times, each half as large: (11 - 1) * 2^4 + 1


def l2(shown: Colors, target: Colors) -> Float[Array, ""]:
    """Mean squared error (NeRF, eq. 6)."""
    return jnp.mean(jnp.square(shown - target))


def l1(shown: Colors, target: Colors) -> Float[Array, ""]:
    """Mean absolute error; where it is 0, so is the gradient (that of `jnp.abs` is 1 there)."""
    error = shown - target
    return jnp.mean(error * lax.stop_gradient(jnp.sign(error)))


def huber(shown: Colors, target: Colors, delta: float = 1e-3) -> Float[Array, ""]:
    """Quadratic within `delta`, then linear (Huber 1964); the mean."""
    return jnp.mean(optax.losses.huber_loss(shown, target, delta=delta))


def dissimilarity(shown: Colors, target: Colors) -> Float[Array, ""]:
    """1 - SSIM (Wang et al. 2004)."""
    return 1.0 - structural.ssim_map_mean(shown, target)


def multiscale_dissimilarity(shown: Colors, target: Colors) -> Float[Array, ""]:
    """1 - MS-SSIM (Wang et al. 2003)."""
    return 1.0 - structural.ms_ssim(shown, target)


@dataclasses.dataclass(frozen=True)
class Term:
    """A part of losses.

    Attributes:
      of: What it is, of colors and target of one shape; a mean.
      least_side: Of a picture, pixels; 0: it takes colors of any shape, those of rays too.
    """

    of: Callable[[Array, Array], Array]
    least_side: int = 0


L1, L2, HUBER = Term(l1), Term(l2), Term(huber)
SSIM = Term(dissimilarity, _WINDOW)
MS_SSIM = Term(multiscale_dissimilarity, _SCALES)


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss of predictions and batch.

    Attributes:
      name: As in `train.loss`.
      terms: Its parts and their weights.
      head_weight: Weight of every prediction but the last, which has 1.
    """

    name: str
    terms: tuple[tuple[float, Term], ...]
    head_weight: float = 1.0

    def __call__(self, predictions: Predictions, batch: Batch) -> Float[Array, ""]:
        """The loss, () float32.

        A picture smaller than the target is compared with the target's means over its pixels.

        Raises:
          InvError: If a picture is too small.
        """
        shown = [prediction.rgb for prediction in predictions.values()]
        weights = [*[self.head_weight] * (len(shown) - 1), 1.0]
        return sum(
            _times(weight, self._of(rgb, batch.target))
            for weight, rgb in zip(weights, shown, strict=True)
        )

    def _of(self, shown: Array, target: Array) -> Array:
        if shown.shape != target.shape:
            target = adaptive_average_pool(target, *shown.shape[1:3])
        if self.wants_pictures:
            self._check_size(*shown.shape[1:3])
        return sum(_times(weight, term.of(shown, target)) for weight, term in self.terms)

    @property
    def least_side(self) -> int:
        """Pixels that the smaller side of a picture has at least."""
        return max(term.least_side for _, term in self.terms)

    @property
    def wants_pictures(self) -> bool:
        """Whether single colors are not enough."""
        return self.least_side > 0

    def check(self, rows: Rows, height: int, width: int) -> None:
        """Refuses rows that it cannot compare.

        Args:
          rows: What a row is to the model.
          height: Of the smallest picture that a row shows, pixels.
          width: Likewise.

        Raises:
          InvError: With the settings to change.
        """
        if not self.wants_pictures:
            return
        if not rows.shows_pictures:
            others = ", ".join(sorted(name for name in LOSSES if not get(name).wants_pictures))
            raise InvError(
                f"train.loss={self.name!r} compares whole pictures, and this model trains on "
                f"{rows.name}s; choose one of {others}"
            )
        self._check_size(height, width)

    def _check_size(self, height: int, width: int) -> None:
        if min(height, width) < self.least_side:
            smaller = "fusion6, " if self.least_side > _WINDOW else ""
            raise InvError(
                f"train.loss={self.name!r} wants pictures of {self.least_side} pixels a side at "
                f"least, and one has {height}x{width}; choose {smaller}l1 or l2, or larger pictures"
            )


def _times(weight: float, value: Array) -> Array:
    return value if weight == 1.0 else weight * value


# Fusion1 to Fusion12 are NeRV's (`--loss_type`).
LOSSES: Mapping[str, tuple[tuple[float, Term], ...]] = {
    "mse": ((1.0, L2),),
    "huber": ((1.0, HUBER),),
    "l1": ((1.0, L1),),
    "l2": ((1.0, L2),),
    "ssim": ((1.0, SSIM),),
    "fusion1": ((0.3, L2), (0.7, SSIM)),
    "fusion2": ((0.3, L1), (0.7, SSIM)),
    "fusion3": ((0.5, L2), (0.5, SSIM)),
    "fusion4": ((0.5, L1), (0.5, SSIM)),
    "fusion5": ((0.7, L2), (0.3, SSIM)),
    "fusion6": ((0.7, L1), (0.3, SSIM)),
    "fusion7": ((0.7, L2), (0.3, L1)),
    "fusion8": ((0.5, L2), (0.5, L1)),
    "fusion9": ((0.9, L1), (0.1, SSIM)),
    "fusion10": ((0.7, L1), (0.3, MS_SSIM)),
    "fusion11": ((0.9, L1), (0.1, MS_SSIM)),
    "fusion12": ((0.8, L1), (0.2, MS_SSIM)),
}


def get(name: str, head_weight: float = 1.0) -> Loss:
    """The loss of that name.

    Args:
      name: One of `LOSSES`.
      head_weight: See `Loss`.

    Raises:
      InvError: If there is none.

    Example:
      loss = get("fusion6")
      loss({"head": Rendering(rgb)}, Batch(times, target, ids))  # 0.7 L1 + 0.3 (1 - SSIM)
    """
    if name not in LOSSES:
        raise InvError(f"train.loss={name!r} is unknown; losses are {', '.join(sorted(LOSSES))}")
    if not head_weight >= 0.0:
        raise InvError(f"train.head_weight={head_weight}; want 0.0 or more, 1.0 to begin with")
    return Loss(name, LOSSES[name], head_weight)


@dataclasses.dataclass(frozen=True)
class Emptiness:
    """Pushes the dynamic field of a blend to nothing where nothing moves (Split INV).

    Attributes:
      rgb: Weight of the mean of its colors on static pixels, as it shows them alone.
      acc: Weight of the mean of its opacity there.
      layer: What predictions call it.
    """

    rgb: float = 0.01
    acc: float = 0.003
    layer: str = "dynamic"

    def __post_init__(self):
        if not (self.rgb >= 0.0 and self.acc >= 0.0):  # nor NaN
            raise InvError(
                f"split.empty_rgb={self.rgb}, split.empty_acc={self.acc}; want 0 or more"
            )

    def __call__(self, predictions: Predictions, batch: Batch, frame: Views) -> Float[Array, ""]:
        """The sum over networks of both means; 0 without static rays, () float32.

        The sums are divided by the number of static rays to expect among rays drawn from all
        pixels, not by their number in this batch: so it is a mean over rays, which may be
        computed pass by pass and device by device.
        """
        assert batch.is_dynamic is not None, "only a frame with regions has static pixels"
        assert frame.regions is not None, "only a frame with regions has static pixels"
        share = frame.regions.num_static / frame.regions.order.shape[0]
        weights = ~batch.is_dynamic / jnp.maximum(share, 1e-6)  # their mean is 1
        shown = [picture.layers[self.layer] for picture in predictions.values()]
        colors = sum(jnp.mean(weights[..., None] * layer.rgb) for layer in shown)
        opacity = sum(jnp.mean(weights * layer.acc) for layer in shown)
        return self.rgb * colors + self.acc * opacity


LossFn = Callable[[Predictions, Batch], Float[Array, ""]]
