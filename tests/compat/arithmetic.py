"""What a CPU makes of a few training steps, in nothing but JAX: its bits tell CPUs apart.

XLA compiles for the CPU that it finds: with wider vectors sums come in another order, and params
are the same to rounding only. Where `reference` has the recorded bits, runs are to have theirs.

    python tests/compat/arithmetic.py arithmetic.npy
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

_RAYS, _SAMPLES, _WIDTH, _OCTAVES = 128, 9, 24, 4


def _density_and_rgb(params: dict, points: jax.Array) -> tuple[jax.Array, jax.Array]:
    angles = points[..., None] * 2.0 ** jnp.arange(_OCTAVES).reshape(1, 1, 1, -1)
    x = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
    x = x.reshape(*points.shape[:-1], -1)
    for layer in ("first", "second"):
        x = jax.nn.relu(x @ params[layer] + jnp.mean(params[layer]))
    x = x @ params["last"]
    return jax.nn.softplus(x[..., 0]), jax.nn.sigmoid(x[..., 1:])


def _loss(params: dict, key: jax.Array) -> jax.Array:
    key_rays, key_noise = jax.random.split(key)
    rays = jax.random.uniform(key_rays, (_RAYS, 2, 3))
    depths = jnp.sort(jax.random.uniform(key_noise, (_RAYS, _SAMPLES)), -1)
    points = rays[:, :1] + rays[:, 1:] * depths[..., None]
    density, rgb = _density_and_rgb(params, points)
    passed = jnp.exp(-jnp.cumsum(density / _SAMPLES, -1))
    weights = passed * -jnp.expm1(-density / _SAMPLES)
    found = jnp.sum(weights[..., None] * rgb, -2) / jnp.sqrt(1e-3 + jnp.sum(weights, -1))[:, None]
    return jnp.mean(jnp.square(found - jnp.sin(4.0 * rays[:, 0])))


@jax.jit
def _trained(key: jax.Array) -> dict:
    shapes = {"first": (6 * _OCTAVES, _WIDTH), "second": (_WIDTH, _WIDTH), "last": (_WIDTH, 4)}
    params = {
        name: jax.random.normal(jax.random.fold_in(key, n), shape) / np.sqrt(shape[0])
        for n, (name, shape) in enumerate(shapes.items())
    }
    adam = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(5e-3))

    def step(n: jax.Array, state: tuple) -> tuple:
        params, moments = state
        grads = jax.grad(_loss)(params, jax.random.fold_in(key, n))
        updates, moments = adam.update(grads, moments)
        return optax.apply_updates(params, updates), moments

    return jax.lax.fori_loop(0, 20, step, (params, adam.init(params)))[0]


def reference() -> np.ndarray:
    """The last layer after 20 steps, float32."""
    return np.asarray(_trained(jax.random.key(0))["last"])


if __name__ == "__main__":
    np.save(pathlib.Path(sys.argv[1]), reference())
