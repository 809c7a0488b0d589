"""An `.inv` file on a plain web server, read in pieces by Range requests."""

import collections
import re

from absl import logging

from inv_jax.codec.source import BytesSource, Source
from inv_jax.stream.web import Answer, FetchError, Web
from inv_jax.types import InvError

_BLOCK = 1 << 17  # bytes fetched at once: parts stand behind each other
_BLOCKS = 64  # in memory
_MOST_WHOLE = 1 << 28  # bytes of a file that is read whole
_TRIES = 3  # for an answer that is not what was asked for
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


class RangeSource:
    """Bytes of a file behind an address; a `Source` (`codec/source.py`)."""

    def __init__(self, web: Web, url: str, size: int):
        """See `open_url`."""
        self._web, self._url, self._size = web, url, size
        self._blocks: collections.OrderedDict[int, bytes] = collections.OrderedDict()
        self._anew = False

    def size(self) -> int:
        """How many there were when the server was asked last (`probe`)."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes.

        Raises:
          FetchError: If the server does not give them.
        """
        size = min(size, self._size - offset)
        if size <= 0:
            return b""
        numbers = range(offset // _BLOCK, -(-(offset + size) // _BLOCK))
        data = b"".join(self._block(number) for number in numbers)
        begin = offset - numbers.start * _BLOCK
        return data[begin : begin + size]

    def probe(self) -> None:
        """Asks how long the file is by now."""
        before, self._size = self._size, _length(_ask(self._web, self._url, 0, 1))
        if self._size != before:  # it may have been cut, and go on with other bytes
            self._blocks.clear()

    def forget(self) -> None:
        """Throws away what was read; it is fetched again, past caches on the way."""
        self._blocks.clear()
        self._anew = True

    def close(self) -> None:
        self._blocks.clear()

    def _block(self, number: int) -> bytes:
        begin = number * _BLOCK
        wanted = min(_BLOCK, self._size - begin)
        found = self._blocks.get(number, b"")
        if len(found) < wanted:
            found = self._fetch(begin, wanted)
            self._blocks[number] = found
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return found

    def _fetch(self, begin: int, wanted: int) -> bytes:
        error: FetchError | None = None
        for attempt in range(_TRIES):
            self._web.traffic.refetched += attempt > 0
            try:
                answer = _ask(self._web, self._url, begin, wanted, anew=self._anew or attempt > 0)
                if len(answer.body) == wanted:
                    return answer.body
                error = FetchError(f"{self._url}: {len(answer.body)} bytes where {wanted} belong")
            except FetchError as caught:
                error = caught
        assert error is not None
        raise error


def open_url(web: Web, url: str) -> tuple[Source, RangeSource | None]:
    """The bytes of a file behind an address.

    Returns:
      The source, and again as one that can grow: None if the server does not serve parts, so that
      the file was read whole.

    Raises:
      InvError: If there is no such file, or one that cannot be read so.
    """
    answer = web.get(url, 1, {"Range": "bytes=0-0"})
    if answer.status == 206:
        source = RangeSource(web, url, _length(answer))
        return source, source
    if answer.status != 200:
        raise InvError(f"{url}: the server answers {answer.status}")
    length = answer.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length) > _MOST_WHOLE:
        raise InvError(
            f"{url}: the server does not serve parts of files (no Range requests), and the file "
            f"has {length[:20] or 'an unknown number of'} bytes; publish it with `inv-jax publish`"
        )
    logging.warning("%s: no Range requests there; the file is read whole, %s bytes", url, length)
    body = web.get(url, int(length)).body
    if len(body) != int(length):
        raise FetchError(f"{url}: {len(body)} bytes, {length} were announced")
    return BytesSource(body), None


def _ask(web: Web, url: str, begin: int, size: int, *, anew: bool = False) -> Answer:
    wanted = {"Range": f"bytes={begin}-{begin + size - 1}"}
    answer = web.get(url, size, wanted, anew=anew)
    if answer.status != 206:
        raise FetchError(f"{url}: the server answers {answer.status} to a Range request")
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if not found or int(found[1]) != begin:
        raise FetchError(f"{url}: the server gave another part than byte {begin} on")
    return answer


def _length(answer: Answer) -> int:
    found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if not found:
        raise FetchError(f"{answer.url}: the server does not say how long the file is")
    return int(found[3])
