"""What the command says and writes, of a run whose pictures are known.

That a real run's pictures are those it trained is tested in tests/cli/test_outputs.py.
"""

import json
import types

import numpy as np
import pytest
from absl import flags
from PIL import Image

from inv_jax.commands import evaluate
from inv_jax.data.capture import open_capture
from inv_jax.data.masks import open_masks
from inv_jax.eval import lpips
from inv_jax.render.view import View
from inv_jax.types import InvError

_HEIGHT, _WIDTH, _FRAMES, _STEP = 17, 23, (1, 2, 3), 8  # test_metrics.py compiled this size


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A capture of two cameras that see one still picture; of camera 1 there are masks."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(lpips.ENVIRONMENT, raising=False)
    path = tmp_path / "capture"
    (path / "frames").mkdir(parents=True)
    (path / "mask").mkdir()
    rows = np.zeros((2, 17))
    image = np.random.default_rng(0).integers(50, 200, (_HEIGHT, _WIDTH, 3), np.uint8)
    mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    mask[:, :3] = 255
    for cam, row in enumerate(rows):
        row[:15] = np.ravel(
            [[0, 1, 0, 0.3 * cam, _HEIGHT], [-1, 0, 0, 0, _WIDTH], [0, 0, 1, 0, 40]]
        )
        row[15:] = 3.0, 20.0
        for frame in _FRAMES:
            name = f"frame{frame:04d}cam{cam:02d}.png"
            Image.fromarray(image).save(path / "frames" / name)
            if cam == 1:
                Image.fromarray(mask).save(path / "mask" / f"dynamic_mask_{name}")
    np.save(path / "poses_bounds.npy", rows)
    return path


@pytest.fixture
def run_eval(folder, monkeypatch, capsys):
    """`run_eval(*flags)`: what is printed, of pictures that brighten by 8 levels a frame."""
    capture = open_capture(
        "n3dv",
        folder,
        factor=1,
        first_frame=1,
        num_frames=0,
        holdout=(0,),
        near=0.0,
        ndc=True,
        pixel_center=0.0,
    )

    def view(frame: int, cameras, cam: int) -> View:
        truth = np.asarray(capture.load(frame, [cam]).images)[0].astype(np.float32)
        return View(rgb=(truth + _STEP * frame) / 255)

    playback = types.SimpleNamespace(
        capture=capture,
        masks=open_masks(folder, capture.camera_names, _HEIGHT, _WIDTH),
        player=types.SimpleNamespace(frames=list(_FRAMES), view=view),
        is_main=True,
        wait_for_all=lambda: None,
    )
    monkeypatch.setattr(evaluate, "open_playback", lambda path, data_path, **_: playback)

    def run(*argv: str) -> list[str]:
        values = flags.FlagValues()
        evaluate.define(values, [])
        values(["inv-jax", "--workdir=run", "--num_processes=1", *argv])
        assert evaluate.run(values, None) == 0
        return capsys.readouterr().out.splitlines()

    return run


def test_all_that_can_be_had_is_measured(run_eval, tmp_path):
    out = tmp_path / "rows.json"
    lines = run_eval(f"--out={out}", "--cams=all")
    rows = json.loads(out.read_text())
    assert [(row["frame"], row["cam"]) for row in rows] == [(f, c) for f in _FRAMES for c in (0, 1)]
    header = lines[0].split()
    assert header[:4] == ["frame", "cam", "PSNR", "dB"]
    assert header[header.index("SSIM") :][:2] == ["SSIM", "FLIP"]
    assert "LPIPS" not in header
    assert "MS-SSIM" not in header
    for row in rows:
        expected = -20 * np.log10(_STEP * row["frame"] / 255)
        assert row["psnr"] == pytest.approx(expected, abs=1e-3)
        assert row["ms_ssim"] is None
        assert 0 < row["flip"] < 1
        assert "lpips" not in row
    assert "MS-SSIM: images of 23x17 are too small for it (sides of 161 pixels or more)" in lines


def test_flicker_stands_beside_the_truths_and_says_where_it_was_measured(run_eval, tmp_path):
    out = tmp_path / "rows.json"
    lines = run_eval(f"--out={out}", "--cams=all", "--metrics=flicker")
    rows = json.loads(out.read_text())
    assert [row["flicker"] for row in rows] == pytest.approx([None, None, *[_STEP] * 4], abs=1e-3)
    assert [row["flicker_truth"] for row in rows] == [None, None, *[0.0] * 4]
    names = ("static_pixels", "static_from", "static_range")
    assert [tuple(row[name] for name in names) for row in rows[:2]] == [
        (_HEIGHT * _WIDTH, "truth", 16),
        (_HEIGHT * (_WIDTH - 3), "masks", None),
    ]
    assert "psnr" not in rows[0]
    assert lines[-2:] == [
        "flicker of cam00: 8.000 of 255 levels from frame to frame, 0.000 of the truth; static are "
        "391 of 391 pixels (100%), by their true colors (within 16 levels)",
        "flicker of cam01: 8.000 of 255 levels from frame to frame, 0.000 of the truth; static are "
        "340 of 391 pixels (87%), by the capture's masks",
    ]


def test_dynamic_pixels_are_measured_where_there_are_masks(run_eval, tmp_path):
    out = tmp_path / "rows.json"
    names = "psnr,psnr_dynamic,psnr_static"
    lines = run_eval(f"--out={out}", "--cams=all", f"--metrics={names}")
    rows = json.loads(out.read_text())
    for row in rows:  # the error is the same everywhere
        expected = row["psnr"] if row["cam"] == 1 else None
        found = [row["psnr_dynamic"], row["psnr_static"]]
        assert found == pytest.approx([expected] * 2, abs=1e-3)
    assert lines[0].split()[2:] == ["PSNR", "dB", "PSNR", "dynamic", "dB", "PSNR", "static", "dB"]
    (said,) = (line for line in lines if "mask" in line)
    assert said.startswith("PSNR dynamic, PSNR static: there is no mask of frame 1, cam00 and 2")
    assert said.endswith("make them with inv-jax masks, or give --masks")


def test_masks_without_a_dynamic_pixel_say_so(run_eval, folder):
    for path in (folder / "mask").iterdir():
        Image.fromarray(np.zeros((_HEIGHT, _WIDTH), np.uint8)).save(path)
    lines = run_eval("--cams=1", "--metrics=psnr_static,psnr_dynamic")
    assert lines[0].split() == ["frame", "cam", "PSNR", "static", "dB"]
    assert lines[-1] == "PSNR dynamic: the masks have no such pixel"


def test_one_frame_has_no_flicker_and_says_so(run_eval):
    lines = run_eval("--frames=2", "--metrics=psnr,flicker")
    assert lines[0].split() == ["frame", "cam", "PSNR", "dB"]
    assert lines[-1].startswith("flicker of cam00: none, it wants two frames")


def test_metrics_are_those_asked_for(run_eval, tmp_path):
    lines = run_eval("--metrics=flip,psnr", f"--out={tmp_path / 'rows.json'}")
    assert lines[0].split() == ["frame", "cam", "PSNR", "dB", "FLIP"]
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert set(rows[0]) == {"frame", "cam", "held_out", "psnr", "flip"}


def test_views_that_were_trained_on_are_named(run_eval, tmp_path):
    out = tmp_path / "rows.json"
    lines = run_eval("--metrics=psnr", "--cams=all", f"--out={out}")
    assert lines[-1] == "trained on, not held out: cam01"
    held_out = [row["held_out"] for row in json.loads(out.read_text())]
    assert held_out == [True, False] * len(_FRAMES)
    assert "held out" not in run_eval("--metrics=psnr")[-1]


def test_a_camera_named_twice_is_measured_once(run_eval, tmp_path):
    out = tmp_path / "rows.json"
    run_eval("--metrics=flicker", "--cams=1,1", f"--out={out}")
    rows = json.loads(out.read_text())
    assert [row["flicker"] for row in rows] == pytest.approx([None, _STEP, _STEP], abs=1e-3)


def test_a_folder_is_refused_before_anything_is_measured(run_eval, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "evaluate", None)
    with pytest.raises(InvError, match=r"is a folder; give a file, as .*table\.json"):
        run_eval(f"--out={tmp_path}")


def test_of_errors_the_worst_is_the_highest_of_psnr_the_lowest(run_eval):
    lines = run_eval("--metrics=psnr,flip")
    worst, last = lines[-1].split(), lines[4].split()
    assert worst[0] == "worst"
    assert worst[1:] == last[2:]  # the third frame is the brightest


def test_lpips_alone_without_weights_is_nothing_to_measure(run_eval):
    with pytest.raises(InvError, match="--metrics=lpips: there is nothing to measure"):
        run_eval("--metrics=lpips")


def test_the_network_of_lpips_is_named_and_what_is_too_small_for_it(run_eval, folder, tmp_path):
    shapes = lpips.NETS["alex"].shapes()
    path, out = tmp_path / "zeros.npz", tmp_path / "rows.json"
    np.savez(path, net=np.array("alex"), **{k: np.zeros(s, np.float32) for k, s in shapes.items()})
    lines = run_eval(f"--lpips_weights={path}", "--metrics=psnr,lpips", f"--out={out}")
    assert "LPIPS: images of 23x17 are too small for it" in lines
    assert {row["lpips_net"] for row in json.loads(out.read_text())} == {"alex"}
