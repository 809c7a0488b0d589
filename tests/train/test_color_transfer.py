"""Structure of one scene in the colors of another: where params come from, and pictures within."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from configs import color_transfer, n3dv
from inv_jax import params as params_lib
from inv_jax.assembly import build, plans
from inv_jax.checkpoint import FrameStore
from inv_jax.train.plan import Moments
from inv_jax.types import InvError, Stopped

_SLOW = pytest.mark.slow
_STEPS, _CAMS = (0, 2, 6), (3, 1)
_TRANSFER = {
    "data.num_frames": 1,
    "train.init_frame": 1,
    "train.freeze_frame": 1,
    "train.dispatch_seconds": 0.0,  # a step each
    "train.image_steps": _STEPS,
    "train.image_cams": _CAMS,
}


@pytest.fixture(scope="module")
def source(free_run) -> pathlib.Path:
    """A run of scene A; its first frame is taken."""
    return free_run


@pytest.fixture(scope="module")
def other_scene(tiny_capture, tmp_path_factory) -> pathlib.Path:
    """The same cameras' images in other colors: of their size, so that nothing compiles anew."""
    return _other_scene(tiny_capture, tmp_path_factory.mktemp("b"), 1.0)


def _other_scene(capture: pathlib.Path, path: pathlib.Path, scale: float) -> pathlib.Path:
    (path / "frames_2").mkdir()
    rows = np.load(capture / "poses_bounds.npy")
    rows[:, 4:15:5] *= scale  # height, width, focal length
    np.save(path / "poses_bounds.npy", rows)
    for file in (capture / "frames_2").iterdir():
        image = Image.open(file)
        image = image.resize([round(scale * side) for side in image.size])
        Image.fromarray(255 - np.asarray(image)).save(path / "frames_2" / file.name)
    return path


@pytest.fixture(scope="module")
def transferred(train, source, other_scene, tmp_path_factory) -> pathlib.Path:
    """The whole transfer, uninterrupted."""
    workdir = tmp_path_factory.mktemp("transfer")
    train(workdir, _settings(source, other_scene))
    return workdir


def _settings(source: pathlib.Path, capture: pathlib.Path, **changes) -> dict:
    return {**_TRANSFER, "data.path": str(capture), "train.init_from": str(source), **changes}


def _pictures(workdir: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in workdir.glob("nerf_esti/**/*.png")}


def test_colors_stay_those_of_the_other_scene_to_the_bit(source, transferred):
    a, b = (FrameStore(workdir).params(1) for workdir in (source, transferred))
    moved = {name for name, change in params_lib.relative_change(a, b).items() if change}
    assert moved == {"coarse/layer_0", "fine/layer_0"}


@pytest.mark.slow
def test_the_other_scene_may_have_images_of_another_size(train, source, tiny_capture, tmp_path):
    for name in ("b", "run"):
        (tmp_path / name).mkdir()
    other = _other_scene(tiny_capture, tmp_path / "b", 1.5)
    train(tmp_path / "run", _settings(source, other))
    shown = [Image.open(path).size for path in (tmp_path / "run" / "nerf_esti").glob("cam*.png")]
    assert shown == [(24, 18)] * (len(_STEPS) * len(_CAMS) + 1)


def test_pictures_are_of_the_steps_and_cameras_asked_for(transferred):
    within = sorted(name.rsplit("_", 1)[0] for name in _pictures(transferred) if "_iter" in name)
    steps = [f"cam{cam:02d}_frame0001_iter{step:06d}" for cam in _CAMS for step in _STEPS]
    assert within == sorted(steps)
    assert len(_pictures(transferred)) == len(steps) + 1  # and the frame's own


def test_what_the_pictures_measure_is_noted(transferred):
    for step in _STEPS:
        views = FrameStore(transferred).intermediate(1, step)[0]["views"]
        assert [view["cam"] for view in views] == list(_CAMS)
        assert all(
            any(f"iter{step:06d}_{view['psnr']:.6f}" in name for name in _pictures(transferred))
            for view in views
        )


def test_step_0_shows_the_scene_before_any_training(source, transferred):
    kept = FrameStore(transferred)
    assert kept.has_intermediate(1, 0)
    assert not kept.has_intermediate(1, 1)
    _, found = kept.intermediate(1, 0)
    change = params_lib.relative_change(FrameStore(source).params(1), found)
    assert not any(change.values())


@pytest.mark.parametrize("answers", [pytest.param(n, marks=_SLOW) for n in (2, 4, 9)] + [12])
def test_a_transfer_that_was_stopped_goes_on_with_the_same_bits_and_pictures(
    train, source, other_scene, transferred, tmp_path, answers
):
    """Asked to stop in the pictures of step 0, of step 2, in training, and in the last ones."""
    left = iter([False] * answers)
    settings = _settings(source, other_scene)
    with pytest.raises(Stopped):
        train(tmp_path, settings, lambda: next(left, True))
    again = train(tmp_path, settings)
    expected = params_lib.flatten(FrameStore(transferred).params(1))
    for path, leaf in params_lib.flatten(again.params(1)).items():
        assert leaf.tobytes() == expected[path].tobytes()
    assert _pictures(tmp_path) == _pictures(transferred)


def test_structure_may_start_at_random(tiny_config, source):
    given = {"train.init_from": str(source), "train.init_frame": 1}
    config = tiny_config({**given, "train.init_roles": ("color",)})
    nerf = build.model(config)
    found, _ = build.initial_params(config, nerf, has_frames=False)
    fresh, _ = build.initial_params(tiny_config(), nerf, has_frames=False)
    a = FrameStore(source).params(1)
    of_a, random = (
        {name for name, change in params_lib.relative_change(x, found).items() if not change}
        for x in (a, fresh)
    )
    assert random == {"coarse/layer_0", "fine/layer_0"}
    assert of_a == set(params_lib.norms(found)) - random


def test_roles_are_those_of_the_new_run(tiny_config, source):
    given = {"train.init_from": str(source), "train.init_frame": 1}
    config = tiny_config({**given, "model.structure_layers": 2})
    found, _ = build.initial_params(config, build.model(config), has_frames=False)
    assert "layer_1" in found["fine"]["structure"]
    change = params_lib.relative_change(FrameStore(source).params(1), found)
    assert not any(change.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train.init_roles": ("colour",)}, "want one or more of the model's, structure, color"),
        ({"train.init_roles": ()}, r"train\.init_roles=\(\)"),
        ({"train.image_cams": (0, 4)}, r"train\.image_cams=4: cameras are 0 to 3"),
        ({"train.image_steps": (0, 7)}, r"train\.image_steps=7: a frame has 6 steps at most"),
        ({"train.image_steps": (-1,)}, "want steps, 0 or more"),
        ({"train.image_steps": ("a",)}, "want steps, 0 or more"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    train, tiny_capture, source, tmp_path, changes, said
):
    with pytest.raises(InvError, match=said):
        train(tmp_path, _settings(source, tiny_capture, **changes))
    assert not list(tmp_path.iterdir())


def test_moments_are_the_multiples_and_the_steps():
    moments = Moments("image", every=4, steps=(0, 6, 8))
    assert [step for step in range(13) if step in moments] == [0, 4, 6, 8, 12]
    assert [moments.behind(step) for step in (0, 4, 5, 6, 8, 100)] == [4, 6, 6, 8, 12, 104]
    assert Moments("image", steps=(3,)).behind(3) is None
    assert 0 not in Moments("image", every=4)


@pytest.mark.parametrize(("name", "steps"), [("50k", 50_000), ("500", 500)])
def test_the_published_settings_freeze_at_once_and_show_the_last_step(name, steps):
    config = color_transfer.get_config(name)
    plan = plans.of(config)
    assert plan.phase(1).roles == (params_lib.STRUCTURE,)
    assert plan.phase(1).steps == steps
    moments = plans.images(config, plan)
    assert 0 in moments
    assert steps in moments
    published = n3dv.get_config(
        {"50k": "cut_roasted_beef", "500": "flame_salmon_1"}[name] + "_color_transfer"
    )
    assert config.train.steps == published.train.steps
