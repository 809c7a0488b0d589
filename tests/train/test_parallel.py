"""Any number of devices trains on the same batch; what lives on each of them."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import build, captures
from inv_jax.assembly.split_plan import ALL_RAYS, DYNAMIC_RAYS
from inv_jax.sampling import rays
from inv_jax.train import parallel
from inv_jax.train.mixture import Mix, Mixture
from inv_jax.train.parallel import Devices
from inv_jax.train.state import Means, TrainState
from inv_jax.train.step import Stepper
from inv_jax.types import Cameras, InvError, Views

_COUNTS = (1, 2, 4)
_STEPS = 4


def _devices(count: int) -> Devices:
    if len(jax.devices()) < count:
        pytest.skip(f"{len(jax.devices())} devices; {count} are wanted")
    return Devices(jax.devices()[:count])


@pytest.fixture(scope="module")
def scene(tiny_config) -> tuple[Stepper, Views, Cameras]:
    """A stepper of one device, and the training cameras of frame 1."""
    # Noise and jitter stay on: they must not depend on the device either.
    config = tiny_config({"train.rows_per_step": 16, "model.density_noise": 1.0})
    stepper = build.stepper(config, build.model(config), _devices(1))
    capture = captures.of(config, pathlib.Path())
    cams = np.array(capture.train_cams)
    frame = capture.load(1)
    return stepper, frame.replace(images=frame.images[cams]), capture.cameras.take(cams)


def _begin(stepper: Stepper, roles: tuple[str, ...], mix: Mix | None = None) -> TrainState:
    """A frame's state before its first step."""
    trainable, frozen = params_lib.split(stepper.model.init(jax.random.key(0)), roles)
    return TrainState(
        trainable=trainable,
        frozen=frozen,
        opt_state=stepper.optimizer.init(trainable),
        key=jax.random.key(7),
        step=jnp.int32(0),
        means=Means.start(),
        total=jnp.int32(_STEPS),
        mix=mix,
    )


def _assert_same_moments(found, expected) -> None:
    """To rounding: the gradients, scaled, of an optimizer's states."""
    found, expected = params_lib.flatten(found), params_lib.flatten(expected)
    moments = [path for path in expected if "mu" in path.split("/")]
    assert moments
    for path in moments:
        scale = np.abs(expected[path]).max()
        np.testing.assert_allclose(
            found[path], expected[path], atol=1e-5 * scale, rtol=1e-4, err_msg=path
        )


@pytest.fixture(scope="module")
def trained(scene) -> dict[int, tuple[Devices, TrainState, TrainState]]:
    """By number of devices: the replicated state after one step, and after some."""
    stepper, frame, cameras = scene
    state = _begin(stepper, stepper.model.roles.all)
    states = {}
    for count in _COUNTS:
        devices = _devices(count)
        run = devices.map(dataclasses.replace(stepper, num_devices=count).run)
        where = devices.replicate((frame, cameras))
        first = run(devices.replicate(state), *where, devices.replicate(np.int32(1)))
        states[count] = devices, first, run(first, *where, devices.replicate(np.int32(_STEPS - 1)))
    return states


@pytest.mark.parametrize("count", _COUNTS[1:])
def test_devices_together_take_the_step_of_one_to_rounding(trained, count):
    (alone, one, _), (together, many, _) = trained[1], trained[count]
    _assert_same_moments(together.first(many.opt_state), alone.first(one.opt_state))


@pytest.mark.parametrize("count", _COUNTS[1:])
def test_after_some_steps_the_params_of_all_device_counts_agree(scene, trained, count):
    (alone, _, one), (together, _, many) = trained[1], trained[count]
    start = params_lib.flatten(scene[0].model.init(jax.random.key(0)))
    expected = params_lib.flatten(alone.first(one).params)
    found = params_lib.flatten(together.first(many).params)
    assert int(together.first(many.step)) == _STEPS
    for path in start:
        moved = np.linalg.norm(expected[path] - start[path])
        assert np.linalg.norm(found[path] - expected[path]) <= 1e-4 * moved, path
    np.testing.assert_allclose(
        together.first(many.means).loss, alone.first(one.means).loss, rtol=1e-5
    )


@pytest.mark.parametrize("count", _COUNTS[1:])
def test_every_device_ends_with_the_same_bits(trained, count):
    _, _, state = trained[count]
    for leaf in jax.tree.leaves((state.trainable, state.opt_state, state.means)):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == count
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])


@pytest.mark.slow
def test_devices_together_push_a_field_to_nothing_as_one_does(tiny_config, scene):
    """A step of a mixture, on all rays; which of them are static differs from device to device."""
    push = {"model.name": "split", "split.empty_rgb": 1.0, "split.empty_acc": 1.0}
    config = tiny_config({**push, "train.rows_per_step": 16})
    stepper = build.stepper(config, build.model(config), _devices(1))
    _, frame, cameras = scene
    is_dynamic = np.zeros(frame.images.shape[:3], bool)
    is_dynamic[:, :, :5] = True
    frame = frame.replace(regions=rays.regions(is_dynamic))
    mixture = Mixture((DYNAMIC_RAYS, ALL_RAYS), ((1.0, (0.0, 1.0)),))
    state = _begin(stepper, (params_lib.STRUCTURE,), mixture.over(_STEPS))
    taken = []
    for count in (1, 4):
        devices = _devices(count)
        run = devices.map(dataclasses.replace(stepper, num_devices=count).run)
        where = devices.replicate((frame, cameras, np.int32(1)))
        taken.append(devices.first(run(devices.replicate(state), *where)))
    one, many = taken
    np.testing.assert_allclose(many.means.loss, one.means.loss, rtol=1e-5)
    assert one.means.loss > 2 * one.means.mse + 1e-2  # the push is more than the picture
    _assert_same_moments(many.opt_state, one.opt_state)


@pytest.mark.parametrize("count", _COUNTS)
def test_first_gives_back_what_replicate_placed(count):
    devices = _devices(count)
    tree = {
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "number": np.int32(5),
        "key": jax.random.key(2),
    }
    placed = devices.replicate(tree)
    assert placed["array"].shape == (count, 2, 3)
    back = devices.first(placed)
    np.testing.assert_array_equal(back["array"], tree["array"])
    assert back["number"].dtype == np.int32
    assert int(back["number"]) == 5
    assert jnp.array_equal(jax.random.key_data(back["key"]), jax.random.key_data(tree["key"]))


@pytest.mark.parametrize("count", _COUNTS)
def test_images_lie_on_each_device_once_at_three_bytes_a_pixel(scene, count):
    devices = _devices(count)
    _, frame, cameras = scene
    images = devices.replicate(frame).images
    assert images.dtype == jnp.uint8
    assert len({shard.device for shard in images.addressable_shards}) == count
    pixels = cameras.num_cams * cameras.height * cameras.width
    assert [shard.data.nbytes for shard in images.addressable_shards] == [3 * pixels] * count


def test_a_step_makes_no_floats_of_all_pixels(scene):
    stepper, frame, cameras = scene
    stepper = dataclasses.replace(stepper, axis=None)
    model = stepper.model
    trainable, frozen = params_lib.split(model.init(jax.random.key(0)), model.roles.all)
    opt_state = stepper.optimizer.init(trainable)
    start = jnp.int32(0), Means.start(), jnp.int32(_STEPS)
    state = TrainState(trainable, frozen, opt_state, jax.random.key(7), *start)
    program = str(jax.make_jaxpr(stepper.step)(state, frame, cameras))
    num_cams, height, width, _ = frame.images.shape
    assert f"u8[{num_cams},{height},{width},3]" in program
    assert f"u8[{num_cams * height * width},3]" in program
    for shape in (f"{num_cams},{height},{width},3", f"{num_cams * height * width},3"):
        assert f"f32[{shape}]" not in program
        assert f"i32[{shape}]" not in program


def test_share_divides_evenly():
    assert [_devices(count).share(32, "rays") for count in _COUNTS] == [32, 16, 8]


@pytest.mark.parametrize("total", [30, 3, 0, -4])
def test_a_share_that_does_not_come_out_even_names_a_number_that_would(total):
    with pytest.raises(InvError, match=rf"train\.rays={total} does not divide over 4") as raised:
        _devices(4).share(total, "train.rays")
    suggested = int(str(raised.value).rsplit(" ", 1)[-1])
    assert _devices(4).share(suggested, "train.rays") * 4 == suggested


@pytest.mark.parametrize("text", ["RESOURCE_EXHAUSTED: 5 GiB", "CUDA error: out of memory"])
def test_running_out_of_memory_names_what_to_lower(text):
    with (
        pytest.raises(InvError, match=r"lower train\.rows_per_pass"),
        parallel.out_of_memory_as_error("train.rows_per_pass"),
    ):
        raise jax.errors.JaxRuntimeError(text)


def test_other_errors_of_the_device_are_not_blamed_on_memory():
    with (
        pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"),
        parallel.out_of_memory_as_error("train.rows_per_pass"),
    ):
        raise jax.errors.JaxRuntimeError("INTERNAL: driver")
