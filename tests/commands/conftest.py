"""Small runs that nobody trained, and a process that is left as it was."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from configs import base
from inv_jax import settings
from inv_jax.assembly import build, captures, record
from inv_jax.checkpoint import FrameStore
from inv_jax.player.player import Player
from inv_jax.render.view import View
from inv_jax.train.parallel import Devices
from inv_jax.types import Cameras, Params

_TINY = {
    "data.near": 0.0,
    "model.width": 8,
    "model.depth": 2,
    "model.structure_layers": 1,
    "model.position_octaves": 2,
    "model.direction_octaves": 1,
    "model.coarse_samples": 4,
    "model.fine_samples": 4,
}


@pytest.fixture(scope="session")
def untrained(tmp_path_factory) -> Callable[..., pathlib.Path]:
    """`untrained(capture, frames, seed, **model)`: a workdir; its params are a number each."""

    def make(
        capture: pathlib.Path, frames: tuple[int, ...] = (1, 2, 3), seed: int = 0, **model: Any
    ) -> pathlib.Path:
        workdir = tmp_path_factory.mktemp("runs") / f"run{seed}"
        own = {f"model.{name}": value for name, value in model.items()}
        changes = {"data.path": str(capture), **_TINY, **own}
        config = settings.changed(base.get_config(), changes)
        opened = captures.of(config, workdir)
        record.write(config, workdir, Devices(), rows_per_pass=0, capture=opened.fingerprint)
        net = build.model(config)
        shapes = jax.eval_shape(net.init, jax.random.key(0))
        params = jax.tree.map(lambda leaf: np.full(leaf.shape, seed, leaf.dtype), shapes)
        store = FrameStore(workdir, roles=net.roles)
        for frame in frames:
            store.save(frame, params, {}, trained=net.roles.all, metadata={})
        store.close()
        return workdir

    return make


@pytest.fixture
def painted(monkeypatch) -> None:
    """Views are not rendered: their color tells the run's seed (red) and the camera's x (green).

    Those of a split model have layers: `static` is blue, `dynamic` half there and gray.
    """

    def look(self: Player, params: Params, cameras: Cameras, cam: int, *_: Any) -> View:
        shape = (cameras.height, cameras.width)
        rgb = np.zeros((*shape, 3), np.float32)
        rgb[..., 0] = 0.1 * jax.tree.leaves(params)[0].max()
        rgb[..., 1] = 0.5 + cameras.cam_to_world[cam, 0, 3]
        found = View(rgb, np.full(shape, 0.5, np.float32), np.ones(shape, np.float32))
        if not any(network.startswith("dynamic") for network in params):
            return found
        blue, gray = np.zeros_like(rgb), np.full_like(rgb, 0.5)
        blue[..., 2] = 1.0
        dynamic = found.replace(rgb=gray, acc=np.full(shape, 0.5, np.float32))
        return found.replace(layers={"static": found.replace(rgb=blue), "dynamic": dynamic})

    def view(self: Player, frame: int, cameras: Cameras, cam: int) -> View:
        return look(self, self._source.params(frame), cameras, cam)

    monkeypatch.setattr(Player, "look", look)
    monkeypatch.setattr(Player, "view", view)
