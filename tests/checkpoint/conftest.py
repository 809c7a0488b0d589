"""A store, and small params and optimizer leaves for it."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.checkpoint import FrameStore
from inv_jax.params import Roles


@pytest.fixture(scope="session")
def roles() -> Roles:
    """Those of the store."""
    return Roles(own=("structure",), shared=("color",))


@pytest.fixture(scope="session")
def params_of() -> Callable[..., dict]:
    """`params_of(seed, width)`: those of a frame."""

    def make(seed: int, width: int = 8) -> dict:
        rng = np.random.default_rng(seed)

        def layer(fan_in: int, out: int) -> dict:
            return {
                "kernel": rng.normal(size=(fan_in, out)).astype(np.float32),
                "bias": rng.normal(size=out).astype(np.float32),
            }

        return {
            network: {
                "structure": {"layer_0": layer(5, width), "layer_1": layer(width, width)},
                "color": {"rgb": layer(width, 3)},
            }
            for network in ("coarse", "fine")
        }

    return make


@pytest.fixture(scope="session")
def optimizer_of(params_of) -> Callable[[int], dict[str, np.ndarray]]:
    """`optimizer_of(seed)`: its leaves, by path."""

    def make(seed: int) -> dict[str, np.ndarray]:
        moments = {f"mu/{path}": leaf for path, leaf in params_lib.flatten(params_of(seed)).items()}
        return {"count": np.int32(seed), **moments}

    return make


@pytest.fixture(scope="session")
def transferred(params_of) -> Callable[[dict, int], dict]:
    """`transferred(params, seed)`: another frame with the same colors."""

    def make(params: dict, seed: int) -> dict:
        new = params_lib.flatten(params_of(seed))
        old = params_lib.flatten(params)
        return params_lib.nest({p: (old if "/color/" in p else new)[p] for p in old})

    return make


@pytest.fixture(scope="session")
def assert_same() -> Callable[[dict, dict], None]:
    """`assert_same(found, expected)`: two trees are equal, to the bit."""

    def check(found: dict, expected: dict) -> None:
        found, expected = params_lib.flatten(found), params_lib.flatten(expected)
        assert found.keys() == expected.keys()
        for path, leaf in expected.items():
            assert found[path].dtype == np.asarray(leaf).dtype, path
            np.testing.assert_array_equal(found[path], leaf, err_msg=path)

    return check


@pytest.fixture
def store(tmp_path, roles) -> Iterator[FrameStore]:
    """Nothing is in it yet."""
    store = FrameStore(tmp_path, roles=roles)
    yield store
    store.close()


@pytest.fixture
def video(store, roles, params_of, optimizer_of, transferred) -> list[dict]:
    """Params of frames 1 to 4: colors train in the first two."""
    frames = [params_of(1), params_of(2)]
    frames += [transferred(frames[1], 3), transferred(frames[1], 4)]
    for number, params in enumerate(frames, start=1):
        trained = roles.all if number <= 2 else roles.own
        note = {"phase": f"phase of {number}", "loss": 0.5 / number}
        store.save(number, params, optimizer_of(number), trained=trained, metadata=note)
    return frames
