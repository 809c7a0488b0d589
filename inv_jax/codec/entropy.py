"""Integers to few bytes: tokens, adaptive tables of their counts, and an ANS coder.

A symbol (any integer up to `LIMIT` in size) becomes a token and, for a large one, some plain bits
behind it. Small ones have a token each; of larger ones the token says the power of two and the
two bits below its leading one (the idea of JPEG XL's hybrid integers).

| z, zigzag of the symbol: 0, -1, 1, -2, 2 ... | token | plain bits |
| --- | --- | --- |
| z < 16 | z | 0 |
| 2^n <= z < 2^(n + 1), n = 4 .. 22 | 16 + 4 (n - 4) + the two bits below the leading one | n - 2 |

Tokens are coded with constriction's ANS coder under a `Tables` row: counts of the tokens met so
far in one context. Both sides update it with the same integers, so that they agree to the bit on
any machine. All symbols of one context are coded in one call; none is touched by Python alone.

ANS is a stack: what was pushed last comes out first. A `Writer` notes what is pushed and turns it
around at the end, so a `Reader` pulls in the order of the pushes.
"""

import dataclasses
import functools
from collections.abc import Sequence

import constriction
import numpy as np

from inv_jax.codec.base import CorruptError

_stack, _model = constriction.stream.stack, constriction.stream.model

_DIRECT = 16  # zigzag values with a token of their own
_TOP = 22  # the highest bit of a zigzag value
NUM_TOKENS = _DIRECT + 4 * (_TOP - 3)
LIMIT = 2**_TOP - 1  # largest absolute value of a symbol

Symbols = np.ndarray  # (n,) int32
Tokens = np.ndarray  # (n,) uint8


def zigzag(symbols: Symbols) -> np.ndarray:
    """0, -1, 1, -2, 2 ... to 0, 1, 2, 3, 4 ...: twice the size, less one below zero."""
    return 2 * np.abs(symbols) - (symbols < 0)


def unzigzag(values: np.ndarray) -> Symbols:
    """The inverse of `zigzag`."""
    half = (values + 1) >> 1
    return np.where(values & 1, -half, half)


def tokenize(symbols: Symbols) -> tuple[Tokens, np.ndarray]:
    """Tokens and the values of their plain bits (0 where there are none).

    Raises:
      ValueError: If a symbol is larger than `LIMIT`.
    """
    values = zigzag(symbols)
    if values.size and values.max() > 2 * LIMIT:
        raise ValueError(f"a symbol of size {np.abs(symbols).max()}; at most {LIMIT} is coded")
    tokens, extra = values.astype(np.uint8), np.zeros_like(values)
    large = np.flatnonzero(values >= _DIRECT)
    if large.size:
        tops = np.frexp(values[large].astype(np.float64))[1] - 1  # place of the leading one: exact
        tokens[large] = _DIRECT + 4 * (tops - 4) + ((values[large] >> (tops - 2)) & 3)
        extra[large] = values[large] & ((1 << (tops - 2)) - 1)
    return tokens, extra


def _num_plain_bits(tokens: Tokens) -> np.ndarray:
    """Plain bits behind each token."""
    return np.where(tokens < _DIRECT, 0, ((tokens.astype(np.int32) - _DIRECT) >> 2) + 2)


def detokenize(tokens: Tokens, extra: np.ndarray) -> Symbols:
    """The inverse of `tokenize`."""
    symbols = np.take(_SMALL_SYMBOLS, tokens)
    if tokens.size and tokens.max() >= _DIRECT:
        large = np.flatnonzero(tokens >= _DIRECT)
        wide = tokens[large].astype(np.int32) - _DIRECT
        values = ((4 + (wide & 3)) << ((wide >> 2) + 2)) + extra[large]
        symbols[large] = unzigzag(values)
    return symbols


_SMALL_SYMBOLS = unzigzag(np.minimum(np.arange(256), _DIRECT)).astype(np.int32)


class Writer:
    """Collects what is to be coded, in the order in which a reader wants it."""

    def __init__(self) -> None:
        self._pushed: list[tuple[np.ndarray, np.ndarray | int]] = []

    def push(self, tokens: Tokens, counts: np.ndarray) -> None:
        """Codes tokens (n,) by the counts (tokens,) of one table row, or by a row for each."""
        if tokens.size:
            self._pushed.append((tokens, counts.astype(np.float64)))

    def push_plain(self, values: np.ndarray, bits: int) -> None:
        """Stores values in [0, 2^bits), 1 <= bits <= 24, as they are."""
        if values.size:
            self._pushed.append((values, bits))

    def words(self) -> np.ndarray:
        """Everything pushed, as little-endian uint32."""
        coder = _stack.AnsCoder()
        for values, how in reversed(self._pushed):
            given = values.astype(np.int32)
            if isinstance(how, int):
                coder.encode_reverse(given, _model.Uniform(1 << how))
            elif how.ndim == 2:
                coder.encode_reverse(given, _model.Categorical(perfect=False), how)
            else:
                coder.encode_reverse(given, _model.Categorical(how, perfect=False))
        return coder.get_compressed().astype("<u4")


class Reader:
    """Gives back what a writer pushed, in the same order.

    Bytes that no writer made give other values, or `CorruptError`, never more work than was
    asked for.
    """

    def __init__(self, data: bytes):
        """Takes the bytes of a writer's words.

        Raises:
          CorruptError: If they cannot be such.
        """
        if len(data) % 4:
            raise CorruptError(f"coded symbols of {len(data)} bytes; want a multiple of 4")
        try:
            self._coder = _stack.AnsCoder(np.frombuffer(data, "<u4").astype(np.uint32))
        except ValueError as error:
            raise CorruptError(
                "coded symbols end in a zero word, which no encoder makes"
            ) from error

    def pull(self, num: int, counts: np.ndarray) -> np.ndarray:
        """The next `num` tokens (num,) int32, coded by the same counts."""
        if not num:
            return np.zeros(0, np.int32)
        if counts.ndim == 2:
            model = _model.Categorical(perfect=False)
            return self._coder.decode(model, np.asarray(counts, np.float64))
        # A lazy model searches from the first token on: faster where that is likely, else slower.
        is_lazy = num < 64 or 2 * counts[:3].sum() > counts.sum()
        how = {"lazy": True} if is_lazy else {"perfect": False}  # both mean the same code
        return self._coder.decode(_model.Categorical(counts.astype(np.float64), **how), num)

    def pull_plain(self, num: int, bits: int) -> np.ndarray:
        """The next `num` plain values (num,) int32 of so many bits."""
        return self._coder.decode(_model.Uniform(1 << bits), num) if num else np.zeros(0, np.int32)

    def finish(self) -> None:
        """Checks that nothing is left.

        Raises:
          CorruptError: If something is.
        """
        if not self._coder.is_empty():
            raise CorruptError("coded symbols do not end where they should; the bytes are damaged")


def push_by_context(
    writer: Writer, symbols: Symbols, contexts: np.ndarray, tables: "Tables"
) -> tuple[Tokens, np.ndarray]:
    """Codes symbols (n,) context by context, each in its order; then tables learn them.

    Returns:
      Tokens and plain bits in the order in which they were coded.
    """
    order, groups = _groups(contexts)
    tokens, extra = tokenize(symbols[order])
    for context, part in groups:
        writer.push(tokens[part], tables.counts[context])
        tables.learn(context, tokens[part])
    push_extra(writer, tokens, extra)
    return tokens, extra


def pull_by_context(
    reader: Reader, contexts: np.ndarray, tables: "Tables"
) -> tuple[Symbols, Tokens, np.ndarray]:
    """The inverse of `push_by_context`: symbols in their places, and what it returned."""
    order, groups = _groups(contexts)
    tokens = np.empty(contexts.shape, np.uint8)
    for context, part in groups:
        found = reader.pull(part.stop - part.start, tables.counts[context])
        tables.learn(context, found)
        tokens[part] = found
    extra = pull_extra(reader, tokens)
    symbols = np.empty(contexts.shape, np.int32)
    symbols[order] = detokenize(tokens, extra)
    return symbols, tokens, extra


def _groups(contexts: np.ndarray) -> tuple[np.ndarray, list[tuple[int, slice]]]:
    """Places in the order of coding; contexts that occur, and where in that order each is."""
    order = np.argsort(contexts, kind="stable")
    ends = np.searchsorted(contexts[order], np.arange(257))
    found = [(i, slice(int(ends[i]), int(ends[i + 1]))) for i in range(256)]
    return order, [(context, part) for context, part in found if part.stop > part.start]


def push_extra(writer: Writer, tokens: Tokens, extra: np.ndarray) -> None:
    """Stores the plain bits behind tokens."""
    large = np.flatnonzero(tokens >= _DIRECT)
    bits = _num_plain_bits(tokens[large])
    for count in np.unique(bits):
        writer.push_plain(extra[large[bits == count]], int(count))


def pull_extra(reader: Reader, tokens: Tokens) -> np.ndarray:
    """The inverse of `push_extra`; zeros behind tokens without plain bits."""
    extra = np.zeros(tokens.shape, np.int32)
    if not tokens.size or tokens.max() < _DIRECT:
        return extra
    large = np.flatnonzero(tokens >= _DIRECT)
    bits = _num_plain_bits(tokens[large])
    for count in np.unique(bits):
        places = large[bits == count]
        extra[places] = reader.pull_plain(places.size, int(count))
    return extra


# Tables.

_PRIOR_TOTAL = 2**16  # resolution of a prior


@functools.lru_cache(maxsize=256)
def geometric(mean: float) -> np.ndarray:
    """Probabilities of the tokens, (NUM_TOKENS,) int64 out of about 2^16 and each 1 at least.

    Of symbols that are two-sided geometric, P(q) ~ r^|q|, with the given mean of |q|, which is
    2 r / (1 - r^2). Sums, products, quotients and square roots alone: the same on any machine.
    """
    ratio = (-1.0 + float(np.sqrt(1.0 + mean * mean))) / mean
    zero = (1.0 - ratio) / (1.0 + ratio)

    def power(exponent: int) -> float:
        result, base = 1.0, ratio
        while exponent:
            if exponent & 1:
                result *= base
            base, exponent = base * base, exponent >> 1
        return result

    def below(value: int) -> float:
        """P(zigzag < value), for even values: sizes up to value / 2, without +value / 2."""
        size = value // 2
        inside = (
            zero + 2.0 * zero * ratio * (1.0 - power(size - 1)) / (1.0 - ratio) if size else 0.0
        )
        return inside + (zero * power(size) if size else 0.0)

    counts = []
    for value in range(_DIRECT):
        counts.append(zero * power((value + 1) // 2))
    for token in range(NUM_TOKENS - _DIRECT):
        low = (4 + (token & 3)) << ((token >> 2) + 2)
        high = low + (1 << ((token >> 2) + 2))
        counts.append(below(high) - below(low))
    return np.array([max(1, int(p * _PRIOR_TOTAL)) for p in counts], np.int64)


@dataclasses.dataclass
class Tables:
    """Counts of tokens, one row per context; both sides keep the same.

    Attributes:
      counts: (contexts, NUM_TOKENS) int64.
      gain: What a token that was met adds; the priors are about 2^16 in sum, so that a row has
        learned as much as it knew before after 2^16 / gain tokens.
      limit: A row is halved when its sum exceeds it: older frames fade.
    """

    counts: np.ndarray
    gain: int = 512
    limit: int = 2**22

    @classmethod
    def geometric(cls, means: Sequence[float], gain: int = 512) -> "Tables":
        """A row for each mean size of a symbol."""
        return cls(np.stack([geometric(float(mean)) for mean in means]), gain)

    def bits(self, largest: int) -> np.ndarray:
        """What symbols cost, (contexts, 2 largest + 1) float64 bits, for -largest .. largest."""
        tokens, _ = tokenize(np.arange(-largest, largest + 1, dtype=np.int32))
        total = self.counts.sum(axis=1, keepdims=True)
        return np.log2(total / self.counts)[:, tokens] + _num_plain_bits(tokens)[None]

    def learn(self, context: int, tokens: np.ndarray) -> None:
        """Counts tokens (n,) met in a context."""
        met = np.bincount(tokens, minlength=NUM_TOKENS)
        row = self.counts[context] + self.gain * met
        while row.sum() > self.limit:
            row = (row + 1) >> 1
        self.counts[context] = row

    def copy(self) -> "Tables":
        return dataclasses.replace(self, counts=self.counts.copy())
