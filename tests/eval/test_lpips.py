"""LPIPS, with weights that a seed makes: the published ones are not part of this project."""

import numpy as np
import pytest

from inv_jax.eval import lpips
from inv_jax.types import InvError

# By the package `lpips` 0.1.4 on PyTorch 2.15.0, whose network was given the weights of `_weights`
# (in its own order of axes) and the images of `_pair`, `normalize=True`; on a CPU.
_RECORDED = {
    ("alex", 64, 80): 0.05848074,
    ("alex", 70, 45): 0.04876013,
    ("vgg", 64, 80): 0.05695193,
}


def _weights(net: str) -> lpips.Weights:
    rng = np.random.default_rng(7)
    made = {}
    for name, shape in lpips.NETS[net].shapes().items():
        if name.endswith("kernel"):
            made[name] = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:3]))
        elif name.endswith("bias"):
            made[name] = 0.1 * rng.standard_normal(shape)
        else:
            made[name] = rng.random(shape)
    return {name: array.astype(np.float32) for name, array in made.items()}


def _pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width] / width
    reference = np.stack([x, y, 0.5 + 0.4 * np.sin(40 * x * y)], -1)
    noise = np.random.default_rng(0).normal(0, 0.1, reference.shape) * x[..., None]
    return np.clip(reference + noise, 0, 1).astype(np.float32), reference.astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A file of AlexNet's weights."""
    path = tmp_path_factory.mktemp("weights") / "alex.npz"
    np.savez(path, net=np.array("alex"), **_weights("alex"))
    return path


@pytest.fixture(scope="module")
def metric(file):
    return lpips.Lpips.load(file)


def _conv(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int, padding: int):
    size = kernel.shape[0]
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    windows = windows[::stride, ::stride]  # (h, w, inputs, size, size)
    return np.maximum(np.einsum("hwcij,ijco->hwo", windows, kernel, optimize=True) + bias, 0)


def _pool(x: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2].max((3, 4))


def _alex_in_float64(image: np.ndarray, reference: np.ndarray) -> float:
    """Zhang et al. 2018, eq. 1, layer by layer as published, without any of our tables."""
    weights = {name: array.astype(np.float64) for name, array in _weights("alex").items()}

    def features(x: np.ndarray) -> list[np.ndarray]:
        x = (2 * x.astype(np.float64) - 1 - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        found = []
        for i, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
            x = _pool(x) if i in (1, 2) else x
            x = _conv(x, weights[f"conv_{i}/kernel"], weights[f"conv_{i}/bias"], stride, padding)
            found.append(x)
        return found

    total = 0.0
    for i, (a, b) in enumerate(zip(features(image), features(reference), strict=True)):
        p, q = (x / np.sqrt((x * x).sum(-1, keepdims=True)) for x in (a, b))
        total += float(((p - q) ** 2 * weights[f"linear_{i}"]).sum(-1).mean())
    return total


def test_lpips_is_that_of_the_published_package_and_of_the_formula(metric):
    pair = _pair(64, 80)
    assert metric(*pair) == pytest.approx(_RECORDED["alex", 64, 80], rel=1e-5)
    assert metric(*pair) == pytest.approx(_alex_in_float64(*pair), rel=1e-5)
    assert metric(*pair[::-1]) == pytest.approx(metric(*pair), rel=1e-5)
    assert metric(pair[0], pair[0]) < 1e-12


def test_the_formula_on_an_odd_size_is_that_of_the_published_package():
    assert _alex_in_float64(*_pair(70, 45)) == pytest.approx(_RECORDED["alex", 70, 45], rel=1e-5)


@pytest.mark.slow
def test_lpips_of_vgg_is_that_of_the_published_package():
    metric = lpips.Lpips("vgg", _weights("vgg"))
    assert metric(*_pair(64, 80)) == pytest.approx(_RECORDED["vgg", 64, 80], rel=1e-5)


@pytest.mark.parametrize(("net", "side"), [("alex", 31), ("vgg", 16)])
def test_a_picture_needs_a_feature_at_every_stage(net, side):
    assert lpips.NETS[net].fits(side)
    assert not lpips.NETS[net].fits(side - 1)


def test_a_picture_too_small_for_the_network_has_no_lpips(metric):
    assert metric(np.zeros((30, 90, 3), np.float32), np.ones((30, 90, 3), np.float32)) is None


# Where the weights come from.


def test_weights_are_looked_for_in_the_given_file_then_the_environment_then_the_cache(
    file, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(lpips.ENVIRONMENT, raising=False)
    said = lpips.find()
    assert isinstance(said, str)
    assert str(tmp_path / ".cache/inv_jax/lpips_alex.npz") in said
    assert "$INV_JAX_LPIPS is not set" in said
    assert "scripts/convert_lpips.py" in said
    assert "\n" not in said

    monkeypatch.setenv(lpips.ENVIRONMENT, str(tmp_path / "none.npz"))
    assert f"$INV_JAX_LPIPS: {tmp_path / 'none.npz'}" in lpips.find()
    monkeypatch.setenv(lpips.ENVIRONMENT, str(file))
    assert lpips.find().net == "alex"
    with pytest.raises(InvError, match=r"no file of LPIPS weights at .*gone\.npz"):
        lpips.find(tmp_path / "gone.npz")

    monkeypatch.delenv(lpips.ENVIRONMENT)
    (tmp_path / ".cache/inv_jax").mkdir(parents=True)
    (tmp_path / ".cache/inv_jax/lpips_alex.npz").symlink_to(file)
    assert lpips.find().net == "alex"


def _damaged(kind: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "no net": {**arrays, "net": np.array("")},
        "another net": {**arrays, "net": np.array("squeeze")},
        "vgg": {**arrays, "net": np.array("vgg")},
        "missing": {name: array for name, array in arrays.items() if name != "conv_3/bias"},
        "shape": {**arrays, "linear_2": np.zeros(383, np.float32)},
        "integers": {**arrays, "linear_2": np.zeros(384, np.int32)},
        "nan": {**arrays, "linear_2": np.full(384, np.nan, np.float32)},
        "pickled": {**arrays, "linear_2": np.array([{}], object)},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no net", "net ''"),
        ("another net", "net 'squeeze'"),
        ("vgg", "conv_0/kernel"),
        ("missing", "conv_3/bias"),
        ("shape", r"linear_2 is float32 of shape \(383,\)"),
        ("integers", "linear_2 is int32"),
        ("nan", "linear_2 holds numbers that are not finite"),
        ("pickled", "is no file of LPIPS weights"),
    ],
)
def test_malformed_weights_are_named_in_one_line(tmp_path, kind, said):
    path = tmp_path / "bad.npz"
    np.savez(path, **_damaged(kind, {"net": np.array("alex"), **_weights("alex")}))
    with pytest.raises(InvError, match=said) as error:
        lpips.Lpips.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 cut"])
def test_a_file_of_something_else_is_no_file_of_weights(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(InvError, match="is no file of LPIPS weights"):
        lpips.Lpips.load(path)
