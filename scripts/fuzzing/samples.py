"""Small neural videos without training: params that wander, cameras in a row."""

import pathlib
from typing import Any

import numpy as np

from inv_jax.codec.base import Codec, Layout, Leaves
from inv_jax.codec.header import Header
from inv_jax.codec.quant_codec import QuantCodec
from inv_jax.codec.writer import VideoWriter
from inv_jax.data.rig import Rig
from inv_jax.params import flatten, nest
from inv_jax.types import Cameras, Params

STRUCTURE = Layout(
    tuple(
        (f"{network}/structure/{path}", shape)
        for network in ("coarse", "fine")
        for path, shape in (
            ("layer_0/bias", (8,)),
            ("layer_0/kernel", (5, 8)),
            ("layer_1/bias", (8,)),
            ("layer_1/kernel", (8, 8)),
        )
    )
)
COLOR = Layout(
    tuple(
        (f"{network}/color/{path}", shape)
        for network in ("coarse", "fine")
        for path, shape in (("layer_2/kernel", (8, 8)), ("rgb/bias", (3,)), ("rgb/kernel", (8, 3)))
    )
)

HEADS = Layout(
    (("net/head/head_1/kernel", (1, 1, 4, 3)),),
    (("net/session/code/number", ()),),
    tuple((f"net/mask/{path}", shape) for path, shape in (("a/kernel", (6, 8)), ("b/bias", (9,)))),
)
NETWORK = Layout(tuple((path.replace("mask", "weights"), shape) for path, shape in HEADS.masks))


class Walk:
    """Params of frames: each a small step from the one before."""

    def __init__(self, layout: Layout = STRUCTURE, color_layout: Layout = COLOR, *, seed: int = 0):
        """The first frame is drawn like a fresh network's params."""
        self._rng = np.random.default_rng(seed)
        self._layout = layout
        self._leaves = _draw(self._rng, layout)
        self._color = _draw(self._rng, color_layout)

    def params(self) -> Params:
        """All params of the current frame."""
        return nest({**self._leaves, **self._color})

    def step(
        self, *, scale: float = 0.01, with_color: bool = False, still: str = "nothing"
    ) -> Params:
        """Params of the next frame.

        Args:
          scale: Of the step, against the size of the params; Laplace distributed.
          with_color: The color params go on, too, as in Warm-Up.
          still: ... but for those with this in their path, as of a field that rests.
        """
        self._leaves = self._moved(self._leaves, scale)
        if with_color:
            moved = self._moved(self._color, scale)
            rest = {path: leaf for path, leaf in self._color.items() if still in path}
            self._color = {**moved, **rest}
        return self.params()

    def _moved(self, leaves: Leaves, scale: float) -> Leaves:
        return {
            path: leaf
            + self._rng.laplace(scale=scale * leaf.std(), size=leaf.shape).astype(np.float32)
            for path, leaf in leaves.items()
        }


def _draw(rng: np.random.Generator, layout: Layout) -> Leaves:
    return {
        path: rng.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(shape[0]))
        for path, shape in layout.shapes
    }


def rig(num_cams: int = 3) -> Rig:
    """Cameras in a row that look along -z."""
    poses = np.tile(np.eye(3, 4, dtype=np.float32), (num_cams, 1, 1))
    poses[:, 0, 3] = np.arange(num_cams)
    intrinsics = np.tile(np.float32([[20, 0, 8], [0, 20, 6], [0, 0, 1]]), (num_cams, 1, 1))
    cameras = Cameras(
        cam_to_world=poses,
        intrinsics=intrinsics,
        near=np.float32(0.5),
        far=np.float32(1.0),
        height=12,
        width=16,
        ndc=True,
        pixel_center=0.0,
    )
    names = tuple(f"cam{i:02d}" for i in range(num_cams))
    bounds = np.tile(np.float32([1.0, 9.0]), (num_cams, 1))
    return Rig(cameras, bounds, poses[:2], names, tuple(range(1, num_cams)), (0,))


def header(
    codec: Codec, layout: Layout = STRUCTURE, color_layout: Layout = COLOR, **fields: Any
) -> Header:
    """A description to go with a `Walk`; fields may be replaced."""
    given = {
        "codec": codec.name,
        "settings": codec.settings(),
        "layout": layout,
        "color_layout": color_layout,
        "config": {"model": {"width": 8}, "data": {"path": ""}},
        "rig": rig(),
        "frame_rate": 30.0,
        "provenance": {"program": "inv_jax"},
    }
    return Header(**{**given, **fields})


def write(
    path: pathlib.Path,
    codec: Codec,
    *,
    frames: int = 6,
    warmup: int = 2,
    still: str = "nothing",
    seed: int = 0,
    segment_frames: int = 1,
    pruned: float = 0.0,
) -> list[Params]:
    """Writes a video of frames 1, 2 ...; returns the params that went in, segment by segment.

    Args:
      path: Of the file.
      codec: For it.
      frames: How many.
      warmup: Segments with color params of their own; the last one's stay.
      still: Color params that rest in them, as of `Walk.step`.
      seed: Of the walk.
      segment_frames: Frames that share their params; the last ones may be fewer.
      pruned: Part of the params that are zero, but for the color's.
    """
    walk, rng = Walk(seed=seed), np.random.default_rng(seed)
    writer = VideoWriter(path, header(codec, segment_frames=segment_frames), codec)
    given, color = [], 1
    for first in range(1, frames + 1, segment_frames):
        is_warm = len(given) < warmup
        color = first if is_warm else color
        made = flatten(walk.step(with_color=is_warm, still=still))
        for leaf, shape in STRUCTURE.shapes if pruned else ():
            made[leaf] = np.where(rng.random(shape) < pruned, np.float32(0), made[leaf])
        given.append(nest(made))
        end = min(first + segment_frames, frames + 1)
        writer.push(range(first, end), given[-1], color)
    writer.close()
    return given


def masked(sets: int, *, seed: int = 0) -> list[Params]:
    """Params of clips that use parts of one network: heads and masks of their own."""
    rng = np.random.default_rng(seed)
    network, made = _draw(rng, NETWORK), []
    masks = {path: rng.random(shape) < 0.4 for path, shape in HEADS.masks}
    for number in range(sets):
        own = {path: rng.normal(size=shape).astype(np.float32) for path, shape in HEADS.shapes}
        own |= {path: np.array(number, np.int32) for path, _ in HEADS.indices}
        masks = {path: mask ^ (rng.random(mask.shape) < 0.2) for path, mask in masks.items()}
        made.append(nest({**own, **masks, **network}))
    return made


def write_masked(
    path: pathlib.Path, codec: Codec, *, mask_key_every: int = 1, clips: int = 5, clip: int = 4
) -> list[Params]:
    """Writes a video of such clips, of so many frames each; the network is quantised by quant."""
    made = header(codec, HEADS, NETWORK, segment_frames=clip)
    shared = codec if isinstance(codec, QuantCodec) else None
    writer = VideoWriter(path, made, codec, color_codec=shared, mask_key_every=mask_key_every)
    given = masked(clips)
    for number, params in enumerate(given):
        first = 1 + clip * number
        writer.push(range(first, first + clip), params, 1)
    writer.close()
    return given
