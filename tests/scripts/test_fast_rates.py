"""Bytes against quality of the fast field's frames: which settings, and what the table says."""

import pathlib
import sys

import numpy as np
import pytest

from inv_jax.codec.base import Layout
from inv_jax.codec.bricks_codec import BricksCodec
from inv_jax.codec.video import NeuralVideo
from inv_jax.codec.writer import VideoWriter
from inv_jax.types import InvError

_SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(_SCRIPTS))

from benching import decoding  # noqa: E402
from comparing import fast_rates, fast_table  # noqa: E402
from comparing.fast_rates import Setting  # noqa: E402
from fuzzing import samples  # noqa: E402


def test_settings_are_codecs_by_fidelities():
    found = fast_rates.settings_of(["bricks", "delta", ""], ["35", "36.5", ""])
    assert found == [Setting(c, f) for c in ("bricks", "delta") for f in (35.0, 36.5)]
    assert [one.name for one in found[:2]] == ["bricks_35", "bricks_36.5"]
    assert "codec.from_decoded=True" in found[1].settings
    assert "codec.fidelity=36.5" in found[1].settings
    assert fast_rates.settings_of([], ["35"]) == []


def test_what_is_no_fidelity_and_what_has_none_is_refused():
    with pytest.raises(InvError, match="35,high; want numbers"):
        fast_rates.settings_of(["bricks"], ["35", "high"])
    with pytest.raises(InvError, match="--codecs=raw has no fidelity"):
        fast_rates.settings_of(["raw"], ["35"])


def _row(seed: int, lost: float, **more) -> dict:
    named = {"capture": "basketball", "budget": "second", "codec": "bricks", "fidelity": 36.5}
    numbers = {"frames": 6, "frame_bytes": 3000.0 + 100 * seed, "key_bytes": 25000.0, "psnr": 26.0}
    seconds = {"predicted_cpu_seconds": 0.004, "key_cpu_seconds": 0.1, "largest_bytes": 4000}
    row = {**named, "way": "afterwards", "seed": seed, **numbers, **seconds}
    return {**row, "lost": lost, "most_lost": 0.5, **more}


def test_the_table_has_each_seed_and_their_mean_of_every_setting():
    rows = [_row(0, 0.05), _row(1, 0.15), _row(0, 0.5, way="in the loop")]
    head, _, *lines = fast_table.rates(rows).splitlines()
    for name in ("frame bytes", "key bytes", "lost", "frame ms"):
        assert name in head
    assert len(lines) == 4
    for what in ("mean", "3,050", " 0.100 ", " 4.0 "):
        assert what in lines[2]
    assert "in the loop" in lines[3]
    without = _row(0, 0.1, frame_bytes=None, largest_bytes=None, predicted_cpu_seconds=None)
    assert "basketball" in fast_table.rates([without])  # of a capture of one frame


def test_frames_are_timed_and_sized_by_kind(tmp_path):
    layout = Layout((("field/structure/level_0/kernel", (5, 4, 6, 3)),))
    colors = Layout((("field/color/layer_0/kernel", (3, 3)),))
    codec, path = BricksCodec(fidelity=30.0, key_every=3), tmp_path / "video.inv"
    walk = samples.Walk(layout, colors)
    writer = VideoWriter(path, samples.header(codec, layout, colors), codec)
    for frame in range(1, 6):
        writer.push(frame, walk.step(scale=0.3), 1)
    writer.close()
    with NeuralVideo.open(path) as video:
        times = decoding.in_order(video, 2, range(2, 6))
        sizes = fast_rates._sizes(video, range(2, 6))
    assert {name: len(one) for name, one in times.items() if "cpu" not in name} == {
        "seconds": 8,
        "key_seconds": 2,
        "predicted_seconds": 6,
    }
    assert np.min(times["seconds"]) > 0.0
    assert (sizes["params"], sizes["keys"]) == (layout.size, 1)
    assert 41 < sizes["frame_bytes"] <= sizes["largest_bytes"] < sizes["key_bytes"]
