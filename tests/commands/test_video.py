"""`inv-jax video`: what stands beside what, and when it may not."""

import shutil

import av
import numpy as np
import pytest

from inv_jax import cli
from inv_jax.eval import sheets

pytestmark = pytest.mark.usefixtures("restored_process", "painted")


@pytest.fixture(scope="module")
def capture(tiny_capture):
    return tiny_capture()


@pytest.fixture(scope="module")
def runs(capture, untrained):
    """Two runs that have frames 2 and 3 in common."""
    return untrained(capture), untrained(capture, (2, 3), seed=1)


@pytest.fixture
def sheets_drawn(monkeypatch):
    """What is drawn, as it is given to be drawn: rows, title, note, and the color bar."""
    drawn, draw = [], sheets.draw

    def noted(rows, title, note, *, bar, times):
        drawn.append((rows, title, note, bar))
        return draw(rows, title, note, bar=bar, times=times)

    monkeypatch.setattr(sheets, "draw", noted)
    return drawn


@pytest.fixture
def call(capsys):
    """`call(*arguments)`: exit status, standard output, last line of standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["inv-jax", "video", *map(str, arguments)])
        output, errors = capsys.readouterr()
        return status, output.strip(), errors.splitlines()[-1] if errors else ""

    return run


def test_runs_stand_side_by_side_with_truth_and_errors(runs, call, sheets_drawn, tmp_path):
    out = tmp_path / "a.mp4"
    status, output, errors = call(*runs, f"--out={out}", "--truth", "--error", "--names=one,two")
    assert (status, output) == (0, str(out)), errors
    assert [title for _, title, _, _ in sheets_drawn] == [
        "cam00, frame 0002",
        "cam00, frame 0003",
    ]
    for (images, errors_of), _, _, bar in sheets_drawn:
        assert [panel.caption for panel in images] == ["ground truth", "one", "two"]
        assert errors_of[0] is None
        assert len(errors_of) == 3
        assert bar.top == "0.1"
        truth = images[0].picture.astype(float) / 255
        for panel in images[1:]:
            mse = np.mean((panel.picture / 255 - truth) ** 2)
            assert panel.score.endswith(" dB")
            assert float(panel.score[:-3]) == pytest.approx(-10 * np.log10(mse), abs=0.1)
    with av.open(str(out)) as container:
        assert len(list(container.decode(video=0))) == 2


def test_a_moving_camera_has_no_truth(runs, call, sheets_drawn, tmp_path):
    out = tmp_path / "a.mp4"
    assert call(*runs, f"--out={out}", "--path=spiral", "--frames=2:3")[0] == 0
    ((images,), title, note, bar), _ = sheets_drawn
    assert [(panel.caption, panel.score) for panel in images] == [("run0", ""), ("run1", "")]
    assert (title, note, bar) == ("moving camera, frame 0002", "", None)
    status, _, said = call(*runs, f"--out={out}", "--path=spiral", "--truth")
    assert status == 2
    assert "there is no truth; choose --path=test" in said


def test_a_run_is_not_shown_without_its_capture(runs, call, sheets_drawn, tmp_path):
    alone = shutil.copytree(runs[0], tmp_path / "alone")
    status, _, said = call(alone, f"--data_path={tmp_path / 'gone'}", f"--out={tmp_path / 'a.mp4'}")
    assert status == 2
    assert "gone" in said
    assert not sheets_drawn


def test_runs_of_one_shape_and_two_sizes_have_panels_of_one_size(
    runs, tiny_capture, untrained, call, sheets_drawn, tmp_path
):
    larger = untrained(tiny_capture(24, 32), (2,), seed=2)
    assert call(runs[0], larger, f"--out={tmp_path / 'a.mp4'}", "--error")[0] == 0
    (((images, errors), *_),) = sheets_drawn
    assert {panel.picture.shape for panel in [*images, *errors]} == {(24, 32, 3)}
    blocks = errors[0].picture.reshape(12, 2, 16, 2, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()  # whole pixels


@pytest.fixture(scope="module")
def split(capture, untrained):
    """A run with layers, of frame 2."""
    return untrained(capture, (2,), seed=5, name="split")


def test_a_run_stands_beside_its_layers(split, call, sheets_drawn, tmp_path):
    assert call(split, f"--out={tmp_path / 'a.mp4'}", "--truth", "--error")[0] == 0
    (((images, errors), title, note, _),) = sheets_drawn
    captions = [panel.caption for panel in images]
    assert captions == ["ground truth", "blend", "static", "dynamic", "dynamic, opacity"]
    assert [bool(panel.score) for panel in images] == [False, True, False, False, False]
    assert (title, note) == ("run5, cam00, frame 0002", "PSNR of the frame")
    assert errors[0] is None
    assert len(errors) == 2  # the error stands under the blend
    assert (images[2].picture == [0, 0, 255]).all()
    assert (images[3].picture == 128).all()


def test_of_several_runs_each_output_is_a_row(runs, split, call, sheets_drawn, tmp_path):
    flags = ["--path=spiral", "--poses=1", "--outputs=rgb,dynamic", f"--out={tmp_path / 'a.mp4'}"]
    assert call(runs[0], split, *flags)[0] == 0
    (((colors, dynamic), *_),) = sheets_drawn
    assert [panel.caption for panel in colors] == ["run0", "run5"]
    assert dynamic[0] is None  # it has none
    assert dynamic[1].caption == "run5, dynamic"
    status, _, said = call(*runs, *flags)
    assert status == 2
    assert "--outputs=rgb,dynamic: there is no 'dynamic', but rgb, depth, acc" in said


def test_runs_that_do_not_fit_are_refused(runs, capture, tiny_capture, untrained, call, tmp_path):
    out = f"--out={tmp_path / 'a.mp4'}"
    square = untrained(tiny_capture(16, 16), (2,), seed=3)
    first = untrained(capture, (1,), seed=4)
    for arguments, wanted in (
        ((runs[0], square), "run0 has images of 16x12, another of 16x16"),
        ((runs[1], first), "no frame in common: run1 2 to 3, run4 1 to 1"),
        ((*runs, "--frames=1:2"), "stored frames are 2 to 3"),
        ((*runs, "--names=a"), "--names=a for 2 runs"),
        ((*runs, "--height=-1"), "--height=-1"),
        ((tmp_path / "none",), "no run in"),
        ((), "--runs is missing; give folders of runs"),
    ):
        status, _, said = call(*arguments, out)
        assert status == 2, arguments
        assert wanted in said
    assert not list(tmp_path.iterdir())
