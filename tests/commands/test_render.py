"""`inv-jax render`: which files it writes, of what."""

import json

import av
import numpy as np
import pytest
from PIL import Image

from inv_jax import cli

pytestmark = pytest.mark.usefixtures("restored_process", "painted")


@pytest.fixture(scope="module")
def run(tiny_capture, untrained):
    return untrained(tiny_capture())


@pytest.fixture
def render(run, capsys):
    """`render(*flags)`: exit status, lines of standard output, standard error."""

    def call(*flags: str) -> tuple[int, list[str], str]:
        capsys.readouterr()
        status = cli.main(["inv-jax", "render", f"--workdir={run}", *flags])
        output, errors = capsys.readouterr()
        return status, output.splitlines(), errors

    return call


def _decode(path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_each_output_is_a_video_of_its_own(render, tmp_path, suffix):
    out = tmp_path / "new" / f"a{suffix}"
    status, lines, _ = render(
        f"--out={out}", "--outputs=acc,rgb,acc", "--path=circle", "--poses=3", "--frames=2"
    )
    assert status == 0
    assert lines == [str(out.with_name(f"a_acc{suffix}")), str(out)]
    assert sorted(path.name for path in out.parent.iterdir()) == [f"a{suffix}", f"a_acc{suffix}"]
    if suffix == ".gif":
        with Image.open(out) as image:
            assert (image.n_frames, image.size) == (3, (16, 12))
    else:
        assert _decode(out).shape == (3, 12, 16, 3)


def test_layers_are_videos_of_their_own(tiny_capture, untrained, tmp_path, capsys):
    split = untrained(tiny_capture(), (1,), name="split")
    out = tmp_path / "a.mp4"
    flags = [f"--workdir={split}", f"--out={out}", "--path=test"]
    assert cli.main(["inv-jax", "render", *flags, "--outputs=rgb,static,dynamic_acc"]) == 0
    names = ["a.mp4", "a_dynamic_acc.mp4", "a_static.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    blue = _decode(tmp_path / "a_static.mp4")[0].mean((0, 1))
    np.testing.assert_allclose(blue, [0, 0, 255], atol=6)
    assert cli.main(["inv-jax", "render", *flags]) == 0
    named = {path.stem for path in tmp_path.iterdir()}
    assert named == {"a", "a_depth", "a_static", "a_dynamic", "a_dynamic_acc"}


def test_time_and_camera_may_each_stand_still(render, tmp_path):
    """The pictures' green is the camera's x: where it stands, they are equal, and else not."""
    changes = {}
    for name, flags in {
        "camera": ["--path=test"],
        "time": ["--path=cams:0,2", "--frames=2", "--poses=4"],
        "none": ["--path=cams:0,2"],
    }.items():
        assert render(f"--out={tmp_path / name}.mp4", "--outputs=rgb", *flags)[0] == 0
        green = _decode(tmp_path / f"{name}.mp4")[:, 6, 8, 1].astype(int)
        changes[name] = (len(green), np.abs(np.diff(green)).min() > 10)
    assert changes == {"camera": (3, False), "time": (4, True), "none": (3, True)}


def test_a_path_is_saved_changed_and_rendered(render, tmp_path):
    keys, out = tmp_path / "keys.json", tmp_path / "a.mp4"
    status, lines, _ = render("--path=cams:0,1,2", f"--save_path={keys}", f"--out={out}")
    assert (status, lines) == (0, [str(keys)])
    assert not out.exists()
    found = json.loads(keys.read_text())
    for key, seconds, frame in zip(found["keys"], (0, 0.2, 0.4), (1, 1, 3), strict=True):
        key.update(seconds=seconds, frame=frame)
    keys.write_text(json.dumps(found))
    status, _, errors = render(f"--path={keys}", f"--out={out}", "--fps=10", "--outputs=rgb")
    assert status == 0, errors
    assert len(_decode(out)) == 5


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--outputs=rgb,dynamic", "there is no 'dynamic', but rgb, depth, acc"),
        ("--outputs=rgb,normals", "there is no 'normals', but rgb, depth, acc"),
        ("--depth_range=3", "expected NEAR:FAR"),
        ("--depth_range=3:1", "expected 0 < NEAR < FAR"),
        ("--path=helix", "expected spiral, circle, test"),
        ("--path=cams:0,7", "cameras are 0 to 2"),
        ("--path=gone.json", "gone.json: cannot be read"),
        ("--loops=0", "--loops=0"),
        ("--save_path=keys.txt", "expected the name of a .json file"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(render, tmp_path, flag, said):
    status, lines, errors = render(f"--out={tmp_path / 'a.mp4'}", "--frames=1", "--poses=1", flag)
    assert (status, lines) == (2, [])
    assert said in errors.splitlines()[-1]
    assert not list(tmp_path.iterdir())
