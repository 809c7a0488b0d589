import json

import numpy as np

from inv_jax.report.measured import Cache, journal_scores


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
