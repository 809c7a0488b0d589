"""What cannot be right is said in one line, before anything is trained."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from configs import nerv
from inv_jax.types import InvError

_ROOT = pathlib.Path(__file__).parents[2]


def message_of(run, capsys, workdir: pathlib.Path, *arguments: str) -> str:
    """The one line of a training that is refused."""
    assert run("train", f"--workdir={workdir}", *arguments) == 2
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("inv-jax: ")
    ]
    assert not list(workdir.glob("frames/*"))
    return line


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model.strides": (4, 3)}, ["model.strides=(4, 3)", "36x48", "24x32"]),
        ({"data.num_frames": 1}, ["data.num_frames", "2 at least"]),
        ({"train.segment_frames": 1}, ["train.segment_frames", "2 at least"]),
        (
            {"prune.ratio": 0.5, "prune.steps": (0.0, 0.2, 0.4), "train.epochs": 2},
            ["prune.steps", "3 prunings", "train.epochs=2"],
        ),
        ({"prune.ratio": 1.5}, ["prune.ratio=1.5"]),
        ({"prune.ratio": 0.5, "prune.layers": ("trunk",)}, ["prune.layers", "stem_0"]),
        ({"train.loss": "fusion10"}, ["train.loss='fusion10'", "161", "24x32"]),
        (
            {"train.loss": "fusion6", "model.single_res": False, "model.strides": (2, 4)},
            ["train.loss='fusion6'", "6x8"],
        ),
        ({"train.loss": "sharp"}, ["train.loss='sharp'", "fusion6"]),
        ({"train.rows_per_step": 3}, ["train.rows_per_step=3", "4 devices"]),
        ({"train.rows_per_step": 12}, ["train.rows_per_step=12", "8 pictures"]),
        ({"model.norm": "bn"}, ["model.norm='bn'", "choose"]),
        ({"model.upsampling": "nearest"}, ["model.upsampling='nearest'", "bilinear"]),
        ({"model.embed": "fine"}, ["model.embed", "1.25_40"]),
        ({"data.height": 12}, ["data.width"]),
        ({"data.frame_ids": (1, 99)}, ["99"]),
        ({"model.widths": 3}, ["'widths'", "stem_width"]),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_a_setting_that_cannot_be_right_is_named(run, arguments, tmp_path, capsys, changes, named):
    line = message_of(run, capsys, tmp_path / "run", *arguments(changes))
    assert all(part in line for part in named), line


def test_frames_of_several_sizes_are_refused(run, arguments, make_clip, tmp_path, capsys):
    clip = make_clip(8)
    Image.fromarray(np.zeros((20, 32, 3), np.uint8)).save(clip / "0005.png")
    line = message_of(run, capsys, tmp_path, *arguments({"data.path": clip}))
    assert "0005.png" in line


def test_one_camera_at_a_time(run, arguments, tiny_capture, tmp_path, capsys):
    """The capture has three, and holds out one."""
    changes = {
        "data.path": tiny_capture(24, 32),
        "data.layout": "n3dv",
        "data.factor": 2,
        "data.num_frames": 3,
    }
    line = message_of(run, capsys, tmp_path, *arguments(changes))
    assert "one camera sees" in line
    assert "data.layout=video" in line


def test_rays_have_no_structure_to_compare(run, tiny_capture, tmp_path, capsys):
    capture = tiny_capture(24, 32)
    flags = [f"--config={_ROOT / 'configs' / 'base.py'}", f"--config.data.path={capture}"]
    line = message_of(run, capsys, tmp_path, *flags, "--config.train.loss=ssim")
    assert "train.loss='ssim'" in line
    assert "trains on rays" in line


def test_a_clip_that_is_stored_does_not_grow(run, train, arguments, tmp_path, capsys):
    train(tmp_path, {"train.epochs": 1})
    before = (tmp_path / "config.json").read_text()
    changes = {"train.epochs": 1, "data.num_frames": 10}
    assert run("train", f"--workdir={tmp_path}", *arguments(changes)) == 2
    assert "data.num_frames (8 there, 10 here)" in capsys.readouterr().err
    assert (tmp_path / "config.json").read_text() == before


def test_names_of_the_config_are_those_there_are():
    with pytest.raises(InvError, match=r"no 'XL'; choose among S, M, L, .*bunny_S.*small"):
        nerv.get_config("XL")
