"""Two fields in one space, static and dynamic: one density and one color at each sample.

`raw` are densities before their activation, `rgb` colors in [0, 1]; each is (static, dynamic).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from inv_jax.types import InvError

Pair = tuple[Array, Array]

# The dynamic field begins thin: thick fog has to be cleared away before a shape can grow, and what
# is nearly clear turns white or black first, as only a glaring color shows in it, and stays so.
_SHIFT = 1.0  # of the softplus, as in mip-NeRF (Barron et al. 2021, appendix)


class Blended(NamedTuple):
    """What a rule makes of two fields at S samples of each ray."""

    density: Float[Array, "*b S"]  # not negative
    rgb: Float[Array, "*b S 3"]  # in [0, 1]
    layers: tuple[Pair, Pair]  # density (*b, S) and color (*b, S, 3) of each field alone


Blend = Callable[[Pair, Pair, Array | float], Blended]


def softmax(raw: Pair, rgb: Pair, noise: Array | float) -> Blended:
    """The original's rule: densities add up, the brighter color counts more.

    The density is relu(raw_s + raw_d + noise), so that one field can take away from the other.
    The color is w_s * rgb_s + w_d * rgb_d, channel by channel, (w_s, w_d) = softmax(rgb_s, rgb_d):
    it does not ask which of the two is there. The dynamic field is always seen through this mean,
    so that its color alone means nothing: it shows the mean, too, where it shows itself.

    Args:
      raw: Densities, (*b, S) each.
      rgb: Colors, (*b, S, 3) each.
      noise: On the sum, (*b, S), or 0.
    """
    static, dynamic = rgb
    weight = jax.nn.sigmoid(static - dynamic)  # the softmax of two
    mean = weight * static + (1.0 - weight) * dynamic
    layers = (nn.relu(raw[0]), static), (nn.relu(raw[1]), mean)
    return Blended(nn.relu(raw[0] + raw[1] + noise), mean, layers)


def density_weighted(raw: Pair, rgb: Pair, noise: Array | float) -> Blended:
    """Each field emits its color in proportion to its density (NeRF-W, section 4.2).

    Both emit and absorb in the same interval: its density is the sum of both, its color the mean
    by density. NeRF-W's sum of two opacities is the first order of that; it can shine more than 1
    where both fields are opaque, this cannot. As there, the dynamic field's density is a softplus
    (`_open`): behind a ReLU a field that was pushed to nothing has no gradient left to return
    by. The static one keeps the ReLU that it was trained with alone.

    Args:
      raw: Densities, (*b, S) each.
      rgb: Colors, (*b, S, 3) each.
      noise: On each, (*b, S), or 0.
    """
    static, dynamic = nn.relu(raw[0] + noise), _open(raw[1] + noise)
    share = static / (static + dynamic + 1e-10)  # both may be 0
    mean = share[..., None] * rgb[0] + (1.0 - share[..., None]) * rgb[1]
    layers = (nn.relu(raw[0]), rgb[0]), (_open(raw[1]), rgb[1])
    return Blended(static + dynamic, mean, layers)


def _open(raw: Float[Array, "*b S"]) -> Float[Array, "*b S"]:
    """The dynamic field's density: softplus of raw - `_SHIFT`.

    But for a ray's last sample, of which the interval is endless: there nothing positive is clear.
    """
    shifted = raw - _SHIFT
    return jnp.concatenate([nn.softplus(shifted[..., :-1]), nn.relu(shifted[..., -1:])], axis=-1)


BLENDS: Mapping[str, Blend] = {"softmax": softmax, "density": density_weighted}


def get(name: str) -> Blend:
    """The rule of that name.

    Raises:
      InvError: If there is none.
    """
    if name not in BLENDS:
        raise InvError(f"model.blend={name!r} is unknown; rules are {', '.join(sorted(BLENDS))}")
    return BLENDS[name]
