"""What an older version wrote is measured and shown as it was then."""

import json
import pathlib
import shutil

import av
import numpy as np
import pytest
from PIL import Image

_SLOW = pytest.mark.slow
_RUNS = ["image", pytest.param("inv", marks=_SLOW), pytest.param("split", marks=_SLOW)]


def _pictures(folder: pathlib.Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])


def _check(found: np.ndarray, old, name: str) -> None:
    with np.load(old.data / "pictures.npz") as stored:
        wanted = stored[name]
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize("name", ["image", pytest.param("split", marks=_SLOW)])
def test_play_shows_a_run_as_it_did(name, old, command, tmp_path):
    out = tmp_path / "pictures"
    assert command("play", old.run(name), "--path=test", f"--out={out}") == 0
    _check(_pictures(out), old, name)


@pytest.mark.parametrize(
    "name", ["image", *(pytest.param(x, marks=_SLOW) for x in ("raw", "delta", "twc", "split"))]
)
def test_play_shows_a_file_as_it_did(name, old, command, tmp_path):
    out = tmp_path / "pictures"
    assert command("play", old.data / f"{name}.inv", "--path=test", f"--out={out}") == 0
    _check(_pictures(out), old, f"{name}_inv")


@_SLOW
def test_play_shows_a_published_folder_as_it_did(old, command, tmp_path):
    out = tmp_path / "pictures"
    flags = ["--level=delta", "--path=test", f"--out={out}"]
    assert command("play", old.data / "published", *flags) == 0
    _check(_pictures(out), old, "delta_inv")


@_SLOW
def test_play_shows_one_of_two_fields_as_it_did(old, command, tmp_path):
    out = tmp_path / "pictures"
    flags = ["--path=test", "--layer=dynamic", f"--out={out}"]
    assert command("play", old.run("split"), *flags) == 0
    _check(_pictures(out), old, "split_dynamic")


@pytest.mark.parametrize("name", _RUNS)
def test_eval_measures_what_training_did(name, old, command, tmp_path):
    workdir, out = old.run(name), tmp_path / "rows.json"
    flags = ["--metrics=psnr,ssim", f"--out={out}"]
    assert command("eval", f"--workdir={workdir}", *flags) == 0
    noted = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows = json.loads(out.read_text())
    assert [row["frame"] for row in rows] == [row["frame"] for row in noted]
    for row, then in zip(rows, noted, strict=True):
        assert row["psnr"] == pytest.approx(then["psnr"], rel=1e-5)
        assert row["ssim"] == pytest.approx(then["ssim"], rel=1e-4)


@pytest.mark.parametrize("name", ["image", pytest.param("delta", marks=_SLOW)])
def test_eval_measures_a_file_where_the_capture_is(name, old, command, tmp_path):
    out = tmp_path / "rows.json"
    flags = ["--metrics=psnr", f"--data_path={old.capture(name)}", f"--out={out}"]
    assert command("eval", f"--workdir={old.data / name}.inv", *flags) == 0
    run = {"image": "image", "delta": "inv"}[name]
    lines = (old.data / f"{run}.jsonl").read_text().splitlines()
    for row, line in zip(json.loads(out.read_text()), lines, strict=True):
        assert row["psnr"] == pytest.approx(json.loads(line)["psnr"], abs=0.5)  # was encoded


@pytest.mark.parametrize("name", _RUNS)
def test_render_writes_a_video(name, old, command, tmp_path):
    out = tmp_path / "video.mp4"
    flags = ["--path=test", "--outputs=rgb", f"--out={out}"]
    assert command("render", f"--workdir={old.run(name)}", *flags) == 0
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width, stream.average_rate) == (24, 32, _rate(name))
        assert sum(1 for _ in container.decode(stream)) == {"image": 2}.get(name, 3)


def _rate(name: str) -> int:
    return 30 if name == "split" else 10  # as the demos have it


def test_swap_puts_layers_of_a_frame_into_another(old, command, tmp_path):
    flags = ["--base=2", "--donors=1", "--swaps=1:2", f"--out={tmp_path / 'swap'}"]
    assert command("swap", f"--workdir={old.run('image')}", *flags) == 0
    assert len(list((tmp_path / "swap").glob("cam00_frame0002_*.png"))) >= 2


def test_runs_and_files_stand_side_by_side(old, command, tmp_path):
    workdir, out = old.run("image"), tmp_path / "video.mp4"
    shutil.copy(old.data / "image.inv", workdir)
    flags = ["--names=run,file", "--truth", f"--data_path={workdir / 'capture'}", f"--out={out}"]
    assert command("video", workdir, workdir / "image.inv", *flags) == 0
    assert out.stat().st_size


@pytest.mark.parametrize(
    ("run", "file"), [("image", "image.inv"), pytest.param("inv", "delta.inv", marks=_SLOW)]
)
def test_a_report_takes_runs_and_files(run, file, old, command, tmp_path):
    out = tmp_path / "report"
    flags = ["--metrics=psnr", "--frames=1:2", f"--out={out}"]
    assert command("report", old.run(run), old.data / file, *flags) == 0
    assert "<h2>Raw against compressed</h2>" in (out / "index.html").read_text()
