"""The original's numbers, function by function: rays, encodings, network, compositing, sampling.

The fixtures can be exchanged for others of other sizes: every size is read from the arrays.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.geometry import ndc
from inv_jax.models import convert, encodings
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.render import composite, intervals
from inv_jax.types import Cameras, Rays


def assert_equal(ours, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Within a relative tolerance of each number, or of the array's largest."""
    ours = np.asarray(ours)
    assert ours.shape == expected.shape
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * scale)


def assert_disparity_equal(ours, acc, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Weighted by what the ray hits: of a ray that hits little it divides two small sums.

    Where the original divides 0 by 0, any finite number will do.
    """
    assert np.isfinite(ours).all()
    defined = np.isfinite(expected)
    assert_equal(np.asarray(ours * acc)[defined], (expected * acc)[defined], tolerance)


def params_of(arrays, prefix: str) -> dict[str, np.ndarray]:
    names = [name for name in arrays.files if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays[name] for name in names}


def mlp_of(state_dict: dict[str, np.ndarray]) -> NerfMlp:
    """The network whose params these are: width, depth, octaves and skip from their shapes."""
    width, encoded = state_dict["pts_linears.0.weight"].shape
    depth = sum(name.startswith("pts_linears.") and name.endswith("bias") for name in state_dict)
    inputs = [state_dict[f"pts_linears.{i}.weight"].shape[1] for i in range(1, depth)]
    skips = [i for i, features in enumerate(inputs) if features != width]
    directions = state_dict["views_linears.0.weight"].shape[1] - width
    return NerfMlp(
        width=width,
        depth=depth,
        structure_layers=min(3, depth),
        skip_layer=skips[0] if skips else None,
        position_octaves=(encoded // 3 - 1) // 2,
        direction_octaves=(directions // 3 - 1) // 2,
    )


def test_rays_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "inv" / "rays.npz")
    height, width = int(arrays["height"]), int(arrays["width"])
    cameras = Cameras(
        jnp.asarray(arrays["camera_to_world"])[None],
        jnp.asarray(arrays["intrinsics"])[None],
        near=jnp.float32(0.0),
        far=jnp.float32(1.0),
        height=height,
        width=width,
    )
    image_rays = jax.jit(cameras_lib.image_rays, static_argnums=1)
    rays = image_rays(cameras, 0)
    assert_equal(rays.origins, arrays["origins"])
    assert_equal(rays.directions, arrays["directions"])

    near_plane = float(arrays["ndc_near"])
    origins, directions = ndc.warp_rays(
        rays.origins,
        rays.directions,
        focal=jnp.full((height, width), arrays["intrinsics"][0, 0]),
        height=height,
        width=width,
        near_plane=near_plane,
    )
    assert_equal(origins, arrays["ndc_origins"])
    assert_equal(directions, arrays["ndc_directions"])
    if near_plane == 1.0:
        warped = image_rays(cameras.replace(ndc=True), 0)
        assert_equal(warped.origins, arrays["ndc_origins"])
        assert_equal(warped.directions, arrays["ndc_directions"])


def test_encodings_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "inv" / "posenc.npz")
    names = [name for name in arrays.files if name.startswith("encoded_")]
    assert names
    for name in names:
        octaves = int(name.removeprefix("encoded_"))
        assert_equal(encodings.octaves(jnp.asarray(arrays["x"]), octaves), arrays[name])


@pytest.mark.parametrize("kind", ["noskip", "skip"])
def test_network_equals_the_original(parity: pathlib.Path, kind: str):
    arrays = np.load(parity / "inv" / f"nerf_mlp_{kind}.npz")
    state_dict = params_of(arrays, "param/")
    mlp = mlp_of(state_dict)
    assert (mlp.skip_layer is None) == (kind == "noskip")
    shapes = jax.eval_shape(Nerf(mlp).init, jax.random.key(0))
    template = {"fine": jax.tree.map(lambda leaf: np.zeros(leaf.shape), shapes["fine"])}
    params = convert.import_state_dicts({"fine": state_dict}, template)["fine"]

    # An encoding begins with what it encodes.
    inputs = arrays["inputs"]
    split = encodings.octave_features(3, mlp.position_octaves)
    positions, viewdirs = inputs[:, None, :3], inputs[:, split : split + 3]
    density, rgb = jax.jit(mlp.apply)({"params": params}, positions, viewdirs)
    assert_equal(np.concatenate([rgb[:, 0], density], axis=-1), arrays["outputs"])


@pytest.mark.parametrize(("kind", "background"), [("black", 0.0), ("white", 1.0)])
def test_volume_rendering_equals_the_original(parity: pathlib.Path, kind: str, background: float):
    arrays = np.load(parity / "inv" / f"volume_rendering_{kind}.npz")
    raw = jnp.asarray(arrays["raw"])
    density, rgb = jax.nn.relu(raw[..., 3]), jax.nn.sigmoid(raw[..., :3])
    edges = composite.open_edges(jnp.asarray(arrays["z_vals"]))
    unit = jnp.linalg.norm(jnp.asarray(arrays["directions"]), axis=-1, keepdims=True)
    render = jax.jit(composite.composite, static_argnums=4)
    ours = render(density, rgb, edges, unit, background)
    assert_equal(composite.opacity(density, edges, unit), arrays["alpha"])
    assert_equal(ours.weights, arrays["weights"])
    assert_equal(ours.rgb, arrays["rgb"])
    assert_equal(ours.acc, arrays["accumulation"])
    assert_equal(ours.depth, arrays["depth"])
    assert_disparity_equal(ours.disparity, arrays["accumulation"], arrays["disparity"])


def test_samples_by_weight_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "inv" / "sample_pdf.npz")
    bins, weights = jnp.asarray(arrays["bins"]), jnp.asarray(arrays["weights"])
    num_rays, num_samples = arrays["samples_det"].shape
    even = jnp.tile(jnp.linspace(0.0, 1.0, num_samples), (num_rays, 1))
    invert_cdf = jax.jit(intervals.invert_cdf)
    assert_equal(invert_cdf(bins, weights, even), arrays["samples_det"])
    assert_equal(invert_cdf(bins, weights, np.float32(arrays["u"])), arrays["samples_u"])


def test_rendered_rays_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "inv" / "render_rays.npz")
    state_dicts = {name: params_of(arrays, f"param/{name}/") for name in ("coarse", "fine")}
    model = Nerf(
        mlp_of(state_dicts["fine"]),
        coarse_samples=int(arrays["num_coarse"]),
        fine_samples=int(arrays["num_fine"]),
    )
    template = jax.eval_shape(model.init, jax.random.key(0))
    params = convert.import_state_dicts(state_dicts, template)

    origins, directions = jnp.asarray(arrays["origins"]), jnp.asarray(arrays["directions"])
    ones = jnp.ones_like(origins[:, :1])
    warped = ndc.warp_rays(
        origins,
        directions,
        focal=float(arrays["fx"]) * ones[:, 0],
        height=int(arrays["height"]),
        width=int(arrays["width"]),
    )
    viewdirs = directions / jnp.linalg.norm(directions, axis=-1, keepdims=True)
    rays = Rays(*warped, viewdirs, float(arrays["near"]) * ones, float(arrays["far"]) * ones)
    ours = jax.jit(model.predict)(params, rays)
    for network, suffix in (("fine", ""), ("coarse", "_coarse")):
        acc, disparity = arrays[f"accumulation{suffix}"], arrays[f"disparity{suffix}"]
        assert_equal(ours[network].rgb, arrays[f"rgb{suffix}"], 1e-4)
        assert_equal(ours[network].acc, acc, 1e-4)
        assert_disparity_equal(ours[network].disparity, acc, disparity, 1e-4)

    # Where the fine samples lie: the original stores how far they spread.
    distances = intervals.stratified(rays.near, rays.far, model.coarse_samples)
    more = intervals.importance(distances, ours["coarse"].weights, model.fine_samples)
    assert_equal(np.std(more, axis=-1), arrays["z_std"], 1e-4)
