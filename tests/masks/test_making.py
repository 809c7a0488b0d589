import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from inv_jax.data.masks import Masks
from inv_jax.masks import making, summary
from inv_jax.masks.flow import DisFlow
from inv_jax.masks.segmentation import Settings
from inv_jax.masks.summary import Counts
from inv_jax.types import InvError, Stopped

_SETTINGS = Settings(stride=1)
_FRAMES, _CAMS = range(1, 7), (0, 1)
_NAMES = ("cam00", "cam01", "cam02")


def _claim(masks, *, frames=_FRAMES, settings=_SETTINGS, overwrite=False) -> Masks:
    made_with = making.made_with(settings, "dis medium", masks)
    return making.claim(masks, frames, _CAMS, made_with, overwrite=overwrite)


def _make(scene, masks, frames=_FRAMES, **kwargs) -> int:
    return making.make(scene.open(), masks, frames, _CAMS, DisFlow(), _SETTINGS, **kwargs)


def _files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_interrupted_call_goes_on_to_the_same_bits(scene, tmp_path):
    whole, parts = scene.masks(tmp_path / "whole"), scene.masks(tmp_path / "parts")
    _claim(whole)
    assert _make(scene, whole) == 12
    _claim(parts)
    answers = iter([False] * 5)
    with pytest.raises(Stopped, match="stopped after 5 of 12 masks; the same command goes on"):
        _make(scene, parts, should_stop=lambda: next(answers, True))
    assert len(_files(tmp_path / "parts" / "mask")) == 5 + 1
    _claim(parts)
    assert _make(scene, parts) == 7
    assert _files(tmp_path / "whole" / "mask") == _files(tmp_path / "parts" / "mask")
    assert _make(scene, parts) == 0


def test_frames_that_are_not_asked_for_count_as_neighbours(scene, tmp_path):
    some, every = scene.masks(tmp_path / "some"), scene.masks(tmp_path / "every")
    for masks, frames in ((some, [3]), (every, _FRAMES)):
        _claim(masks)
        _make(scene, masks, frames)
    np.testing.assert_array_equal(some.load(3, _CAMS), every.load(3, _CAMS))
    assert some.missing(_FRAMES, _CAMS) == [(f, c) for f in (1, 2, 4, 5, 6) for c in _CAMS]


def test_masks_of_others_are_left_alone(scene, tmp_path):
    masks = scene.masks(tmp_path)
    (tmp_path / "mask").mkdir()
    exact = masks.path(2, 1)
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(exact)
    before = exact.read_bytes()
    with pytest.raises(InvError, match="were not made by inv-jax masks; give --out"):
        _claim(masks)
    assert exact.read_bytes() == before
    assert len(_files(tmp_path / "mask")) == 1
    _make(scene, _claim(masks, overwrite=True), [2])  # and stops
    assert exact.read_bytes() == before


def test_masks_made_otherwise_are_replaced_when_all_new_ones_are_ready(scene, tmp_path):
    masks, otherwise = scene.masks(tmp_path), Settings(stride=1, union=1)
    _make(scene, _claim(masks, settings=otherwise))
    before = _files(tmp_path / "mask")
    for count in (5, 4):  # interrupted twice, it goes on
        answers = iter([False] * count)
        with pytest.raises(Stopped):
            _make(scene, _claim(masks, overwrite=True), should_stop=lambda a=answers: next(a, True))
        assert _files(tmp_path / "mask") == before
    made = _claim(masks, overwrite=True)
    assert _make(scene, made) == 12 - 9
    making.settle(made, masks)
    fresh = scene.masks(tmp_path / "fresh")
    _make(scene, _claim(fresh))
    assert _files(tmp_path / "mask") == _files(tmp_path / "fresh" / "mask") != before
    assert not (tmp_path / "mask.new").exists()
    assert _make(scene, _claim(masks, overwrite=True)) == 0


def test_masks_of_some_frames_do_not_replace_those_of_all(scene, tmp_path):
    masks = scene.masks(tmp_path)
    _make(scene, _claim(masks, settings=Settings(stride=1, union=1)))
    before = _files(tmp_path / "mask")
    with pytest.raises(
        InvError, match=r"union 1 there, 0 here; 8 of them, as .*0001cam00\.png, are"
    ):
        _claim(masks, frames=[2, 3], overwrite=True)
    assert _files(tmp_path / "mask") == before
    # Where nothing differs, nothing is made again.
    assert _claim(masks, frames=[2], settings=Settings(stride=1, union=1), overwrite=True) is masks
    assert _files(tmp_path / "mask") == before


def test_masks_made_otherwise_are_left_alone(scene, tmp_path):
    masks = scene.masks(tmp_path)
    _claim(masks)
    _claim(masks)
    with pytest.raises(InvError, match=r"made with union 0 there, 2 here; give --out"):
        _claim(masks, settings=Settings(stride=1, union=2))
    _claim(masks, settings=Settings(stride=1, union=2), overwrite=True)
    assert json.loads((tmp_path / "mask" / making.NOTE).read_text())["union"] == 2


def test_a_folder_that_cannot_be_written_to_is_named(scene, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    with pytest.raises(InvError, match=r"mask cannot be written to \(Permission .*--out=FOLDER"):
        _claim(scene.masks(tmp_path))


def test_an_image_that_cannot_be_read_ends_all_cameras(scene, tmp_path, monkeypatch):
    masks, capture = scene.masks(tmp_path), scene.open()
    _claim(masks)
    monkeypatch.setattr(making, "_CAMS_AT_ONCE", 1)

    def broken(frame, cam):
        raise InvError(f"frame {frame} of camera {cam} is broken")

    monkeypatch.setattr(capture.source, "load", broken)
    with pytest.raises(InvError, match="frame 1 of camera 0 is broken"):
        making.make(capture, masks, _FRAMES, _CAMS, DisFlow(), _SETTINGS)
    assert len(_files(tmp_path / "mask")) == 1  # the note


# What is said of them.


def test_precision_recall_and_iou_are_those_of_counted_pixels():
    counts, mask, truth = Counts(), np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    mask[0, :4] = truth[0, 1:] = True
    counts.add(mask, truth)
    assert counts.scores() == {"precision": 0.75, "recall": 0.75, "iou": 0.6}
    counts.add(~truth, truth)
    assert (counts + counts).scores() == {"precision": 3 / 20, "recall": 3 / 8, "iou": 3 / 25}
    assert (counts + counts).masks == 4


def test_without_dynamic_pixels_there_is_nothing_to_judge():
    counts, empty = Counts(), np.zeros((4, 5), bool)
    counts.add(empty, empty)
    assert counts.scores() == {"precision": None, "recall": None, "iou": None}
    counts.add(empty, ~empty)
    assert counts.scores() == {"precision": None, "recall": 0.0, "iou": 0.0}


def test_a_summary_has_a_row_a_camera_and_judges_what_it_can(scene, tmp_path):
    masks, truth = scene.masks(tmp_path / "a"), scene.masks(tmp_path / "b")
    for one in (masks, truth):
        one.path(1, 0).parent.mkdir(parents=True)
        for (frame, cam), square in scene.truth.items():
            if one is masks or (frame, cam) != (2, 1):
                shown = np.zeros_like(square) if frame == 3 and one is masks else square
                Image.fromarray(shown).save(one.path(frame, cam))
    rows, still = summary.summarise(scene.open(), masks, _FRAMES, _CAMS, truth=truth)
    assert still == [3]
    assert [row["camera"] for row in rows] == ["cam00", "cam01", "all"]
    share = 16 * 16 / (60 * 80)
    assert rows[0]["dynamic"] == pytest.approx(share * 5 / 6)
    assert (rows[0]["least"], rows[0]["most"]) == (0.0, pytest.approx(share))
    assert [row["judged"] for row in rows] == [6, 5, 11]
    assert [row["recall"] for row in rows] == pytest.approx([5 / 6, 4 / 5, 9 / 11])
    assert [row["precision"] for row in rows] == [1.0, 1.0, 1.0]


def test_a_page_tints_what_moves_and_nothing_else():
    images = np.full((3, 20, 30, 3), 80, np.uint8)
    masks = np.zeros((3, 20, 30), bool)
    masks[1, 5:9, 5:9] = True
    for image, mask in zip(images, masks, strict=True):
        tinted = summary.tinted(image, mask)
        np.testing.assert_array_equal((tinted != image).any(-1), mask)
    plain = summary.page(images, np.zeros_like(masks), _NAMES, 7)
    page = summary.page(images, masks, _NAMES, 7)
    assert page.shape == plain.shape
    assert page.shape[0] <= 1100
    assert page.shape[1] <= 2000


def test_many_large_cameras_fit_a_page():
    columns, scale = summary._grid(21, 1014, 1352)
    assert (columns, -(-21 // columns)) == (6, 4)
    assert 4 * 1014 * scale <= 1000
    assert columns * 1352 * scale <= 1900
    assert summary._grid(1, 72, 96) == (1, 4)
