"""Masks of sessions, one payload each: adaptive arithmetic coding in contexts.

What a session uses of a network is a bit for each weight. A bit is coded under how often such bits
were set before, "such" being the weight's context: a small number that encoder and decoder both
have (`mask_contexts.py` makes them, of the masks of earlier sessions for one). So a session is
appended without a look at the bytes of those before it. How the original codes masks, several
sessions together, is `mask_packing.py`.

Tensors are coded one after another, each in parts of 64, 64, 128, 256 ... weights up to 2^17, in
their order in memory. A part is coded with what the parts before it taught: how often a bit of its
context was set, and how often its column surprised. A column is what has one place on the last
axis; of a kernel it is the weights of one output. Some columns train and others hardly do. A bit
that was not the likelier one in its context is a miss, and four levels tell columns by how many
misses they had for one that was expected: up to 2/5, 4/5, 3/2, or more, 4 added to both.

A context and a level have a row of counts, to which those of all rows of the context are added,
made smaller until they are worth 16 bits at most. Within a part the bits of one row come together,
rows rising. A tensor begins without misses, and with the counts behind the one before it, each row
made smaller until it is worth 64 bits at most. Counts are whole numbers, as is all that a decoder
does (`whole_tables.py`).

A payload, numbers little-endian:

| bytes | what |
| --- | --- |
| 1 | 0xA8 |
| 4 | CRC-32 of contexts (uint16), then of bits (bytes of 0 and 1), in turn for each tensor |
| 4 each | words, uint32: an ANS stack, from which the bits come |

The checksum also shows contexts that are not those which the encoder had.
"""

import dataclasses
import math
import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from inv_jax.codec import whole_tables
from inv_jax.codec.base import CorruptError
from inv_jax.codec.entropy import Reader, Writer
from inv_jax.codec.whole_tables import PARTS, WholeTables
from inv_jax.types import InvError

Masks = Mapping[str, np.ndarray]  # by path: bool, what a session uses
Contexts = Mapping[str, np.ndarray]  # by path: uint8 or uint16 below `MOST_CONTEXTS`

MOST_CONTEXTS = 2**14

_MAGIC = 0xA8
_HEAD = struct.Struct("<BI")
_FIRST, _MOST = 64, 2**17  # weights of a part
_ONE = 2**12  # what a bit that was met adds to its count
_KNOWN = 64 * _ONE  # sum of a row's counts where a tensor begins, at most
_LENT = 16 * _ONE  # what a row has from all rows of its context, at most
_LIMIT = 2**36  # sum of a row's counts: those of a tensor do not fade
_LEVELS = 4
_PRIOR = 4 * PARTS  # misses, and expected ones


def encode(masks: Masks, contexts: Contexts, only: Masks | None = None) -> bytes:
    """The payload of one session.

    Args:
      masks: What it uses.
      contexts: Of the same paths and shapes, in the order in which tensors are coded.
      only: Which bits are coded, of the same paths and shapes; None: all.

    Raises:
      InvError: If they do not go together.

    Example:
      >>> masks = {"stem_0/kernel": np.array([[True, False], [True, True]])}
      >>> contexts = {"stem_0/kernel": np.zeros((2, 2), np.uint8)}
      >>> decode(encode(masks, contexts), contexts)
      {'stem_0/kernel': array([[ True, False],
             [ True,  True]])}
    """
    _check("masks", masks, contexts)
    writer, crc = Writer(), 0
    for tensor in _tensors(contexts, only):
        bits = _at(masks[tensor.path], tensor.places).view(np.uint8)
        for part in _parts(bits.size):
            rows, order, groups = tensor.rows(part)
            ordered = bits[part][order]
            for shares, which in groups:
                writer.push(ordered[which], shares)
            tensor.learn(part, rows, bits[part])
        crc = tensor.checksum(bits, crc)
    return _HEAD.pack(_MAGIC, crc) + writer.words().tobytes()


def decode(payload: bytes, contexts: Contexts, only: Masks | None = None) -> dict[str, np.ndarray]:
    """The inverse of `encode`: masks of the contexts' shapes, False where no bit was coded.

    Args:
      payload: Of a session.
      contexts: Those that it was encoded with.
      only: Likewise.

    Raises:
      CorruptError: If the payload is none, is damaged, or was encoded with other contexts.
      InvError: If contexts are none.
    """
    if len(payload) < _HEAD.size or payload[0] != _MAGIC:
        raise CorruptError(f"a coded mask begins with {payload[:1]!r}; this is none, or cut")
    reader, crc, masks = Reader(payload[_HEAD.size :]), 0, {}
    for tensor in _tensors(contexts, only):
        bits = np.empty(tensor.contexts.size, np.uint8)
        for part in _parts(bits.size):
            rows, order, groups = tensor.rows(part)
            ordered = np.empty(rows.size, np.uint8)
            for shares, which in groups:
                ordered[which] = reader.pull(which.stop - which.start, shares)
            bits[part][order] = ordered
            tensor.learn(part, rows, bits[part])
        crc = tensor.checksum(bits, crc)
        mask, shape = bits.view(bool), contexts[tensor.path].shape
        if tensor.places is not None:
            mask = np.zeros(math.prod(shape), bool)
            mask[tensor.places] = bits
        masks[tensor.path] = mask.reshape(shape)
    if crc != _HEAD.unpack_from(payload)[1]:
        raise CorruptError(
            "a coded mask does not have its checksum: it is damaged, or what was known before it, "
            "such as the masks of earlier sessions, is not what it was encoded with"
        )
    reader.finish()
    return masks


def _check(what: str, masks: Masks, contexts: Contexts) -> None:
    """Refuses masks that are none of the tensors that the contexts are of."""
    if masks.keys() != contexts.keys():
        raise InvError(
            f"{what} of {', '.join(masks)}, but contexts of {', '.join(contexts)}; want the same"
        )
    for path, mask in masks.items():
        if mask.dtype != np.bool_ or mask.shape != contexts[path].shape:
            raise InvError(
                f"{what} of {path} are {mask.dtype} {mask.shape}; "
                f"want bool {contexts[path].shape}, as its contexts are"
            )


@dataclasses.dataclass
class _Tensor:
    """What encoder and decoder know of a tensor; both learn the same.

    Attributes:
      path: Its name.
      places: (n,) of the weights that are coded, in order; None: all are.
      contexts: (n,) of these, uint8 or uint16.
      tables: A row for each context and level.
      missed: (columns,) int64, misses times `PARTS`.
      expected: (columns,) int64, of how many parts of `PARTS` they were expected.
    """

    path: str
    places: np.ndarray | None
    contexts: np.ndarray
    tables: WholeTables
    missed: np.ndarray
    expected: np.ndarray

    def rows(self, part: slice) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, slice]]]:
        """How a part's bits are coded.

        Returns:
          The row of each, (n,) uint16; the order in which they are coded; for each row that occurs
          the shares of its bits (2,), as `whole_tables.weights`, and where in that order they are.
        """
        missed, expected = self.missed + _PRIOR, self.expected + _PRIOR
        levels = np.zeros(missed.size, np.uint16)
        for limit, of in ((2, 5), (4, 5), (3, 2)):
            levels += of * missed > limit * expected
        contexts = self.contexts[part].astype(np.uint16)
        rows = contexts * np.uint16(_LEVELS) + levels[self._columns(part)]
        found, shares = np.bincount(rows), self._shares()
        ends = np.cumsum(found)
        groups = [(shares[r], slice(ends[r] - found[r], ends[r])) for r in np.flatnonzero(found)]
        return rows, np.argsort(rows, kind="stable"), groups

    def learn(self, part: slice, rows: np.ndarray, bits: np.ndarray) -> None:
        """Takes in a part's bits, (n,) uint8."""
        counts = self.tables.counts.reshape(-1, _LEVELS, 2).sum(axis=1)
        is_set = whole_tables.weights(counts)[:, 1] + 1  # of `PARTS`
        contexts, columns, size = self.contexts[part], self._columns(part), self.missed.size
        is_miss = bits != (is_set > PARTS // 2)[contexts]
        self.missed += np.bincount(columns[is_miss], minlength=size) * PARTS
        rarer = np.minimum(is_set, PARTS - is_set)[contexts]
        # Sums of float64 that are whole, and below 2^53: exact.
        self.expected += np.bincount(columns, rarer, minlength=size).astype(np.int64)
        self.tables.learn_all(rows, bits)

    def checksum(self, bits: np.ndarray, crc: int) -> int:
        """The checksum behind this tensor, of the one before it."""
        for part in _parts(self.contexts.size):
            crc = zlib.crc32(self.contexts[part].astype("<u2").tobytes(), crc)
        return zlib.crc32(bits.tobytes(), crc)

    def _shares(self) -> np.ndarray:
        """Of each row the shares of its bits, (rows, 2)."""
        counts = self.tables.counts.reshape(-1, _LEVELS, 2)
        of_context = counts.sum(axis=1, keepdims=True)
        sums = np.maximum(of_context.sum(axis=2, keepdims=True), _LENT)
        return whole_tables.weights((counts + of_context * _LENT // sums).reshape(-1, 2))

    def _columns(self, part: slice) -> np.ndarray:
        places = np.arange(part.start, part.stop) if self.places is None else self.places[part]
        return places % self.missed.size


def _tensors(contexts: Contexts, only: Masks | None) -> Iterator[_Tensor]:
    """The tensors in order; the tables learn in between."""
    if only is not None:
        _check("bits to code", only, contexts)
    most = 0
    for path, found in contexts.items():
        if found.dtype not in (np.uint8, np.uint16):
            raise InvError(f"contexts of {path} are {found.dtype}; want uint8 or uint16")
        most = max(most, int(found.max(initial=0)))
    if most >= MOST_CONTEXTS:
        raise InvError(f"a context of {most}; want them below {MOST_CONTEXTS}")
    counts = np.full((_LEVELS * (most + 1), 2), _ONE // 2 // _LEVELS, np.int64)
    for path, found in contexts.items():
        sums = np.maximum(counts.sum(axis=1, keepdims=True), _KNOWN)
        tables = WholeTables(np.maximum(counts * _KNOWN // sums, 1), _ONE, _LIMIT)
        places = None if only is None else np.flatnonzero(only[path])
        columns = max(found.shape[-1], 1) if found.ndim > 1 else 1
        nothing = np.zeros(columns, np.int64)
        yield _Tensor(path, places, _at(found, places), tables, nothing, nothing.copy())
        counts = tables.counts


def _at(values: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """Those at some places, behind each other; None: all."""
    flat = values.ravel()
    return flat if places is None else flat[places]


def _parts(size: int) -> Iterator[slice]:
    """Parts of a tensor, each as large as what was before it, within bounds."""
    start = 0
    while start < size:
        end = min(start + min(max(start, _FIRST), _MOST), size)
        yield slice(start, end)
        start = end
