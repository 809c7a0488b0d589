"""Files of key poses: what they say, and what is said of their mistakes."""

import json

import numpy as np
import pytest

from inv_jax.player import keys as keys_lib
from inv_jax.types import InvError

_POSE = [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0]]


def _read(tmp_path, rig, found):
    path = tmp_path / "keys.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return keys_lib.read(path, rig)


def test_a_key_has_its_own_pose_or_a_cameras(make_rig, tmp_path):
    rig = make_rig()
    found = _read(tmp_path, rig, {"keys": [{"cam": 3}, {"cam_to_world": [*_POSE, [0, 0, 0, 1]]}]})
    np.testing.assert_array_equal(found.poses[0], rig.cameras.cam_to_world[3])
    np.testing.assert_array_equal(found.poses[1], _POSE)
    np.testing.assert_array_equal(found.intrinsics, rig.cameras.intrinsics[[3, 0]])
    assert (found.seconds, found.frames, found.period) == (None, None, None)


def test_the_field_of_view_is_vertical_and_keeps_the_middle_and_the_pixels_shape(
    make_rig, tmp_path
):
    rig = make_rig()
    (found,) = _read(tmp_path, rig, {"keys": [{"cam": 2, "fov": 90}]}).intrinsics
    given = rig.cameras.intrinsics[2]
    assert found[1, 1] == pytest.approx(9)
    assert found[0, 0] / found[1, 1] == pytest.approx(given[0, 0] / given[1, 1])
    np.testing.assert_array_equal(found[:, 2], given[:, 2])


def test_intrinsics_of_a_key_are_its_own(make_rig, tmp_path):
    matrix = [[30, 0, 11], [0, 31, 8], [0, 0, 1]]
    found = _read(tmp_path, make_rig(), {"keys": [{"cam": 2, "intrinsics": matrix}]})
    np.testing.assert_array_equal(found.intrinsics[0], matrix)
    assert found.ndc_focal[0] == 22  # of the camera as it was trained


def test_a_loop_takes_one_step_for_each_key_or_the_time_that_is_said(make_rig, tmp_path):
    rig, keys = make_rig(), [{"cam": 0, "seconds": 1}, {"cam": 1, "seconds": 2.5}]
    untimed = [{"cam": 0}, {"cam": 1}]
    assert _read(tmp_path, rig, {"loop": True, "keys": untimed}).period == 2
    found = _read(tmp_path, rig, {"loop": True, "seconds": 4, "keys": keys})
    assert found.period == 4
    np.testing.assert_array_equal(found.seconds, [1, 2.5])


def test_what_is_written_reads_back(make_rig, tmp_path):
    rig = make_rig()
    rows = [{"cam": 2, "frame": 4}, {"cam_to_world": np.array(_POSE) + 1e-9, "frame": 5.5}]
    keys_lib.write(tmp_path / "new" / "a.json", rows, is_loop=True)
    found = keys_lib.read(tmp_path / "new" / "a.json", rig)
    np.testing.assert_allclose(found.poses[1], _POSE, atol=1e-6)
    np.testing.assert_array_equal(found.frames, [4, 5.5])
    assert found.period == 2


_MIRRORED = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("{", r"is no JSON \(Expecting"),
        ("[]", "with one key pose at least"),
        ({"keys": []}, "with one key pose at least"),
        ({"keys": [3]}, "key 0 .* is 3; expected an object"),
        ({"keys": [{"cam": 0}], "fps": 30}, "has a field 'fps'; expected loop, keys, seconds"),
        ({"keys": [{"cam": 0}, {"cams": 1}]}, "key 1 .*'cams'; did you mean 'cam'"),
        ({"keys": [{"cam": 0}, {}]}, "key 1 .*expected either 'cam' or 'cam_to_world'"),
        ({"keys": [{"cam": 0, "cam_to_world": _POSE}]}, "expected either"),
        ({"keys": [{"cam": 5}]}, "key 0 .*: cam=5: cameras are 0 to 4"),
        ({"keys": [{"cam": "0"}]}, "cam=0: cameras are 0 to 4"),
        ({"keys": [{"cam_to_world": [[1, 2], [3]]}]}, "expected 3x4 or 4x4 numbers"),
        ({"keys": [{"cam_to_world": [[1, 2], [3, 4]]}]}, r"is \(2, 2\); expected 3x4 or 4x4"),
        ({"keys": [{"cam_to_world": _MIRRORED}]}, r"holds no rotation .*det R = -1"),
        ({"keys": [{"cam": 0, "fov": 180}]}, "fov is 180; expected degrees"),
        ({"keys": [{"cam": 0, "fov": "wide"}]}, "fov is 'wide'; expected a number"),
        ({"keys": [{"cam": 0, "fov": 9, "intrinsics": []}]}, "both 'fov' and 'intrinsics'"),
        ({"keys": [{"cam": 0, "intrinsics": [[0] * 3] * 3}]}, "positive focal lengths"),
        ({"keys": [{"cam": 0, "seconds": 1}, {"cam": 1}]}, "key 1 .* has no 'seconds', and key 0"),
        ({"keys": [{"cam": 0}, {"cam": 1, "frame": 3}]}, "key 0 .* has no 'frame', and key 1"),
        (
            {"keys": [{"cam": 0, "seconds": 2}, {"cam": 1, "seconds": 2}]},
            "key 1 .*seconds=2 is not after 2",
        ),
        ({"keys": [{"cam": 0}], "loop": 1}, "loop is 1; expected true or false"),
        ({"keys": [{"cam": 0}], "seconds": 3}, 'whole "seconds" of a loop if, and only if'),
        ({"keys": [{"cam": 0, "seconds": 0}], "loop": True}, 'whole "seconds" of a loop'),
        (
            {
                "keys": [{"cam": 0, "seconds": 0}, {"cam": 1, "seconds": 3}],
                "loop": True,
                "seconds": 3,
            },
            "the loop takes 3 seconds, its keys 3; expected more",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key(make_rig, tmp_path, found, said):
    with pytest.raises(InvError, match=said):
        _read(tmp_path, make_rig(), found)
