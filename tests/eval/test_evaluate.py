"""What is written of a frame's view."""

import types

import numpy as np
import pytest
from PIL import Image

from inv_jax.eval.evaluate import Evaluator
from inv_jax.render.view import View


@pytest.fixture
def evaluator(tmp_path):
    capture = types.SimpleNamespace(
        shown_cam=0,
        camera_names=("cam00",),
        test_cams=(0,),
        bounds=np.float32([[1, 4]]),
        cameras=None,
    )
    return Evaluator(None, capture, tmp_path, "cam{cam}_frame{frame}_step{step}_{psnr:.2f}.png")


def _view(level, layers=None):
    return View(np.full((12, 16, 3), level, np.float32), acc=np.ones((12, 16)), layers=layers)


def _names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def test_layers_go_to_folders_beside_under_the_name_of_the_blend(evaluator, tmp_path):
    layers = {"static": _view(0.2), "dynamic": _view(0.6)}
    truth = np.zeros((12, 16, 3), np.uint8)
    evaluator.finish(3, _view(0.7, layers), truth)  # as of a run that was killed
    row = evaluator.finish(3, _view(0.4, layers), truth)
    name = f"cam00_frame0003_{row['psnr']:.6f}.png"
    folders = ("", "compare/", "dynamic/", "dynamic_acc/", "static/")
    assert _names(tmp_path / "nerf_esti") == sorted(folder + name for folder in folders)
    for folder, level in (("", 102), ("static", 51), ("dynamic", 153)):
        assert (np.asarray(Image.open(tmp_path / "nerf_esti" / folder / name)) == level).all()


def test_a_plain_view_is_written_alone_also_within_a_frame(evaluator, tmp_path):
    row = evaluator.finish(3, _view(0.5), np.zeros((12, 16, 3), np.uint8), step=7)
    name = f"cam0_frame3_step7_{row['psnr']:.2f}.png"
    assert _names(tmp_path / "nerf_esti") == [name, f"compare/{name}"]
