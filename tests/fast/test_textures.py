"""A fast field as textures: what is written, what it shows, what is refused."""

import dataclasses
import functools
import json
import pathlib
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from inv_jax import params as params_lib
from inv_jax.assembly.playback import open_playback
from inv_jax.codec.base import CorruptError
from inv_jax.commands.stop import Stop
from inv_jax.geometry.boxes import Box, BoxRays
from inv_jax.textures.field import TexturedField
from inv_jax.textures.folder import TextureFolder
from inv_jax.textures.writer import Ranges, TextureWriter, Written, header_of
from inv_jax.types import Places

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import plain_player

pytestmark = pytest.mark.usefixtures("restored_process")

FRAMES = range(1, 5)
# Of 5 channels: two dense levels, two textures of RGBA8 each; one in bricks, its table and two
# more. The guide is one of R8.
WHOLE = 2 * 4 * (5 * 4 * 3 + 9 * 7 * 4) + 4 * (3 * 2 * 2) + 2 * 4 * (5 * 4 * 4 * 4) + 6 * 5 * 5
TEXTURES = 2 + 2 + 3 + 1


def rows_of(folder: pathlib.Path) -> list[dict]:
    return json.loads((folder / "measures.json").read_text())


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, expected[path], err_msg=path)


@pytest.fixture(scope="module")
def exported(run, learned, tmp_path_factory):
    """`exported("--key_every=1")`: the run with such flags; to look at only."""

    @functools.cache
    def make(*flags: str) -> pathlib.Path:
        folder = tmp_path_factory.mktemp("textures") / "folder"
        assert run("export", f"--workdir={learned}", f"--textures={folder}", *flags) == 0
        return folder

    return make


@pytest.fixture
def broken(exported, tmp_path) -> pathlib.Path:
    """A folder to damage."""
    return shutil.copytree(exported(), tmp_path / "broken")


def eval_of(run, path: pathlib.Path, capture: pathlib.Path, table: pathlib.Path) -> np.ndarray:
    flags = ["--metrics=psnr", f"--data_path={capture}", f"--out={table}"]
    assert run("eval", f"--workdir={path}", *flags) == 0
    return np.array([row["psnr"] for row in json.loads(table.read_text())])


# What it shows.


def test_textures_show_the_field_and_eval_finds_what_export_said(
    run, learned, exported, capture, tmp_path
):
    field = eval_of(run, learned, capture, tmp_path / "field.json")
    textures = eval_of(run, exported(), capture, tmp_path / "textures.json")
    assert np.abs(textures - field).max() < 0.1
    rows = rows_of(exported())
    np.testing.assert_allclose([row["psnr"] for row in rows], textures, atol=1e-3)
    np.testing.assert_allclose([row["psnr_lost"] for row in rows], field - textures, atol=2e-3)
    assert 45.0 < min(row["psnr_of_field"] for row in rows) < 90.0  # bytes are not floats


def test_playing_textures_shows_what_is_rendered_of_them(run, exported, tmp_path):
    shown = []
    for command in (("render", f"--workdir={exported()}"), ("play", exported())):
        out = tmp_path / command[0]
        assert run(*command, "--path=test", f"--out={out}") == 0
        shown.append(np.stack([np.asarray(Image.open(p)) for p in sorted(out.glob("*.png"))]))
    np.testing.assert_array_equal(*shown)
    assert shown[0].shape == (4, 16, 24, 3)


def test_a_plain_player_shows_what_the_model_does(exported, touched):
    """One that knows the folder alone, and takes its updates as `texSubImage3D` would."""
    cols, rows = np.int32([0, 5, 12, 23, 17]), np.int32([0, 9, 3, 15, 11])
    cams = jnp.zeros(5, jnp.int32)
    places = Places(cams, jnp.zeros(5), jnp.asarray(cols), jnp.asarray(rows))
    for folder in (exported(), touched[0]):
        playback, player = open_playback(folder, takes_textures=True), plain_player.Folder(folder)
        cameras = jax.tree.map(jnp.asarray, playback.rig.cameras)
        rays = playback.model.inputs(cameras, places)
        for frame, (textures, network) in player.play().items():
            view = playback.player.view(frame, playback.rig.cameras, 0)
            for i, (col, row) in enumerate(zip(cols, rows, strict=True)):
                ray = [np.float64(x[i]) for x in (rays.starts, rays.spans, rays.viewdirs)]
                found = player.color(textures, network, *ray)
                np.testing.assert_allclose(found, view.rgb[row, col], atol=1e-4)


def test_a_plain_player_knows_boxes_that_cameras_stand_around(learned, tmp_path):
    """Rays that come from far outside of the cube, and are squeezed along all axes."""
    playback = open_playback(learned)
    params = playback.source.params(2)
    box = Box("axes", (-1.0, -2.0, -1.0), (1.0, 1.0, 2.0), near=0.5, far=6.0)
    model = dataclasses.replace(TexturedField.of(playback.model), box=box)
    ranges = Ranges(model)
    ranges.add(params)
    header = header_of(model, params, playback.config.to_dict(), playback.rig, {})
    folder = tmp_path / "folder"
    writer = TextureWriter(folder, model, header, ranges.parts(), brick=4, key_every=0)
    written = writer.push(2, params, 2)
    writer.close()
    rng = np.random.default_rng(0)
    starts, ends = (rng.uniform(*range_, (6, 3)) for range_ in ((-3.0, -1.0), (0.5, 3.0)))
    directions = (ends - starts) / np.linalg.norm(ends - starts, axis=-1, keepdims=True)
    arrays = (starts, ends - starts, directions, *[np.ones((6, 1))] * 3)
    rays = BoxRays(*(jnp.asarray(x, jnp.float32) for x in arrays))
    placed = jax.tree.map(jnp.asarray, written.params)
    expected = jax.jit(model.predict)(placed, rays)["field"].rgb
    player = plain_player.Folder(folder)
    textures, network = player.play()[2]
    for i in range(6):
        found = player.color(textures, network, starts[i], ends[i] - starts[i], directions[i])
        np.testing.assert_allclose(found, expected[i], atol=1e-4)


# What is written.


def test_key_frames_are_whole_and_the_others_what_changed(exported):
    for folder, keys in ((exported(), [1]), (exported("--key_every=2"), [1, 3])):
        listed = json.loads((folder / "manifest.json").read_text())["frames"]
        assert [one["frame"] for one in listed] == list(FRAMES)
        assert set(keys) <= {one["frame"] for one in listed if one["key"]}
        for one in listed:
            size = (folder / one["file"]).stat().st_size
            assert size == one["bytes"]
            assert size == WHOLE if one["key"] else size < WHOLE


@pytest.fixture(scope="module")
def touched(learned, tmp_path_factory) -> tuple[pathlib.Path, list[Written], list[dict]]:
    """Five frames that differ in few nodes, as a folder; what was said of each, and its leaves."""
    playback = open_playback(learned)
    model, params = TexturedField.of(playback.model), playback.source.params(3)
    frames = [params_lib.flatten(params)]
    # Frame 2 is as frame 1. The others have other features, in one node, in two, in one density.
    for places in ([], [(0, 0, 0, 2)], [(8, 6, 3, 1), (8, 6, 3, 4)], [(4, 3, 1, 0)]):
        leaf = frames[-1]["field/structure/level_1/kernel"].copy()
        for place in places:
            leaf[place] = leaf.min(axis=(0, 1, 2))[place[-1]]
        frames.append({**frames[-1], "field/structure/level_1/kernel": leaf})
    ranges, folder = Ranges(model), tmp_path_factory.mktemp("touched") / "folder"
    for leaves in frames:
        ranges.add(params_lib.nest(leaves))
    header = header_of(model, params, playback.config.to_dict(), playback.rig, {})
    writer = TextureWriter(folder, model, header, ranges.parts(), brick=4, key_every=0)
    pushed = [writer.push(n, params_lib.nest(x), 7) for n, x in enumerate(frames, 1)]
    writer.close()
    return folder, pushed, frames


def test_an_update_has_the_bricks_that_changed_and_no_others(touched):
    folder, pushed, _ = touched
    assert [one.frame.is_key for one in pushed] == [True] + [False] * 4
    counts, texels = 4 * TEXTURES, 4 * 4 * 4 * 4  # RGBA8 of a brick inside of the level
    assert [one.num_bricks for one in pushed[:4]] == [None, 0, 1, 2]
    sizes = [(folder / one.frame.file.name).stat().st_size for one in pushed]
    assert sizes[:3] == [WHOLE, counts, counts + 4 + texels]
    # The last brick of both textures of the level, of 9x7x4: 1x3x4 texels.
    assert sizes[3] == counts + 2 * (4 + 4 * 1 * 3 * 4)
    # A density is in the guide, too.
    assert pushed[4].num_bricks > 1 and sizes[4] < WHOLE / 2


def test_updates_lead_to_what_the_writer_said_whichever_frame_is_asked_for_first(touched):
    folder, pushed, frames = touched
    source = TextureFolder(folder)
    for number in (5, 3, 4, 1, 2, 2, 5):
        found = params_lib.flatten(source.params(number))
        assert_same(found, params_lib.flatten(pushed[number - 1].params))
        for path, leaf in frames[number - 1].items():
            exact = "/color/" in path or "/index/" in path
            tolerance = (
                0.0 if exact else 0.51 / 254 * np.ptp(leaf, axis=tuple(range(leaf.ndim - 1)))
            )
            assert (np.abs(found[path] - leaf) <= tolerance).all()


def test_colors_are_stored_once_for_the_frames_that_share_them(exported):
    said = json.loads((exported() / "manifest.json").read_text())
    assert [one["color"] for one in said["frames"]] == [1, 2, 2, 2]
    assert sorted(path.name for path in exported().glob("color_*")) == [
        "color_000001.bin",
        "color_000002.bin",
    ]


def test_frames_can_be_chosen_and_come_from_a_file(run, learned, capture, tmp_path):
    video, folder = tmp_path / "video.inv", tmp_path / "folder"
    assert run("encode", f"--workdir={learned}", "--codec=raw", f"--out={video}") == 0
    flags = ["--frames=2:3", f"--data_path={capture}", f"--textures={folder}"]
    assert run("export", f"--workdir={video}", *flags) == 0
    assert [row["frame"] for row in rows_of(folder)] == [2, 3]
    assert max(abs(row["psnr_lost"]) for row in rows_of(folder)) < 0.1


def test_without_a_capture_bytes_and_the_field_are_measured(run, learned, tmp_path, capsys):
    video, folder = tmp_path / "video.inv", tmp_path / "folder"
    assert run("encode", f"--workdir={learned}", "--codec=raw", f"--out={video}") == 0
    assert run("export", f"--workdir={video}", f"--textures={folder}") == 0
    assert "psnr" not in rows_of(folder)[0] and rows_of(folder)[0]["psnr_of_field"] > 45.0
    assert f"4 frames, {WHOLE:,} bytes whole" in capsys.readouterr().out


# What is refused.


def test_another_model_is_refused(run, train_image, tmp_path, capsys):
    assert train_image(tmp_path / "run") == 0
    flags = [f"--workdir={tmp_path / 'run'}", f"--textures={tmp_path / 'folder'}"]
    assert run("export", *flags) == 2
    assert "model.name=grid; this is a ImageMlp" in capsys.readouterr().err
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_is_not_empty_and_frames_that_are_not_there_are_refused(
    run, learned, tmp_path, capsys
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("42")
    assert run("export", f"--workdir={learned}", f"--textures={tmp_path / 'mine'}") == 2
    assert "is there and not an empty folder" in capsys.readouterr().err
    flags = [f"--textures={tmp_path / 'new'}", "--frames=3:9"]
    assert run("export", f"--workdir={learned}", *flags) == 2
    assert "stored frames are 1 to 4" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_what_is_interrupted_leaves_nothing(run, learned, monkeypatch, tmp_path, capsys):
    answers = iter([False] * 7)  # asked for frame 2, the second time
    monkeypatch.setattr(Stop, "__call__", lambda self: next(answers, True))
    folder = tmp_path / "folder"
    assert run("export", f"--workdir={learned}", f"--textures={folder}", "--nomeasure") == 143
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_its_manifest_a_folder_is_none(run, broken, capsys):
    (broken / "manifest.json").unlink()
    assert run("eval", f"--workdir={broken}") == 2
    assert "no run in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("frame_000001.bin", lambda data: None, "cannot be read (No such file"),
        ("frame_000001.bin", lambda data: data[:-1], f"bytes, want {WHOLE:,}"),
        ("frame_000001.bin", lambda data: data[:9] + b"\1" + data[10:], "another SHA-256"),
        ("color_000001.bin", lambda data: data + b"\0", "bytes, want"),
        ("manifest.json", lambda data: data[:-30], "manifest.json: "),
        ("manifest.json", lambda data: data.replace(b'"version": 1', b'"version": 9'), "version 9"),
        ("manifest.json", lambda data: data.replace(b'"dense"', b'"sparse"'), "'sparse'"),
        ("manifest.json", lambda data: data.replace(b'"brick": 4', b'"brick": -4'), "'-4'"),
        ("manifest.json", lambda data: data.replace(b'"parts"', b'"arts"'), "'parts' is missing"),
        ("manifest.json", lambda data: data.replace(b'"frame_0', b'"../frame_0'), "a file '../"),
        ("manifest.json", lambda data: data.replace(b'"samples": 5', b'"samples": 0'), "samples"),
    ],
)
def test_a_damaged_folder_is_one_line(run, broken, capture, capsys, name, damage, said):
    path = broken / name
    data = damage(path.read_bytes())
    path.unlink() if data is None else path.write_bytes(data)
    assert run("eval", f"--workdir={broken}", f"--data_path={capture}", "--metrics=psnr") == 2
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("inv-jax")]
    assert len(lines) == 1 and said in lines[0]


def test_a_manifest_that_contradicts_itself_is_refused(broken):
    path = broken / "manifest.json"
    before = json.loads(path.read_text())

    def changed(**fields) -> None:
        path.write_text(json.dumps({**before, **fields}))
        TextureFolder(broken)

    changed()
    first, *others = before["frames"]
    for fields, said in [
        ({"parts": before["parts"][1:]}, "not the leaves of its header"),
        ({"frames": []}, "one or more"),
        ({"frames": [*others, first]}, "rising"),
        ({"frames": [{**first, "key": False}, *others]}, "is an update"),
        ({"frames": [{**first, "bytes": 7}, *others]}, "has 7 bytes"),
        ({"colors": before["colors"][1:]}, "frame 1 has colors 1, not listed"),
    ]:
        with pytest.raises(CorruptError, match=said):
            changed(**fields)


def test_textures_are_for_pictures_alone(run, exported, tmp_path, capsys):
    for flags in (("encode", f"--out={tmp_path / 'v.inv'}"), ("export", "--textures=new")):
        assert run(flags[0], f"--workdir={exported()}", flags[1]) == 2
        assert "holds textures, which are for pictures alone" in capsys.readouterr().err
