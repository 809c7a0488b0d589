"""A video's description comes back as it was, and a forged one is refused by name."""

import json
import zlib

import numpy as np
import pytest

from inv_jax.codec import header
from inv_jax.codec.base import CorruptError
from inv_jax.codec.raw_codec import RawCodec
from inv_jax.types import InvError


@pytest.fixture
def fields(samples):
    return json.loads(zlib.decompress(samples.header(RawCodec()).dump()))


def _load(fields) -> header.Header:
    return header.load(zlib.compress(json.dumps(fields).encode()))


def test_a_description_comes_back(samples):
    given = samples.header(RawCodec(), provenance={"program": "test", "device": "Größe\n"})
    found = header.load(given.dump())
    for name in ("codec", "settings", "layout", "color_layout", "frame_rate", "provenance"):
        assert getattr(found, name) == getattr(given, name)
    assert found.rig.fingerprint == given.rig.fingerprint
    for name in ("camera_names", "train_cams", "test_cams"):
        assert getattr(found.rig, name) == getattr(given.rig, name)
    np.testing.assert_array_equal(found.rig.spiral, given.rig.spiral)
    for name in ("height", "width", "ndc", "pixel_center", "near", "far"):
        assert getattr(found.rig.cameras, name) == getattr(given.rig.cameras, name)


def test_folders_of_the_machine_are_left_out(samples):
    config = {"data": {"path": "/home/someone/secret"}, "train": {"init_from": "/home/else"}}
    given = samples.header(RawCodec(), config=config)
    assert header.load(given.dump()).config == {"data": {"path": ""}, "train": {"init_from": ""}}
    assert config["data"]["path"]  # the caller's stays


def test_a_description_that_could_not_be_read_is_not_written(samples):
    too_long = {"notes": np.random.default_rng(0).bytes(1 << 20).hex()}
    with pytest.raises(InvError, match="cannot be described"):
        samples.header(RawCodec(), provenance=too_long).dump()


_BIG = 10**400


@pytest.mark.parametrize(
    "place, value",
    [
        (("codec",), 5),
        (("settings",), []),
        (("layout",), []),
        (("layout",), {"a": 1}),
        (("layout", 0), "ab"),
        (("layout", 0, 0), "fine/../../etc/x"),
        (("layout", 0, 0), "coarse/structure"),  # a folder of others
        (("layout", 0, 0), "coarse/structure/layer_0/kernel"),  # there twice
        (("layout", 0, 0), "coarse/color/rgb/bias"),  # among the colors, too
        (("layout", 0, 0), "coarse/structure/layer_0/\x1b[2J"),
        (("layout", 0, 0), "x" * 100_000),
        (("layout", 0, 1), []),
        (("layout", 0, 1), [0]),
        (("layout", 0, 1), [-8]),
        (("layout", 0, 1), [8.0]),
        (("layout", 0, 1), [True]),
        (("layout", 0, 1), [1] * 6),
        (("layout", 0), ["fine/index/layer_0/cells", [8], "float64"]),
        (("layout", 0), ["fine/index/layer_0/cells", [8], "int32"]),  # before others
        (("layout", 0), ["fine/index/layer_0/cells", [8], "int32", 1]),
        (("layout",), [["fine/index/layer_0/cells", [8], "int32"]]),  # and no others
        (("color_layout", 0), ["fine/index/layer_0/cells", [8], "int32"]),
        (("layout", 0, 1), [2**31, 2**31]),
        (("layout", 0, 1), [_BIG] * 4),
        (("config",), "x"),
        (("config", "model", "width"), "\x1b[2J"),
        (("config", "model"), {"\ud800": [["\n"]]}),
        (("frame_rate",), float("nan")),
        (("frame_rate",), 0),
        (("frame_rate",), True),
        (("frame_rate",), _BIG),
        (("rig",), None),
        (("rig", "cam_to_world"), [[1]]),
        (("rig", "cam_to_world", 0, 0, 0), float("inf")),
        (("rig", "cam_to_world", 0, 0, 0), 1e300),
        (("rig", "cam_to_world", 0, 0, 0), _BIG),
        (("rig", "cam_to_world", 0, 0, 0), "x"),
        (("rig", "cam_to_world", 0, 0, 0), {}),
        (("rig", "intrinsics"), "abc"),
        (("rig", "spiral"), []),
        (("rig", "near"), -1),
        (("rig", "height"), 0),
        (("rig", "height"), 2**40),
        (("rig", "width"), 16.0),
        (("rig", "ndc"), 1),
        (("rig", "pixel_center"), 7),
        (("rig", "camera_names"), []),
        (("rig", "camera_names", 0), "cam\x1b[2J"),
        (("rig", "train_cams"), [99]),
        (("rig", "train_cams"), [-1]),
    ],
)
def test_forged_values_are_refused_in_one_printable_line(fields, place, value):
    node = fields
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(CorruptError, match="the file's description is damaged") as error:
        _load(fields)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "name", ["codec", "layout", "color_layout", "config", "rig", "frame_rate", "provenance"]
)
def test_missing_fields_are_refused(fields, name):
    del fields[name]
    with pytest.raises(CorruptError, match=name):
        _load(fields)


def test_very_many_leaves_are_refused(fields):
    fields["layout"] = [[f"fine/structure/layer_{i}/bias", [1]] for i in range(1000)]
    with pytest.raises(CorruptError, match="1000 leaves"):
        _load(fields)


def test_unknown_fields_are_left_alone(fields):
    fields["later"] = {"version": 2}
    assert _load(fields).codec == "raw"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no zlib",
        zlib.compress(bytes(1 << 26)),  # a bomb: 64 KB that are 64 MB
        zlib.compress(b"[" * 500_000),
        zlib.compress(b'{"a":' * 90_000),
        zlib.compress(b"9" * 10_000),
        zlib.compress(b"[" + b"[]," * 300_000 + b"[]]"),
        zlib.compress(b"[]"),
        zlib.compress(b"\xff\xfe"),
        bytes(2 << 20),
    ],
)
def test_odd_payloads_are_refused(payload):
    with pytest.raises(CorruptError, match="the file's description is damaged"):
        header.load(payload)


def test_a_cut_payload_is_refused(samples):
    payload = samples.header(RawCodec()).dump()
    for size in range(0, len(payload), 7):
        with pytest.raises(CorruptError):
            header.load(payload[:size])
