"""What comes out of `train`, `eval` and `render`: files, tables, videos."""

import json

import av
import pytest

from inv_jax import cli

pytestmark = pytest.mark.usefixtures("restored_process")


def test_training_again_is_said_to_be_done(run, caplog, train_argv):
    with caplog.at_level("INFO", logger="absl"):
        assert cli.main(train_argv(run)) == 0
    assert "all 2 frames are trained already" in caplog.text


def test_eval_prints_a_table_and_writes_its_rows(run, tmp_path, capsys):
    out = tmp_path / "new" / "rows.json"
    flags = ["--cams=all", "--frames=2", "--metrics=psnr,ssim", f"--out={out}"]
    assert cli.main(["inv-jax", "eval", f"--workdir={run}", *flags]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["frame", "cam", "PSNR", "dB", "SSIM"]
    rows = json.loads(out.read_text())
    assert [(row["frame"], row["cam"]) for row in rows] == [(2, 0), (2, 1), (2, 2)]
    for line, row in zip(table[2:5], rows, strict=True):
        assert line.split() == ["2", str(row["cam"]), f"{row['psnr']:.3f}", f"{row['ssim']:.4f}"]


def test_eval_finds_what_training_found(run, tmp_path):
    out = tmp_path / "rows.json"
    assert cli.main(["inv-jax", "eval", f"--workdir={run}", f"--out={out}"]) == 0
    journal = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row, noted in zip(json.loads(out.read_text()), journal, strict=True):
        assert (row["frame"], row["cam"]) == (noted["frame"], noted["cam"])
        assert row["psnr"] == pytest.approx(noted["psnr"], rel=1e-5)
        assert row["ssim"] == pytest.approx(noted["ssim"], rel=1e-4)


@pytest.mark.parametrize("path", ["spiral", "test"])
def test_render_writes_a_video_of_colors_and_one_of_depth(run, tmp_path, capsys, path):
    out = tmp_path / "new" / "video.mp4"
    argv = ["inv-jax", "render", f"--workdir={run}", f"--path={path}", f"--out={out}", "--fps=5"]
    assert cli.main(argv) == 0
    paths = [out, out.with_name("video_depth.mp4")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
    assert sorted(out.parent.iterdir()) == sorted(paths)
    for written in paths:
        with av.open(str(written)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == 5
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(frames) == 2
        assert all(frame.shape == (12, 18, 3) for frame in frames)  # made even


def test_eval_and_render_leave_the_run_as_it_was(run, tmp_path):
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in run.rglob("*")}

    before = files()
    assert cli.main(["inv-jax", "eval", f"--workdir={run}"]) == 0
    out = tmp_path / "video.gif"
    assert cli.main(["inv-jax", "render", f"--workdir={run}", f"--out={out}"]) == 0
    assert files() == before
