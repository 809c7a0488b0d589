"""NeRF: a coarse network says where to look, a fine one gives the picture."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.geometry import cameras as cameras_lib
from inv_jax.models import nerf_work
from inv_jax.models.base import Model
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.work import Work
from inv_jax.render import composite, intervals
from inv_jax.types import Cameras, InvError, Params, Places, Predictions, Rays, Rendering


@dataclasses.dataclass(frozen=True)
class Nerf(Model):
    """Coarse and fine networks of one shape, sampled hierarchically (NeRF, section 5.2).

    Attributes:
      mlp: The network's shape.
      coarse_samples: Stratified samples on [near, far]; the coarse network sees them.
      fine_samples: Samples drawn by the coarse weights; the fine network sees both kinds.
      density_noise: Standard deviation of the noise on raw density, in training.
      background: Grey level behind every ray: 0 black, 1 white.
    """

    mlp: NerfMlp
    coarse_samples: int = 64
    fine_samples: int = 64
    density_noise: float = 1.0
    background: float = 0.0

    def __post_init__(self):
        if self.coarse_samples < 3 or self.fine_samples < 1:
            raise InvError(
                f"model.coarse_samples={self.coarse_samples}, "
                f"model.fine_samples={self.fine_samples}: want 3 and 1 at least, to draw fine "
                "samples between coarse ones"
            )

    @property
    def precision(self) -> str:
        """See `Model.precision`."""
        return self.mlp.precision

    def init(self, key: PRNGKeyArray) -> Params:
        """`{'coarse': ..., 'fine': ...}`, each split in `structure` and `color`."""
        key_coarse, key_fine = jax.random.split(key)
        fresh = lambda key: self.mlp.init(key, method="layers")["params"]  # noqa: E731
        return {"coarse": fresh(key_coarse), "fine": fresh(key_fine)}

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`."""
        return params_lib.Roles(own=(params_lib.STRUCTURE,), shared=(params_lib.COLOR,))

    def inputs(self, cameras: Cameras, places: Places) -> Rays:
        """The pixels' rays; see `Model.inputs`."""
        return cameras_lib.cast_rays(cameras, places.cams, places.cols, places.rows)

    def predict(
        self, params: Params, inputs: Rays, *, keys: Key[Array, "*b"] | None = None
    ) -> Predictions:
        """Renders rays; see `Model.predict`. The networks are `coarse` and `fine`."""
        rays = inputs
        jitter = draw = noise_coarse = noise_fine = None
        if keys is not None:
            split = jax.vmap(lambda key: jax.random.split(key, 4))(keys.reshape(-1))
            jitter, draw, noise_coarse, noise_fine = (
                split[:, i].reshape(keys.shape) for i in range(4)
            )
        distances = intervals.stratified(rays.near, rays.far, self.coarse_samples, jitter)
        coarse = self._render(params, "coarse", rays, distances, noise_coarse)
        assert coarse.weights is not None, "compositing gives them"
        more = intervals.importance(distances, coarse.weights, self.fine_samples, draw)
        distances = jnp.sort(jnp.concatenate([distances, more], axis=-1), axis=-1)
        fine = self._render(params, "fine", rays, distances, noise_fine)
        return {"coarse": coarse, "fine": fine}

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`."""
        samples = self.coarse_samples, self.coarse_samples + self.fine_samples
        return nerf_work.work(self.mlp, samples, roles, is_training=bool(roles))

    def _render(
        self,
        params: Params,
        level: str,
        rays: Rays,
        distances: Float[Array, "*b S"],
        noise_keys: Key[Array, "*b"] | None,
    ) -> Rendering:
        """What the networks of a level (`coarse`, `fine`) show at some samples."""
        raw_density, rgb = self._evaluate(params[level], rays, distances)
        density = nn.relu(raw_density + self._noise(noise_keys, distances))
        return self._composite(density, rgb, rays, distances)

    def _evaluate(
        self, network: Params, rays: Rays, distances: Float[Array, "*b S"]
    ) -> tuple[Float[Array, "*b S"], Float[Array, "*b S 3"]]:
        """A network's raw density, and color in [0, 1], at samples along rays."""
        positions = (
            rays.origins[..., None, :] + rays.directions[..., None, :] * distances[..., None]
        )
        raw_density, raw_rgb = self.mlp.apply({"params": network}, positions, rays.viewdirs)
        return raw_density, nn.sigmoid(raw_rgb)

    def _noise(
        self, keys: Key[Array, "*b"] | None, distances: Float[Array, "*b S"]
    ) -> Float[Array, "*b S"] | float:
        """Noise on raw densities, in training."""
        if keys is None or self.density_noise <= 0.0:
            return 0.0
        normal = intervals.per_ray(jax.random.normal, keys, distances.shape[-1])
        return self.density_noise * normal

    def _composite(
        self,
        density: Float[Array, "*b S"],
        rgb: Float[Array, "*b S 3"],
        rays: Rays,
        distances: Float[Array, "*b S"],
    ) -> Rendering:
        return composite.composite(
            density,
            rgb,
            composite.open_edges(distances),
            unit=jnp.linalg.norm(rays.directions, axis=-1, keepdims=True),
            background=self.background,
        )
