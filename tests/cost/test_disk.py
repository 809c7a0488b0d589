"""Bytes on disk against what the store writes."""

import pathlib

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.cost import disk
from inv_jax.models.mlp import NerfMlp
from inv_jax.models.nerf import Nerf
from inv_jax.models.split import SplitNerf
from inv_jax.train import optimizer

STRUCTURE, BOTH = (params_lib.STRUCTURE,), (params_lib.STRUCTURE, params_lib.COLOR)


def _folder_bytes(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "mlp", [NerfMlp(), NerfMlp(width=64, depth=4, structure_layers=1)], ids=["full", "small"]
)
def test_counted_bytes_are_what_the_store_writes_within_five_percent(mlp, tmp_path):
    nerf = Nerf(mlp)
    params = jax.device_get(nerf.init(jax.random.key(0)))
    tx = optimizer.make_optimizer(params.keys(), 2.0)
    rng = np.random.default_rng(0)
    states = {
        roles: {
            path: np.float32(1e-4 * rng.normal(size=np.shape(leaf))) if np.ndim(leaf) else leaf
            for path, leaf in params_lib.flatten(
                tx.init(params_lib.split(params, roles)[0])
            ).items()
        }
        for roles in (BOTH, STRUCTURE)
    }
    store = FrameStore(tmp_path, roles=nerf.roles)
    store.save(1, params, states[BOTH], trained=BOTH, metadata={"loss": 0.1})
    store.save(2, params, states[STRUCTURE], trained=STRUCTURE, metadata={"loss": 0.1})
    store.close()

    counted = disk.of_run(nerf, trained=[STRUCTURE], view_pixels=0, saves_within=False)
    first, second = (_folder_bytes(tmp_path / "frames" / f"{n:06d}") for n in (1, 2))
    assert first == pytest.approx(counted.frame + counted.color, rel=0.05)
    assert second == pytest.approx(counted.frame + counted.newest, rel=0.05)


def test_frames_at_once_have_a_state_each():
    nerf = Nerf(NerfMlp(width=8, depth=2, structure_layers=1))
    none, one, four = (
        disk.of_run(
            nerf, trained=[STRUCTURE], view_pixels=0, saves_within=count > 0, frames_at_once=count
        )
        for count in (0, 1, 4)
    )
    assert four.newest - none.newest == 4 * (one.newest - none.newest) > 0


def test_a_run_has_its_shared_layers_once_for_all_frozen_frames():
    nerf = Nerf(NerfMlp(width=8, depth=2, structure_layers=1))
    once, thrice = (
        disk.of_run(
            nerf,
            trained=[BOTH] * warmup + [STRUCTURE] * 20,
            view_pixels=100,
            saves_within=False,
        )
        for warmup in (1, 3)
    )
    assert thrice.color == 3 * once.color
    assert thrice.run(30) == 30 * (once.frame + once.pictures) + thrice.color + once.newest
    assert thrice.run(30, views=7) == thrice.run(30) - 23 * once.pictures


def test_of_two_fields_later_frames_store_what_trains_of_them():
    """Warm-Up with a static field that came trained: its color layers are stored once."""
    net = SplitNerf(NerfMlp(width=8, depth=2, structure_layers=1))
    first = (params_lib.STRUCTURE, params_lib.COLOR, params_lib.STATIC_STRUCTURE)
    one, two, all_roles = (
        disk.of_run(net, trained=trained, view_pixels=0, saves_within=False).color
        for trained in ([first], [first, first], [first, net.roles.all])
    )
    assert one < two < all_roles == 2 * one
