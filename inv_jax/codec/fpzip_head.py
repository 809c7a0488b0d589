"""What an fpzip stream says of itself, read without fpzip: it allocates what the head says.

The head goes through fpzip's range coder like the numbers behind it, each field as equally likely
values: the letters "fpz" and a zero, 8 bits each; versions, 16 and 8 bits; 1 bit, set for doubles;
7 bits of precision; the four axes from the innermost on, 32 bits each in halves, the lower first.
"""

_MASK = 0xFFFFFFFF
_HEAD_BYTES = 32  # the head needs no more of the stream
_MAGIC = [ord("f"), ord("p"), ord("z"), 0]
_FLOAT = 0


class _Bits:
    """fpzip's range decoder, for equally likely values."""

    def __init__(self, data: bytes):
        self._rest = iter(data)
        self._low, self._range, self._code = 0, _MASK, 0
        for _ in range(4):
            self._take()

    def _take(self) -> None:
        self._code = (self._code << 8 | next(self._rest)) & _MASK

    def read(self, count: int) -> int:
        """The next value of so many bits, of 16 at most."""
        self._range >>= count
        value = (self._code - self._low & _MASK) // self._range
        self._low = self._low + value * self._range & _MASK
        while not (self._low ^ self._low + self._range) & _MASK & 0xFF000000:
            self._take()
            self._low, self._range = self._low << 8 & _MASK, self._range << 8 & _MASK
        if not self._range >> 16:  # the coder gives some range up, so that nothing carries
            self._take()
            self._take()
            self._low = self._low << 16 & _MASK
            self._range = -self._low & _MASK
        return value


def read_shape(stream: bytes) -> tuple[int, ...] | None:
    """The four axes of a stream of float32, outermost first; None if it is no such stream."""
    bits = _Bits(stream[:_HEAD_BYTES].ljust(2 * _HEAD_BYTES, b"\0"))
    if [bits.read(8) for _ in _MAGIC] != _MAGIC:
        return None
    bits.read(16)
    bits.read(8)
    if bits.read(1) != _FLOAT or not 2 <= bits.read(7) <= 32:
        return None
    axes = [bits.read(16) | bits.read(16) << 16 for _ in range(4)]
    return tuple(reversed(axes))
