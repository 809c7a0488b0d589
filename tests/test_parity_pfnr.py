"""The original WSN's and PFNR's numbers: selection, masked layers, operator, generators, sessions.

Arrays of the originals are named for its modules; see `_paths`.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.models import convolution, linear, selection, spectral
from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import Nerv
from inv_jax.models.pfnr import HEAD, MASK, NETWORK, SCORES, SESSION, TAKEN, WEIGHTS, Pfnr
from inv_jax.train import losses, optimizer, schedules
from inv_jax.types import Batch, Params

DECODER = Nerv(TimeWaves.of("1.25_4"), stem_width=10, channels=4, strides=(2, 2), lower_width=4)
HALF = Pfnr(DECODER, capacity=0.5, sessions=3)
GENERATORS = {
    "wsn": {},
    "pfnr_fso_replace": {"operator": 0, "composition": "replace"},
    "pfnr_fso_concat": {"operator": 0, "composition": "concat", "operator_channels": 2},
}
SHORT = Pfnr(dataclasses.replace(DECODER, strides=(2, 1)), capacity=0.4, sessions=2)
PROTOCOLS = {
    "wsn": {},
    "wsn_reinit_bias": {"bias": True, "reinit": True},
    "pfnr_fso": {"operator": 0, "composition": "replace"},
}
MODULES = {"stem_0": "stem.mlp_fc1", "stem_1": "stem.mlp_fc2"}
SPECTRAL = "even_x2", "full_odd_x2", "full_odd_x1", "9x16_x5"
TRAINED = WEIGHTS, SCORES, HEAD


def assert_close(ours, theirs: np.ndarray, what: str = "") -> None:
    assert np.shape(ours) == theirs.shape, what
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=what)


def _name(role: str, layer: str, leaf: str, session: int) -> str:
    """What the original calls a leaf."""
    if role == HEAD:
        return f"head_layers.{session}.{'weight' if leaf == 'kernel' else leaf}"
    kind, _, number = layer.partition("_")
    module = MODULES.get(layer, f"layers.{number}.conv.conv" + "_freq" * (kind == "fourier"))
    if kind == "fourier":
        part, corner = leaf.split("_")
        named = f"w_m_{part}" if role == SCORES else f"weight_{part}"
        return f"{module}.{named}{'/' if role in (MASK, TAKEN) else '.'}{corner}"
    named = {"kernel": ("weight", "w_m"), "bias": ("bias", "b_m")}[leaf][role == SCORES]
    return f"{module}.{named}"


def _ours(array: np.ndarray, leaf: str) -> np.ndarray:
    if leaf != "kernel":
        return array
    return array.transpose((1, 0) if array.ndim == 2 else (2, 3, 1, 0))


def _roles(
    model: Pfnr, arrays, prefix: str, roles: tuple[str, ...], session: int = 0
) -> Iterator[tuple[str, np.ndarray]]:
    """Path and the original's array, as it lies here, of each leaf with these roles."""
    template = jax.eval_shape(model.init, jax.random.key(0))
    for path in params_lib.flatten(template):
        _, role, layer, leaf = path.split("/")
        if role in roles:
            name = f"{prefix}/{_name(role, layer, leaf, session)}"
            yield path, _ours(arrays[name], leaf)


def _with(params: Params, leaves) -> Params:
    """The params with other leaves, by path."""
    there = params_lib.flatten(params)
    new = {path: jnp.asarray(leaf).astype(there[path].dtype) for path, leaf in leaves}
    assert new
    return params_lib.nest(there | new)


def test_the_highest_scores_are_selected(parity: pathlib.Path):
    arrays = np.load(parity / "pfnr" / "topc_rule.npz")
    names = [name for name in arrays.files if name.startswith("kth/")]
    assert len(names) > 20
    kth_smallest = jax.jit(selection.kth_smallest)
    for name in names:
        _, size, rho = name.split("/")
        scores, capacity = np.abs(arrays[f"scores/{size}"]), 1.0 - float(rho[1:])
        found = kth_smallest(scores, selection.rank(len(scores), capacity))
        assert found == np.float32(arrays[name]), name
        kept = arrays[name.replace("kth", "kept")]
        assert kept == (scores >= found).sum() == selection.count(len(scores), capacity)


@pytest.mark.parametrize("rho", ["0.5", "0.7", "0.9"])
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_masked_layers_equal_the_original(parity: pathlib.Path, kind: str, rho: str):
    arrays = np.load(parity / "pfnr" / "masked_layers.npz")
    of = lambda name, leaf="": _ours(arrays[f"{kind}/s{rho}/{name}"], leaf)  # noqa: E731
    params = {"kernel": of("weight", "kernel"), "bias": of("bias")}
    scores = {"kernel": of("w_m", "kernel"), "bias": of("b_m")}
    masks = {
        leaf: selection.select(jnp.asarray(score), 1.0 - float(rho), by_magnitude=True)
        for leaf, score in scores.items()
    }
    np.testing.assert_array_equal(masks["kernel"], of("weight_mask", "kernel"))
    np.testing.assert_array_equal(masks["bias"], of("bias_mask"))

    def apply(x, params, scores):
        kernel, bias = (
            selection.masked(params[leaf], scores[leaf], masks[leaf], True)
            for leaf in ("kernel", "bias")
        )
        if kind == "linear":
            y = linear.add_bias(linear.matmul(x, kernel, 1, "float32"), bias, 1)
        else:
            y = convolution.conv(convolution.from_nchw(x), kernel, bias, "float32")
            y = convolution.to_nchw(y)
        return jnp.sum(y * of("gy")), y

    operands = jax.tree.map(jnp.asarray, (of("x"), params, scores))
    differentiate = jax.jit(jax.value_and_grad(apply, (0, 1, 2), has_aux=True))
    (_, y), (to_x, to_params, to_scores) = differentiate(*operands)
    assert_close(y, of("y"))
    assert_close(to_x, of("g_x"))
    for leaf, names in {"kernel": ("weight", "w_m"), "bias": ("bias", "b_m")}.items():
        assert_close(to_params[leaf], of(f"g_{names[0]}", leaf))
        assert_close(to_scores[leaf], of(f"g_{names[1]}", leaf))


@pytest.mark.parametrize("case", SPECTRAL)
def test_operators_equal_the_original(parity: pathlib.Path, case: str):
    arrays = np.load(parity / "pfnr" / f"spectral_{case}.npz")
    names = {leaf: leaf.replace("_", "/") for leaf in spectral.LEAVES}
    params, scores = (
        {leaf: jnp.asarray(arrays[f"{kind}_{name}"]) for leaf, name in names.items()}
        for kind in ("weight", "w_m")
    )
    capacity = 1.0 - float(arrays["sparsity"])
    masks = {
        leaf: selection.select(score, capacity, by_magnitude=False)
        for leaf, score in scores.items()
    }
    for leaf, name in names.items():
        np.testing.assert_array_equal(masks[leaf], arrays[f"mask_{name}"])

    def apply(x, params, scores):
        layer = {
            leaf: selection.masked(params[leaf], scores[leaf], masks[leaf], False)
            for leaf in params
        }
        y = spectral.apply(x, layer, int(arrays["scale"]))
        return jnp.sum(y * arrays["gy"]), y

    differentiate = jax.jit(jax.value_and_grad(apply, (0, 1, 2), has_aux=True))
    (_, y), (to_x, to_params, to_scores) = differentiate(jnp.asarray(arrays["x"]), params, scores)
    assert_close(y, arrays["y"])
    assert_close(to_x, arrays["g_x"])
    for leaf, name in names.items():
        assert_close(to_params[leaf], arrays[f"g_weight_{name}"])
        assert_close(to_scores[leaf], arrays[f"g_w_m_{name}"])


@pytest.mark.parametrize("case", GENERATORS)
def test_generators_equal_the_original(parity: pathlib.Path, case: str):
    arrays = np.load(parity / "pfnr" / f"generator_{case}.npz")
    model, session = dataclasses.replace(HALF, **GENERATORS[case]), int(arrays["task"])
    params = _with(model.init(jax.random.key(0)), _roles(model, arrays, "param", TRAINED, session))
    number = f"{NETWORK}/{SESSION}/code/number"
    params = jax.jit(model.derived)(_with(params, [(number, np.int32(session))]))
    for path, mask in _roles(model, arrays, "mask", (MASK,)):
        np.testing.assert_array_equal(params_lib.flatten(params)[path], mask, path)
    trained, rest = params_lib.halves(params, TRAINED)
    times = jnp.asarray(arrays["t"])

    def show(trained):
        keys = jax.random.split(jax.random.key(0), 1)
        shown = model.predict(params_lib.merge(trained, rest), times, keys=keys)
        image = jnp.moveaxis(shown["head_1"].rgb, -1, 1)
        return jnp.sum(image * arrays["gy"]), image

    @jax.jit
    def all_of(params, trained):
        """Gradients, the picture in training and in evaluation, features, what layers make."""
        (_, image), grads = jax.value_and_grad(show, has_aux=True)(trained)
        features, layers = model.features(params, times), model.used(params)
        made = [model.decoder.stem(layers, features, "relu")]
        for i in range(2):
            made.append(model.through(layers, i, made[-1]))
        shown = model.predict(params, times)["head_1"].rgb
        return grads, image, shown, features, [convolution.to_nchw(one) for one in made]

    grads, image, shown, features, (stem, *blocks) = all_of(params, trained)
    assert_close(image, arrays["image"])
    assert_close(jnp.moveaxis(shown, -1, 1), arrays["image"])
    assert_close(features, arrays["embed"])
    assert_close(stem.reshape(1, -1), arrays["stem_out"])
    for i, block in enumerate(blocks):
        assert_close(block, arrays[f"block{i}_out"])
    found = params_lib.flatten(grads)
    for path, theirs in _roles(model, arrays, "grad", TRAINED, session):
        assert_close(found[path], theirs, path)


def test_the_dense_block_of_a_sum_equals_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "pfnr" / "generator_fso_sum_single_task.npz")
    model = dataclasses.replace(HALF, operator=0, composition="sum", bias=True)
    named = "param/layers.0.conv.conv"
    fourier = {}
    for leaf in spectral.LEAVES:
        part, corner = leaf.split("_")
        weight = arrays[f"{named}_freq.weight_{part}.{corner}"]
        fourier[leaf] = jnp.asarray(weight * arrays[f"mask_{part}/{corner}"])
        score = jnp.asarray(arrays[f"{named}_freq.w_m_{part}.{corner}"])
        mask = selection.select(score, model.capacity, by_magnitude=False)
        np.testing.assert_array_equal(mask, arrays[f"mask_{part}/{corner}"])
    block = {
        leaf: _ours(arrays[f"{named}.{name}"], leaf)
        for leaf, name in (("kernel", "weight"), ("bias", "bias"))
    }
    grid = convolution.from_nchw(jnp.asarray(arrays["stem_grid"]))
    layers = {"block_0": jax.tree.map(jnp.asarray, block), "fourier_0": fourier}

    @jax.jit
    def all_of(planes):
        convolved = model.decoder.enlarged(layers["block_0"], 0, planes)
        made = model.through(layers, 0, planes)
        mixed = spectral.apply(convolution.to_nchw(planes), fourier, 2)
        return convolution.to_nchw(convolved), mixed, convolution.to_nchw(made)

    for found, name in zip(
        all_of(grid), ("conv_branch", "spectral_branch", "block0_out"), strict=True
    ):
        assert_close(found, arrays[name])


class _Session:
    """Trains a session as the original does: frames in order, a fresh Adam, the last masks."""

    def __init__(self, model: Pfnr, arrays):
        self._model, self._arrays = model, arrays
        self.schedule = schedules.make("cosine", learning_rate=5e-3, warmup=1 / 3)
        settings = {"b1": 0.5, "b2": 0.999, "eps": 1e-8}
        plain = optimizer.make_optimizer([NETWORK], 1e9, "adam", settings)
        self._optimizer = model.around(plain)
        self._loss = losses.get("fusion6")
        self._step = jax.jit(self._taken)

    def _taken(self, params: Params, state, time, target, rate):
        trained, rest = params_lib.halves(self._model.derived(params), TRAINED)

        def loss_of(trained: Params):
            merged = params_lib.merge(trained, rest)
            shown = self._model.predict(merged, time, keys=jax.random.split(jax.random.key(0), 1))
            return self._loss(shown, Batch(time, target, jnp.arange(1)))

        loss, grads = jax.value_and_grad(loss_of)(trained)
        updates, state = self._optimizer.update(grads, state, trained, frozen=rest)
        trained = jax.tree.map(lambda p, u: p - rate * u, trained, updates)
        return params_lib.merge(trained, rest), state, loss

    def train(self, params: Params, session: int) -> tuple[Params, list[tuple[float, float]]]:
        """The params behind it, and rate and loss of each step."""
        frames = self._arrays["frames"][session].transpose(0, 2, 3, 1)
        times = jnp.asarray(self._arrays["t"])
        state, log = self._optimizer.init(params_lib.halves(params, TRAINED)[0]), []
        for step in range(3 * len(frames)):
            one = slice(step % len(frames), step % len(frames) + 1)
            rate = self.schedule(jnp.int32(step), 3 * len(frames), len(frames))
            params, state, loss = self._step(params, state, times[one], frames[one], rate)
            log.append((float(rate), float(loss)))
        return params, log


@pytest.mark.parametrize("case", PROTOCOLS)
def test_two_sessions_equal_the_original(parity: pathlib.Path, case: str):
    arrays = np.load(parity / "pfnr" / f"protocol_{case}.npz")
    model = dataclasses.replace(SHORT, **PROTOCOLS[case])
    params = _with(model.init(jax.random.key(0)), _roles(model, arrays, "init", TRAINED))
    trainer, kept, shown = _Session(model, arrays), [], jax.jit(model.predict)
    times = jnp.asarray(arrays["t"])
    for session in (0, 1):
        if session:
            params = jax.jit(model.next_segment)(params, jax.random.key(1))
            heads = _roles(model, arrays, "init", (HEAD,), session)
            params = _with(params, heads)
            if model.reinit:
                params = _with(params, _roles(model, arrays, "reinit_scores", (SCORES,)))
        params, log = trainer.train(params, session)
        theirs = arrays["log"][arrays["log"][:, 0] == session]
        np.testing.assert_allclose(log, theirs[:, 3:], rtol=1e-4)
        found = params_lib.flatten(params)
        for path, leaf in _roles(model, arrays, f"mask_session{session}", (MASK,)):
            np.testing.assert_array_equal(found[path], leaf, path)
        for path, leaf in _roles(model, arrays, f"after_session{session}", TRAINED, session):
            assert_close(found[path], leaf, path)
        kept.append(params)
        for earlier, then in enumerate(kept):
            # With its own mask, head and number, and the weights as they are now.
            now = {**then[NETWORK], WEIGHTS: params[NETWORK][WEIGHTS]}
            rgb = shown({NETWORK: now}, times)["head_1"].rgb
            expected = arrays[f"test_session{earlier}_after{session}"]
            assert_close(np.moveaxis(rgb, -1, 1), expected)
            np.testing.assert_array_equal(rgb, shown(then, times)["head_1"].rgb)
    last = params_lib.flatten(jax.jit(model.next_segment)(params, jax.random.key(2)))
    for path, leaf in _roles(model, arrays, "consolidated", (TAKEN,)):
        np.testing.assert_array_equal(last[path], leaf, path)


def test_every_fixture_has_a_test(parity: pathlib.Path):
    there = {path.stem for path in (parity / "pfnr").glob("*.npz")}
    here = {"topc_rule", "masked_layers", "generator_fso_sum_single_task"}
    here |= {f"spectral_{case}" for case in SPECTRAL}
    here |= {f"generator_{case}" for case in GENERATORS}
    here |= {f"protocol_{case}" for case in PROTOCOLS}
    assert there - here == {"mask_coding"}  # which the codec's tests read
