"""Each mistake in a capture is one line that names what was found and what to do."""

import re

import numpy as np
import pytest
from PIL import Image

from inv_jax.types import InvError


def refused(open_it, path, *parts: str, **changes) -> None:
    """Opening raises one line that holds all `parts`."""
    with pytest.raises(InvError) as caught:
        open_it(path, **changes)
    says(str(caught.value), *parts)


def says(message: str, *parts: str) -> None:
    assert "\n" not in message
    for part in parts:
        assert part in message


# Folders and arguments


def test_unknown_layout_lists_the_known_ones(write_meta, open_meta):
    refused(open_meta, write_meta(), "'colmap'", "little_falls", "n3dv", layout="colmap")


def test_missing_capture_is_named(tmp_path, open_meta):
    refused(open_meta, tmp_path / "nowhere", "nowhere is not a folder")


def test_a_file_is_no_capture(tmp_path, open_meta):
    (tmp_path / "video.mp4").write_text("")
    refused(open_meta, tmp_path / "video.mp4", "video.mp4 is not a folder")


def test_missing_factor_names_those_that_exist(write_meta, open_meta):
    path = write_meta()
    (path / "frames").mkdir()
    (path / "frames_16").mkdir()
    refused(open_meta, path, "frames_4 is missing", "1, 2, 16", factor=4)


@pytest.mark.parametrize("factor", [0, -2])
def test_factor_must_be_positive(write_meta, open_meta, factor):
    refused(open_meta, write_meta(), f"data.factor is {factor}", factor=factor)


def test_capture_without_any_frames_says_what_to_make(tmp_path, open_meta):
    refused(open_meta, tmp_path, "frames_2 is missing", "frame0001cam00.png")


def test_empty_frames_folder_says_what_is_expected(tmp_path, open_meta):
    (tmp_path / "frames_2").mkdir()
    (tmp_path / "frames_2" / "0001.png").write_text("")
    refused(open_meta, tmp_path, "holds no frames", "frame0001cam00.png")


def test_two_files_for_one_image_are_named(write_meta, open_meta, pixels):
    path = write_meta()
    Image.fromarray(pixels(0, 0)).save(path / "frames_2" / "frame0002cam01.jpg")
    refused(open_meta, path, "frame0002cam01.jpg and frame0002cam01.png")


@pytest.mark.parametrize("near", [-0.1, 1.0, float("nan")])
def test_ndc_near_must_lie_before_the_far_plane(write_meta, open_meta, near):
    refused(open_meta, write_meta(), f"data.near is {near}", near=near)


@pytest.mark.parametrize("bd_factor", [0.0, -1.0, float("nan"), float("inf")])
def test_bd_factor_must_be_positive(write_meta, open_meta, bd_factor):
    refused(open_meta, write_meta(), "data.bd_factor", bd_factor=bd_factor)


@pytest.mark.parametrize(
    ("holdout", "parts"),
    [
        ([3], ["camera 3", "0 (cam00) to 2 (cam02)"]),
        ([-1], ["camera -1"]),
        ([1, 1], ["(1, 1)", "twice"]),
        ([0, 1, 2], ["none is left to train on"]),
    ],
)
def test_holdout_must_leave_known_cameras(write_meta, open_meta, holdout, parts):
    refused(open_meta, write_meta(), "data.holdout", *parts, holdout=holdout)


# Frames


@pytest.mark.parametrize("first_frame", [0, 4, -1])
def test_first_frame_must_exist(write_meta, open_meta, first_frame):
    refused(
        open_meta,
        write_meta(),
        f"data.first_frame is {first_frame}",
        "frames_2 holds frames 1-3",
        first_frame=first_frame,
    )


def test_range_must_not_reach_beyond_the_last_frame(write_meta, open_meta):
    refused(
        open_meta,
        write_meta(),
        "ask for frames 2-6",
        "frames_2 holds frames 1-3",
        "at most 2",
        first_frame=2,
        num_frames=5,
    )


def test_number_of_frames_must_not_be_negative(write_meta, open_meta):
    refused(open_meta, write_meta(), "data.num_frames is -1", num_frames=-1)


def test_gaps_name_the_missing_frames(write_meta, open_meta):
    path = write_meta(frames=[1, 2, 3, 7, 8, 10])
    refused(open_meta, path, "frames 4-6, 9 are missing", "all of frames 1-10")
    refused(open_meta, path, "frame 9 is missing", first_frame=7)


def test_a_stray_frame_number_is_a_gap_found_quickly(write_meta, open_meta):
    refused(open_meta, write_meta(frames=[1, 10**9]), "frames 2-999999999 are missing")


# Cameras


def test_missing_camera_is_named_by_the_other_frames(write_meta, open_meta):
    path = write_meta()
    (path / "frames_2" / "frame0002cam01.png").unlink()
    message = ["2 images for frame 2 but 3 poses", "cam01 missing", "poses_bounds.npy"]
    refused(open_meta, path, *message)
    refused(open_meta, path, *message, first_frame=2, num_frames=1)
    assert open_meta(path, first_frame=3).frames == range(3, 4)


def test_extra_camera_is_named(write_meta, open_meta, pixels):
    path = write_meta()
    Image.fromarray(pixels(3, 9)).save(path / "frames_2" / "frame0003cam09.png")
    refused(open_meta, path, "4 images for frame 3 but 3 poses", "cam09 extra")


def test_renamed_camera_is_named(write_meta, open_meta):
    folder = write_meta() / "frames_2"
    (folder / "frame0003cam02.png").rename(folder / "frame0003cam05.png")
    refused(open_meta, folder.parent, "frame 3", "cam02 missing", "cam05 extra")


def test_camera_without_any_image_is_guessed_from_its_number(write_meta, open_meta, forward_rows):
    path = write_meta(cams=[0, 1, 3], rows=forward_rows(4))
    refused(open_meta, path, "3 images for frame 1 but 4 poses", "is cam02 missing")


def test_more_cameras_than_poses_says_how_many(write_meta, open_meta, forward_rows):
    path = write_meta(cams=range(4), rows=forward_rows(3))
    refused(open_meta, path, "4 images for frame 1 but 3 poses", "cam00 to cam03")


def test_cameras_all_around_cannot_be_ndc(write_meta, open_meta, forward_rows):
    rows = forward_rows(3)
    turned = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # Down, right, backwards: to the left.
    matrix = rows[2, :15].reshape(3, 5)
    matrix[:, :3] = turned
    rows[2, :15] = matrix.ravel()
    path = write_meta(rows=rows)
    refused(open_meta, path, "cam02", "data.ndc=False")
    assert not open_meta(path, ndc=False).cameras.ndc


# poses_bounds.npy


def test_missing_poses_are_named(write_meta, open_meta):
    path = write_meta()
    (path / "poses_bounds.npy").unlink()
    refused(open_meta, path, "poses_bounds.npy is missing")


@pytest.mark.parametrize("shape", [(3, 15), (17,), (0, 17), (3, 1, 17), ()])
def test_poses_must_be_rows_of_17(write_meta, open_meta, shape):
    path = write_meta(rows=np.zeros(shape))
    refused(open_meta, path, f"shape {shape}", "(cameras, 17)")


@pytest.mark.parametrize(
    "rows", [np.full((3, 17), "a"), np.full((3, 17), None), np.zeros((3, 17), np.complex64)]
)
def test_poses_must_be_numbers(write_meta, open_meta, rows):
    refused(open_meta, write_meta(rows=rows), "poses_bounds.npy", "numbers")


@pytest.mark.parametrize("content", [b"", b"1 0 0\n", b"\x93NUMPY\x01\x00", b"PK\x03\x04rest"])
def test_poses_must_be_an_npy_file(write_meta, open_meta, content):
    path = write_meta()
    (path / "poses_bounds.npy").write_bytes(content)
    refused(open_meta, path, "poses_bounds.npy", "np.save")


def test_truncated_poses_are_refused(write_meta, open_meta):
    file = write_meta() / "poses_bounds.npy"
    file.write_bytes(file.read_bytes()[:-40])
    refused(open_meta, file.parent, "poses_bounds.npy", "np.save")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_poses_must_be_finite(write_meta, open_meta, forward_rows, value):
    rows = forward_rows(3)
    rows[1, 3] = value
    refused(open_meta, write_meta(rows=rows), "rows [1]", "not finite")


@pytest.mark.parametrize("bounds", [(20.0, 3.0), (5.0, 5.0), (0.0, 4.0), (-1.0, 4.0)])
def test_near_bound_must_lie_before_far_bound(write_meta, open_meta, forward_rows, bounds):
    rows = forward_rows(3)
    rows[2, 15:] = bounds
    refused(open_meta, write_meta(rows=rows), "row 2", f"near bound {bounds[0]:g}", "near < far")


@pytest.mark.parametrize("focal", [0.0, -5.0])
def test_focal_length_must_be_positive(write_meta, open_meta, forward_rows, focal):
    rows = forward_rows(3)
    rows[1, 14] = focal
    refused(open_meta, write_meta(rows=rows), "row 1", "focal length")


def test_poses_must_be_rotations(write_meta, open_meta, forward_rows):
    scaled, mirrored = forward_rows(3), forward_rows(3)
    scaled[0, [0, 1, 2]] = 2.0
    mirrored[0, 1] = -1.0
    path = write_meta(rows=scaled)
    refused(open_meta, path, "row 0", "rotation")
    np.save(path / "poses_bounds.npy", mirrored)
    refused(open_meta, path, "row 0", "rotation", "det R = -1")


def test_cameras_without_a_common_up_are_refused(write_meta, open_meta, forward_rows):
    rows = forward_rows(2)
    rows[1, [1, 5]] *= -1  # Upside down.
    refused(open_meta, write_meta(cams=range(2), rows=rows), "upright", "up", ndc=False)


def test_images_of_another_shape_than_calibrated_are_refused(write_meta, open_meta, forward_rows):
    rows = forward_rows(3)
    rows[:, [4, 9]] = 320, 576
    refused(open_meta, write_meta(rows=rows), "poses_bounds.npy", "576x320", "8x6")


def test_calibrated_size_must_be_positive(write_meta, open_meta, forward_rows):
    rows = forward_rows(3)
    rows[:, 4] = 0
    refused(open_meta, write_meta(rows=rows), "16x0")


# Images


def test_images_of_different_sizes_are_named(write_meta, open_meta, pixels):
    path = write_meta()
    Image.fromarray(pixels(0, 0, 5, 9)).save(path / "frames_2" / "frame0003cam02.png")
    refused(open_meta, path, "frame0003cam02.png (9x5)", "8 are 8x6")


@pytest.mark.parametrize("keep", [0, 20, 60, 150])
def test_truncated_image_of_the_first_frame_is_found_at_once(write_meta, open_meta, keep):
    file = write_meta() / "frames_2" / "frame0001cam01.png"
    file.write_bytes(file.read_bytes()[:keep])
    refused(open_meta, file.parents[1], "frame0001cam01.png", "cannot be decoded")


def test_text_is_no_image(write_meta, open_meta):
    file = write_meta() / "frames_2" / "frame0001cam01.png"
    file.write_text("version https://git-lfs.github.com/spec/v1")
    refused(open_meta, file.parents[1], "frame0001cam01.png", "cannot be decoded")


def test_transparent_image_must_be_flattened(write_meta, open_meta, pixels):
    path = write_meta()
    image = Image.fromarray(pixels(1, 1)).convert("RGBA")
    image.putpixel((2, 3), (1, 2, 3, 254))
    image.save(path / "frames_2" / "frame0001cam01.png")
    refused(open_meta, path, "frame0001cam01.png", "1 of 48 pixels", "flatten")


def test_a_file_that_breaks_during_a_run_is_named(write_meta, open_meta, pixels):
    path = write_meta()
    capture = open_meta(path)
    file = path / "frames_2" / "frame0003cam01.png"
    whole = file.read_bytes()

    file.write_bytes(whole[:-60])
    with pytest.raises(InvError) as caught:
        capture.load(3)
    says(str(caught.value), "frame0003cam01.png", "cannot be decoded")

    Image.fromarray(pixels(3, 1, 5, 9)).save(file)
    with pytest.raises(InvError) as caught:
        capture.load(3)
    says(str(caught.value), "frame0003cam01.png", "9x5", "8x6")

    file.unlink()
    with pytest.raises(InvError) as caught:
        capture.load(3)
    says(str(caught.value), "frame0003cam01.png", "cannot be read")

    file.write_bytes(whole)
    np.testing.assert_array_equal(capture.load(3).images[1], pixels(3, 1))


@pytest.mark.parametrize("frame", [0, 1, 3])
def test_only_selected_frames_load(write_meta, open_meta, frame):
    capture = open_meta(write_meta(), first_frame=2, num_frames=1)
    with pytest.raises(InvError, match=f"frame {frame} is not open, only frame 2"):
        capture.load(frame)


# Little Falls


def edit(file, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text(), flags=re.DOTALL)
    assert count
    file.write_text(text)


@pytest.mark.parametrize("name", ["fv_AllExtrinsics.yml", "fv_cam02.yml"])
def test_missing_yaml_is_named(write_little_falls, open_little_falls, name):
    path = write_little_falls()
    (path / "calibration" / name).unlink()
    refused(open_little_falls, path, f"{name} is missing")


@pytest.mark.parametrize("key", ["R2", "T1", "T3"])
def test_missing_pose_key_is_named(write_little_falls, open_little_falls, key):
    path = write_little_falls()
    edit(path / "calibration" / "fv_AllExtrinsics.yml", f"{key}:", f"other_{key}:")
    refused(open_little_falls, path, "fv_AllExtrinsics.yml", f"no key '{key}'")


@pytest.mark.parametrize("key", ["Intrinsics", "Resolution"])
def test_missing_camera_key_is_named(write_little_falls, open_little_falls, key):
    path = write_little_falls()
    edit(path / "calibration" / "fv_cam01.yml", f"{key}:", f"other_{key}:")
    refused(open_little_falls, path, "fv_cam01.yml", f"no key '{key}'")


@pytest.mark.parametrize(
    "text",
    ["", "a: [", "%YAML:1.0\n---\nR0: [1,", "%YAML:1.0\n---\n- 3\n", "\0\1\2\3", "R: 3", "é"],
)
def test_malformed_yaml_is_named(write_little_falls, open_little_falls, text, capfd):
    path = write_little_falls()
    (path / "calibration" / "fv_AllExtrinsics.yml").write_text(text)
    refused(open_little_falls, path, "fv_AllExtrinsics.yml")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"T1: .*?\]", "T1: 3"),
        (r"T1: .*?\]", 'T1: "x"'),
        (r"rows: 3\n   cols: 1", "rows: 1\n   cols: 3"),
        (r"\[ 1., 0., 0., 0.,", "[ 1., 0., 0.,"),
        (r"\[ 1., 0., 0., 0.,", "[ 1., a, 0., 0.,"),
    ],
)
def test_malformed_matrix_is_named(write_little_falls, open_little_falls, pattern, replacement):
    path = write_little_falls()
    edit(path / "calibration" / "fv_AllExtrinsics.yml", pattern, replacement)
    refused(open_little_falls, path, "fv_AllExtrinsics.yml", "matrix")


def test_matrix_that_is_not_finite_is_named(write_little_falls, open_little_falls):
    path = write_little_falls()
    edit(path / "calibration" / "fv_AllExtrinsics.yml", r"900\.", ".Nan")
    refused(open_little_falls, path, "cam03", "not finite")


def test_resolution_must_be_two_numbers(write_little_falls, open_little_falls):
    path = write_little_falls()
    edit(path / "calibration" / "fv_cam01.yml", r"Resolution:.*", "Resolution: [ 16. ]\n")
    refused(open_little_falls, path, "fv_cam01.yml", "list of 2 numbers in 'Resolution'")


def test_resolution_must_have_the_shape_of_the_images(write_little_falls, open_little_falls):
    path = write_little_falls()
    edit(path / "calibration" / "fv_cam01.yml", r"Resolution:.*", "Resolution: [ 40., 10. ]\n")
    refused(open_little_falls, path, "fv_cam01.yml", "40x10", "16x12")


def test_images_must_be_of_the_cameras_in_the_files(write_little_falls, open_little_falls):
    folder = write_little_falls() / "frames"
    (folder / "frame0001cam01.png").rename(folder / "frame0001cam07.png")
    refused(open_little_falls, folder.parent, "cam01 missing", "cam07 extra")
    (folder / "frame0001cam07.png").unlink()
    refused(open_little_falls, folder.parent, "3 images for frame 1 but 4 poses", "cam01 missing")
