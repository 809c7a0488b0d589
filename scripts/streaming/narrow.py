"""A narrow line to a server: relays connections, all of them together at so many bits a second.

nginx's own `limit_rate` lets the first second's worth of every answer through at once, so that it
does not slow small files down.
"""

import asyncio
import threading
import time

_PIECE_BYTES = 2048
_CREDIT_SECONDS = 0.05


class NarrowLine:
    """Listens on one port of this machine, and speaks to another."""

    def __init__(self, listen: int, target: int, bits_per_second: float):
        """Starts relaying, in a thread that ends with the program."""
        self._listen, self._target = listen, target
        self._seconds_per_byte = 8 / bits_per_second
        self._free_at = 0.0
        ready = threading.Event()
        threading.Thread(target=self._run, args=(ready,), daemon=True).start()
        ready.wait()

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._relay, "127.0.0.1", self._listen)
            ready.set()
            await server.serve_forever()

        asyncio.run(serve())

    async def _relay(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        source, request = await asyncio.open_connection("127.0.0.1", self._target)
        # Answers are slow, requests are not.
        await asyncio.gather(
            self._copy(client, request, is_slow=False), self._copy(source, answer, is_slow=True)
        )

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_slow: bool
    ) -> None:
        try:
            while data := await source.read(_PIECE_BYTES):
                if is_slow:
                    # Sleeps end late; what they lose is made up for, up to the credit.
                    self._free_at = max(self._free_at, time.monotonic() - _CREDIT_SECONDS)
                    self._free_at += len(data) * self._seconds_per_byte
                    await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()
