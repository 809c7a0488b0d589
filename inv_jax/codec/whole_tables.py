"""Tables for decoders that know whole numbers alone, such as one in a browser.

A count becomes a frequency: each of the n tokens of a table has one of 2^24 parts, the others are
divided by the counts, rounded down, and what is left goes to the first of the largest counts. So a
token's parts are exact, and so is everything that follows. Where the coder itself is given floats,
they are whole numbers, and what it multiplies them by is exactly 1.

How the coder's words become tokens, in whole numbers of 64 bits:

    while state < 2^32 and there are words: state = state * 2^32 + words.pop()
    slot = state % 2^24
    token, first = the one that has [first, first + frequency), where slot is
    state = state // 2^24 * frequency + slot - first

The state begins as 0 and is 0 again at the end; the last word is popped first. Plain values of n
bits are tokens that have 2^(24 - n) parts each.
"""

import functools
from collections.abc import Sequence

import numpy as np

from inv_jax.codec import entropy
from inv_jax.codec.entropy import NUM_TOKENS, Reader, Tables, Tokens, Writer

PARTS = 2**24  # of the coder
_PRIOR = 2**16  # sum of a row that has learned nothing, about
_ONE = 2**32  # what a symbol of 0 weighs, where priors are made
_AT_ONCE = 2**18  # numbers of rows that are given to the coder together, about


class WholeTables(Tables):
    """Tables whose tokens have whole parts of 2^24; of any number of tokens."""

    @classmethod
    def falling(cls, ratios: Sequence[int], gain: int = 512) -> "WholeTables":
        """For symbols, a row for each ratio: how likely one is against one that is smaller by 1.

        Args:
          ratios: In 1/256, from 1 to 255.
          gain: As of `Tables`.
        """
        return cls(np.stack([_falling(ratio) for ratio in ratios]), gain)

    @classmethod
    def flags(cls, odds: Sequence[int], gain: int = 512) -> "WholeTables":
        """A row for each of the odds that a flag is set, in 1/256, from 1 to 255."""
        is_set = np.array(odds, np.int64) * (_PRIOR // 256)
        return cls(np.stack([_PRIOR - is_set, is_set], axis=1), gain)

    def learn_all(self, contexts: np.ndarray, tokens: Tokens) -> None:
        """Counts tokens (n,) met in contexts (n,)."""
        counts = self.met(contexts)
        at = contexts.astype(np.int64) * counts.shape[1] + tokens
        counts += self.gain * np.bincount(at, minlength=counts.size).reshape(counts.shape)
        while (is_over := counts.sum(axis=1) > self.limit).any():
            counts[is_over] = (counts[is_over] + 1) >> 1

    def met(self, contexts: np.ndarray) -> np.ndarray:
        """A view of the counts up to the last row that is among these contexts."""
        return self.counts[: int(contexts.max(initial=0)) + 1]


def weights(counts: np.ndarray) -> np.ndarray:
    """Frequencies less 1, (rows, n) int64; those of a row are 2^24 - n in sum.

    Args:
      counts: Of the same shape, int64, none negative, no sum of a row 0 or above 2^38.
    """
    rows, size = counts.shape
    free = PARTS - size
    made = counts * free // counts.sum(axis=1, keepdims=True)
    made[np.arange(rows), counts.argmax(axis=1)] += free - made.sum(axis=1)
    return made


@functools.lru_cache(maxsize=64)
def _falling(ratio: int) -> np.ndarray:
    """A row of a prior, (NUM_TOKENS,) int64, each 1 at least."""
    found, weight, size = np.zeros(NUM_TOKENS, np.int64), _ONE, 0
    while weight and size <= entropy.LIMIT:
        tokens, _ = entropy.tokenize(np.array([size, -size] if size else [0], np.int32))
        np.add.at(found, tokens, weight)
        weight, size = weight * ratio >> 8, size + 1
    return np.maximum(found * _PRIOR // found.sum(), 1)


def push_tokens(writer: Writer, tokens: Tokens, contexts: np.ndarray, tables: WholeTables) -> None:
    """Codes tokens (n,) uint8, each in its context, in their order; then tables learn them."""
    rows = weights(tables.met(contexts))
    for part in _parts(tokens.size, rows.shape[1]):
        writer.push(tokens[part], rows.take(contexts[part], axis=0))
    tables.learn_all(contexts, tokens)


def pull_tokens(reader: Reader, contexts: np.ndarray, tables: WholeTables) -> Tokens:
    """The inverse of `push_tokens`."""
    rows = weights(tables.met(contexts)).astype(np.float64)
    tokens = np.empty(contexts.shape, np.uint8)
    for part in _parts(tokens.size, rows.shape[1]):
        given = rows.take(contexts[part], axis=0)  # several times as fast as rows[...]
        tokens[part] = reader.pull(len(given), given)
    tables.learn_all(contexts, tokens)
    return tokens


def _parts(count: int, size: int) -> list[slice]:
    step = max(1, _AT_ONCE // size)
    return [slice(start, start + step) for start in range(0, count, step)]
