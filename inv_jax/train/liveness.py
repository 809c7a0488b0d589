"""Notices at once that another process of the job is gone.

A collective whose partner is gone may wait for ever, and JAX's own watch is by heartbeats, so it
takes a minute and then ends the process from within, with a trace of native frames. Here every
process holds a connection to the main one: a process that ends, however it does, closes it.
"""

import contextlib
import socket
import threading
from collections.abc import Callable

_CONNECT_SECONDS = 60


class Watch:
    """A process's end of the connections; threads that wait for one to break."""

    def __init__(self, process_id: int, on_loss: Callable[[int, int | None], None]):
        """Watches for a process.

        Args:
          process_id: This process, 0 is the main one.
          on_loss: Told, from another thread, the number of a process that is gone, and the status
            it left with; None if it could not say. What the main process loses, the others learn
            when it ends.
        """
        self._process_id, self._on_loss = process_id, on_loss
        self._connections: list[socket.socket] = []
        self._is_leaving = False

    def listen(self) -> socket.socket:
        """Opens the main process's port; `getsockname` tells its number."""
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024
            )
        return socket.create_server(("", 0), backlog=1024)

    def accept(self, listener: socket.socket, others: int) -> None:
        """Takes the connections of all other processes, then watches them.

        Raises:
          OSError: If one does not come within a minute.
        """
        listener.settimeout(_CONNECT_SECONDS)
        missing = set(range(1, others + 1))
        with listener:
            while missing:
                connection, _ = listener.accept()
                connection.settimeout(_CONNECT_SECONDS)
                number = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), "big")
                if number not in missing:  # a stranger
                    connection.close()
                    continue
                missing.remove(number)
                connection.settimeout(None)
                self._watch(connection, number)

    def connect(self, host: str, port: int) -> None:
        """Connects to the main process, then watches it.

        Raises:
          OSError: If it cannot be reached.
        """
        connection = socket.create_connection((host, port), _CONNECT_SECONDS)
        connection.settimeout(None)
        connection.sendall(self._process_id.to_bytes(4, "big"))
        self._watch(connection, 0)

    def leave(self, status: int) -> None:
        """Says with which status this process leaves; from now on it watches nobody."""
        self._is_leaving = True
        for connection in self._connections:
            with contextlib.suppress(OSError):  # it may have left before
                connection.sendall(status.to_bytes(1, "big"))

    def _watch(self, connection: socket.socket, number: int) -> None:
        self._connections.append(connection)
        threading.Thread(
            target=self._wait, args=(connection, number), name=f"watch-{number}", daemon=True
        ).start()

    def _wait(self, connection: socket.socket, number: int) -> None:
        try:
            said = connection.recv(1)
        except OSError:
            said = b""
        status = said[0] if said else None
        if not self._is_leaving and not (status is not None and is_common(status)):
            self._on_loss(number, status)


def is_common(status: int) -> bool:
    """Whether all processes leave with this status together: done, or stopped by a signal."""
    return status == 0 or status > 128
