"""Each fault of a packed capture is one line that names the file, and what is lost with it."""

import json
import pathlib

import pytest

from inv_jax.data import pack
from inv_jax.types import InvError


@pytest.fixture
def packed(write_meta, open_meta, tmp_path_factory) -> pathlib.Path:
    """3 frames of 3 cameras in 3 shards."""
    out = tmp_path_factory.mktemp("packed") / "out"
    pack.pack(open_meta(write_meta()), out, num_shards=3)
    return out


def shard(path: pathlib.Path, number: int) -> pathlib.Path:
    return path / f"capture-images.array_record-{number:05d}-of-00003"


def refused(act, *parts: str) -> None:
    """The act raises one line that holds all `parts`."""
    with pytest.raises(InvError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def edit(path: pathlib.Path, **changes) -> None:
    """Changes fields of the description; None removes one."""
    file = path / "metadata.json"
    found = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in found.items() if v is not None}))


# What was fixed when it was packed


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"layout": "little_falls"}, ["data.layout is little_falls", "packed with n3dv"]),
        ({"factor": 4}, ["data.factor is 4", "packed with 2", "set data.factor to 2"]),
        ({"bd_factor": 0.5}, ["data.bd_factor is 0.5", "packed with 0.75"]),
        ({"layout": "colmap"}, ["'colmap'", "little_falls, n3dv"]),
    ],
)
def test_settings_that_do_not_fit_are_named_with_both_values(packed, open_meta, changes, parts):
    refused(lambda: open_meta(packed, **changes), *parts)


# Frames and cameras, as in a folder


@pytest.mark.parametrize("first_frame", [0, 4, -1])
def test_first_frame_must_exist(packed, open_meta, first_frame):
    refused(
        lambda: open_meta(packed, first_frame=first_frame),
        f"data.first_frame is {first_frame}",
        f"{packed} holds frames 1-3",
    )


def test_range_must_not_reach_beyond_the_last_frame(packed, open_meta):
    refused(
        lambda: open_meta(packed, first_frame=2, num_frames=5),
        "ask for frames 2-6",
        f"{packed} holds frames 1-3",
        "at most 2",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_frames": -1}, "data.num_frames is -1"),
        ({"holdout": [3]}, "camera 3, but the 3 cameras are 0 (cam00) to 2 (cam02)"),
        ({"near": 1.5}, "data.near is 1.5"),
    ],
)
def test_choices_at_reading_are_checked(packed, open_meta, changes, said):
    refused(lambda: open_meta(packed, **changes), said)


def test_only_selected_frames_load(packed, open_meta):
    capture = open_meta(packed, first_frame=2, num_frames=1)
    refused(lambda: capture.load(1), "frame 1 is not open, only frame 2")


# Shards


def test_missing_shard_is_named_with_its_frames(packed, open_meta):
    shard(packed, 1).unlink()
    refused(lambda: open_meta(packed), f"{shard(packed, 1)} is missing", "holds frame 2")


@pytest.mark.parametrize("keep", [0, 100, 70_000, 131_000])
def test_truncated_shard_is_found_at_once(packed, open_meta, keep):
    file = shard(packed, 2)
    data = file.read_bytes()
    assert len(data) > keep
    file.write_bytes(data[:keep])
    refused(lambda: open_meta(packed), f"{file} cannot be opened", "holds frame 3", "copy it again")


def test_damaged_record_is_named_when_its_frame_is_read(packed, open_meta, pixels):
    file = shard(packed, 1)
    data = bytearray(file.read_bytes())
    at = data.index(b"IDAT", data.index(b"IDAT") + 4) + 20  # in the second image
    data[at] ^= 1
    file.write_bytes(data)
    capture = open_meta(packed)
    refused(lambda: capture.load(2), f"{file} (frame 2, cam01)", "cannot be read", "damaged")
    assert (capture.load(2, [0, 2]).images[1] == pixels(2, 2)).all()
    assert (capture.load(3).images[1] == pixels(3, 1)).all()


def test_shards_that_changed_places_are_found(packed, open_meta):
    data = shard(packed, 1).read_bytes()
    shard(packed, 1).write_bytes(shard(packed, 2).read_bytes())
    shard(packed, 2).write_bytes(data)
    capture = open_meta(packed)
    refused(lambda: capture.load(2), "(frame 2, cam00)", "record says frame 3, camera 0")


def test_shard_of_another_length_is_found(packed, open_meta, tmp_path):
    other = tmp_path / "other"
    pack.pack(open_meta(tmp_path, num_frames=2), other, num_shards=1)
    next(other.glob("*record-*")).replace(shard(packed, 0))
    refused(lambda: open_meta(packed), f"{shard(packed, 0)} has 6 records, expected 3 (frame 1)")


def test_shard_that_vanishes_during_a_run_is_named(packed, open_meta):
    capture = open_meta(packed)
    shard(packed, 1).unlink()
    refused(lambda: capture.load(2), f"{shard(packed, 1)} (frame 2, cam00)", "cannot be read")


# What lies beside them


@pytest.mark.parametrize("name", ["metadata.json", "dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", [None, "", "{}", '{"format": '])
def test_missing_and_damaged_descriptions_are_named(packed, open_meta, name, content):
    if content is None:
        (packed / name).unlink()
    else:
        (packed / name).write_text(content)
    named = "metadata.json" if name == "metadata.json" else "dataset_info.json"
    refused(lambda: open_meta(packed), str(packed / named))


@pytest.mark.parametrize(
    "changes",
    [
        {"camera_names": None},
        {"camera_names": ["cam00"]},
        {"height": None},
        {"num_frames": "three"},
        {"num_frames": 0},
        {"bd_factor": None},
        {"bounds": [[1.0, 2.0]]},
        {"cam_to_world": "none"},
    ],
)
def test_descriptions_that_make_no_sense_are_named(packed, open_meta, changes):
    edit(packed, **changes)
    refused(lambda: open_meta(packed), "metadata.json is damaged")


def test_descriptions_of_another_capture_are_named(packed, open_meta):
    edit(packed, num_frames=4)
    refused(lambda: open_meta(packed), "lists 9 records, but metadata.json 12")


@pytest.mark.parametrize("known", ["inv_jax capture 2", None])
def test_another_format_is_named(packed, open_meta, known):
    edit(packed, format=known)
    refused(lambda: open_meta(packed), f"of format {known!r}", "'inv_jax capture 1'")
