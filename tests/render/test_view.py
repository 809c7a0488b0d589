"""Whole images: every pixel gets its own ray's color, however the image is cut and shared out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.models.base import Model
from inv_jax.models.work import Work
from inv_jax.params import Roles
from inv_jax.render.view import View, ViewRenderer
from inv_jax.sampling.rows import Rows
from inv_jax.sampling.views import VIEWS
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, Params, Places, Predictions, Rays, Rendering

HEIGHT, WIDTH = 5, 7


class RayColors(Model):
    """Shows each ray's own numbers, so that every pixel has a known value."""

    def __init__(self):
        self.num_traces = 0

    def init(self, key: jax.Array) -> Params:
        return {"fine": {"color": {"layer": {"bias": jnp.float32(0.5)}}}}

    @property
    def roles(self) -> Roles:
        return Roles(own=("color",))

    @property
    def precision(self) -> str:
        return "float32"

    def inputs(self, cameras: Cameras, places: Places) -> Rays | Places:
        return cameras_lib.cast_rays(cameras, places.cams, places.cols, places.rows)

    def work(self, roles: tuple[str, ...]) -> Work:
        raise NotImplementedError

    def predict(
        self, params: Params, inputs: Rays, *, keys: jax.Array | None = None
    ) -> Predictions:
        assert keys is None  # evaluation has no jitter and no noise
        rays = inputs
        self.num_traces += 1
        scale = params["fine"]["color"]["layer"]["bias"]
        rgb = scale * (rays.viewdirs + 1.0)
        sums = [jnp.sum(x, axis=-1) for x in (rays.origins, rays.directions)]
        empty = jnp.zeros_like(rgb[..., :0])
        fine = Rendering(rgb=rgb, acc=sums[0], depth=sums[1], disparity=sums[0], weights=empty)
        return {"coarse": jax.tree.map(jnp.zeros_like, fine), "fine": fine}


class WholeViews(RayColors):
    """Shows a whole view at once: the camera's number in red, the time in green."""

    @property
    def rows(self) -> Rows:
        return VIEWS

    def inputs(self, cameras: Cameras, places: Places) -> Places:
        assert places.cols is places.rows is None
        return places.replace(cams=cameras.intrinsics[places.cams, 0, 0] - 6.0)

    def predict(
        self, params: Params, inputs: Places, *, keys: jax.Array | None = None
    ) -> Predictions:
        self.num_traces += 1
        colors = jnp.stack([inputs.cams / 4, inputs.times, 0 * inputs.times], axis=-1)
        shape = (*inputs.times.shape, HEIGHT, WIDTH, 3)
        return {"decoder": Rendering(rgb=jnp.broadcast_to(colors[:, None, None, :], shape))}


def make_cameras() -> Cameras:
    poses = np.tile(np.eye(3, 4, dtype=np.float32), (3, 1, 1))
    poses[:, :, 3] = np.random.default_rng(0).normal(size=(3, 3))
    intrinsics = np.float32([[[6.0 + n, 0, 3.3], [0, 8.0 - n, 2.1], [0, 0, 1]] for n in range(3)])
    bounds = {"near": jnp.float32(0.0), "far": jnp.float32(1.0)}
    return Cameras(
        jnp.asarray(poses), jnp.asarray(intrinsics), **bounds, height=HEIGHT, width=WIDTH
    )


def render(num_devices: int, rows_per_chunk: int, cam: int = 1) -> View:
    model = RayColors()
    devices = Devices(jax.local_devices()[:num_devices])
    renderer = ViewRenderer(model, devices, rows_per_chunk)
    return renderer.render(renderer.params(model.init(jax.random.key(0))), make_cameras(), cam)


@pytest.mark.parametrize(
    ("num_devices", "rows_per_chunk"),
    [(1, 1000), (1, 35), (1, 8), (4, 1000), (4, 3), (4, 1)],
)
def test_every_pixel_is_its_rays_however_the_image_is_cut(num_devices, rows_per_chunk):
    model, cam = RayColors(), 1
    rays = cameras_lib.image_rays(make_cameras(), cam)
    expected = model.predict(model.init(jax.random.key(0)), rays)["fine"]
    view = render(num_devices, rows_per_chunk, cam)
    assert view.rgb.shape == (HEIGHT, WIDTH, 3)
    for name in ("rgb", "acc", "depth"):
        ours = getattr(view, name)
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, getattr(expected, name), rtol=1e-5, atol=1e-6)


def test_all_cameras_and_params_run_one_program():
    model = RayColors()
    renderer = ViewRenderer(model, Devices(jax.local_devices()[:2]), rows_per_chunk=6)
    first = model.init(jax.random.key(0))
    darker = jax.tree.map(lambda x: 0.5 * x, first)
    views = []
    for params, cam in ((first, 0), (first, 2), (darker, 2)):
        views.append(renderer.render(renderer.params(params), make_cameras(), cam))
    assert model.num_traces == 1
    assert not np.allclose(views[0].rgb, views[1].rgb)
    np.testing.assert_allclose(0.5 * views[1].rgb, views[2].rgb, rtol=1e-5)


@pytest.mark.parametrize("num_devices", [1, 4])
@pytest.mark.parametrize("rows_per_chunk", [1, 64])
def test_a_view_of_one_row_is_that_row_at_its_time(num_devices, rows_per_chunk):
    model = WholeViews()
    renderer = ViewRenderer(model, Devices(jax.local_devices()[:num_devices]), rows_per_chunk)
    placed = renderer.params(model.init(jax.random.key(0)))
    for cam, time in ((0, 0.0), (2, 0.25), (1, 0.75)):
        view = renderer.render(placed, make_cameras(), cam, time)
        assert view.rgb.shape == (HEIGHT, WIDTH, 3)
        assert view.acc is view.depth is None
        np.testing.assert_array_equal(view.rgb[..., 0], np.float32(cam / 4))
        np.testing.assert_array_equal(view.rgb[..., 1], np.float32(time))
    assert model.num_traces == 1
