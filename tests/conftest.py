"""What every test runs under: strict broadcasting, checked shapes, four simulated devices."""

import os
import pathlib
import sys

_DEVICES = "--xla_force_host_platform_device_count"
if _DEVICES not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}=4".strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from jaxtyping import install_import_hook  # noqa: E402

# Checks shapes and types of every call in the numeric packages, as annotated there. It must be
# in place before the first of them is imported.
install_import_hook(
    [f"inv_jax.{name}" for name in ("geometry", "sampling", "render", "models")],
    "beartype.beartype",
)

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for `configs`


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
