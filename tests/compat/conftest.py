"""What an older version wrote, unpacked, and what it said that it is; see `make_data.sh`."""

import dataclasses
import hashlib
import json
import pathlib
import runpy
import shutil
import tarfile
from collections.abc import Callable

import jax
import numpy as np
import pytest

from inv_jax import cli
from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.codec.video import NeuralVideo

_HERE = pathlib.Path(__file__).parent
_ROOT = _HERE.parents[1]
_DEVICES = 4
_CLOSE = 0.02  # params of CPUs that round otherwise are within 0.005 after as many steps

Leaves = dict[str, np.ndarray]  # by FRAME/PATH


@dataclasses.dataclass(frozen=True)
class Old:
    """What is there of the older version.

    Attributes:
      data: Its folder; nothing is to be written there.
      folder: Where `run` unpacks.
    """

    data: pathlib.Path
    folder: pathlib.Path

    def run(self, name: str) -> pathlib.Path:
        """A copy of a workdir, with its capture."""
        with tarfile.open(self.data / f"{name}.tar.gz") as packed:
            packed.extractall(self.folder, filter="data")
        shutil.copytree(self.capture(name), self.folder / name / "capture")
        return self.folder / name

    def capture(self, name: str) -> pathlib.Path:
        """The capture of a run or a file."""
        return self.data / ("image_capture" if name.startswith("image") else "capture")

    def flags(self, name: str) -> list[str]:
        """The flags of `train` that a run was begun with."""
        text = (self.data / f"{name}.flags").read_text()
        return text.replace("--config=", f"--config={_ROOT}/", 1).split()

    def digests(self, file: str) -> dict[str, str]:
        """What `digests_of` a file's params is, as recorded."""
        return json.loads((self.data / "digests.json").read_text())[file]

    def params(self, name: str) -> Leaves:
        """Params of all frames of a run, as recorded."""
        by_frame: dict[int, Leaves] = {}
        with np.load(self.data / f"{name}.npz") as stored:
            for key, leaf in stored.items():
                frame, _, path = key.partition("/")
                by_frame.setdefault(int(frame), {})[path] = leaf
        leaves: Leaves = {}
        newest: Leaves = {}
        for frame, changed in sorted(by_frame.items()):
            newest |= changed
            leaves |= {f"{frame}/{path}": leaf for path, leaf in newest.items()}
        return leaves


@pytest.fixture
def old(tmp_path) -> Old:
    """What an older version wrote."""
    return Old(_HERE / "data", tmp_path / "old")


@pytest.fixture
def command(restored_process) -> Callable[..., int]:
    """`command("eval", f"--workdir={path}")`: a command's exit status."""
    return lambda name, *flags: cli.main(["inv-jax", name, *map(str, flags)])


@pytest.fixture(scope="session")
def params_of() -> Callable[[pathlib.Path], Leaves]:
    """`params_of(path)`: params of all frames of a workdir, or of an `.inv` file."""

    def read(path: pathlib.Path) -> Leaves:
        source = FrameStore(path) if path.is_dir() else NeuralVideo.open(path)
        leaves = {}
        for frame in source.frames():
            for name, leaf in params_lib.flatten(source.params(frame)).items():
                leaves[f"{frame}/{name}"] = leaf
        source.close()
        return leaves

    return read


@pytest.fixture(scope="session")
def digests_of() -> Callable[[Leaves], dict[str, str]]:
    """`digests_of(leaves)`: by frame, the SHA-256 of its leaves in order of their paths."""

    def digest(leaves: Leaves) -> dict[str, str]:
        found = {}
        for path in sorted(leaves):
            frame = path.partition("/")[0]
            found.setdefault(frame, hashlib.sha256()).update(leaves[path].tobytes())
        return {frame: sum_.hexdigest() for frame, sum_ in found.items()}

    return digest


@pytest.fixture(scope="session")
def check_equal() -> Callable[[Leaves, Leaves], None]:
    """`check_equal(found, wanted)`: params are equal to the bit, on whatever machine."""

    def check(found: Leaves, wanted: Leaves) -> None:
        assert sorted(found) == sorted(wanted)
        differing = [path for path in wanted if found[path].tobytes() != wanted[path].tobytes()]
        assert not differing

    return check


@pytest.fixture(scope="session")
def same_arithmetic() -> bool:
    """Whether this machine rounds as the one that made the data."""
    found = runpy.run_path(str(_HERE / "arithmetic.py"))["reference"]()
    is_same = found.tobytes() == np.load(_HERE / "data" / "arithmetic.npy").tobytes()
    return is_same and len(jax.devices()) == _DEVICES


@pytest.fixture(scope="session")
def check_trained(check_equal, same_arithmetic) -> Callable[[Leaves, Leaves], None]:
    """`check_trained(found, wanted)`: params that were trained here are equal to the bit.

    Where the machine rounds otherwise they are close, and what follows in a test is skipped.
    """

    def check(found: Leaves, wanted: Leaves) -> None:
        assert sorted(found) == sorted(wanted)
        for path, leaf in wanted.items():
            np.testing.assert_allclose(found[path], leaf, rtol=0, atol=_CLOSE, err_msg=path)
        if not same_arithmetic:
            pytest.skip("params are close; this machine rounds otherwise than the data's")
        check_equal(found, wanted)

    return check
