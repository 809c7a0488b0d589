import dataclasses
import json
import types

import numpy as np
import pytest

from inv_jax.data import segments
from inv_jax.eval import measures
from inv_jax.render.view import View
from inv_jax.report import measured
from inv_jax.report.measured import Cache, Viewer, journal_scores


def test_what_is_kept_is_found_again(tmp_path):
    cache = Cache(tmp_path / "cache")
    cache.keep("key", {"psnr": 20.0})
    cache.keep("key", {"flip": np.float32(0.5), "ms_ssim": None})
    cache.save()
    again = Cache(tmp_path / "cache")
    assert again.scores("key") == {"psnr": 20.0, "flip": 0.5, "ms_ssim": None}
    assert again.scores("other") == {}


def test_pictures_are_kept_to_the_bit(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)
    Cache(tmp_path).keep_picture("key", picture)
    assert np.array_equal(Cache(tmp_path).picture("key"), picture)
    assert Cache(tmp_path).picture("other") is None


def test_pictures_of_layers_are_kept_beside_their_blend(tmp_path):
    pictures = {layer: np.full((2, 2, 3), n, np.uint8) for n, layer in enumerate(("", "static"))}
    for layer, picture in pictures.items():
        Cache(tmp_path).keep_picture("key", picture, layer)
    for layer, picture in pictures.items():
        assert np.array_equal(Cache(tmp_path).picture("key", layer), picture)
    assert Cache(tmp_path).picture("key", "dynamic") is None


def test_a_cache_that_is_broken_or_of_other_numbers_is_empty(tmp_path):
    path = tmp_path / "measures.json"
    for text in ("{", "[]", json.dumps({"version": "0", "scores": {"key": {"psnr": 1.0}}})):
        path.write_text(text)
        assert Cache(tmp_path).scores("key") == {}


def test_the_journal_speaks_of_its_own_camera_alone(make_run):
    run = make_run()
    assert journal_scores(run, 1, 0) == {"psnr": 21.0}
    assert journal_scores(run, 1, 2) == {} and journal_scores(run, 99) == {}


@pytest.fixture
def open_clips(make_run, monkeypatch):
    """`open_clips(cache)`: a run of frames 1 to 5 in clips of two, and its rendered frames.

    A frame's gray level tells its number.
    """
    clips, rendered = [range(1, 3), range(3, 5), range(5, 6)], []

    def view(frame, cameras, cam):
        rendered.append(frame)
        return View(np.full((4, 6, 3), 40 * frame / 255, np.float32))

    def segment(frame):
        return next(clip for clip in clips if frame in clip)

    def params(frame):
        leaf = np.full(3, segment(frame)[0], np.float32)
        return {"net": {"own": {"layer_0": {"kernel": leaf}}}}

    playback = types.SimpleNamespace(
        capture=types.SimpleNamespace(cameras=None),
        capture_folder=None,
        masks=None,
        rig=types.SimpleNamespace(fingerprint="0123", bounds=np.float32([[1, 4]]), cameras=None),
        source=types.SimpleNamespace(segment=segment, params=params),
        player=types.SimpleNamespace(view=view),
        time=lambda frame: segments.time_in(segment(frame), frame),
    )
    monkeypatch.setattr(measured, "open_playback", lambda path, data_path: playback)

    def opened(cache: Cache) -> tuple[Viewer, list[int]]:
        run = dataclasses.replace(make_run(), rows={})
        return Viewer(run, cache, measures.QUICK), rendered

    return opened


def test_frames_of_a_clip_have_pictures_of_their_own(open_clips, tmp_path):
    for _ in range(2):  # the second time, those that were kept
        viewer, rendered = open_clips(Cache(tmp_path))
        for frame in (2, 1, 4, 5, 3):
            assert (viewer.picture(frame, 0) == 40 * frame).all()
    assert sorted(rendered) == [1, 2, 3, 4, 5]
