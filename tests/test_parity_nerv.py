"""The original NeRV's numbers: encoding, generators, twelve steps of training."""

import dataclasses
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.eval import metrics
from inv_jax.models import convert_nerv, convolution
from inv_jax.models.encodings import TimeWaves
from inv_jax.models.nerv import DECODER, NETWORK, Nerv
from inv_jax.sampling.rows import Rows
from inv_jax.sampling.views import ViewRows
from inv_jax.train import losses, optimizer, schedules
from inv_jax.train.mixture import PLAIN
from inv_jax.train.state import Means, TrainState
from inv_jax.train.step import Stepper
from inv_jax.types import Batch, Views

CASES = {
    "batchnorm_eval": {"norm": "bn"},
    "bilinear_swish": {"upsampling": "bilinear"},
    "deconv_relu": {"upsampling": "deconv", "activation": "relu"},
    "hardswish": {"activation": "hardswish"},
    "instancenorm": {"norm": "in"},
    "leaky": {"activation": "leaky"},
    "leaky01": {"activation": "leaky01"},
    "multi_res_gelu_sigmoid": {"single_res": False, "activation": "gelu", "sigmoid": True},
    "relu6": {"activation": "relu6"},
    "single_res_swish_tanh": {},
    "softplus": {"activation": "softplus"},
    "stem2": {"stem_layers": 2},
}
BASE = Nerv(
    TimeWaves.of("1.25_8"),
    stem_width=12,
    grid=(2, 3),
    channels=6,
    strides=(3, 2),
    expansion=2.0,
    lower_width=4,
)


def assert_close(ours, theirs: np.ndarray, what: str = "") -> None:
    assert np.shape(ours) == theirs.shape, what
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=what)


def state_of(arrays, prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): arrays[n] for n in arrays.files if n.startswith(prefix)}


def test_encodings_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "nerv" / "positional_encoding.npz")
    names = state_of(arrays, "embed/")
    assert len(names) == 4
    for name, expected in names.items():
        encoded = jax.jit(TimeWaves.of(name).encode)(jnp.asarray(arrays["t"]))
        assert encoded.dtype == jnp.float32
        np.testing.assert_allclose(encoded, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_generators_equal_the_original(parity: pathlib.Path, case: str):
    arrays = np.load(parity / "nerv" / f"generator_{case}.npz")
    model = dataclasses.replace(BASE, **CASES[case])
    state = state_of(arrays, "param/")
    params = convert_nerv.import_state_dict(state, model)
    times = jnp.asarray(arrays["t"])
    assert_close(model.encoding.encode(times), arrays["embed"])

    @jax.jit
    def all_of(params, times):
        """The pictures, and what comes out of the stem and of each block."""
        layers = params[NETWORK][DECODER]
        planes = [model.grid_of(layers, times)]
        for i in range(len(model.blocks())):
            planes.append(model.through(layers, i, planes[-1]))
        return model.predict(params, times), [convolution.to_nchw(one) for one in planes]

    pictures, (stem, *blocks) = all_of(params, times)
    assert len(pictures) == int(arrays["n_out"])
    for i, picture in enumerate(pictures.values()):
        assert_close(np.moveaxis(picture.rgb, -1, 1), arrays[f"image{i}"])
    assert_close(stem.reshape(times.size, -1), arrays["stem_out"])
    for i, block in enumerate(blocks):
        assert_close(block, arrays[f"block{i}_out"])

    exported = convert_nerv.export_state_dict(params, model)
    assert exported.keys() == state.keys()
    for name, array in state.items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(exported[name], array)


def test_all_generators_are_tried(parity: pathlib.Path):
    there = {path.stem for path in (parity / "nerv").glob("generator_*.npz")}
    assert there == {f"generator_{case}" for case in CASES}


def test_metrics_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "nerv" / "losses_metrics.npz")
    shown, target = (
        arrays[name].transpose(1, 2, 0).astype(np.float32) / np.float32(255)
        for name in ("pred_u8", "target_u8")
    )
    for name, expected in (("psnr", "psnr"), ("ssim", "ssim"), ("ms_ssim", "msssim")):
        ours = getattr(metrics, name)(shown, target)
        np.testing.assert_allclose(ours, arrays[expected].item(), rtol=1e-4, err_msg=name)


class _InOrder(ViewRows):
    """The original's order: frame after frame, and colors that are no bytes."""

    def sample(
        self, inputs, key, step, ids, rows_per_step, views, cameras, region="all", hardness=None
    ) -> Batch:
        which = (step + ids) % views.shape[0]
        return Batch(inputs=views.times[which], target=views.images[which], ids=ids)


class _Ordered(Nerv):
    @property
    def rows(self) -> Rows:
        return _InOrder()


def test_twelve_steps_equal_the_original(parity: pathlib.Path):
    arrays = np.load(parity / "nerv" / "train_steps_fusion6.npz")
    model = _Ordered(**vars(BASE))
    params = convert_nerv.import_state_dict(state_of(arrays, "init/"), model)
    log = arrays["log"]
    views = Views(
        jnp.asarray(arrays["frames"].transpose(0, 2, 3, 1)),
        jnp.int32(1),
        times=jnp.asarray(arrays["t"]),
    )
    settings = {"b1": 0.5, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    stepper = Stepper(
        model=model,
        loss=losses.get("fusion6"),
        optimizer=optimizer.make_optimizer(params, 1e9, "adam", settings),
        schedule=schedules.make("cosine", learning_rate=log[0, 2]),
        rows_per_step=1,
        rows_per_pass=1,
    )
    trainable, frozen = params_lib.split(params, (DECODER,))
    state = TrainState(
        trainable=trainable,
        frozen=frozen,
        opt_state=stepper.optimizer.init(trainable),
        key=jax.random.key(0),
        step=jnp.int32(0),
        means=Means.start(),
        total=jnp.int32(len(log)),
    )
    assert stepper.steps_per_epoch(views.shape) == len(log) // 4

    # The gradient of the first step.
    (kind,) = PLAIN.kinds
    first = Batch(views.times[:1], views.images[:1], jnp.arange(1))
    grads, *_ = jax.jit(lambda batch: stepper._gradients(kind, state, batch, state.key, views))(
        first
    )
    ours = convert_nerv.export_state_dict(grads, model)
    for name, theirs in state_of(arrays, "grad_step0/").items():
        assert_close(ours[name], theirs, name)

    step, running = jax.jit(stepper.step), 0.0
    for n, (_, _, rate, loss) in enumerate(log):
        at = (jnp.int32(n), state.total, jnp.int32(3))
        np.testing.assert_allclose(stepper.schedule(*at), rate, rtol=1e-4)
        state = step(state, views, None)
        running += (loss - running) / (n + 1)
        np.testing.assert_allclose(state.means.loss, running, rtol=1e-4)
    ours = convert_nerv.export_state_dict(state.params, model)
    start = state_of(arrays, "init/")
    for name, theirs in state_of(arrays, "final/").items():
        assert_close(ours[name], theirs, name)
        # ... and so is the way that it went.
        moved = np.abs(theirs - start[name]).mean()
        assert np.abs(ours[name] - theirs).mean() < 1e-3 * moved, name


def test_every_fixture_has_a_test(parity: pathlib.Path):
    read = "".join(path.read_text() for path in pathlib.Path(__file__).parent.rglob("test_*.py"))
    for path in (parity / "nerv").glob("*.npz"):
        name = re.sub(r"generator_.*", "generator_", path.stem)
        assert name in read, f"no test reads {path.name}"
