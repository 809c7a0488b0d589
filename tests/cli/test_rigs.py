"""Rigs and settings that a fast field cannot have, one line for each; nothing is written."""

import pathlib
import re
from collections.abc import Callable

import numpy as np
import pytest
import scenes
import training

from inv_jax.assembly import build
from inv_jax.cost import machine

pytestmark = pytest.mark.usefixtures("restored_process")

_SIZE = 16, 24
_NUMBER = r"[0-9.]+"
Poses = Callable[[np.ndarray], np.ndarray]  # of all cameras, (N, 3, 4), OpenGL's axes


@pytest.fixture
def capture(tmp_path) -> Callable[..., pathlib.Path]:
    """`capture(count, poses, bounds)`: a META capture of one frame, with cameras as told."""

    def make(
        count: int = 4, poses: Poses | None = None, bounds: tuple[float, float] = (3.0, 20.0)
    ) -> pathlib.Path:
        path = tmp_path / "capture"
        path.mkdir()
        y, x = np.mgrid[: _SIZE[0], : _SIZE[1]]
        centers = [(0.3 * (cam % 2), -0.3 * (cam // 2)) for cam in range(count)]
        picture = lambda frame, cam: scenes.waves(0.25 * x + cam, 0.3 * y + frame)  # noqa: E731
        scenes.write_meta(path, picture, (1,), centers, _SIZE, focal=2 * _SIZE[1])
        rows = np.load(path / "poses_bounds.npy")
        rows[:, 15:] = bounds
        if poses is not None:
            llff = rows[:, :15].reshape(count, 3, 5)
            down, right, back, center = np.moveaxis(llff[..., :4], -1, 0)
            found = poses(np.stack([right, -down, back, center], axis=-1))
            right, up, back, center = np.moveaxis(found, -1, 0)
            llff[..., :4] = np.stack([-up, right, back, center], axis=-1)
            rows[:, :15] = llff.reshape(count, 15)
        np.save(path / "poses_bounds.npy", rows)
        return path

    return make


def ring(away: float, outwards: bool = False, aside: int = -1) -> Poses:
    """Cameras on a circle that look at its middle, or away from it; one may be far aside."""

    def place(poses: np.ndarray) -> np.ndarray:
        found = np.zeros_like(poses)
        for cam, pose in enumerate(found):
            angle = 2 * np.pi * cam / len(poses)
            back = np.array([np.sin(angle), 0.0, np.cos(angle)])
            right = np.array([np.cos(angle), 0.0, -np.sin(angle)])
            center = (-away if outwards else away) * back + (60.0 * right if cam == aside else 0)
            pose[:] = np.stack([right, [0.0, 1.0, 0.0], back, center], axis=-1)
        return found

    return place


def moved(cam: int, *by: float) -> Poses:
    """A camera elsewhere, in steps to the right, up and backwards."""

    def place(poses: np.ndarray) -> np.ndarray:
        found = poses.copy()
        found[cam, :, 3] += by
        return found

    return place


def one_place(poses: np.ndarray) -> np.ndarray:
    found = poses.copy()
    found[:, :, 3] = 0.0
    return found


@pytest.fixture
def refusal(tmp_path, error_of, capsys) -> Callable[..., str]:
    """What `train` says, and `doctor` in its own way; nothing is written."""

    def ask(path: pathlib.Path, fields: dict | None = None) -> str:
        workdir = tmp_path / "run"
        flags = training.flags_of("fast.py", {"data.path": path, **(fields or {})})
        status = training.run("doctor", *flags, "--nomeasure")
        output, errors = capsys.readouterr()
        assert status == 2 or "not opened:" in output
        said = error_of(["inv-jax", "train", *flags, f"--workdir={workdir}"])
        assert not workdir.exists()
        # `train` counts the memory before it has opened the capture.
        assert status == 0 or re.sub(_NUMBER, "", errors) == re.sub(_NUMBER, "", said)
        return said

    return ask


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ((0.0, 20.0), "row 0 (counted from 0) has near bound 0 and far bound 20; expected 0 <"),
        ((-3.0, 20.0), "near bound -3"),
        ((20.0, 3.0), "near bound 20 and far bound 3"),
        ((3.0, np.inf), "numbers that are not finite; calibrate these cameras again"),
        ((np.nan, 20.0), "numbers that are not finite"),
    ],
)
def test_depths_that_are_none(capture, refusal, bounds, said):
    message = refusal(capture(bounds=bounds))
    assert said in message
    assert "poses_bounds.npy" in message


@pytest.mark.parametrize(
    ("count", "fields", "said"),
    [
        (2, {}, "one camera to train on says nothing of depth"),
        (1, {"data.holdout": "()"}, "one camera to train on says nothing of depth"),
        (1, {}, "one camera alone is trained as a picture: configs/image2d.py"),
    ],
)
def test_one_camera_is_for_another_config(capture, refusal, count, fields, said):
    message = refusal(capture(count), fields)
    assert said in message
    assert "configs/image2d.py" in message


@pytest.mark.parametrize(
    ("poses", "bounds", "said"),
    [
        (ring(6.0, aside=3), (3.0, 20.0), "0% of what training camera cam03 sees"),
        (ring(6.0), (0.5, 1.0), "0% of what training camera cam01 sees, at depths of 1.33 to 2.67"),
        (ring(0.5, outwards=True), (3.0, 20.0), "5 of the 5 training cameras look away from each"),
        (one_place, (3.0, 20.0), "all 5 training cameras are within 0 of one place"),
        (moved(2, 500.0, 0.0, 0.0), (3.0, 20.0), "0% of what training camera cam02 sees"),
        (moved(2, 0.0, 0.0, -300.0), (3.0, 20.0), "0% of what training camera cam02 sees"),
    ],
    ids=["aside", "depths end early", "outwards", "one place", "far aside", "far ahead"],
)
def test_cameras_that_do_not_see_the_same_things(capture, refusal, poses, bounds, said):
    assert said in refusal(capture(6, poses, bounds))


def test_cameras_that_look_outwards_are_told_a_box_that_is_taken(capture, refusal, capsys):
    path = capture(6, ring(0.5, outwards=True))
    flags = refusal(path).rstrip("\n").partition("to try one, set ")[2].split(" and ")
    fields = dict(flag.split("=", 1) for flag in flags)
    found = training.flags_of("fast.py", {"data.path": path, **fields})
    assert training.run("doctor", *found, "--nomeasure") == 0
    assert "axes: " in capsys.readouterr().out


def test_cameras_within_the_scene_have_a_box(capture, capsys):
    path = capture(6, ring(0.5), (0.1, 30.0))
    flags = training.flags_of("fast.py", {"data.path": path})
    assert training.run("doctor", *flags, "--nomeasure") == 0
    assert "axes: -6.67 to 6.67" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("space", "box", "said"),
    [
        ("projective", "50.,50.,1.,51.,51.,3.,1.,0.,0.", "0% of the rays of training camera cam01"),
        ("axes", "50.,50.,1.,51.,51.,3.,0.,1.,9.", "0% of the rays of training camera cam01"),
        ("axes", "-1.,-1.,-5.,1.,1.,-1.,0.,0.,inf", "want nine finite numbers"),
        ("axes", "-1.,-1.,-5.,1.,1.,-1.,0.,3.,2.", "want distances from 3.0 on, rising"),
    ],
)
def test_a_box_that_is_set_and_none_or_elsewhere(capture, refusal, space, box, said):
    message = refusal(capture(), {"model.space": space, "model.box": box})
    assert said in message
    assert "model.box" in message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model.bricks": "400,400,400,20000"}, "lower the last number of model.bricks from 20000"),
        ({"model.bricks": "0,0,0,0", "model.levels": "200,100,100"}, "lower the nodes of all mod"),
    ],
)
def test_params_that_do_not_fit_the_memory_are_never_made(
    capture, refusal, monkeypatch, fields, said
):
    monkeypatch.setattr(machine, "host_memory", lambda: (2**26, 2**26))
    monkeypatch.setattr(build, "initial_params", lambda *_, **__: pytest.fail("they are made"))
    message = refusal(capture(), fields)
    assert "training needs about" in message
    assert said in message
