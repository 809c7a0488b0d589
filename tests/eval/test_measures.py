import numpy as np
import pytest
from absl import logging

from inv_jax.eval import flip, lpips, measures, metrics
from inv_jax.types import InvError


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(lpips.ENVIRONMENT, raising=False)


@pytest.fixture
def pair():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 256, (17, 23, 3), np.uint8)  # of test_metrics.py: compiled once
    return (rng.random(truth.shape) * 0.2 + truth / 255 * 0.8).astype(np.float32), truth


def test_a_picture_is_measured_against_its_8_bit_truth(pair):
    rgb, truth = pair
    reference = truth.astype(np.float32) / np.float32(255)
    found = measures.make()(rgb, truth)
    assert found == {
        "psnr": metrics.psnr(rgb, reference),
        "psnr_dynamic": None,  # nothing says what is
        "psnr_static": None,
        "ssim": metrics.ssim(rgb, reference),
        "ms_ssim": None,  # too small
        "flip": flip.flip(rgb, reference),
    }
    assert measures.QUICK(rgb, truth) == {name: found[name] for name in ("psnr", "ssim")}


def test_names_come_in_the_order_of_tables():
    assert measures.make(["flip", "psnr"]).names == ("psnr", "flip")
    plain = [name for name in measures.make().names if name not in measures.MASKED]
    assert plain == ["psnr", "ssim", "ms_ssim", "flip"]


def test_dynamic_and_static_pixels_make_up_the_picture(pair):
    rgb, truth = pair
    is_dynamic = np.zeros(truth.shape[:2], bool)
    is_dynamic[3:9, 5:] = True
    measure = measures.make(["psnr", *measures.MASKED])
    assert measure.wants_masks
    assert not measures.QUICK.wants_masks
    errors = {k: 10 ** (-v / 10) for k, v in measure(rgb, truth, is_dynamic).items()}
    share = is_dynamic.mean()
    whole = share * errors["psnr_dynamic"] + (1 - share) * errors["psnr_static"]
    assert whole == pytest.approx(errors["psnr"], rel=1e-5)
    assert errors["psnr_dynamic"] != pytest.approx(errors["psnr_static"], rel=1e-3)
    assert measure(rgb, truth, ~is_dynamic)["psnr_static"] == pytest.approx(
        measure(rgb, truth, is_dynamic)["psnr_dynamic"]
    )
    assert measure(rgb, truth, np.zeros_like(is_dynamic))["psnr_dynamic"] is None


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(
        InvError, match="no metric 'vmaf'; choose among psnr, psnr_dynamic, psnr_static"
    ):
        measures.make(["psnr", "vmaf"])


def test_absent_weights_leave_lpips_out_and_are_told_of_once(monkeypatch):
    said = []
    monkeypatch.setattr(logging, "_log_counter_per_token", {})
    monkeypatch.setattr(logging, "log", lambda level, text, *args: said.append(text % args))
    for _ in range(3):
        assert measures.make(["lpips", "psnr"]).names == ("psnr",)
    assert len(said) == 1
    assert "LPIPS is left out" in said[0]
    assert measures.make(["psnr"]).lpips_net is None


def test_a_file_of_weights_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(InvError, match="no file of LPIPS weights"):
        measures.make(lpips_weights=tmp_path / "none.npz")


def test_weights_are_read_once_and_say_whose_they_are(tmp_path):
    weights = {
        name: np.ones(shape, np.float32) for name, shape in lpips.NETS["alex"].shapes().items()
    }
    path = tmp_path / "ones.npz"
    np.savez(path, net=np.array("alex"), **weights)
    made = measures.make(lpips_weights=str(path))
    path.unlink()
    assert made.names == measures.NAMES
    assert made.lpips_net == "alex"
    others = {name: array + 1 for name, array in weights.items()}
    other = measures.Measures({"psnr": metrics.psnr, "lpips": lpips.Lpips("alex", others)})
    assert made.full_name("psnr") == other.full_name("psnr") == "psnr"
    assert made.full_name("lpips").startswith("lpips-alex-")
    assert made.full_name("lpips") == measures.Measures(made.metrics).full_name("lpips")
    assert made.full_name("lpips") != other.full_name("lpips")
    black = np.zeros((20, 40, 3))
    assert made(black, black.astype(np.uint8))["lpips"] is None  # too small
