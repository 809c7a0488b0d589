"""A 2D video from the command line to a file that plays: what 3D has, by the same parts."""

import json
import pathlib

import jax
import numpy as np
import pytest
from PIL import Image

from configs import image2d
from inv_jax import cli
from inv_jax.assembly import build, captures, plans, playback
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.base import CorruptError
from inv_jax.codec.video import NeuralVideo
from inv_jax.player.video import write_video
from inv_jax.train.parallel import Devices
from inv_jax.types import InvError

HEIGHT, WIDTH, FRAMES = 16, 24, 3  # of `image_clip`


def picture(clip: pathlib.Path, frame: int) -> np.ndarray:
    return np.asarray(Image.open(clip / f"{frame:04d}.png"))


def run(command: str, *flags: str) -> int:
    return cli.main(["inv-jax", command, *flags])


@pytest.fixture(scope="module")
def clip(image_clip) -> pathlib.Path:
    return image_clip


@pytest.fixture(scope="module")
def workdir(image_run) -> pathlib.Path:
    return image_run


def test_pictures_are_learned(workdir):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["frame"] for row in rows] == [1, 2, 3]
    assert [row["phase"] for row in rows] == ["warmup", "transfer", "transfer"]
    assert min(row["psnr"] for row in rows) > 20.0
    assert not any(row["held_out"] for row in rows)


def test_all_pixels_are_a_step(workdir):
    config = json.loads((workdir / "config.json").read_text())["config"]
    assert config["train"]["rows_per_step"] == HEIGHT * WIDTH
    assert config["render"]["fps"] == 30.0


def test_frozen_layers_stay(workdir):
    store = FrameStore(workdir)
    first, last = store.params(1)["image"], store.params(FRAMES)["image"]
    jax.tree.map(np.testing.assert_array_equal, first["color"], last["color"])
    moved = first["structure"]["layer_0"]["kernel"] != last["structure"]["layer_0"]["kernel"]
    assert moved.any()
    store.close()


def test_a_finished_run_is_found_finished(workdir, train_image):
    before = (workdir / "metrics.jsonl").read_text()
    assert train_image(workdir) == 0
    assert (workdir / "metrics.jsonl").read_text() == before


def test_a_run_does_not_go_on_with_another_clip(workdir, clip, train_image, tmp_path, capsys):
    for frame in range(1, FRAMES + 1):
        Image.fromarray(255 - picture(clip, frame)).save(tmp_path / f"{frame:04d}.png")
    assert train_image(workdir, tmp_path) == 2
    assert "of a video, other pictures" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["workdir", "video.inv"])
def test_eval_measures_the_camera_that_there_is(workdir, clip, tmp_path, source):
    path = workdir if source == "workdir" else workdir / source
    out = tmp_path / "rows.json"
    flags = ["--metrics=psnr", f"--data_path={clip}", f"--out={out}"]
    assert run("eval", f"--workdir={path}", *flags) == 0
    found = json.loads(out.read_text())
    rows = found["rows"] if isinstance(found, dict) else found
    assert min(row["psnr"] for row in rows) > 20.0


def test_a_file_plays_what_was_trained(workdir, clip, tmp_path):
    out = tmp_path / "pictures"
    assert run("play", str(workdir / "video.inv"), f"--out={out}") == 0
    shown = [np.asarray(Image.open(path)) for path in sorted(out.iterdir())]
    for frame, pixels in enumerate(shown, start=1):
        error = np.mean(np.square(pixels.astype(float) - picture(clip, frame))) / 255**2
        assert -10 * np.log10(error) > 20.0


def test_a_flat_picture_has_no_depth(workdir):
    opened = playback.open_playback(workdir)
    view = opened.player.view(1, opened.rig.cameras, 0)
    assert view.rgb.shape == (HEIGHT, WIDTH, 3)
    assert view.depth is None and view.acc is None
    assert view.rgb.min() >= 0.0 and view.rgb.max() <= 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 1 << 20), ("fourier_features", 1 << 20), ("encoding", "x"), ("name", "other")],
)
def test_a_forged_file_is_refused(workdir, name, value):
    with NeuralVideo.open(workdir / "video.inv") as video:
        header = video.header
        header.config["model"][name] = value
    with pytest.raises(CorruptError, match="settings do not fit"):
        playback.model_of(header, "forged.inv")


def test_the_rate_of_a_file_is_the_videos(clip, tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, [picture(clip, frame) for frame in range(1, 4)], 12.0)
    config = image2d.get_config()
    config.data.path = str(path)
    made = captures.completed(config, build.model(config), tmp_path, Devices())
    assert (made.render.fps, made.train.rows_per_step) == (12.0, HEIGHT * WIDTH)


def test_the_baseline_has_the_steps_that_were_spent():
    config = image2d.get_config("scratch")
    config.train.update(steps=10, warmup_steps=50, freeze_frame=3)
    plan = plans.of(config)
    assert [plan.phase(frame).steps for frame in range(1, 6)] == [50, 100, 110, 120, 130]
    assert {plan.phase(frame).start for frame in range(1, 6)} == {"scratch"}


def test_equal_steps_want_a_baseline():
    config = image2d.get_config()
    config.train.equal_steps = True
    with pytest.raises(InvError, match="baseline from scratch"):
        plans.of(config)


def test_unknown_names_are_refused():
    with pytest.raises(InvError, match="transfer, scratch"):
        image2d.get_config("frozen")
