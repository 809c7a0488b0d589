"""Clips in training: several in a run, frames left out, any number of devices, all heads."""

import functools
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from stored import journal

from inv_jax import params as params_lib
from inv_jax.assembly import build, record
from inv_jax.checkpoint import FrameStore
from inv_jax.train.parallel import Devices

_ROOT = pathlib.Path(__file__).parents[2]


def leaves(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    return params_lib.flatten(FrameStore(workdir).params(1))


# Several clips, and which frames are in one.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"train.segment_frames": 4}, [range(1, 5), range(5, 9)], marks=pytest.mark.slow
        ),
        (
            {"train.segment_frames": 4, "data.num_frames": 10, "train.rows_per_step": 2},
            [range(1, 5), range(5, 9), range(9, 11)],
        ),
        (
            {"data.num_frames": 4, "data.first_frame": 5, "train.rows_per_step": 2},
            [range(5, 9)],
        ),
    ],
    ids=["two", "a last one that is shorter", "later frames"],
)
def test_a_run_of_clips(train, tmp_path, monkeypatch, changes, expected):
    monkeypatch.setattr(build, "Devices", lambda: Devices(jax.devices()[:2]))
    store = train(tmp_path, {**changes, "train.epochs": 2})
    assert store.segments() == expected
    frames = [frame for span in expected for frame in span]
    assert [row["frame"] for row in journal(tmp_path)] == store.frames() == frames
    assert [row["frame"] for row in journal(tmp_path) if "steps" in row] == store.numbers()


def test_frames_that_no_step_has_seen_are_measured(train, tmp_path):
    store = train(tmp_path, {"data.frame_step": 2, "data.test_step": 1, "train.epochs": 2})
    assert store.segments() == [range(1, 9)]
    rows = journal(tmp_path)
    assert [row["frame"] for row in rows] == list(range(1, 9))
    assert rows[0]["steps"] == 2  # of 4 frames, each
    assert all(np.isfinite(row["psnr"]) for row in rows)


def test_chosen_frames_are_numbered_anew_and_pooled(train, tmp_path):
    changes = {
        "data.frame_ids": (2, 3, 5, 7),
        "data.num_frames": 0,
        "data.height": 12,
        "data.width": 16,
        "model.strides": (2, 2),
        "train.epochs": 2,
    }
    assert train(tmp_path, changes).frames() == [1, 2, 3, 4]
    assert [row["frame"] for row in journal(tmp_path)] == [1, 2, 3, 4]


# Devices and passes.


_HEADS = {"model.single_res": False, "train.head_weight": 0.5}


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """Params behind 4 steps on so many devices, with these settings; trained once."""

    @functools.cache
    def make(count: int, rows_per_pass: int = 0, heads: bool = False) -> dict[str, np.ndarray]:
        folder = tmp_path_factory.mktemp("trained")
        changes = {"train.epochs": 2, "train.rows_per_pass": rows_per_pass}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "Devices", lambda: Devices(jax.devices()[:count]))
            train(folder, changes | (_HEADS if heads else {}))
        return leaves(folder)

    return make


def _assert_close(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_allclose(found[path], leaf, atol=2e-4, err_msg=path)


@pytest.mark.parametrize("heads", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_any_number_of_devices_trains_on_the_same_pictures(trained, count, heads):
    _assert_close(trained(count, heads=heads), trained(1, 4, heads=heads))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 2])
def test_passes_of_a_step_add_up_to_it(trained, rows):
    _assert_close(trained(1, rows), trained(1, 4))


@pytest.mark.slow
def test_pictures_of_all_heads_count_by_their_weight(train, tmp_path):
    changes = {"model.single_res": False, "train.epochs": 1}
    found = []
    for weight in (0.0, 1.0):
        train(tmp_path / str(weight), {**changes, "train.head_weight": weight})
        found.append(leaves(tmp_path / str(weight)))
    assert {path.split("/")[-2] for path in found[0]} >= {"head_0", "head_1"}
    start = build.model(record.read_config(tmp_path / "0.0"))  # what it began with
    fresh = params_lib.flatten(start.init(jax.random.fold_in(jax.random.key(0), 0)))
    for path, leaf in found[0].items():
        if "head_0" in path:
            np.testing.assert_allclose(leaf, fresh[path], atol=1e-7)
            assert np.abs(found[1][path] - leaf).max() > 1e-4


@pytest.mark.slow
def test_the_demo_is_well_above_30_db(compile_cache, tmp_path):
    """As its docstring has it, on one device; a minute of a free core."""
    one = {**os.environ, "XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": compile_cache}
    config = f"--config={_ROOT / 'configs' / 'nerv.py'}:demo"
    command = [sys.executable, "-m", "inv_jax", "train", config, f"--workdir={tmp_path}"]
    subprocess.run(command, env=one, cwd=_ROOT, check=True, timeout=900)
    found = [row["psnr"] for row in journal(tmp_path)]
    assert len(found) == 32
    assert min(found) > 32.0
