"""A fast field from the command line to a file that plays."""

import json
import pathlib

import numpy as np
import playing
import pytest
from PIL import Image
from playing import pictures, psnr
from stored import journal

from inv_jax import params as params_lib
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo

pytestmark = pytest.mark.usefixtures("restored_process")

FRAMES = range(1, 5)
CODECS = {  # by the name of the file
    "raw": ("--codec=raw",),
    "delta": ("--codec=delta",),
    "quant": ("--codec=quant",),
}


@pytest.fixture(scope="module")
def workdir(learned) -> pathlib.Path:
    return learned


@pytest.fixture(scope="module")
def videos(workdir, tmp_path_factory) -> dict[str, pathlib.Path]:
    """The run as files, by name."""
    return playing.encoded(workdir, tmp_path_factory.mktemp("videos"), CODECS)


@pytest.fixture(scope="module")
def measured(workdir, videos, capture, tmp_path_factory) -> dict[str, np.ndarray]:
    """PSNR by frame, as `inv-jax eval` has it: of the run, and of each file."""
    folder, sources = tmp_path_factory.mktemp("tables"), {"run": workdir, **videos}
    return {name: playing.measured(path, capture, FRAMES, folder) for name, path in sources.items()}


@pytest.fixture(scope="module")
def shown(run, workdir, tmp_path_factory) -> np.ndarray:
    """What the run shows of the held-out camera, by `inv-jax render`."""
    out = tmp_path_factory.mktemp("shown") / "frames"
    assert run("render", f"--workdir={workdir}", "--path=test", f"--out={out}") == 0
    return pictures(out)


def test_a_run_is_trained_by_its_command_and_found_finished(run, workdir, arguments, enough):
    rows = journal(workdir)
    assert [row["frame"] for row in rows] == list(FRAMES)
    assert [row["steps"] for row in rows] == [300, 60, 40, 40]
    before = (workdir / "metrics.jsonl").read_text()
    assert run("train", *arguments(enough), f"--workdir={workdir}") == 0
    assert (workdir / "metrics.jsonl").read_text() == before


def test_eval_measures_what_the_rows_say(workdir, measured):
    in_rows = [row["psnr"] for row in journal(workdir)]
    np.testing.assert_allclose(measured["run"], in_rows, atol=1e-2)
    assert measured["run"].min() > 18.0


def test_rendered_pictures_are_those_that_are_measured(shown, measured, capture):
    truth = [Image.open(capture / "frames_2" / f"frame{n:04d}cam00.png") for n in FRAMES]
    assert shown.shape == (4, 16, 24, 3)
    found = psnr(shown, np.stack([np.asarray(image) for image in truth]))
    np.testing.assert_allclose(found, measured["run"], atol=0.1)


def test_a_spiral_has_depth_and_accumulation(run, workdir, tmp_path):
    out = tmp_path / "frames"
    flags = ["--path=spiral", "--frames=2", "--outputs=rgb,depth,acc", f"--out={out}"]
    assert run("render", f"--workdir={workdir}", *flags) == 0
    found = pictures(out)
    assert len(found) >= 2
    assert found.std(axis=(1, 2, 3)).min() > 1.0


# Files.


def test_files_are_small_and_show_nearly_what_the_run_does(measured, videos):
    """Of the held-out camera, which no encoder looks at."""
    np.testing.assert_allclose(measured["raw"], measured["run"], atol=1e-4)
    for name in ("delta", "quant"):
        assert np.abs(measured[name] - measured["run"]).max() < 2.0, name
    sizes = {name: path.stat().st_size for name, path in videos.items()}
    assert max(sizes["delta"], sizes["quant"]) < 0.7 * sizes["raw"]


def test_a_delta_file_is_as_near_the_run_as_it_says(workdir, videos, capture):
    """40 dB in the views that were trained on, as its default has it, to a quarter."""
    run, file = (open_playback(path, str(capture)) for path in (workdir, videos["delta"]))
    for frame in FRAMES:
        views = [
            [
                one.player.look(one.source.params(frame), one.rig.cameras, cam).rgb
                for cam in (1, 2, 3)
            ]
            for one in (run, file)
        ]
        error = np.mean(np.square(np.subtract(*map(np.stack, views))))
        assert -10 * np.log10(error) > 39.0


def test_a_raw_file_has_the_bits_of_the_run(run, workdir, videos, tmp_path):
    out = tmp_path / "decoded"
    assert run("decode", videos["raw"], f"--out={out}") == 0
    found, expected = FrameStore(out), FrameStore(workdir)
    assert found.frames() == list(FRAMES)
    for frame in FRAMES:
        a, b = (params_lib.flatten(store.params(frame)) for store in (found, expected))
        assert a.keys() == b.keys()
        for path, leaf in a.items():
            np.testing.assert_array_equal(leaf, b[path], err_msg=path)


@pytest.mark.parametrize("name", ["delta", pytest.param("quant", marks=pytest.mark.slow)])
def test_a_decoded_file_is_a_run_that_shows_the_same(
    run, videos, capture, measured, tmp_path, name
):
    out, table = tmp_path / "decoded", tmp_path / "rows.json"
    assert run("decode", videos[name], f"--out={out}") == 0
    flags = ["--metrics=psnr", f"--out={table}", f"--data_path={capture}"]
    assert run("eval", f"--workdir={out}", *flags) == 0
    found = [row["psnr"] for row in json.loads(table.read_text())]
    np.testing.assert_allclose(found, measured[name], atol=1e-4)


def test_info_checks_a_file(run, videos, capsys):
    assert run("info", videos["delta"], "--check") == 0
    assert "bits" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["run", pytest.param("file", marks=pytest.mark.slow)])
def test_playing_shows_what_is_rendered(run, workdir, videos, shown, tmp_path, source):
    path = {"run": workdir, "file": videos["raw"]}[source]
    out = tmp_path / "frames"
    assert run("play", path, "--path=test", f"--out={out}") == 0
    np.testing.assert_array_equal(pictures(out), shown)


@pytest.mark.slow
def test_a_run_writes_its_video_meanwhile_and_is_trained_on_what_a_receiver_has(
    run, arguments, tmp_path
):
    changes = {"codec.name": "delta", "codec.from_decoded": True}
    assert run("train", *arguments(changes), f"--workdir={tmp_path / 'run'}") == 0
    assert NeuralVideo.open(tmp_path / "run" / "video.inv").frames() == list(FRAMES)


def test_a_report_shows_the_run(run, workdir, capture, tmp_path):
    out = tmp_path / "page"
    flags = [f"--data_path={capture}", "--metrics=psnr", f"--out={out}"]
    assert run("report", workdir, *flags) == 0
    assert "Change of layers from frame to frame" in (out / "index.html").read_text()
    assert list(out.rglob("*change*"))


# What it will take, and all that can be set.


def test_doctor_counts_a_run(run, arguments, capsys):
    assert run("doctor", *arguments(), "--nomeasure") == 0
    said = capsys.readouterr().out
    assert "4 frames of 3 training cameras, 24x16" in said
    params = 5 * (5 * 4 * 3 + 9 * 7 * 4 + 5 * 64)
    assert f"{params:,} params, a frame's own" in said
    assert "5x4x3, 9x7x4; 5 numbers a node" in said
    assert "of 12x8x8: 5, 41.7% of all" in said
    assert "5 a ray, by a guide of 6x5x5 cells" in said
    assert "projective: depth " in said


def test_doctor_counts_a_run_whose_sizes_follow_from_the_capture(run, arguments, capsys):
    unset = {"model.levels": (), "train.steps": 0, "train.first_steps": 0, "model.guide": ()}
    assert run("doctor", *arguments(unset), "--nomeasure") == 0
    assert "of 50 steps" in capsys.readouterr().out


def test_doctor_takes_a_capture_that_is_not_there_for_a_planned_one(
    run, arguments, tmp_path, capsys
):
    missing = {"data.path": tmp_path / "nowhere", "model.levels": ()}
    assert run("doctor", *arguments(missing), "--nomeasure") == 0
    assert "not opened:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.ndc": True}, "set data.ndc=False"),
        ({"data.holdout": "0,1,2"}, "one camera to train on"),
        ({"fast.budget": "slow", "train.steps": 0}, "fast.budget='slow'"),
    ],
)
def test_doctor_refuses_what_training_would(run, arguments, capsys, changes, said):
    assert run("doctor", *arguments(changes), "--nomeasure") == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_doctor_measures_a_run(run, arguments, capsys):
    assert run("doctor", *arguments()) == 0
    assert "step" in capsys.readouterr().out


def test_config_shows_what_was_found_of_the_capture(run, workdir, capsys):
    assert run("config", workdir) == 0
    said = capsys.readouterr().out
    assert "projective" in said
    assert "5,4,3,9,7,4" in said


# Levels are layers.


def test_the_layers_of_a_run_are_its_levels_and_its_color_network(workdir):
    table = params_lib.layer_table(FrameStore(workdir).params(1))
    found = [(row.number, row.name, row.role, row.size) for row in table]
    assert found == [
        (0, "level_0", "structure", 5 * 60),
        (1, "level_1", "structure", 5 * 252),
        (2, "level_2", "index", 5),
        (2, "level_2", "structure", 5 * 5 * 64),
        (3, "color_0", "color", 7 * 8 + 8),
        (4, "color_1", "color", 8 * 3 + 3),
    ]


def test_a_level_of_another_frame_takes_the_place_of_its_own(workdir):
    store = FrameStore(workdir)
    base, donor = store.params(3), store.params(4)
    found = params_lib.flatten(params_lib.swap(base, donor, layers=["level_1"]))
    base, donor = params_lib.flatten(base), params_lib.flatten(donor)
    for path, leaf in found.items():
        expected = donor if "level_1" in path else base
        np.testing.assert_array_equal(leaf, expected[path])
    assert not np.array_equal(*(x["field/structure/level_1/kernel"] for x in (base, donor)))


def test_bricks_of_another_frame_come_with_the_index_of_their_slots(workdir):
    store = FrameStore(workdir)
    trees = store.params(1), store.params(4)
    base, donor = (params_lib.flatten(tree) for tree in trees)
    assert not np.array_equal(*(x["field/index/level_2/cells"] for x in (base, donor)))
    for where in ({"layers": ["level_2"]}, {"roles": ["structure"]}):
        found = params_lib.flatten(params_lib.swap(*trees, **where))
        for leaf in ("structure/level_2/kernel", "index/level_2/cells"):
            np.testing.assert_array_equal(found[f"field/{leaf}"], donor[f"field/{leaf}"])


@pytest.mark.parametrize("steps", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_swapped_levels_are_shown_and_measured(run, workdir, tmp_path, steps):
    flags = ["--base=3", "--donors=4,2", f"--refine_steps={steps}", f"--out={tmp_path}"]
    assert run("swap", f"--workdir={workdir}", *flags) == 0
    rows = json.loads((tmp_path / "sheet_cam00_frame0003.json").read_text())
    kinds = ("raw", "refined") if steps else ("raw",)
    swaps = [(row["donor"], row["kind"], row["swap"]) for row in rows if row["swap"]]
    assert swaps == [(d, kind, f"0-{n}") for d in (4, 2) for kind in kinds for n in (1, 2, 3, 4)]


@pytest.mark.slow
def test_a_procedural_capture_is_rendered_and_trained_on(run, tmp_path):
    root = pathlib.Path(__file__).parents[2]
    fields = {
        "data.procedural.height": 16,
        "data.procedural.width": 24,
        "data.procedural.num_cams": 4,
        "data.num_frames": 2,
        "train.first_steps": 6,
        "train.warmup_steps": 4,
        "fast.budget": "realtime",
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    config = f"--config={root / 'configs' / 'fast.py'}:demo"
    assert run("train", config, *flags, f"--workdir={tmp_path}") == 0
    rows = journal(tmp_path)
    assert [(row["frame"], row["steps"]) for row in rows] == [(1, 6), (2, 4)]
