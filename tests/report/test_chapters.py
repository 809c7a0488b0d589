import contextlib
import dataclasses
import types

import numpy as np
import pytest

from inv_jax.eval.flicker import Static
from inv_jax.report import change, chapters, flickering, layers
from inv_jax.report.blocks import Note
from inv_jax.types import InvError


def _params(structure, color):
    leaf = lambda value: {"kernel": np.full((2, 3), value)}  # noqa: E731
    return {"fine": {"structure": {"layer_0": leaf(structure)}, "color": {"rgb": leaf(color)}}}


def _with_params(run, params, segment=lambda frame: range(frame, frame + 1)):
    """The run with a source that needs no disk."""
    source = types.SimpleNamespace(params=lambda frame: params[frame], segment=segment)
    kind = type("Fake", (type(run),), {"source": lambda self: contextlib.nullcontext(source)})
    fields = {field.name: getattr(run, field.name) for field in dataclasses.fields(run)}
    return kind(**fields)


def test_change_is_that_of_each_layer_from_the_frame_before(make_run):
    params = {1: _params(1.0, 2.0), 2: _params(1.5, 2.0), 4: _params(3.0, 2.0)}
    (found,) = change.over_frames(_with_params(make_run(), params), [1, 2, 4])
    assert found.layers == ["0  layer_0", "1  rgb"] and found.frames == [2, 4]
    assert found.values == pytest.approx(np.array([[0.5, 1.0], [0.0, 0.0]]))
    assert change.scale([found]) == pytest.approx((0.1, 1.0))
    assert change.over_frames(_with_params(make_run(), params), [4]) == []


def test_change_is_that_from_clip_to_clip(make_run):
    params = {n: _params(value, 2.0) for n, value in ((2, 1.0), (4, 1.5), (7, 3.0))}
    clips = [range(1, 4), range(4, 7), range(7, 8)]
    segment = lambda frame: next(clip for clip in clips if frame in clip)  # noqa: E731
    run = _with_params(make_run(), params, segment)
    (found,) = change.over_frames(
        run, [2, 3, 4, 5, 6, 7]
    )  # the first clip from its second frame on
    assert found.frames == [4, 7]
    assert found.values == pytest.approx(np.array([[0.5, 1.0], [0.0, 0.0]]))
    assert change.over_frames(run, [4, 5, 6]) == []


def test_of_coarse_and_fine_networks_the_fine_ones_change(make_run):
    names = ("static_coarse", "static_fine", "dynamic_coarse", "dynamic_fine", "other")
    params = {n: {name: _params(1.0 + n, 2.0)["fine"] for name in names} for n in (1, 2)}
    found = change.over_frames(_with_params(make_run(), params), [1, 2])
    assert [one.network for one in found] == ["dynamic_fine", "other", "static_fine"]


def test_the_color_scale_holds_for_runs_that_do_not_move():
    still = change.Change("fine", ["0  a"], [2], np.zeros((1, 1)))
    low, high = change.scale([still])
    assert 0 < low < high < np.inf


def test_flicker_is_measured_on_the_same_pixels_of_all_runs(make_run, score, monkeypatch):
    pixels = Static(np.ones((4, 4), bool), "truth")
    monkeypatch.setattr(flickering, "_static", lambda *_: pixels)

    def viewer(step):
        level = lambda frame, by: np.full((4, 4, 3), 50 + by * frame, np.uint8)  # noqa: E731
        return types.SimpleNamespace(
            picture=lambda frame, cam: level(frame, step), truth=lambda frame, cam: level(frame, 1)
        )

    group = [
        dataclasses.replace(score(make_run(str(step), number=step)), viewer=viewer(step))
        for step in (3, 8)
    ]
    found = flickering.measure(group, [1, 2, 3], 0)
    assert found.runs[3] == pytest.approx({2: 3.0, 3: 3.0}, abs=1e-3)
    assert found.runs[8] == pytest.approx({2: 8.0, 3: 8.0}, abs=1e-3)
    assert found.truth == pytest.approx({2: 1.0, 3: 1.0})
    assert flickering.measure(group, [1], 0) is None


def _viewer(layers):
    """Pictures of one level each: the truth 1, the blend 2, layers from 10 on."""
    picture = lambda level: np.full((4, 6, 3), level, np.uint8)  # noqa: E731
    return types.SimpleNamespace(
        truth=lambda frame, cam: picture(1),
        picture=lambda frame, cam: picture(2),
        layers=lambda frame, cam: {name: picture(10 + n) for n, name in enumerate(layers)},
        scores=lambda frame, cams: {"psnr": 20.0, "psnr_dynamic": 15.5, "psnr_static": None},
        camera_name=lambda cam: "cam00",
    )


def test_layers_stand_beside_the_truth_and_the_blend_of_runs_that_have_them(make_run, score):
    names = ("static", "dynamic", "dynamic_acc")
    split, plain = (
        dataclasses.replace(score(make_run(name, number=number)), viewer=_viewer(has))
        for number, (name, has) in enumerate((("split", names), ("plain", ())))
    )
    assert layers.having([split, plain], 1, 0) == [split]
    (row,) = layers.gallery([split], 3, "middle", 0, "p_").rows
    assert [shot.label for shot in row] == [
        *("ground truth", "split, blend", "static", "dynamic", "dynamic, opacity")
    ]
    assert [int(shot.picture[0, 0, 0]) for shot in row] == [1, 2, 10, 11, 12]
    assert row[1].note == "PSNR 20.00, PSNR dynamic 15.50"
    found = chapters._layers([split, plain], [1, 2, 3], 0, "")
    assert [block.kind for block in found] == ["note", "gallery", "gallery", "gallery"]
    assert chapters._layers([plain], [1, 2, 3], 0, "").startswith("it takes a run with several")


def test_what_runs_do_not_allow_is_left_out_with_its_reason(make_run, score, monkeypatch):
    def broken(run, frames):
        raise InvError("frame 2 is damaged")

    monkeypatch.setattr(change, "over_frames", broken)
    chapter = chapters.write([score(make_run("a"))], [], None, "", "")
    reasons = dict(chapter.left_out)
    assert reasons.keys() == {
        "Incremental against from scratch",
        "Budgets",
        "Raw against compressed",
        "Change of layers from frame to frame",
        "Weights that clips share",
        "Pictures",
        "Layers",
        "Flicker",
    }
    assert reasons["Change of layers from frame to frame"] == "a: frame 2 is damaged"
    assert [section.title for section in chapter.sections] == ["Quality and cost", "Frame by frame"]


def test_equal_steps_budgets_and_curves_come_from_one_group(make_run, score, monkeypatch):
    monkeypatch.setattr(change, "over_frames", lambda run, frames: [])
    runs = [
        make_run("a"),
        make_run("b", steps=300, number=1),
        make_run("s", scratch=True, number=2),
    ]
    chapter = chapters.write([score(run, run.number) for run in runs], [], None, "", "p_")
    blocks = {section.title: section.blocks for section in chapter.sections}
    plot, table = blocks["Incremental against from scratch"]
    assert plot.name == "p_scratch" and [line.label for line in table.lines] == ["a / s"]
    assert table.lines[0].cells[-2].text == "-2.00"
    _, note = blocks["Budgets"]
    assert note == Note("Means over frames 3 to 5.")
