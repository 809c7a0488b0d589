"""Where a published folder is: on a web server, or on this machine."""

import pathlib
import time
import urllib.parse
from typing import Protocol

from inv_jax.codec.base import CorruptError
from inv_jax.stream import manifest as manifest_lib
from inv_jax.stream.manifest import FileRef, Manifest
from inv_jax.stream.web import FetchError, Traffic, Web
from inv_jax.types import InvError

_TRIES = 3  # for a file that is not what the manifest says
_PAUSE = 0.1  # s before the second try, and more before the third
_MOST_SECONDS = 20.0  # after which no further try begins


class Place(Protocol):
    """A folder that can be asked for its files."""

    traffic: Traffic

    def manifest(self, *, anew: bool = False) -> bytes | None:
        """The text of the manifest; None if it is the one given last.

        Raises:
          InvError: If there is none.
          FetchError: If it cannot be fetched.
        """
        ...

    def file(self, ref: FileRef, *, anew: bool) -> bytes:
        """A file as it is there, which may not be as it should be; at most one byte too long.

        Raises:
          FetchError: If it cannot be fetched.
        """
        ...


class WebPlace:
    """A folder behind an address."""

    def __init__(self, web: Web, url: str):
        """Asks nothing yet; `url` is the manifest's."""
        self._web, self._url = web, url
        self._base = url  # where the manifest came from in the end: files are beside it
        self._tag = ""
        self.traffic = web.traffic

    def manifest(self, *, anew: bool = False) -> bytes | None:
        headers = {"Accept-Encoding": "gzip"}
        if self._tag and not anew:
            headers["If-None-Match"] = self._tag
        answer = self._web.get(self._url, manifest_lib.MOST_BYTES, headers, anew=anew)
        if answer.status == 304:
            return None
        if answer.status in (403, 404, 410):
            raise InvError(f"{self._url}: there is no published video (status {answer.status})")
        if answer.status != 200:
            raise FetchError(f"{self._url}: the server answers {answer.status}")
        self._base, self._tag = answer.url, answer.headers.get("ETag", "")[:200]
        return answer.body

    def file(self, ref: FileRef, *, anew: bool) -> bytes:
        url = urllib.parse.urljoin(self._base, ref.name)
        answer = self._web.get(url, ref.num_bytes, anew=anew)
        if answer.status != 200:
            raise FetchError(f"the server answers {answer.status}")
        return answer.body


class FolderPlace:
    """A folder on this machine."""

    def __init__(self, folder: pathlib.Path, traffic: Traffic):
        """Reads nothing yet."""
        self._folder, self.traffic = folder, traffic

    def manifest(self, *, anew: bool = False) -> bytes | None:
        del anew
        if not (self._folder / manifest_lib.NAME).is_file():
            raise InvError(f"{self._folder} holds no published video ({manifest_lib.NAME})")
        return self._read(manifest_lib.NAME, manifest_lib.MOST_BYTES)

    def file(self, ref: FileRef, *, anew: bool) -> bytes:
        del anew
        return self._read(ref.name, ref.num_bytes)

    def _read(self, name: str, most_bytes: int) -> bytes:
        self.traffic.requests += 1
        start = time.monotonic()
        try:
            with (self._folder / name).open("rb") as file:
                data = file.read(most_bytes + 1)
        except OSError as error:
            raise FetchError(f"{self._folder / name}: {error.strerror}") from error
        self.traffic.num_bytes += len(data)
        self.traffic.seconds += time.monotonic() - start
        return data


def read_manifest(place: Place) -> Manifest | None:
    """The manifest as it is now; None if it has not changed.

    Raises:
      CorruptError: If it is none, also when fetched again.
      InvError: If there is none, or it cannot be fetched.
    """
    try:
        return _parsed(place.manifest())
    except (CorruptError, FetchError):
        place.traffic.refetched += 1
        return _parsed(place.manifest(anew=True))


def _parsed(text: bytes | None) -> Manifest | None:
    return None if text is None else manifest_lib.load(text)


def read_file(place: Place, ref: FileRef) -> bytes:
    """A file's content, as the manifest promises it.

    Raises:
      FetchError: If no copy that fits could be fetched.
    """
    reason, start = "", time.monotonic()
    for attempt in range(_TRIES):
        if time.monotonic() - start > _MOST_SECONDS:
            break
        time.sleep(_PAUSE * attempt)
        place.traffic.refetched += attempt > 0
        try:
            data = place.file(ref, anew=attempt > 0)
        except FetchError as error:
            reason = str(error)
            continue
        if ref.fits(data):
            return data
        if len(data) == ref.num_bytes:
            reason = "its content is not what the manifest says"
        else:
            less = "fewer" if len(data) < ref.num_bytes else "more"
            reason = f"it has {less} than the {ref.num_bytes} bytes that the manifest says"
    raise FetchError(f"file {ref.sha256[:12]}: {reason}")
