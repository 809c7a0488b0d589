"""The command on a small capture; what masks are is tested in tests/masks."""

import json
import pathlib
import shutil

import av
import numpy as np
import pytest
from PIL import Image

from inv_jax import cli

pytestmark = pytest.mark.usefixtures("restored_process")

_CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "base.py"
_FAST = ["--preset=ultrafast", "--stride=1"]


@pytest.fixture
def capture(tiny_capture, tmp_path):
    """A capture of 3 cameras and 3 frames, in a folder of its own."""
    folder = tmp_path / "capture"
    shutil.copytree(tiny_capture(20, 28), folder)
    return folder


def _run(capsys, *argv) -> tuple[int, list[str], list[str]]:
    status = cli.main(["inv-jax", "masks", *map(str, argv)])
    output, errors = capsys.readouterr()
    return status, output.splitlines(), [x for x in errors.splitlines() if x.startswith("inv-jax")]


def test_it_writes_a_mask_for_each_frame_and_camera_and_a_video(capture, capsys):
    status, lines, errors = _run(capsys, capture, *_FAST)
    assert (status, errors) == (0, [])
    names = [f"dynamic_mask_frame{f:04d}cam{c:02d}.png" for f in (1, 2, 3) for c in (0, 1, 2)]
    assert sorted(path.name for path in (capture / "mask").iterdir()) == [*names, "flow_masks.json"]
    for name in names:
        mask = np.asarray(Image.open(capture / "mask" / name))
        assert mask.shape == (20, 28)
        assert set(np.unique(mask)) <= {0, 255}
    with av.open(str(capture / "mask_preview.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3
    assert [line.split()[0] for line in lines[2:5]] == ["cam00", "cam01", "cam02"]
    assert lines[-1].endswith(f"9 masks, 9 of them new; {capture / 'mask_preview.mp4'}")
    assert _run(capsys, capture, *_FAST)[1][-1].startswith(f"{capture}/mask: 9 masks, 0 of them")


def test_a_config_and_an_own_folder_and_a_choice(capture, tmp_path, capsys):
    out = tmp_path / "out"
    before = sorted(capture.rglob("*"))
    status, lines, errors = _run(
        capsys,
        f"--config={_CONFIG}",
        f"--config.data.path={capture}",
        "--config.data.frame_step=3",  # a run may leave out frames, flow does not
        f"--out={out}",
        "--frames=2:3",
        "--cams=2",
        "--preview=",
        *_FAST,
    )
    assert (status, errors) == (0, [])
    made = {path.name for path in (out / "mask").glob("*.png")}
    assert made == {"dynamic_mask_frame0002cam02.png", "dynamic_mask_frame0003cam02.png"}
    assert sorted(capture.rglob("*")) == before
    assert lines[-2] == f"{out}/mask: 2 masks, 2 of them new"
    assert lines[-1] == f"to train with them: --config.data.masks={out}"


def test_it_compares_with_masks_that_are_there(capture, tmp_path, capsys):
    (capture / "fg").mkdir()
    for frame in (1, 2, 3):
        Image.fromarray(np.ones((20, 28), bool)).save(capture / "fg" / f"{frame}cam01.png")
    table = tmp_path / "table.json"
    argv = [capture, f"--out={tmp_path}", "--compare=fg/{frame}{cam}.png", f"--table={table}"]
    argv += ["--color=0"]  # of pictures that are nothing but noise
    status, lines, _ = _run(capsys, *argv, *_FAST)
    assert status == 0
    assert lines[0].split()[-4:] == ["judged", "precision", "recall", "iou"]
    rows = json.loads(table.read_text())
    assert [row["judged"] for row in rows] == [0, 3, 0, 3]
    assert rows[0]["precision"] is None
    assert rows[1]["precision"] == 1.0
    assert rows[1]["recall"] == pytest.approx(rows[1]["dynamic"])
    rows_of_static = _run(capsys, *argv, "--compare_polarity=static", *_FAST)
    assert rows_of_static[0] == 0
    status, _, errors = _run(capsys, *argv, "--cams=0,2", *_FAST)
    assert status == 2
    assert "nor one of any other of these frames and cameras" in errors[0]
    assert json.loads(table.read_text())[1]["precision"] == 0.0


def test_flow_files_serve_instead_of_computed_flow(capture, tmp_path, capsys):
    flow = np.zeros((20, 28, 2), np.float32)
    flow[5:12, 6:20, 0] = 2.0
    for frame in (1, 2):
        for cam in (0, 1, 2):
            np.savez(tmp_path / f"frame{frame:04d}cam{cam:02d}.npz", flow)
    argv = [capture, f"--flow={tmp_path}", "--color=0", "--threshold=1", "--preview="]
    status, _, errors = _run(capsys, *argv)
    assert (status, errors) == (0, [])
    mask = np.asarray(Image.open(capture / "mask" / "dynamic_mask_frame0001cam00.png"))
    np.testing.assert_array_equal(mask > 0, flow[..., 0] > 0)
    np.savez(tmp_path / "frame0002cam01.npz", flow[:-1])
    before = (capture / "mask" / "dynamic_mask_frame0001cam00.png").read_bytes()
    status, _, errors = _run(capsys, *argv, "--dilate=0.2", "--overwrite")
    assert (capture / "mask" / "dynamic_mask_frame0001cam00.png").read_bytes() == before
    assert status == 2
    assert len(errors) == 1
    assert "flow of frame 2, cam01:" in errors[0]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "give a capture's folder, or --config"),
        (["nowhere"], "nowhere does not exist"),
        (["CAPTURE", "--stride=0"], "--stride=0: expected 1 or more"),
        (["CAPTURE", "--preset=slow"], "--preset=slow: choose among"),
        (["CAPTURE", "--frames=2:9"], "frames are 1 to 3"),
        (["CAPTURE", "--cams=7"], "cameras are 0 to 2"),
        (["CAPTURE", "--factor=3"], "this capture has images for data.factor 2"),
        (["CAPTURE", "--compare=fg/{frame}{cam}.png"], "there is no"),
        (["CAPTURE", "--compare=mask"], "are the masks that are made; give --out"),
        (["CAPTURE", "--compare_polarity=grey", "--compare=mask"], "grey"),
        (["CAPTURE", "--preview=mask.avi"], "cannot write '.avi'"),
        ([f"--config={_CONFIG}", "--layout=n3dv"], "--layout and --factor are the config's"),
        ([f"--config={_CONFIG}"], "data.path is empty"),
        ([f"--config={_CONFIG}", "--config.data.layout=procedural"], "data.path is empty"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(capture, capsys, argv, said):
    before = sorted(capture.rglob("*"))
    argv = [text.replace("CAPTURE", str(capture)) for text in argv]
    status, lines, errors = _run(capsys, *argv)
    assert (status, lines) == (2, [])
    assert len(errors) == 1
    assert said in errors[0]
    assert sorted(capture.rglob("*")) == before
