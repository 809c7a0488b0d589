"""Published weights become ours; files are written here as PyTorch writes them, without it.

Files of PyTorch 2.15.0 in both formats, and the two of `lpips` 0.1.4, were read by hand alike.
"""

import collections
import io
import os
import pathlib
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest

from inv_jax.eval import lpips
from inv_jax.types import InvError

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts"))

import convert_lpips


def _rebuild_tensor_v2(*args):
    raise AssertionError("the file was run")


class FloatStorage:
    """Stands for PyTorch's; a pickle holds its name alone."""


@pytest.fixture
def torch_names(monkeypatch):
    """The names that pickles of PyTorch hold, as if it were installed."""
    package, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    monkeypatch.setattr(_rebuild_tensor_v2, "__module__", "torch._utils")
    monkeypatch.setattr(FloatStorage, "__module__", "torch")
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    package._utils, package.FloatStorage = utils, FloatStorage
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


class _Stored:
    """The bytes of an array, under a key."""

    def __init__(self, key: str, array: np.ndarray):
        self.key, self.array = key, np.ascontiguousarray(array, "<f4")


class _Tensor:
    """Pickled as a call; a transposed one has the strides of its storage."""

    def __init__(self, stored: _Stored, offset: int, shape, strides):
        self._args = (stored, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self._args


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, _Stored):
            return ("storage", FloatStorage, obj.key, "cpu", obj.array.size)
        return None


def _tensors(state: dict[str, np.ndarray]) -> tuple[dict[str, _Tensor], list[_Stored]]:
    tensors, stored = collections.OrderedDict(), []
    for key, (name, array) in enumerate(state.items()):
        stored.append(_Stored(str(key), array))
        steps = [x // 4 for x in stored[-1].array.strides]
        tensors[name] = _Tensor(stored[-1], 0, array.shape, tuple(steps))
    return tensors, stored


def _pickled(value) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def _zip(state: dict[str, np.ndarray]) -> bytes:
    tensors, stored = _tensors(state)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", _pickled(tensors))
        for one in stored:
            archive.writestr(f"model/data/{one.key}", one.array.tobytes())
    return file.getvalue()


def _old(state: dict[str, np.ndarray]) -> bytes:
    tensors, stored = _tensors(state)
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tensors]
    parts.append([one.key for one in stored])
    values = (one.array.size.to_bytes(8, "little") + one.array.tobytes() for one in stored)
    return b"".join([*map(_pickled, parts), *values])


@pytest.fixture(scope="module")
def published():
    """Arrays of AlexNet and of LPIPS, named and shaped as published."""
    rng, backbone, linear = np.random.default_rng(0), {}, {}
    shapes = lpips.NETS["alex"].shapes()
    for i, place in enumerate((0, 3, 6, 8, 10)):
        *size, inputs, outputs = shapes[f"conv_{i}/kernel"]
        kernel = rng.standard_normal((outputs, inputs, *size), np.float32)
        backbone[f"features.{place}.weight"] = kernel
        backbone[f"features.{place}.bias"] = rng.standard_normal(outputs, np.float32)
    backbone["classifier.1.weight"] = np.ones((7, 5), np.float32)
    for s in range(5):
        array = rng.random((1, *shapes[f"linear_{s}"], 1, 1), np.float32)
        linear[f"lin{s}.model.1.weight"] = array
    return backbone, linear


@pytest.mark.parametrize("write", [_zip, _old])
def test_both_formats_of_pytorch_are_read_to_the_bit(tmp_path, published, torch_names, write):
    path = tmp_path / "linear.pth"
    path.write_bytes(write(published[1]))
    found = convert_lpips.read_state_dict(path)
    assert list(found) == list(published[1])
    for name, array in published[1].items():
        np.testing.assert_array_equal(found[name], array)


def test_strides_and_offsets_of_tensors_count(tmp_path, torch_names, monkeypatch):
    stored = _Stored("0", np.arange(12))
    tensors = {"transposed": _Tensor(stored, 2, (3, 2), (1, 4)), "one": _Tensor(stored, 11, (), ())}
    monkeypatch.setattr(sys.modules[__name__], "_tensors", lambda state: (tensors, [stored]))
    path = tmp_path / "views.pth"
    path.write_bytes(_zip({}))
    found = convert_lpips.read_state_dict(path)
    np.testing.assert_array_equal(found["transposed"], [[2, 6], [3, 7], [4, 8]])
    assert found["one"] == 11

    tensors["beyond"] = _Tensor(stored, 11, (2,), (1,))
    path.write_bytes(_zip({}))
    with pytest.raises(InvError, match="beyond its storage"):
        convert_lpips.read_state_dict(path)


def test_converted_weights_are_those_that_lpips_takes(tmp_path, published):
    weights = convert_lpips.convert("alex", *published)
    path = tmp_path / "alex.npz"
    np.savez(path, net=np.array("alex"), **weights)
    assert lpips.Lpips.load(path).net == "alex"
    kernel = published[0]["features.3.weight"]
    assert weights["conv_1/kernel"][4, 2, 17, 150] == kernel[150, 17, 4, 2]
    np.testing.assert_array_equal(
        weights["linear_2"], published[1]["lin2.model.1.weight"][0, :, 0, 0]
    )


def test_weights_of_another_network_are_named(published):
    with pytest.raises(InvError, match=r"--net=vgg: conv_0/kernel is \(11, 11, 3, 64\), want"):
        convert_lpips.convert("vgg", *published)
    with pytest.raises(InvError, match="linear_0 is missing"):
        convert_lpips.convert("alex", published[0], {})
    other = {"features.conv0.weight": np.zeros((64, 3, 7, 7), np.float32)}
    with pytest.raises(InvError, match="conv_0/kernel is missing"):
        convert_lpips.convert("alex", other, published[1])
    without = {name: array for name, array in published[0].items() if name != "features.3.bias"}
    with pytest.raises(InvError, match=r"conv_1/bias is \(0,\), want \(192,\)"):
        convert_lpips.convert("alex", without, published[1])


class _Command:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>not found</html>", pickle.dumps(_Command()), pickle.dumps([1]), b"PK\x05\x06"],
)
def test_a_file_of_something_else_is_refused_and_not_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.pth"
    path.write_bytes(content)
    with pytest.raises(InvError, match=r"odd\.pth is no PyTorch file of weights"):
        convert_lpips.read_state_dict(path)
    assert not (tmp_path / "ran").exists()


def test_a_cut_file_is_refused(tmp_path, published, torch_names):
    path = tmp_path / "cut.pth"
    for whole in (_zip(published[1]), _old(published[1])):
        path.write_bytes(whole[:-100])
        with pytest.raises(InvError, match="is no PyTorch file of weights"):
            convert_lpips.read_state_dict(path)
