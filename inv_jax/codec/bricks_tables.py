"""Contexts of `bricks`, and the tables that go with them (`inv_jax/codec/bricks_codec.py`).

Everything is whole numbers. Leaves from the eighth on share their contexts, channels from the
twelfth on theirs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from inv_jax.codec.whole_tables import WholeTables

_LEAVES, _CHANNELS = 8, 12
_GAIN = 2048  # of all tables but those of key frames' flags

# Flags: what changed so many frames before, 5 at most ...
_AGES = np.array([0, 0, 1, 2, 2, 3])
# ... and how many of six neighbours changed: those of the first wave in the frame before (three
# classes), those of the second one in this frame (five).
_AROUND = np.array([[0, 1, 1, 2, 2, 2, 2], [3, 4, 5, 6, 7, 7, 7]])
# How likely they are set before anything was learned, in 1/256: rows of ages.
_BLOCK_ODDS = (
    (102, 128, 220, 59, 105, 141, 200, 238),
    (44, 77, 128, 38, 51, 90, 128, 166),
    (26, 36, 84, 15, 28, 51, 90, 128),
    (15, 22, 105, 2, 18, 61, 128, 205),
)
_NODE_ODDS = (
    (31, 51, 128, 23, 44, 74, 128, 189),
    (26, 51, 105, 18, 38, 74, 110, 164),
    (18, 38, 84, 14, 32, 67, 97, 154),
    (15, 35, 82, 8, 30, 67, 110, 177),
)
# Flags of a node's codes: rows of the code's size, 3 at most, by how many of the node's codes of
# channels before change, 2 at most.
_CODE_ODDS = ((28, 6, 13), (128, 27, 36), (113, 43, 54), (148, 40, 52))
# What is added to a code, by the code from -4 or less to 4 or more: how likely the tokens of
# -1, 1, -2 ... 7, -8 are, and what stands for others.
_CODES = np.array([0, 1, 1, 2, 3, 4, 5, 5, 6])
_CHANGES = (
    (300, 400, 65, 100, 20, 36, 8, 18, 5, 8, 2, 5, 1, 4, 1, 6),
    (240, 600, 30, 88, 6, 21, 2, 5, 1, 2, 1, 1, 1, 1, 1, 1),
    (140, 800, 15, 25, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (500, 430, 30, 30, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (760, 175, 27, 22, 5, 5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    (520, 260, 110, 44, 28, 11, 6, 5, 3, 2, 2, 1, 1, 1, 1, 1),
    (270, 400, 95, 105, 36, 32, 18, 12, 12, 5, 5, 3, 3, 2, 2, 4),
)

# Key frames: rows of how large what was not expected is around (the first row is the first
# wave's), by how much there is in all channels there, and by whether the expected code was rounded
# down, hardly, or up.
_KEY_ODDS = (24, 72, 140, 192)
_FIRST_KEY_ODDS = 140
_NUM_ACTIVE, _NUM_ROUNDED = 2, 3
_KEY_CODES = (400, 400, 70, 70, 20, 20, 10, 10, 5, 5, 3, 3, 2, 2, 2, 8)


@dataclasses.dataclass
class FrameTables:
    """Those of predicted frames; key frames use the first two."""

    leaves: WholeTables
    blocks: WholeTables
    nodes: WholeTables
    flags: list[WholeTables]  # by channel
    small: WholeTables
    large: WholeTables

    @classmethod
    def fresh(cls) -> "FrameTables":
        """Nothing learned yet."""
        return cls(
            leaves=WholeTables.flags([192] * _LEAVES, _GAIN),
            blocks=WholeTables.flags(np.ravel(_BLOCK_ODDS).tolist() * _LEAVES, _GAIN),
            nodes=WholeTables.flags(np.ravel(_NODE_ODDS).tolist() * _LEAVES, _GAIN),
            flags=[
                WholeTables.flags(np.ravel(_CODE_ODDS).tolist() * _LEAVES, _GAIN)
                for _ in range(_CHANNELS)
            ],
            small=_small(_CHANGES * _LEAVES),
            large=WholeTables.falling([224]),
        )

    def flags_of(self, channel: int) -> WholeTables:
        """Those of flags of a channel's codes."""
        return self.flags[min(channel, _CHANNELS - 1)]


def _small(rows: Sequence[Sequence[int]]) -> WholeTables:
    return WholeTables(np.array(rows, np.int64) << 6, _GAIN)


@dataclasses.dataclass
class KeyTables:
    """Those of the codes of key frames."""

    flags: WholeTables
    small: WholeTables
    large: WholeTables

    @classmethod
    def fresh(cls) -> "KeyTables":
        """Nothing learned yet."""
        others = np.repeat(_KEY_ODDS, _NUM_ACTIVE * _NUM_ROUNDED)
        odds = [_FIRST_KEY_ODDS, *others.tolist()]
        made = cls(
            flags=WholeTables.flags(odds, 2 * _GAIN),
            small=_small([_KEY_CODES] * len(odds)),
            large=WholeTables.falling([240], _GAIN),
        )
        for table in (made.flags, made.small):
            table.limit = 2**21
        return made


def exponent_tables() -> WholeTables:
    """Those of exponents, of other channels and of first ones."""
    return WholeTables.falling([224, 224], 1024)


def leaf_contexts(count: int) -> np.ndarray:
    """(count,) of flags of leaves."""
    return np.minimum(np.arange(count), _LEAVES - 1).astype(np.uint8)


def flag_contexts(
    leaves: np.ndarray, wave: int, ages: np.ndarray, around: np.ndarray
) -> np.ndarray:
    """Of flags of blocks, or of nodes.

    Args:
      leaves: (n,) numbers of theirs.
      wave: 0 or 1.
      ages: (n,) frames since each changed last, 1 or more.
      around: (n,) of 6 neighbours those that changed, of the first wave in the frame before, of the
        second one in this frame.

    Returns:
      (n,) uint8.
    """
    row = np.minimum(leaves, _LEAVES - 1) * len(_NODE_ODDS) + _AGES[np.minimum(ages, 5)]
    return (row * len(_NODE_ODDS[0]) + _AROUND[wave][around]).astype(np.uint8)


def code_contexts(leaves: np.ndarray, codes: np.ndarray, met: np.ndarray) -> np.ndarray:
    """Of flags of codes of a channel that change.

    Args:
      leaves: (n,) numbers of theirs.
      codes: (n,) int32.
      met: (n,) how many of the node's codes of channels before change.

    Returns:
      (n,) uint8.
    """
    row = np.minimum(leaves, _LEAVES - 1) * len(_CODE_ODDS)
    row = (row + np.minimum(np.abs(codes), len(_CODE_ODDS) - 1)) * len(_CODE_ODDS[0])
    return (row + np.minimum(met, len(_CODE_ODDS[0]) - 1)).astype(np.uint8)


def change_contexts(leaves: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Of what is added to codes (n,) int32 that change, of leaves (n,); (n,) uint8."""
    row = np.minimum(leaves, _LEAVES - 1) * len(_CHANGES)
    return (row + _CODES[np.clip(codes, -4, 4) + 4]).astype(np.uint8)


def key_contexts(
    rest: np.ndarray, spread: np.ndarray, active: np.ndarray, count: np.ndarray
) -> np.ndarray:
    """Of the codes of a key frame, but for the first wave's: theirs is 0.

    Args:
      rest: (n, channels) int32, sum of the neighbours' codes, less count times what is expected.
      spread: (n, channels) int32, sum of the sizes of what they have in place of the expected.
      active: (n,) int32, sum of the sizes of their codes, over all channels.
      count: (n,) int32, neighbours.

    Returns:
      (n, channels) uint8.
    """
    channels, count = rest.shape[1], count[:, None]
    row = np.zeros(rest.shape, np.int32)
    for tenths in (3, 10, 30):
        row += 10 * spread >= tenths * count
    row = row * _NUM_ACTIVE + (5 * active[:, None] >= count * channels)
    row = row * _NUM_ROUNDED + (6 * rest > -count) + (6 * rest > count)
    return (1 + row).astype(np.uint8)
