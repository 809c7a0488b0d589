"""One walk over what is coded, for encoder and decoder.

A walk that names contexts in its order, and asks a `Coder` what there is, writes with a `Pushing`
one and reads with a `Pulling` one. So the two sides cannot come apart.
"""

import zlib
from typing import Protocol

import numpy as np

from inv_jax.codec import entropy, whole_tables
from inv_jax.codec.entropy import Reader, Symbols, Tokens, Writer
from inv_jax.codec.whole_tables import WholeTables

ESCAPE = 15  # the token of a symbol that is not 0 and has none of its own among the small ones
SMALL_TOKENS = ESCAPE + 1


class Coder(Protocol):
    """Codes what comes next.

    Attributes:
      crc: CRC-32 of what was coded so far: tokens (bytes) in their order, and plain bits (int32),
        call by call.
    """

    crc: int

    def tokens(self, contexts: np.ndarray, tables: WholeTables, known: Tokens | None) -> Tokens:
        """Tokens (n,) uint8 of contexts (n,), which tables then learn."""
        ...

    def symbols(self, contexts: np.ndarray, tables: WholeTables, known: Symbols | None) -> Symbols:
        """Symbols (n,) int32 as `entropy.py` has them: tokens, then their plain bits."""
        ...


class Pushing:
    """Writes."""

    def __init__(self, writer: Writer, crc: int):
        """`crc` is that of what was coded before."""
        self._writer, self.crc = writer, crc

    def tokens(self, contexts: np.ndarray, tables: WholeTables, known: Tokens | None) -> Tokens:
        """See `Coder.tokens`."""
        assert known is not None
        whole_tables.push_tokens(self._writer, known, contexts, tables)
        self.crc = zlib.crc32(known.tobytes(), self.crc)
        return known

    def symbols(self, contexts: np.ndarray, tables: WholeTables, known: Symbols | None) -> Symbols:
        """See `Coder.symbols`."""
        assert known is not None
        tokens, extra = entropy.tokenize(known)
        self.tokens(contexts, tables, tokens)
        entropy.push_extra(self._writer, tokens, extra)
        self.crc = zlib.crc32(extra.astype("<i4").tobytes(), self.crc)
        return known


class Pulling:
    """Reads."""

    def __init__(self, reader: Reader, crc: int):
        """`crc` is that of what was coded before."""
        self._reader, self.crc = reader, crc

    def tokens(self, contexts: np.ndarray, tables: WholeTables, known: Tokens | None) -> Tokens:
        """See `Coder.tokens`."""
        del known
        tokens = whole_tables.pull_tokens(self._reader, contexts, tables)
        self.crc = zlib.crc32(tokens.tobytes(), self.crc)
        return tokens

    def symbols(self, contexts: np.ndarray, tables: WholeTables, known: Symbols | None) -> Symbols:
        """See `Coder.symbols`."""
        tokens = self.tokens(contexts, tables, known)
        extra = entropy.pull_extra(self._reader, tokens)
        self.crc = zlib.crc32(extra.astype("<i4").tobytes(), self.crc)
        return entropy.detokenize(tokens, extra)


def nonzero(
    coder: Coder,
    contexts: np.ndarray,
    small: WholeTables,
    large: WholeTables,
    known: Symbols | None,
) -> Symbols:
    """Codes symbols (n,) int32 that are not 0: -1, 1, -2 ... 7, -8 as tokens 0 to 14, then others.

    Args:
      coder: Codes.
      contexts: (n,) of the tokens.
      small: Tables of these.
      large: Of those that are larger, one row.
      known: The symbols, if they are.
    """
    given = None
    if known is not None:
        given = np.minimum(entropy.zigzag(known) - 1, ESCAPE).astype(np.uint8)
    tokens = coder.tokens(contexts, small, given)
    found = entropy.unzigzag(tokens.astype(np.int32) + 1)
    places = np.flatnonzero(tokens == ESCAPE)
    if places.size:
        rest = None if known is None else known[places]
        found[places] = coder.symbols(np.zeros(places.size, np.uint8), large, rest)
    return found
