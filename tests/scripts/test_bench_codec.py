"""The codecs' bench runs, at a size that says nothing, and its rows have what they promise."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

_BENCH = pathlib.Path(__file__).parents[2] / "scripts" / "bench_codec.py"

pytestmark = pytest.mark.slow


def test_bench_codec_has_a_row_per_codec_on_one_core(tmp_path):
    flags = ["--width=8", "--depth=4", "--frames=14", "--rounds=1", "--fidelity=40"]
    done = subprocess.run(
        [sys.executable, str(_BENCH), *flags],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["codec"] for row in found] == ["raw", "twc", "delta", "quant"]
    raw, _, delta, quant = found
    for row in found:
        assert row["cores"] == 1
        assert row["params"] == 2 * ((63 * 8 + 8) + 2 * (8 * 8 + 8))
        for name in ("seconds", "encode_seconds", "random_seconds"):
            assert 0 < row[f"{name}_min"] <= row[name] <= row[f"{name}_max"]
    assert raw["bits_per_param"] > 32
    assert delta["bits_per_param"] < 16
    assert quant["bits_per_param"] < 16
    assert "predicted_seconds" in delta
