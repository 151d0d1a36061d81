"""The listening socket of the simulator and the threads of its connections."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from orobserve.testing.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.testing.calls import Call
    from orobserve.testing.reply import Incoming, Reply

_JOIN_SECONDS = 2.0


class LoopbackServer(ThreadingHTTPServer):
    """One thread per connection; hanging up closes them all, so that no socket outlives a test."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        answer: Callable[[Incoming], Reply],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Bind the address and listen."""
        self.answer = answer
        self.clock = clock
        self.sleep = sleep
        self.calls: list[Call] = []
        self.stopping = threading.Event()
        self._live: dict[threading.Thread, socket.socket] = {}
        self._live_lock = threading.Lock()
        super().__init__(address, Connection)

    def server_bind(self) -> None:
        """Bind without the host name look-up of the standard class, which may ask a DNS server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        """Remember the connection while it lives."""
        thread = threading.current_thread()
        with self._live_lock:
            self._live[thread] = request
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._live_lock:
                self._live.pop(thread, None)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as inherited
        """Let connection errors pass silently: causing them is part of the job."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """Close every connection and wait for its thread."""
        self.stopping.set()
        with self._live_lock:
            live = dict(self._live)
        for connection in live.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in live:
            thread.join(_JOIN_SECONDS)
