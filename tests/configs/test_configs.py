"""The published settings: complete, locked, and the numbers of the original's setting files."""

import itertools
import pathlib
import sys

import pytest
from absl import flags

_ROOT = pathlib.Path(__file__).parents[2]
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))  # As the command does: a config file imports `configs.base`.

from configs import base, little_falls, n3dv, split  # noqa: E402
from inv_jax.assembly import plans  # noqa: E402
from inv_jax.commands import flagged  # noqa: E402
from inv_jax.types import InvError  # noqa: E402

_FILES = {"n3dv": n3dv, "little_falls": little_falls}
_SETTINGS = [(file, name) for file, module in _FILES.items() for name in module.table()]
_ALL_FILES = {**_FILES, "split": split}  # those of our own too
# Of Split INV one of each kind: the others are a scene's and a stage's, put together.
_SPLIT_NAMES = ("", "density", "static", "density/cook_spinach")
_ALL_SETTINGS = [*_SETTINGS, *(("split", name) for name in _SPLIT_NAMES)]

# As in the original's files, line by line: i_weights_warmup, i_weights, first frozen frame
# (freeze_start_frame, counted as it takes effect; None: never), near, factor, llffhold,
# start_frame.
_PUBLISHED = {
    ("n3dv", "flame_salmon_1"): (10000, 10000, 120, 0.5, 2, 0, 1),
    ("n3dv", "flame_salmon_1_280k"): (10000, 10000, 120, 0.5, 2, 0, 1),
    ("n3dv", "flame_salmon_1_inv_star"): (280000, 20000, 21, 0.5, 2, 0, 1),
    ("n3dv", "flame_salmon_1_frame10"): (10000, 10000, 120, 0.5, 2, 0, 1),
    ("n3dv", "flame_salmon_1_pretrained_scl"): (20000, 20000, 1, 0.5, 2, 0, 1),
    ("n3dv", "flame_salmon_1_color_transfer"): (500, 500, 1, 0.5, 2, 0, 1),
    ("n3dv", "flame_salmon_2"): (10000, 10000, 120, 0.5, 2, 0, 2),
    ("n3dv", "coffee_martini"): (120000, 120000, 30, 0.5, 2, 0, 1),
    ("n3dv", "coffee_martini_10k"): (10000, 10000, 120, 0.5, 2, 0, 10),
    ("n3dv", "coffee_martini_nerf_baseline"): (100000, 100000, None, 0.5, 2, 0, 10),
    ("n3dv", "cook_spinach"): (120000, 120000, 6, 0.35, 2, 0, 1),
    ("n3dv", "cut_roasted_beef"): (280000, 280000, 6, 0.35, 2, 0, 1),
    ("n3dv", "cut_roasted_beef_frame10"): (10000, 10000, 31, 0.35, 2, 0, 1),
    ("n3dv", "cut_roasted_beef_color_transfer"): (50000, 50000, 1, 0.35, 2, 0, 1),
    ("n3dv", "sear_steak"): (120000, 120000, 5, 0.35, 2, 0, 1),
    ("little_falls", "crystalball"): (20000, 20000, 30, 0.0, 2, 7, 1),
    ("little_falls", "starwar"): (20000, 20000, 30, 0.0, 2, 0, 1),
    ("little_falls", "duo"): (10000, 10000, None, 0.0, 2, 7, 360),
    ("little_falls", "snack"): (10000, 10000, None, 0.0, 2, 7, 1290),
}

# Lines that every published file has in common.
_COMMON = {
    "model.structure_layers": 3,  # mid_freeze_start
    "model.coarse_samples": 64,  # N_samples
    "model.fine_samples": 64,  # N_importance
    "model.density_noise": 1.0,  # raw_noise_std
    "train.rows_per_step": 1024,  # N_rand
    "train.loss": "mse",  # use_huber = False
    "train.learning_rate": 5e-4,  # lrate
    "train.lr_decay_rate": 0.1,  # use_weight_decay = True
    "train.lr_decay_steps": 250_000,  # lrate_decay, in thousands
    "data.ndc": True,
    "data.bd_factor": 0.75,
}

# i_iter_img of the files that give it; of the NeRF baseline, the interval in its program.
_IMAGE_EVERY = {
    "flame_salmon_1_frame10": 1000,
    "flame_salmon_1_color_transfer": 1000,
    "coffee_martini_10k": 1000,
    "coffee_martini_nerf_baseline": 10000,
    "cut_roasted_beef_frame10": 1000,
    "cut_roasted_beef_color_transfer": 500,
}

_SCENES = [
    *[("n3dv", scene) for scene in ("flame_salmon_1", "coffee_martini", "cook_spinach")],
    *[("n3dv", scene) for scene in ("cut_roasted_beef", "sear_steak")],
    *[("little_falls", scene) for scene in ("crystalball", "starwar", "duo", "snack")],
]


def _fields(config):
    """All fields by dotted name."""
    found = {}
    for key, value in config.items():
        inner = _fields(value) if hasattr(value, "items") else None
        found.update({key: value} if inner is None else {f"{key}.{k}": v for k, v in inner.items()})
    return found


@pytest.fixture
def load():
    """Loads a config as the command line does: `load("base.py", "--config.data.factor=4")`."""

    def load_config(file, *overrides):
        argv = ["inv-jax", f"--config={_ROOT}/configs/{file}", *overrides]
        values = flags.FlagValues()
        flagged.define_config(values, argv)
        values(argv)
        return values.config

    return load_config


@pytest.mark.parametrize(("file", "name"), _ALL_SETTINGS)
def test_a_setting_has_the_fields_of_its_parts_and_is_locked(file, name):
    config = _ALL_FILES[file].get_config(name)
    default = base.get_config(config.model.name, config.data.layout)
    kinds = {field: type(value) for field, value in _fields(config).items()}
    assert kinds == {field: type(value) for field, value in _fields(default).items()}
    for group in (config, *[value for value in config.values() if hasattr(value, "items")]):
        assert group.is_locked
        with pytest.raises((AttributeError, KeyError)):
            group.no_such_field = 1


@pytest.mark.parametrize(("file", "name"), _PUBLISHED)
def test_the_published_numbers_are_kept(file, name):
    config = _FILES[file].get_config(name)
    warmup, steps, freeze, near, factor, holdout, first = _PUBLISHED[file, name]
    assert config.train.warmup_steps == warmup
    assert config.train.steps == steps
    assert config.train.freeze_frame == (freeze or 0)
    assert config.data.near == near
    assert config.data.factor == factor
    assert config.data.holdout == (holdout,)
    assert config.data.first_frame == first
    assert config.data.layout == file
    assert config.train.image_every == _IMAGE_EVERY.get(name, 0)


@pytest.mark.parametrize(("file", "name"), _SETTINGS)
def test_what_all_published_files_have_in_common_holds_everywhere(file, name):
    config = _FILES[file].get_config(name)
    fields = _fields(config)
    assert {field: fields[field] for field in _COMMON} == _COMMON
    baseline = name.endswith("_nerf_baseline")
    assert config.model.skip_layer == (4 if baseline else -1)
    assert config.train.reset_optimizer == config.train.scratch
    if not baseline:
        assert config.train.scratch == (name == "flame_salmon_1_color_source")


@pytest.mark.parametrize(("file", "scene"), _SCENES)
def test_each_scene_has_a_nerf_baseline_that_never_freezes(file, scene):
    config = _FILES[file].get_config(f"{scene}_nerf_baseline")
    published_steps = 100_000 if scene == "coffee_martini" else 200_000
    assert (config.train.warmup_steps, config.train.steps) == (published_steps,) * 2
    assert config.train.scratch
    assert config.train.freeze_frame == 0
    assert config.train.image_every == 10_000
    incremental = _FILES[file].get_config(scene)
    for field in ("path", "layout", "near", "factor", "holdout"):
        assert config.data[field] == incremental.data[field]


def test_settings_differ_from_each_other_where_the_published_files_do():
    flat = {(file, name): _fields(_FILES[file].get_config(name)) for file, name in _SETTINGS}
    same = {(a[1], b[1]) for a, b in itertools.combinations(flat, 2) if flat[a] == flat[b]}
    # The file of the second has the numbers of the first, in spite of its name.
    assert same == {("flame_salmon_1", "flame_salmon_1_280k")}


def test_settings_of_one_scene_read_one_folder():
    for file, name in _SETTINGS:
        scenes = [scene for _, scene in _SCENES if name.startswith(scene)]
        scene = scenes[0] if scenes else "flame_salmon_1"  # flame_salmon_2 has its images
        assert _FILES[file].get_config(name).data.path == f"data/{file}/{scene}"


@pytest.mark.parametrize(
    ("name", "source", "frame"),
    [
        ("flame_salmon_1_color_transfer", "cut_roasted_beef", 1),
        ("cut_roasted_beef_color_transfer", "flame_salmon_1_color_source", 11),
    ],
)
def test_a_color_transfer_starts_from_a_run_that_fits_it(name, source, frame):
    config, other = n3dv.get_config(name), n3dv.get_config(source)
    assert config.train.init_from == f"runs/{source}"
    assert config.train.init_frame == frame
    assert config.model == other.model  # else its params could not be loaded
    last = other.data.first_frame + other.data.num_frames - 1 if other.data.num_frames else frame
    assert other.data.first_frame <= frame <= last
    assert config.train.freeze_frame == config.data.first_frame


def test_only_pretrained_colors_start_from_another_run():
    for file, name in _SETTINGS:
        train = _FILES[file].get_config(name).train
        assert bool(train.init_from) == name.endswith(("_color_transfer", "_pretrained_scl"))
        assert bool(train.init_frame) == name.endswith("_color_transfer")


def test_two_loads_of_a_setting_share_nothing():
    first = n3dv.get_config("sear_steak")
    first.train.steps = 7
    assert n3dv.get_config("sear_steak").train.steps == 120_000


@pytest.mark.parametrize("file", _FILES)
@pytest.mark.parametrize("name", ["flame_salmon", "", "Sear_Steak"])
def test_an_unknown_name_is_refused_with_the_list_of_names(file, name):
    with pytest.raises(InvError) as error:
        _FILES[file].get_config(name)
    assert isinstance(error.value, ValueError)
    assert repr(name) in str(error.value)
    for known in _FILES[file].table():
        assert known in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file", _FILES)
def test_the_docstring_names_every_setting(file):
    words = set(_FILES[file].__doc__.replace(",", " ").split())
    for name in _FILES[file].table():
        assert name in words or name.endswith("_nerf_baseline")
    assert any(word.startswith("<scene>_nerf_baseline") for word in words)


@pytest.mark.parametrize(("file", "name"), _ALL_SETTINGS)
def test_the_command_line_loads_a_setting_by_its_name(load, file, name):
    assert load(f"{file}.py:{name}" if name else f"{file}.py") == _ALL_FILES[file].get_config(name)


def test_every_setting_of_two_fields_has_a_plan_that_asks_for_masks():
    for name in split.table():
        config = split.get_config(name)
        config.train.init_from = "runs/static"
        assert plans.of(config).wants_masks
    with pytest.raises(InvError, match="no setting is named 'Static'"):
        split.get_config("Static")


@pytest.mark.parametrize("argument", [":no_such_scene", ""])
def test_the_command_line_names_the_settings_there_are(load, argument):
    with pytest.raises(InvError, match=r"NAME one of .*sear_steak"):
        load(f"n3dv.py{argument}")


@pytest.mark.parametrize(
    ("text", "cams"),
    [("3", (3,)), ("0", (0,)), ("1,3", (1, 3)), ("(1,3)", (1, 3)), ("[1,3]", (1, 3)), ("()", ())],
)
def test_held_out_cameras_on_the_command_line_are_a_tuple(load, text, cams):
    holdout = load("little_falls.py:duo", f"--config.data.holdout={text}").data.holdout
    assert holdout == cams
    assert isinstance(holdout, tuple)


def test_fields_can_be_changed_on_the_command_line_and_keep_their_type(load):
    changed = {
        "data.path": "/captures/steak",
        "data.near": 0,
        "train.steps": 100,
        "train.scratch": "true",
    }
    overrides = [f"--config.{field}={value}" for field, value in changed.items()]
    config = load("n3dv.py:sear_steak", *overrides)
    assert config.data.path == "/captures/steak"
    assert config.data.near == 0.0
    assert isinstance(config.data.near, float)
    assert config.train.steps == 100
    assert config.train.scratch is True
    assert config.is_locked


def test_an_unknown_field_on_the_command_line_is_refused(load):
    with pytest.raises(InvError, match="no_such_field"):
        load("n3dv.py:sear_steak", "--config.train.no_such_field=1")
