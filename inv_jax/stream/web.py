"""Asks a web server, with patience but not without end; what it says is measured.

Failed requests are tried again by urllib3, with growing pauses. Bodies are read piece by piece, up
to the size that is expected and within a time that follows from it, so neither a huge body nor
one that trickles holds a player up.
"""

import dataclasses
import time
import urllib.parse
import urllib.request

import urllib3

from inv_jax.types import InvError

_TRIES_AGAIN = 3  # a request that a server in trouble answers
_CONNECT_AGAIN = 1  # ... that gets no answer: that took its time already
_FIRST_PAUSE = 0.2  # s before the second repetition; it doubles
_LONGEST_PAUSE = 4.0  # s
_IN_TROUBLE = (408, 425, 429, 500, 502, 503, 504)
_CONNECT_SECONDS = 5.0
_REDIRECTS = 5
_PIECE_BYTES = 1 << 16
_SLOWEST = 2000.0  # bytes per second; what is slower is given up


class FetchError(InvError):
    """Something could not be fetched, however often it was tried."""


@dataclasses.dataclass
class Traffic:
    """What went over the network; of one thread."""

    requests: int = 0  # the first tries
    retries: int = 0  # repetitions of failed ones
    refetched: int = 0  # files fetched again, since they were not what they should be
    num_bytes: int = 0
    seconds: float = 0.0  # with a request under way


@dataclasses.dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes
    url: str  # where it came from, after redirects


class Web:
    """One server's client: connections are kept, everything has a time limit.

    Attributes:
      traffic: Counts what is fetched.
    """

    def __init__(self, url: str, timeout: float, traffic: Traffic):
        """Opens nothing yet.

        Args:
          url: An address on the server.
          timeout: Seconds without a byte, after which a request has failed.
          traffic: Counts.

        Raises:
          InvError: If it is no address that can be asked.
        """
        parsed = urllib.parse.urlsplit(url)
        if parsed.scheme not in ("http", "https") or not parsed.hostname:
            raise InvError(f"{url!r} is no address; expected http://HOST/... or https://HOST/...")
        self._timeout, self.traffic = timeout, traffic
        proxy = urllib.request.getproxies().get(parsed.scheme)
        if proxy and not urllib.request.proxy_bypass(parsed.hostname):
            self._pool: urllib3.PoolManager = urllib3.proxy_from_url(proxy)
        else:
            self._pool = urllib3.PoolManager()

    def get(
        self,
        url: str,
        most_bytes: int,
        headers: dict[str, str] | None = None,
        *,
        anew: bool = False,
    ) -> Answer:
        """Fetches an address.

        Args:
          url: The address.
          most_bytes: The longest body that is taken; of a longer one, one byte more comes back.
          headers: Sent with it.
          anew: Asks caches on the way to get another copy.

        Raises:
          FetchError: If no answer came, or the body broke off. A status is no error here.
        """
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        if anew:
            sent["Cache-Control"] = "no-cache"
        retry = urllib3.Retry(
            total=_TRIES_AGAIN + _REDIRECTS,
            connect=_CONNECT_AGAIN,
            read=_CONNECT_AGAIN,
            status=_TRIES_AGAIN,
            redirect=_REDIRECTS,
            status_forcelist=_IN_TROUBLE,
            backoff_factor=_FIRST_PAUSE / 2,
            backoff_max=_LONGEST_PAUSE,
            respect_retry_after_header=False,  # it may say any number of seconds
            raise_on_status=False,
        )
        self.traffic.requests += 1
        start = time.monotonic()
        try:
            response = self._pool.request(
                "GET",
                url,
                headers=sent,
                retries=retry,
                preload_content=False,
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=self._timeout),
            )
            history = response.retries.history if response.retries else ()
            for step in history:
                url = urllib.parse.urljoin(url, step.redirect_location or "")
            self.traffic.retries += sum(not step.redirect_location for step in history)
            body = self._body(url, response, most_bytes)
        except urllib3.exceptions.MaxRetryError as error:
            self.traffic.retries += _CONNECT_AGAIN
            raise FetchError(f"{url}: {_why(error.reason or error)}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FetchError(f"{url}: {_why(error)}") from error
        finally:
            self.traffic.seconds += time.monotonic() - start
        return Answer(response.status, response.headers, body, url)

    def _body(self, url: str, response: urllib3.BaseHTTPResponse, most_bytes: int) -> bytes:
        limit = time.monotonic() + 3 * self._timeout + most_bytes / _SLOWEST
        pieces, left = [], most_bytes + 1
        try:
            # read1 returns with what is there; read would wait for all of it.
            while left and (piece := response.read1(min(left, _PIECE_BYTES))):
                pieces.append(piece)
                left -= len(piece)
                self.traffic.num_bytes += len(piece)
                if time.monotonic() > limit:
                    raise FetchError(f"{url}: it comes very slowly")
        except BaseException:
            response.close()
            raise
        if left:
            response.release_conn()
        else:  # more follows than is wanted
            response.close()
        return b"".join(pieces)


def _why(error: BaseException) -> str:
    """What went wrong, without the addresses in memory that libraries put in front."""
    kinds = {
        urllib3.exceptions.ConnectTimeoutError: "no connection in time",
        urllib3.exceptions.ReadTimeoutError: "the server fell silent",
        urllib3.exceptions.NameResolutionError: "the server's name is not known",
        urllib3.exceptions.NewConnectionError: "no connection",
        urllib3.exceptions.SSLError: "no secure connection",
        urllib3.exceptions.IncompleteRead: "it broke off",
        urllib3.exceptions.ResponseError: "too many redirects",
    }
    for kind, text in kinds.items():
        if isinstance(error, kind):
            return text
    return f"the connection failed ({type(error).__name__})"
