"""The procedural capture: its geometry is consistent, its ground truth exact, its files whole."""

import itertools
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from inv_jax.data import synthetic
from inv_jax.data.synthetic import paint, scene, shapes, tracer
from inv_jax.masks.flow import DisFlow
from inv_jax.masks.segmentation import Segmenter, Settings
from inv_jax.masks.summary import Counts

HEIGHT, WIDTH = 36, 48
SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "make_capture.py"


@pytest.fixture(scope="module")
def rig() -> synthetic.Rig:
    return synthetic.make_rig(9, HEIGHT, WIDTH)


def render(rig: synthetic.Rig, cam: int, time: float, **kwargs) -> synthetic.GroundTruth:
    kwargs = {"samples_per_axis": 1, **kwargs}
    truth = synthetic.render_view(
        rig.cam_to_world[cam], rig.intrinsics(), HEIGHT, WIDTH, time, **kwargs
    )
    return jax.tree.map(np.asarray, truth)


def pixel_grid() -> tuple[np.ndarray, np.ndarray]:
    rows, cols = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return cols.ravel(), rows.ravel()


cast = jax.jit(tracer.cast)
distance = jax.jit(scene.distance)
normals = jax.jit(tracer.normals)


def cast_pixels(rig, cam, time, cols, rows) -> tuple[np.ndarray, np.ndarray]:
    pose, intrinsics = rig.cam_to_world[cam], rig.intrinsics()
    args = (jnp.asarray(a, jnp.float32) for a in (cols, rows, pose, intrinsics, time))
    return tuple(np.asarray(a) for a in cast(*args))


def unproject(rig, cam, cols, rows, depth) -> np.ndarray:
    """(3, n) world points, written out from the convention and not from the code."""
    focal, cx, cy = rig.focal, WIDTH / 2, HEIGHT / 2
    local = np.stack([(cols - cx) / focal, -(rows - cy) / focal, -np.ones_like(cols)]) * depth
    pose = rig.cam_to_world[cam]
    return pose[:, :3] @ local + pose[:, 3:]


def project(rig, cam, points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pose = rig.cam_to_world[cam]
    local = pose[:, :3].T @ (points - pose[:, 3:])
    depth = -local[2]
    cols = rig.focal * local[0] / depth + WIDTH / 2
    rows = -rig.focal * local[1] / depth + HEIGHT / 2
    return cols, rows, depth


def bilinear(image: np.ndarray, cols: np.ndarray, rows: np.ndarray) -> np.ndarray:
    i, j = np.floor(cols).astype(int), np.floor(rows).astype(int)
    u, v = (cols - i)[:, None], (rows - j)[:, None]
    top = image[j, i] * (1 - u) + image[j, i + 1] * u
    return top * (1 - v) + (image[j + 1, i] * (1 - u) + image[j + 1, i + 1] * u) * v


def test_a_point_seen_by_two_cameras_has_one_depth_and_one_color(rig):
    cols, rows = pixel_grid()
    truth, other = render(rig, 1, 7.0), render(rig, 4, 7.0)
    _, part = cast_pixels(rig, 1, 7.0, cols, rows)
    points = unproject(rig, 1, cols, rows, truth.depth.ravel())
    there_cols, there_rows, expected = project(rig, 4, points)
    inside = (there_cols > 0) & (there_cols < WIDTH - 2) & (there_rows > 0)
    inside &= there_rows < HEIGHT - 2
    seen, there_part = cast_pixels(rig, 4, 7.0, there_cols, there_rows)

    # Nothing can be behind what a camera sees, so it sees the point or something before it.
    assert np.all(seen[inside] < expected[inside] + 0.02)
    visible = inside & (seen > expected - 0.01)
    assert visible.sum() > 0.6 * cols.size
    assert np.median(np.abs(seen - expected)[visible]) < 1e-3
    assert np.mean(part[visible] == there_part[visible]) > 0.99

    flat = visible & np.isin(part, [scene.Part.FLOOR, scene.Part.BACKDROP])
    interpolated = bilinear(other.rgb, there_cols[flat], there_rows[flat])
    error = np.abs(interpolated - truth.rgb.reshape(-1, 3)[flat]).max(axis=-1)
    assert flat.sum() > 300
    assert np.median(error) < 0.01
    assert np.mean(error < 0.06) > 0.85


def test_distance_changes_by_at_most_the_way():
    key_p, key_q = jax.random.split(jax.random.key(0))
    low, high = jnp.array([[-2.4], [0.0], [-1.7]]), jnp.array([[2.4], [2.2], [1.2]])
    p = low + (high - low) * jax.random.uniform(key_p, (3, 40_000))
    q = p + 0.01 * jax.random.normal(key_q, p.shape)
    for time in (0.0, 13.0, 77.5):
        change = jnp.abs(
            scene.distance(p, jnp.float32(time)) - scene.distance(q, jnp.float32(time))
        )
        assert jnp.all(change <= 1.001 * shapes.length(*(p - q)) + 1e-6)


def test_surfaces_move_less_than_two_pixels_a_frame():
    p = jax.random.uniform(jax.random.key(1), (3, 30_000), minval=-1.2, maxval=1.6)
    distances = jax.jit(scene.solid_distances)
    # Nothing that moves is nearer than 2.7 m; images 96 pixels wide have a focal length of 96.
    two_pixels = 2.0 * 2.7 / 96.0
    for time in range(0, 120, 5):
        now = distances(p, jnp.float32(time))
        later = distances(p, jnp.float32(time + 1))
        for part, (a, b) in enumerate(zip(now, later, strict=True), scene.FIRST_SOLID):
            near = jnp.abs(a) < 0.03
            step = float(jnp.max(jnp.where(near, jnp.abs(b - a), 0.0)))
            if part >= scene.Part.BALL:
                assert 0.0 < step < two_pixels
            else:
                assert step == 0.0


def test_normals_point_out_of_the_surface(rig):
    cols, rows = pixel_grid()
    depth, part = cast_pixels(rig, 0, 40.0, cols, rows)
    time = jnp.float32(40.0)
    p = jnp.asarray(unproject(rig, 0, cols, rows, depth), jnp.float32)
    normal = normals(p, jnp.asarray(part), time)
    np.testing.assert_allclose(shapes.length(*normal), 1.0, atol=1e-5)
    solid = part >= scene.FIRST_SOLID
    gap = np.asarray(distance(p, time))
    # The few that are not there yet graze a silhouette and ran out of steps.
    assert np.mean(np.abs(gap[solid]) < 1e-4) > 0.99
    assert np.mean((distance(p + 0.01 * normal, time) > gap)[solid]) > 0.99
    assert np.all(np.asarray(normal)[1, part == scene.Part.FLOOR] == 1.0)


def test_the_view_is_closed_and_shows_every_part_but_the_walls(rig):
    seen = set()
    for cam in range(rig.num_cams):
        seen |= set(cast_pixels(rig, cam, 10.0, *pixel_grid())[1].tolist())
    assert seen == set(scene.Part) - {scene.Part.WALLS}


def test_mask_is_where_the_center_ray_meets_a_moving_solid(rig):
    truth = render(rig, 2, 21.0)
    depth, part = cast_pixels(rig, 2, 21.0, *pixel_grid())
    np.testing.assert_array_equal(truth.is_dynamic.ravel(), part >= scene.Part.BALL)
    np.testing.assert_allclose(truth.depth.ravel(), depth, rtol=1e-5)
    assert 0.03 < truth.is_dynamic.mean() < 0.3


def test_masks_by_flow_find_what_moves_by_default():
    """Measured: 0.57 and 1.00, as its shadows move too; by flow alone a precision of 0.22."""
    rig = synthetic.make_rig(9, 72, 96)
    views = {
        f: synthetic.render_view(
            rig.cam_to_world[4], rig.intrinsics(), 72, 96, float(f), samples_per_axis=1
        )
        for f in (1, 3, 5)
    }
    images = {f: np.rint(np.asarray(view.rgb) * 255).astype(np.uint8) for f, view in views.items()}
    counts = Counts()
    mask = Segmenter(images.__getitem__, range(1, 6), 4, DisFlow(), Settings()).mask(3)
    counts.add(mask, np.asarray(views[3].is_dynamic))
    assert counts.scores()["precision"] > 0.5
    assert counts.scores()["recall"] > 0.95


def test_outside_the_mask_only_shadows_and_reflections_change(rig):
    cols, rows = pixel_grid()
    light = jax.jit(
        lambda p, n, to_light, time: (tracer.shadow(p, to_light, time), tracer.openness(p, n, time))
    )
    views, lights = [], []
    for time in (12.0, 20.0):
        views.append(render(rig, 0, time))
        depth, part = cast_pixels(rig, 0, time, cols, rows)
        p = jnp.asarray(unproject(rig, 0, cols, rows, depth), jnp.float32)
        normal = normals(p, jnp.asarray(part), jnp.float32(time))
        to_light = shapes.normalize(jnp.array(tracer.KEY_POSITION)[:, None] - p)
        lights.append(light(p + 0.004 * normal, normal, to_light, jnp.float32(time)))
    still = ~(views[0].is_dynamic | views[1].is_dynamic)
    # Rays stop within a tolerance, which at a silhouette decides what they hit.
    same_depth = np.abs(views[0].depth - views[1].depth) < 1e-3
    assert same_depth[still].mean() > 0.998
    still &= same_depth

    same_light = np.ones(cols.size, bool)
    for a, b in zip(*lights, strict=True):
        same_light &= np.abs(np.asarray(a) - np.asarray(b)) < 1e-4
    # The teapot mirrors what moves.
    untouched = still.ravel() & same_light & (part != scene.Part.TEAPOT)
    change = np.abs(views[0].rgb - views[1].rgb).reshape(-1, 3).max(axis=-1)
    assert untouched.mean() > 0.6
    assert change[untouched].max() < 2e-3
    assert change[~still.ravel()].mean() > 0.05


def test_motion_repeats_after_the_period_without_a_jump(rig):
    truth = render(rig, 0, 3.0)
    again = render(rig, 0, 3.0 + scene.PERIOD)
    jax.tree.map(np.testing.assert_array_equal, truth, again)
    around_the_seam = [render(rig, 0, time).rgb for time in (119.0, 120.0, 121.0)]
    elsewhere = [render(rig, 0, time).rgb for time in (29.0, 30.0, 31.0)]
    steps = [
        np.abs(b - a).mean()
        for rgbs in (around_the_seam, elsewhere)
        for a, b in itertools.pairwise(rgbs)
    ]
    assert min(steps) > 0.001
    assert max(steps) < 3 * min(steps)


def test_same_view_twice_gives_the_same_bits(rig):
    jax.tree.map(np.testing.assert_array_equal, render(rig, 3, 5.0), render(rig, 3, 5.0))


def test_half_a_pixel_moves_the_center_as_the_principal_point_does(rig):
    half = render(rig, 0, 9.0, pixel_center=0.5)
    shifted = rig.intrinsics()
    shifted[:2, 2] -= 0.5
    moved = synthetic.render_view(
        rig.cam_to_world[0], shifted, HEIGHT, WIDTH, 9.0, samples_per_axis=1
    )
    np.testing.assert_allclose(half.depth, moved.depth, atol=1e-4)
    np.testing.assert_allclose(half.rgb, moved.rgb, atol=1e-4)
    assert np.abs(half.rgb - render(rig, 0, 9.0).rgb).mean() > 1e-3


def test_supersampling_averages_rays_around_the_pixel_center(rig):
    truth = render(rig, 0, 9.0, samples_per_axis=2)
    linear = 0.0
    for down in (-0.25, 0.25):
        for right in (-0.25, 0.25):
            intrinsics = rig.intrinsics()
            intrinsics[:2, 2] -= right, down
            sample = synthetic.render_view(
                rig.cam_to_world[0], intrinsics, HEIGHT, WIDTH, 9.0, samples_per_axis=1
            )
            linear = linear + paint.to_linear(sample.rgb) / 4
    np.testing.assert_allclose(truth.rgb, paint.to_srgb(linear), atol=1e-3)
    np.testing.assert_array_equal(truth.depth, render(rig, 0, 9.0).depth)


def test_poses_bounds_rows_give_the_rig_back(rig):
    rows = rig.poses_bounds()
    assert rows.shape == (9, 17) and rows.dtype == np.float64
    poses = rows[:, :15].reshape(9, 3, 5)
    down, right, back, center = (poses[..., i] for i in range(4))
    np.testing.assert_array_equal(np.stack([right, -down, back, center], -1), rig.cam_to_world)
    np.testing.assert_array_equal(poses[:, :, 4], np.tile([HEIGHT, WIDTH, rig.focal], (9, 1)))
    rotations = rig.cam_to_world[..., :3]
    identity = np.tile(np.eye(3), (9, 1, 1))
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), identity, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)


def test_bounds_hold_all_that_a_camera_sees(rig):
    for cam in range(rig.num_cams):
        for time in (0.0, 31.5, 92.0):
            depth, _ = cast_pixels(rig, cam, time, *pixel_grid())
            assert rig.near[cam] < depth.min()
            assert depth.max() < rig.far[cam]
    assert np.all(rig.far / rig.near < 3.5)


def test_first_camera_is_the_middle_one(rig):
    centers = rig.cam_to_world[..., 3]
    others = centers[1:].mean(axis=0)
    assert np.linalg.norm(centers[0] - others) < 0.1
    assert len({row.tobytes() for row in centers.round(3)}) == 9
    assert synthetic.make_rig(1, HEIGHT, WIDTH).num_cams == 1


def write(path: pathlib.Path, **changes) -> None:
    settings = {"height": 12, "width": 16, "num_cams": 2, "frames": [1, 2], "samples_per_axis": 1}
    synthetic.write_capture(path, **{**settings, **changes})


def files_of(path: pathlib.Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(file.relative_to(path)): (file.read_bytes(), file.stat().st_ino)
        for file in path.rglob("*")
        if file.is_file()
    }


def test_written_layout_is_that_of_a_meta_capture(tmp_path):
    write(tmp_path, factor=2)
    names = {"poses_bounds.npy", "capture.json"}
    for frame in ("0001", "0002"):
        for cam in ("00", "01"):
            names |= {f"frames_2/frame{frame}cam{cam}.png"}
            names |= {f"mask/dynamic_mask_frame{frame}cam{cam}.png"}
    assert set(files_of(tmp_path)) == names
    rows = np.load(tmp_path / "poses_bounds.npy")
    rig = synthetic.make_rig(2, 24, 32)
    np.testing.assert_array_equal(rows, rig.poses_bounds())

    truth = synthetic.render_view(
        rig.cam_to_world[1], rig.intrinsics(2), 12, 16, 2.0, samples_per_axis=1
    )
    image = np.asarray(Image.open(tmp_path / "frames_2" / "frame0002cam01.png"))
    mask = np.asarray(Image.open(tmp_path / "mask" / "dynamic_mask_frame0002cam01.png"))
    assert image.shape == (12, 16, 3) and mask.shape == (12, 16)
    assert np.abs(image / 255.0 - truth.rgb).max() < 0.502 / 255.0
    np.testing.assert_array_equal(mask != 0, truth.is_dynamic)


def test_writing_again_keeps_files_and_completes_missing_ones(tmp_path):
    write(tmp_path, write_masks=False)
    before = files_of(tmp_path)
    lost = tmp_path / "frames" / "frame0002cam01.png"
    lost.unlink()
    write(tmp_path, frames=range(1, 4))
    after = files_of(tmp_path)
    assert after.keys() > before.keys()
    assert len(after) == 2 + 2 * 3 * 2
    for name, (content, inode) in before.items():
        assert after[name][0] == content
        assert name.endswith(lost.name) or after[name][1] == inode


def test_a_folder_made_otherwise_is_refused(tmp_path):
    write(tmp_path, frames=[1])
    before = files_of(tmp_path)
    with pytest.raises(ValueError, match="num_cams is 2 there, 3 was asked for"):
        write(tmp_path, num_cams=3)
    note = tmp_path / "capture.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "version": -1}))
    with pytest.raises(ValueError, match="version is -1 there"):
        write(tmp_path)
    note.unlink()
    with pytest.raises(ValueError, match="capture from elsewhere"):
        write(tmp_path)
    assert files_of(tmp_path).keys() == before.keys() - {"capture.json"}


@pytest.mark.parametrize("wrong", [{"frames": [0, 1]}, {"factor": 0}, {"num_cams": 0}])
def test_numbers_out_of_range_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match="must be 1 or more"):
        write(tmp_path / "capture", **wrong)
    assert not (tmp_path / "capture").exists()


@pytest.mark.parametrize(
    ("flag", "says"), [("--frames=5-2", "give a number like 30"), ("--sise=3", "sise")]
)
def test_script_answers_a_mistake_with_one_line_and_status_2(tmp_path, flag, says):
    command = [sys.executable, str(SCRIPT), f"--out={tmp_path / 'capture'}", flag]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SCRIPT.parents[1]), "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr
