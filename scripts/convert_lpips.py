"""Makes the file of LPIPS weights that `inv-jax eval` reads; needs no PyTorch.

    python scripts/convert_lpips.py --backbone=alexnet-owt-7be5be79.pth --linear=alex.pth

The weights are published in two files. The network's are torchvision's, trained on ImageNet
(https://download.pytorch.org/models/alexnet-owt-7be5be79.pth, 233 MB, or
https://download.pytorch.org/models/vgg16-397923af.pth, 528 MB, with --net=vgg). Those of the
metric are in the repository https://github.com/richzhang/PerceptualSimilarity, as
lpips/weights/v0.1/alex.pth or vgg.pth, 6 kB; the Python package `lpips` holds them too.

The result holds convolutions alone: 10 MB for AlexNet, 59 MB for VGG.
"""

import collections
import io
import pathlib
import pickle
import re
import sys
import zipfile
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from absl import app, flags

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from inv_jax.data import files  # noqa: E402
from inv_jax.eval import lpips  # noqa: E402
from inv_jax.types import InvError  # noqa: E402

_NET = flags.DEFINE_enum("net", "alex", sorted(lpips.NETS), "Whose weights they are.")
_BACKBONE = flags.DEFINE_string("backbone", None, "torchvision's .pth file.", required=True)
_LINEAR = flags.DEFINE_string("linear", None, "LPIPS' .pth file, version 0.1.", required=True)
_OUT = flags.DEFINE_string("out", "", f"The .npz file; default: {lpips.CACHE}, or lpips_vgg.npz.")

_OLD_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of a file of PyTorch before 1.6
_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
}


class _Storage:
    """A flat array that the pickle names and other bytes of the file fill."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype, self.values = dtype, np.empty(0, dtype)


class _Tensor:
    """A view of a storage; offset and strides in elements."""

    def __init__(
        self, storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any
    ) -> None:
        self._storage, self._offset = storage, offset
        self._shape, self._strides = tuple(shape), tuple(strides)

    def array(self) -> np.ndarray:
        values = self._storage.values
        if 0 in self._shape:
            return np.empty(self._shape, values.dtype)
        ends = zip(self._shape, self._strides, strict=True)
        last = self._offset + sum((size - 1) * stride for size, stride in ends)
        if min(self._offset, *self._strides, 0) < 0 or last >= values.size:
            raise ValueError("a tensor reaches beyond its storage")
        return np.lib.stride_tricks.as_strided(
            values[self._offset :],
            self._shape,
            [stride * values.itemsize for stride in self._strides],
        )


class _Unpickler(pickle.Unpickler):
    """Makes tensors of the few names that a state dict needs, and runs nothing else."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _Tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *rest: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(f"it holds {module}.{name}, not numbers alone")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return self.storages.setdefault(key, _Storage(dtype))


def read_state_dict(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a .pth file, by name, in either of PyTorch's formats.

    Raises:
      InvError: If it is no such file, or holds anything but arrays.
    """
    try:
        with path.open("rb") as file:
            is_zip = zipfile.is_zipfile(file)
            file.seek(0)
            tensors = _read_zip(file) if is_zip else _read_old(file)
        return {name: tensor.array() for name, tensor in tensors.items()}
    except FileNotFoundError as error:
        raise InvError(f"there is no file {path}") from error
    except Exception as error:  # a damaged pickle raises errors of any kind
        raise InvError(f"{path} is no PyTorch file of weights: {error}") from error


def _read_zip(file: BinaryIO) -> dict[str, _Tensor]:
    with zipfile.ZipFile(file) as archive:
        (name,) = (x for x in archive.namelist() if x.endswith("data.pkl"))
        unpickler = _Unpickler(io.BytesIO(archive.read(name)))
        tensors = unpickler.load()
        for key, storage in unpickler.storages.items():
            data = archive.read(f"{name.removesuffix('data.pkl')}data/{key}")
            storage.values = np.frombuffer(data, storage.dtype)
    return tensors


def _read_old(file: BinaryIO) -> dict[str, _Tensor]:
    # Pickles: a magic number, a version, the writer's machine, the tensors, the storages' keys;
    # then each storage, as its length and its values.
    if _Unpickler(file).load() != _OLD_MAGIC:
        raise ValueError("its first bytes are not PyTorch's")
    _Unpickler(file).load()
    _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        size = int(np.frombuffer(file.read(8), "<i8")[0])
        data = file.read(size * storage.dtype.itemsize)
        storage.values = np.frombuffer(data, storage.dtype, size)
    return tensors


def convert(
    net: str, backbone: dict[str, np.ndarray], linear: dict[str, np.ndarray]
) -> lpips.Weights:
    """Published weights to those of `lpips.py`.

    Args:
      net: 'alex' or 'vgg'.
      backbone: torchvision's state dict: `features.{n}.weight` (outputs, inputs, h, w), `.bias`.
      linear: LPIPS' state dict: `lin{s}.model.1.weight` (1, channels, 1, 1).

    Raises:
      InvError: If an array is missing or has another shape.
    """
    shapes = lpips.NETS[net].shapes()
    kernels = {
        int(found[1]): array
        for name, array in backbone.items()
        if (found := re.fullmatch(r"features\.(\d+)\.weight", name)) and array.ndim == 4
    }
    weights: lpips.Weights = {}
    for i, (place, kernel) in enumerate(sorted(kernels.items())):
        bias = backbone.get(f"features.{place}.bias", np.empty(0))
        weights[f"conv_{i}/kernel"] = kernel.transpose(2, 3, 1, 0).astype(np.float32)
        weights[f"conv_{i}/bias"] = bias.astype(np.float32)
    for name, array in linear.items():
        if name.endswith(".model.1.weight"):
            weights[f"linear_{name.split('.')[0].removeprefix('lin')}"] = array.astype(
                np.float32
            ).reshape(-1)
    found = {name: array.shape for name, array in weights.items()}
    if found != shapes:
        odd = next(x for x in [*shapes, *found] if found.get(x) != shapes.get(x))
        raise InvError(
            f"these are not the weights of --net={net}: {odd} is {found.get(odd, 'missing')}, "
            f"want {shapes.get(odd, 'no such array')}"
        )
    return weights


def main(argv: list[str]) -> None:
    if argv[1:]:
        raise app.UsageError(f"unexpected {argv[1]!r}")
    default = lpips.CACHE.with_name(f"lpips_{_NET.value}.npz")
    out = pathlib.Path(_OUT.value or default).expanduser()
    backbone, linear = (pathlib.Path(x).expanduser() for x in (_BACKBONE.value, _LINEAR.value))
    try:
        weights = convert(_NET.value, read_state_dict(backbone), read_state_dict(linear))
        arrays: dict[str, Any] = {"net": np.array(_NET.value), **weights}
        out.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(out) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
    except (InvError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"wrote {out}")


if __name__ == "__main__":
    app.run(main)
