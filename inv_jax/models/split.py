"""Split INV: a static field shows what stands still, a dynamic one what moves, blended.

Each field is a NeRF, coarse and fine, of one shape. At each sample of a ray both are evaluated,
and what they say is blended to one density and one color (`render/blend.py`); where the fine
samples lie is decided by the blend.

Networks are `static_coarse`, `static_fine`, `dynamic_coarse`, `dynamic_fine`. The layers of the
static field have roles of their own (`params.STATIC_ROLES`): once frozen it is shared whole.
"""

import dataclasses
from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Key, PRNGKeyArray

from inv_jax import params as params_lib
from inv_jax.models import nerf_work
from inv_jax.models.base import Model
from inv_jax.models.nerf import Nerf
from inv_jax.models.work import Work
from inv_jax.render import blend as blend_lib
from inv_jax.types import Params, Rays, Rendering

STATIC, DYNAMIC = "static", "dynamic"  # the fields
_LEVELS = ("coarse", "fine")
_PLAIN_ROLES = params_lib.STRUCTURE, params_lib.COLOR
_STATIC_ROLE = dict(zip(_PLAIN_ROLES, params_lib.STATIC_ROLES, strict=True))


def networks(field: str) -> tuple[str, ...]:
    """Names of a field's networks."""
    return tuple(f"{field}_{level}" for level in _LEVELS)


@dataclasses.dataclass(frozen=True)
class SplitNerf(Nerf):
    """Two NeRFs in one space.

    Attributes:
      blend: Of the two, one of `blend.BLENDS`.
    """

    blend: str = "softmax"

    def __post_init__(self):
        super().__post_init__()
        blend_lib.get(self.blend)

    def init(self, key: PRNGKeyArray) -> Params:
        """Fresh params of both fields."""
        return _both_fields(super().init, key)

    @property
    def roles(self) -> params_lib.Roles:
        """See `Model.roles`; those of the static field are shared, too."""
        plain = super().roles
        return dataclasses.replace(plain, shared=(*plain.shared, *params_lib.STATIC_ROLES))

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`: of a step that renders both fields."""
        samples = self.coarse_samples, self.coarse_samples + self.fine_samples
        dynamic = tuple(role for role in _PLAIN_ROLES if role in roles)
        return nerf_work.work(
            self.mlp, samples, _static_roles(roles), dynamic, is_training=bool(roles)
        )

    def part(self, name: str) -> Model:
        """The static field alone, with samples where it has something itself; see `Model.part`.

        The dynamic one means nothing alone: it is trained within the blend only.
        """
        if name != STATIC:
            return super().part(name)
        plain = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(Nerf)  # not those of this class
        }
        return _StaticField(**plain)

    def _render(
        self,
        params: Params,
        level: str,
        rays: Rays,
        distances: Float[Array, "*b S"],
        noise_keys: Key[Array, "*b"] | None,
    ) -> Rendering:
        """The blend of both fields; what each shows alone, at the same samples, is in `layers`.

        The dynamic layer lies over black: what it is not, is nothing.
        """
        raw, rgb = zip(
            *(
                self._evaluate(_network(params, field, level), rays, distances)
                for field in (STATIC, DYNAMIC)
            ),
            strict=True,
        )
        blend = blend_lib.get(self.blend)
        blended = blend(raw, rgb, self._noise(noise_keys, distances))
        static, dynamic = blended.layers
        layers = {
            STATIC: self._composite(*static, rays, distances),
            DYNAMIC: dataclasses.replace(self, background=0.0)._composite(
                *dynamic, rays, distances
            ),
        }
        picture = self._composite(blended.density, blended.rgb, rays, distances)
        return picture.replace(layers=layers)


@dataclasses.dataclass(frozen=True)
class _StaticField(Nerf):
    """The static field of a `SplitNerf`; it takes the params of both."""

    def init(self, key: PRNGKeyArray) -> Params:
        """The same params as of the whole model."""
        return _both_fields(super().init, key)

    @property
    def roles(self) -> params_lib.Roles:
        """The roles of the whole model."""
        plain = super().roles
        return dataclasses.replace(plain, shared=(*plain.shared, *params_lib.STATIC_ROLES))

    def work(self, roles: tuple[str, ...]) -> Work:
        """See `Model.work`; the roles are those of the whole model."""
        return super().work(_static_roles(roles))

    def _render(
        self,
        params: Params,
        level: str,
        rays: Rays,
        distances: Float[Array, "*b S"],
        noise_keys: Key[Array, "*b"] | None,
    ) -> Rendering:
        network = _network(params, STATIC, level)
        return super()._render({level: network}, level, rays, distances, noise_keys)


def _both_fields(init: Callable[[PRNGKeyArray], Params], key: PRNGKeyArray) -> Params:
    """Params of both fields, each begun as a plain NeRF's."""
    params: Params = {}
    for field, field_key in zip((STATIC, DYNAMIC), jax.random.split(key), strict=True):
        levels = init(field_key)
        for level in _LEVELS:
            params[f"{field}_{level}"] = {
                _STATIC_ROLE[role] if field == STATIC else role: layers
                for role, layers in levels[level].items()
            }
    return params


def _static_roles(roles: tuple[str, ...]) -> tuple[str, ...]:
    """What trains of the static field, as roles of a plain NeRF."""
    return tuple(role for role in _PLAIN_ROLES if _STATIC_ROLE[role] in roles)


def _network(params: Params, field: str, level: str) -> Params:
    """A network's layers, under the roles of a plain NeRF's."""
    found = params[f"{field}_{level}"]
    if field == DYNAMIC:
        return found
    return {role: found[name] for role, name in _STATIC_ROLE.items() if name in found}
