"""Frames that train at once come out as those that train one by one, whatever happens meanwhile."""

import pathlib
import shutil
from collections.abc import Callable

import jax
import numpy as np
import pytest

from inv_jax import params as params_lib
from inv_jax.assembly import plans
from inv_jax.checkpoint import FrameStore
from inv_jax.train import lanes
from inv_jax.train.journal import Journal
from inv_jax.train.parallel import Devices
from inv_jax.train.plan import SCRATCH, Phase, Plan
from inv_jax.types import InvError, Stopped

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
def train_image(train, image_settings) -> Callable[..., object]:
    """Trains one network per picture of the clip, from scratch."""

    def run(workdir: pathlib.Path, changes: dict | None = None, should_stop=lambda: False):
        return train(workdir, {**image_settings, **(changes or {})}, should_stop)

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
def test_frames_of_a_radiance_field_come_out_as_one_by_one(train, tmp_path, from_scratch):
    train(tmp_path / "alone", {**from_scratch, "data.num_frames": 5})
    for count in (4, 8):
        workdir = tmp_path / f"{count}"
        train(workdir, {**from_scratch, "data.num_frames": 5, "train.frames_at_once": count})
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
