"""A clip as one network, from the command line to a file that plays: what INV has, as it is."""

import json
import pathlib

import av
import numpy as np
import playing
import pytest
from playing import pictures, psnr
from stored import journal

from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo

FRAMES = range(1, 9)
CODECS = {  # by the name of the file
    "raw": ("--codec=raw",),
    "delta": ("--codec=delta",),
    "quant8": ("--codec=quant", "--bits=8"),
    "quant4": ("--codec=quant", "--bits=4"),
}


@pytest.fixture(scope="module")
def workdir(run, arguments, tmp_path_factory) -> pathlib.Path:
    """A clip that is learned; to look at only."""
    folder = tmp_path_factory.mktemp("learned") / "run"
    assert run("train", *arguments({"train.epochs": 100}), f"--workdir={folder}") == 0
    return folder


@pytest.fixture(scope="module")
def clips(run, arguments, tmp_path_factory) -> pathlib.Path:
    """Two clips of four frames each in a run, written as a neural video meanwhile."""
    folder = tmp_path_factory.mktemp("clips") / "run"
    changes = {"train.segment_frames": 4, "codec.name": "quant"}
    assert run("train", *arguments(changes), f"--workdir={folder}") == 0
    return folder


@pytest.fixture(scope="module")
def videos(workdir, tmp_path_factory) -> dict[str, pathlib.Path]:
    """The run as files, by name."""
    return playing.encoded(workdir, tmp_path_factory.mktemp("videos"), CODECS)


@pytest.fixture(scope="module")
def measured(workdir, videos, clip, tmp_path_factory) -> dict[str, np.ndarray]:
    """PSNR by frame, as `inv-jax eval` has it: of the run, and of each file."""
    folder, sources = tmp_path_factory.mktemp("tables"), {"run": workdir, **videos}
    return {name: playing.measured(path, clip, FRAMES, folder) for name, path in sources.items()}


@pytest.fixture(scope="module")
def shown(run, workdir, tmp_path_factory) -> np.ndarray:
    """What the run shows, (8, 24, 32, 3) uint8, by `inv-jax render`."""
    out = tmp_path_factory.mktemp("shown") / "frames"
    assert run("render", f"--workdir={workdir}", "--path=test", f"--out={out}") == 0
    return pictures(out)


def test_a_clip_is_learned_and_has_a_row_a_frame(workdir):
    rows = journal(workdir)
    assert [row["frame"] for row in rows] == list(FRAMES)
    assert min(row["psnr"] for row in rows) > 20.0
    assert (rows[0]["num_frames"], rows[0]["steps"]) == (8, 100 * 2)
    assert not any("steps" in row for row in rows[1:])
    assert FrameStore(workdir).segments() == [range(1, 9)]
    assert FrameStore(workdir).frames() == list(FRAMES)


def test_a_finished_run_is_found_finished(run, workdir, arguments):
    before = (workdir / "metrics.jsonl").read_text()
    assert run("train", *arguments({"train.epochs": 100}), f"--workdir={workdir}") == 0
    assert (workdir / "metrics.jsonl").read_text() == before


def test_eval_measures_what_the_rows_say(workdir, measured):
    in_rows = [row["psnr"] for row in journal(workdir)]
    np.testing.assert_allclose(measured["run"], in_rows, atol=1e-2)


def test_files_show_what_they_promise(measured, videos):
    np.testing.assert_allclose(measured["raw"], measured["run"], atol=1e-4)
    assert np.abs(measured["quant8"] - measured["run"]).max() < 1.0
    assert measured["quant4"].mean() < measured["quant8"].mean()
    sizes = [videos[name].stat().st_size for name in ("quant4", "quant8", "raw")]
    assert sizes == sorted(set(sizes))


def test_rendered_pictures_are_the_clip(shown, measured, clip):
    assert shown.shape == (8, 24, 32, 3)
    np.testing.assert_allclose(psnr(shown, pictures(clip)[:8]), measured["run"], atol=0.1)


def test_a_delta_file_is_about_as_near_the_run_as_it_says(run, videos, shown, tmp_path):
    out = tmp_path / "frames"
    assert run("render", f"--workdir={videos['delta']}", "--path=test", f"--out={out}") == 0
    error = 10 ** (-psnr(pictures(out), shown) / 10)
    # Of the 8 pictures the encoder measures 4, and holds the 40 dB of the default on those.
    assert error[1::2].mean() < 10 ** (-39.5 / 10)
    assert error.mean() < 10 ** (-38.0 / 10)


def test_a_film_has_all_frames_of_the_clip(run, workdir, shown, tmp_path):
    film = tmp_path / "clip.mp4"
    assert run("render", f"--workdir={workdir}", "--path=test", f"--out={film}") == 0
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert psnr(np.stack(frames), shown).min() > 25.0


def test_a_spiral_of_a_clip_is_the_clip(run, workdir, shown, tmp_path):
    """There is one camera, and nowhere to go."""
    out = tmp_path / "frames"
    assert run("render", f"--workdir={workdir}", "--path=spiral", f"--out={out}") == 0
    found = pictures(out)
    np.testing.assert_array_equal(found, shown[: len(found)])


@pytest.mark.parametrize("name", CODECS)
def test_info_counts_bits_a_pixel(run, videos, name, tmp_path, capsys):
    out = tmp_path / "info.json"
    assert run("info", str(videos[name]), "--check", "--groups", f"--out={out}") == 0
    printed = capsys.readouterr().out
    assert "bits" in printed
    assert json.loads(out.read_text())


def test_a_decoded_file_is_a_run_of_a_clip(run, videos, clip, measured, tmp_path):
    out, table = tmp_path / "decoded", tmp_path / "rows.json"
    assert run("decode", str(videos["quant8"]), f"--out={out}") == 0
    assert FrameStore(out).segments() == [range(1, 9)]
    flags = ["--metrics=psnr", f"--out={table}", f"--data_path={clip}"]
    assert run("eval", f"--workdir={out}", *flags) == 0
    found = [row["psnr"] for row in json.loads(table.read_text())]
    np.testing.assert_allclose(found, measured["quant8"], atol=1e-4)


@pytest.mark.parametrize("source", ["run", "file", "published"])
def test_playing_shows_what_is_rendered(run, workdir, videos, shown, tmp_path, source):
    published = tmp_path / "published"
    assert run("publish", f"--video={videos['raw']}", f"--out={published}") == 0
    path = {"run": workdir, "file": videos["raw"], "published": published}[source]
    out = tmp_path / "frames"
    assert run("play", str(path), "--path=test", f"--out={out}") == 0
    np.testing.assert_array_equal(pictures(out), shown)


@pytest.mark.slow
def test_a_report_shows_a_clip_beside_frames(
    run, workdir, videos, image_run, image_clip, clip, tmp_path
):
    out = tmp_path / "page"
    flags = [f"--data_path={clip},{clip},{image_clip}", "--metrics=psnr,ssim", f"--out={out}"]
    assert run("report", str(workdir), str(videos["quant8"]), str(image_run), *flags) == 0
    page = (out / "index.html").read_text()
    assert "quant8" in page


def test_doctor_counts_a_clip(run, arguments, capsys):
    assert run("doctor", *arguments(), "--nomeasure") == 0
    assert "params" in capsys.readouterr().out


def test_a_flag_of_another_codec_is_refused(run, workdir, tmp_path, capsys):
    flags = [f"--workdir={workdir}", "--codec=quant", "--precision=12", f"--out={tmp_path / 'x'}"]
    assert run("encode", *flags) == 2
    assert "--precision says nothing to --codec=quant" in capsys.readouterr().err


@pytest.mark.slow
def test_doctor_measures_a_clip(run, arguments, capsys):
    assert run("doctor", *arguments()) == 0
    assert "step" in capsys.readouterr().out


@pytest.mark.slow
def test_a_profile_is_written(run, arguments, tmp_path):
    changes = {"train.dispatch_seconds": 0.0}
    assert run("train", *arguments(changes), f"--workdir={tmp_path}", "--profile") == 0
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_layers_of_another_clip_are_swapped_in(run, clips, capsys):
    assert run("swap", f"--workdir={clips}", "--base=2", "--donors=6") == 0
    assert "psnr" in capsys.readouterr().out.lower()
    assert run("swap", f"--workdir={clips}", "--base=2", "--donors=3") == 2
    assert "frames 1 to 4" in capsys.readouterr().err


def test_there_is_no_partition_of_a_decoder(run, clips, capsys):
    assert run("partition", str(clips)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "shows pictures as a whole" in line


def test_config_explains_a_run(run, workdir, capsys):
    assert run("config", str(workdir)) == 0
    printed = capsys.readouterr().out
    assert "expansion" in printed
    assert "--expansion" in printed  # what the original calls it


def test_a_run_of_clips_plays_from_the_file_it_wrote(run, clips, tmp_path):
    assert [row["frame"] for row in journal(clips)] == list(FRAMES)
    assert FrameStore(clips).segments() == [range(1, 5), range(5, 9)]
    assert NeuralVideo.open(clips / "video.inv").frames() == list(FRAMES)
    out = tmp_path / "frames"
    assert run("play", str(clips / "video.inv"), "--path=test", f"--out={out}") == 0
    assert len(pictures(out)) == 8
