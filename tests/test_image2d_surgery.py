"""Layer surgery in 2D: colors of one picture in another, frozen middle layers, swapped ones."""

import json
import pathlib

import jax
import numpy as np
import pytest
from PIL import Image

from configs import image2d
from inv_jax import cli
from inv_jax import params as params_lib
from inv_jax.assembly import build, plans
from inv_jax.checkpoint import FrameStore
from inv_jax.types import InvError

_SMALL = {"model.width": 32, "model.position_octaves": 3, "train.steps": 20}  # `image_run`'s model


def _run(command: str, *flags: str) -> int:
    return cli.main(["inv-jax", command, *flags])


def _train(name: str, path: pathlib.Path, workdir: pathlib.Path, **more: str) -> int:
    settings = {**_SMALL, "data.path": path, **more}
    flags = [f"--config.{field}={value}" for field, value in settings.items()]
    return _run("train", f"--config={image2d.__file__}:{name}", f"--workdir={workdir}", *flags)


@pytest.fixture(scope="module")
def workdir(image_run) -> pathlib.Path:
    """A run of three colored frames."""
    return image_run


@pytest.fixture(scope="module")
def transferred(workdir, tmp_path_factory) -> pathlib.Path:
    """Its colors with the structure of a grey picture of another size."""
    folder = tmp_path_factory.mktemp("b")
    Image.fromarray(np.arange(16 * 7, dtype=np.uint8).reshape(16, 7)).save(folder / "b.png")
    more = {"train.init_from": workdir, "train.init_frame": 1, "train.image_steps": "(0,4,20)"}
    assert _train("color_transfer", folder / "b.png", folder / "run", **more) == 0
    return folder / "run"


def test_pictures_of_a_transfer_have_the_originals_names(transferred):
    found = sorted(path.name for path in (transferred / "nerf_esti").glob("imgs_*"))
    assert found == [f"imgs_color_transfer_{step}.png" for step in (0, 20, 4)]
    pixels = np.asarray(Image.open(transferred / "nerf_esti" / found[0]))
    assert pixels.shape == (16, 7, 3)


def test_a_transfer_keeps_every_layer_but_the_first(workdir, transferred):
    a, b = (FrameStore(folder).params(1) for folder in (workdir, transferred))
    change = params_lib.relative_change(a, b)
    assert {name for name, moved in change.items() if moved} == {"image/layer_0"}


@pytest.mark.parametrize("steps", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_layers_swap_forward_and_backward_in_time(workdir, tmp_path, steps):
    base, donors = 2, [3, 1]
    flags = [f"--base={base}", f"--donors={','.join(map(str, donors))}", f"--refine_steps={steps}"]
    assert _run("swap", f"--workdir={workdir}", f"--out={tmp_path}", *flags) == 0
    rows = json.loads((tmp_path / f"sheet_cam00_frame{base:04d}.json").read_text())
    swaps = [(row["donor"], row["kind"], row["swap"]) for row in rows if row["swap"]]
    kinds = ("raw", "refined") if steps else ("raw",)
    assert swaps == [(d, kind, f"0-{n}") for d in donors for kind in kinds for n in range(1, 5)]
    assert all(row["distance"] == row["donor"] - base for row in rows)
    for donor, kind, swap in swaps:
        name = f"cam00_frame{base:04d}_e{donor:04d}_{kind}_swap_{swap}_*.png"
        assert len(list(tmp_path.glob(name))) == 1
    assert (tmp_path / f"distance_cam00_frame{base:04d}.png").is_file()


@pytest.mark.parametrize("name", image2d.NAMES)
def test_every_name_is_a_plan(name):
    config = image2d.get_config(name)
    assert config.is_locked
    plan = plans.of(config)
    plans.images(config, plan)
    roles = [plan.phase(frame).roles for frame in (1, 2)]
    both, structure = ("structure", "color"), ("structure",)
    expected = {
        "transfer": [both, structure],
        "color_transfer": [structure, structure],
        "frozen_middle": [structure, structure],
    }
    assert roles == expected.get(name, [both, both])


def test_frozen_middle_layers_are_the_random_ones():
    config = image2d.get_config("frozen_middle")
    assert plans.of(config).phase(1).roles == (params_lib.STRUCTURE,)
    params = jax.eval_shape(build.model(config).init, jax.random.key(0))["image"]
    assert sorted(params["structure"]) == ["layer_0", "rgb"]
    assert sorted(params["color"]) == ["layer_1", "layer_2", "layer_3"]


def test_an_image_has_one_head():
    config = image2d.get_config("frozen_middle")
    config.model.structure_heads = ("density",)
    with pytest.raises(InvError, match="an image has one head, 'rgb'"):
        build.model(config)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.num_frames": 2}, r"with \{frame\}, \{step\} in it"),
        ({"train.image_cams": (0, 1)}, r"with \{cam\}, \{step\} in it"),
        ({"eval.step_picture": "a.png"}, r"with \{step\} in it"),
        ({"eval.step_picture": "a/{step}.png"}, "want a name as"),
        ({"eval.step_picture": "{step}.jpg"}, "want a name as"),
        ({"eval.step_picture": "{step}_{iter}.png"}, "numbers are {cam}, {frame}"),
        ({"eval.step_picture": "{step:q}.png"}, "numbers are {cam}, {frame}"),
        ({"eval.step_picture": "{step.png"}, "numbers are {cam}, {frame}"),
    ],
)
def test_names_that_do_not_tell_pictures_apart_are_refused(changes, said):
    config = image2d.get_config("color_transfer")
    config.update_from_flattened_dict(changes)
    with pytest.raises(InvError, match=said):
        plans.images(config, plans.of(config))


def test_names_do_not_matter_to_a_run_without_such_pictures():
    config = image2d.get_config()
    config.eval.step_picture = "a.png"
    assert plans.images(config, plans.of(config)).behind(0) is None
