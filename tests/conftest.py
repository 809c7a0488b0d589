"""What every test runs under: strict broadcasting, checked shapes, four simulated devices."""

import logging as std_logging
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterator

_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=4".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "common")]  # `configs`, and what tests share

from jaxtyping import install_import_hook  # noqa: E402

# Checks shapes and types of every call in the numeric packages, as annotated there. It must be
# in place before the first of them is imported.
install_import_hook(
    [f"inv_jax.{name}" for name in ("geometry", "sampling", "render", "models")],
    "beartype.beartype",
)

import filelock  # noqa: E402
import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import scenes  # noqa: E402
from absl import logging  # noqa: E402
from jax.experimental.compilation_cache import compilation_cache  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

_MANY_MAPS = 20_000
_CACHE = {
    "jax_persistent_cache_min_compile_time_secs": 0.1,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}

_IMAGE_RUN = {
    "model.width": 32,
    "model.position_octaves": 3,
    "train.steps": 50,
    "train.warmup_steps": 300,
    "train.learning_rate": 1e-2,
    "codec.name": "delta",
}


def _folder(variable: str, default: str) -> pathlib.Path:
    path = pathlib.Path(os.environ.get(variable, ROOT / default))
    if not path.is_dir():
        pytest.skip(f"no folder {path}; set {variable} to where it is")
    return path


@pytest.fixture(scope="session")
def parity() -> pathlib.Path:
    """Root of the arrays recorded from the originals (INV_JAX_PARITY)."""
    return _folder("INV_JAX_PARITY", "../shared/parity")


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Root of the real captures (INV_JAX_DATA)."""
    return _folder("INV_JAX_DATA", "../shared/data")


@pytest.fixture(scope="session", autouse=True)
def compile_cache(tmp_path_factory) -> str:
    """Folder of compiled programs: of all tests, of all workers, and of commands they start."""
    folder = jax.config.jax_compilation_cache_dir
    if not folder:
        base = tmp_path_factory.getbasetemp()
        is_worker = "PYTEST_XDIST_WORKER" in os.environ
        folder = str((base.parent if is_worker else base) / "compiled")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        jax.config.update("jax_compilation_cache_dir", folder)
    for name, value in _CACHE.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # it decides once whether it is used
    return folder


@pytest.fixture(scope="module", autouse=True)
def release_programs():
    """Lets go of what modules compiled, when it is much: each program is some memory maps, and
    their number is limited (vm.max_map_count, 65,530 by default); a process that is out of them
    crashes.
    """
    yield
    maps = pathlib.Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") > _MANY_MAPS:
        jax.clear_caches()
    _drop_torn_entries()


def _drop_torn_entries() -> None:
    """Mends the cache of compiled programs after a test that killed a process while it wrote there.

    An entry whose time of use was not written any more makes JAX fail at every later write
    (findings/compile_cache_torn_entry.sh): from there on all tests would compile.
    """
    folder = pathlib.Path(jax.config.jax_compilation_cache_dir or "")
    if not (folder / ".lockfile").exists():
        return
    with filelock.FileLock(folder / ".lockfile"):
        for entry in folder.glob("*-cache"):
            if not entry.with_name(f"{entry.name.removesuffix('-cache')}-atime").exists():
                entry.unlink()


@pytest.fixture
def restored_process() -> Iterator[None]:
    """Handlers of signals and of the log, put back behind the command's."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    verbosity, filters = logging.get_verbosity(), list(logging.get_absl_handler().filters)
    handlers = list(std_logging.getLogger().handlers)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    logging.set_verbosity(verbosity)
    logging.get_absl_handler().filters[:] = filters
    std_logging.getLogger().handlers[:] = handlers


@pytest.fixture(scope="session")
def tiny_capture(tmp_path_factory) -> Callable[..., pathlib.Path]:
    """`tiny_capture(height, width)`: a META capture of 3 cameras, and 3 frames of noise."""

    def make(height: int = 12, width: int = 16) -> pathlib.Path:
        def noise(frame: int, cam: int) -> np.ndarray:
            rng = np.random.default_rng([frame, cam])
            return rng.integers(0, 256, (height, width, 3), np.uint8)

        path, centers = tmp_path_factory.mktemp("capture"), [(0.3 * cam, 0) for cam in range(3)]
        return scenes.write_meta(path, noise, (1, 2, 3), centers, (height, width), focal=40)

    return make


@pytest.fixture(scope="session")
def image_clip(tmp_path_factory) -> pathlib.Path:
    """A video of one camera: a folder of 3 pictures of 16x24, smooth waves that move."""
    return scenes.write_clip(tmp_path_factory.mktemp("clip"), 3, 16, 24)


@pytest.fixture(scope="session")
def train_image(image_clip) -> Callable[..., int]:
    """Trains the `transfer` plan on a clip by command, encoded meanwhile; its exit status."""
    import training  # all of the project, which few tests need

    def train(workdir: pathlib.Path, clip: pathlib.Path = image_clip) -> int:
        flags = training.flags_of("image2d.py:transfer", {**_IMAGE_RUN, "data.path": clip})
        return training.run("train", *flags, f"--workdir={workdir}")

    return train


@pytest.fixture(scope="session")
def image_run(train_image, tmp_path_factory) -> pathlib.Path:
    """A run on `image_clip`, with its `video.inv`; to look at only."""
    workdir = tmp_path_factory.mktemp("image") / "run"
    assert train_image(workdir) == 0
    return workdir
