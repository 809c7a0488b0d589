"""The benches run, at sizes that say nothing, and their rows have what they promise."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from inv_jax.models import grid_sizes

_ROOT = pathlib.Path(__file__).parents[2]
_NETWORK = ("--width=8", "--depth=2", "--samples=4")
_FRAME = "--pixels=2,12,16"
_THEATRE = ("--image=16x12", "--cams=3")
_FLOORS = {"floor_seconds", "matrix_rate", "memory_rate", "fraction", "flops", "bytes_fused"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def bench(tmp_path, compiled):
    """`bench(name, *flags)`: the rows that a bench prints, by the name they go under."""

    def run(name: str, *flags: str, devices: int = 1) -> dict[str, list[dict]]:
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
            "JAX_COMPILATION_CACHE_DIR": str(compiled),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        done = subprocess.run(
            [sys.executable, str(_ROOT / "scripts" / f"{name}.py"), *flags],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        rows: dict[str, list[dict]] = {}
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                rows.setdefault(row["bench"], []).append(row)
        return rows

    return run


def test_bench_step_has_both_phases_and_a_trace(bench, tmp_path):
    found = bench(
        "bench_step",
        *_NETWORK,
        _FRAME,
        "--rays=32",
        "--precision=bfloat16",
        "--rounds=2",
        "--seconds=0.01",
        f"--trace={tmp_path / 'trace'}",
    )
    assert [row["phase"] for row in found["step"]] == ["warmup", "transfer"]
    for row in found["step"]:
        assert row.keys() >= _FLOORS
        assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
        # Small networks spend much on what is not counted here; tests/cost has the large ones.
        assert 0.5 < row["flops_compiler"] / row["flops"] < 2
    for trace in found["trace"]:
        assert trace["busy_seconds"] == pytest.approx(
            trace["product_seconds"] + trace["other_seconds"], rel=1e-3
        )
        assert trace["product_seconds"] > 0
        assert trace["top"][0]["seconds"] >= trace["top"][-1]["seconds"] > 0


def test_bench_step_sweeps_over_passes(bench):
    rows = bench(
        "bench_step",
        *_NETWORK,
        _FRAME,
        "--rays=32",
        "--sweep",
        "--phases=transfer",
        "--rounds=1",
        "--seconds=0.01",
    )["step"]
    assert [row["rows_per_pass"] for row in rows] == [8, 16, 32]


def test_bench_step_begins_no_case_without_time(bench):
    rows = bench("bench_step", *_NETWORK, _FRAME, "--rays=32", "--budget=0.001")
    assert "step" not in rows


@pytest.fixture(scope="module")
def image_flags() -> tuple[str, ...]:
    return ("--width=8", "--depth=2", "--sizes=16x12", "--rounds=1", "--seconds=0.01")


def test_bench_image_has_every_network(bench, image_flags):
    found = bench("bench_image", *image_flags, "--phases=warmup", "--rays=32")["image"]
    names = ["relu_octaves", "relu_fourier", "siren_octaves", "siren_fourier"]
    assert [row["network"] for row in found] == names
    for row in found:
        assert row.keys() >= _FLOORS | {"matrix_fraction", "goal"}
        assert row["image"] == [12, 16]


def test_bench_image_has_both_phases_of_all_pixels_and_of_some(bench, image_flags):
    flags = (*image_flags, "--networks=relu_octaves", "--rays=all,32")
    found = bench("bench_image", *flags)["image"]
    assert [(row["rays"], row["phase"]) for row in found] == [
        (16 * 12, "warmup"),
        (16 * 12, "transfer"),
        (32, "warmup"),
        (32, "transfer"),
    ]
    for row in found:
        pixels = row["rays"] * row["steps_per_second"]
        assert row["rows_per_second"] == pytest.approx(pixels, rel=1e-3)
    for warmup, transfer in zip(found[::2], found[1::2], strict=True):
        assert transfer["flops"] < warmup["flops"]


def test_bench_image_traces_and_sweeps(bench, image_flags, tmp_path):
    """One network, all pixels: 192 are 64 times 3."""
    case = (*image_flags, "--networks=siren_octaves", "--phases=transfer", "--rays=all")
    found = bench("bench_image", *case, "--sweep", f"--trace={tmp_path / 'trace'}")
    assert [row["rows_per_pass"] for row in found["image"]] == [8, 16, 32, 64]
    assert all("fraction" not in row for row in found["image"])
    (trace,) = found["trace"]
    assert trace["product_seconds"] > 0


def test_bench_image_refuses_a_network_that_there_is_not(tmp_path):
    done = subprocess.run(
        [sys.executable, str(_ROOT / "scripts" / "bench_image.py"), "--networks=relu_stripes"],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode != 0
    assert "relu_stripes" in done.stderr


def test_bench_render_says_what_a_whole_image_would_take(bench):
    (row,) = bench("bench_render", *_NETWORK, "--size=16x12", "--rounds=1")["render"]
    assert row.keys() >= _FLOORS
    assert row["image"] == [12, 16]
    whole = 1352 * 1014 / (16 * 12)
    assert row["full_image_seconds"] == pytest.approx(whole * row["seconds"], rel=1e-3)


def test_bench_frames_compares_with_one_by_one(bench):
    flags = ("--kinds=image", "--size=16x12", "--width=8", "--at_once=2,4")
    rows = bench("bench_frames", *flags, "--rounds=1", "--steps=1", devices=2)["frames"]
    assert [row["frames_at_once"] for row in rows] == [2, 4]
    for row in rows:
        assert row["gain"] == pytest.approx(row["alone_seconds"] / row["seconds"], rel=1e-3)


def test_bench_scaling_compares_devices_of_one_process(bench):
    rows = bench("bench_scaling", *_NETWORK, _FRAME, "--rays=32", "--devices=1,2", "--rounds=1")[
        "scaling"
    ]
    assert [(row["kind"], row["devices"], row["rays"]) for row in rows] == [
        ("strong", 1, 32),
        ("strong", 2, 32),
        ("weak", 1, 32),
        ("weak", 2, 64),
    ]
    assert rows[0]["speedup"] == 1
    assert all("share" in row["note"] for row in rows)  # simulated devices are no real ones


def test_bench_scaling_compares_processes(bench):
    rows = bench("bench_scaling", *_NETWORK, _FRAME, "--rays=32", "--processes=1,2", "--rounds=1")[
        "scaling"
    ]
    assert [(row["processes"], row["devices"]) for row in rows] == [(1, 1), (2, 2)] * 2


def test_bench_pipeline_reports_the_gap_between_frames(bench, tmp_path):
    found = bench("bench_pipeline", *_THEATRE, "--frames=3", "--steps=50", "--rays=32")
    assert [row["frame"] for row in found["frame"]] == [1, 2, 3]
    (summary,) = found["pipeline"]
    gaps = [row["gap_seconds"] for row in found["frame"][1:]]
    assert summary["gap_seconds_max"] == pytest.approx(max(gaps), rel=1e-3)
    assert summary["gap_fraction"] == pytest.approx(max(gaps) / 50, rel=1e-3)


def test_bench_memory_has_a_line_per_frame_and_a_slope(bench):
    found = bench("bench_memory", *_NETWORK, *_THEATRE, "--frames=9", "--steps=1")
    assert [row["frame"] for row in found["memory_frame"]] == list(range(1, 10))
    (summary,) = found["memory"]
    assert summary["frame_bytes"] == 3 * 2 * 12 * 16
    assert len(summary["rss_mib"]) == 9
    assert "growth_bytes_per_frame" in summary
    for row in found["memory_frame"]:
        assert row["image_bytes"] in [n * summary["frame_bytes"] for n in range(4)]


def test_bench_all_keeps_what_there_was_in_time(bench, tmp_path):
    """With 60 seconds for the first bench alone, it begins no case, or is stopped."""
    out = tmp_path / "out"
    bench_all = [sys.executable, str(_ROOT / "scripts" / "bench_all.py"), f"--out={out}"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    done = subprocess.run(
        [*bench_all, "--only=render", "--seconds=25"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads((out / "bench.json").read_text())
    (result,) = report["benches"]
    assert result["name"] == "render"
    assert (done.returncode == 0) == (result["status"] == "done")
    assert result["seconds"] < 30
    table = (out / "table.md").read_text()
    assert done.stdout == table
    assert "bench_render.py" in table


@pytest.mark.parametrize("setting", ["", "density"])
def test_bench_split_weighs_the_kinds_of_both_phases(bench, setting):
    flags = ("--rays=32", "--rounds=2", "--steps=2", f"--setting={setting}")
    found = bench("bench_split", *_NETWORK, _FRAME, *flags)["split"]
    assert [row["phase"] for row in found] == ["transfer", "warmup"]
    for row in found:
        assert sum(row["shares"].values()) == pytest.approx(1.0)
        mean = sum(share * row["kinds"][kind] for kind, share in row["shares"].items())
        assert row["ratio"] == pytest.approx(mean / row["inv_seconds"], rel=1e-3)
        assert 1.0 < row["flops_ratio"] < 2.0


_LEVELS = "--fast=model.levels=(4,4,4,6,5,4)"
_GRID = (_LEVELS, "--fast=model.guide=(4,4,4)", "--fast=model.samples=4")


def test_bench_fast_compares_both_models_and_goes_on(bench, tiny_capture):
    flags = [f"--capture={tiny_capture()}", "--factor=2", "--freeze_frame=2", "--frames=2"]
    flags += [f"--inv=model.{field}" for field in ("width=8", "depth=4", "position_octaves=2")]
    flags += ["--inv=model.coarse_samples=4", "--inv=model.fine_samples=4"]
    flags += [f"--{model}=train.rows_per_step=32" for model in ("inv", "fast")]
    flags += ["--inv=train.warmup_steps=2", "--fast=train.warmup_steps=2", *_GRID]
    flags += ["--fast=train.first_steps=3", "--inv_steps=2,4", "--fast_steps=3", "--seeds=0"]
    found = bench("bench_fast", *flags)
    assert [(row["model"], row["steps"]) for row in found["fast"]] == [
        *(("inv", 2), ("fast", 3), ("inv", 4))
    ]
    for row in found["fast"]:
        assert row["frames"] == 2
        assert 0 < row["steps_seconds"] <= row["frame_seconds"]
        assert row["warmup_steps"] == (2 if row["model"] == "inv" else 3)
    assert [row["inv_steps"] for row in found["fast_ratio"]] == [2, 4]
    for row in found["fast_ratio"]:
        assert row["is_reached"] == ("ratio" in row) == (row["gain"] >= 0)
    assert bench("bench_fast", *flags) == found  # nothing is trained again


def test_bench_fast_times_the_parts_of_a_step(bench, tiny_capture):
    flags = [f"--capture={tiny_capture()}", "--factor=2", "--rounds=2", "--seconds=0.01"]
    found = bench("bench_fast", "--floor", *flags, "--fast=train.rows_per_step=32", *_GRID)
    *parts, closing = found["fast_floor"]
    assert [row["part"] for row in parts] == [
        *("step", "draw", "forward", "gather_finest", "scatter_finest", "gather", "scatter"),
        *("adam", "roughness", "guide"),
    ]
    for row in parts:
        assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
    named = ("gather_seconds", "scatter_seconds", "multiply_seconds")
    assert sum(closing[name] for name in named) == pytest.approx(closing["floor_seconds"], rel=1e-3)


def test_bench_fast_counts_a_step_for_a_gpu(bench):
    """Four levels and one in bricks, as the sizes of so many large pictures have it."""
    (row,) = bench("bench_fast", "--gpu")["fast_gpu"]
    sizes = grid_sizes.of(1014, 1352, 20, "projective", "second")
    assert row["levels"] == [list(level) for level in sizes.levels]
    assert row["bricks"] == list(sizes.bricks[:3])
    levels = len(sizes.levels) + 1
    assert row["multiply_adds_a_ray"] == 12 * levels * 64 + 10 * 32 + 32 * 32 + 32 * 3
    assert row["gathered_bytes"] > 65_536 * 4 * 12 * levels * 64


def test_bench_fast_measures_the_step_of_a_gpu_where_asked(bench):
    small = ("--pixels=2,12,16", "--rays=32", "--rounds=1", "--seconds=0.01", *_GRID)
    found = bench("bench_fast", "--gpu", "--measure", *small)["fast_gpu"]
    assert [found[0]["part"], found[1]["part"], found[-1]["part"]] == ["counts", "step", "floor"]
