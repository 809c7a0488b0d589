"""Which frame and which camera each picture of a video has."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inv_jax.geometry import cameras as cameras_lib
from inv_jax.player import paths
from inv_jax.types import InvError

_FRAMES = list(range(3, 9))


def _poses(path):
    return np.asarray(path.cameras.cam_to_world)


def _keys(tmp_path, *keys, **top):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": keys, **top}))
    return str(path)


def test_frame_t_is_seen_from_pose_t_of_the_spiral(make_rig):
    rig = make_rig()
    path = paths.make(rig, "spiral", [118, 119, 120, 121])
    assert path.frames == (118, 119, 120, 121)
    np.testing.assert_array_equal(_poses(path), rig.spiral[[118, 119, 0, 1]])
    np.testing.assert_array_equal(
        path.cameras.intrinsics, np.broadcast_to(rig.cameras.intrinsics[0], (4, 3, 3))
    )


def test_a_standing_time_lasts_one_round_of_the_path(make_rig):
    rig = make_rig()
    path = paths.make(rig, "spiral", [5])
    assert path.frames == (5,) * 120
    np.testing.assert_array_equal(_poses(path), np.roll(rig.spiral, -5, axis=0))
    assert len(paths.make(rig, "circle", [5], poses=40)) == 40
    assert len(paths.make(rig, "circle", [5], poses=40, loops=3)) == 120


def test_a_standing_camera_shows_every_frame_once(make_rig):
    rig = make_rig()
    for text, cam in (("test", 0), ("cams:3", 3)):
        path = paths.make(rig, text, _FRAMES)
        assert path.frames == tuple(_FRAMES)
        for n in range(6):
            np.testing.assert_allclose(_poses(path)[n], rig.cameras.cam_to_world[cam], atol=1e-6)
            np.testing.assert_allclose(
                path.cameras.intrinsics[n], rig.cameras.intrinsics[cam], rtol=1e-6
            )
        assert paths.standing_cam(rig, text) == cam


@pytest.mark.parametrize("text", ["spiral", "circle", "cams:0,3", "keys.json"])
def test_what_moves_stands_at_no_camera(make_rig, text):
    assert paths.standing_cam(make_rig(), text) is None


def test_loops_start_the_frames_anew_while_an_orbit_goes_on(make_rig):
    rig = make_rig()
    path = paths.make(rig, "spiral", _FRAMES, poses=12, loops=2)
    assert path.frames == (*_FRAMES, *_FRAMES)
    whole = _poses(paths.make(rig, "spiral", list(range(12)), poses=12))
    np.testing.assert_array_equal(_poses(path), whole[np.arange(3, 15) % 12])


def test_other_numbers_of_poses_lie_on_the_same_spiral(make_rig):
    rig = make_rig()
    halved = paths.track(rig, "spiral", poses=60)
    np.testing.assert_allclose(halved.cameras.cam_to_world, rig.spiral[::2], atol=1e-6)


def test_a_path_through_cameras_begins_and_ends_at_them_with_the_frames(make_rig):
    rig = make_rig()
    path = paths.make(rig, "cams:1,3,4", _FRAMES[:5])
    cameras = rig.cameras
    for place, cam in ((0, 1), (2, 3), (4, 4)):
        np.testing.assert_allclose(_poses(path)[place], cameras.cam_to_world[cam], atol=1e-6)
        np.testing.assert_allclose(
            path.cameras.intrinsics[place], cameras.intrinsics[cam], rtol=1e-6
        )
    assert path.frames == tuple(_FRAMES[:5])
    assert len(paths.make(rig, "cams:1,3,4", [7])) == 61


def test_a_path_with_ends_goes_there_and_back(make_rig):
    rig = make_rig()
    places = _poses(paths.make(rig, "cams:1,4", _FRAMES, poses=3))[:, 0, 3]
    np.testing.assert_allclose(places, [-0.6, 0.0, 0.6, 0.0, -0.6, 0.0], atol=1e-6)


def test_keys_say_when_and_which_frame(make_rig, tmp_path):
    rig = make_rig()
    keys = _keys(
        tmp_path,
        {"seconds": 0, "cam": 1, "frame": 3},
        {"seconds": 1, "cam": 1, "frame": 6},
        {"seconds": 3, "cam": 4, "frame": 6},
    )
    path = paths.make(rig, keys, _FRAMES, fps=10)
    assert len(path) == 31
    assert (path.frames[0], path.frames[10]) == (3, 6)
    assert path.frames[:11] == tuple(sorted(path.frames[:11]))
    assert set(path.frames[10:]) == {6}  # time stands while the camera moves
    places = _poses(path)[:, 0, 3]
    np.testing.assert_allclose(places[:11], -0.6, atol=1e-6)  # and the camera while time runs
    assert (np.diff(places[10:]) > 0).all()
    assert places[-1] == pytest.approx(0.6)
    assert paths.make(rig, keys, _FRAMES, fps=10, loops=2).frames == path.frames * 2


def test_a_frame_between_two_is_shown_by_the_nearest_stored_one(make_rig, tmp_path):
    keys = _keys(tmp_path, {"cam": 0, "frame": 3}, {"cam": 0, "frame": 7})
    path = paths.make(make_rig(), keys, [3, 4, 7], poses=9)
    assert path.frames == (3, 3, 4, 4, 4, 4, 7, 7, 7)


def test_keys_without_frames_go_along_with_those_that_are_played(make_rig, tmp_path):
    rig = make_rig()
    keys = _keys(tmp_path, {"cam": 1}, {"cam": 4}, {"cam": 0}, loop=True)
    path = paths.make(rig, keys, _FRAMES)
    assert path.frames == tuple(_FRAMES)
    for place, cam in ((0, 1), (2, 4), (4, 0)):
        np.testing.assert_allclose(_poses(path)[place], rig.cameras.cam_to_world[cam], atol=1e-6)


def test_frames_that_are_not_stored_are_refused(make_rig, tmp_path):
    keys = _keys(tmp_path, {"cam": 0, "frame": 3}, {"cam": 1, "frame": 40})
    with pytest.raises(InvError, match="asks for frame 40; there are 3 to 8"):
        paths.make(make_rig(), keys, _FRAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("helix", "expected spiral, circle, test, cams:0,3,7 or a .json"),
        ("cams:", "expected spiral"),
        ("cams:a", "expected spiral"),
        ("cams:0,9", "camera=9: cameras are 0 to 4"),
        ("nowhere.json", "nowhere.json: cannot be read"),
    ],
)
def test_a_path_that_is_none_is_refused(make_rig, text, said):
    with pytest.raises(InvError, match=said):
        paths.make(make_rig(), text, _FRAMES)


@pytest.mark.parametrize("numbers", [{"poses": -1}, {"loops": 0}])
def test_numbers_that_cannot_be_are_refused(make_rig, numbers):
    with pytest.raises(InvError, match="expected 0 or more, and 1 or more"):
        paths.make(make_rig(), "spiral", _FRAMES, **numbers)


def _turned(angle: float, z: float = 0.0) -> list:
    c, s = np.cos(angle), np.sin(angle)
    return [[c, 0, s, 0], [0, 1, 0, 0], [-s, 0, c, z]]


@pytest.mark.parametrize(
    ("pose", "said"),
    [(_turned(1.3), "pose 1 of 2 looks away"), (_turned(0, -1.5), "pose 1 of 2 stands more")],
)
def test_ndc_refuse_what_they_cannot_show(make_rig, tmp_path, pose, said):
    keys = _keys(tmp_path, {"cam": 0}, {"cam_to_world": pose})
    with pytest.raises(InvError, match=said):
        paths.make(make_rig(), keys, [3], poses=2)
    assert len(paths.make(make_rig(ndc=False), keys, [3], poses=2)) == 2


def test_a_camera_that_zooms_looks_into_the_same_ndc(make_rig, tmp_path):
    """The corner of the narrow image is the middle between axis and corner of the wide one."""
    rig = make_rig()
    focal = float(rig.cameras.intrinsics[0, 1, 1])
    fov = float(np.degrees(2 * np.arctan(9 / (2 * focal))))
    narrow = paths.make(rig, _keys(tmp_path, {"cam": 0, "fov": fov}), [3]).cameras
    assert narrow.intrinsics[0, 0, 0] == pytest.approx(2 * rig.cameras.intrinsics[0, 0, 0])
    narrow, wide = jax.tree.map(jnp.asarray, (narrow, rig.cameras))
    cast_rays = jax.jit(cameras_lib.cast_rays)
    seen = cast_rays(narrow, *jnp.array([[0], [0], [0]]))
    around = cast_rays(wide, *jnp.array([[0, 0], [6, 6], [4, 5]]))  # 9 / 2 is 4.5
    for name in ("origins", "directions"):
        middle = np.asarray(getattr(around, name)).mean(axis=0, keepdims=True)
        np.testing.assert_allclose(getattr(seen, name), middle, atol=1e-5)


def test_a_saved_path_is_read_as_the_path_it_was(make_rig, tmp_path):
    rig, file = make_rig(), tmp_path / "new" / "keys.json"
    paths.save(rig, "spiral", file)
    found = paths.track(rig, str(file), poses=120)
    np.testing.assert_allclose(found.cameras.cam_to_world, rig.spiral, atol=0.02)
    paths.save(rig, "cams:0,3", file)
    assert json.loads(file.read_text()) == {"loop": False, "keys": [{"cam": 0}, {"cam": 3}]}


@pytest.mark.parametrize(("text", "name"), [("a.json", "b.json"), ("spiral", "b.txt")])
def test_what_cannot_be_saved_is_refused(make_rig, tmp_path, text, name):
    with pytest.raises(InvError):
        paths.save(make_rig(), text, tmp_path / name)
    assert not list(tmp_path.iterdir())
