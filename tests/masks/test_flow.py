import cv2
import numpy as np
import pytest

from inv_jax.masks.flow import PRESETS, DisFlow, FlowFiles, reverse
from inv_jax.types import InvError

_CAMS = ("cam00", "cam01")
_SHAPE = (24, 32)


def _texture(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def _images(shape=_SHAPE):
    return np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)


@pytest.mark.parametrize("preset", PRESETS)
def test_flow_of_a_picture_that_moves_is_its_way(preset):
    big = _texture(100, 140)
    # What is at (x, y) in the first is at (x + 3, y - 2) in the second.
    images = big[10:74, 20:116], big[12:76, 17:113]
    flow = DisFlow(preset).between(1, 2, 0, images)
    assert flow.shape == (64, 96, 2)
    assert np.median(flow[16:-16, 16:-16], axis=(0, 1)) == pytest.approx([3, -2], abs=0.3)


def test_pictures_that_are_too_small_for_the_method_have_flow_too():
    flow = DisFlow().between(1, 2, 0, _images((5, 3)))
    assert flow.shape == (5, 3, 2)
    assert not flow.any()


def test_an_unknown_preset_is_named():
    with pytest.raises(InvError, match="--preset=best: choose among ultrafast, fast, medium"):
        DisFlow("best")


def test_a_reversed_flow_leads_back_from_where_it_landed():
    flow = np.zeros((6, 8, 2), np.float32)
    flow[2, 3] = 2.2, -1.4  # lands at (5, 1), on a pixel that stays
    flow[5, 7] = 4, 0  # leaves the picture
    back = reverse(flow)
    np.testing.assert_array_equal(back[1, 5], np.float32([-2.2, 1.4]))
    assert np.count_nonzero(back.any(-1)) == 1


def test_both_kinds_of_files_are_read(tmp_path):
    rng = np.random.default_rng(1)
    forth, other = (rng.normal(size=(*_SHAPE, 2)).astype(np.float32) for _ in range(2))
    cv2.writeOpticalFlow(str(tmp_path / "frame0003cam01.flo"), forth)
    np.savez(tmp_path / "3to1_cam01.npz", other)
    flo = FlowFiles(str(tmp_path / "frame{frame:04d}{cam}.flo"), _CAMS)
    npz = FlowFiles(str(tmp_path / "{frame}to{to}_{cam}.npz"), _CAMS)
    assert (flo.reach, npz.reach) == (1, None)
    np.testing.assert_array_equal(flo.between(3, 4, 1, _images()), forth)
    np.testing.assert_array_equal(npz.between(3, 1, 1, _images()), other)
    # Of files to the next frame, the way back is made.
    np.testing.assert_array_equal(flo.between(4, 3, 1, _images()), reverse(forth))


def test_a_folder_stands_for_files_named_like_the_images(tmp_path):
    flow = np.ones((*_SHAPE, 2), np.float32)
    np.savez(tmp_path / "frame0001cam00.npz", frame=1, flow=flow)
    source = FlowFiles(str(tmp_path), _CAMS)
    np.testing.assert_array_equal(source.between(1, 2, 0, _images()), flow)


def test_a_folder_may_lack_flow_of_the_first_camera(tmp_path):
    flow = np.ones((*_SHAPE, 2), np.float32)
    np.savez(tmp_path / "frame0001cam01.npz", flow)
    source = FlowFiles(str(tmp_path), _CAMS)
    np.testing.assert_array_equal(source.between(1, 2, 1, _images()), flow)


def test_unknown_flow_is_none(tmp_path):
    flow = np.ones((*_SHAPE, 2), np.float32)
    flow[0, 0], flow[1, 1] = np.nan, 1e10
    np.savez(tmp_path / "frame0001cam00.npz", flow)
    found = FlowFiles(str(tmp_path), _CAMS).between(1, 2, 0, _images())
    assert not found[0, 0].any()
    assert not found[1, 1].any()
    assert found.sum() == 2 * (flow[..., 0].size - 2)


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: np.savez(path, np.zeros((9, 7, 2))), r"shape \(9, 7, 2\).* \(24, 32, 2\)"),
        (lambda path: np.savez(path, a=1, b=2), "holds a, b; expected 'flow'"),
        (lambda path: np.savez(path, np.array(["x"])), "expected real numbers"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), r"shape \(3,\)"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is no whole .npz file"),
        (lambda path: None, "is missing"),
    ],
)
def test_what_is_wrong_with_a_file_names_its_frame_and_camera(tmp_path, write, said):
    write(tmp_path / "f0007cam01.npz")
    source = FlowFiles(str(tmp_path / "f{frame:04d}{cam}.npz"), _CAMS)
    with pytest.raises(InvError, match=rf"^flow of frame 7, cam01: .*f0007cam01.npz.*{said}"):
        source.between(7, 8, 1, _images())


def test_a_flo_file_that_was_cut_short_is_an_error(tmp_path):
    path = tmp_path / "f0007cam01.flo"
    cv2.writeOpticalFlow(str(path), np.ones((*_SHAPE, 2), np.float32))
    path.write_bytes(path.read_bytes()[:-100])
    source = FlowFiles(str(tmp_path / "f{frame:04d}{cam}.flo"), _CAMS)
    with pytest.raises(InvError, match=r"frame 7, cam01: .* is no whole .flo file"):
        source.between(7, 8, 1, _images())


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("flow_{frame:04d}.flo", "whose names have {frame:04d} and {cam}"),
        ("{frame}{cam}.png", "expected .flo or .npz"),
        ("{frame}{cam}{nonsense}.flo", "nonsense"),
        ("{frame}{cam.flo", "--flow="),
    ],
)
def test_a_pattern_that_cannot_be_right_is_refused(pattern, said):
    with pytest.raises(InvError, match=said):
        FlowFiles(pattern, _CAMS)


def test_a_folder_without_flow_is_refused(tmp_path):
    with pytest.raises(InvError, match=r"no frame0001cam00\.flo or \.npz there"):
        FlowFiles(str(tmp_path), _CAMS)
