"""Frames that train at once come out as those that train one by one, whatever happens meanwhile."""

import pathlib
import shutil
from collections.abc import Callable

import jax
import numpy as np
import pytest
from PIL import Image

from inv_jax import params as params_lib
from inv_jax.assembly import build, captures, plans, sizing
from inv_jax.checkpoint import FrameStore
from inv_jax.cost import trial
from inv_jax.data.prefetch import Prepared
from inv_jax.data.segments import Segment
from inv_jax.train import lanes, resume
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Phase, Plan
from inv_jax.train.segment import SegmentInTraining
from inv_jax.types import InvError, Stopped

_STEPS = {
    "train.scratch": True,
    "train.equal_steps": True,  # 4, 8, 12, ... steps
    "train.freeze_frame": 0,
    "train.warmup_steps": 4,
}
_IMAGE = {
    **_STEPS,
    "data.layout": "video",
    "data.factor": 1,
    "data.num_frames": 6,
    "model.name": "image",
    "train.rows_per_step": 64,
}
_AT_ONCE = {"train.frames_at_once": 4}  # on four devices; two frames take over a lane


def _assert_same(found: pathlib.Path, expected: pathlib.Path, frames: range) -> None:
    """The same frames in the same order, to rounding: a device adds up a step's rays alone."""
    stores = [FrameStore(workdir) for workdir in (found, expected)]
    for frame in frames:
        mine, theirs = (params_lib.flatten(store.params(frame)) for store in stores)
        assert mine.keys() == theirs.keys()
        for path in mine:
            np.testing.assert_allclose(mine[path], theirs[path], atol=2e-4, err_msg=path)
    mine, theirs = (Journal(workdir).rows() for workdir in (found, expected))
    assert [row["frame"] for row in mine] == list(frames)
    for row, other in zip(mine, theirs, strict=False):
        assert (row["steps"], row["phase"]) == (other["steps"], other["phase"])
        assert row["psnr"] == pytest.approx(other["psnr"], abs=0.01)
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> pathlib.Path:
    """Six pictures of 12x16: waves that move."""
    folder = tmp_path_factory.mktemp("clip")
    y, x = np.mgrid[:12, :16]
    for frame in range(1, 7):
        waves = [np.sin(0.3 * x + 0.5 * frame), np.cos(0.2 * y), np.sin(0.2 * (x + y))]
        pixels = np.rint(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{frame:04d}.png")
    return folder


@pytest.fixture(scope="module")
def train_image(train, clip) -> Callable[..., object]:
    """Trains one network per picture of the clip, from scratch."""

    def run(workdir: pathlib.Path, changes: dict | None = None, should_stop=lambda: False):
        return train(workdir, {**_IMAGE, "data.path": str(clip), **(changes or {})}, should_stop)

    return run


@pytest.fixture(scope="module")
def alone(train_image, tmp_path_factory) -> pathlib.Path:
    """The frames one by one."""
    workdir = tmp_path_factory.mktemp("alone")
    train_image(workdir)
    return workdir


def _stop_after(dispatches: int) -> Callable[[], bool]:
    calls = iter(range(dispatches))
    return lambda: next(calls, None) is None


@pytest.fixture
def steps_taken(monkeypatch) -> list[int]:
    """The steps of every dispatch, of all its frames together."""
    taken: list[int] = []
    for kind in (lanes.OwnLanes, lanes.SharedLane):

        def note(self, frames, num_steps, run=kind.run):
            taken.append(num_steps * len(frames))
            run(self, frames, num_steps)

        monkeypatch.setattr(kind, "run", note)
    return taken


def _states(workdir: pathlib.Path) -> dict[int, int]:
    """Frames with a state within, and the steps that these are behind."""
    names = [int(path.name) for path in (workdir / "partial").iterdir()]
    return {number // 10**9: number % 10**9 for number in names}


def test_frames_spread_over_devices_come_out_as_one_by_one(train_image, alone, tmp_path):
    train_image(tmp_path, _AT_ONCE)
    _assert_same(tmp_path, alone, range(1, 7))
    assert {row["frames_at_once"] for row in Journal(tmp_path).rows()} == {4}


def test_frames_of_one_device_come_out_as_one_by_one(train_image, alone, tmp_path):
    """Two lanes a device, two of which never have a frame."""
    train_image(tmp_path, {"train.frames_at_once": 8})
    _assert_same(tmp_path, alone, range(1, 7))


@pytest.mark.slow
def test_frames_of_a_radiance_field_come_out_as_one_by_one(train, tmp_path):
    train(tmp_path / "alone", {**_STEPS, "data.num_frames": 5})
    for count in (4, 8):
        workdir = tmp_path / f"{count}"
        train(workdir, {**_STEPS, "data.num_frames": 5, "train.frames_at_once": count})
        _assert_same(workdir, tmp_path / "alone", range(1, 6))


def test_a_stop_loses_nothing_of_any_frame(train_image, alone, tmp_path, steps_taken):
    settings = {**_AT_ONCE, "train.dispatch_seconds": 0.0}  # a step each
    with pytest.raises(Stopped, match="frames 2 to 5"):
        train_image(tmp_path, settings, _stop_after(6))
    assert _states(tmp_path) == {2: 6, 3: 6, 4: 6, 5: 2}
    steps_taken.clear()
    train_image(tmp_path, settings)
    _assert_same(tmp_path, alone, range(1, 7))
    assert sum(steps_taken) == (8 - 6) + (12 - 6) + (16 - 6) + (20 - 2) + 24
    assert _states(tmp_path) == {}


def test_states_of_several_frames_are_gone_on_from_one_by_one(
    train_image, alone, tmp_path, steps_taken
):
    settings = {**_AT_ONCE, "train.dispatch_seconds": 0.0, "data.num_frames": 2}
    with pytest.raises(Stopped, match="frames 1 to 2"):
        train_image(tmp_path, settings, _stop_after(2))
    assert _states(tmp_path) == {1: 2, 2: 2}
    steps_taken.clear()
    train_image(tmp_path, {**settings, "train.frames_at_once": 1})
    _assert_same(tmp_path, alone, range(1, 3))
    assert sum(steps_taken) == (4 - 2) + (8 - 2)


def test_a_picture_that_is_broken_stops_no_frame_before_it(train_image, clip, alone, tmp_path):
    pictures = tmp_path / "pictures"
    shutil.copytree(clip, pictures)
    broken = pictures / "0005.png"
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(InvError, match=r"0005\.png"):
        train_image(tmp_path / "run", {**_AT_ONCE, "data.path": str(pictures)})
    store, expected = (FrameStore(workdir) for workdir in (tmp_path / "run", alone))
    assert store.frames() == [1, 2, 3, 4]
    assert [store.metadata(frame)["steps"] for frame in store.frames()] == [4, 8, 12, 16]
    mine, theirs = (params_lib.flatten(one.params(4)) for one in (store, expected))
    for path in mine:
        np.testing.assert_allclose(mine[path], theirs[path], atol=2e-4, err_msg=path)


def test_numbers_that_are_none_name_their_frame(train_image, tmp_path, monkeypatch):
    """The others' states are kept."""
    begin = lanes.OwnLanes.begin

    def spoil_frame_2(self, number, state):
        if number == 2:
            state = state.replace(trainable=jax.tree.map(lambda x: x * np.nan, state.trainable))
        return begin(self, number, state)

    monkeypatch.setattr(lanes.OwnLanes, "begin", spoil_frame_2)
    message = r"frame 2 is not finite at step 1 of 8; no frame is stored: .* train\.clip_norm$"
    with pytest.raises(InvError, match=message):
        train_image(tmp_path, _AT_ONCE)
    assert _states(tmp_path).keys() == {1, 3, 4}


# Edits.


def _all_free(params):
    return jax.tree.map(lambda leaf: np.ones(np.shape(leaf), bool), params)


def _clear_first_rows(params, mask):
    """Zeroes the first row of every leaf, and holds it there."""

    def cleared(leaf):
        new = np.array(leaf)
        new[0] = 0
        return new

    return jax.tree.map(cleared, params), jax.tree.map(cleared, mask)


def _edited(config, clip_size, at_once: int, edits) -> list[dict]:
    """Params of frames 1 and 2 and so on behind 6 steps; the edits are those of frame 2."""
    net, devices = build.model(config), Devices()
    stepper = build.stepper(config, net, devices, frames_at_once=at_once, update_mask=_all_free)
    frame, cameras = trial.random_views(1, *clip_size)
    numbers = [2] if at_once == 1 else list(range(1, at_once + 1))
    made = lanes.make(stepper, devices, cameras, numbers, at_once)
    frames = []
    for number in numbers:
        own, alone = edits if number == 2 else (), range(number, number + 1)
        phase = Phase("scratch", 1, 10, net.roles.all, SCRATCH, edits=own)
        state, step, seconds = resume.begin(
            *(net.init(jax.random.key(number)), None, None),
            phase=phase,
            optimizer=stepper.optimizer,
            key=jax.random.key(number),
        )
        views = made.place(frame.replace(index=np.int32(number)))
        prepared = Prepared(Segment(alone, alone, alone), views, lambda _: frame.images[0], 0.0)
        state = made.begin(number, state)
        frames.append(SegmentInTraining(prepared, phase, state, step, seconds))
    for count in (0, 3, 0, 3):  # as the loop does: to compile, to the edit, ...
        made.run(frames, count)
        for one in frames:
            one.step += count
    return [params_lib.flatten(jax.device_get(made.one(one.state)).params) for one in frames]


@pytest.mark.parametrize("at_once", [1, 4, 8])
def test_edits_change_their_own_frame_and_what_they_hold_stays(tiny_config, clip, at_once):
    config = tiny_config({**_IMAGE, "data.path": str(clip)})
    plain = _edited(config, (12, 16), at_once, ())
    edited = _edited(config, (12, 16), at_once, ((3, _clear_first_rows),))
    place = 0 if at_once == 1 else 1
    for path, leaf in edited[place].items():
        assert not np.any(leaf[0]), path
        assert np.all(leaf[1:] != 0), path
        assert leaf.size == leaf[0].size or np.any(leaf[1:] != plain[place][path][1:]), path
    for number, (mine, theirs) in enumerate(zip(edited, plain, strict=True)):
        for path, leaf in mine.items() if number != place else ():
            np.testing.assert_array_equal(leaf, theirs[path], err_msg=path)


def test_an_edit_in_front_of_the_first_step_is_done_once(tiny_config, clip):
    calls = []

    def count(params, mask):
        calls.append(params)
        return params, mask

    config = tiny_config({**_IMAGE, "data.path": str(clip)})
    _edited(config, (12, 16), 1, ((0, count), (3, count)))
    assert len(calls) == 2  # none where there are no steps


# What is refused.


def _plan(start: str) -> Plan:
    return Plan((Phase("warmup", 1, 10, ("structure", "color"), start),))


def test_frames_that_need_others_first_are_refused(tiny_config):
    training = plans.of(tiny_config())
    message = r"train\.frames_at_once=4: frames of 'warmup' start from .* the frame before"
    with pytest.raises(InvError, match=message):
        lanes.frames_per_device(4, training, Devices())


@pytest.mark.parametrize(
    ("wanted", "message"),
    [(0, "want 1 or more"), (6, "does not divide over 4 devices; .* for example 4")],
)
def test_frames_that_do_not_divide_over_the_devices_are_refused(wanted, message):
    with pytest.raises(InvError, match=rf"train\.frames_at_once={wanted}.*{message}"):
        lanes.frames_per_device(wanted, _plan(SCRATCH), Devices(jax.devices()[:4]))


# All pixels in a step, over several devices.


class _Several:
    """As many devices as one asks for, in name."""

    platform = "cpu"

    def __init__(self, count: int):
        self.count = count

    def memory_bytes(self) -> None:
        return None


@pytest.mark.parametrize("at_once", [1, 5])
def test_all_pixels_are_the_most_that_divide_over_the_devices(tiny_config, at_once):
    """Three cameras of 12x16; the same rays for frames that have their devices to themselves."""
    config = tiny_config({"train.rows_per_step": 0, "train.frames_at_once": at_once})
    made = captures.completed(config, build.model(config), pathlib.Path("unused"), _Several(5))
    assert made.train.rows_per_step == 575


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(641, 359), (1279, 719), (639, 361), (640, 360)])
def test_all_pixels_of_an_odd_size_are_taken_in_passes_of_many(tiny_config, size, count):
    """Over two devices or more, what is left out leaves primes as the share of each."""
    width, height = size
    config = tiny_config(
        {
            "train.rows_per_step": 0,
            "data.procedural.num_cams": 1,
            "data.procedural.width": width,
            "data.procedural.height": height,
            "data.holdout": (),
            "data.layout": sizing.PROCEDURAL,
            "model.name": "image",
        }
    )
    devices, pixels = _Several(count), width * height
    net, unused = build.model(config), pathlib.Path("unused")
    rays = captures.completed(config, net, unused, devices).train.rows_per_step
    assert 63 / 64 * pixels <= rays <= pixels
    assert rays % count == 0
    assert sizing.fitting_pass(net, devices, rays // count) >= 64
    if count == 1 or size == (640, 360):
        assert rays == pixels


def test_a_run_goes_on_with_its_pass_unless_a_smaller_one_is_what_fits(tiny_config):
    config = tiny_config({"train.rows_per_step": 2**20})
    net, devices = build.model(config), Devices(jax.devices()[:1])
    fitting = build.stepper(config, net, devices).rows_per_pass
    assert 1 < fitting < 2**19
    for earlier, expected in ((fitting // 2, fitting // 2), (2 * fitting, fitting), (3, fitting)):
        assert build.stepper(config, net, devices, earlier).rows_per_pass == expected
