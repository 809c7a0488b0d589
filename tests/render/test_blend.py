"""Two fields at one sample: the original's rule against its recorded outputs, and NeRF-W's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.render import blend
from inv_jax.render.composite import composite, open_edges
from inv_jax.types import InvError, Rendering


@pytest.fixture(scope="module")
def recorded(parity) -> dict[str, np.ndarray]:
    with np.load(parity / "inv" / "blend_static_dynamic.npz") as arrays:
        return dict(arrays)


def _render(recorded, density, rgb) -> Rendering:
    unit = np.linalg.norm(recorded["directions"], axis=-1, keepdims=True)
    return composite(density, rgb, open_edges(jnp.asarray(recorded["z_vals"])), jnp.asarray(unit))


def _fields(recorded) -> tuple[tuple, tuple]:
    raws = [jnp.asarray(recorded[f"raw_{field}"]) for field in ("static", "dynamic")]
    return tuple(raw[..., 3] for raw in raws), tuple(jax.nn.sigmoid(raw[..., :3]) for raw in raws)


def test_softmax_rule_shows_what_the_original_shows(recorded):
    raw, rgb = _fields(recorded)
    blended = blend.softmax(raw, rgb, 0.0)
    picture = _render(recorded, blended.density, blended.rgb)
    wanted = {"rgb": "rgb", "acc": "accumulation", "depth": "depth", "weights": "weights"}
    for name, theirs in wanted.items():
        np.testing.assert_allclose(getattr(picture, name), recorded[theirs], atol=1e-5)
    hit = recorded["accumulation"] > 1e-3
    np.testing.assert_allclose(picture.disparity[hit], recorded["disparity"][hit], rtol=1e-4)


@pytest.mark.parametrize("field", [0, 1])
def test_each_field_alone_shows_what_the_original_shows(recorded, field):
    raw, rgb = _fields(recorded)
    picture = _render(recorded, *blend.softmax(raw, rgb, 0.0).layers[field])
    name = ("static", "dynamic")[field]
    np.testing.assert_allclose(picture.rgb, recorded[f"rgb_{name}"], atol=1e-5)
    np.testing.assert_allclose(picture.acc, recorded[f"accumulation_{name}"], atol=1e-5)


def _samples(seed: int = 0) -> tuple[tuple, tuple]:
    rng = np.random.default_rng(seed)
    raw = tuple(jnp.asarray(rng.normal(size=(4, 6)), jnp.float32) for _ in range(2))
    rgb = tuple(jnp.asarray(rng.uniform(size=(4, 6, 3)), jnp.float32) for _ in range(2))
    return raw, rgb


def test_density_weighted_rule_takes_the_color_of_the_field_that_is_there():
    (raw, _), rgb = _samples()
    there, gone = jnp.abs(raw) + 0.1, -20.0 - jnp.abs(raw)
    density, color, _ = blend.density_weighted((there, gone), rgb, 0.0)
    np.testing.assert_allclose(density, there, rtol=1e-6)
    np.testing.assert_allclose(color, rgb[0], atol=1e-4)
    density, color, _ = blend.density_weighted((gone, there), rgb, 0.0)
    np.testing.assert_allclose(density[:, :-1], jnp.logaddexp(there - 1.0, 0.0)[:, :-1], rtol=1e-6)
    np.testing.assert_allclose(color[:, :-1], rgb[1][:, :-1], atol=1e-4)


def test_a_field_pushed_to_nothing_is_clear_to_the_end_of_the_ray_and_has_a_gradient():
    """Over the endless last interval even a density of 1e-6 would be opaque."""
    raw, rgb = _samples()
    gone = jnp.full_like(raw[1], -8.0)
    edges = open_edges(jnp.broadcast_to(jnp.linspace(0.0, 1.0, 6), (4, 6)))

    def acc(dynamic):
        layer = blend.density_weighted((raw[0], dynamic), rgb, 0.0).layers[1]
        return composite(*layer, edges, jnp.ones((4, 1))).acc

    assert np.all(np.asarray(acc(gone)) < 1e-3)
    assert np.all(np.asarray(jax.grad(lambda x: jnp.sum(acc(x)))(gone))[:, :-1] > 0)


def test_density_weighted_rule_is_what_both_fields_emit_in_a_thin_interval():
    """NeRF-W, eq. 10: the sum of both fields' opacity times color, for small opacities."""
    density, color, layers = blend.density_weighted(*_samples(), 0.0)
    length = 1e-3
    emitted = sum((1 - jnp.exp(-alone * length))[..., None] * rgb for alone, rgb in layers)
    blended = (1 - jnp.exp(-density * length))[..., None] * color
    np.testing.assert_allclose(blended, emitted, rtol=2e-2)


@pytest.mark.parametrize("value", [0.0, -200.0])  # the softplus of 0 is a density yet
@pytest.mark.parametrize("name", sorted(blend.BLENDS))
def test_gradients_are_finite_where_no_field_has_any_density(name, value):
    _, rgb = _samples()
    nothing = jnp.full((4, 6), value)

    def total(raw, rgb):
        density, color, _ = blend.get(name)(raw, rgb, 0.0)
        return jnp.sum(density) + jnp.sum(color)

    grads = jax.grad(total, argnums=(0, 1))((nothing, nothing), rgb)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_unknown_rule_is_an_error_that_lists_the_rules():
    with pytest.raises(InvError, match="is unknown; rules are density, softmax"):
        blend.get("mean")
