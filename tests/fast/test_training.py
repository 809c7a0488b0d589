"""Fast fields in training: devices, passes, what rests, what steps know of those before."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from stored import journal

from inv_jax import params as params_lib
from inv_jax.assembly import build, captures, fitting
from inv_jax.checkpoint import FrameStore
from inv_jax.models.bricks import NONE
from inv_jax.sampling.hardness import Hardness
from inv_jax.train import resume
from inv_jax.train.parallel import Devices
from inv_jax.train.state import Means, Memory, TrainState
from inv_jax.train.step import Stepper
from inv_jax.train.update_penalty import UpdatePenalty
from inv_jax.types import Cameras, InvError, Views

_UNKNOWN = 81  # of a pixel that nobody has looked at


def leaves(store: FrameStore, number: int) -> dict[str, np.ndarray]:
    return params_lib.flatten(store.params(number))


# What a run stores.


def test_colors_rest_to_the_bit_once_they_are_frozen_and_grids_do_not(straight):
    store = FrameStore(straight)
    frames = [leaves(store, number) for number in (1, 2, 3, 4)]
    for path, leaf in frames[1].items():
        is_same = [np.array_equal(leaf, frame[path]) for frame in frames]
        if "/index/" in path:  # a brick is in a slot until another one is wanted more
            assert leaf.dtype == np.int32 and np.any(leaf >= 0)
        else:
            assert is_same == (
                [False, True, True, True] if "/color/" in path else [False, True] + [False] * 2
            )


def test_frames_have_the_steps_of_their_phase(straight):
    rows = journal(straight)
    assert [row["steps"] for row in rows] == [12, 8, 6, 6]
    assert [row["phase"] for row in rows] == ["warmup", "warmup", "transfer", "transfer"]
    assert all(np.isfinite(row["psnr"]) for row in rows)


def test_a_run_learns(straight, learned):
    long, short = ([row["psnr"] for row in journal(folder)] for folder in (learned, straight))
    assert min(long) > max(short) + 4.0
    assert min(long) > 20.0


# Devices.


@pytest.fixture(scope="module")
def trained(train, tmp_path_factory):
    """Params behind two frames of four steps on so many devices; trained once."""

    @functools.cache
    def make(count: int) -> dict[str, np.ndarray]:
        folder = tmp_path_factory.mktemp("trained")
        changes = {"data.num_frames": 2, "train.first_steps": 4, "train.warmup_steps": 4}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "Devices", lambda: Devices(jax.devices()[:count]))
            return leaves(train(folder, changes), 2)

    return make


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_any_number_of_devices_trains_on_the_same_rays(trained, count):
    found, expected = trained(count), trained(1)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_allclose(found[path], leaf, atol=2e-4, err_msg=path)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [4, 8])
def test_frames_from_scratch_that_train_at_once_are_those_that_train_alone(
    train, tmp_path, at_once
):
    changes = {"train.scratch": True, "train.freeze_frame": 0, "train.update_pull": 0.0}
    alone = train(tmp_path / "alone", changes)
    found = train(tmp_path / "at once", {**changes, "train.frames_at_once": at_once})
    for number in (1, 2, 3, 4):
        expected = leaves(alone, number)
        for path, leaf in leaves(found, number).items():
            np.testing.assert_allclose(leaf, expected[path], atol=2e-4, err_msg=path)


@pytest.mark.slow
def test_a_run_in_bfloat16_is_nearly_the_same(train, straight, tmp_path):
    store = train(tmp_path, {"model.precision": "bfloat16"})
    kinds = {path.split("/")[1]: leaf.dtype for path, leaf in leaves(store, 4).items()}
    assert kinds == {"structure": np.float32, "color": np.float32, "index": np.int32}
    found, expected = ([row["psnr"] for row in journal(path)] for path in (tmp_path, straight))
    np.testing.assert_allclose(found, expected, atol=0.5)


# Steps.


@pytest.fixture(scope="module")
def scene(config, tmp_path_factory) -> tuple[Stepper, Views, Cameras]:
    """A stepper of one device, and the training views of frame 2 with their changes."""
    made = config({"train.rows_per_step": 16})
    made = fitting.fitted(made, None, lambda: captures.of(made, pathlib.Path()), Devices())
    stepper = build.stepper(made, build.model(made), Devices(jax.devices()[:1]))
    stepper = dataclasses.replace(stepper, axis=None)
    capture = captures.of(made, pathlib.Path())
    cams = list(capture.train_cams)
    views = capture.load(2, cams)
    changes = np.zeros(views.images.shape[:3], np.uint8)
    changes[1, 3, 4] = 200
    return stepper, views.replace(changes=changes), capture.cameras.take(np.array(cams))


def begin(stepper: Stepper, views: Views, steps: int = 12) -> TrainState:
    params = stepper.model.init(jax.random.key(0))
    trainable, frozen = params_lib.split(params, stepper.model.roles.all)
    return TrainState(
        trainable=trainable,
        frozen=frozen,
        opt_state=stepper.optimizer.init(trainable),
        key=jax.random.key(7),
        step=jnp.int32(0),
        means=Means.start(),
        total=jnp.int32(steps),
        memory=stepper.memory(views.images.size // 3),
    )


@pytest.fixture(scope="module")
def states(scene) -> list[TrainState]:
    """In front of the first step, and behind each of six."""
    stepper, views, cameras = scene
    run = jax.jit(stepper.run)
    found = [begin(stepper, views)]
    for _ in range(6):
        found.append(run(found[-1], views, cameras, jnp.int32(1)))
    return found


def test_the_guide_is_made_now_and_then_of_the_params_before_the_step(scene, states):
    model = scene[0].model
    guides = [np.asarray(state.memory.guide.densities) for state in states]
    assert not guides[0].any()
    for made_at, behind in ((0, range(1, 5)), (4, range(5, 7))):  # model.guide_every is 4
        expected = model.guide(states[made_at].params).densities
        for step in behind:
            np.testing.assert_allclose(guides[step], expected, rtol=1e-5)
    assert np.abs(guides[5] - guides[4]).max() > 1e-3


def cells_of(state: TrainState) -> np.ndarray:
    return np.asarray(state.params["field"]["index"]["level_2"]["cells"])


def test_bricks_are_moved_in_front_of_a_frames_first_step_and_not_in_front_of_others(states):
    assert np.all(cells_of(states[0]) == NONE)
    used = cells_of(states[1])
    assert np.all(used >= 0) and np.unique(used).size == used.size
    for state in states[2:]:
        np.testing.assert_array_equal(cells_of(state), used)
    tables = [np.asarray(state.memory.guide.table) for state in states]
    np.testing.assert_array_equal(tables[6][used], np.arange(used.size))
    assert np.count_nonzero(tables[6] >= 0) == used.size


def test_a_brick_that_moves_begins_with_nothing(scene, states):
    """No features, no moments, and an anchor of zeros; the others go on."""
    stepper, views, cameras = scene
    stepper = dataclasses.replace(stepper, shaper=UpdatePenalty(0.1))
    pool_of = lambda tree: np.asarray(tree["field"]["structure"]["level_2"]["kernel"])  # noqa: E731
    cells = cells_of(states[6]).copy()
    cells[2] = NONE  # its slot is empty, so a brick comes that has none
    frozen = jax.tree.map(lambda leaf: leaf, states[6].frozen)
    frozen["field"]["index"]["level_2"]["cells"] = jnp.asarray(cells)
    before = states[6].replace(frozen=frozen, step=jnp.int32(8), shaping=states[6].trainable)
    after = jax.jit(stepper._rearranged)(before, views, cameras)
    moved = cells_of(after) != cells
    assert moved[2] and not moved.all()
    trees = [(s.trainable, s.shaping, *moments(s.opt_state)) for s in (before, after)]
    for old, new in zip(*trees, strict=True):
        assert not np.any(pool_of(new)[moved])
        assert np.any(pool_of(old)[~moved])
        np.testing.assert_array_equal(pool_of(new)[~moved], pool_of(old)[~moved])
        level = lambda tree: tree["field"]["structure"]["level_1"]["kernel"]  # noqa: E731
        np.testing.assert_array_equal(level(new), level(old))


def moments(opt_state) -> list:
    """The trees of both, of the network `field`."""
    found = jax.tree.leaves(opt_state, is_leaf=lambda x: isinstance(x, optax.ScaleByAdamState))
    (adam,) = (x for x in found if isinstance(x, optax.ScaleByAdamState))
    return [adam.mu, adam.nu]


def test_pixels_that_a_step_has_drawn_are_known_and_no_others(scene, states):
    stepper, views, cameras = scene
    first, second = (np.asarray(state.memory.hardness.errors) for state in states[:2])
    assert (first == _UNKNOWN).all()

    @jax.jit
    def drawn(hardness: Hardness, views: Views, cameras: Cameras) -> jax.Array:
        key, ids = jax.random.split(states[0].key)[0], jnp.arange(16)
        model, begun = stepper.model, hardness.begun(views)
        sample = model.rows.sample
        return sample(model.inputs, key, jnp.int32(0), ids, 16, views, cameras, "all", begun).pixels

    pixels = np.asarray(drawn(states[0].memory.hardness, views, cameras)).tolist()
    changed = np.flatnonzero(second != _UNKNOWN)
    place = 1 * 16 * 24 + 3 * 24 + 4  # the pixel that changed is expected to be hard
    assert set(changed) <= {*pixels, place}
    assert len(changed) > 8
    assert place in changed


@pytest.mark.slow
def test_passes_of_a_step_add_up_to_it_and_note_the_same_pixels(scene, states):
    stepper, views, cameras = scene
    parts = dataclasses.replace(stepper, rows_per_pass=4)
    found = jax.jit(parts.run)(states[0], views, cameras, jnp.int32(1))
    np.testing.assert_array_equal(found.memory.hardness.errors, states[1].memory.hardness.errors)
    whole = params_lib.flatten(states[1].params)
    for path, leaf in params_lib.flatten(found.params).items():
        np.testing.assert_allclose(leaf, whole[path], atol=2e-4, err_msg=path)


def test_steps_in_one_dispatch_are_those_of_several(scene, states):
    stepper, views, cameras = scene
    found = jax.jit(stepper.run)(states[0], views, cameras, jnp.int32(6))
    jax.tree.map(np.testing.assert_array_equal, found.memory, states[6].memory)
    jax.tree.map(np.testing.assert_array_equal, found.params, states[6].params)


def test_memory_is_carried_where_the_shapes_are_the_same(scene, states):
    stepper, views, _ = scene
    fresh = stepper.memory(views.images.size // 3)
    known = params_lib.flatten(states[6].memory.replace(guide=None))
    found = resume.carried(known, fresh)
    np.testing.assert_array_equal(found.hardness.errors, states[6].memory.hardness.errors)
    assert not np.any(found.guide.densities)
    other = stepper.memory(7)
    for memory in (resume.carried(known, other), resume.carried({}, other)):
        np.testing.assert_array_equal(memory.hardness.errors, np.full(7, _UNKNOWN, np.uint8))
    assert resume.carried(known, Memory()) == Memory()


# Refused.


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data.holdout": (0, 1, 2)}, "one camera to train on"),
        ({"data.ndc": True}, r"set data\.ndc=False"),
        ({"train.hard_share": 1.5}, r"train\.hard_share=1\.5"),
        ({"train.hard_candidates": 0}, r"train\.hard_candidates=0"),
        ({"model.levels": (5, 4)}, r"model\.levels=\(5, 4\)"),
        ({"fast.budget": "slow", "train.steps": 0}, r"fast\.budget='slow'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(train, tmp_path, changes, said):
    with pytest.raises(InvError, match=said):
        train(tmp_path / "run", changes)
    assert not (tmp_path / "run").exists()
