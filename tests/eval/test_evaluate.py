"""What is written of a segment's views."""

import types

import numpy as np
import pytest
from PIL import Image

from inv_jax.data.segments import Segment
from inv_jax.eval.evaluate import Evaluator
from inv_jax.render.view import View

_NAME = "cam{cam}_frame{frame}_step{step}_{psnr:.2f}.png"


@pytest.fixture
def capture():
    return types.SimpleNamespace(
        shown_cam=0,
        camera_names=("cam00",),
        test_cams=(0,),
        bounds=np.float32([[1, 4]]),
        cameras=None,
    )


@pytest.fixture
def evaluator(capture, tmp_path):
    return Evaluator(None, capture, tmp_path, _NAME)


def _segment(frames: range) -> Segment:
    return Segment(frames, frames, frames)


def _view(level, layers=None):
    return View(np.full((12, 16, 3), level, np.float32), acc=np.ones((12, 16)), layers=layers)


def _names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def test_layers_go_to_folders_beside_under_the_name_of_the_blend(evaluator, tmp_path):
    layers = {"static": _view(0.2), "dynamic": _view(0.6)}
    truth = np.zeros((12, 16, 3), np.uint8)
    evaluator.finish(
        _segment(range(3, 4)), 3, _view(0.7, layers), truth
    )  # as of a run that was killed
    row = evaluator.finish(_segment(range(3, 4)), 3, _view(0.4, layers), truth)
    name = f"cam00_frame0003_{row['psnr']:.6f}.png"
    folders = ("", "compare/", "dynamic/", "dynamic_acc/", "static/")
    assert _names(tmp_path / "nerf_esti") == sorted(folder + name for folder in folders)
    for folder, level in (("", 102), ("static", 51), ("dynamic", 153)):
        assert (np.asarray(Image.open(tmp_path / "nerf_esti" / folder / name)) == level).all()


def test_a_plain_view_is_written_alone_also_within_a_frame(evaluator, tmp_path):
    row = evaluator.finish(
        _segment(range(3, 4)), 3, _view(0.5), np.zeros((12, 16, 3), np.uint8), step=7
    )
    name = f"cam0_frame3_step7_{row['psnr']:.2f}.png"
    assert _names(tmp_path / "nerf_esti") == [name, f"compare/{name}"]


@pytest.mark.parametrize(
    ("most", "drawn"), [(0, range(10, 19)), (1, [10]), (3, [10, 14, 18]), (9, range(10, 19))]
)
def test_of_a_clip_some_views_are_written_and_all_are_measured(capture, tmp_path, most, drawn):
    clip, truth = _segment(range(10, 19)), np.zeros((12, 16, 3), np.uint8)
    evaluator = Evaluator(None, capture, tmp_path, "{frame}.png", most)
    rows = [evaluator.finish(clip, frame, _view(0.5), truth, step=1) for frame in clip.shown]
    assert all({"cam", "held_out", "psnr", "ssim"} == row.keys() for row in rows)
    both = [f"{folder}{frame}.png" for folder in ("", "compare/") for frame in drawn]
    assert _names(tmp_path / "nerf_esti") == sorted(both)
