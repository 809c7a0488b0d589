"""Split INV, from masks to stored frames: which field trains when, on which rays."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from configs import split as split_config
from inv_jax import params as params_lib
from inv_jax.assembly import build, captures, keeping, plans
from inv_jax.checkpoint import FrameStore
from inv_jax.codec import bitstream, colors
from inv_jax.codec.video import NeuralVideo
from inv_jax.data import segments
from inv_jax.data.prefetch import segments_ahead
from inv_jax.models import split
from inv_jax.types import InvError, Stopped

_ROLES = ("structure", "color", *params_lib.STATIC_ROLES)
_SPLIT = {
    "model.name": "split",
    "data.num_frames": 4,
    "train.init_roles": params_lib.STATIC_ROLES,
    "train.freeze_frame": 3,
    "train.warmup_steps": 12,
}


@pytest.fixture(scope="module")
def capture(tiny_capture, tmp_path_factory) -> pathlib.Path:
    """The tiny capture with masks: the left third moves, in frame 4 nothing does."""
    path = tmp_path_factory.mktemp("masked") / "capture"
    shutil.copytree(tiny_capture, path)
    (path / "mask").mkdir()
    for file in (path / "frames_2").iterdir():
        mask = np.zeros(np.asarray(Image.open(file)).shape[:2], np.uint8)
        mask[:, :5] = 0 if "frame0004" in file.name else 255
        Image.fromarray(mask).save(path / "mask" / f"dynamic_mask_{file.name}")
    return path


@pytest.fixture(scope="module")
def static_run(train, capture, tmp_path_factory) -> pathlib.Path:
    """Stage 0."""
    workdir = tmp_path_factory.mktemp("static")
    settings = {"split.pretraining": True, "data.num_frames": 2, "train.freeze_frame": 0}
    train(workdir, {**_SPLIT, **settings, "data.path": str(capture)})
    return workdir


@pytest.fixture(scope="module")
def settings(capture, static_run) -> dict:
    return {**_SPLIT, "data.path": str(capture), "train.init_from": str(static_run)}


@pytest.fixture(scope="module")
def split_run(train, settings, tmp_path_factory) -> pathlib.Path:
    """Stages 1 and 2, with a video."""
    workdir = tmp_path_factory.mktemp("split")
    train(workdir, {**settings, "codec.name": "delta"})
    return workdir


def _moved(a: dict, b: dict) -> set[str]:
    """Roles of which a leaf differs."""
    theirs = params_lib.flatten(b)
    return {
        params_lib.role_of(path)
        for path, leaf in params_lib.flatten(a).items()
        if not np.array_equal(leaf, theirs[path])
    }


def _bytes(workdir: pathlib.Path, frame: int, role: str) -> int:
    """That a frame spends on a role."""
    folder = workdir / "frames" / f"{frame:06d}" / role
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_pretraining_moves_the_static_field_alone(static_run):
    store = FrameStore(static_run)
    assert _moved(store.params(1), store.params(2)) == set(params_lib.STATIC_ROLES)


def test_warm_up_trains_the_structure_of_the_static_field_and_all_of_the_dynamic_one(
    split_run, static_run
):
    store, static = FrameStore(split_run), FrameStore(static_run).params(2)
    first = store.params(1)
    assert params_lib.STATIC_COLOR not in _moved(first, static)
    wanted = {"structure", "color", "static_structure"}
    assert _moved(first, store.params(2)) == wanted


def test_structure_transfer_trains_the_structure_of_the_dynamic_field_alone(split_run):
    store = FrameStore(split_run)
    for frame in (3, 4):
        assert _moved(store.params(frame - 1), store.params(frame)) == {"structure"}


def test_frozen_fields_are_stored_once(split_run):
    store = FrameStore(split_run)
    assert [store.color_id(frame) for frame in (1, 2, 3, 4)] == [1, 2, 2, 2]
    assert store.shared_bytes(4) == 0
    assert store.own_bytes(4) == _bytes(split_run, 4, params_lib.STRUCTURE) > 0
    trained = [_bytes(split_run, 2, role) for role in ("color", params_lib.STATIC_STRUCTURE)]
    assert store.shared_bytes(2) == sum(trained) > max(trained) > 0
    assert _bytes(split_run, 2, params_lib.STATIC_COLOR) == 0  # it never trained there


def test_video_holds_all_frames_and_its_colors_rest_once_all_is_frozen(split_run):
    video = NeuralVideo.open(split_run / "video.inv")
    assert video.frames() == [1, 2, 3, 4]
    assert [video.color_id(frame) for frame in (1, 2, 3, 4)] == [1, 2, 2, 2]
    stored = params_lib.flatten(FrameStore(split_run).params(4))
    decoded = params_lib.flatten(video.params(4))
    for path, leaf in stored.items():
        if params_lib.role_of(path) != params_lib.STRUCTURE:
            np.testing.assert_array_equal(leaf, decoded[path])


@pytest.mark.slow
def test_static_field_that_came_trained_is_frozen_from_the_first_frame_on_and_stored_once(
    train, settings, static_run, tmp_path
):
    """As `configs/split.py:density` has it, while the colors of the dynamic field train."""
    density = split_config.table()["density"] | {"train.freeze_frame": 4, "codec.name": "raw"}
    store = train(tmp_path, {**settings, **density})
    donor = FrameStore(static_run).params(2)
    for frame in (1, 2, 3, 4):
        assert not _moved(donor, store.params(frame)) & set(params_lib.STATIC_ROLES)
        for role in params_lib.STATIC_ROLES:
            assert (_bytes(tmp_path, frame, role) > 0) == (frame == 1)
    video = NeuralVideo.open(tmp_path / "video.inv")
    assert [video.color_id(frame) for frame in (1, 2, 3, 4)] == [1, 2, 3, 3]
    layout, parts = video.header.color_layout, []
    for offset in video.colors.values():
        found = bitstream.read_head(video.source, offset)
        payload = bitstream.read_payload(video.source, found)
        parts.append(colors.parse(layout, found.kind, payload))
    whole, *others = parts
    assert whole.base is None and set(whole.leaves) == set(layout.paths)
    for part in others:
        assert part.base == 1
        assert {params_lib.role_of(path) for path in part.leaves} == {params_lib.COLOR}
    for frame in (4, 2, 1, 3):
        with NeuralVideo.open(tmp_path / "video.inv") as alone:
            decoded = params_lib.flatten(alone.params(frame))
        for path, leaf in params_lib.flatten(store.params(frame)).items():
            np.testing.assert_array_equal(leaf, decoded[path], err_msg=path)


def test_moments_of_a_field_rest_while_the_other_trains(train, settings, tmp_path):
    # A part of less than half a step at the end: its kinds are there and are never drawn.
    never = {"split.static_chance": 0.0, "split.both_last": 0.01, "data.num_frames": 1}
    moments = train(tmp_path, {**settings, **never}).optimizer(1)
    counts = {path.split("/")[1]: int(x) for path, x in moments.items() if path.endswith("count")}
    steps = {"dynamic_coarse": 12, "dynamic_fine": 12, "static_coarse": 0, "static_fine": 0}
    assert counts == steps
    assert not any(np.any(x) for path, x in moments.items() if path.split("/")[1] == "static_fine")
    assert any(np.any(x) for path, x in moments.items() if path.split("/")[1] == "dynamic_fine")


def test_stopped_within_frames_goes_on_with_the_same_bits(train, settings, split_run, tmp_path):
    """In Warm-Up, and then in Structure Transfer."""
    steps = {**settings, "train.dispatch_seconds": 0.0}  # one a dispatch
    for dispatches, frame in ((20, 2), (7, 3)):
        asked = iter([False] * dispatches)
        with pytest.raises(Stopped, match=f"stopped in frame {frame} "):
            train(tmp_path, steps, lambda asked=asked: next(asked, True))
    train(tmp_path, steps)
    ours = params_lib.flatten(FrameStore(tmp_path).params(4))
    for path, leaf in params_lib.flatten(FrameStore(split_run).params(4)).items():
        np.testing.assert_array_equal(ours[path], leaf, err_msg=path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.name": "nerf", "split.pretraining": True}, "is a setting of model.name=split"),
        ({"train.scratch": True, "train.freeze_frame": 0}, "for a baseline .* model.name='nerf'"),
        ({"split.pretraining": True, "train.update_pull": 0.1}, "split.pretraining=True and"),
        (
            {"split.static_chance": 0.0, "split.both_last": 0.0, "train.init_from": ""},
            "no step trains static_structure, static_color",
        ),
        ({"train.freeze_frame": 1, "train.init_from": ""}, "no step trains static_structure"),
        (
            {"train.freeze_frame": 1, "train.init_roles": ("static_structure",)},
            r"no step trains static_color .* train\.init_roles=static_structure,static_color",
        ),
        ({"data.frame_step": 0}, "data.frame_step is 0; expected 1"),
        ({"data.frame_step": 2, "codec.name": "delta"}, "leaves out frames"),
        ({"model.name": "nerf"}, "want one or more of the model's, structure, color, to be taken"),
    ],
)
def test_settings_that_cannot_be_are_one_line(train, settings, changes, message, tmp_path):
    with pytest.raises(InvError, match=message):
        train(tmp_path, {**settings, **changes})


def test_warm_up_trains_all_of_a_static_field_of_which_a_part_came(tiny_config, settings):
    part = {"train.init_roles": ("structure", "color", "static_color")}
    roles = plans.of(tiny_config({**settings, **part})).phase(1).roles
    assert set(roles) == set(_ROLES)
    assert "static_color" not in plans.of(tiny_config(settings)).phase(1).roles


def test_color_layers_that_stay_random_are_said(tiny_config, settings, caplog):
    def said(**changes) -> str:
        caplog.clear()
        config = tiny_config({**settings, "train.freeze_frame": 1} | changes)
        plans.of(config)
        with caplog.at_level("WARNING"):
            build.initial_params(config, build.model(config), has_frames=False)
        return caplog.text

    assert "freezes the color layers from the first frame on, as random" in said()
    assert "as random" not in said(**{"train.init_roles": _ROLES})


def test_a_run_goes_on_from_another_one_with_both_fields(train, settings, split_run, tmp_path):
    """As budgets of steps are compared: no Warm-Up, all roles from the same run."""
    start = {"train.init_from": str(split_run), "train.init_frame": 2}
    rest = {"data.first_frame": 3, "data.num_frames": 1, "train.init_roles": _ROLES}
    store = train(tmp_path, {**settings, **start, **rest})
    assert _moved(FrameStore(split_run).params(2), store.params(3)) == {"structure"}


def test_frames_where_little_moves_are_said(tiny_config, capture, caplog):
    config = tiny_config({**_SPLIT, "data.path": str(capture)})
    shots = captures.of(config, pathlib.Path())
    masks = captures.masks_of(config, pathlib.Path(), shots)
    moving = 12 * 5 * 3  # of three training cameras

    def said(rows_per_step: int) -> list[str]:
        caplog.clear()
        with caplog.at_level("WARNING"):
            ahead = segments_ahead(
                *(shots, segments.split(range(1, 5), 1, step=3)),
                shown_cam=0,
                place=lambda views: views,
                masks=masks,
                rows_per_step=rows_per_step,
            )
            assert [int(one.on_device.regions.num_static) for one in ahead] == [576 - moving, 576]
        return [record.getMessage() for record in caplog.records]

    nothing = "frame 4: the masks show nothing that moves; steps on what moves see all pixels"
    assert said(8 * moving) == [nothing]
    few, *others = said(8 * moving + 1)
    assert few.startswith("frame 1: the masks show 180 pixels that move, and a step")
    assert others == [nothing]


def test_the_video_of_a_static_field_is_measured_by_what_it_shows(
    train, tiny_config, capture, tmp_path, monkeypatch
):
    given = []

    def broadcast(config, workdir, codec, net, *rest):
        given.append(net)
        raise InvError("that is all")

    monkeypatch.setattr(keeping, "broadcast", broadcast)
    alone = {"split.pretraining": True, "codec.name": "delta", "data.path": str(capture)}
    with pytest.raises(InvError, match="that is all"):
        train(tmp_path, {**_SPLIT, **alone})
    assert given == [build.model(tiny_config({**_SPLIT, **alone})).part(split.STATIC)]


@pytest.mark.parametrize("name", ["", "static"])
def test_a_run_of_one_field_is_not_gone_on_with_as_if_it_had_both(name):
    config = split_config.get_config(name)
    if name == "static":
        with pytest.raises(InvError, match="has trained the static field only"):
            build.whole_model(config)
    else:
        assert build.whole_model(config) == build.shown_model(config) == build.model(config)


def test_frames_may_be_left_out(train, capture, tmp_path):
    """The static field of frames 1 and 3."""
    changes = {"data.num_frames": 3, "data.frame_step": 2, "split.pretraining": True}
    store = train(tmp_path, {**_SPLIT, **changes, "data.path": str(capture)})
    assert store.frames() == [1, 3]


def test_missing_mask_is_an_error_that_names_frame_and_camera(train, settings, capture, tmp_path):
    broken = tmp_path / "capture"
    shutil.copytree(capture, broken)
    (broken / "mask" / "dynamic_mask_frame0002cam03.png").unlink()
    with pytest.raises(InvError, match=r"mask of frame 2, cam03: .* missing"):
        train(tmp_path / "run", {**settings, "data.path": str(broken)})
    assert not (tmp_path / "run" / "frames").exists()


def test_masks_in_which_all_moves_are_an_error_that_names_the_polarity(train, settings, tmp_path):
    with pytest.raises(InvError, match=r"frame 4 say that every pixel .* data.mask_polarity"):
        train(
            tmp_path,
            {**settings, "data.mask_polarity": "static", "data.first_frame": 4}
            | {"data.num_frames": 1},
        )


def test_journal_names_the_stages(split_run):
    rows = [json.loads(line) for line in (split_run / "metrics.jsonl").read_text().splitlines()]
    assert [row["phase"] for row in rows] == ["warmup", "warmup", "transfer", "transfer"]
