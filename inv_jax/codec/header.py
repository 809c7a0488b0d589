"""What an `.inv` file says about itself, once, in its META part.

JSON (UTF-8) through zlib, one object; all keys are there, and others are skipped:

    codec         text    name of the codec, as in `codec/registry.py`
    settings      object  the codec's settings, for people
    layout        list    leaves that each frame, or segment, has of its own, in a fixed order,
                          each as ["fine/own/layer_0/kernel", [63, 256]]: its path, its sizes;
                          those of whole numbers stand behind and have a third entry, "int32"
                          (since version 4, see `codec/indexed.py`; without sizes, since 5, it is
                          one number); those of masks stand last, with "bool" (since version 5,
                          see `codec/masked.py`)
    color_layout  list    leaves that they share, in the same form; it may be empty
    segment_frames  whole number  may be missing, then 1: frames of the longest segment
    config        object  settings of the run; "model" (an object) says which network it is
    rig           object  the cameras, below
    frame_rate    number  frames per second
    provenance    object  for people: where it comes from

    rig, of N cameras
    cam_to_world  numbers (N, 3, 4)  poses in the scene's units; axes: `geometry/cameras.py`
    intrinsics    numbers (N, 3, 3)  pixels
    near, far     number             where rays are sampled: scene's units, or NDC depth if ndc
    height, width whole numbers      pixels of an image
    ndc           true or false      whether rays are in normalised device coordinates
    pixel_center  number             0.5 if a pixel's ray goes through its middle
    bounds        numbers (N, 2)     nearest and farthest depth, scene's units
    spiral        numbers (P, 3, 4)  poses of a path for videos
    camera_names  N texts
    train_cams    whole numbers      which cameras it was trained with, counted from 0
    test_cams     whole numbers      which ones were held out
    footage       text               may be missing: tells videos of one camera apart, see `Rig`

It names no folder of the machine it was made on. Everything is checked on reading, since everything
may be forged; only `settings`, `config` and `provenance` may hold any JSON, `config` printable text
alone.
"""

import dataclasses
import json
import math
import re
import zlib
from typing import Any

import numpy as np

from inv_jax.codec.base import CorruptError, Layout
from inv_jax.data.rig import Rig
from inv_jax.types import Cameras, InvError

MOST_BYTES = 1 << 20  # of the JSON text, and of the payload; 21 cameras take 40 KB
_MOST_LISTS = 50_000  # lists and objects in it; a camera takes ten, and Python some time for each
_MOST_LEAVES = 512
_MOST_AXES = 5  # of a leaf
_INTEGERS, _MASKS = "int32", "bool"
_MOST_PARAMS = 1 << 31
_MOST_SEGMENT_FRAMES = 1 << 20
_MOST_CAMS = 1 << 11
_MOST_PIXELS = 1 << 26
_PATH = re.compile(r"\w[\w.\-]{0,63}(/\w[\w.\-]{0,63}){0,7}", re.ASCII)
_FOOTAGE = re.compile(r"[\w\-]{0,1024}", re.ASCII)  # of each of many clips
_NAME_LENGTH = 200
_MOST_TEXT = 10_000
_PRIVATE = (("data", "path"), ("train", "init_from"))  # folders of the machine it is made on


@dataclasses.dataclass(frozen=True, eq=False)
class Header:
    """What is known before the first frame.

    Attributes:
      codec: The codec's name.
      settings: Its settings, for people.
      layout: The leaves that each frame, or segment, has of its own.
      color_layout: The leaves that they share.
      config: Settings of the run (`inv_jax/settings`); `config["model"]` makes the model.
      rig: The capture's cameras.
      frame_rate: Frames per second.
      provenance: For people: versions of inv_jax and its packages, of Python, and the
        capture's fingerprint.
      segment_frames: Frames of the longest segment, those that share one set of params.
    """

    codec: str
    settings: dict[str, Any]
    layout: Layout
    color_layout: Layout
    config: dict[str, Any]
    rig: Rig
    frame_rate: float
    provenance: dict[str, Any]
    segment_frames: int = 1

    def dump(self) -> bytes:
        """The payload of META.

        Raises:
          InvError: If `load` would refuse it.
        """
        cameras = self.rig.cameras
        config = json.loads(json.dumps(self.config))
        for group, name in _PRIVATE:
            if group in config:
                config[group][name] = ""
        fields = {
            "codec": self.codec,
            "settings": self.settings,
            "layout": [
                *self.layout.shapes,
                *((path, shape, _INTEGERS) for path, shape in self.layout.indices),
                *((path, shape, _MASKS) for path, shape in self.layout.masks),
            ],
            "color_layout": self.color_layout.shapes,
            "config": config,
            "rig": {
                "cam_to_world": _lists(cameras.cam_to_world),
                "intrinsics": _lists(cameras.intrinsics),
                "near": float(cameras.near),
                "far": float(cameras.far),
                "height": cameras.height,
                "width": cameras.width,
                "ndc": cameras.ndc,
                "pixel_center": cameras.pixel_center,
                "bounds": _lists(self.rig.bounds),
                "spiral": _lists(self.rig.spiral),
                "camera_names": self.rig.camera_names,
                "train_cams": self.rig.train_cams,
                "test_cams": self.rig.test_cams,
                "footage": self.rig.footage,
            },
            "frame_rate": self.frame_rate,
            "provenance": self.provenance,
        }
        if self.segment_frames > 1:
            fields["segment_frames"] = self.segment_frames
        payload = zlib.compress(json.dumps(fields).encode(), 9)
        try:
            load(payload)
        except CorruptError as error:
            raise InvError(f"the video cannot be described so: {error.__cause__}") from error
        return payload


def load(payload: bytes) -> Header:
    """The inverse of `Header.dump`.

    Raises:
      CorruptError: If the payload is not what `dump` makes.
    """
    try:
        if len(payload) > MOST_BYTES:
            raise ValueError(f"it has {len(payload)} bytes, of {MOST_BYTES} at most")
        inflater = zlib.decompressobj()
        text = inflater.decompress(payload, MOST_BYTES)
        if inflater.unconsumed_tail or not inflater.eof:
            raise ValueError(f"it is longer than {MOST_BYTES} bytes, or cut")
        if text.count(b"[") + text.count(b"{") > _MOST_LISTS:
            raise ValueError(f"it has more than {_MOST_LISTS} lists")
        fields = json.loads(text)
        layout = _layout(fields["layout"])
        color_layout = _layout(fields["color_layout"], is_color=True)
        rows = layout.shapes + layout.indices + layout.masks + color_layout.shapes
        _check_tree([path for path, _ in rows])
        _check_text(fields["config"])
        return Header(
            codec=_is(str, fields["codec"]),
            settings=_is(dict, fields["settings"]),
            layout=layout,
            color_layout=color_layout,
            config=_is(dict, fields["config"]),
            rig=_rig(_is(dict, fields["rig"])),
            frame_rate=_number(fields["frame_rate"], 1e-3, 1e3),
            provenance=_is(dict, fields["provenance"]),
            segment_frames=_whole(fields.get("segment_frames", 1), 1, _MOST_SEGMENT_FRAMES),
        )
    # RecursionError: JSON of many brackets. OverflowError: whole numbers too large for a float.
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError, zlib.error) as error:
        raise CorruptError(f"the file's description is damaged: {str(error)[:200]}") from error


def _lists(array: Any) -> list:
    return np.asarray(array, np.float64).tolist()


def _is(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{str(value)[:50]!r} is no {kind.__name__}")
    return value


def _whole(value: Any, least: int, most: int) -> int:
    if not least <= _is(int, value) <= most:
        raise ValueError(f"{str(value)[:50]!r} is no whole number from {least} to {most}")
    return value


def _number(value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValueError(f"{str(value)[:50]!r} is no number from {least:g} to {most:g}")
    return float(value)


def _layout(rows: Any, *, is_color: bool = False) -> Layout:
    rows = _is(list, rows)
    if len(rows) > _MOST_LEAVES:
        raise ValueError(f"a layout of {len(rows)} leaves")
    kinds: list[list] = [[], [_INTEGERS], [_MASKS]]  # in this order
    found: list[list] = [[], [], []]
    total, last = 0, 0
    for path, shape, *kind in rows:
        sizes = tuple(_is(int, size) for size in _is(list, shape))
        least = 0 if kind == [_INTEGERS] else 1  # a number stands alone
        if not least <= len(sizes) <= _MOST_AXES or min(sizes, default=1) < 1:
            raise ValueError(f"a leaf of shape {sizes}")
        total += math.prod(sizes)
        if not _PATH.fullmatch(_is(str, path)):
            raise ValueError(f"a leaf of the name {path[:50]!r}")
        if kind not in kinds[last:] or (kind and is_color):
            raise ValueError(f"a leaf {path[:50]} that is {str(kind)[:50]}")
        last = kinds.index(kind)
        found[last].append((path, sizes))
    if not (is_color or found[0]):
        raise ValueError("a layout of no leaves")
    if total > _MOST_PARAMS:
        raise ValueError(f"a layout of {total} params, of {_MOST_PARAMS} at most")
    return Layout(*map(tuple, found))


def _check_tree(paths: list[str]) -> None:
    """Leaves have a name each, and none is a folder of others."""
    inner = {path[: match.start()] for path in paths for match in re.finditer("/", path)}
    if len(set(paths)) < len(paths) or inner & set(paths):
        raise ValueError("two leaves that stand at the same place")


def _check_text(value: Any) -> None:
    """Text in the settings is printable: messages quote it."""
    if isinstance(value, str) and not (value.isprintable() and len(value) <= _MOST_TEXT):
        raise ValueError(f"{value[:50]!r} in the settings")
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for one in value:
            _check_text(one)


def _array(rows: Any, *shape: int | None) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is too large is infinite, and refused
        array = np.asarray(_is(list, rows), np.float32)
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.isfinite(array).all():
        raise ValueError(f"an array {array.shape} of finite numbers was to be {shape}")
    return array


def _rig(fields: dict[str, Any]) -> Rig:
    names = tuple(_is(str, name) for name in _is(list, fields["camera_names"]))
    num_cams = len(names)
    if not 1 <= num_cams <= _MOST_CAMS:
        raise ValueError(f"{num_cams} cameras")
    for name in names:
        if not (name.isprintable() and len(name) <= _NAME_LENGTH):
            raise ValueError(f"a camera of the name {name[:50]!r}")

    def cams(values: Any) -> tuple[int, ...]:
        found = tuple(_is(int, cam) for cam in _is(list, values))
        if not all(0 <= cam < num_cams for cam in found):
            raise ValueError(f"cameras {found} of {num_cams}")
        return found

    height, width = (_is(int, fields[name]) for name in ("height", "width"))
    if not (height > 0 and width > 0 and height * width <= _MOST_PIXELS):
        raise ValueError(f"images of {width}x{height}")
    train_cams, test_cams = cams(fields["train_cams"]), cams(fields["test_cams"])
    if not train_cams + test_cams:
        raise ValueError("no camera")
    footage = _is(str, fields.get("footage", ""))
    if not _FOOTAGE.fullmatch(footage):
        raise ValueError(f"footage of the name {footage[:50]!r}")
    near, far = (_number(fields[name], 0.0, 1e9) for name in ("near", "far"))
    return Rig(
        cameras=Cameras(
            cam_to_world=_array(fields["cam_to_world"], num_cams, 3, 4),
            intrinsics=_array(fields["intrinsics"], num_cams, 3, 3),
            near=np.float32(near),
            far=np.float32(far),
            height=height,
            width=width,
            ndc=_is(bool, fields["ndc"]),
            pixel_center=_number(fields["pixel_center"], 0.0, 1.0),
        ),
        bounds=_array(fields["bounds"], num_cams, 2),
        spiral=_array(fields["spiral"], None, 3, 4),
        camera_names=names,
        train_cams=train_cams,
        test_cams=test_cams,
        footage=footage,
    )
