"""Contexts of `bricks`, and the tables that go with them (`inv_jax/codec/bricks_codec.py`).

Everything is whole numbers. Leaves from the eighth on share their contexts, channels from the ninth
on theirs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from inv_jax.codec.whole_tables import WholeTables

_LEAVES, _MASKS = 8, 3
_GAIN = 2048  # of most tables

# Flags: what changed so many frames before, 5 at most ...
_AGES = np.array([0, 0, 1, 2, 2, 3], np.uint8)
# ... and how many of six neighbours changed: those of the first wave in the frame before (three
# classes), those of the second one in this frame (five).
_AROUND = np.array([[0, 1, 1, 2, 2, 2, 2], [3, 4, 5, 6, 7, 7, 7]], np.uint8)
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
# Which of a node's codes change, four channels at a time, the first one as the lowest bit: how
# likely a code of 0 and another one change, by how many of the four before it do, 2 at most.
MASKED = 4
_CODE_ODDS = ((28, 6, 13), (128, 35, 45))
_BITS = (np.arange(2**MASKED)[:, None] >> np.arange(MASKED) & 1).astype(bool)
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
    masks: list[WholeTables]  # by fours of channels
    small: WholeTables
    large: WholeTables

    @classmethod
    def fresh(cls) -> "FrameTables":
        """Nothing learned yet."""
        return cls(
            leaves=WholeTables.flags([192] * _LEAVES, _GAIN),
            blocks=WholeTables.flags(np.ravel(_BLOCK_ODDS).tolist() * _LEAVES, _GAIN),
            nodes=WholeTables.flags(np.ravel(_NODE_ODDS).tolist() * _LEAVES, _GAIN),
            masks=[WholeTables(_mask_counts(), 2 * _GAIN) for _ in range(_MASKS)],
            small=_small(_CHANGES * _LEAVES),
            large=WholeTables.falling([224]),
        )

    def masks_of(self, channel: int) -> WholeTables:
        """Those of the four channels that begin with this one."""
        return self.masks[min(channel // MASKED, _MASKS - 1)]


def _mask_counts() -> np.ndarray:
    """A row for each leaf, mask of codes that are not 0, and whether a channel before changes."""
    made = np.empty((2**MASKED, 2, 2**MASKED), np.int64)
    for codes, before, mask in np.ndindex(made.shape):
        weight, met = 1, before
        for bit in range(MASKED):
            odds = _CODE_ODDS[codes >> bit & 1][min(met, 2)]
            weight *= odds if mask >> bit & 1 else 256 - odds
            met += mask >> bit & 1
        made[codes, before, mask] = max(weight >> 16, 1)
    return np.tile(made.reshape(-1, 2**MASKED), (_LEAVES, 1))


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
    row = np.minimum(leaves, _LEAVES - 1).astype(np.uint8) * np.uint8(len(_NODE_ODDS))
    row += _AGES.take(ages, mode="clip")
    return row * np.uint8(len(_NODE_ODDS[0])) + _AROUND[wave].take(around)


def mask_contexts(leaves: np.ndarray, codes: np.ndarray, is_met: np.ndarray) -> np.ndarray:
    """Of masks of codes that change.

    Args:
      leaves: (n,) numbers of theirs.
      codes: (n, up to 4) int32.
      is_met: (n,) bool, whether a code of a channel before changes.

    Returns:
      (n,) uint8.
    """
    row = np.minimum(leaves, _LEAVES - 1).astype(np.uint8) << np.uint8(MASKED + 1)
    return row + (masks(codes != 0) << np.uint8(1)) + is_met


def masks(flags: np.ndarray) -> np.ndarray:
    """Masks (n,) uint8 of flags (n, up to 4) bool."""
    return flags.astype(np.uint8) @ (np.uint8(1) << np.arange(flags.shape[1], dtype=np.uint8))


def unmasked(found: np.ndarray, count: int) -> np.ndarray:
    """Flags (n, count) bool of masks (n,) uint8."""
    return _BITS[:, :count].take(found, axis=0)


def change_contexts(leaves: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Of what is added to codes (n,) int32 that change, of leaves (n,); (n,) uint8."""
    row = np.minimum(leaves, _LEAVES - 1) * len(_CHANGES)
    return (row + _CODES.take(codes + 4, mode="clip")).astype(np.uint8)


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
