"""Layers of one frame in another: what is swapped, fine-tuned, rendered and written."""

import json

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import build
from inv_jax.assembly.playback import open_playback
from inv_jax.checkpoint import FrameStore
from inv_jax.cli import main
from inv_jax.commands import swap
from inv_jax.commands.stop import Stop
from inv_jax.report.swap_sheet import plot_distance
from inv_jax.train.parallel import Devices
from inv_jax.train.refine import Refiner
from inv_jax.types import Stopped


@pytest.fixture(scope="module")
def run(free_run):
    return free_run, FrameStore(free_run)


def test_pictures_are_named_and_measured(run, tmp_path, capsys):
    workdir, _ = run
    command = ["inv-jax", "swap", f"--workdir={workdir}", "--base=2", "--donors=3,1"]
    assert main([*command, "--swaps=1:2", "--refine_steps=3", f"--out={tmp_path}"]) == 0
    assert str(tmp_path / "sheet_cam00_frame0002.png") in capsys.readouterr().out
    names = sorted(path.name.rsplit("_", 1)[0] for path in tmp_path.glob("cam00_*.png"))
    assert names == sorted(
        f"cam00_frame0002_e{donor:04d}_{kind}_swap_{swap}"
        for donor in (1, 3)
        for kind in ("raw", "refined")
        for swap in ("0-1", "0-2", "0-2_density")
    )
    rows = json.loads((tmp_path / "sheet_cam00_frame0002.json").read_text())
    assert len(rows) == 1 + 2 * (2 + 3 + 3)  # the base itself, then by donor
    assert {row["distance"] for row in rows} == {0, 1, -1}
    assert (tmp_path / "distance_cam00_frame0002.png").is_file()
    for row in rows:
        if row["swap"]:
            assert next(
                tmp_path.glob(f"*_e{row['donor']:04d}_{row['kind']}_swap_{row['swap']}_[0-9]*.png")
            ).name.endswith(f"_{row['psnr']:.6f}.png")


def test_a_donor_whole_is_the_donor(run, tmp_path):
    _, store = run
    everything = params_lib.swap(store.params(2), store.params(3), layers=range(6))
    jax.tree.map(np.testing.assert_array_equal, everything, store.params(3))


def test_fine_tuning_moves_the_chosen_layers_only_and_for_the_better(run):
    workdir, store = run
    playback = open_playback(workdir)
    devices = Devices()
    config = playback.config
    refiner = Refiner(build.stepper(config, build.model(config), devices), devices)
    params = params_lib.swap(store.params(1), store.params(3), layers=[0])
    chosen = params_lib.mask(params, layers=["layer_0", "rgb"])
    frame = playback.capture.load(3, playback.capture.train_cams)
    cameras = playback.rig.cameras.take(np.array(playback.capture.train_cams))
    refined = refiner.refine(params, chosen, frame, cameras, steps=120, seed=0)
    moved = {name for name, change in params_lib.relative_change(params, refined).items() if change}
    assert moved == {f"{n}/{layer}" for n in ("coarse", "fine") for layer in ("layer_0", "rgb")}

    def error(params):
        images = np.asarray(frame.images, np.float32) / 255
        views = [playback.player.look(params, cameras, cam).rgb for cam in range(len(images))]
        return float(np.mean((np.stack(views) - images) ** 2))

    assert error(refined) < 0.9 * error(params)
    again = refiner.refine(params, chosen, frame, cameras, steps=120, seed=0)
    jax.tree.map(np.testing.assert_array_equal, refined, again)


def test_fine_tuning_stops_when_asked(run):
    workdir, store = run
    playback, devices = open_playback(workdir), Devices()
    step = build.stepper(playback.config, build.model(playback.config), devices)
    params = store.params(1)
    frame = playback.capture.load(1, playback.capture.train_cams)
    cameras = playback.rig.cameras.take(np.array(playback.capture.train_cams))
    with pytest.raises(Stopped):
        Refiner(step, devices, lambda: True).refine(
            params, params_lib.mask(params), frame, cameras, steps=1, seed=0
        )


def test_any_number_of_layers_may_be_swapped(run):
    """The tiny network has 2 layers in its trunk and 4 heads."""
    _, store = run
    params = store.params(1)
    labels = lambda texts, density=False: [s.label for s in swap.swaps_of(params, texts, density)]  # noqa: E731
    assert labels([]) == [f"0-{n}" for n in range(1, 6)]  # all 6 are the donor
    assert labels(["2", "4:6", "2"]) == ["0-2", "0-4", "0-5", "0-6"]
    assert labels(["1"], density=True) == ["0-1", "0-2_density"]
    assert swap.swaps_of(params, ["1"], True)[-1].layers == (0, 1, 5)
    flat = {"image": {"structure": {"layer_0": {"kernel": np.ones(2), "bias": np.ones(1)}}}}
    assert [s.label for s in swap.swaps_of(flat, [], True)] == ["0-1"]


def test_donors_before_and_behind_make_a_curve_over_distance_in_time():
    rows = [
        {"donor": donor, "distance": donor - 4, "kind": kind, "swap": label, "psnr": psnr}
        for donor, psnr in ((2, 20.0), (6, 21.0), (5, 24.0))
        for kind, label in (("base", ""), ("raw", "0-1"), ("donor", ""), ("refined", "0-1"))
    ]
    rows.append({"donor": 4, "distance": 0, "kind": "base", "swap": "", "psnr": 30.0})
    figure = plot_distance(rows, 4)
    for axes in figure.axes:
        assert len(axes.get_lines()) == 3
        for line in axes.get_lines():
            assert line.get_xdata().tolist() == [-2, 1, 2]
            assert line.get_ydata().tolist() == [20.0, 24.0, 21.0]


def test_what_was_made_before_a_stop_is_on_the_page(run, tmp_path, monkeypatch):
    calls = iter([False] * 3)
    monkeypatch.setattr(Stop, "__call__", lambda _: next(calls, True))
    command = ["inv-jax", "swap", f"--workdir={run[0]}", "--base=2", "--donors=3", "--swaps=1"]
    assert main([*command, f"--out={tmp_path}"]) == 143
    rows = json.loads((tmp_path / "sheet_cam00_frame0002.json").read_text())
    assert [row["kind"] for row in rows] == ["base", "base", "raw"]
    assert (tmp_path / "sheet_cam00_frame0002.png").is_file()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--base=9", "stored frames are 1 to 3"),
        ("--donors=x", "'x' is no number"),
        ("--donors=2", "names no frame but those of the base's network (frame 2)"),
        ("--swaps=0:2", "the model has 6 layers"),
        ("--swaps=a", "'a' is no number"),
        ("--swaps=2:1", "asks for none"),
        ("--cam=7", "cameras are 0 to 3"),
        ("--refine_steps=-1", "want 0 or more"),
    ],
)
def test_what_cannot_be_is_one_line(run, tmp_path, capsys, flag, said):
    command = ["inv-jax", "swap", f"--workdir={run[0]}", "--base=2", "--donors=3"]
    assert main([*command, f"--out={tmp_path}", flag]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
