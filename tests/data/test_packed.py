"""A packed capture is the capture: the same bits, the same rig, the same choices at reading."""

import fcntl
import gc
import pathlib
import shutil
import threading
import tracemalloc
from concurrent import futures

import cv2
import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from absl import flags
from PIL import Image

from inv_jax.commands import pack as command
from inv_jax.commands.stop import Stop
from inv_jax.data import pack, records
from inv_jax.types import InvError, Stopped


def grey(path: pathlib.Path, image: np.ndarray) -> None:
    Image.fromarray(image).convert("L").save(path)


def jpeg(path: pathlib.Path, image: np.ndarray) -> None:
    path.unlink()
    Image.fromarray(image).save(path.with_suffix(".jpg"), quality=90)


def sixteen_bits(path: pathlib.Path, image: np.ndarray) -> None:
    assert cv2.imwrite(str(path), image.astype(np.uint16) * 199)


def one_each(path: pathlib.Path, image: np.ndarray) -> None:
    kinds = {"00": lambda path, image: None, "01": jpeg, "02": sixteen_bits}
    kinds[path.stem[-2:]](path, image)


KINDS = {"as PNG": None, "as JPEG": jpeg, "grey": grey, "16 bit": sixteen_bits, "mixed": one_each}


@pytest.fixture
def out(tmp_path_factory) -> pathlib.Path:
    """Where to pack to; not there yet."""
    return tmp_path_factory.mktemp("packed") / "out"


def listing(path: pathlib.Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in path.rglob("*")}


def same_rig(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a.cameras, b.cameras)
    np.testing.assert_array_equal(a.bounds, b.bounds)
    np.testing.assert_array_equal(a.spiral, b.spiral)
    assert (a.camera_names, a.train_cams, a.test_cams) == (
        b.camera_names,
        b.train_cams,
        b.test_cams,
    )
    assert a.fingerprint == b.fingerprint


# The same bits


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_those_of_the_folder_to_the_bit(kind, write_meta, open_meta, pixels, out):
    path = write_meta()
    for frame in range(1, 4):
        for cam in range(3):
            file = path / "frames_2" / f"frame{frame:04d}cam{cam:02d}.png"
            (KINDS[kind] or (lambda *_: None))(file, pixels(frame, cam))
    folder = open_meta(path)
    pack.pack(folder, out, num_shards=2)
    packed = open_meta(out)
    for frame in folder.frames:
        a, b = folder.load(frame), packed.load(frame)
        np.testing.assert_array_equal(a.images, b.images)
        assert (b.index, b.index.dtype) == (frame, np.int32)
        for cam in range(3):
            file = pathlib.Path(folder.source.name(frame, cam))
            assert packed.source.read(frame, cam) == file.read_bytes()


def test_rig_is_that_of_the_folder_to_the_bit(write_meta, open_meta, out):
    path = write_meta(cams=[0, 1, 3])  # gaps in the names stay
    folder = open_meta(path, holdout=[2])
    pack.pack(folder, out)
    same_rig(open_meta(out, holdout=[2]), folder)


def test_little_falls_is_packed_too(write_little_falls, open_little_falls, out):
    folder = open_little_falls(write_little_falls(), near=0.0)
    pack.pack(folder, out)
    packed = open_little_falls(out, near=0.0)
    same_rig(packed, folder)
    np.testing.assert_array_equal(packed.load(1).images, folder.load(1).images)


@pytest.mark.parametrize(
    "choice",
    [{"near": 0.5}, {"ndc": False}, {"pixel_center": 0.5}, {"holdout": [2, 1]}, {"holdout": []}],
)
def test_what_a_config_chooses_at_reading_is_not_packed(choice, write_meta, open_meta, out):
    path = write_meta()
    pack.pack(open_meta(path), out)
    same_rig(open_meta(out, **choice), open_meta(path, **choice))


def test_a_pack_can_be_packed_again(write_meta, open_meta, out):
    pack.pack(open_meta(write_meta()), out)
    part = open_meta(out, first_frame=2, num_frames=2)
    pack.pack(part, out.with_name("part"), num_shards=2)
    again = open_meta(out.with_name("part"), first_frame=2)
    assert again.frames == range(2, 4)
    for frame in again.frames:
        np.testing.assert_array_equal(again.load(frame).images, part.load(frame).images)


def test_any_user_of_tfds_can_read_it(write_meta, open_meta, out, pixels):
    path = write_meta()
    jpeg(path / "frames_2" / "frame0002cam01.png", pixels(2, 1))
    pack.pack(open_meta(path), out, num_shards=3)
    builder = tfds.builder_from_directory(out)
    found = list(builder.as_data_source("images"))
    assert [(r["frame"], r["cam"]) for r in found] == [(f, c) for f in (1, 2, 3) for c in range(3)]
    for record in found:
        file = path / "frames_2" / record["file_name"].decode()
        assert file.read_bytes() == record["image"]
    assert builder.info.metadata["camera_names"] == ["cam00", "cam01", "cam02"]


# Only what is asked for


@pytest.fixture(params=["folder", "shards"])
def opened(request, write_meta, open_meta, out):
    """A capture of 3 cameras and 3 frames, either way."""
    capture = open_meta(write_meta())
    if request.param == "folder":
        return capture
    pack.pack(capture, out, num_shards=2)
    return open_meta(out)


@pytest.mark.parametrize("cams", [[2], [2, 0], (1, 1), np.array([0, 2]), [], None])
def test_cameras_asked_for_are_read_in_that_order_and_no_others(opened, cams, pixels, monkeypatch):
    read, of_class = [], type(opened.source)
    original = of_class.read
    monkeypatch.setattr(
        of_class, "read", lambda self, *which: read.append(which) or original(self, *which)
    )
    wanted = range(3) if cams is None else [int(cam) for cam in cams]
    images = opened.load(2, cams).images
    assert images.shape == (len(wanted), 6, 8, 3)
    for image, cam in zip(images, wanted, strict=True):
        np.testing.assert_array_equal(image, pixels(2, cam))
    assert sorted(read) == sorted((2, cam) for cam in wanted)


@pytest.mark.parametrize("cam", [3, -1])
def test_a_camera_that_is_none_is_refused(opened, cam):
    with pytest.raises(IndexError, match=f"camera {cam} of 3"):
        opened.load(1, [0, cam])


def test_frames_may_be_loaded_from_several_threads_at_once(opened, pixels):
    expected = {frame: np.stack([pixels(frame, cam) for cam in range(3)]) for frame in (1, 2, 3)}
    with futures.ThreadPoolExecutor(6) as pool:
        for frame in pool.map(opened.load, [1, 2, 3] * 20):
            np.testing.assert_array_equal(frame.images, expected[int(frame.index)])


def test_decoding_threads_end_with_the_capture(write_meta, open_meta, out):
    path = write_meta()
    before = set(threading.enumerate())
    folder = open_meta(path)
    pack.pack(folder, out)
    packed = open_meta(out)
    threads = set(threading.enumerate()) - before
    assert len(threads) >= 2
    del folder, packed
    gc.collect()
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)


def test_shards_of_other_frames_are_not_needed(write_meta, open_meta, out, pixels):
    pack.pack(open_meta(write_meta(frames=range(4, 10)), first_frame=4), out, num_shards=3)
    shards = sorted(out.glob("*record-*"))
    shards[0].unlink()
    shards[2].write_bytes(b"")
    packed = open_meta(out, first_frame=6, num_frames=2)
    np.testing.assert_array_equal(packed.load(7, [1]).images[0], pixels(7, 1))
    with pytest.raises(InvError, match="00000-of-00003 is missing; it holds frames 4-5"):
        open_meta(out, first_frame=4)


# Writing


@pytest.fixture
def meta(write_meta, open_meta):
    """An open folder of 3 cameras and 3 frames."""
    return open_meta(write_meta())


@pytest.mark.parametrize(("asked", "found"), [(0, 1), (1, 1), (2, 2), (3, 3)])
def test_frames_are_spread_over_the_shards_asked_for(meta, out, asked, found):
    pack.pack(meta, out, num_shards=asked)
    lengths = tfds.builder_from_directory(out).info.splits["images"].shard_lengths
    assert len(lengths) == len(list(out.glob("*record-*"))) == found
    assert sum(lengths) == 9
    assert all(length % 3 == 0 for length in lengths)


@pytest.mark.parametrize("asked", [-1, 4])
def test_more_shards_than_frames_are_refused(meta, out, asked):
    with pytest.raises(InvError, match=f"--shards={asked}: frames 1-3 can fill 1 to 3"):
        pack.pack(meta, out, num_shards=asked)
    assert not list(out.parent.iterdir())


def test_a_pack_that_is_stopped_leaves_nothing_and_can_begin_anew(meta, open_meta, out):
    asked = []
    with pytest.raises(Stopped):
        pack.pack(meta, out, num_shards=3, should_stop=lambda: asked.append(0) or len(asked) > 2)
    assert not list(out.parent.iterdir())
    pack.pack(meta, out)
    assert open_meta(out).frames == range(1, 4)


def test_what_a_killed_pack_left_is_no_capture_and_is_removed(meta, open_meta, out, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if there was no time for it
        patch.setattr(pack.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            pack.pack(meta, out)
    assert [path.name for path in out.parent.iterdir()] == [".out.packing"]
    with pytest.raises(InvError, match="out is not a folder"):
        open_meta(out)
    pack.pack(meta, out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert open_meta(out).frames == range(1, 4)


def test_two_processes_do_not_pack_to_one_folder(meta, out):
    staging = out.with_name(".out.packing")
    staging.mkdir()
    (staging / "shard").touch()
    with (staging / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InvError, match="another process is packing to"):
            pack.pack(meta, out)
        assert (staging / "shard").exists()
    pack.pack(meta, out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_broken_image_is_named_and_nothing_is_left(meta, out):
    file = pathlib.Path(meta.source.name(3, 1))
    whole = file.read_bytes()
    file.write_bytes(whole[:-60])
    with pytest.raises(InvError, match=r"frame0003cam01\.png: cannot be decoded"):
        pack.pack(meta, out)
    Image.new("RGB", (9, 5)).save(file)
    with pytest.raises(InvError, match=r"frame0003cam01\.png is 9x5; expected 8x6"):
        pack.pack(meta, out)
    assert not list(out.parent.iterdir())


def test_packing_again_changes_nothing(meta, out):
    pack.pack(meta, out)
    before = listing(out)
    pack.pack(meta, out)
    assert listing(out) == before


def test_a_damaged_pack_is_not_taken_for_done(meta, out):
    pack.pack(meta, out)
    next(out.glob("*record-*")).write_bytes(b"")
    with pytest.raises(InvError, match="cannot be opened"):
        pack.pack(meta, out)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_frames": 2}, "num_frames is 3 there, 2 here"),
        ({"first_frame": 2}, "first_frame is 1 there, 2 here"),
        ({"bd_factor": 0.5}, "bd_factor is 0.75 there, 0.5 here"),
    ],
)
def test_another_pack_is_not_overwritten(changes, said, write_meta, open_meta, out):
    path = write_meta()
    pack.pack(open_meta(path), out)
    before = listing(out)
    with pytest.raises(InvError, match=f"holds another capture, .*{said}"):
        pack.pack(open_meta(path, **changes), out)
    assert listing(out) == before


def test_a_folder_of_other_things_is_not_overwritten(meta, out):
    out.mkdir()
    (out / "thesis.tex").touch()
    for taken in (out, out / "thesis.tex"):
        with pytest.raises(InvError, match=f"{taken.name} exists and is no packed capture"):
            pack.pack(meta, taken)
    assert [path.name for path in out.rglob("*")] == ["thesis.tex"]


def test_an_empty_folder_may_be_filled(meta, open_meta, out):
    out.mkdir()
    pack.pack(meta, out)
    assert open_meta(out).frames == meta.frames


def test_memory_holds_a_frame_not_a_shard(write_meta, open_meta, out, pixels):
    path = write_meta(cams=range(2), frames=range(1, 31))
    for frame in range(1, 31):
        for cam in range(2):
            file = path / "frames_2" / f"frame{frame:04d}cam{cam:02d}.png"
            Image.fromarray(pixels(frame, cam, 120, 160)).save(file)  # noise: 58 KB
    capture = open_meta(path)
    tracemalloc.start()
    try:
        pack.pack(capture, out, num_shards=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pack.size_bytes(out) > 3_400_000
    assert peak < 1_700_000


def test_the_command_says_where_and_how_large_and_nothing_else(
    write_meta, open_meta, out, capsys, monkeypatch
):
    monkeypatch.setattr(Stop, "install", lambda self: None)
    path = write_meta()
    base = pathlib.Path(__file__).parents[2] / "configs" / "base.py"
    argv = ["pack", f"--config={base}", f"--config.data.path={path}", f"--out={out}"]
    values = flags.FlagValues()
    command.define(values, argv)
    values(argv)
    assert command.run(values, Stop()) == 0
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    assert capsys.readouterr() == (f"{out}: 9 images, {size:.1f} MB\n", "")
    assert records.is_packed(out)
    same_rig(open_meta(out), open_meta(path))
