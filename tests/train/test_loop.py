"""Runs on the tiny capture, start to end: what they store, what they write, what plans change."""

import itertools
import json
import pathlib

import jax
import numpy as np
import pytest
from jax import monitoring
from PIL import Image

from inv_jax import params as params_lib
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.eval import pictures
from inv_jax.train.journal import Journal
from inv_jax.types import InvError

_COMPILE = "/jax/core/compile/backend_compile_duration"
_ON_DEVICES = "jit(_fun)"  # what JAX calls a function under `shard_map`
_FREEZE = 3


def _bits(store: FrameStore, frame: int, role: str = "") -> dict[str, bytes]:
    leaves = params_lib.flatten(store.params(frame))
    return {path: leaf.tobytes() for path, leaf in leaves.items() if role in path}


def _items(workdir: pathlib.Path, frame: int) -> set[str]:
    folder = workdir / "frames" / f"{frame:06d}"
    return {path.name for path in folder.iterdir() if path.is_dir()}


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """Five frames, frozen from the third on; what was compiled, and how many frames were stored."""
    workdir = tmp_path_factory.mktemp("run")
    compiled: list[tuple[str, int]] = []

    def note(event: str, seconds: float, fun_name: str = "", **_) -> None:
        del seconds
        if event == _COMPILE:
            stored = len(list(workdir.glob("frames/00*/commit_success.txt")))
            compiled.append((fun_name, stored))

    monitoring.register_event_duration_secs_listener(note)
    try:
        store = train(workdir, {"data.num_frames": 5, "train.freeze_frame": _FREEZE})
    finally:
        monitoring.unregister_event_duration_listener(note)
    return workdir, store, compiled


# The default plan.


def test_every_frame_is_stored(run):
    _, store, _ = run
    assert store.frames() == [1, 2, 3, 4, 5]


def test_later_frames_of_a_phase_compile_nothing(run):
    _, _, compiled = run
    # Warm-Up, Structure Transfer and a view: what runs on all devices.
    assert [name for name, _ in compiled].count(_ON_DEVICES) == 3
    assert not [name for name, stored in compiled if stored >= _FREEZE]


def test_color_is_stored_while_it_trains_and_not_after(run):
    workdir, _, _ = run
    has_color = [params_lib.COLOR in _items(workdir, frame) for frame in range(1, 6)]
    assert has_color == [True, True, False, False, False]
    assert all(params_lib.STRUCTURE in _items(workdir, frame) for frame in range(1, 6))


def test_frozen_color_is_equal_to_the_bit_in_all_later_frames(run):
    _, store, _ = run
    color = [_bits(store, frame, "/color/") for frame in range(1, 6)]
    assert color[0]
    assert color[0] != color[1]
    assert color[1] == color[2] == color[3] == color[4]


def test_structure_differs_in_every_frame(run):
    _, store, _ = run
    structure = [_bits(store, frame, "/structure/") for frame in range(1, 6)]
    for earlier, later in itertools.pairwise(structure):
        assert all(earlier[path] != later[path] for path in earlier)


def test_only_the_newest_frame_has_its_optimizer(run):
    workdir, store, _ = run
    has_optimizer = ["optimizer" in _items(workdir, frame) for frame in range(1, 6)]
    assert has_optimizer == [False, False, False, False, True]
    assert store.optimizer(4) is None
    assert not [path for path in store.optimizer(5) if "/color/" in path]


def test_no_state_within_a_frame_is_left_of_a_finished_run(run):
    workdir, _, _ = run
    assert not list((workdir / "partial").iterdir())


def test_metadata_says_how_a_frame_was_trained(run):
    _, store, _ = run
    phases = [(store.metadata(f)["phase"], store.metadata(f)["steps"]) for f in range(1, 6)]
    assert phases == [("warmup", 10)] * 2 + [("transfer", 6)] * 3
    assert store.metadata(4)["frame"] == 4
    assert store.metadata(4)["holds"] == {"structure": 4, "color": 2}


def test_images_have_the_names_of_the_original(run):
    workdir, _, _ = run
    rows = {row["frame"]: row for row in Journal(workdir).rows()}
    expected = {f"cam00_frame{frame:04d}_{rows[frame]['psnr']:.6f}.png" for frame in rows}
    for folder in (workdir / "nerf_esti", workdir / "nerf_esti" / "compare"):
        assert {path.name for path in folder.glob("*.png")} == expected
    with Image.open(next((workdir / "nerf_esti").glob("*.png"))) as image:
        assert image.size == (16, 12)


def test_a_row_per_frame_says_what_was_reached_at_what_cost(run):
    workdir, store, _ = run
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["frame"] for row in rows] == [1, 2, 3, 4, 5]
    for row in rows:
        assert row["phase"] == ("warmup" if row["frame"] < _FREEZE else "transfer")
        assert row["steps"] == (10 if row["frame"] < _FREEZE else 6)
        assert row["cam"] == 0
        assert row["held_out"] is True
        assert 0 < row["psnr"] < 60
        assert -1 <= row["ssim"] <= 1
        assert 0 < row["loss"] < 2
        assert row["seconds"] > 0
        # Both are rounded: the seconds to a thousandth.
        assert row["rows_per_second"] == pytest.approx(
            row["steps"] * 32 / row["seconds"], rel=0.001 / row["seconds"], abs=1
        )
        assert row["structure_bytes"] == store.own_bytes(row["frame"])
        assert "holds" not in row


def test_config_json_says_what_ran(run):
    workdir, _, _ = run
    record = json.loads((workdir / "config.json").read_text())
    assert record["config"]["train"]["freeze_frame"] == _FREEZE
    assert record["versions"]["jax"] == jax.__version__
    assert record["versions"]["inv_jax"] != "not installed"
    assert record["devices"] == f"{len(jax.devices())} x cpu"
    assert record["python"].startswith("3.")


def test_stored_params_render_the_picture_on_disk(run):
    """What is seen of a frame is what was stored of it."""
    workdir, _, _ = run
    playback = open_playback(workdir)
    view = playback.player.view(4, playback.capture.cameras, 0)
    with Image.open(next((workdir / "nerf_esti").glob("cam00_frame0004_*.png"))) as image:
        np.testing.assert_array_equal(np.asarray(image), pictures.to_uint8(view.rgb))


# Other plans.


def test_a_longer_run_is_the_shorter_one_gone_on(run, train, tmp_path):
    _, straight, _ = run
    train(tmp_path, {"data.num_frames": 2, "train.freeze_frame": _FREEZE})
    store = train(tmp_path, {"data.num_frames": 4, "train.freeze_frame": _FREEZE})
    assert store.frames() == [1, 2, 3, 4]
    for frame in store.frames():
        assert _bits(store, frame) == _bits(straight, frame), frame
    assert [row["frame"] for row in Journal(tmp_path).rows()] == [1, 2, 3, 4]


def test_a_run_that_is_done_changes_nothing_when_started_again(run, train):
    workdir, _, _ = run
    changes = {"data.num_frames": 5, "train.freeze_frame": _FREEZE}

    def files() -> dict[str, int]:
        paths = [path for path in workdir.rglob("*") if path.is_file()]
        return {str(p): p.stat().st_mtime_ns for p in paths if p.name != "config.json"}

    before = files()
    train(workdir, changes)
    assert files() == before


def test_a_start_with_fewer_frames_keeps_the_rows_of_the_others(train, tmp_path):
    train(tmp_path, {"data.num_frames": 3})
    train(tmp_path, {"data.num_frames": 1})
    assert [row["frame"] for row in Journal(tmp_path).rows()] == [1, 2, 3]


def test_the_baseline_trains_each_frame_on_its_own(train, tmp_path):
    scratch = {"train.scratch": True, "train.freeze_frame": 0}
    both = train(tmp_path / "both", {**scratch, "data.num_frames": 2})
    alone = train(tmp_path / "alone", {**scratch, "data.first_frame": 2, "data.num_frames": 1})
    assert _bits(both, 2) == _bits(alone, 2)
    assert _bits(both, 1) != _bits(both, 2)
    assert both.metadata(2)["phase"] == "scratch"


def test_colors_of_another_run_are_kept_to_the_bit(run, train, tmp_path):
    _, source, _ = run
    settings = {"train.freeze_frame": 1, "data.first_frame": 2, "data.num_frames": 2}
    store = train(tmp_path, {**settings, "train.init_from": str(run[0]), "train.init_frame": 1})
    for frame in store.frames():
        assert _bits(store, frame, "/color/") == _bits(source, 1, "/color/")
        assert _bits(store, frame, "/structure/") != _bits(source, 1, "/structure/")
        assert store.metadata(frame)["phase"] == "transfer"
    # The new run stands on its own: it holds the colors it was given, once.
    assert [params_lib.COLOR in _items(tmp_path, frame) for frame in (2, 3)] == [True, False]


def test_another_run_gives_its_newest_frame_by_default(run, train, tmp_path):
    workdir, source, _ = run
    settings = {"train.freeze_frame": 1, "data.num_frames": 1, "train.init_from": str(workdir)}
    store = train(tmp_path, settings)
    assert _bits(store, 1, "/color/") == _bits(source, 5, "/color/")
    assert _bits(store, 1, "/color/") != _bits(source, 1, "/color/")


def test_params_of_another_network_are_refused(run, train, tmp_path):
    workdir, _, _ = run
    settings = {"train.init_from": str(workdir), "model.width": 16}
    with pytest.raises(InvError, match=r"train\.init_from.*shape.*model\.width"):
        train(tmp_path / "new", settings)
    assert not (tmp_path / "new").exists()


def test_without_freezing_color_trains_in_every_frame(train, tmp_path):
    store = train(tmp_path, {"train.freeze_frame": 0})
    color = [_bits(store, frame, "/color/") for frame in (1, 2, 3)]
    assert color[0] != color[1] != color[2]
    assert all(params_lib.COLOR in _items(tmp_path, frame) for frame in (1, 2, 3))


@pytest.mark.parametrize(("reset", "steps_counted"), [(True, 10), (False, 20)])
def test_optimizer_state_carries_on_unless_it_is_reset(train, tmp_path, reset, steps_counted):
    settings = {"train.reset_optimizer": reset, "train.freeze_frame": 0, "data.num_frames": 2}
    leaves = train(tmp_path, settings).optimizer(2)
    counts = [int(leaf) for path, leaf in leaves.items() if path.endswith("count")]
    assert counts == [steps_counted, steps_counted]  # coarse and fine, 10 steps a frame


def test_pictures_within_a_frame_change_no_result(run, train, tmp_path):
    _, straight, _ = run
    settings = {"data.num_frames": 1, "train.freeze_frame": _FREEZE, "train.image_every": 4}
    store = train(tmp_path, settings)
    assert _bits(store, 1) == _bits(straight, 1)
    for folder in (tmp_path / "nerf_esti", tmp_path / "nerf_esti" / "compare"):
        names = sorted(path.name for path in folder.glob("*.png"))
        within = [name for name in names if "_iter" in name]
        assert [name.split("_")[2] for name in within] == ["iter000004", "iter000008"]
        assert len(names) == 3
    kept = sorted(path.name for path in (tmp_path / "intermediate").iterdir())
    assert kept == ["1000000004", "1000000008"]


def test_the_length_of_a_dispatch_changes_no_bit(run, train, tmp_path):
    _, straight, _ = run
    settings = {"data.num_frames": 3, "train.freeze_frame": _FREEZE}
    store = train(tmp_path, {**settings, "train.dispatch_seconds": 0.0})  # one step each
    for frame in (1, 2, 3):
        assert _bits(store, frame) == _bits(straight, frame)


@pytest.mark.slow
def test_the_tiny_scene_is_learned(train, tmp_path):
    """Held out is a corner of the square of cameras; the others see all but its edge."""
    settings = {
        "train.warmup_steps": 800,
        "train.steps": 300,
        "train.learning_rate": 2e-3,
        "train.rows_per_step": 64,
        "data.near": 0.5,
        "model.width": 32,
        "model.depth": 3,
        "model.coarse_samples": 8,
        "model.fine_samples": 8,
    }
    train(tmp_path, settings)
    rows = Journal(tmp_path).rows()
    assert [row["phase"] for row in rows] == ["warmup", "transfer", "transfer"]
    assert all(row["train_psnr"] > 28 for row in rows), rows
    assert all(row["psnr"] > 25 for row in rows), rows
